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
from typing import Any

import numpy as np

from bptt_check.lstm.fused_memory import Memory, Narrow
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]


def run_forward(m: Memory) -> None:
    """F1–F8 over all steps; weights, inputs and initial states are in place."""
    variant, half, turned = m.variant, m.half, m.turned
    add, multiply, subtract, tanh = np.add, np.multiply, np.subtract, np.tanh
    z = m.flat(m.z)
    by_block = m.block_views(m.z)
    early = m.flat(by_block[m.early])
    has_sigmas = bool(len(m.gates) - m.early.start)
    pair = m.flat(m.pair)
    ig, fs = m.flat(m.pair[0]), m.flat(m.pair[1])
    peeping = [k for k in ("i", "f") if k in variant.peepholed]
    inner = slice(m.at[peeping[0]], m.at[peeping[-1]] + 1) if peeping else slice(0, 0)
    p_inner = m.peepholes[inner] / 2 if m.B == 1 else m.peepholes[inner, None] / 2
    p_o = m.peepholes[0] / 2
    inner_z, scratch = by_block[inner], np.empty_like(by_block[inner])
    spare = np.empty_like(ig)
    z_g, z_o = by_block[m.at["g"]], by_block[0]
    identity_in, tanh_out = variant.input_activation != "tanh", variant.output_activation == "tanh"
    o_late, coupled = "o" in variant.peepholed, variant.forget_gate is Gate.COUPLED
    has_o = "o" in m.at

    for seen, raw, sigmas, gates, factors, o, i, f, g, before, s, a, h, again in m.steps:
        seen.dot(turned, z)                                               # (B, n H)  F1, F2
        if peeping:
            multiply(p_inner, before, scratch)                            # (1|2, B, H)  F2, peephole
            add(inner_z, scratch, inner_z)
        tanh(early, raw)                                                  # (n, B, H)  F3, and tanh(z/2) for F4–F6
        if identity_in:
            g[...] = z_g                                                  # (B, H)  F3
        if has_sigmas:
            multiply(sigmas, half, sigmas)                                # (3, B, H)  F4–F6: σ(z) = ½ + ½ tanh(z/2)
            add(sigmas, half, sigmas)
        if gates is not None:
            multiply(gates, factors, pair)                                # (2, B, H)  F7
            add(ig, fs, s)
        elif coupled:
            subtract(g, before, s)                                        # (B, H)  F5, F7: s(t−1) + i (g − s(t−1))
            multiply(s, i, s)
            add(s, before, s)
        elif i is not None:
            multiply(i, g, s)                                             # (B, H)  F7
            add(s, before, s)
        elif f is not None:
            multiply(f, before, s)                                        # (B, H)  F7
            add(s, g, s)
        else:
            add(g, before, s)                                             # (B, H)  F7
        if o_late:
            multiply(s, p_o, spare)                                       # (B, H)  F2, peephole
            add(spare, z_o, spare)
            tanh(spare, spare)
            multiply(spare, half, spare)
            add(spare, half, o)                                           # (B, H)  F6
        if tanh_out:
            tanh(s, a)                                                    # (B, H)  F8
        if has_o:
            multiply(a, o, h)                                             # (B, H)  F8
        else:
            h[...] = a
        if again is not None:
            again[...] = s                                                # (B, H)  F1s


def compute_slopes(m: Memory, first: int, last: int) -> None:
    """A, C_k and F of steps ``first`` … ``last`` − 1, counted from 0."""
    add, multiply, subtract, one, at = np.add, np.multiply, np.subtract, m.one, m.at
    steps = last - first
    C, tape, a = m.back.slopes[:steps], m.tape[first:last], m.a(first, last)
    n = len(m.blocks)
    A, F, g = C[:, 0], C[:, n + 1], tape[:, at["g"]]
    if m.gates:
        kept, sigma = tape[:, : n - 1], C[:, 1:n]
        subtract(one, kept, sigma)
        multiply(sigma, kept, sigma)                                      # σ′ = k (1 − k)
    if m.variant.output_activation == "tanh":
        multiply(a, a, A)
        subtract(one, A, A)                                               # a′ = 1 − a²
    else:
        A[...] = 1
    if "o" in at:
        multiply(A, tape[:, at["o"]], A)
        multiply(C[:, 1], a, C[:, 1])
    if "i" in at and "f" in at:
        i = at["i"]
        multiply(C[:, i + 1 : i + 3], tape[:, at["g"] : at["s"] + 1], C[:, i + 1 : i + 3])
    elif "i" in at and m.variant.forget_gate is Gate.COUPLED:
        subtract(g, tape[:, at["s"]], F)
        multiply(C[:, at["i"] + 1], F, C[:, at["i"] + 1])
    elif "i" in at:
        multiply(C[:, at["i"] + 1], g, C[:, at["i"] + 1])
    elif "f" in at:
        multiply(C[:, at["f"] + 1], tape[:, at["s"]], C[:, at["f"] + 1])
    if m.variant.input_activation == "tanh":
        multiply(g, g, C[:, n])
        subtract(one, C[:, n], C[:, n])                                   # φ′ = 1 − g²
    else:
        C[:, n] = 1
    if "i" in at:
        multiply(C[:, n], tape[:, at["i"]], C[:, n])
    if "f" in at:
        F[...] = tape[:, at["f"]]
    elif m.variant.forget_gate is Gate.COUPLED:
        subtract(one, tape[:, at["i"]], F)
    else:
        F[...] = 1
    for k in m.variant.peepholed:
        into = A if k == "o" else F
        add(into, C[:, at[k] + 1] * m.peepholes[at[k]], into)


def run_backward(m: Memory, dl: Array) -> Iterator[tuple[int, int]]:
    """B1–B4, B7, B8, c steps at a time, from the end; yields which steps, with their dh, ds, dz in ``m.back``.

    ``m.back.recurrent`` and ``m.back.carry`` hold what is handed back to h(T) and s(T) before, and to h(0) and s(0)
    after.
    """
    back = m.back
    add, multiply = np.add, np.multiply
    carry, recurrent, square = m.flat(back.carry), m.flat(back.recurrent), back.square
    through_h, has_o = m.variant.feedback == "h", back.first
    np.copyto(square, m.packed[:, : m.H])
    if back.narrow is not None:
        yield from _run_narrow(m, dl, back.narrow)
        return
    for last in range(m.T, 0, -back.c):
        first = max(0, last - back.c)
        steps = last - first
        compute_slopes(m, first, last)
        back.dh[:steps] = dl[first:last]
        if not through_h and last == m.T:
            back.dh[steps - 1] += back.recurrent
        for dh, ds, A, C_o, C, F, dz_o, dz_rest, dz in reversed(back.steps[:steps]):
            if through_h:
                add(dh, recurrent, dh)                                    # (B, H)  B1
            multiply(A, dh, ds)
            add(ds, carry, ds)                                            # (B, H)  B2
            if has_o:
                multiply(C_o, dh, dz_o)                                   # (B, H)  B3, B4
            multiply(C, ds, dz_rest)                                      # (n−1, B, H)  B3, B4
            multiply(F, ds, carry)                                        # (B, H)  B8
            dz.dot(square, recurrent)                                     # (B, H)  B7
            if not through_h:
                add(carry, recurrent, carry)                              # (B, H)  B8s
        yield first, last
    if not through_h:
        back.recurrent[...] = 0


def _run_narrow(m: Memory, dl: Array, narrow: Narrow) -> Iterator[tuple[int, int]]:
    """The same in five calls a step; see :class:`~bptt_check.lstm.fused_memory.Narrow`."""
    back, q, H = m.back, narrow.q, m.H
    add, multiply, spread, recurrent = np.add, np.multiply, narrow.spread, narrow.recurrent
    square = narrow.square
    for k in range(q):
        square[:, k * H : (k + 1) * H] = back.square
        recurrent[k * H : (k + 1) * H] = back.recurrent[0]
    for last in range(m.T, 0, -back.c):
        first = max(0, last - back.c)
        steps = last - first
        compute_slopes(m, first, last)
        narrow.dl[:steps] = dl[first:last]
        before = narrow.steps[steps - 1][7]
        before[:H] = back.carry[0]
        for dl_t, dh, ds, A, C, of_dh, of_ds, parts, dz in reversed(narrow.steps[:steps]):
            add(dl_t, recurrent, dh)                                      # (2 H,)  B1, twice
            multiply(A, dh, of_dh)                                        # (2 H,)  A ⊙ dh and dz_o  B3, B4
            parts.dot(spread, ds)                                         # (4 H,)  B2, four times
            multiply(C, ds, of_ds)                                        # (4 H,)  dz_i, dz_f, dz_g, ds_next
            dz.dot(square, recurrent)                                     # (2 H,)  B7, twice
        rows = narrow.rows[back.c - steps :][::-1]
        back.carry[0] = rows[0, -1]
        back.dz[:steps, 0] = rows[:, 1:-1]
        back.dh[:steps, 0], back.ds[:steps, 0] = narrow.dh[:steps, :H], narrow.ds[:steps, :H]
        yield first, last
    back.recurrent[0] = recurrent[:H]


def run_tangent(m: Memory, vW: Array, vp: Array, vx: Array, vh0: Array, vs0: Array, vh: Array) -> Array:
    """The tangent of F1–F8 into ``vh`` (T, B, H), along weights laid out as ``packed`` and ``peepholes``; vs(T)."""
    back, T, B, D, H, at = m.back, m.T, m.B, m.D, m.H, m.at
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
        compute_slopes(m, first, last)
        inputs[:steps, :, :K], inputs[:steps, :, K:] = m.seen[first:last], vx[first:last]
        inputs[:steps].reshape(steps * B, -1).dot(weights, vz_all[: steps * B])  # the weights move, and x
        for gate in m.variant.peepholed:
            s = m.tape[first + 1 : last + 1, at["s"]] if gate == "o" else m.tape[first:last, at["s"]]
            back.dz[:steps, :, at[gate]] += vp[at[gate]] * s
        for k in range(steps):
            _, _, A, _, _, F, _, _, vz = back.steps[k]
            seen.dot(turned, moved)                                       # (B, n H)  F1, F2, what the cell sees moves
            add(vz, moved, vz)
            slopes = back.slopes[k, 1 : n + 1]
            multiply(slopes[:, 0] if B == 1 else slopes, m.block_views(vz), whole)
            multiply(F, vs, vs)
            for term in terms[o:]:
                add(vs, term, vs)                                         # (B, H)  F7
            now = vh[first + k, 0] if B == 1 else vh[first + k]
            multiply(A, vs, now)
            if o:
                add(now, terms[0], now)                                   # (B, H)  F8
            seen = now if m.variant.feedback == "h" else vs
    return vs.reshape(B, H)
