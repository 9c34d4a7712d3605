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

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.flat import Flat, layouts, shapes_of

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]

WIDE = 4096  # ulps of a wide move in float64: noise is divided by it, conditioning is not
WIDE_SINGLE = 64  # the same in float32
SINGLE = 1e-10  # precisions coarser than this are float32 and below
GENUINE = 8.0  # how much worse than in one run rounding may be, in one precision beside another
CONSTANTS = 1 / 8  # share of the rounding of a run that rounded constants alone can cause
NOISE_CAP = 64  # ulps of the largest sensitivity that noise may account for
SIGNS = np.array([-1.0, 1.0])

Together = Callable[[Mapping[str, Array]], Mapping[str, Array] | None]


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
    together: Together | None = None,
) -> Rounding:
    """Run the gradient at moved points and read its rounding level off the changes.

    ``at_point`` is the gradient at ``point``. ``eps`` is the relative precision the subject works in. Each run moves
    the point twice the same way, far and near: what does not grow with the width of the move (noise, or a jump across a
    kink) is no conditioning. ``of_the_form`` is absolute rounding by block that the form of the subject brings; it
    widens the level and not the floor, so that entries which drown in it are inconclusive. ``together`` evaluates the
    gradient of copies on a leading axis, the first of them the point itself; ``None`` from it: this cannot be done.
    """
    ulps = WIDE if eps < SINGLE else WIDE_SINGLE
    here, pairs, calls = _runs(gradient, point, at_point, (ulps * eps, eps), rng, runs, together)
    groups = [_Group.of(flat, here) for flat in layouts(shapes_of(at_point))]
    for far, near in pairs:
        for group in groups:
            group.add(far, near, ulps)
    sensitivity = sensitivities(point, at_point)
    level: dict[str, Array] = {}
    floor: dict[str, Array] = {}
    for group in groups:
        parts = group.levels(at_point, sensitivity, eps)
        level |= group.flat.split(parts[0])
        floor |= group.flat.split(parts[1])
    for name, brought in (of_the_form or {}).items():
        if name in level:
            level[name] = level[name] + brought
    return Rounding(eps, level, floor, sensitivity, calls)


Pairs = Iterator[tuple[Mapping[str, Array], Mapping[str, Array]]]


def _runs(
    gradient: Callable[[Point], Mapping[str, Array]],
    point: Point,
    at_point: Mapping[str, Array],
    widths: tuple[float, float],
    rng: np.random.Generator,
    runs: int,
    together: Together | None,
) -> tuple[Mapping[str, Array], Pairs, int]:
    """The gradient that the runs start from, the gradients of each run, far and near, and how many calls they take."""

    if together:
        flat = Flat(shapes_of(point))
        whole = flat.join(point)
        signs = rng.choice(SIGNS, (runs, 1, len(whole)))
        moves = (signs * np.array(widths)[:, None] * _extent(flat, whole)).reshape(2 * runs, -1)
        seen = together(flat.split((whole + np.concatenate([0 * moves[:1], moves])).astype(whole.dtype, copy=False)))
        if seen is not None:
            here, *there = ({name: array[k] for name, array in seen.items()} for k in range(1 + 2 * runs))
            return here, zip(there[::2], there[1::2], strict=True), 1

    def pairs() -> Pairs:
        for _ in range(runs):
            signs = {name: rng.choice(SIGNS, array.shape) for name, array in point.items()}
            far, near = (gradient(jiggled(point, width, signs)) for width in widths)
            yield far, near

    return at_point, pairs(), 2 * runs


def _extent(flat: Flat, whole: Array) -> Array:
    """The size of each entry; 1 for blocks of zeros (interventions)."""
    size = np.abs(whole)
    size[(flat.largest(size) == 0)[flat.owner]] = 1
    return size


@dataclass
class _Group:
    """Some blocks laid end to end: the gradient that the runs ``start`` from, and what they have shown so far."""

    flat: Flat
    start: Array
    conditioning: Array
    noise: Array

    @classmethod
    def of(cls, flat: Flat, here: Mapping[str, Array]) -> _Group:
        start = flat.join(here).astype(float, copy=False)
        return cls(flat, start, np.zeros(start.shape), np.zeros(start.shape))

    def add(self, far: Mapping[str, Array], near: Mapping[str, Array], ulps: int) -> None:
        """One run: what grew with the width of the move is conditioning, the rest noise."""
        change_near, change_far = np.abs(self._of(near) - self.start), np.abs(self._of(far) - self.start)
        with np.errstate(invalid="ignore"):  # a gradient that is infinite there tells nothing here
            growing = np.maximum(change_far - 2 * change_near, 0.0) / ulps
        self.conditioning = np.fmax(self.conditioning, growing)
        self.noise = np.fmax(self.noise, change_near)

    def _of(self, gradient: Mapping[str, Array]) -> Array:
        """A gradient laid end to end; a block that was not returned there counts as unchanged."""
        if not all(name in gradient for name in self.flat.shapes):
            gradient = {**self.flat.split(self.start), **gradient}
        return self.flat.join(gradient).astype(float, copy=False)

    def levels(
        self, at_point: Mapping[str, Array], sensitivity: Mapping[str, float], eps: float
    ) -> tuple[Array, Array]:
        """Level and floor. No entry is better conditioned than is usual: few runs leave some looking so."""
        flat, size = self.flat, np.abs(self.flat.join(at_point).astype(float, copy=False))
        with np.errstate(divide="ignore", invalid="ignore"):
            usual = flat.median(self.conditioning / size, size > 0)
        conditioning = np.maximum(self.conditioning, usual[flat.owner] * size)
        caps = NOISE_CAP * eps * np.array([sensitivity[name] for name in flat.shapes])
        floor = np.minimum(self.noise, caps[flat.owner]) + eps * flat.largest(size)[flat.owner]
        return conditioning + eps * size + floor, floor


def jiggled(point: Point, width: float, signs: Mapping[str, Array]) -> dict[str, Array]:
    """Each entry moved by ``width`` of its size along its sign; blocks of zeros (interventions) by ``width`` itself."""
    moved = {}
    for name, array in point.items():
        size = np.abs(array) if array.any() else 1.0
        moved[name] = (array + width * size * signs[name]).astype(array.dtype, copy=False)
    return moved


def sensitivities(point: Point, gradient: Mapping[str, Array]) -> dict[str, float]:
    """For each block, the largest change of the loss that any block can cause, as a derivative in its units."""
    scale = {name: float(np.abs(array).max(initial=0)) or 1.0 for name, array in point.items()}
    largest = max((float(np.abs(a).max(initial=0)) * scale[name] for name, a in gradient.items()), default=0.0)
    return {name: largest / scale[name] for name in gradient}
