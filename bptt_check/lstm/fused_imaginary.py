"""Complex steps along whole directions, in real arithmetic, several at once on one fused forward pass.

Weights, inputs and initial states are moved by i·v, v tiny. What products of two imaginary parts put on the real part
lies far below its last digit (v² beside 1), so that the real part of every copy is that of the unperturbed pass, and
is computed once. The imaginary parts go through the operations of forward.py in the algebra of complex numbers to that
order: Im(uw) = Im u · Re w + Re u · Im w, and by the addition theorem tanh(u + iv) = (tanh u + i tan v) / (1 + i tanh u
tan v), so that Im tanh = v (1 − tanh² u); σ(z) is ½ + ½ tanh(z/2) here as in the pass itself. imaginary.py does the
same for moves of single entries.

Directions share the product by the recurrent weights, which is one product of more rows; what does not depend on the
step before is one product for many steps. It takes nothing from the backward pass or its slopes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bptt_check.lstm.fused import Tape
from bptt_check.lstm.fused_memory import Memory
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]
ROWS = 512  # rows (steps × sequences) whose products with the moved weights are had at a time
TINY = 1e-12  # largest imaginary part, in units of the largest entry of its block


def imaginary_outputs(tape: Tape, along: Sequence[Mapping[str, Array]]) -> Array:
    """Im h(1 … T), (directions, T, B, H), with the point moved along each of the directions times i.

    Parameters
    ----------
    tape: the unperturbed forward pass, as :meth:`~bptt_check.lstm.fused.LSTM.forward` returns it.
    along: by name, weights and ``"x"`` (T, B, D), ``"h0"``, ``"s0"`` (B, H); what is left out does not move. The result
        is linear in them, so that their scale is free.

    Raises
    ------
    KeyError
        For a name that the cell does not have.
    """
    m = tape._memory
    known = {*m.places, "x", "h0", "s0"}
    unknown = sorted({name for v in along for name in v} - known)
    if unknown:
        raise KeyError(f"the cell {m.variant.name} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}")
    return _Imaginary(m, along).outputs()


class _Imaginary:
    """The imaginary parts of all directions on their way through time."""

    def __init__(self, m: Memory, along: Sequence[Mapping[str, Array]]) -> None:
        self.m, self.along, self.count = m, along, len(along)
        self.moves_x = any("x" in v for v in along)
        self.still = not any(name in v for v in along for name in m.places)  # no weight moves
        n, H, D, K = len(m.blocks), m.H, m.D, m.H + m.D + 1
        self.vW = np.zeros((self.count, K + D * self.moves_x, n * H), m.kind)  # what [h, x, 1, Im x] is multiplied by
        self.vp = np.zeros((self.count, n, H), m.kind)
        for v, turned, peepholes in zip(along, self.vW, self.vp, strict=True):
            for name, place in m.named(turned[:K].T, peepholes).items():
                if name in v:
                    place[...] = v[name]
            turned[K:] = m.packed[:, H : H + D].T[: len(turned) - K]
        self.recurrent = np.ascontiguousarray(m.packed[:, :H].T)
        self.steps = max(1, min(m.T, ROWS // m.B))

    def outputs(self) -> Array:
        m, count = self.m, self.count
        vh = np.empty((count, m.T, m.B, m.H), m.kind)
        s, seen = self._initial("s0"), self._initial("h0" if m.variant.feedback == "h" else "s0")
        inputs = np.empty((self.steps * m.B, self.vW.shape[1]), m.kind)
        vz = np.empty((count, self.steps, m.B, len(m.blocks) * m.H), m.kind)
        moved = np.empty((count, m.B, vz.shape[-1]), m.kind)
        for first in range(0, m.T, self.steps):
            last = min(m.T, first + self.steps)
            self._inputs_moved(first, last, inputs, vz)
            for t in range(first, last):
                np.dot(seen.reshape(-1, m.H), self.recurrent, out=moved.reshape(count * m.B, -1))
                moved += vz[:, t - first]                                 # (B, n H)  as F1, F2
                self._step(t, moved.reshape(count, m.B, -1, m.H), s, vh[:, t])
                seen = vh[:, t] if m.variant.feedback == "h" else s
        return vh

    def _initial(self, name: str) -> Array:
        return np.stack([np.broadcast_to(v.get(name, 0.0), (self.m.B, self.m.H)) for v in self.along]).astype(
            self.m.kind
        )

    def _inputs_moved(self, first: int, last: int, inputs: Array, vz: Array) -> None:
        """What the weights and x move in z at some steps, before anything that comes from the step before."""
        m, K, rows = self.m, self.m.H + self.m.D + 1, (last - first) * self.m.B
        start = K if self.still else 0
        if not self.still:
            inputs[:rows, :K] = m.seen[first:last].reshape(rows, K)
        for v, weights, into in zip(self.along, self.vW, vz, strict=True):
            if self.moves_x:
                inputs[:rows, K:] = v["x"][first:last].reshape(rows, -1) if "x" in v else 0
            np.dot(inputs[:rows, start:], weights[start:], out=into[: last - first].reshape(rows, -1))

    def _step(self, t: int, vz: Array, vs: Array, vh: Array) -> None:
        """One step of all directions: ``vz`` (directions, B, n, H), ``vs`` that of s(t−1), becoming that of s(t)."""
        m, at, variant, now = self.m, self.m.at, self.m.variant, self.m.tape[t]
        before, after, g, a = now[at["s"]], m.tape[t + 1, at["s"]], now[at["g"]], m.a(t, t + 1)[0]
        for k in ("i", "f"):
            if k in variant.peepholed:
                vz[:, :, at[k]] += self.vp[:, None, at[k]] * before + m.peepholes[at[k]] * vs  # as F2, peephole
        vg = vz[:, :, at["g"]]
        if variant.input_activation == "tanh":
            vg *= m.one - g * g                                           # (B, H)  as F3
        vi, vf = self._gate("i", now, vz), self._gate("f", now, vz)
        if variant.forget_gate is Gate.COUPLED and vi is not None:
            vs *= m.one - now[at["i"]]
            vs -= before * vi                                             # (B, H)  as F5, F7
        elif vf is not None:
            vs *= now[at["f"]]
            vf *= before
            vs += vf                                                      # (B, H)  as F7
        if vi is not None:
            vg *= now[at["i"]]
            vi *= g
            vg += vi
        vs += vg                                                          # (B, H)  as F7
        if "o" in variant.peepholed:
            vz[:, :, at["o"]] += self.vp[:, None, at["o"]] * after + m.peepholes[at["o"]] * vs  # as F2, peephole
        vo = self._gate("o", now, vz)
        np.multiply(vs, m.one - a * a if variant.output_activation == "tanh" else m.one, out=vh)
        if vo is not None:
            vh *= now[at["o"]]
            vo *= a
            vh += vo                                                      # (B, H)  as F8

    def _gate(self, k: str, now: Array, vz: Array) -> Array | None:
        """Im of a learned gate, in place of that of its z: Im z (1 − tanh²(z/2)) / 4, tanh(z/2) = 2 k − 1  as F4–F6."""
        if k not in self.m.gates:
            return None
        slot, gate = self.m.at[k], now[self.m.at[k]]
        view: Array = vz[:, :, slot]
        view *= gate * (self.m.one - gate)
        return view
