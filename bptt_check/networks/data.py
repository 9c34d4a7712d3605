"""What an array of data can be: targets or inputs, as classes or as numbers, with its axes in every order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bptt_check.points import Array
from bptt_check.recognise.axes import in_order, orders

WIDEST = 512  # one-hot inputs and targets have no more classes


def whole(array: Array) -> bool:
    """Whether it holds classes: whole numbers from 0 on, not one throughout, and not one-hot already."""
    if array.dtype.kind not in "iuf" or not (array >= 0).all():
        return False
    varied = array.size == 1 or bool((array != array.flat[0]).any())
    one_hot = array.ndim > 1 and array.shape[-1] > 1 and bool((array.sum(axis=-1) == 1).all())
    return varied and not one_hot and bool((array == np.floor(array)).all())


def in_time(array: Array) -> list[Array]:
    """Classes (T, B) in either order of the axes; of one axis, a sequence alone."""
    array = array.astype(int)
    bare = array.reshape([n for n in array.shape if n > 1] or [1])
    if bare.ndim == 1:
        return [bare[:, None], *([bare[None]] if len(bare) > 1 else [])]
    return [bare, bare.T] if bare.ndim == 2 else []


def classes(array: Array, widths: Sequence[int]) -> Iterator[tuple[Array, int | None, bool]]:
    """Whole numbers as targets of one class each."""
    if not whole(array):
        return
    for ids in in_time(array):
        for V in widths:
            if ids.max() < V <= WIDEST and V > 1:
                yield np.eye(V)[ids], (len(ids) if len(ids) > 1 else None), True


def numbers(array: Array) -> Iterator[tuple[Array, int | None, bool]]:
    """An array as targets, with its axes in every order; without one of time they are those of the last step."""
    squeezed = np.squeeze(array, axis=array.shape.index(1)) if array.ndim == 4 and 1 in array.shape else array
    for order in orders(squeezed.ndim, "TBH"):
        target = np.asarray(in_order(squeezed, order, "TBH"), float)
        yield target, (len(target) if len(target) > 1 else None), bool((target.sum(axis=-1) == 1).all())


def one_hot_widths(widths: Sequence[int], H: int) -> list[int]:
    """How many one-hot inputs there may be, by the lengths of the weights' axes."""
    return sorted({D for n in widths for D in (n, n - H, n - H - 1, n - H // 2) if D > 1})
