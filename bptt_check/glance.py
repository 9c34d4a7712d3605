"""A small subject whose loss carries leading axes, looked at along many directions in one call of it.

Where all is right this says as much as one entry after the other, at a tenth of the cost: what tests are made of. It
decides only that; where anything is off, or seen too bluntly, every entry is looked at on its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bptt_check.bench import Bench, Off
from bptt_check.compare import ROUNDING_SAFETY
from bptt_check.differences.estimate import drive
from bptt_check.directions import flat_divisors, miss_probability, smallest_seen
from bptt_check.flat import Flat, shapes_of
from bptt_check.results import Block, Verdict
from bptt_check.subject import Array, Point

TOGETHER = 3  # directions over all blocks; each block has one more of its own
Elsewhere = tuple[Point, Mapping[str, Array]]


def glance(
    bench: Bench, resolution: float, elsewhere: Elsewhere | None = None
) -> tuple[dict[str, Block], float, Off | None] | None:
    """A block for each gradient, all of them AGREES; the chance that an error was missed; what was seen elsewhere.

    ``elsewhere`` is a second point, and the gradient there: one direction more looks at that, and is judged by the
    caller. ``None`` where agreement cannot be said: where a direction disagrees, a block is seen less finely than
    ``resolution``, or the reference is not a complex step.
    """
    if not bench.reference.exact or bench.broken:
        return None
    flat = Flat(shapes_of(bench.gradient))
    gradient, level = flat.join(bench.gradient), flat.join(bench.rounding.level)
    there = _there(flat, bench, elsewhere)
    rows = _rows(bench, flat, gradient if there is None else np.stack([gradient, there[1]]), level)
    slopes = _slopes(bench, flat, rows, None if there is None else there[0])
    weighed = rows * gradient.astype(float)
    noise = np.sqrt((rows * rows) @ (level * level)) + bench.rounding.eps * np.sqrt((weighed * weighed).sum(axis=1))
    tolerance = bench.both * ROUNDING_SAFETY * noise
    off = (slopes - rows @ gradient).astype(float)
    later = None
    if there is not None:
        at = float(slopes[-1] - rows[-1] @ there[1])
        blunt = np.array([bench.blunt(name) for name in flat.shapes])[flat.owner]
        later = Off(at, float(tolerance[-1]), float(np.sqrt(((blunt * rows[-1]) ** 2).sum())), at)
        slopes, rows, tolerance, off = slopes[:-1], rows[:-1], tolerance[:-1], off[:-1]
    if not (np.abs(off) <= tolerance).all():
        return None
    count = len(flat.shapes)
    tolerances = np.column_stack([tolerance[TOGETHER:], np.broadcast_to(tolerance[:TOGETHER], (count, TOGETHER))])
    seen = smallest_seen(tolerances)
    if (seen > resolution).any():
        return None
    handed = off if bench.plain is None else (slopes - rows @ flat.join(bench.plain.gradient)).astype(float)
    with np.errstate(invalid="ignore"):
        ratio = np.where(off != 0, np.abs(off) / tolerance, 0.0)
    figures = zip(np.abs(handed[TOGETHER:]).tolist(), ratio[TOGETHER:].tolist(), seen.tolist(), strict=True)
    blocks = {
        name: Block(
            name=name,
            verdict=Verdict.AGREES,
            shape=shape,
            equation=bench.subject.equations.get(name),
            compared=bench.gradient[name].size,
            max_relative_error=error,
            tolerance_ratio=share,
            resolution=sharpest,
        )
        for (name, shape), (error, share, sharpest) in zip(flat.shapes.items(), figures, strict=True)
    }
    return blocks, float(np.max(miss_probability(tolerances, resolution))), later


def _there(flat: Flat, bench: Bench, elsewhere: Elsewhere | None) -> tuple[Array, Array] | None:
    """The second point and the gradient there, laid end to end; ``None`` where it is not there in full."""
    if elsewhere is None or set(flat.shapes) != set(bench.point) or not set(flat.shapes) <= set(elsewhere[1]):
        return None
    gradient = flat.join(elsewhere[1]).astype(float)
    return (flat.join({**bench.point, **elsewhere[0]}), gradient) if np.isfinite(gradient).all() else None


def _rows(bench: Bench, flat: Flat, gradients: Array, level: Array) -> Array:
    """The directions: some over all blocks, then one of each block, then one for the second point, if there is one."""
    scale = np.array([bench.rounding.sensitivity[name] or 1.0 for name in flat.shapes])
    here, *there = gradients if gradients.ndim == 2 else [gradients]
    divisor = flat_divisors(flat, here, level, scale)
    count, size = len(flat.shapes), len(divisor)
    rows = np.zeros((TOGETHER + count + len(there), size))
    drawn = bench.rng.standard_normal((TOGETHER + 1 + len(there), size))
    rows[:TOGETHER] = drawn[:TOGETHER] / divisor
    rows[TOGETHER + flat.owner, np.arange(size)] = drawn[TOGETHER] / divisor
    for gradient in there:
        rows[-1] = drawn[-1] / flat_divisors(flat, gradient, level, scale)
    return rows


def _slopes(bench: Bench, flat: Flat, rows: Array, there: Array | None) -> Array:
    """The reference's derivative along each row, the last of them at ``there``; scaled so that steps stay small."""
    here = bench.reference.point
    point = flat.join(here)
    extent = np.sqrt(flat.total(flat.join(bench.point).astype(float) ** 2) / flat.sizes)
    sizes = np.sqrt(flat.total(rows * rows) / flat.sizes) / np.where(extent > 0, extent, 1.0)
    norm = sizes.max(axis=1)
    unit = (rows / norm[:, None]).astype(point.dtype)
    others = {name: array for name, array in here.items() if name not in flat.shapes}

    def evaluate(offsets: Array) -> Array:
        (step,) = offsets
        moved = np.empty(unit.shape, step.dtype)
        moved.real, moved.imag = point, step.imag[:, None] * unit
        if there is not None:
            moved[-1].real = there
        copies = flat.split(moved)
        copies |= {name: np.repeat(array[None].astype(step.dtype), len(step), 0) for name, array in others.items()}
        return np.asarray(bench.loss(copies))[None]

    plan = bench.reference.method.plan(np.ones(len(rows), point.dtype), bench.reference.noise)
    return np.asarray(drive(plan, evaluate).value * norm)
