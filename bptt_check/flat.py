"""Arrays by name laid end to end, so that many small blocks cost one operation and not one each."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, Sequence, ValuesView
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

TOGETHER = 4096  # entries up to which blocks are laid end to end; a larger block stays by itself
REMEMBERED = 64  # layouts of as many sets of shapes are kept: every check of a case asks for the same few
Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Flat:
    """Where the entries of each block stand in one vector of all. ``shapes`` by block name, in order."""

    shapes: Shapes

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

    @cached_property
    def places(self) -> dict[str, tuple[slice, tuple[int, ...]]]:
        """Where each block stands, and its shape."""
        return {name: (bounds, shape) for (name, shape), bounds in zip(self.shapes.items(), self.bounds, strict=True)}

    def join(self, arrays: Mapping[str, Array]) -> Array:
        """The blocks as one vector, not to be written to: of blocks that :meth:`split` made it is what they show."""
        if type(arrays) is Laid and arrays.flat is self and arrays.whole.ndim == 1:
            return arrays.whole
        return np.concatenate([arrays[name] for name in self.shapes], axis=None)

    def rows(self, arrays: Mapping[str, Array], count: int) -> Array:
        """Stacks of ``count`` copies of each block as a matrix with one row a copy."""
        return np.concatenate([arrays[name].reshape(count, -1) for name in self.shapes], axis=1)

    def split(self, whole: Array) -> Laid:
        """The blocks of a vector, or stacks of them, with the matrix's rows as the leading axis: views."""
        return Laid(self, whole)

    @cached_property
    def filled(self) -> Array | slice:
        """The blocks that have entries."""
        filled = np.flatnonzero(self.sizes)
        return filled if len(filled) < len(self.sizes) else slice(None)

    @cached_property
    def begins(self) -> Array:
        """Where those begin."""
        return np.asarray(self.starts[:-1][self.filled])

    def largest(self, whole: Array) -> Array:
        """The largest value of each block; 0 for one without entries, and where all are below 0."""
        largest = np.zeros(len(self.sizes), whole.dtype)
        if len(self.begins):
            largest[self.filled] = np.maximum(np.maximum.reduceat(whole, self.begins), 0)
        return largest

    def total(self, whole: Array) -> Array:
        """The sum of each block, of a vector or of each row of a matrix."""
        sums = np.zeros((*whole.shape[:-1], len(self.sizes)), whole.dtype)
        if len(self.begins):
            sums[..., self.filled] = np.add.reduceat(whole, self.begins, axis=-1)
        return sums

    def median(self, whole: Array, counted: Array) -> Array:
        """The median of each block's entries that are ``counted``; 0 where none is."""
        medians = np.zeros(len(self.sizes))
        owner, values = self.owner[counted], whole[counted]
        if len(values):
            values = _sorted(owner, values)
            count = np.bincount(owner, minlength=len(self.sizes))
            first = np.cumsum(count) - count
            some = count > 0
            low, high = first[some] + (count[some] - 1) // 2, first[some] + count[some] // 2
            medians[some] = (values[low] + values[high]) / 2
        return medians


def _sorted(owner: Array, values: Array) -> Array:
    """The values of each block in order, block by block: complex numbers sort by their real parts first."""
    if not np.isfinite(values).all():
        return np.asarray(values[np.lexsort((values, owner))])
    pairs = np.empty(len(values), complex)
    pairs.real, pairs.imag = owner, values
    pairs.sort()
    return pairs.imag


class Laid(Mapping[str, Array]):
    """Blocks by name that are views of one vector, or of a matrix with one row a copy; made when one is asked for."""

    __slots__ = ("_views", "flat", "whole")

    def __init__(self, flat: Flat, whole: Array) -> None:
        self.flat, self.whole = flat, whole
        self._views: dict[str, Array] | None = None

    @property
    def views(self) -> dict[str, Array]:
        """The blocks, in order."""
        if self._views is None:
            whole, leading = self.whole, self.whole.shape[:-1]
            of = self.flat.places.items()
            self._views = {name: whole[..., bounds].reshape(leading + shape) for name, (bounds, shape) in of}
        return self._views

    def __getitem__(self, name: str) -> Array:
        return self.views[name]

    def keys(self) -> KeysView[str]:
        """Their names."""
        return self.flat.shapes.keys()

    def values(self) -> ValuesView[Array]:
        """The blocks."""
        return self.views.values()

    def items(self) -> ItemsView[str, Array]:
        """Each with its name."""
        return self.views.items()

    def __iter__(self) -> Iterator[str]:
        return iter(self.flat.shapes)

    def __len__(self) -> int:
        return len(self.flat.shapes)

    def __contains__(self, name: object) -> bool:
        return name in self.flat.shapes


def end_to_end(shapes: Shapes) -> Flat:
    """All blocks in one layout, however large."""
    return _end_to_end(tuple(shapes.items()))


@lru_cache(REMEMBERED)
def _end_to_end(shapes: tuple[tuple[str, tuple[int, ...]], ...]) -> Flat:
    return Flat(dict(shapes))


def layouts(shapes: Shapes, most: int = TOGETHER) -> tuple[Flat, ...]:
    """The blocks in groups of no more than ``most`` entries; a block that is larger makes a group of its own."""
    return _layouts(tuple(shapes.items()), most)


@lru_cache(REMEMBERED)
def _layouts(shapes: tuple[tuple[str, tuple[int, ...]], ...], most: int) -> tuple[Flat, ...]:
    groups: list[dict[str, tuple[int, ...]]] = []
    held = 0
    for name, shape in shapes:
        size = prod(shape)
        if not groups or held + size > most:
            groups.append({})
            held = 0
        groups[-1][name] = shape
        held += size
    return tuple(_end_to_end(tuple(group.items())) for group in groups)


def put_together(parts: Sequence[Laid]) -> Mapping[str, Array]:
    """The blocks of several layouts by name."""
    return parts[0] if len(parts) == 1 else {name: array for part in parts for name, array in part.items()}


def shapes_of(arrays: Mapping[str, Array]) -> Shapes:
    """The shape of each array, by name."""
    return arrays.flat.shapes if type(arrays) is Laid else {name: array.shape for name, array in arrays.items()}


def not_finite(arrays: Mapping[str, Array]) -> frozenset[str]:
    """The names of those that hold something that is no finite number."""
    found: list[str] = []
    for flat in layouts(shapes_of(arrays)):
        names = list(flat.shapes)  # one alone may be large, and is not copied
        if not np.isfinite(arrays[names[0]] if len(names) == 1 else flat.join(arrays)).all():
            found += (name for name in names if not np.isfinite(arrays[name]).all())
    return frozenset(found)
