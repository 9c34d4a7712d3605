"""Arrays by name laid end to end, so that many small blocks cost one operation and not one each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

TOGETHER = 4096  # entries up to which blocks are laid end to end; a larger block stays by itself


@dataclass(frozen=True)
class Flat:
    """Where the entries of each block stand in one vector of all. ``shapes`` by block name, in order."""

    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def sizes(self) -> Array:
        """Entries of each block."""
        return np.array([prod(shape) for shape in self.shapes.values()], dtype=int)

    @cached_property
    def starts(self) -> Array:
        """Where each block begins."""
        return np.concatenate([[0], np.cumsum(self.sizes)])

    @cached_property
    def bounds(self) -> list[slice]:
        """Where each block stands."""
        return [slice(first, last) for first, last in pairwise(self.starts.tolist())]

    @cached_property
    def owner(self) -> Array:
        """Of each entry, which block it belongs to."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)

    def join(self, arrays: Mapping[str, Array], *, stack: int | None = None) -> Array:
        """The blocks as one vector; those of a ``stack`` of copies as a matrix with one row a copy."""
        shape = (-1,) if stack is None else (stack, -1)
        return np.concatenate([np.asarray(arrays[name]).reshape(shape) for name in self.shapes], axis=-1)

    def split(self, whole: Array) -> dict[str, Array]:
        """The blocks of a vector, or stacks of them, with the matrix's rows as the leading axis: views."""
        return {
            name: whole[..., bounds].reshape(whole.shape[:-1] + shape)
            for (name, shape), bounds in zip(self.shapes.items(), self.bounds, strict=True)
        }

    def largest(self, whole: Array) -> Array:
        """The largest value of each block; 0 for one without entries, and where all are below 0."""
        filled = np.flatnonzero(self.sizes)
        largest = np.zeros(len(self.sizes), whole.dtype)
        if len(filled):
            largest[filled] = np.maximum(np.maximum.reduceat(whole, self.starts[filled]), 0)
        return largest

    def total(self, whole: Array) -> Array:
        """The sum of each block, of a vector or of each row of a matrix."""
        filled = np.flatnonzero(self.sizes)
        sums = np.zeros((*whole.shape[:-1], len(self.sizes)), whole.dtype)
        if len(filled):
            sums[..., filled] = np.add.reduceat(whole, self.starts[filled], axis=-1)
        return sums

    def median(self, whole: Array, counted: Array) -> Array:
        """The median of each block's entries that are ``counted``; 0 where none is."""
        medians = np.zeros(len(self.sizes))
        owner, values = self.owner[counted], whole[counted]
        if len(values):
            values = values[np.lexsort((values, owner))]
            count = np.bincount(owner, minlength=len(self.sizes))
            first = np.cumsum(count) - count
            some = count > 0
            low, high = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
            medians[some] = (values[low] + values[high]) / 2
        return medians


def layouts(shapes: Mapping[str, tuple[int, ...]], most: int = TOGETHER) -> Iterator[Flat]:
    """The blocks in groups of no more than ``most`` entries; a block that is larger makes a group of its own."""
    group: dict[str, tuple[int, ...]] = {}
    held = 0
    for name, shape in shapes.items():
        size = prod(shape)
        if group and held + size > most:
            yield Flat(group)
            group, held = {}, 0
        group[name] = shape
        held += size
    if group:
        yield Flat(group)


def shapes_of(arrays: Mapping[str, Array], names: Sequence[str] | None = None) -> dict[str, tuple[int, ...]]:
    """The shape of each array, by name; of ``names`` only, where given."""
    return {name: np.shape(arrays[name]) for name in names or arrays}
