"""Whether a function is a staircase with treads wider than the steps of a difference quotient, and how high it steps.

1 − p for p near 1 is a multiple of an ulp of 1, and −log(1 − p) turns that into steps as high as one likes, on treads
as wide. On a tread all is smooth, with another slope; only from afar does one see the function climb.

A smooth function does over a short stretch what a polynomial does. What departs from that is looked at from nearer and
nearer: of what is continuous nothing is left there, and a jump stays what it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from bptt_check.differences.estimate import Array

STRETCHES = 8  # that are looked at side by side,
PARTS = 16  # each in that many parts
JUMPS = 2  # that a staircase has at least: a single one is a place of its own
ENOUGH = 4  # jumps, that tell how high they are
ULPS = 3.0  # of the largest value, that rounding may be
# parts are no multiple of treads that are a power of two wide: each would have as many jumps
UNEVEN = 3**0.5 / 2
CLOSE = 8.0  # ulps, the width of the part in which a jump is caught
LEVELS, LEFT = 3, 0.25  # of a jump so much is left, however often one looks from sixteen times nearer
_SMOOTH = np.vander(np.linspace(-1, 1, PARTS), 5)  # what the steps of a polynomial of fifth degree look like
_BESIDE_IT = np.eye(PARTS) - _SMOOTH @ np.linalg.pinv(_SMOOTH)

Function = Callable[[float], float]


def step_height(function: Function, *, width: float, ulp: float, noise: float) -> float:
    """The largest of the jumps that ``function`` makes within ±``width`` of 0; 0 where it makes fewer than two.

    ``ulp`` is how finely its argument can be told apart there; what is no larger than ``noise``, or than some ulps of
    the values, is no jump.
    """
    offsets = width * UNEVEN * np.linspace(-1, 1, STRETCHES * PARTS + 1)
    values = np.array([function(float(offset)) for offset in offsets])
    ends = [slice(first, first + PARTS + 1) for first in range(0, STRETCHES * PARTS, PARTS)]
    ends = [each for each in ends if np.isfinite(values[each]).all()]  # further out it may have no value, or overflow
    if not ends:
        return 0.0
    noise = max(noise, ULPS * float(np.finfo(float).eps * max(np.abs(values[each]).max() for each in ends)))
    # up and down: on a dense staircase most parts have a jump, and what departs from the others may be one without
    places = [(sign, each) for each in ends for sign in (1.0, -1.0)]
    places.sort(key=lambda place: -_departures(place[0], values[place[1]]).max())
    jumps: list[float] = []
    for sign, each in places:
        jump = _jump(function, offsets[each], values[each], sign, CLOSE * ulp, noise)
        jumps += [jump] if jump else []
        if len(jumps) == ENOUGH:
            break
    return max(jumps) if len(jumps) >= JUMPS else 0.0


def _departures(sign: float, values: Array) -> Array:
    """How far each step departs upwards (``sign`` 1) or downwards (−1) from what a polynomial does."""
    return np.asarray(sign * (_BESIDE_IT @ np.diff(values)))


def _jump(function: Function, offsets: Array, values: Array, sign: float, close: float, noise: float) -> float:
    """How far a function jumps up (``sign`` 1) or down (−1) within a stretch; 0 where it is continuous."""
    departed: list[float] = []
    while np.isfinite(values).all():
        departs = _departures(sign, values)
        most = int(departs.argmax())
        departed.append(float(departs[most]))
        if departed[-1] <= noise:
            return 0.0
        if offsets[1] - offsets[0] <= close:
            stays = len(departed) > LEVELS and departed[-1] >= LEFT * departed[-1 - LEVELS]
            steps = np.diff(values)
            next_to_it, jump = np.sort(np.abs(steps - np.median(steps)))[-2:]
            return float(jump) if stays and next_to_it <= LEFT * jump else 0.0  # noise jumps at every step
        offsets = np.linspace(offsets[most], offsets[most + 1], PARTS + 1)
        inner = [function(float(offset)) for offset in offsets[1:-1]]
        values = np.array([values[most], *inner, values[most + 1]])
    return 0.0
