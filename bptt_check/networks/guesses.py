"""What may be the inputs of a network, and its initial states: arrays of the point, and data within reach.

Likely ones come first. All are guesses; the search proves or refutes them (search.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations

import numpy as np

from bptt_check.networks.data import WIDEST, in_time, one_hot_widths, whole
from bptt_check.networks.tops import Top
from bptt_check.points import Array
from bptt_check.recognise.axes import INPUTS, in_order, orders, stacked

MOST_STATES = 4  # arrays outside of the point that are tried as initial states


@dataclass(frozen=True)
class Inputs:
    """x (T, B, D): its ``places``, or its ``values``; ``names``: the arrays of the point that it takes up."""

    places: Array | None
    values: Array | None
    names: frozenset[str] = frozenset()

    @property
    def shape(self) -> tuple[int, ...]:
        """T, B, D."""
        array = self.values if self.places is None else self.places
        assert array is not None
        return tuple(array.shape)


@dataclass(frozen=True)
class Guesses:
    """``entries``: places of the point's arrays, by name. ``data``: arrays within reach that it does not hold."""

    entries: Mapping[str, Array]
    data: Sequence[Array] = field(default_factory=list)

    def inputs(self, top: Top) -> Iterator[tuple[bool, Inputs]]:
        """What may be x beneath ``top``, with whether that is likely: data within reach, arrays that look like it."""
        likely: list[Inputs] = []
        others: list[Inputs] = []
        free = {k: places for k, places in self.entries.items() if k not in top.names}
        widths = sorted({n for places in free.values() for n in places.shape})
        for array in self.data:
            if whole(array):
                for ids in in_time(array):
                    if _fits(ids[..., None], top):
                        kept = others if _are_targets(ids, top) else likely
                        kept += _of_classes(ids, free, widths, top)
            if array.dtype.kind == "f" and not _is_aim(array, top):
                kept = likely if array.ndim > 2 else others
                kept += [Inputs(None, np.asarray(x, float)) for x in _readings(array, top)]
        for name, places in stacked(free).items():
            named = name.rpartition(".")[2].lower() in INPUTS
            held = {k for k, of in free.items() if np.isin(of, places).all()} if "[:]" in name else {name}
            kept = likely if places.ndim > 2 or named else others
            kept += [Inputs(x, None, frozenset(held)) for x in _readings(places, top)]
        for inputs in sorted(likely, key=lambda inputs: -inputs.shape[0] * inputs.shape[1]):
            yield True, inputs
        for inputs in others:
            yield False, inputs

    def states(self, names: Sequence[str], B: int, H: int) -> Iterator[dict[str, Array]]:
        """Initial states of these names, (B, H) each: zero, or data in the place of one, of some, of all."""
        yield {}
        held = [state for array in self.data if array.size == B * H for state in _as_state(array, B, H)][:MOST_STATES]
        for number in range(len(names), 0, -1):
            for chosen in permutations(names, number):
                if list(chosen) == sorted(chosen, key=list(names).index):
                    for arrays in permutations(held, number):
                        yield dict(zip(chosen, arrays, strict=True))
        if len(names) > 1:  # one array handed over for all of them
            yield from (dict.fromkeys(names, array) for array in held)


def _of_classes(ids: Array, free: Mapping[str, Array], widths: Sequence[int], top: Top) -> Iterator[Inputs]:
    """Classes as one-hot inputs, or as rows or columns of a table."""
    for D in one_hot_widths(widths, top.H):
        if ids.max() < D <= WIDEST:
            yield Inputs(None, np.eye(D)[ids])
    for name, places in free.items():
        for table in (places, places.T) if places.ndim == 2 else ():
            if ids.max() < len(table):
                yield Inputs(table[ids], None, frozenset([name]))


def _as_state(array: Array, B: int, H: int) -> Iterator[Array]:
    """An array as a state (B, H), if it holds numbers other than zero."""
    bare = np.asarray(array, float).reshape([n for n in array.shape if n > 1] or [1])
    if not bare.any():
        return
    if bare.shape in {(B, H), (H,), (B,), (1,)}:
        yield bare.reshape(B, H)
    if bare.ndim == 2 and bare.shape == (H, B):
        yield bare.T


def _are_targets(ids: Array, top: Top) -> bool:
    """Whether classes are those that the network is to give."""
    return top.goal is not None and np.array_equal(ids, top.goal.target.argmax(axis=-1))


def _is_aim(array: Array, top: Top) -> bool:
    """Whether an array is what the outputs are held against, number by number."""
    aim = None if top.goal is None else top.goal.target
    return aim is not None and array.size == aim.size and np.array_equal(np.sort(array, None), np.sort(aim, None))


def _readings(array: Array, top: Top) -> Iterator[Array]:
    """An array, or a list of columns, as x (T, B, D), its axes in every order that fits."""
    if array.ndim == 4 and 1 in array.shape:
        array = np.squeeze(array, axis=array.shape.index(1))
    for order in orders(array.ndim, "TBD"):
        if "T" in order and _fits(x := in_order(array, order, "TBD"), top):
            yield x


def _fits(x: Array, top: Top) -> bool:
    return x.ndim == 3 and top.T in (None, x.shape[0]) and top.B in (None, x.shape[1])
