"""Losses of many perturbed copies of one cell at once: a column a copy, and one matrix product a step for all of them.

This is forward.py laid out for speed: features below each other, copies side by side, so that a gate of all copies is
one contiguous slab. What a copy differs in is added where it acts: for a weight δ × what its column saw, on one row of
z at every step; for everything else one entry at one step. Column 0 is not perturbed; a copy that begins to act at step
t is taken from it there and shares what came before. The sequences of a batch do not see each other and are run one
after the other, so that a copy with one entry of one sequence moved costs one sequence.

The equations are those of forward.py, and properties/test_sweep.py holds the two against each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.aligned import empty, whole_lines
from bptt_check.lstm.copies_few import Few
from bptt_check.lstm.copies_step import Run, Step
from bptt_check.lstm.entries import FROM_MEMORY_NOW, FROM_STATE, FROM_X, Columns, Layout, columns, in_chunks, layout_of
from bptt_check.lstm.losses import Loss
from bptt_check.lstm.nearby import worth
from bptt_check.lstm.products import multiply_columns
from bptt_check.lstm.variants import Variant

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
OnSteps = Callable[[int, int], None]
CHUNK_BYTES = 2**22  # columns at a time: beyond a core's own cache, so that a product has enough of them
FEW_NUMBERS = 2**16  # z of all copies and steps up to which all that can be is had for all steps at once


def untold(done: int, total: int) -> None:
    """Tell nobody how far it is."""


@dataclass(frozen=True)
class Setting:
    """A cell at a point, and a loss with its targets ``y`` (T, B, H). The point may hold interventions."""

    variant: Variant
    point: Point
    loss: Loss
    y: Array

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, B, D, H."""
        T, B, D = self.point["x"].shape
        return T, B, D, self.point["s0"].shape[-1]

    @property
    def layout(self) -> Layout:
        """The rows of its columns."""
        _, _, D, H = self.shape
        return layout_of(self.variant, D, H)


def losses(
    setting: Setting,
    names: Sequence[str],
    owner: Array,
    within: Array,
    offsets: Array,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    jobs: int = 1,
    on_steps: OnSteps = untold,
) -> Array:
    """The loss with one entry moved, for each n: entry ``within[n]`` of block ``names[owner[n]]`` by ``offsets[n]``.

    Parameters
    ----------
    names: blocks: weights, ``"x"``, initial states, ``"□(t)"`` for interventions.
    owner, within, offsets: (n,); ``within`` are flat indices, ``offsets`` real.
    chunk_bytes: working memory beyond a few numbers for each entry.
    jobs: threads that chunks are shared out among, each with that much memory.
    on_steps: called now and then with the steps of columns done and to do.

    Returns
    -------
    Array
        (n,), in the type that point and offsets have together.

    Raises
    ------
    KeyError
        For a block that the cell does not have.
    ValueError
        For a loss that is not a sum over steps and sequences.
    """
    refuse_whole(setting.loss)
    T, B, _, H = setting.shape
    layout = setting.layout
    kind = np.result_type(offsets, *setting.point.values())
    every = columns(layout, T, B, names, owner, within)
    run = Run(setting, layout, kind)
    rows = len(layout.blocks) * H + layout.at["1"] + 4 * H + (2 * len(layout.blocks) * H if worth(kind) else 0)
    few = (len(owner) + 1) * len(run.W) * T <= FEW_NUMBERS
    length = whole_lines(chunk_bytes // (rows * kind.itemsize), kind, beside=1)
    result, alone = np.zeros(len(owner), kind), np.zeros(B, kind)
    width = Few if few else Many
    one = lambda b, chunk: width(run, b, chunk, offsets[chunk.order].astype(kind, copy=False)).losses()  # noqa: E731
    for b, chunk, values in in_chunks(every, one, T=T, B=B, length=length, jobs=jobs, on_steps=on_steps):
        alone[b] = values[0]
        result[chunk.order] += values[1:]
    if B > 1:
        lone = every.sequence >= 0  # the others of the batch are as they were
        result[every.order[lone]] += alone.sum() - alone[every.sequence[lone]]
    return result


def refuse_whole(loss: Loss) -> None:
    """Raise ``ValueError`` for a loss that cannot be taken step by step."""
    if type(loss) is not Loss:
        raise ValueError(f"the loss {loss.name} is not given as a sum over steps and sequences")


class Many(Step):
    """One chunk of copies of one sequence on its way through time."""

    def __init__(self, run: Run, b: int, chunk: Columns, offsets: Array) -> None:
        super().__init__(run, b, chunk, offsets)
        layout = run.layout
        self.A = empty((max(layout.at.values()) + run.H, self.N), run.kind)
        self.Z = empty((len(run.W), self.N), run.kind)
        for name in layout.carried:
            self.A[run.slab[name], 0] = run.point[f"{name}0"][b]
        self.A[layout.at["1"]] = 1
        self.started = 1 + np.searchsorted(chunk.start, np.arange(run.T + 2), side="right")
        lasting = chunk.lasting
        x, self.state, self.now = lasting[FROM_X], lasting[FROM_STATE], lasting[FROM_MEMORY_NOW]
        column = np.arange(1, self.N)
        target = chunk.row * self.N + column
        last = chunk.key < 3
        self.signed = offsets * np.where(last, run.sign[np.where(last, chunk.row, 0)], 1)
        self.x, self.to_x, self.columns_x = x, target[x], chunk.source[x]
        self.to_state, self.from_state = target[self.state], (chunk.source * self.N + column)[self.state]
        self.to_now, self.from_now = target[self.now], (chunk.source * self.N + column)[self.now]
        self.flat_A, self.flat_Z = self.A.reshape(-1), self.Z.reshape(-1)

    def losses(self) -> Array:
        """The loss of the sequence: first unperturbed, then of each column."""
        run, b, A, flat_A, flat_Z = self.run, self.b, self.A, self.flat_A, self.flat_Z
        W = np.concatenate([run.W, np.empty((len(run.W), 1), run.kind)], axis=1)  # and what comes of x, for the ones
        total, before = np.zeros(self.N, run.kind), 1
        with np.errstate(over="ignore", under="ignore"):
            for t in range(1, run.T + 1):
                n = int(self.started[t])
                if n > before:
                    A[:, before:n] = A[:, :1]
                    total[before:n] = total[0]
                    before = n
                    if t == 1:
                        self.moved_initial()
                Z = self.Z[:, :n]
                W[:, -1] = run.base[t - 1, b]
                multiply_columns(W, A[: W.shape[1], :n], Z)                  # as F1, F2
                if len(self.to_x):
                    flat_Z[self.to_x] += self.signed[self.x] * run.point["x"][t - 1, b][self.columns_x]
                if len(self.to_state):
                    flat_Z[self.to_state] += self.signed[self.state] * flat_A[self.from_state]
                s, h = A[run.slab["s"], :n], A[run.slab["h"], :n]
                for k in ("i", "f"):
                    if k in run.peephole:
                        Z[run.zslab[k]] += run.peephole[k] * s               # as F2, peephole
                self.moved_z(t)
                gate = self.through(t, Z, s, s, h)                           # as F3–F8
                if run.variant.gate_recurrence:
                    for k in "ifo":
                        A[run.slab[k], :n] = gate.get(k, 1)
                self.counted(t, h, total[:n])
        return total

    def moved_initial(self) -> None:
        """Columns that start with an initial state of their own."""
        for node, where in self.timed.get(1, ()):
            if node.endswith("0"):
                rows = self.run.layout.at[node[0]] + self.chunk.row[where]
                self.A[rows, np.arange(where.start, where.stop) + 1] += self.offsets[where]

    def moved_z(self, t: int) -> None:
        """Columns that have an x(t) or a z(t) of their own."""
        run = self.run
        for node, where in self.timed.get(t, ()):
            if node == "x":
                self.Z[:, where.start + 1 : where.stop + 1] += run.Wx[:, self.chunk.row[where]] * self.offsets[where]
            elif node[:2] == "z_":
                rows = run.layout.z[node[2]] + self.chunk.row[where]
                self.Z[rows, np.arange(where.start, where.stop) + 1] += run.sign[rows] * self.offsets[where]

    def moved_now(self) -> None:
        """Peephole weights of the gate o, which see s(t)."""
        if len(self.to_now):
            self.flat_Z[self.to_now] += self.signed[self.now] * self.flat_A[self.from_now]

    def counted(self, t: int, h: Array, total: Array) -> None:
        """L1, L2: l(t) of every column."""
        run = self.run
        weight = None if run.weights is None else run.weights[t - 1, self.b].astype(run.kind)
        if weight is None or weight != 0:
            terms = run.loss.terms(h.T[:, None, None, :], run.y[t - 1, self.b])[:, 0, 0]
            total += terms if weight is None else weight * terms
