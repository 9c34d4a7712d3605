"""How noisy a computed function is: ECnoise, after Moré & Wild, *Estimating Computational Noise* (SIAM J. Sci. Comput. 2011).

Values at equally spaced, very near points are a smooth trend plus noise. Differencing removes the trend within a few
orders and keeps the noise, whose k-th differences have variance σ² (2k)!/(k!)².
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial

import numpy as np

from bptt_check.differences.estimate import Array


def noise_level(function: Callable[[float], float], *, spacing: float, points: int = 9) -> float:
    """Absolute noise of ``function`` near 0, from ``points`` values ``spacing`` apart; never below half an ulp.

    Raises nothing; where the differences never settle (a spacing too wide, a jump) the largest level is returned, which
    errs towards caution.
    """
    offsets = spacing * (np.arange(points) - points // 2)
    values = np.array([function(float(offset)) for offset in offsets])
    return noise_of_values(values)


def noise_of_values(values: Array) -> float:
    """The same from values that are there already, equally spaced."""
    values = np.asarray(values)
    ulp = float(np.finfo(values.dtype).eps * np.abs(values).max())
    levels: list[float] = []
    differences = values
    changes_sign: list[bool] = []
    for k in range(1, len(values) - 1):
        differences = np.diff(differences)
        gamma = factorial(k) ** 2 / factorial(2 * k)
        levels.append(float(np.sqrt(gamma * np.mean(differences**2))))
        changes_sign.append(bool(differences.min() < 0 < differences.max()))
    for k in range(len(levels) - 2):
        window = levels[k : k + 3]
        if changes_sign[k] and max(window) <= 4 * min(window):
            return max(levels[k], ulp / 2)
    return max(levels[-1], ulp / 2)
