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

from bptt_check.lstm.activations import activation_named
from bptt_check.lstm.aligned import empty, whole_lines
from bptt_check.lstm.entries import FROM_MEMORY_NOW, FROM_STATE, FROM_X, Columns, Layout, columns, in_chunks, layout_of
from bptt_check.lstm.losses import Loss
from bptt_check.lstm.products import multiply_columns
from bptt_check.lstm.variants import Gate, Variant

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
OnSteps = Callable[[int, int], None]
CHUNK_BYTES = 2**21  # columns at a time: beyond a core's own cache, so that a product has enough of them


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
    run = _Run(setting, layout, kind)
    rows = len(layout.blocks) * H + layout.at["1"] + 4 * H
    length = whole_lines(chunk_bytes // (rows * kind.itemsize), kind, beside=1)
    result, alone = np.zeros(len(owner), kind), np.zeros(B, kind)
    one = lambda b, chunk: run.sequence(b, chunk, offsets[chunk.order])  # noqa: E731
    for b, chunk, values in in_chunks(every, one, T=T, B=B, length=length, jobs=jobs, on_steps=on_steps):
        alone[b] = values[0]
        result[chunk.order] += values[1:]
    lone = every.sequence >= 0  # the others of the batch are as they were
    result[every.order[lone]] += alone.sum() - alone[every.sequence[lone]]
    return result


def refuse_whole(loss: Loss) -> None:
    """Raise ``ValueError`` for a loss that cannot be taken step by step."""
    if type(loss) is not Loss:
        raise ValueError(f"the loss {loss.name} is not given as a sum over steps and sequences")


class _Run:
    """What all chunks share: matrices with their columns signed as the gates want them, and z without recurrence."""

    def __init__(self, setting: Setting, layout: Layout, kind: Any) -> None:
        variant, point = setting.variant, {name: a.astype(kind) for name, a in setting.point.items()}
        self.variant, self.layout, self.kind, self.point = variant, layout, kind, point
        self.T, self.B, _, self.H = setting.shape
        gates = len(variant.gates) * self.H
        rows = gates + self.H
        self.sign = np.where(np.arange(rows) < gates, -1, 1).astype(kind)  # gates take −z: σ(z) = 1 / (1 + exp(−z))
        weights = {name: a for name, a in point.items() if name.startswith("W_")}
        self.Wx = self.sign[:, None] * layout.matrix(weights, "x")
        ones = np.zeros((rows, 1), kind)
        self.W = np.concatenate([*(self.sign[:, None] * layout.matrix(weights, j) for j in layout.seen), ones], axis=1)
        bias = self.sign * np.concatenate([point[f"b_{k}"] for k in layout.blocks])
        self.base = point["x"] @ self.Wx.T + bias                           # (T, B, rows of z), no recurrence
        for k in layout.blocks:
            if f"z_{k}(t)" in point:
                z = slice(layout.z[k], layout.z[k] + self.H)
                self.base[..., z] += self.sign[z] * point[f"z_{k}(t)"]
        self.peephole = {k: (self.sign[layout.z[k]] * point[f"p_{k}"])[:, None] for k in variant.peepholed}
        self.nudges = {k: point[f"{k}(t)"] for k in "gifosh" if f"{k}(t)" in point and point[f"{k}(t)"].any()}
        self.loss, self.y, self.weights = setting.loss, setting.y.astype(kind), setting.loss.weights
        self.slab = {k: slice(first, first + self.H) for k, first in layout.at.items()}
        self.zslab = {k: slice(first, first + self.H) for k, first in layout.z.items()}

    def sequence(self, b: int, chunk: Columns, offsets: Array) -> Array:
        """The loss of sequence b: first unperturbed, then of each column."""
        return _Columns(self, b, chunk, offsets.astype(self.kind)).losses()


class _Columns:
    """One chunk of copies of one sequence on its way through time."""

    def __init__(self, run: _Run, b: int, chunk: Columns, offsets: Array) -> None:
        self.run, self.b, self.chunk, self.offsets = run, b, chunk, offsets
        layout, self.N = run.layout, len(chunk) + 1
        self.A = empty((max(layout.at.values()) + run.H, self.N), run.kind)
        self.Z = empty((len(run.sign), self.N), run.kind)
        for name in layout.carried:
            self.A[run.slab[name], 0] = run.point[f"{name}0"][b]
        self.A[layout.at["1"]] = 1
        self.timed = chunk.timed
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

    def losses(self) -> Array:
        run, b, A = self.run, self.b, self.A
        flat_A, flat_Z = A.reshape(-1), self.Z.reshape(-1)
        W = run.W.copy()
        output = activation_named(run.variant.output_activation)
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
                W[:, run.layout.at["1"]] = run.base[t - 1, b]
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
                gate = self.gates(t, n)
                g = Z[run.zslab["g"]]
                if run.variant.input_activation == "tanh":
                    np.tanh(g, out=g)                                        # as F3
                self.nudged("g", t, g)
                i, f = gate.get("i"), gate.get("f")
                if i is not None:
                    g *= i
                if f is not None:
                    s *= f
                s += g                                                       # as F7
                self.nudged("s", t, s)
                o = self.output_gate(t, n, s, flat_A, flat_Z)
                if output.name == "tanh":
                    a = np.tanh(s, out=g)
                else:
                    a = output.function(s)
                if o is None:
                    h[...] = a
                else:
                    np.multiply(a, o, out=h)                                 # as F8
                self.nudged("h", t, h)
                if run.variant.gate_recurrence:
                    for k, value in (("i", i), ("f", f), ("o", o)):
                        A[run.slab[k], :n] = 1 if value is None else value
                self.counted(t, h, total[:n])
        return total

    def moved_initial(self) -> None:
        for node, where in self.timed.get(1, ()):
            if node.endswith("0"):
                rows = self.run.layout.at[node[0]] + self.chunk.row[where]
                self.A[rows, np.arange(where.start, where.stop) + 1] += self.offsets[where]

    def moved_z(self, t: int) -> None:
        run = self.run
        for node, where in self.timed.get(t, ()):
            if node == "x":
                self.Z[:, where.start + 1 : where.stop + 1] += run.Wx[:, self.chunk.row[where]] * self.offsets[where]
            elif node[:2] == "z_":
                rows = run.layout.z[node[2]] + self.chunk.row[where]
                self.Z[rows, np.arange(where.start, where.stop) + 1] += run.sign[rows] * self.offsets[where]

    def nudged(self, node: str, t: int, value: Array, sign: int = 1) -> None:
        """Interventions: those of the point on every column, those of the columns each on its own."""
        if node in self.run.nudges:
            value += sign * self.run.nudges[node][t - 1, self.b][:, None]
        for name, where in self.timed.get(t, ()):
            if name == node:
                columns = np.arange(where.start, where.stop) + 1
                value[self.chunk.row[where], columns] += sign * self.offsets[where]

    def gates(self, t: int, n: int) -> dict[str, Array]:
        """The gates i and f, where they are not 1 (F4, F5), and o too where it does not look at s(t)."""
        run, Z = self.run, self.Z[:, :n]
        learned = [k for k in run.variant.gates if k != "o" or "o" not in run.peephole]
        rows = Z[: len(learned) * run.H]
        np.exp(rows, out=rows)
        gate: dict[str, Array] = {}
        coupled = run.variant.forget_gate is Gate.COUPLED and "i" in learned
        if coupled:       # 1 − σ(z) = exp(−z) σ(z)
            np.minimum(rows[: run.H], np.finfo(run.kind).max / 8, out=rows[: run.H])
            gate["f"] = rows[: run.H].copy()
        rows += 1
        np.reciprocal(rows, out=rows)
        for k in learned:
            gate[k] = Z[run.zslab[k]]
        if coupled:
            gate["f"] *= gate["i"]
            self.nudged("i", t, gate["f"], sign=-1)
        for k in ("i", "f"):
            if k in gate:
                self.nudged(k, t, gate[k])
        return gate

    def output_gate(self, t: int, n: int, s: Array, flat_A: Array, flat_Z: Array) -> Array | None:
        """The gate o (F6); where it looks at s(t) it waits for it."""
        run = self.run
        if "o" not in run.zslab:
            return None
        o = self.Z[run.zslab["o"], :n]
        if "o" in run.peephole:
            o += run.peephole["o"] * s                                       # as F2, peephole
            if len(self.to_now):
                flat_Z[self.to_now] += self.signed[self.now] * flat_A[self.from_now]
            np.exp(o, out=o)
            o += 1
            np.reciprocal(o, out=o)
        self.nudged("o", t, o)
        return o

    def counted(self, t: int, h: Array, total: Array) -> None:
        """L1, L2: l(t) of every column."""
        run = self.run
        weight = None if run.weights is None else run.weights[t - 1, self.b].astype(run.kind)
        if weight is None or weight != 0:
            terms = run.loss.terms(h.T[:, None, None, :], run.y[t - 1, self.b])[:, 0, 0]
            total += terms if weight is None else weight * terms
