"""Random directions in which every entry counts alike, and the chance that such a direction misses an error.

Along v the analytic gradient a predicts the slope a·v, for one evaluation whatever the number of entries. With
v_j = ξ_j / d_j, ξ_j standard normal and d_j about |a_j|, an error of relative size δ in one entry shows as ξ_j δ beside
terms of about 1. The divisor d_j is bounded below, by the entry's rounding level (an ill-conditioned entry would drown
the rest) and, where a whole block is zero, by the loss's sensitivity (a forgotten path has a = 0 throughout).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np

from bptt_check.rounding import Rounding

Array = np.ndarray[Any, Any]

DROWNING = 10.0  # an entry's rounding may count at most this many times the typical entry's


def divisors(gradient: Mapping[str, Array], rounding: Rounding) -> dict[str, Array]:
    """d_j by block: |a_j|, but not below what keeps one entry's rounding from drowning the others'."""
    divisor = {}
    for name, a in gradient.items():
        size, level = np.abs(a.astype(float)), rounding.level[name]
        nonzero = size > 0
        if not nonzero.any():
            divisor[name] = np.full(a.shape, rounding.sensitivity[name] or 1.0)
            continue
        typical = float(np.median(level[nonzero] / size[nonzero]))
        divisor[name] = np.maximum(size, level / (DROWNING * typical))
    return divisor


@dataclass(frozen=True)
class Direction:
    """One drawn direction. ``v`` by block; ``predicted`` = a·v; ``noise`` = the rounding level of that sum."""

    v: Mapping[str, Array]
    predicted: float
    noise: float


def along(v: Mapping[str, Array], gradient: Mapping[str, Array], rounding: Rounding) -> Direction:
    """What the gradient predicts along ``v``. The signs of v are random, so rounding adds up in squares."""
    predicted = sum(float(np.sum(v[name] * gradient[name].astype(float))) for name in v)
    square = sum(float(np.sum((v[name] * rounding.level[name]) ** 2)) for name in v)
    summation = rounding.eps * sqrt(sum(float(np.sum((v[name] * gradient[name].astype(float)) ** 2)) for name in v))
    return Direction(v, predicted, sqrt(square) + summation)


def miss_probability(tolerance: float, error: float, directions: int) -> float:
    """Chance that a lone error of relative size ``error`` stays below ``tolerance`` along all of ``directions``.

    Its discrepancy is ξ·error with ξ standard normal, so P(|ξ| < τ/error) ≤ √(2/π) τ/error for each of them.
    """
    if error <= 0:
        return 1.0
    return float(min(1.0, sqrt(2 / pi) * tolerance / error) ** directions)


def smallest_seen(tolerance: float, directions: int, *, chance: float = 1e-6) -> float:
    """The relative error of one entry that is missed with no more than ``chance``."""
    return float(sqrt(2 / pi) * tolerance / chance ** (1 / directions))
