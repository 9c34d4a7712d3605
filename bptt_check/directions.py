"""Random directions in which every entry counts alike, and the chance that such a direction misses an error.

Along v the analytic gradient a predicts the slope a·v, for one evaluation whatever the number of entries. With
v_j = ξ_j / d_j, ξ_j standard normal and d_j about |a_j|, an error of relative size δ in one entry shows as ξ_j δ beside
terms of about 1. The divisor d_j is bounded below, by the entry's rounding level (an ill-conditioned entry would drown
the rest) and, where a whole block is zero, by the loss's sensitivity (a forgotten path has a = 0 throughout).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isnan, log, nan, pi, sqrt
from typing import Any

import numpy as np

from bptt_check.flat import Flat, layouts, shapes_of
from bptt_check.rounding import Rounding

Array = np.ndarray[Any, Any]

CHANCE = 1e-6  # of missing an error of the size that a resolution states
DROWNING = 10.0  # an entry's rounding may count at most this many times the typical entry's
SMALLEST = 1e-140  # divisor: what is smaller would make a direction whose square is not finite


def divisors(
    gradient: Mapping[str, Array], levels: Mapping[str, Array], sensitivity: Mapping[str, float]
) -> dict[str, Array]:
    """d_j by block: |a_j|, but not below what keeps one entry's rounding from drowning the others'."""
    divisor: dict[str, Array] = {}
    for flat in layouts(shapes_of(gradient)):
        scale = np.array([sensitivity[name] or 1.0 for name in flat.shapes])
        divisor |= flat.split(flat_divisors(flat, flat.join(gradient), flat.join(levels), scale))
    return divisor


def flat_divisors(flat: Flat, gradient: Array, levels: Array, sensitivity: Array, *, heard: float = 0.0) -> Array:
    """The same of blocks laid end to end; ``sensitivity`` has one value a block, none of them 0.

    ``heard``: rounding in units of the divisor up to which an entry drowns nothing, whatever is typical.
    """
    size = np.abs(gradient.astype(float, copy=False))
    nonzero = size > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        typical = np.maximum(DROWNING * flat.median(levels / size, nonzero), heard)[flat.owner]
        divisor = np.maximum(size, np.where(typical > 0, levels / typical, 0.0))
    zero = flat.largest(size) == 0
    return np.maximum(np.where(zero[flat.owner], sensitivity[flat.owner], divisor), SMALLEST)


@dataclass(frozen=True)
class Direction:
    """One drawn direction. ``v`` by block; ``predicted`` = a·v; ``noise`` = the rounding level of that sum."""

    v: Mapping[str, Array]
    predicted: Any
    noise: float


def along(v: Mapping[str, Array], gradient: Mapping[str, Array], rounding: Rounding) -> Direction:
    """What the gradient predicts along ``v``. The signs of v are random, so rounding adds up in squares."""
    predicted = sum(np.sum(v[name] * gradient[name]) for name in v)
    square = sum(float(np.sum((v[name] * rounding.level[name]) ** 2)) for name in v)
    summation = rounding.eps * sqrt(sum(float(np.sum((v[name] * gradient[name].astype(float)) ** 2)) for name in v))
    return Direction(v, predicted, sqrt(square) + summation)


def miss_probability(tolerances: Sequence[float] | Array, error: float) -> Any:
    """Chance that a lone error of relative size ``error`` stays below the tolerance of every direction that covered it.

    Its discrepancy is ξ·error with ξ standard normal, so a direction misses it with P(|ξ| < τ/error) ≤ √(2/π) τ/error.
    The last axis of ``tolerances`` counts the directions.
    """
    if error <= 0:
        return 1.0
    return np.minimum(1.0, sqrt(2 / pi) * np.asarray(tolerances, float) / error).prod(axis=-1)


def smallest_seen(tolerances: Sequence[float], *, chance: float = CHANCE) -> float:
    """The relative error of one entry that all directions together miss with no more than ``chance``.

    The sharpest few of them may do better than all: a blunt direction must not make the answer worse.
    """
    finest, logarithms = inf, 0.0
    for count, tolerance in enumerate(sorted(tolerances), 1):
        logarithms += log(tolerance) if tolerance else -inf
        mean = exp(logarithms / count)  # geometric, of the sharpest 1, 2, … directions
        finest = min(finest, mean / chance ** (1 / count))
    return nan if isnan(logarithms) else sqrt(2 / pi) * finest
