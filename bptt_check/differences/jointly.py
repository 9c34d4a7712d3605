"""The partial derivatives by every entry of every block in a few calls of a function that carries leading axes.

:func:`~bptt_check.differences.evaluate.partials` stacks the perturbed copies of one block. Where all
blocks are small, what such a call costs is the interpreter; copies of the whole point, each moved in one entry of one
block, cost hardly more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Method, drive

Point = Mapping[str, Array]
CHUNK_BYTES = 2**22  # copies at a time


def all_partials(
    method: Method,
    function: Callable[[Point], Any],
    point: Point,
    names: Sequence[str],
    *,
    scale: float | None = None,
    noise: float | None = None,
) -> dict[str, Estimate]:
    """∂F/∂(block) for each of ``names``, entry by entry: what ``partials(…, stacked=True)`` gives block by block.

    ``scale`` is the length over which the function is expected to change; where not given, the size of a block's
    largest entry, and 1 for a block of zeros.
    """
    kind = np.result_type(*point.values())
    sizes = {name: np.asarray(point[name]).size for name in names}
    owner = np.repeat(np.arange(len(names)), list(sizes.values()))
    within = np.concatenate([np.arange(size) for size in sizes.values()])
    lengths = [scale or float(np.abs(point[name]).max(initial=0)) or 1.0 for name in names]
    length = np.asarray(lengths, kind)[owner]
    chunk = max(1, CHUNK_BYTES // (2 * sum(np.asarray(a).nbytes for a in point.values()) + 1))

    def evaluate(offsets: Array) -> Array:
        rows = np.broadcast_to(np.arange(len(owner)), offsets.shape).reshape(-1)
        flat = offsets.reshape(-1)
        parts = [part(rows[first : first + chunk], flat[first : first + chunk]) for first in range(0, len(rows), chunk)]
        return np.concatenate(parts).reshape(offsets.shape)

    def part(rows: Array, offsets: Array) -> Array:
        moved = dict(point)
        for k, name in enumerate(names):
            mine = np.flatnonzero(owner[rows] == k)
            if len(mine):
                block = np.asarray(point[name])
                copies = np.repeat(block[None].astype(np.result_type(offsets, block)), len(rows), axis=0)
                copies.reshape(len(rows), -1)[mine, within[rows[mine]]] += offsets[mine]
                moved[name] = copies
        return np.asarray(np.broadcast_to(np.asarray(function(moved)), len(rows)))

    whole = drive(method.plan(length, noise), evaluate)
    return {name: _of(whole, owner == k) for k, name in enumerate(names)}


def _of(whole: Estimate, which: Array) -> Estimate:
    value, roundoff, truncation, step = (
        whole.value[which],
        whole.roundoff[which],
        whole.truncation[which],
        whole.step[which],
    )
    return Estimate(value, roundoff, truncation, step, whole.evaluations, whole.method)
