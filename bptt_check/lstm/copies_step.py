"""A step of perturbed copies from z to h, a column a copy, and what all copies of a cell share.

Used by the passes of copies.py, for many copies and for few.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bptt_check.lstm.activations import activation_named
from bptt_check.lstm.entries import Columns, Layout
from bptt_check.lstm.nearby import Nearby
from bptt_check.lstm.variants import Gate

if TYPE_CHECKING:
    from bptt_check.lstm.copies import Setting

Array = np.ndarray[Any, Any]


class Run:
    """What all copies share: matrices with their rows signed as the gates want them, and z without recurrence."""

    def __init__(self, setting: Setting, layout: Layout, kind: Any) -> None:
        variant, point = setting.variant, {name: a.astype(kind, copy=False) for name, a in setting.point.items()}
        self.variant, self.layout, self.kind, self.point = variant, layout, kind, point
        self.T, self.B, _, self.H = setting.shape
        gates = len(variant.gates) * self.H
        self.sign = np.ones(gates + self.H, kind)  # gates take −z: σ(z) = 1 / (1 + exp(−z))
        self.sign[:gates] = -1
        self.Wx = self.sign[:, None] * layout.matrix(point, "x")
        self.W = self.sign[:, None] * layout.matrices(point)                # (rows of z, rows seen of step t−1)
        bias = self.sign * np.concatenate([point[f"b_{k}"] for k in layout.blocks])
        self.base = point["x"] @ self.Wx.T + bias                           # (T, B, rows of z), no recurrence
        for k in layout.blocks:
            if f"z_{k}(t)" in point:
                z = layout.zslab[k]
                self.base[..., z] += self.sign[z] * point[f"z_{k}(t)"]
        self.peephole = {k: (self.sign[layout.zslab[k]] * point[f"p_{k}"])[:, None] for k in variant.peepholed}
        self.nudges = {k: point[f"{k}(t)"] for k in "gifosh" if f"{k}(t)" in point and point[f"{k}(t)"].any()}
        self.loss, self.y, self.weights = setting.loss, setting.y.astype(kind, copy=False), setting.loss.weights
        self.slab, self.zslab = layout.slab, layout.zslab


class Step:
    """Columns of one sequence b at a step: ``offsets`` is by how much each entry of ``chunk`` is moved.

    Column 0 is not perturbed, so that entry n stands in column n + 1. ``far``: not to look whether columns lie near it.
    """

    def __init__(self, run: Run, b: int, chunk: Columns, offsets: Array, *, far: bool = False) -> None:
        self.run, self.b, self.chunk, self.offsets = run, b, chunk, offsets
        self.N, self.timed = len(chunk) + 1, chunk.timed
        self.disturbed = bool(run.nudges) or chunk.disturbed
        self.output = activation_named(run.variant.output_activation)
        self.near = Nearby((len(run.variant.blocks) * run.H, self.N), run.kind, far=far)

    def through(self, t: int, Z: Array, before: Array, s: Array, h: Array) -> dict[str, Array]:
        """s(t) and h(t) into ``s`` and ``h``, from ``Z``, which is used up, and s(t−1); the gates are returned.

        ``s`` may be ``before`` itself.
        """
        run = self.run
        gate = self.gates(t, Z)
        g = Z[run.zslab["g"]]
        if run.variant.input_activation == "tanh":
            self.near.tanh(g, g)                                             # as F3
        self.nudged("g", t, g)
        if "i" in gate:
            g *= gate["i"]
        if "f" in gate:
            np.multiply(before, gate["f"], out=s)
            s += g                                                           # as F7
        else:
            np.add(before, g, out=s)                                         # as F7, f = 1
        self.nudged("s", t, s)
        self.output_gate(t, Z, s, gate)
        if self.output.name == "tanh":
            self.near.tanh(s, g)
            a = g
        else:
            a = self.output.function(s)
        if "o" in gate:
            np.multiply(a, gate["o"], out=h)                                 # as F8
        else:
            h[...] = a
        self.nudged("h", t, h)
        return gate

    def gates(self, t: int, Z: Array) -> dict[str, Array]:
        """The gates i and f, where they are not 1 (F4, F5), and o too where it does not look at s(t)."""
        run = self.run
        learned = [k for k in run.variant.gates if k != "o" or "o" not in run.peephole]
        gate = {k: Z[run.zslab[k]] for k in learned}
        if run.variant.forget_gate is Gate.COUPLED and "i" in gate:
            decay = np.minimum(np.exp(gate["i"]), np.finfo(run.kind).max / 8)
            self.near.sigma(Z[: len(learned) * run.H])
            gate["f"] = decay / (1 + decay)                                  # 1 − σ(z), to relative accuracy
            self.nudged("i", t, gate["f"], sign=-1)
        else:
            self.near.sigma(Z[: len(learned) * run.H])
        for k in ("i", "f"):
            if k in gate:
                self.nudged(k, t, gate[k])
        return gate

    def output_gate(self, t: int, Z: Array, s: Array, gate: dict[str, Array]) -> None:
        """The gate o (F6); where it looks at s(t) it waits for it."""
        run = self.run
        if "o" not in run.zslab:
            return
        o = gate["o"] = Z[run.zslab["o"]]
        if "o" in run.peephole:
            o += run.peephole["o"] * s                                       # as F2, peephole
            self.moved_now()
            self.near.sigma(o)
        self.nudged("o", t, o)

    def moved_now(self) -> None:
        """What moved peephole weights of the gate o add to z, from s(t)."""
        raise NotImplementedError

    def nudged(self, node: str, t: int, value: Array, sign: int = 1) -> None:
        """Interventions: those of the point on every column, those of the columns each on its own."""
        if not self.disturbed:
            return
        if node in self.run.nudges:
            value += sign * self.run.nudges[node][t - 1, self.b][:, None]
        for name, where in self.timed.get(t, ()):
            if name == node:
                columns = np.arange(where.start, where.stop) + 1
                value[self.chunk.row[where], columns] += sign * self.offsets[where]
