"""How far off a *right* gradient may be: its rounding level, entry by entry, measured and not assumed.

Three things make a right gradient differ from the exact one, and each is looked at on its own:

* conditioning: the gradient at a point moved by many ulps, divided by that many. What inputs and weights rounded in
  their last place would change. Moves this wide drown the noise of the evaluation itself, so that sloppy arithmetic
  (a float32 value in a float64 path) does not pass for ill-conditioning;
* noise: the gradient at a point moved by one ulp. It shows sums that cancel to nothing; it counts only up to a cap, an
  ulp of the largest sensitivity that the loss has to anything, because sloppy arithmetic shows here too;
* the floor: an ulp of the block's largest entry, for rounding inside that no move of the point can show.

Where the gradient's code carries a higher precision, conditioning is measured there, without noise, and the noise is
what the two precisions differ by at the point itself: half the evaluations say as much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import Flat, end_to_end, layouts, put_together, shapes_of

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]

WIDE = 4096  # ulps of a wide move in float64: noise is divided by it, conditioning is not
WIDE_SINGLE = 64  # the same in float32
SINGLE = 1e-10  # precisions coarser than this are float32 and below
GENUINE = 8.0  # how much worse than in one run rounding may be, in one precision beside another
CONSTANTS = 1 / 8  # share of the rounding of a run that rounded constants alone can cause
RUNS = 2  # moves by which conditioning is measured
NOISE_CAP = 64  # ulps of the largest sensitivity that noise may account for
JUMP = 1e5  # condition of an entry beside the largest of its block from which a jump is looked for, across a kink
SIGNS = np.array([-1.0, 1.0])

Together = Callable[[Mapping[str, Array]], Array | None]


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
        level, floor = [], []
        for flat in layouts(shapes_of(self.level)):
            own, own_floor = flat.join(self.level), flat.join(self.floor)
            genuine = GENUINE * flat.largest(flat.join(off))
            finer = ratio * np.maximum(own_floor, genuine[flat.owner])
            level.append(flat.split((own - own_floor) * CONSTANTS + finer))
            floor.append(flat.split(finer))
        return replace(self, level=put_together(level), floor=put_together(floor))


def measure(
    gradient: Callable[[Point], Mapping[str, Array]],
    point: Point,
    at_point: Mapping[str, Array],
    *,
    eps: float,
    rng: np.random.Generator,
    runs: int = RUNS,
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
    return _rounding(groups, point, at_point, eps, of_the_form, calls)


@dataclass(frozen=True)
class Finer:
    """A gradient in a higher precision than its subject's own, and the rounding level that this one has there."""

    gradient: Mapping[str, Array]
    own: Rounding
    rounding: Rounding


def measure_finer(
    gradient: Callable[[Point], Mapping[str, Array]],
    point: Point,
    at_point: Mapping[str, Array],
    *,
    eps: float,
    rng: np.random.Generator,
    runs: int = RUNS,
    of_the_form: Mapping[str, Array] | None = None,
    together: Together | None = None,
) -> tuple[Finer | None, int]:
    """As :func:`measure`, the gradient evaluated in the precision of ``point``, finer than ``eps``; and the calls.

    ``None`` where the gradient's code does not carry that. Without ``runs`` conditioning is taken to be none.
    """
    ulps = WIDE if eps < SINGLE else WIDE_SINGLE
    flat = end_to_end(shapes_of(point))
    whole = flat.join(point)
    moves = SIGNS[rng.integers(0, 2, (runs, len(whole)))] * (eps * _extent(flat, whole))
    try:
        here, far, calls = _here_and_there(gradient, flat, whole, ulps * moves, at_point, together)
    except (SubjectFailed, SubjectError):
        return None, 1
    if here is None:
        return None, calls
    groups = [_Group.of(each, here) for each in layouts(shapes_of(at_point))]
    for there, move in zip(far, moves, strict=True):
        near = None
        if any(group.jumps(there, ulps * eps) for group in groups):
            near, calls = gradient(flat.split((whole + move).astype(whole.dtype))), calls + 1
        for group in groups:
            group.add(there, near, ulps)
    return _finer(groups, point, at_point, eps, of_the_form, calls), calls


def presumed_finer(here: Mapping[str, Array], point: Point, at_point: Mapping[str, Array], *, eps: float) -> Finer:
    """As :func:`measure_finer` with no run, from a gradient ``here`` that was had already."""
    groups = [_Group.of(each, here) for each in layouts(shapes_of(at_point))]
    return _finer(groups, point, at_point, eps, None, 1)


def _finer(
    groups: list[_Group],
    point: Point,
    at_point: Mapping[str, Array],
    eps: float,
    of_the_form: Mapping[str, Array] | None,
    calls: int,
) -> Finer:
    """What the runs say of a gradient in a higher precision, and of the subject's own beside it."""
    for group in groups:
        group.noise = np.abs(group.start - group.flat.join(at_point)).astype(float)
    own = _rounding(groups, point, at_point, eps, of_the_form, calls)
    off = put_together([group.flat.split(group.noise) for group in groups])
    extended = put_together([group.flat.split(group.start) for group in groups])
    ratio = float(np.finfo(groups[0].start.dtype).eps) / eps
    return Finer(extended, own, own.sharper(ratio, off))


def _here_and_there(
    gradient: Callable[[Point], Mapping[str, Array]],
    flat: Flat,
    whole: Array,
    moves: Array,
    at_point: Mapping[str, Array],
    together: Together | None,
) -> tuple[Mapping[str, Array] | None, list[Mapping[str, Array]], int]:
    """The gradient at a point laid end to end and at moved ones, and the calls; ``None`` if it loses precision."""

    def carried(found: Mapping[str, Array]) -> bool:
        arrays = [found.get(name) for name in at_point]
        return all(a is not None and a.dtype == whole.dtype and np.isfinite(a).all() for a in arrays)

    of = end_to_end(shapes_of(at_point))
    if together:
        seen = together(flat.split(np.concatenate([whole[None], whole + moves]).astype(whole.dtype, copy=False)))
        if seen is not None:
            here, *there = (of.split(row) for row in seen)
            return (here if seen.dtype == whole.dtype and np.isfinite(here.whole).all() else None), list(there), 1
    found = gradient(flat.split(whole))
    if not carried(found):
        return None, [], 1
    return found, [gradient(flat.split((whole + move).astype(whole.dtype))) for move in moves], 1 + len(moves)


def _rounding(
    groups: list[_Group],
    point: Point,
    at_point: Mapping[str, Array],
    eps: float,
    of_the_form: Mapping[str, Array] | None,
    calls: int,
) -> Rounding:
    """What all runs have shown, by block."""
    sensitivity = sensitivities(point, at_point)
    found = [[group.flat.split(part) for part in group.levels(at_point, sensitivity, eps)] for group in groups]
    level, floor = (put_together([parts[k] for parts in found]) for k in range(2))
    if of_the_form:
        level = {name: a + of_the_form[name] if name in of_the_form else a for name, a in level.items()}
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
        flat = end_to_end(shapes_of(point))
        whole = flat.join(point)
        signs = rng.choice(SIGNS, (runs, 1, len(whole)))
        moves = (signs * np.array(widths)[:, None] * _extent(flat, whole)).reshape(2 * runs, -1)
        seen = together(flat.split((whole + np.concatenate([0 * moves[:1], moves])).astype(whole.dtype, copy=False)))
        if seen is not None:
            of = end_to_end(shapes_of(at_point))
            here, *there = (of.split(row) for row in seen)
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
        start = flat.join(here)
        return cls(flat, start, np.zeros(start.shape), np.zeros(start.shape))

    def add(self, far: Mapping[str, Array], near: Mapping[str, Array] | None, ulps: int) -> None:
        """One run: what grew with the width of the move is conditioning, the rest noise; without ``near`` all grew."""
        change_near = 0.0 if near is None else self._change(near)
        with np.errstate(invalid="ignore"):  # a gradient that is infinite there tells nothing here
            growing = np.maximum(self._change(far) - 2 * change_near, 0.0) / ulps
        self.conditioning = np.fmax(self.conditioning, growing)
        self.noise = np.fmax(self.noise, change_near)

    def jumps(self, far: Mapping[str, Array], width: float) -> bool:
        """Whether some entry changes by more than a move of that width is likely to explain."""
        largest = self.flat.largest(np.abs(self.start).astype(float))
        return bool((self._change(far) > JUMP * width * largest[self.flat.owner]).any())

    def _change(self, gradient: Mapping[str, Array]) -> Array:
        """By how much a gradient differs from that of the start; a block that was not returned there does not."""
        if not all(name in gradient for name in self.flat.shapes):
            gradient = {**self.flat.split(self.start), **gradient}
        with np.errstate(invalid="ignore"):
            return np.asarray(np.abs(self.flat.join(gradient) - self.start).astype(float, copy=False))

    def levels(
        self, at_point: Mapping[str, Array], sensitivity: Mapping[str, float], eps: float
    ) -> tuple[Array, Array]:
        """Level and floor. No entry is better conditioned than is usual: few runs leave some looking so."""
        flat, size = self.flat, np.abs(self.flat.join(at_point).astype(float, copy=False))
        conditioning = self.conditioning
        if conditioning.any():  # else no run was made, or showed any
            with np.errstate(divide="ignore", invalid="ignore"):
                usual = flat.median(conditioning / size, size > 0)
            conditioning = np.maximum(conditioning, usual[flat.owner] * size)
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
    scale, size = largest_of(point), largest_of(gradient)
    largest = max((size[name] * (scale[name] or 1.0) for name in gradient), default=0.0)
    return {name: largest / (scale[name] or 1.0) for name in gradient}


def largest_of(arrays: Mapping[str, Array]) -> dict[str, float]:
    """The size of each block's largest entry."""
    largest: dict[str, float] = {}
    for flat in layouts(shapes_of(arrays)):
        found = flat.largest(np.abs(flat.join(arrays))).astype(float, copy=False)
        largest |= dict(zip(flat.shapes, found.tolist(), strict=True))
    return largest
