"""How far off a *right* gradient may be: its rounding level, entry by entry, measured and not assumed.

Three things make a right gradient differ from the exact one, and each is looked at on its own:

* conditioning: the gradient at a point moved by many ulps, divided by that many. What inputs and weights rounded in
  their last place would change. Moves this wide drown the noise of the evaluation itself, so that sloppy arithmetic
  (a float32 value in a float64 path) does not pass for ill-conditioning;
* noise: the gradient at a point moved by one ulp. It shows sums that cancel to nothing; it counts only up to a cap, an
  ulp of the largest sensitivity that the loss has to anything, because sloppy arithmetic shows here too;
* the floor: an ulp of the block's largest entry, for rounding inside that no move of the point can show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]

WIDE = 4096  # ulps of a wide move in float64: noise is divided by it, conditioning is not
WIDE_SINGLE = 64  # the same in float32
SINGLE = 1e-10  # precisions coarser than this are float32 and below
GENUINE = 8.0  # how much worse than in one run rounding may be, in one precision beside another
CONSTANTS = 1 / 8  # share of the rounding of a run that rounded constants alone can cause
NOISE_CAP = 64  # ulps of the largest sensitivity that noise may account for


@dataclass(frozen=True)
class Rounding:
    """The rounding level of each entry, by block, one standard unit of it; compare.py multiplies it by a safety factor.

    ``level`` holds conditioning + noise + floor, ``floor`` the last two alone, both shaped as the block. ``moved``
    keeps (point, gradient, width in ulps) of each run, for directions. ``gradients`` counts gradient evaluations.
    """

    eps: float
    level: Mapping[str, Array]
    floor: Mapping[str, Array]
    sensitivity: Mapping[str, float]
    gradients: int

    def sharper(self, ratio: float, off: Mapping[str, Array]) -> Rounding:
        """The same for a gradient that was evaluated in a higher precision, ``ratio`` as coarse.

        ``off`` is what the two evaluations differ by: rounding of the lower one, and so a measure of that of the
        higher. A share of the conditioning stays: constants rounded to the subject's own precision remain a part of
        it.
        """
        level, floor = {}, {}
        for name, own in self.level.items():
            genuine = GENUINE * float(off[name].max(initial=0))
            floor[name] = ratio * np.maximum(self.floor[name], genuine)
            level[name] = (own - self.floor[name]) * CONSTANTS + floor[name]
        return replace(self, level=level, floor=floor)


def measure(
    gradient: Callable[[Point], Mapping[str, Array]],
    point: Point,
    at_point: Mapping[str, Array],
    *,
    eps: float,
    rng: np.random.Generator,
    runs: int = 2,
    of_the_form: Mapping[str, Array] | None = None,
) -> Rounding:
    """Run the gradient at moved points and read its rounding level off the changes.

    ``at_point`` is the gradient at ``point``. ``eps`` is the relative precision the subject works in. Each run moves
    the point twice the same way, far and near: what does not grow with the width of the move (noise, or a jump across a
    kink) is no conditioning. ``of_the_form`` is absolute rounding by block that the form of the subject brings; it
    widens the level and not the floor, so that entries which drown in it are inconclusive.
    """
    conditioning = {name: np.zeros(a.shape) for name, a in at_point.items()}
    noise = {name: np.zeros(a.shape) for name, a in at_point.items()}
    ulps = WIDE if eps < SINGLE else WIDE_SINGLE
    for _ in range(runs):
        signs = {name: rng.choice([-1.0, 1.0], array.shape) for name, array in point.items()}
        far, near = (gradient(jiggled(point, width * eps, signs)) for width in (ulps, 1))
        for name in conditioning:
            if name in far and name in near:
                change_near = np.abs(near[name].astype(float) - at_point[name])
                change_far = np.abs(far[name].astype(float) - at_point[name])
                with np.errstate(invalid="ignore"):  # a gradient that is infinite there tells nothing here
                    growing = np.maximum(change_far - 2 * change_near, 0.0) / ulps
                conditioning[name] = np.fmax(conditioning[name], growing)
                noise[name] = np.fmax(noise[name], change_near)
    sensitivity = sensitivities(point, at_point)
    level, floor = {}, {}
    for name, a in at_point.items():
        size = np.abs(a.astype(float))
        conditioning[name] = np.maximum(conditioning[name], _usual(conditioning[name], size) * size)
        floor[name] = np.minimum(noise[name], NOISE_CAP * eps * sensitivity[name]) + eps * size.max(initial=0.0)
        level[name] = conditioning[name] + eps * size + floor[name] + (of_the_form or {}).get(name, 0.0)
    return Rounding(eps, level, floor, sensitivity, 2 * runs)


def _usual(conditioning: Array, size: Array) -> float:
    """The median relative conditioning of a block: few runs leave some entry looking better than it is."""
    nonzero = size > 0
    return float(np.median(conditioning[nonzero] / size[nonzero])) if nonzero.any() else 0.0


def jiggled(point: Point, width: float, signs: Mapping[str, Array]) -> dict[str, Array]:
    """Each entry moved by ``width`` of its size along its sign; blocks of zeros (interventions) by ``width`` itself."""
    moved = {}
    for name, array in point.items():
        size = np.where(array == 0, 0 if array.any() else 1, np.abs(array))
        moved[name] = (array + width * size * signs[name]).astype(array.dtype)
    return moved


def sensitivities(point: Point, gradient: Mapping[str, Array]) -> dict[str, float]:
    """For each block, the largest change of the loss that any block can cause, as a derivative in its units."""
    scale = {name: float(np.abs(array).max(initial=0)) or 1.0 for name, array in point.items()}
    largest = max((float(np.abs(a).max(initial=0)) * scale[name] for name, a in gradient.items()), default=0.0)
    return {name: largest / scale[name] for name in gradient}
