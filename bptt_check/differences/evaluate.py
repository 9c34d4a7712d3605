"""Evaluators: how the offsets that a method asks for become values of a function of named arrays.

``one_by_one`` calls the function once per offset. ``stacked`` puts perturbed copies on a leading axis and calls it once
per chunk; the function must carry leading axes. Both hand back the same values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Method, drive

Point = Mapping[str, Array]
Function = Callable[[Point], Any]
SMALL_BYTES = 2**17  # a point of up to this size is stacked as a whole
CHUNK_BYTES = 2**21  # perturbed copies of one block at a time: about the size of a core's cache


def partials(
    method: Method,
    function: Function,
    point: Point,
    name: str,
    *,
    entries: Array | None = None,
    scale: float | Array | None = None,
    noise: float | None = None,
    stacked: bool = False,
) -> Estimate:
    """∂F/∂(block ``name``), entry by entry, by ``method``.

    ``entries`` are flat indices, all of them where not given; the estimate has one value per entry, in that order.
    ``scale`` is the length over which the function is expected to change; where not given, the size of the block's
    largest entry, and 1 for a block of zeros.
    """
    block = np.asarray(point[name])
    flat = np.arange(block.size) if entries is None else np.asarray(entries)
    values = block.reshape(-1)[flat]
    largest = np.abs(block).max(initial=0) or 1.0
    length = np.broadcast_to(largest if scale is None else scale, flat.shape).astype(values.dtype)

    def evaluate(offsets: Array) -> Array:
        rows = np.broadcast_to(flat, offsets.shape).reshape(-1)
        results = values_of_copies(function, point, name, rows, offsets.reshape(-1), stacked=stacked)
        return results.reshape(offsets.shape)

    return drive(method.plan(length, noise), evaluate)


def along(
    method: Method,
    function: Function,
    point: Point,
    direction: Point,
    *,
    scale: float = 1.0,
    noise: float | None = None,
    stacked: bool = False,
) -> Estimate:
    """The directional derivative of ``function`` at ``point`` along ``direction``; a name left out stays.

    ``stacked``: the function carries leading axes, and small points are handed to it all at once.
    """
    kind = np.result_type(*[np.asarray(array) for array in point.values()])
    plan = method.plan(np.asarray(scale, dtype=kind), noise)
    return drive(plan, lambda offsets: values_along(function, point, direction, offsets, stacked=stacked))


def values_along(function: Function, point: Point, direction: Point, offsets: Array, *, stacked: bool = False) -> Array:
    """The function at ``point`` + offset × ``direction`` for each of several offsets."""
    if stacked and sum(np.asarray(array).nbytes for array in point.values()) <= SMALL_BYTES:
        return np.asarray(function(moved_by_each(point, direction, offsets)))
    return np.array([np.asarray(function(moved(point, direction, offset)))[()] for offset in offsets])


def moved(point: Point, direction: Point, offset: Any) -> dict[str, Array]:
    """``point`` + ``offset`` × ``direction``; every array of the type that the offset asks for."""
    there = {}
    for name, array in point.items():
        if name in direction:
            there[name] = np.asarray(offset * direction[name])
            kept = there[name] if np.result_type(there[name], array) == there[name].dtype else None
            there[name] = np.add(array, there[name], out=kept)
        else:
            there[name] = array + 0 * offset
    return there


def moved_by_each(point: Point, direction: Point, offsets: Array) -> dict[str, Array]:
    """``point`` + offset × ``direction`` for each of several offsets, on a leading axis."""
    zero = np.zeros((), offsets.dtype)
    copies = {}
    for name, array in point.items():
        each = offsets.reshape(-1, *[1] * array.ndim)
        copies[name] = (
            array + each * direction[name] if name in direction else np.repeat((array + zero)[None], len(each), 0)
        )
    return copies


def values_of_copies(
    function: Function, point: Point, name: str, rows: Array, offsets: Array, *, stacked: bool
) -> Array:
    """The function with entry ``rows[n]`` (a flat index) of block ``name`` moved by ``offsets[n]``, for each n."""
    return (_stacked if stacked else _one_by_one)(function, point, name, rows, offsets)


def _one_by_one(function: Function, point: Point, name: str, rows: Array, offsets: Array) -> Array:
    kind = np.result_type(offsets, *point.values())
    moving = {key: np.array(array, dtype=kind, order="C") for key, array in point.items()}
    block = moving[name].reshape(-1)
    results = []
    for row, offset in zip(rows, offsets, strict=True):
        before = block[row]
        block[row] = before + offset
        results.append(np.asarray(function(moving)).reshape(())[()])
        block[row] = before
    return np.array(results)


def _stacked(function: Function, point: Point, name: str, rows: Array, offsets: Array) -> Array:
    block = np.asarray(point[name])
    kind = np.result_type(offsets, block)
    chunk = max(1, CHUNK_BYTES // (block.nbytes + 1))
    results = []
    for first in range(0, len(rows), chunk):
        part = slice(first, first + chunk)
        copies = np.repeat(block[None].astype(kind), len(rows[part]), axis=0)
        copies.reshape(len(copies), -1)[np.arange(len(copies)), rows[part]] += offsets[part]
        value = np.asarray(function({**point, name: copies}))
        results.append(np.broadcast_to(value, len(copies)))
    return np.concatenate(results)
