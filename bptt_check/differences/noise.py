"""How noisy a computed function is: ECnoise, after Moré & Wild, *Estimating Computational Noise* (SISC 2011).

Values at equally spaced, very near points are a smooth trend plus noise. Differencing removes the trend within a few
orders and keeps the noise, whose k-th differences have variance σ² (2k)!/(k!)².
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from math import factorial
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array
from bptt_check.differences.evaluate import SMALL_BYTES, moved_by_each

CONSTANT = 10.0  # factor within which the noise of two spacings is one and the same; a kink grows 16-fold or more
WIDEST = 1e-5  # spacing, in units of the direction, beyond which a function may curve too much
SPACINGS = (1.0, 2.0**10, 2.0**20, 2.0**25, 2.0**29, 2.0**35, 2.0**40)  # of neighbours, in units of 50 ulps


def noise_level(function: Callable[[float], float], *, spacing: float, points: int = 9) -> float:
    """Absolute noise of ``function`` near 0, from ``points`` values ``spacing`` apart; never below half an ulp.

    Raises nothing; where the differences never settle (a spacing too wide, a jump) the largest level is returned, which
    errs towards caution.
    """
    offsets = spacing * (np.arange(points) - points // 2)
    values = np.array([function(float(offset)) for offset in offsets])
    return noise_of_values(values)


def noise_at(
    function: Callable[[Any], Any],
    point: Mapping[str, Array],
    *,
    direction: Mapping[str, Array],
    eps: float | None = None,
    stacked: bool = False,
) -> float:
    """Absolute noise of a function of named arrays near ``point``, nine values along ``direction`` at each spacing.

    Neighbours lie 50 ulps of the direction apart, then a thousand times that, and so on: a function that works in a
    coarser type than it returns stands still over many ulps, and shows its noise only from afar. It is not an ulp of
    the value: a small difference of large numbers is far noisier than its size tells. ``eps`` is that of the point's
    type where not given. ``stacked``: the function carries leading axes, and gets nine small points at once.
    """
    ulp = eps or float(np.finfo(np.result_type(*point.values())).eps)

    def at(offset: float) -> Any:
        moved = {name: a + offset * direction[name] if name in direction else a for name, a in point.items()}
        return np.asarray(function(moved)).reshape(())[()]

    few = stacked and sum(array.nbytes for array in point.values()) <= SMALL_BYTES

    def values(spacing: float) -> Array:
        if few:
            offsets = np.arange(-4, 5) * np.result_type(*point.values()).type(spacing)
            return np.asarray(function(moved_by_each(point, direction, offsets)))
        return np.array([at(k * spacing) for k in range(-4, 5)])

    levels: list[tuple[float, bool]] = []
    stair = 0.0
    for far in SPACINGS:
        if not levels or 50 * ulp * far <= WIDEST:
            seen = values(50 * ulp * far)
            levels.append(settled_noise(seen))
            stair = stair or _stair(seen)
    return max(_confirmed(levels), stair / 2)


def _stair(values: Array) -> float:
    """The least step of a staircase, where values stand still on two levels or more; 0 where they do not.

    A small difference of large terms is a multiple of *their* last place, and stands still between.
    """
    steps = np.abs(np.diff(values))
    edges = np.flatnonzero(steps)
    flats = np.diff(np.concatenate([[-1], edges, [len(steps)]])) > 1
    return float(steps[edges].min()) if len(edges) and np.count_nonzero(flats) > 1 else 0.0


def _confirmed(levels: list[tuple[float, bool]]) -> float:
    """The largest noise that two neighbouring spacings agree on: a kink grows with the spacing, noise does not."""
    noise = levels[0][0]
    for (near, near_settled), (far, far_settled) in pairwise(levels):
        if near_settled and far_settled and max(near, far) <= CONSTANT * min(near, far):
            noise = max(noise, near, far)
    return noise


def noise_of_values(values: Array) -> float:
    """The same from values that are there already, equally spaced."""
    return settled_noise(values)[0]


def settled_noise(values: Array) -> tuple[float, bool]:
    """Noise of equally spaced values, and whether their differences settled to it; never below half an ulp."""
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
            return max(levels[k], ulp / 2), min(window) > 0
    return max(levels[-1], ulp / 2), False
