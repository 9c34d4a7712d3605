"""Where a moved entry of the point acts: on which pre-activation or state, on which sequence, and from which step on.

Moving W_kj[r, c] adds δ × (what column c saw) to row r of z_k, at every step and for every sequence; moving x(t), an
initial state or an intervention acts on one sequence, and on nothing before step t. The fast passes
(copies.py, imaginary.py, tangents.py) lay entries side by side as columns, in the order in which they begin to act.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import chain, pairwise
from typing import Any

import numpy as np

from bptt_check.lstm.unbuffered import unbuffered
from bptt_check.lstm.variants import Variant

Array = np.ndarray[Any, Any]

FROM_X, FROM_STATE, FROM_MEMORY_NOW = 0, 1, 2  # what a weight's column saw: x(t), something of t−1 (or 1), s(t)
FIRST_TIMED = 3
FEW, REMEMBERED = 4096, 16  # entries whose columns are kept, and of how many sweeps
FEW_CUT = 600  # of all sequences together, those whose chunks are kept
LONG = 256  # columns from which their rows are long
NODES = ("h0", "s0", "i0", "f0", "o0", "x", "z_i", "z_f", "z_o", "z_g", "g", "i", "f", "o", "s", "h")
DISTURBED = NODES[-6:]  # those that come after z in their step


@dataclass(frozen=True)
class Layout:
    """Which row is what, where all features of a column stand below each other.

    ``z``: the first row of each pre-activation, gates before the candidate. ``seen``: what the matrices see of step
    t−1. ``at``: the first row of each carried state; those seen come first, then a row of ones, named ``"1"``.
    """

    variant: Variant
    D: int
    H: int

    @cached_property
    def blocks(self) -> tuple[str, ...]:
        """What has a pre-activation, gates first."""
        return (*self.variant.gates, "g")

    @cached_property
    def z(self) -> dict[str, int]:
        """First row of each z_k."""
        return {k: place * self.H for place, k in enumerate(self.blocks)}

    @cached_property
    def seen(self) -> tuple[str, ...]:
        """What is seen of step t−1 through matrices."""
        return (self.variant.feedback, *(("i", "f", "o") if self.variant.gate_recurrence else ()))

    @cached_property
    def carried(self) -> tuple[str, ...]:
        """All states that one step hands to the next, those seen first."""
        return (*self.seen, *(name for name in ("s", "h") if name not in self.seen))

    @cached_property
    def at(self) -> dict[str, int]:
        """First row of each carried state, with a row of ones behind those that are seen."""
        width = len(self.seen) * self.H
        rows = {name: place * self.H for place, name in enumerate(self.seen)}
        rest = [name for name in self.carried if name not in self.seen]
        return {**rows, "1": width, **{name: width + 1 + place * self.H for place, name in enumerate(rest)}}

    @cached_property
    def zslab(self) -> dict[str, slice]:
        """The rows of each z_k."""
        return {k: slice(first, first + self.H) for k, first in self.z.items()}

    @cached_property
    def slab(self) -> dict[str, slice]:
        """The rows of each carried state."""
        return {name: slice(first, first + self.H) for name, first in self.at.items() if name != "1"}

    @cached_property
    def matrix_places(self) -> list[tuple[int, slice, str]]:
        """Of each matrix: which block, and where the columns of what it sees stand, carried states first and x last."""
        at = {j: slice(place * self.H, place * self.H + self.H) for place, j in enumerate(self.carried)}
        at["x"] = slice(len(self.carried) * self.H, None)
        return [(place, at[j], f"W_{k}{j}") for place, k in enumerate(self.blocks) for j in self.variant.sees(k)]

    def matrix(self, weights: Mapping[str, Array], j: str) -> Array:
        """All W_kj of one j below each other, zero where k does not see j: (rows of z, D or H)."""
        parts = [weights.get(f"W_{k}{j}") for k in self.blocks]
        zero = np.zeros((self.H, self.D if j == "x" else self.H), weights[f"b_{self.blocks[0]}"].dtype)
        return np.concatenate([zero if part is None else part for part in parts])

    def matrices(self, weights: Mapping[str, Array]) -> Array:
        """Those of all that is seen of step t−1 beside each other: (rows of z, rows seen)."""
        parts = [self.matrix(weights, j) for j in self.seen]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


@dataclass(frozen=True)
class Columns:
    """Entries side by side, in the order in which they begin to act.

    ``order``: places in the caller's list. ``key``: what kind of entry, see :meth:`runs`. ``row``: the row acted on, of
    z for weights, of its own block for the rest (of x: which input). ``source``: for weights the input, or the row of
    the state, that the column saw. ``start``: the first step that it acts on. ``sequence``: which; −1 for all.
    ``worked_out``: what a pass has made of these columns and the cell alone, and will want again.
    """

    order: Array
    key: Array
    row: Array
    source: Array
    start: Array
    sequence: Array
    worked_out: dict[str, Any] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, which: Any) -> Columns:
        fields = (self.order, self.key, self.row, self.source, self.start, self.sequence)
        return Columns(*(field[which] for field in fields))

    def of_sequence(self, b: int) -> Columns:
        """The entries that act on sequence ``b``."""
        return self[(self.sequence == b) | (self.sequence < 0)]

    @cached_property
    def lasting(self) -> dict[int, slice]:
        """The columns of weights, by what they saw."""
        edges = np.searchsorted(self.key, range(FIRST_TIMED + 1))
        return {kind: slice(int(edges[kind]), int(edges[kind + 1])) for kind in range(FIRST_TIMED)}

    @cached_property
    def timed(self) -> dict[int, list[tuple[str, slice]]]:
        """The columns that act once, as runs of one node, by step."""
        first = int(np.searchsorted(self.key, FIRST_TIMED))
        keys = self.key[first:]
        edges = [0, *(np.flatnonzero(np.diff(keys)) + 1).tolist(), len(keys)] if len(keys) else []
        runs: dict[int, list[tuple[str, slice]]] = {}
        for lo, hi in pairwise(edges):
            t, node = divmod(int(keys[lo]) - FIRST_TIMED, len(NODES))
            runs.setdefault(t, []).append((NODES[node], slice(first + lo, first + hi)))
        return runs

    @cached_property
    def once(self) -> dict[str, Array]:
        """The places of those that act once, by node, whatever their step."""
        runs: dict[str, list[Array]] = {}
        for node, where in chain.from_iterable(self.timed.values()):
            runs.setdefault(node, []).append(np.arange(where.start, where.stop))
        return {node: np.concatenate(places) for node, places in runs.items()}

    @cached_property
    def disturbed(self) -> bool:
        """Whether any acts on what comes after z in its step."""
        return any(node in DISTURBED for node in self.once)

    def chunks(self, B: int, length: int) -> Iterator[tuple[int, Columns]]:
        """Sequence by sequence those that act on it, so many at a time; one empty chunk where there are none.

        Of few entries they are kept, with what passes work out of them.
        """
        if B * len(self) > FEW_CUT:
            yield from self._cut(B, length)
            return
        if (kept := self.worked_out.get(f"chunks {B} {length}")) is None:
            kept = self.worked_out[f"chunks {B} {length}"] = list(self._cut(B, length))
        yield from kept

    def _cut(self, B: int, length: int) -> Iterator[tuple[int, Columns]]:
        for b in range(B):
            one = self if B == 1 else self.of_sequence(b)
            for first in range(0, max(1, len(one)), length):
                yield b, one if len(one) <= length else one[first : first + length]

    def all_steps(self, T: int, B: int) -> int:
        """How many steps of one column the chunks take together."""
        return self.steps(T) + ((B - 1) * self[self.sequence < 0].steps(T) if B > 1 else 0)

    def steps(self, T: int) -> int:
        """How many steps of one column all of them take together."""
        return len(self) * (T + 1) - self.starts

    @cached_property
    def starts(self) -> int:
        """The sum of the steps at which they start."""
        return int(self.start.sum())


@lru_cache(REMEMBERED)
def layout_of(variant: Variant, D: int, H: int) -> Layout:
    """The layout of a cell; those asked for last are kept, with what was found of them."""
    return Layout(variant, D, H)


def columns(layout: Layout, T: int, B: int, names: Sequence[str], owner: Array, within: Array) -> Columns:
    """Entry ``within[n]`` (a flat index) of block ``names[owner[n]]``, for each n, in the order in which they act.

    Which they are depends on no number of the point; of few entries they are kept, for whoever sweeps there again.

    Raises
    ------
    KeyError
        For a block that the cell does not have.
    """
    if len(owner) > FEW:
        return _columns(layout, T, B, names, owner, within)
    index = [np.asarray(places, np.intp).tobytes() for places in (owner, within)]
    return _few_columns(layout, T, B, tuple(names), *index)


@lru_cache(REMEMBERED)
def _few_columns(layout: Layout, T: int, B: int, names: tuple[str, ...], owner: bytes, within: bytes) -> Columns:
    return _columns(layout, T, B, names, np.frombuffer(owner, np.intp), np.frombuffer(within, np.intp))


def _columns(layout: Layout, T: int, B: int, names: Sequence[str], owner: Array, within: Array) -> Columns:
    size = len(owner)
    key, row, source = (np.zeros(size, np.intp) for _ in range(3))
    start, sequence = np.ones(size, np.intp), np.full(size, -1, np.intp)
    for place, name in enumerate(names):
        mine = np.flatnonzero(owner == place) if len(names) > 1 else np.arange(size)
        if not len(mine):
            continue
        flat = within[mine]
        if name[:2] in ("W_", "b_", "p_"):
            key[mine], row[mine], source[mine] = _weight(layout, name, flat)
            continue
        node = name.removesuffix("(t)")
        width = layout.D if name == "x" else layout.H
        t, rest = np.divmod(flat, B * width) if name == "x" or name.endswith("(t)") else (0 * flat, flat)
        sequence[mine], row[mine] = np.divmod(rest, width)
        start[mine] = t + 1
        key[mine] = FIRST_TIMED + (t + 1) * len(NODES) + _node(name, node)
    order = np.argsort(key, kind="stable")
    return Columns(order, key[order], row[order], source[order], start[order], sequence[order])


def _node(name: str, node: str) -> int:
    if node not in NODES:
        raise KeyError(f"the cell has no block {name}")
    return NODES.index(node)


def _weight(layout: Layout, name: str, flat: Array) -> tuple[int, Array, Array]:
    kind, k = name[0], name[2]
    if k not in layout.z:
        raise KeyError(f"the cell {layout.variant.name} has no block {name}")
    z, at = layout.z[k], layout.at
    if kind == "b":
        return FROM_STATE, z + flat, np.full(len(flat), at["1"])
    if kind == "p":
        return (FROM_MEMORY_NOW if k == "o" else FROM_STATE), z + flat, at["s"] + flat
    j = name[3]
    cell, column = np.divmod(flat, layout.D if j == "x" else layout.H)
    return (FROM_X, z + cell, column) if j == "x" else (FROM_STATE, z + cell, at[j] + column)


def in_chunks(
    every: Columns,
    run: Callable[[int, Columns], Array],
    *,
    T: int,
    B: int,
    length: int,
    jobs: int,
    on_steps: Callable[[int, int], None],
) -> Iterator[tuple[int, Columns, Array]]:
    """Run all chunks, over ``jobs`` threads where more than one; each with its sequence and what came of it, in order.

    NumPy lets go of the interpreter while it computes, so that threads do run side by side.
    """
    done, total = 0, every.all_steps(T, B)
    for b, chunk, values in _run(every.chunks(B, length), run, jobs):
        yield b, chunk, values
        done += chunk.steps(T)
        on_steps(done, total)


def _run(
    chunks: Iterator[tuple[int, Columns]], run: Callable[[int, Columns], Array], jobs: int
) -> Iterator[tuple[int, Columns, Array]]:
    if jobs == 1:
        yield from ((b, chunk, _worked(run, b, chunk)) for b, chunk in chunks)
        return
    waiting: deque[tuple[int, Columns, Future[Array]]] = deque()
    with ThreadPoolExecutor(jobs) as pool:
        for b, chunk in chunks:
            waiting.append((b, chunk, pool.submit(_worked, run, b, chunk)))
            if len(waiting) > 2 * jobs:
                first, ready, future = waiting.popleft()
                yield first, ready, future.result()
        for first, ready, future in waiting:
            yield first, ready, future.result()


def _worked(run: Callable[[int, Columns], Array], b: int, chunk: Columns) -> Array:
    """One chunk; its rows, cut short of those that have not begun, are worked on where they lie."""
    with unbuffered() if len(chunk) >= LONG else nullcontext():
        return run(b, chunk)
