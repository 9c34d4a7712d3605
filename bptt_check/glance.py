"""The first look at a small subject: all its directions laid end to end, and evaluated in one call where it can be.

For a subject of up to a few thousand entries what a look costs is not arithmetic but the number of operations. Here the
directions are the rows of one matrix over all entries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from bptt_check.bench import Bench
from bptt_check.compare import ROUNDING_SAFETY
from bptt_check.differences.estimate import drive
from bptt_check.directions import SMALLEST, flat_divisors, smallest_seen
from bptt_check.flat import Flat, end_to_end, shapes_of
from bptt_check.points import total_size
from bptt_check.seen import Off
from bptt_check.subject import Array, Point

MATRIX = 2**18  # entries of all directions together, up to which they are laid end to end
ALIKE = 30.0  # times more that entries of one block may round than those of another that shares a direction
SHARE = 0.5  # of the resolution asked for: how finely directions over entries that count less are to see
MOST_GROUPS = 2  # of such blocks; where there are more, each block has a direction of its own
Elsewhere = tuple[Point, Mapping[str, Array]]


@dataclass(frozen=True)
class Glance:
    """What was seen along directions over many blocks at once, along one of each block, and along one elsewhere.

    ``shared``: blocks that share directions, and what was seen along these. ``own`` and ``directions``: the
    block's own direction, where it had one. ``divisors``: what its entries were divided by. ``seen``: the smallest
    relative error of one entry that all of these would have shown. ``calm``: nothing is off by more than the arithmetic
    explains that it was all done in, rounded constants left aside; then no look at single blocks could see more.
    ``small``: what was seen along directions over those entries alone that count less than others in all of these, and
    ``lesser``: which they are, by block. ``left``: those whose rounding would have drowned the others there too.
    ``probed``: the slope along the probe, where there was one.
    """

    shared: Sequence[tuple[Sequence[str], tuple[Off, ...]]]
    own: Mapping[str, Off]
    directions: Mapping[str, Array]
    divisors: Mapping[str, Array]
    seen: Mapping[str, float]
    elsewhere: Off | None
    calm: bool = False
    small: tuple[Off, ...] = ()
    lesser: Mapping[str, Array] = field(default_factory=dict)
    left: Mapping[str, Array] = field(default_factory=dict)
    probed: float | None = None

    @property
    def agrees(self) -> bool:
        """Whether nothing is off along any direction at the point."""
        return not any(off.ratio > 1 for _, offs in self.shared for off in (*offs, *self.own.values(), *self.small))

    @property
    def smallest(self) -> float:
        """The smallest relative error that would have been seen in any entry of those that count less."""
        return _smallest([self.small])[0] if self.small else 0.0


def glance(
    bench: Bench,
    rounds: int,
    elsewhere: Elsewhere | None = None,
    *,
    resolution: float = 0.0,
    sharp: float = 0.0,
    probe: Array | None = None,
) -> Glance | None:
    """Look along ``rounds`` directions over all blocks that round about alike; usually these are all there are.

    Entries whose divisor was raised count less there than they should; as many directions run through them alone, as
    far as they lie above the size below which ``resolution`` cannot be seen (all of them, where it is 0).

    A block whose entries drown in rounding would drown those of all others in a direction that they share.
    ``elsewhere`` is a second point, and the gradient there: one direction more looks at that. ``sharp``: a tolerance
    of a direction that is sharp enough; entries and blocks share directions while it is no larger. ``probe``: one more
    direction, all blocks laid end to end, of which only the slope along it is asked for. ``None`` where the
    subject is too large to be laid end to end, the reference is not a complex step, or the blocks differ too much in
    rounding.
    """
    if not bench.reference.exact or total_size(bench.gradient.values()) * rounds > MATRIX:
        return None
    laid = _laid(bench, sharp)
    flat, groups = laid.flat, laid.groups()
    there = _there(flat, bench, elsewhere)
    if len(groups) > MOST_GROUPS:
        return None
    size, more = len(laid.divisor), int(there is not None)
    rows = bench.rng.standard_normal((len(groups) * rounds + more, size))
    rows[: len(groups) * rounds] /= laid.divisor
    if len(groups) > 1:
        for k, group in enumerate(groups):
            rows[k * rounds : (k + 1) * rounds] *= np.isin(flat.owner, group)
    if there is not None:
        rows[-1] /= laid.divisor
    lesser, left = laid.lesser(resolution, rounds)
    if len(lesser):
        few = np.zeros((rounds, size))
        few[:, lesser] = bench.rng.standard_normal((rounds, len(lesser))) / np.abs(laid.gradient[lesser].astype(float))
        rows = np.concatenate([few, rows])
    if probe is not None:
        rows = np.concatenate([probe[None], rows])
    offs, last = _seen(laid, rows, there)
    slope = None
    if probe is not None:
        slope = offs[0].discrepancy + float(probe @ laid.gradient)
        offs, rows = offs[1:], rows[1:]
    small, offs, rows = (tuple(offs[:rounds]), offs[rounds:], rows[rounds:]) if len(lesser) else ((), offs, rows)
    names = list(flat.shapes)
    shared = [
        ([names[block] for block in group], tuple(offs[k * rounds : (k + 1) * rounds]))
        for k, group in enumerate(groups)
    ]
    seen = {name: smallest for of, offs in shared for smallest in _smallest([offs]) for name in of}
    calm = laid.calm(rows[: len(offs)], offs)
    some, others = laid.by_block(lesser), laid.by_block(left)
    return Glance(shared, {}, {}, flat.split(laid.divisor), seen, last, calm, small, some, others, slope)


def glance_at_each(bench: Bench, before: Glance) -> Glance:
    """The same and one direction more for each block alone."""
    laid = _laid(bench)
    flat, size = laid.flat, len(laid.divisor)
    rows = np.zeros((len(flat.shapes), size))
    rows[flat.owner, np.arange(size)] = bench.rng.standard_normal(size) / laid.divisor
    own = dict(zip(flat.shapes, _seen(laid, rows, None)[0], strict=True))
    pieces = {name: rows[k, bounds] for k, (name, bounds) in enumerate(zip(flat.shapes, flat.bounds, strict=True))}
    directions = {name: v.reshape(flat.shapes[name]) for name, v in pieces.items()}
    covered = {name: (*offs, own[name]) for names, offs in before.shared for name in names}
    seen = dict(zip(covered, _smallest(list(covered.values())), strict=True))
    return replace(before, own=own, directions=directions, seen=seen)


def _smallest(covered: Sequence[tuple[Off, ...]]) -> list[float]:
    """For each of several blocks, the smallest relative error that the directions through it would have shown."""
    return [smallest_seen([off.tolerance for off in offs]) for offs in covered]


@dataclass(frozen=True)
class _Laid:
    """A bench laid end to end. ``most``: rounding of all entries together that drowns nothing."""

    bench: Bench
    flat: Flat
    gradient: Array
    level: Array
    divisor: Array
    most: float

    def groups(self) -> list[Array]:
        """The blocks in groups whose entries round about alike, along a direction."""
        squares = self.flat.total((self.level / self.divisor) ** 2)
        if squares.sum() <= self.most**2:
            return [np.arange(len(squares))]
        noise = np.sqrt(squares / np.maximum(self.flat.sizes, 1))
        order = np.argsort(noise, kind="stable")
        groups, first = [], 0
        for k in range(1, len(order) + 1):
            if k == len(order) or noise[order[k]] > ALIKE * noise[order[first]]:
                groups.append(order[first:k])
                first = k
        return groups

    def lesser(self, resolution: float, rounds: int) -> tuple[Array, Array]:
        """Entries that count less than others, for their divisor was raised, and that are to be seen all the same.

        First those that ``rounds`` directions over them alone see as finely as asked, then those that round too much.
        """
        size = np.abs(self.gradient.astype(float, copy=False))
        floor = ROUNDING_SAFETY * self.flat.join(self.bench.rounding.floor)
        lesser = np.flatnonzero((size < self.divisor) & (size > SMALLEST) & (size * resolution >= floor))
        if not len(lesser):
            return lesser, lesser
        rounded = self.bench.both * ROUNDING_SAFETY * self.level[lesser] / size[lesser]
        order = np.argsort(rounded, kind="stable")
        seen = smallest_seen([1.0] * rounds) * np.sqrt(np.cumsum(rounded[order] ** 2))
        count = int(np.searchsorted(seen, resolution * SHARE))
        return np.sort(lesser[order[:count]]), np.sort(lesser[order[count:]])

    def by_block(self, entries: Array) -> dict[str, Array]:
        """Entries of all blocks laid end to end, in order, as flat entries of each block that has any."""
        if not len(entries):
            return {}
        starts = self.flat.starts
        bounds = np.searchsorted(entries, starts).tolist()
        pieces = zip(self.flat.shapes, starts, pairwise(bounds), strict=False)
        return {name: entries[first:last] - start for name, start, (first, last) in pieces if first < last}

    def calm(self, rows: Array, offs: list[Off]) -> bool:
        """Whether what is off along each row is no more than the rounding of a higher precision explains."""
        bench = self.bench
        if bench.plain is None:
            return False
        ratio = float(np.finfo(self.gradient.dtype).eps) / bench.eps
        level = self.flat.join(bench.rounding.floor) + ratio * self.flat.join(bench.plain.rounding.level)
        noise = ROUNDING_SAFETY * np.sqrt((rows * rows) @ (level * level))
        return bool((np.abs([off.discrepancy for off in offs]) <= noise).all())


def _laid(bench: Bench, sharp: float = 0.0) -> _Laid:
    flat = end_to_end(shapes_of(bench.gradient))
    gradient, level = flat.join(bench.gradient), flat.join(bench.rounding.level)
    scale = np.array([bench.rounding.sensitivity[name] or 1.0 for name in flat.shapes])
    most = sharp / (bench.both * ROUNDING_SAFETY)
    heard = _heard(gradient, level, most) if most else 0.0
    divisor = flat_divisors(flat, gradient, level, scale, heard=heard)
    return _Laid(bench, flat, gradient, level, divisor, most)


def _heard(gradient: Array, level: Array, most: float) -> float:
    """The largest rounding of an entry, in units of its size, with which all that round no more add up to ``most``."""
    size = np.abs(gradient.astype(float, copy=False))
    rounded = np.sort(level[size > 0] / size[size > 0])
    count = int(np.searchsorted(np.cumsum(rounded * rounded), most * most))
    return float(rounded[count - 1]) if count else 0.0


def _seen(laid: _Laid, rows: Array, there: tuple[Array, Array] | None) -> tuple[list[Off], Off | None]:
    """What is off along each row; along the last of them at another point, where that is given."""
    slopes = _slopes(laid.bench, laid.flat, rows, None if there is None else there[0])
    offs = _offs(laid, rows, slopes)
    if there is None:
        return offs, None
    last, at = offs.pop(), float(slopes[-1] - rows[-1] @ there[1])
    return offs, Off(at, last.tolerance, last.blunt, at)


def _there(flat: Flat, bench: Bench, elsewhere: Elsewhere | None) -> tuple[Array, Array] | None:
    """The second point and the gradient there, laid end to end; ``None`` where it is not there in full."""
    if elsewhere is None or set(flat.shapes) != set(bench.point) or not set(flat.shapes) <= set(elsewhere[1]):
        return None
    gradient = flat.join(elsewhere[1]).astype(float)
    return (flat.join({**bench.point, **elsewhere[0]}), gradient) if np.isfinite(gradient).all() else None


def _offs(laid: _Laid, rows: Array, slopes: Array) -> list[Off]:
    """How far the gradient's prediction is off along each row: :meth:`bptt_check.bench.Bench.along`, all at once."""
    bench, flat, gradient, level = laid.bench, laid.flat, laid.gradient, laid.level
    weighed, squares = rows * gradient.astype(float), rows * rows
    noise = np.sqrt(squares @ (level * level)) + bench.rounding.eps * np.sqrt((weighed * weighed).sum(axis=1))
    tolerance = bench.both * ROUNDING_SAFETY * noise
    blunt = np.array(bench.blunts(flat.shapes))[flat.owner]
    off = (slopes - rows @ gradient).astype(float)
    own = off if bench.plain is None else (slopes - rows @ flat.join(bench.plain.gradient)).astype(float)
    columns = (off, tolerance, np.sqrt(squares @ (blunt * blunt)), own)
    return [Off(*figures) for figures in zip(*(column.tolist() for column in columns), strict=True)]


def _slopes(bench: Bench, flat: Flat, rows: Array, there: Array | None) -> Array:
    """The reference's derivative along each row, the last of them at ``there``; scaled so that steps stay small."""
    here = bench.reference.point
    point = flat.join(here)
    extent = np.sqrt(flat.total(flat.join(bench.point).astype(float) ** 2) / flat.sizes)
    with np.errstate(invalid="ignore"):
        sizes = np.sqrt(flat.total(rows * rows) / flat.sizes) / np.where(extent > 0, extent, 1.0)
    norm = np.fmax.reduce(sizes, axis=1)
    unit = (rows / norm[:, None]).astype(point.dtype)
    others = {name: array for name, array in here.items() if name not in flat.shapes}

    def moved(step: Array, which: slice) -> Array:
        copies = np.empty(unit[which].shape, step.dtype)
        copies.real, copies.imag = point, step.imag * unit[which]
        if there is not None and which.stop in (None, len(unit)):
            copies[-1].real = there
        return copies

    def evaluate(offsets: Array) -> Array:
        (step,) = offsets
        still = {name: array.astype(step.dtype) for name, array in others.items()}
        if bench.subject.stacked:
            still = {name: np.repeat(array[None], len(step), 0) for name, array in still.items()}
            return np.asarray(bench.loss({**flat.split(moved(step[:, None], slice(None))), **still}, handed_over=True))[
                None
            ]
        rows_of_it = (flat.split(moved(step[k : k + 1, None], slice(k, k + 1))[0]) for k in range(len(step)))
        return np.array([[np.asarray(bench.loss({**row, **still}, handed_over=True))[()] for row in rows_of_it]])

    plan = bench.reference.method.plan(np.ones(len(rows), point.dtype), bench.reference.noise)
    return np.asarray(drive(plan, evaluate).value * norm)
