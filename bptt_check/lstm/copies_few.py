"""The copies of copies.py where there are so few that NumPy's calls cost more than their numbers.

All that no step waits for is had for all steps at once: what comes of x, of the biases and of moved entries of either,
and the loss of all h(t). A step adds what comes of the states, and turns z into h. Every copy runs from the first step
on, and is like the unperturbed one until its entry acts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.copies_step import Run, Step
from bptt_check.lstm.entries import FIRST_TIMED, FROM_MEMORY_NOW, FROM_X, Columns, Layout

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Plan:
    """Which columns act where, by shapes alone. ``entries`` of a kind are places among the columns.

    ``row``: of lasting columns the row of z that they act on. ``known``, ``state``, ``now``: entries, where they act,
    and what they see. The first act at all steps, (T, entries) places in all of z, and see [x(t), 1]; the others act in
    z of one step, and see the states of the step before, or of the same. ``initial``: entries and places among the
    first states. ``x`` and ``z``: entries and places in all of z, for x as many as z has rows, (entries, rows).
    """

    row: Array
    known: tuple[Array, Array, Array]
    state: tuple[Array, Array, Array]
    now: tuple[Array, Array, Array]
    initial: tuple[Array, Array]
    x: tuple[Array, Array]
    z: tuple[Array, Array]


def plan_of(layout: Layout, chunk: Columns, T: int) -> Plan:
    """The plan of a chunk, kept with it."""
    if (plan := chunk.worked_out.get("few")) is None:
        plan = chunk.worked_out["few"] = _plan(layout, chunk, T)
    return plan


def _plan(layout: Layout, chunk: Columns, T: int) -> Plan:
    N, key, row, source = len(chunk) + 1, chunk.key, chunk.row, chunk.source
    column, rows, steps = np.arange(1, N), len(layout.blocks) * layout.H, np.arange(T)[:, None]
    first = np.zeros(N - 1, np.intp)  # the first row of the block that a timed entry belongs to
    kinds: dict[str, list[Array]] = {"initial": [], "x": [], "z": []}
    for node, mine in chunk.once.items():
        kinds.setdefault("initial" if node.endswith("0") else node[0], []).append(mine)
        first[mine] = layout.at[node[0]] if node.endswith("0") else layout.z[node[2]] if node[0] == "z" else 0
    initial, x, z = (np.concatenate([np.zeros(0, np.intp), *kinds[kind]]) for kind in ("initial", "x", "z"))
    place, before = (first + row) * N + column, (chunk.start - 1) * rows * N
    lasting, now = key < FIRST_TIMED, key == FROM_MEMORY_NOW
    known = (key == FROM_X) | (lasting & ~now & (source == layout.at["1"]))
    of_known, of_state, of_now = (np.flatnonzero(w) for w in (known, lasting & ~known & ~now, now))
    sees = np.where(key == FROM_X, source, layout.D)[of_known]
    return Plan(
        row=row[lasting],
        known=(of_known, steps * rows * N + place[of_known], steps * (layout.D + 1) + sees),
        state=(of_state, place[of_state], (source * N + column)[of_state]),
        now=(of_now, place[of_now], (source * N + column)[of_now]),
        initial=(initial, place[initial]),
        x=(x, (before + column)[x, None] + np.arange(rows) * N),
        z=(z, (before + place)[z]),
    )


class Few(Step):
    """Copies of one sequence, few enough to hold z of all their steps."""

    def __init__(self, run: Run, b: int, chunk: Columns, offsets: Array) -> None:
        super().__init__(run, b, chunk, offsets, far=True)
        self.plan = plan = plan_of(run.layout, chunk, run.T)
        self.signed = run.sign[plan.row] * offsets[: len(plan.row)]
        self.Z = self.without_states()                                       # (T, rows of z, N)
        self.A = np.empty((run.T + 1, max(run.layout.at.values()) + run.H, self.N), run.kind)
        for name in run.layout.carried:
            self.A[0, run.slab[name]] = run.point[f"{name}0"][b][:, None]
        self.flat_A, self.flat_Z = self.A.reshape(run.T + 1, -1), self.Z.reshape(run.T, -1)
        entries, to = plan.initial
        if len(entries):
            self.flat_A[0, to] += offsets[entries]
        self.t = 0

    def without_states(self) -> Array:
        """What z is without what comes of the states, for all steps."""
        run, plan, offsets = self.run, self.plan, self.offsets
        Z = np.empty((run.T, len(run.W), self.N), run.kind)
        Z[...] = run.base[:, self.b, :, None]
        flat = Z.reshape(-1)
        entries, to, sees = plan.known
        if len(entries):
            seen = np.ones((run.T, run.layout.D + 1), run.kind)
            seen[:, :-1] = run.point["x"][:, self.b]
            flat[to] += seen.reshape(-1)[sees] * self.signed[entries]
        entries, to = plan.x
        if len(entries):
            flat[to] += run.Wx.T[self.chunk.row[entries]] * offsets[entries, None]
        entries, to = plan.z
        if len(entries):
            flat[to] += run.sign[to // self.N % len(run.W)] * offsets[entries]
        return Z

    def losses(self) -> Array:
        """The loss of the sequence: first unperturbed, then of each column."""
        run = self.run
        entries, to, sees = self.plan.state
        signed, of_state, seen = self.signed[entries], np.empty_like(self.Z[0]), run.W.shape[1]
        s, h = run.slab["s"], run.slab["h"]
        with np.errstate(over="ignore", under="ignore"):
            for t in range(1, run.T + 1):
                self.t, Z, before, A = t, self.Z[t - 1], self.A[t - 1], self.A[t]
                Z += np.matmul(run.W, before[:seen], out=of_state)           # as F1, F2
                if len(to):
                    self.flat_Z[t - 1][to] += signed * self.flat_A[t - 1][sees]
                for k in ("i", "f"):
                    if k in run.peephole:
                        Z[run.zslab[k]] += run.peephole[k] * before[s]       # as F2, peephole
                gate = self.through(t, Z, before[s], A[s], A[h])             # as F3–F8
                if run.variant.gate_recurrence:
                    for k in "ifo":
                        A[run.slab[k]] = gate.get(k, 1)
            return self.counted()

    def moved_now(self) -> None:
        """Peephole weights of the gate o, which see s(t)."""
        entries, to, sees = self.plan.now
        if len(entries):
            self.flat_Z[self.t - 1][to] += self.signed[entries] * self.flat_A[self.t][sees]

    def counted(self) -> Array:
        """L1, L2: the loss of every column."""
        run = self.run
        h = self.A[1:, run.slab["h"]].transpose(2, 0, 1)[:, :, None]         # (N, T, 1, H)
        terms = run.loss.terms(h, run.y[:, self.b, None])                    # (N, T, 1)
        if run.weights is not None:
            terms = terms * run.weights[:, self.b, None].astype(run.kind)
        return np.asarray(terms.sum(axis=(1, 2)))
