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
WIDEST = 1e-5  # spacing, in units of the direction, up to which values that stand still are the treads of a staircase
FARTHEST = 1e-2  # spacing up to which noise is looked for: a staircase may have treads that wide
SPACINGS = tuple(2.0**k for k in (0, 10, 20, 25, 29, 35, 40, 45, 50))  # of neighbours, in units of 50 ulps
JUMPS = 2  # of nine values that a staircase has at least; a single jump is a place of its own
DISTINCT = 3  # values that tell of what they are all multiples
SHARP = 0.5  # share of the steepest interval's departure from the trend that a jump in another has
PARTS = 8  # into which an interval is divided
LEFT = 0.25  # of the noise, that must be left of a jump however near to it one looks


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
    type where not given, or of the type that comes back, where that is coarser: a point cast to it stands still over
    many ulps of its own, and where many entries do, each jumps by itself. ``stacked``: the function carries leading
    axes, and gets nine small points at once.
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

    seen = [values(50 * ulp)]
    coarser = float(np.finfo(seen[0].dtype).eps)
    if coarser > ulp:
        ulp = coarser
        seen = [values(50 * ulp)]
    spacings = [50 * ulp * far for far in SPACINGS if far == 1 or 50 * ulp * far <= FARTHEST]
    for spacing in spacings[1:]:
        seen.append(values(spacing))
        if not np.isfinite(seen[-1]).all():  # the function ends nearer than that
            seen = seen[:-1] or seen
            break
    levels = [settled_noise(each) for each in seen]
    noise = levels[0][0]
    for k, ((near, near_settled), (far, far_settled)) in enumerate(pairwise(levels)):
        larger = max(near, far)
        if not (near_settled and far_settled) or larger > CONSTANT * min(near, far) or larger <= noise:
            continue  # a kink grows with the spacing, noise does not
        if larger <= CONSTANT * noise or any(_jumps(at, seen[j], spacings[j], ulp, larger) for j in (k, k + 1)):
            noise = larger
    close = [each for each, spacing in zip(seen, spacings, strict=False) if spacing <= WIDEST or each is seen[0]]
    return max(noise, unit(np.concatenate(seen)) / 2, *(_stair(each) / 2 for each in close))


def unit(values: Array) -> float:
    """The largest power of 2 of which all values are multiples, 0 where they are fewer than three.

    It is far above the values' own last place where they are a small difference of large terms, or were rounded to a
    coarser type: then they are multiples of the last place of those.
    """
    digits = np.finfo(values.dtype).nmant + 1
    fractions, exponents = np.frexp(np.unique(np.abs(values[np.isfinite(values) & (values != 0)])))
    if len(fractions) < DISTINCT:
        return 0.0
    whole = [int(fraction) for fraction in np.ldexp(fractions, digits)]
    return min(
        float(np.ldexp(float(each & -each), int(exponent) - digits))
        for each, exponent in zip(whole, exponents, strict=True)
    )


def _jumps(at: Callable[[Any], Any], values: Array, spacing: Any, ulp: float, noise: float) -> bool:
    """Whether equally spaced values jump, at several places: noise or a staircase, and not a fast oscillation.

    The interval that departs most from what its neighbours do is divided again and again, until it is a few ulps wide:
    of what is continuous nothing is left there.
    """
    departs = _departures(values)
    if np.count_nonzero(departs > SHARP * departs.max()) < JUMPS:
        return False
    low = -(len(values) // 2) * spacing
    while spacing > 8 * ulp:
        steepest = int(departs.argmax())
        low, spacing = low + steepest * spacing, spacing / PARTS
        if low + spacing == low:
            break
        ends = values[steepest : steepest + 2]
        values = np.array([ends[0], *(at(low + k * spacing) for k in range(1, PARTS)), ends[1]])
        departs = _departures(values)
    return bool(departs.max() > LEFT * noise)


def _departures(values: Array) -> Array:
    """How far each step between neighbours departs from the middle one."""
    steps = np.diff(values)
    return np.asarray(np.abs(steps - np.median(steps)))


def _stair(values: Array) -> float:
    """The least step of a staircase, where values stand still on two levels or more; 0 where they do not.

    A small difference of large terms is a multiple of *their* last place, and stands still between.
    """
    steps = np.abs(np.diff(values))
    edges = np.flatnonzero(steps)
    flats = np.diff(np.concatenate([[-1], edges, [len(steps)]])) > 1
    return float(steps[edges].min()) if len(edges) and np.count_nonzero(flats) > 1 else 0.0


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
