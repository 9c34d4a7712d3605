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
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]

WIDE = 4096  # ulps of a wide move: noise is divided by it, conditioning is not
NOISE_CAP = 64  # ulps of the largest sensitivity that noise may account for


@dataclass(frozen=True)
class Rounding:
    """The rounding level of each entry, by block, one standard unit of it; compare.py multiplies it by a safety factor.

    ``level`` holds conditioning + noise + floor, ``floor`` the last two alone, both shaped as the block. ``moved`` keeps
    (point, gradient, width in ulps) of each run, for use along directions. ``gradients`` counts gradient evaluations.
    """

    eps: float
    level: Mapping[str, Array]
    floor: Mapping[str, Array]
    sensitivity: Mapping[str, float]
    gradients: int


def measure(
    gradient: Callable[[Point], Mapping[str, Array]],
    point: Point,
    at_point: Mapping[str, Array],
    *,
    eps: float,
    rng: np.random.Generator,
    wide_runs: int = 3,
    near_runs: int = 2,
    of_the_form: Mapping[str, Array] | None = None,
) -> Rounding:
    """Run the gradient at moved points and read its rounding level off the changes.

    ``at_point`` is the gradient at ``point``. ``eps`` is the relative precision the subject works in. ``of_the_form`` is
    absolute rounding by block that the form of the subject brings; it widens the level and not the floor, so that
    entries which drown in it are inconclusive.
    """
    wide = {name: np.zeros(a.shape) for name, a in at_point.items()}
    near = {name: np.zeros(a.shape) for name, a in at_point.items()}
    for spread, runs, ulps in ((wide, wide_runs, WIDE if eps < 1e-10 else 64), (near, near_runs, 1)):
        for _ in range(runs):
            moved = gradient(jiggled(point, ulps * eps, rng))
            for name in spread:
                if name in moved:
                    change = np.abs(moved[name].astype(float) - at_point[name]) / ulps
                    spread[name] = np.fmax(spread[name], change)
    sensitivity = sensitivities(point, at_point)
    level, floor = {}, {}
    for name, a in at_point.items():
        size = np.abs(a.astype(float))
        noise = np.minimum(near[name], NOISE_CAP * eps * sensitivity[name])
        floor[name] = noise + eps * size.max(initial=0.0)
        level[name] = wide[name] + eps * size + floor[name] + (of_the_form or {}).get(name, 0.0)
    return Rounding(eps, level, floor, sensitivity, wide_runs + near_runs)


def jiggled(point: Point, width: float, rng: np.random.Generator) -> dict[str, Array]:
    """Each entry moved by ``width`` of its size, up or down at random; zeros (interventions) by ``width`` itself."""
    moved = {}
    for name, array in point.items():
        size = np.where(array == 0, 0 if array.any() else 1, np.abs(array))
        moved[name] = (array + width * size * rng.choice([-1.0, 1.0], array.shape)).astype(array.dtype)
    return moved


def sensitivities(point: Point, gradient: Mapping[str, Array]) -> dict[str, float]:
    """For each block, the largest change of the loss that any block can cause, as a derivative in this block's units."""
    scale = {name: float(np.abs(array).max(initial=0)) or 1.0 for name, array in point.items()}
    largest = max((float(np.abs(a).max(initial=0)) * scale[name] for name, a in gradient.items()), default=0.0)
    return {name: largest / scale[name] for name in gradient}
