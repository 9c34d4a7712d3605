"""Complex steps of many copies of one cell at once, in real arithmetic: a column a copy, as in copies.py.

A copy whose entry is moved by iδ, δ tiny, has a real part and an imaginary part. What products of two imaginary parts
put on the real part lies far below its last digit (δ² beside 1), so that the real part of every copy is that of the
unperturbed pass, and is computed once. The imaginary parts go through forward.py's operations in the algebra of
complex numbers to that order: Im(uv) = Im u · Re v + Re u · Im v, Im tanh(u) = Im u / cosh²(Re u),
Im σ(u) = Im u / (2 + 2 cosh(Re u)). The loss is taken of complex h(t), one cell of them moved at a time: to that order
its imaginary part is a sum over cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from bptt_check.lstm.aligned import empty, full, whole_lines
from bptt_check.lstm.copies import CHUNK_BYTES, OnSteps, Point, Setting, refuse_whole, untold
from bptt_check.lstm.entries import DISTURBED, FIRST_TIMED, Columns, columns, in_chunks
from bptt_check.lstm.forward import Trace, forward
from bptt_check.lstm.linear import rules_of, seen_by
from bptt_check.lstm.linear_few import FEW_NUMBERS, through_time
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.products import multiply_columns

Array = np.ndarray[Any, Any]
TINY = 1e-12  # largest imaginary offset, in units of the largest entry of its block
ONE_CELL = 2.0**-66  # imaginary part by which the loss is asked about one cell
CELLS = 2**18  # complex numbers of h at a time for that


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
    few = len(owner) * len(setting.layout.blocks) * H * T <= FEW_NUMBERS

    def one(b: int, chunk: Columns) -> Array:
        imaginary = offsets[chunk.order].imag.astype(kind, copy=False)
        if not few:
            return _through_time(base, b, chunk, imaginary)
        h = through_time(base.rules, b, chunk, imaginary)                    # (T, H, N)
        return np.asarray((base.of_loss[:, b, None] @ h).sum(axis=(0, 1)))

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
    """The unperturbed pass, and how imaginary parts go through it."""

    def __init__(self, setting: Setting, kind: Any) -> None:
        layout, variant = setting.layout, setting.variant
        self.trace = trace = trace_of(setting, kind)
        self.h, self.y, self.loss = trace.over_time("h"), setting.y.astype(kind, copy=False), setting.loss
        states = {name: np.array(getattr(trace, name)) for name in layout.carried}  # (T+1, B, H)
        value = {k: trace.over_time(k) for k in "gifo"}                      # (T, B, H)
        s, z = states["s"][1:], np.array([trace.z[k][1:] for k in layout.blocks])  # z (blocks, T, B, H)
        value["a"] = np.tanh(s) if variant.output_activation == "tanh" else s
        with np.errstate(over="ignore"):
            slope = dict(zip(layout.blocks, 1 / (2 + 2 * np.cosh(z)), strict=True))  # Im σ
            slope["g"] = _through(variant.input_activation, z[-1])           # Im tanh
            slope["a"] = _through(variant.output_activation, s)
        self.rules = rules_of(layout, trace.weights, np.array(trace.x[1:]), states, value, slope)

    @cached_property
    def of_loss(self) -> Array:
        """L1, L2: the imaginary part of l(t) with that of one cell of h(t) at 1, (T, B, H), by complex steps."""
        T, B, H = self.h.shape
        found, step = np.empty_like(self.h), self.h.dtype.type(ONE_CELL)
        at_once = max(1, CELLS // (B * H * H))
        cells = np.eye(H, dtype=self.h.dtype)[:, None, None] * step          # (H, 1, 1, H)
        for first in range(0, T, at_once):
            some = slice(first, first + at_once)
            moved = np.empty((H, *self.h[some].shape), np.result_type(self.h, np.complex64))
            moved.real, moved.imag = self.h[some], cells
            found[some] = self.loss.terms(moved, self.y[some]).imag.transpose(1, 2, 0) / step
        if self.loss.weights is not None:
            found *= self.loss.weights[..., None].astype(found.dtype)
        return found


def _through(activation: str, z: Array) -> Array:
    return 1 / np.cosh(z) ** 2 if activation == "tanh" else np.ones_like(z)


def _through_time(base: _Base, b: int, chunk: Columns, offsets: Array) -> Array:
    """The imaginary part of the loss, of one chunk of copies of one sequence: their states, step by step."""
    rules, layout, N, kind = base.rules, base.rules.layout, len(chunk), base.h.dtype
    H, T, at, slab = layout.H, len(base.h), layout.at, layout.slab
    started = np.searchsorted(chunk.start, np.arange(T + 2), side="right")
    A, Z = full((max(at.values()) + H, N), 0, kind), empty((len(layout.blocks) * H, N), kind)
    spare, total, flat_Z = empty((H, N), kind), np.zeros(N, kind), Z.reshape(-1)
    weights = chunk[: int(np.searchsorted(chunk.key, FIRST_TIMED))]
    to, sees, weighted = weights.row * N + np.arange(len(weights)), seen_by(layout, weights), offsets[: len(weights)]
    W, Wx, sight = layout.matrices(rules.weights), layout.matrix(rules.weights, "x"), rules.sight(b)
    reached = {out: [(layout.zslab[k], rules.effect[f"z_{k}"][out][:, b, :, None]) for k in layout.blocks
                     if out in rules.effect[f"z_{k}"]] for out in layout.carried}  # fmt: skip
    old, by_s = ({out: e[:, b, :, None] for out, e in way.items()} for way in (rules.old, rules.by_s))
    for node, where in chunk.timed.get(1, ()):
        if node.endswith("0"):
            A[at[node[0]] + chunk.row[where], np.arange(where.start, where.stop)] = offsets[where]
    for t in range(1, T + 1):
        n = int(started[t])
        z, s, part = Z[:, :n], A[slab["s"], :n], spare[:, :n]
        if t > 1:
            multiply_columns(W, A[: len(W[0]), :n], z)                       # as F1, F2
        else:
            _first_product(W, A, chunk, z)
        if len(to):
            flat_Z[to] += weighted * sight[t - 1, sees]
        for node, where in chunk.timed.get(t, ()):
            if node == "x":
                Z[:, where] += Wx[:, chunk.row[where]] * offsets[where]
            elif node[:2] == "z_":
                Z[layout.z[node[2]] + chunk.row[where], np.arange(where.start, where.stop)] += offsets[where]
        for out in layout.carried:                                           # s(t) last: the others see s(t−1)
            if out != "s":
                terms = [(e[t - 1], z[k]) for k, e in reached[out]]
                if out in old:
                    terms.append((old[out][t - 1], s))
                _summed(terms, A[slab[out], :n], part)                       # as F3–F6, F8
        s *= old["s"][t - 1]
        for k, e in reached["s"]:
            s += np.multiply(e[t - 1], z[k], out=part)                       # as F3–F7
        for node, where in chunk.timed.get(t, ()):
            if node in DISTURBED:
                row, column = chunk.row[where], np.arange(where.start, where.stop)
                for out, factor in rules.effect[node].items():
                    if out in slab:
                        A[at[out] + row, column] += factor[t - 1, b, row] * offsets[where]
        for out, factor in by_s.items():
            if out in slab:
                state = A[slab[out], :n]
                state += np.multiply(factor[t - 1], s, out=part)             # as F8
        of_l = base.of_loss[t - 1, b]
        if of_l.any():
            counted = total[:n]
            counted += of_l @ A[slab["h"], :n]
    return total


def _first_product(W: Array, A: Array, chunk: Columns, z: Array) -> None:
    """``W`` times the states of step 0, of which nothing is moved but the initial ones."""
    z[...] = 0
    for node, where in chunk.timed.get(1, ()):
        if node.endswith("0"):
            z[:, where] = W @ A[: len(W[0]), where]


def _summed(products: list[tuple[Array, Array]], into: Array, spare: Array) -> None:
    """The sum of the products of pairs, 0 of none."""
    if not products:
        into[...] = 0
        return
    np.multiply(*products[0], out=into)
    for factor, values in products[1:]:
        into += np.multiply(factor, values, out=spare)
