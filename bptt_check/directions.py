"""Random directions in which every entry counts alike, and the chance that such a direction misses an error.

Along v the analytic gradient a predicts the slope a·v, for one evaluation whatever the number of entries. With
v_j = ξ_j / d_j, ξ_j standard normal and d_j about |a_j|, an error of relative size δ in one entry shows as ξ_j δ beside
terms of about 1. The divisor d_j is bounded below, by the entry's rounding level (an ill-conditioned entry would drown
the rest) and, where a whole block is zero, by the loss's sensitivity (a forgotten path has a = 0 throughout).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np

from bptt_check.rounding import Rounding

Array = np.ndarray[Any, Any]

CHANCE = 1e-6  # of missing an error of the size that a resolution states
DROWNING = 10.0  # an entry's rounding may count at most this many times the typical entry's


def divisors(
    gradient: Mapping[str, Array], levels: Mapping[str, Array], sensitivity: Mapping[str, float]
) -> dict[str, Array]:
    """d_j by block: |a_j|, but not below what keeps one entry's rounding from drowning the others'."""
    divisor = {}
    for name, a in gradient.items():
        size, level = np.abs(a.astype(float)), levels[name]
        nonzero = size > 0
        if not nonzero.any():
            divisor[name] = np.full(a.shape, sensitivity[name] or 1.0)
            continue
        typical = float(np.median(level[nonzero] / size[nonzero]))
        divisor[name] = np.maximum(size, level / (DROWNING * typical))
    return divisor


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


def miss_probability(tolerances: Sequence[float], error: float) -> float:
    """Chance that a lone error of relative size ``error`` stays below the tolerance of every direction that covered it.

    Its discrepancy is ξ·error with ξ standard normal, so a direction misses it with P(|ξ| < τ/error) ≤ √(2/π) τ/error.
    """
    if error <= 0:
        return 1.0
    return float(np.prod([min(1.0, sqrt(2 / pi) * tolerance / error) for tolerance in tolerances]))


def smallest_seen(tolerances: Sequence[float], *, chance: float = CHANCE) -> float:
    """The relative error of one entry that all directions together miss with no more than ``chance``.

    The sharpest few of them may do better than all: a blunt direction must not make the answer worse.
    """
    ordered = np.sort(np.asarray(tolerances))
    count = np.arange(1, len(ordered) + 1)
    with np.errstate(divide="ignore"):
        mean = np.exp(np.cumsum(np.log(ordered)) / count)  # geometric, of the sharpest 1, 2, … directions
    return float((sqrt(2 / pi) * mean / chance ** (1 / count)).min())
