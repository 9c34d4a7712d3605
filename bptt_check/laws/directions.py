"""Directions that a problem's shape alone decides, and the complex step along them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
STEP = 1e-20


def woven(shape: tuple[int, ...], like: Array, k: int = 0) -> Array:
    """Numbers between −1 and 1 in a pattern without symmetry, another for each k; of the precision of ``like``."""
    n = np.arange(1, int(np.prod(shape)) + 1)
    return np.cos(2.399963 * n * n + 0.3 * n + 1.7 * k).reshape(shape).astype(like.real.dtype)


def each_entry(shape: tuple[int, ...], like: Array) -> Array:
    """One unit direction for each entry, stacked: (size, *shape)."""
    size = int(np.prod(shape))
    return np.eye(size, dtype=like.real.dtype).reshape(size, *shape)


def each_block(point: Arrays) -> dict[str, Array]:
    """One direction for each array, woven in that array and zero in all others, stacked in front of each."""
    names = list(point)
    stack = {}
    for k, (name, array) in enumerate(point.items()):
        stack[name] = np.zeros((len(names), *array.shape), array.dtype)
        stack[name][k] = woven(array.shape, array, k)
    return stack


def complex_step(function: Callable[[Arrays], Array], point: Arrays, along: Arrays) -> Array:
    """d/dε function(point + ε along) at ε = 0; a name left out of ``along`` stays, its leading axes are kept."""
    moved = {name: array + 1j * STEP * along[name] if name in along else array for name, array in point.items()}
    return np.asarray(np.asarray(function(moved)).imag / STEP)
