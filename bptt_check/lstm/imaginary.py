"""Complex steps of many copies of one cell at once, in real arithmetic: a column a copy, as in copies.py.

A copy whose entry is moved by iδ, δ tiny, has a real part and an imaginary part. What products of two imaginary parts
put on the real part lies far below its last digit (δ² beside 1), so that the real part of every copy is that of the
unperturbed pass, and is computed once. The imaginary parts go through forward.py's operations in the algebra of
complex numbers to that order: Im(uv) = Im u · Re v + Re u · Im v, Im tanh(u) = Im u / cosh²(Re u),
Im σ(u) = Im u / (2 + 2 cosh(Re u)). The loss is taken of the complex h(t) as it stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bptt_check.lstm.aligned import empty, full, whole_lines
from bptt_check.lstm.copies import CHUNK_BYTES, OnSteps, Point, Setting, refuse_whole, untold
from bptt_check.lstm.entries import FIRST_TIMED, FROM_MEMORY_NOW, Columns, columns, in_chunks
from bptt_check.lstm.forward import Trace, forward
from bptt_check.lstm.linear import Rules, rules_of
from bptt_check.lstm.linear_few import FEW_NUMBERS, through_time
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.products import multiply_columns
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]
TINY = 1e-12  # largest imaginary offset, in units of the largest entry of its block


def complex_losses(
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
    """As :func:`~bptt_check.lstm.copies.losses`, for offsets that are purely imaginary and tiny; complex values.

    Raises
    ------
    ValueError
        Also for offsets with a real part, or above a share of 1e-12 of their block.
    """
    refuse_whole(setting.loss)
    if offsets.real.any() or not _tiny(setting.point, names, owner, np.abs(offsets.imag)):
        raise ValueError("complex offsets must be purely imaginary and tiny")
    T, B, _, H = setting.shape
    kind = np.result_type(offsets.real, *setting.point.values())
    every = columns(setting.layout, T, B, names, owner, within)
    base = _Base(setting, kind)
    length = whole_lines(chunk_bytes // ((len(setting.layout.blocks) + 8) * H * kind.itemsize), kind)
    result = np.full(len(owner), setting.loss.value(base.h, base.y).astype(offsets.dtype))
    few = len(owner) * len(base.layout.blocks) * H * T <= FEW_NUMBERS
    rules = base.rules() if few else None
    states = [] if few else [base.of_sequence(b) for b in range(B)]

    def one(b: int, chunk: Columns) -> Array:
        imaginary = offsets[chunk.order].imag.astype(kind, copy=False)
        if rules is None:
            return _Chunk(base, states[b], b, chunk, imaginary).losses()
        h = through_time(rules, b, chunk, imaginary)                         # (T, H, N)
        return base.counted(b, h.transpose(2, 0, 1)[:, :, None])

    for _, chunk, values in in_chunks(every, one, T=T, B=B, length=length, jobs=jobs, on_steps=on_steps):
        result[chunk.order] += 1j * values
    return result


def _tiny(point: Point, names: Sequence[str], owner: Array, sizes: Array) -> bool:
    """Whether no offset is beyond so small a share of the largest entry of its block, or of 1 where all are zero."""
    flat = np.abs(np.concatenate([point[name] for name in names], axis=None))
    lengths = np.array([point[name].size for name in names])
    scale, filled = np.zeros(len(names), flat.dtype), lengths > 0
    if len(flat):
        scale[filled] = np.maximum.reduceat(flat, (np.cumsum(lengths) - lengths)[filled])
    scale[scale == 0] = 1
    return not (sizes > TINY * scale[owner]).any()


def trace_of(setting: Setting, kind: Any) -> Trace:
    """The readable forward pass at a setting, the interventions of its point included."""
    point = {name: array.astype(kind, copy=False) for name, array in setting.point.items()}
    nudges = {name[:-3]: array for name, array in point.items() if name.endswith("(t)") and array.any()}

    def nudged(name: str, t: int, value: Array) -> Array:
        return value + nudges[name][t - 1] if name in nudges else value

    weights = Parameters({name: a for name, a in point.items() if name[:2] in ("W_", "b_", "p_")})
    gates0 = {k: point[f"{k}0"] for k in ("i", "f", "o") if f"{k}0" in point}
    return forward(weights, point["x"], point["h0"], point["s0"], variant=setting.variant, gates0=gates0, tap=nudged)


class _Base:
    """The unperturbed pass, and the factors by which an imaginary part goes through each activation, (T, B, …)."""

    def __init__(self, setting: Setting, kind: Any) -> None:
        layout, variant = setting.layout, setting.variant
        self.setting, self.layout, self.variant, self.kind = setting, layout, variant, kind
        self.T, self.B, _, self.H = setting.shape
        self.trace = trace = trace_of(setting, kind)
        self.h, self.y, self.weights = trace.over_time("h"), setting.y.astype(kind, copy=False), setting.loss.weights
        z = np.array([trace.z[k][1:] for k in layout.blocks])                # (blocks, T, B, H)
        with np.errstate(over="ignore"):
            self.factors = 1 / (2 + 2 * np.cosh(z))                          # Im σ
            self.factors[-1] = _through(variant.input_activation, z[-1])     # Im tanh
            self.output = _through(variant.output_activation, trace.over_time("s"))
        self.states = {k: np.array(getattr(trace, k)) for k in ("s", "h", "i", "f", "o")}  # from slot 0
        self.states["g"] = np.array([trace.s[0], *trace.g[1:]])
        self.slab, self.zslab = layout.slab, layout.zslab

    @cached_property
    def W(self) -> Array:
        """All matrices of what is seen of step t−1, (rows of z, rows seen)."""
        return self.layout.matrices(self.trace.weights)

    @cached_property
    def Wx(self) -> Array:
        """And of x, (rows of z, D)."""
        return self.layout.matrix(self.trace.weights, "x")

    @cached_property
    def peephole(self) -> dict[str, Array]:
        """The peephole weights, (H, 1)."""
        return {k: self.trace.weights[f"p_{k}"][:, None] for k in self.variant.peepholed}

    @cached_property
    def factor(self) -> Array:
        """The factors of all z, (T, B, rows of z)."""
        return np.concatenate(list(self.factors), axis=-1)

    def a(self, s: Array) -> Array:
        """a(s)."""
        return np.tanh(s) if self.variant.output_activation == "tanh" else s

    def rules(self) -> Rules:
        """How imaginary parts go through a step: Im(uv) = Im u · Re v + Re u · Im v."""
        value = {k: self.states[k][1:] for k in "gifo"} | {"a": self.a(self.states["s"][1:])}
        slope = {**dict(zip(self.layout.blocks, self.factors, strict=True)), "a": self.output}
        states = {name: self.states[name] for name in self.layout.carried}
        return rules_of(self.layout, self.trace.weights, np.array(self.trace.x[1:]), states, value, slope)

    def counted(self, b: int, h: Array) -> Array:
        """L1, L2: the imaginary part of the loss of sequence b, from that of h (N, T, 1, H); (N,)."""
        complex_h = np.empty(h.shape, np.result_type(self.kind, np.complex64))
        complex_h.real, complex_h.imag = self.h[:, b, None], h
        terms = self.setting.loss.terms(complex_h, self.y[:, b, None]).imag  # (N, T, 1)
        if self.weights is not None:
            terms = terms * self.weights[:, b, None].astype(self.kind)
        return np.asarray(terms.sum(axis=(1, 2)))

    def of_sequence(self, b: int) -> dict[str, Array]:
        """States of one sequence by step, (T+1, H, 1); a(s(t)) as ``"a"``."""
        one = {k: a[:, b, :, None] for k, a in self.states.items()}
        return {**one, "a": self.a(one["s"])}


def _through(activation: str, z: Array) -> Array:
    return 1 / np.cosh(z) ** 2 if activation == "tanh" else np.ones_like(z)


class _Chunk:
    """The imaginary parts of one chunk of copies of one sequence on their way through time."""

    def __init__(self, base: _Base, one: dict[str, Array], b: int, chunk: Columns, offsets: Array) -> None:
        self.base, self.one, self.b, self.chunk, self.offsets = base, one, b, chunk, offsets.astype(base.kind)
        self.timed, self.N = chunk.timed, len(chunk)
        self.started = np.searchsorted(chunk.start, np.arange(base.T + 2), side="right")
        self.A = full((max(base.layout.at.values()) + base.H, self.N), 0, base.kind)
        self.Z = empty((len(base.W), self.N), base.kind)
        lasting = int(np.searchsorted(chunk.key, FIRST_TIMED))
        self.to = chunk.row[:lasting] * self.N + np.arange(lasting)
        at, D = base.layout.at, base.layout.D  # what a column saw: x(t), the states of t−1 with their row of ones, s(t)
        self.sees = chunk.source[:lasting] + np.where(chunk.key[:lasting] == 0, 0, D)
        memory_now = chunk.key[:lasting] == FROM_MEMORY_NOW
        self.sees = np.where(memory_now, D + len(self.A) + chunk.source[:lasting] - at["s"], self.sees)

    def seen(self, t: int) -> Array:
        """All that a column of a matrix can have seen at step t, one below the other."""
        base, b = self.base, self.b
        states = np.ones(len(self.A), base.kind)
        for name in base.layout.carried:
            states[base.slab[name]] = base.states[name][t - 1, b]
        return np.concatenate([base.trace.x[t][b], states, base.states["s"][t, b]])

    def losses(self) -> Array:
        base, one, A = self.base, self.one, self.A
        coupled, total = base.variant.forget_gate is Gate.COUPLED, np.zeros(self.N, base.kind)
        flat_Z, weighted = self.Z.reshape(-1), self.offsets[: len(self.to)]
        for node, where in self.timed.get(1, ()):
            if node.endswith("0"):
                rows = base.layout.at[node[0]] + self.chunk.row[where]
                A[rows, np.arange(where.start, where.stop)] = self.offsets[where]
        for t in range(1, base.T + 1):
            n = int(self.started[t])
            Z, s, h = self.Z[:, :n], A[base.slab["s"], :n], A[base.slab["h"], :n]
            multiply_columns(base.W, A[: base.layout.at["1"], :n], Z)       # as F1, F2
            if len(self.to):
                flat_Z[self.to] += weighted * self.seen(t)[self.sees]
            for k in ("i", "f"):
                if k in base.peephole:
                    Z[base.zslab[k]] += base.peephole[k] * s                # as F2, peephole
            self.moved_z(t)
            factor = base.factor[t - 1, self.b][:, None]
            waiting = base.zslab["o"] if "o" in base.peephole else None
            if waiting is None:
                Z *= factor                                                 # as F3–F6
            else:
                Z[: waiting.start] *= factor[: waiting.start]
                Z[waiting.stop :] *= factor[waiting.stop :]
            g, i, f, o = (Z[base.zslab[k]] if k in base.zslab else None for k in "gifo")
            assert g is not None
            self.nudged("g", t, g)
            if i is not None:
                self.nudged("i", t, i)
            if coupled and i is not None:
                f = -i
            if f is not None:
                self.nudged("f", t, f)
            g *= one["i"][t]
            if i is not None:
                g += one["g"][t] * i
            if f is not None:
                g += one["s"][t - 1] * f
            s *= one["f"][t]
            s += g                                                          # as F7
            self.nudged("s", t, s)
            np.multiply(base.output[t - 1, self.b][:, None] * one["o"][t], s, out=h)
            if o is not None:
                if waiting is not None:
                    o += base.peephole["o"] * s                             # as F2, peephole
                    o *= factor[waiting]                                    # as F6
                self.nudged("o", t, o)
                h += np.multiply(one["a"][t], o, out=g)                     # as F8
            self.nudged("h", t, h)
            if base.variant.gate_recurrence:
                for k, value in (("i", i), ("f", f), ("o", o)):
                    A[base.slab[k], :n] = 0 if value is None else value
            self.counted(t, h, total[:n])
        return total

    def moved_z(self, t: int) -> None:
        base = self.base
        for node, where in self.timed.get(t, ()):
            if node == "x":
                self.Z[:, where] += base.Wx[:, self.chunk.row[where]] * self.offsets[where]
            elif node[:2] == "z_":
                rows = base.layout.z[node[2]] + self.chunk.row[where]
                self.Z[rows, np.arange(where.start, where.stop)] += self.offsets[where]

    def nudged(self, node: str, t: int, value: Array) -> None:
        for name, where in self.timed.get(t, ()):
            if name == node:
                value[self.chunk.row[where], np.arange(where.start, where.stop)] += self.offsets[where]

    def counted(self, t: int, h: Array, total: Array) -> None:
        """L1, L2: the imaginary part of l(t) of every column, from its complex h(t)."""
        base = self.base
        weight = None if base.weights is None else base.weights[t - 1, self.b].astype(base.kind)
        if weight is None or weight != 0:
            complex_h = np.empty(h.shape, np.result_type(base.kind, np.complex64))
            complex_h.real, complex_h.imag = self.one["h"][t], h
            terms = base.setting.loss.terms(complex_h.T[:, None, None, :], base.y[t - 1, self.b])[:, 0, 0].imag
            total += terms if weight is None else weight * terms
