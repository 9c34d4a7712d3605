"""The loops of the fused pass, and nothing else: what they do to the buffers of :mod:`bptt_check.lstm.fused_memory`.

Everything that does not depend on the step before is done for many steps at once. In the backward pass that is nearly
all: with everything of the forward pass known, a step is linear in dh and ds_next,

    ds       = A ⊙ dh + ds_next        A   = o ⊙ a′ + p_o ⊙ C_o                              B2
    dz_o     = C_o ⊙ dh                C_o = a ⊙ σ′_o                                        B3, B4
    dz_k     = C_k ⊙ ds                C_i = g ⊙ σ′_i   C_f = s(t−1) ⊙ σ′_f   C_g = i ⊙ φ′_g  B3, B4
    ds_next  = F ⊙ ds                  F   = f + p_i ⊙ C_i + p_f ⊙ C_f                       B8
    dh_next  = Σ_k dz_k W_kh                                                                  B7

and a tangent runs through the same factors, transposed: vs = Σ_k C_k ⊙ vz_k + F ⊙ vs(t−1), vh = A ⊙ vs + C_o ⊙ vz_o.
With coupled gates (F5, f = 1 − i), C_i = (g − s(t−1)) ⊙ σ′_i.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

import numpy as np

from bptt_check.lstm.fused_memory import Memory, Narrow
from bptt_check.lstm.fused_wide import is_wide, run_wide
from bptt_check.lstm.products import inputs_ahead
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]


def run_forward(m: Memory) -> None:
    """F1–F8 over all steps; weights, inputs and initial states are in place."""
    if m.plain:
        _run_plain_forward(m)
        return
    variant, half, turned = m.variant, m.half, m.turned
    add, multiply, subtract, tanh = np.add, np.multiply, np.subtract, np.tanh
    z, pair, ig, fs = m.flat(m.z), m.flat(m.pair), m.flat(m.pair[0]), m.flat(m.pair[1])
    by_block = m.z[:, 0] if m.B == 1 else m.z
    early = m.flat(by_block[m.early])
    see = np.matmul if m.by_gate else np.ndarray.dot
    ahead = inputs_ahead(m.seen[:, :, m.H :], turned[m.H :], m.T, len(m.blocks)) if m.ahead else None
    if ahead is not None:
        turned, moved = turned[: m.H], np.empty((m.B, len(turned[0])), m.kind)
        moved_by_block = m.block_views(moved)
    has_sigmas = bool(len(m.gates) - m.early.start)
    peeping = [k for k in ("i", "f") if k in variant.peepholed]
    if variant.peepholes:
        inner = slice(m.at[peeping[0]], m.at[peeping[-1]] + 1) if peeping else slice(0, 0)
        p_o, p_inner = m.peepholes[0] / 2, m.peepholes[inner] / 2 if m.B == 1 else m.peepholes[inner, None] / 2
        inner_z, scratch, spare = by_block[inner], np.empty_like(by_block[inner]), np.empty_like(by_block[0])
    z_g, z_o = by_block[m.at["g"]], by_block[0]
    identity_in, tanh_out = variant.input_activation != "tanh", variant.output_activation == "tanh"
    o_late, coupled = "o" in variant.peepholed, variant.forget_gate is Gate.COUPLED
    has_o = "o" in m.at

    steps = chain.from_iterable(m.steps[:k] for k in m.stretches())
    for seen, raw, sigmas, gates, factors, o, i, f, g, before, s, a, h, again in steps:
        if ahead is None:
            see(seen, turned, z)                                          # (n, B, H)  as F1, F2
        else:
            seen.dot(turned, moved)
            add(next(ahead), moved_by_block, z)                           # (n, B, H)  as F1, F2
        if peeping:
            multiply(p_inner, before, scratch)                            # (1|2, B, H)  as F2, peephole
            add(inner_z, scratch, inner_z)
        tanh(early, raw)                                                  # (n, B, H)  as F3, and tanh(z/2) for F4–F6
        if identity_in:
            g[...] = z_g                                                  # (B, H)  as F3
        if has_sigmas:
            multiply(sigmas, half, sigmas)                                # (3, B, H)  as F4–F6: σ(z) = ½ + ½ tanh(z/2)
            add(sigmas, half, sigmas)
        if gates is not None:
            multiply(gates, factors, pair)                                # (2, B, H)  as F7
            add(ig, fs, s)
        elif coupled:
            subtract(g, before, s)                                        # (B, H)  as F5, F7: s(t−1) + i (g − s(t−1))
            multiply(s, i, s)
            add(s, before, s)
        elif i is not None:
            multiply(i, g, s)                                             # (B, H)  as F7
            add(s, before, s)
        elif f is not None:
            multiply(f, before, s)                                        # (B, H)  as F7
            add(s, g, s)
        else:
            add(g, before, s)                                             # (B, H)  as F7
        if o_late:
            multiply(s, p_o, spare)                                       # (B, H)  as F2, peephole
            add(spare, z_o, spare)
            tanh(spare, spare)
            multiply(spare, half, spare)
            add(spare, half, o)                                           # (B, H)  as F6
        if tanh_out:
            tanh(s, a)                                                    # (B, H)  as F8
        if has_o:
            multiply(a, o, h)                                             # (B, H)  as F8
        else:
            h[...] = a
        if again is not None:
            again[...] = s                                                # (B, H)  as F1s


def _run_plain_forward(m: Memory) -> None:
    """The same in seven calls a step, for a batch of one with few memory cells, no peepholes and all gates.

    In the loop the gates are 1 + tanh(z/2), which is 2 σ(z), and h is twice itself. Halving is exact, so that it can be
    done where it costs nothing: in the weights, in the sum of F7, and for all steps at once.
    """
    H, half, ones = m.H, m.half, np.ones(3 * m.H, m.kind)
    add, multiply, tanh = np.add, np.multiply, np.tanh
    raw_z, pair, rows, halves = m.z.reshape(-1), m.pair.reshape(-1), m.pair.reshape(2, H), np.repeat(half, 2)
    tanh_out = m.variant.output_activation == "tanh"
    turned = m.turned.copy()
    multiply(turned[:H], half, turned[:H])
    for k in m.stretches():
        outputs, sigmas = m.seen_now[: k + 1, 0, :H], m.tape_now[:k, :3]
        add(outputs[0], outputs[0], outputs[0])
        for seen, raw, doubled, gates, factors, o, _, _, _, _, s, a, h, _ in m.steps[:k]:
            seen.dot(turned, raw_z)                                       # (4 H,)  as F1, F2
            tanh(raw_z, raw)                                              # (4 H,)  as F3, and tanh(z/2)
            add(doubled, ones, doubled)                                   # (3 H,)  2 o, 2 i, 2 f
            multiply(gates, factors, pair)                                # (2 H,)  as F7
            halves.dot(rows, s)                                           # (H,)  as F7
            if tanh_out:
                tanh(s, a)                                                # (H,)  as F8
            multiply(a, o, h)                                             # (H,)  2 h
        multiply(sigmas, half, sigmas)                                    # (k, 3, 1, H)  as F4–F6
        multiply(outputs, half, outputs)                                  # (k+1, H)  as F8


def compute_slopes(m: Memory, first: int, last: int) -> None:
    """A, C_k and F of steps ``first`` … ``last`` − 1, counted from 0."""
    C, tape = m.back.slopes[: last - first], m.tape[first:last]
    if m.common:
        _common_slopes(C, tape, m.back.spare[: last - first])
        if m.back.own_F:
            np.copyto(C[:, 5], tape[:, 2])                                # F = f
    else:
        _slopes_of_any(m, C, tape, m.a(first, last))
    for k in m.variant.peepholed:
        into = C[:, 0] if k == "o" else C[:, -1]
        np.add(into, C[:, m.at[k] + 1] * m.peepholes[m.at[k]], into)


def _common_slopes(C: Array, tape: Array, spare: Array) -> None:
    """With all gates and both tanh: C is A, C_o, C_i, C_f, C_g, F; tape is o, i, f, g, s(t−1), a.

    a ⊙ o ⊙ (1 − o) is h − h ⊙ o with h = a ⊙ o, and so with the others: 13 passes over memory, all of them over whole
    blocks, where slopes first take 16. h is had anew: that of the tape lies between inputs, and is slower to read.
    """
    multiply, subtract = np.multiply, np.subtract
    o, a, h, ig, pair = tape[:, 0], tape[:, 5], spare[:, 0], spare[:, 1], spare[:, 1:]
    multiply(a, o, h)
    multiply(tape[:, 1:3], tape[:, 3:5], pair)                            # i ⊙ g, f ⊙ s(t−1)
    multiply(h, a, C[:, 0])
    multiply(ig, tape[:, 3], C[:, 4])
    subtract(tape[:, 1::-1], C[:, 4::-4], C[:, 4::-4])                    # C_g = i ⊙ φ′, A = o ⊙ a′
    multiply(spare, tape[:, :3], C[:, 1:4])
    subtract(spare, C[:, 1:4], C[:, 1:4])                                 # C_o, C_i = g ⊙ σ′, C_f = s(t−1) ⊙ σ′


def _slopes_of_any(m: Memory, C: Array, tape: Array, a: Array) -> None:
    """The same for a cell that lacks some of them."""
    multiply, subtract, one, at = np.multiply, np.subtract, m.one, m.at
    n, coupled = len(m.blocks), m.variant.forget_gate is Gate.COUPLED
    A, C_g, F, g, s = C[:, 0], C[:, n], C[:, n + 1], tape[:, at["g"]], tape[:, at["s"]]
    gates, sigma = tape[:, : n - 1], C[:, 1:n]
    multiply(gates, gates, sigma)
    subtract(gates, sigma, sigma)
    for slope, output, name in ((A, a, m.variant.output_activation), (C_g, g, m.variant.input_activation)):
        if name == "tanh":
            multiply(output, output, slope)
            subtract(one, slope, slope)
        else:
            slope[...] = 1
    F[...] = 1
    if "o" in at:
        multiply(A, tape[:, at["o"]], A)
        multiply(C[:, 1], a, C[:, 1])
    if "f" in at:
        multiply(C[:, at["f"] + 1], s, C[:, at["f"] + 1])
        F[...] = tape[:, at["f"]]
    if "i" in at:
        i, C_i = tape[:, at["i"]], C[:, at["i"] + 1]
        multiply(C_i, g - s if coupled else g, C_i)
        multiply(C_g, i, C_g)
        if coupled:
            subtract(one, i, F)


def run_backward(m: Memory, dl: Array, *, keep: bool = False) -> Iterator[tuple[int, int]]:
    """B1–B4, B7, B8, c steps at a time, from the end; yields which steps, with their dz in ``m.back``.

    ``keep``: dh and ds as well.

    ``m.back.recurrent`` and ``m.back.carry`` hold what is handed back to h(T) and s(T) before, and to h(0) and s(0)
    after.
    """
    back = m.back
    add, multiply = np.add, np.multiply
    carry, recurrent = m.flat(back.carry), m.flat(back.recurrent)
    through_h, has_o = m.variant.feedback == "h", back.first
    dl_rows = dl.reshape(m.T, -1) if m.B == 1 else dl
    np.copyto(back.square, m.packed[:, : m.H].reshape(len(m.packed), len(back.square), -1).swapaxes(0, 1))
    whole = len(back.square) == 1
    product: Any = np.ndarray.dot if whole else np.matmul
    square, handed = (back.square[0], recurrent) if whole else (back.square, back.handed)
    if back.narrow is not None:
        yield from _run_narrow(m, dl, back.narrow, keep)
        return
    if is_wide(m):
        yield from run_wide(m, dl, lambda dz: product(dz, square, handed), keep=keep)
        return
    for last in range(m.T, 0, -back.c):
        first = max(0, last - back.c)
        steps = last - first
        if not through_h:
            back.dh[:steps] = dl[first:last]
            if last == m.T:
                back.dh[steps - 1] += back.recurrent
        for low, high in _pieces(steps, back.e):
            compute_slopes(m, first + low, first + high)
            outer = dl_rows[first + low : first + high][::-1]
            slopes_F = back.slopes_F(first, low, high)
            for views, F, dl_t in zip(reversed(back.steps[low:high]), reversed(slopes_F), outer, strict=True):
                dh, ds, A, C_o, C, dz_o, dz_rest, dz = views
                if through_h:
                    add(dl_t, recurrent, dh)                                  # (B, H)  as B1
                multiply(A, dh, ds)
                add(ds, carry, ds)                                            # (B, H)  as B2
                if has_o:
                    multiply(C_o, dh, dz_o)                                   # (B, H)  as B3, B4
                multiply(C, ds, dz_rest)                                      # (n−1, B, H)  as B3, B4
                multiply(F, ds, carry)                                        # (B, H)  as B8
                product(dz, square, handed)                                   # (B, H)  as B7
                if not through_h:
                    add(carry, recurrent, carry)                              # (B, H)  as B8s
        yield first, last
    if not through_h:
        back.recurrent[...] = 0


def _pieces(steps: int, e: int) -> Iterator[tuple[int, int]]:
    """``steps`` in pieces that begin at multiples of e, the last one first."""
    for low in range((steps - 1) // e * e, -1, -e):
        yield low, min(low + e, steps)


def _run_narrow(m: Memory, dl: Array, narrow: Narrow, keep: bool) -> Iterator[tuple[int, int]]:
    """The same in five calls a step; see :class:`~bptt_check.lstm.fused_memory.Narrow`."""
    back, q, H = m.back, narrow.q, m.H
    add, multiply, spread, recurrent = np.add, np.multiply, narrow.spread, narrow.recurrent
    square = narrow.square
    for k in range(q):
        square[:, k * H : (k + 1) * H] = back.square[0]
        recurrent[k * H : (k + 1) * H] = back.recurrent[0]
    for last in range(m.T, 0, -back.c):
        first = max(0, last - back.c)
        steps = last - first
        narrow.dl[:steps] = dl[first:last]
        before = narrow.steps[steps - 1][7]
        before[:H] = back.carry[0]
        for low, high in _pieces(steps, back.e):
            compute_slopes(m, first + low, first + high)
            for dl_t, dh, ds, A, C, of_dh, of_ds, parts, dz in reversed(narrow.steps[low:high]):
                add(dl_t, recurrent, dh)                                      # (2 H,)  as B1, twice
                multiply(A, dh, of_dh)                                        # (2 H,)  A ⊙ dh and dz_o  B3, B4
                parts.dot(spread, ds)                                         # (4 H,)  as B2, four times
                multiply(C, ds, of_ds)                                        # (4 H,)  dz_i, dz_f, dz_g, ds_next
                dz.dot(square, recurrent)                                     # (2 H,)  as B7, twice
        rows = narrow.rows[back.c - steps :][::-1]
        back.carry[0] = rows[0, -1]
        back.dz[:steps, 0] = rows[:, 1:-1]
        if keep:
            back.dh[:steps, 0], back.ds[:steps, 0] = narrow.dh[:steps, :H], narrow.ds[:steps, :H]
        yield first, last
    back.recurrent[0] = recurrent[:H]


def run_tangent(m: Memory, vW: Array, vp: Array, vx: Array | None, vh0: Array, vs0: Array, vh: Array) -> Array:
    """The tangent of F1–F8 into ``vh`` (T, B, H), along weights laid out as ``packed`` and ``peepholes``; vs(T).

    ``vx`` is ``None`` where x does not move, which saves a product.
    """
    back, T, B, H, at = m.back, m.T, m.B, m.H, m.at
    D = 0 if vx is None else m.D
    add, multiply = np.add, np.multiply
    n, K = len(m.blocks), m.H + m.D + 1
    weights = np.empty((K + D, n * H), m.kind)                            # what [h, x, 1, vx] is multiplied by
    weights[:K], weights[K:] = vW.T, m.packed[:, H : H + D].T
    turned = np.ascontiguousarray(m.packed[:, :H].T)
    inputs = np.empty((back.c, B, K + D), m.kind)
    vz_all = back.dz.reshape(back.c * B, n * H)
    product, step_z = np.empty((B, n * H), m.kind), np.empty((n, B, H), m.kind)
    vs, seen, moved = m.flat(vs0.copy()), m.flat(vh0 if m.variant.feedback == "h" else vs0), m.flat(product)
    terms = [m.flat(term) for term in step_z]
    whole = step_z[:, 0] if B == 1 else step_z
    o = int(back.first)
    for first in range(0, T, back.c):
        last = min(T, first + back.c)
        steps = last - first
        inputs[:steps, :, :K] = m.seen[first:last]
        if vx is not None:
            inputs[:steps, :, K:] = vx[first:last]
        inputs[:steps].reshape(steps * B, -1).dot(weights, vz_all[: steps * B])  # the weights move, and x
        for gate in m.variant.peepholed:
            s = m.tape[first + 1 : last + 1, at["s"]] if gate == "o" else m.tape[first:last, at["s"]]
            back.dz[:steps, :, at[gate]] += vp[at[gate]] * s
        for k in range(steps):
            if k % back.e == 0:
                compute_slopes(m, first + k, first + min(k + back.e, steps))
            _, _, A, _, _, _, _, vz = back.steps[k]
            F = back.slopes_F(first, k, k + 1)[0]
            seen.dot(turned, moved)                                       # (B, n H)  as F1, F2, what it sees moves
            add(vz, moved, vz)
            slopes = back.slopes[k % back.e, 1 : n + 1]
            multiply(slopes[:, 0] if B == 1 else slopes, m.block_views(vz), whole)
            multiply(F, vs, vs)
            for term in terms[o:]:
                add(vs, term, vs)                                         # (B, H)  as F7
            now = vh[first + k, 0] if B == 1 else vh[first + k]
            multiply(A, vs, now)
            if o:
                add(now, terms[0], now)                                   # (B, H)  as F8
            seen = now if m.variant.feedback == "h" else vs
    return vs.reshape(B, H)
