"""Which axis of an array is which: x (T, B, D) and outputs (T, B, H) in every order, an axis of length 1 left out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from bptt_check.points import Array

OFTEN = ("TBD", "TBH", "BTD", "BTH", "TD", "TH", "BH")  # tried first
NUMBERED = re.compile(r"(.*)\[(\d+)\](.*)")
INPUTS = {"x", "xs", "inputs", "input", "seq"}


def orders(ndim: int, letters: str) -> list[str]:
    """Every way to name ``ndim`` axes with ``letters``, each letter once at most; the usual ones first."""
    named = ("".join(order) for order in permutations(letters, ndim)) if ndim <= len(letters) else ()
    return sorted(named, key=lambda order: OFTEN.index(order) if order in OFTEN else len(OFTEN))


def in_order(array: Array, order: str, letters: str) -> Array:
    """``array`` with the axes ``letters``; those that ``order`` lacks have length 1."""
    turned = array.transpose([order.index(letter) for letter in letters if letter in order])
    return turned.reshape([array.shape[order.index(letter)] if letter in order else 1 for letter in letters])


def stacked(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays, and lists of them under one name: ``h[0]``, ``h[1]`` … as ``h[:]``, the step in front."""
    lists: dict[str, dict[int, Array]] = {}
    for name, array in arrays.items():
        if match := NUMBERED.fullmatch(name):
            lists.setdefault(f"{match[1]}[:]{match[3]}", {})[int(match[2])] = array
    whole = {
        name: np.stack([parts[n] for n in range(len(parts))])
        for name, parts in lists.items()
        if set(parts) == set(range(len(parts))) and len({part.shape for part in parts.values()}) == 1
    }
    return {**arrays, **whole}


@dataclass(frozen=True)
class Frame:
    """One reading of the shapes.

    ``x``: where each entry of our x (T, B, D) stands among the user's entries. ``output``, ``order``: which output is h
    and its axes; where the loss is all there is, ``order`` is that of the targets. ``inputs``: the values of x where
    the point does not hold it; then ``x`` is empty.
    """

    T: int
    B: int
    D: int
    H: int
    x: Array
    output: str
    order: str
    inputs: Array | None = None

    @property
    def steps(self) -> tuple[int, int, int, int]:
        """T, B, D, H."""
        return self.T, self.B, self.D, self.H


def frames_of_outputs(entries: Mapping[str, Array], outputs: Mapping[str, Array]) -> Iterator[Frame]:
    """Readings in which one of the outputs is h, all of it or its last step."""
    for output, array in sorted(stacked(outputs).items(), key=lambda item: -item[1].ndim):
        for order in orders(array.ndim, "TBH"):
            lengths = dict(zip(order, array.shape, strict=True))
            for x in _inputs(entries, lengths.get("T"), lengths.get("B", 1)):
                T, B, D = x.shape
                yield Frame(T, B, D, lengths.get("H", 1), x, output, order)


def frames_of_targets(entries: Mapping[str, Array], targets: Array | None, output: str) -> Iterator[Frame]:
    """Readings in which the loss is all there is; the targets, where given, have the shape of h."""
    shape = () if targets is None else targets.shape
    for order in orders(len(shape), "TBH"):
        lengths = dict(zip(order, shape, strict=True))
        for x in _inputs(entries, lengths.get("T"), lengths.get("B")):
            for H in [lengths["H"]] if "H" in lengths else _widths(entries):
                T, B, D = x.shape
                yield Frame(T, B, D, H, x, output, order)


def _inputs(entries: Mapping[str, Array], T: int | None, B: int | None) -> Iterator[Array]:
    """Arrays that can be x, with the axes T, B, D; likely ones first."""
    whole = stacked(entries)
    for name in sorted(whole, key=lambda name: (name.rpartition(".")[2].lower() not in INPUTS, -whole[name].ndim)):
        array, seen = whole[name], set()
        for order in orders(array.ndim, "TBD"):
            x = in_order(array, order, "TBD")
            fits = T in (None, x.shape[0]) and B in (None, x.shape[1])
            if fits and "T" in order + "T" * (T == 1) and (x.shape, x.tobytes()) not in seen:
                seen.add((x.shape, x.tobytes()))
                yield x


def _widths(entries: Mapping[str, Array]) -> list[int]:
    """How many memory cells there may be: lengths of axes that many arrays have, themselves or as four in one."""
    lengths = [n for array in entries.values() for n in array.shape]
    possible = {n // k for n in lengths for k in (1, 3, 4) if n % k == 0}
    counted = {h: sum(n in (h, 3 * h, 4 * h) for n in lengths) for h in possible}
    return sorted(counted, key=lambda h: -counted[h])[:6]
