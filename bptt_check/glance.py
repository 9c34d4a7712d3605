"""The first look at a small subject: all its directions laid end to end, and evaluated in one call where it can be.

For a subject of up to a few thousand entries what a look costs is not arithmetic but the number of operations. Here the
directions are the rows of one matrix over all entries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bptt_check.bench import Bench, Off
from bptt_check.compare import ROUNDING_SAFETY
from bptt_check.differences.estimate import drive
from bptt_check.directions import flat_divisors, smallest_seen
from bptt_check.flat import Flat, shapes_of
from bptt_check.points import total_size
from bptt_check.subject import Array, Point

MATRIX = 2**18  # entries of all directions together, up to which they are laid end to end
Elsewhere = tuple[Point, Mapping[str, Array]]


@dataclass(frozen=True)
class Glance:
    """What was seen: along each direction over all blocks, along one of each block, and along one elsewhere.

    ``directions`` and ``divisors`` by block: the block's own direction, and what its entries were divided by. ``seen``
    is the smallest relative error of one entry that those over all blocks and its own would have shown.
    """

    together: tuple[Off, ...]
    own: Mapping[str, Off]
    directions: Mapping[str, Array]
    divisors: Mapping[str, Array]
    seen: Mapping[str, float]
    elsewhere: Off | None


def glance(bench: Bench, rounds: int, elsewhere: Elsewhere | None = None) -> Glance | None:
    """Look along ``rounds`` directions over all blocks and one of each.

    ``elsewhere`` is a second point, and the gradient there: one direction more looks at that. ``None`` where
    the subject is too large to be laid end to end, or the reference is not a complex step.
    """
    if not bench.reference.exact or total_size(bench.gradient.values()) * len(bench.gradient) > MATRIX:
        return None
    flat = Flat(shapes_of(bench.gradient))
    gradient, level = flat.join(bench.gradient), flat.join(bench.rounding.level)
    scale = np.array([bench.rounding.sensitivity[name] or 1.0 for name in flat.shapes])
    divisor = flat_divisors(flat, gradient, level, scale)
    there = _there(flat, bench, elsewhere)
    count, size, more = len(flat.shapes), len(divisor), int(there is not None)
    drawn = bench.rng.standard_normal((rounds + 1 + more, size))
    rows = np.zeros((rounds + count + more, size))
    rows[:rounds] = drawn[:rounds] / divisor
    rows[rounds + flat.owner, np.arange(size)] = drawn[rounds] / divisor
    if there is not None:
        rows[-1] = drawn[-1] / flat_divisors(flat, there[1], level, scale)
    slopes = _slopes(bench, flat, rows, None if there is None else there[0])
    offs = _offs(bench, flat, rows, slopes, gradient, level)
    last = None if there is None else offs.pop()
    if there is not None and last is not None:
        at = float(slopes[-1] - rows[-1] @ there[1])
        last = Off(at, last.tolerance, last.blunt, at)
    own = offs[rounds : rounds + count]
    shared = [off.tolerance for off in offs[:rounds]]
    seen = smallest_seen(np.array([[off.tolerance, *shared] for off in own])).tolist()
    pieces = {
        name: rows[rounds + k, bounds] for k, (name, bounds) in enumerate(zip(flat.shapes, flat.bounds, strict=True))
    }
    return Glance(
        together=tuple(offs[:rounds]),
        own=dict(zip(flat.shapes, own, strict=True)),
        directions={name: v.reshape(flat.shapes[name]) for name, v in pieces.items()},
        divisors=flat.split(divisor),
        seen=dict(zip(flat.shapes, seen, strict=True)),
        elsewhere=last,
    )


def _there(flat: Flat, bench: Bench, elsewhere: Elsewhere | None) -> tuple[Array, Array] | None:
    """The second point and the gradient there, laid end to end; ``None`` where it is not there in full."""
    if elsewhere is None or set(flat.shapes) != set(bench.point) or not set(flat.shapes) <= set(elsewhere[1]):
        return None
    gradient = flat.join(elsewhere[1]).astype(float)
    return (flat.join({**bench.point, **elsewhere[0]}), gradient) if np.isfinite(gradient).all() else None


def _offs(bench: Bench, flat: Flat, rows: Array, slopes: Array, gradient: Array, level: Array) -> list[Off]:
    """How far the gradient's prediction is off along each row: :meth:`bptt_check.bench.Bench.along`, all at once."""
    weighed, squares = rows * gradient.astype(float), rows * rows
    noise = np.sqrt(squares @ (level * level)) + bench.rounding.eps * np.sqrt((weighed * weighed).sum(axis=1))
    tolerance = bench.both * ROUNDING_SAFETY * noise
    blunt = np.array([bench.blunt(name) for name in flat.shapes])[flat.owner]
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
            return np.asarray(bench.loss({**flat.split(moved(step[:, None], slice(None))), **still}))[None]
        rows_of_it = (flat.split(moved(step[k : k + 1, None], slice(k, k + 1))[0]) for k in range(len(step)))
        return np.array([[np.asarray(bench.loss({**row, **still}))[()] for row in rows_of_it]])

    plan = bench.reference.method.plan(np.ones(len(rows), point.dtype), bench.reference.noise)
    return np.asarray(drive(plan, evaluate).value * norm)
