"""The backward pass of a cell with all gates and both tanh, where states are wide: no slopes are kept.

Where an operation takes longer than its call does, what counts is how many numbers pass through the cache. With
O = o ⊙ dh, u = a ⊙ O, I = i ⊙ ds, P = g ⊙ I and Q = s(t−1) ⊙ ds_next a step is

    ds      = O − u ⊙ a + ds_next           B2: o ⊙ (1 − a²) ⊙ dh
    dz_o    = u − u ⊙ o                     B3, B4: a ⊙ o ⊙ (1 − o) ⊙ dh
    ds_next = f ⊙ ds                        B8
    dz_i    = P − P ⊙ i                     B3, B4: g ⊙ i ⊙ (1 − i) ⊙ ds
    dz_f    = Q − Q ⊙ f                     B3, B4: s(t−1) ⊙ f ⊙ (1 − f) ⊙ ds
    dz_g    = I − P ⊙ g                     B3, B4: i ⊙ (1 − g²) ⊙ ds

which reads each block of the tape where it lies, and nothing else that does not fit the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bptt_check.lstm.aligned import empty
from bptt_check.lstm.fused_memory import Memory

Array = np.ndarray[Any, Any]
WIDE = 2048  # numbers in a state from which this is faster than slopes for many steps at once


def is_wide(m: Memory) -> bool:
    """Whether this loop serves."""
    return m.common and not m.variant.peepholes and m.variant.feedback == "h" and m.B > 1 and m.B * m.H >= WIDE


def run_wide(m: Memory, dl: Array, hand: Callable[[Array], Any], *, keep: bool) -> Iterator[tuple[int, int]]:
    """As ``run_backward``; ``hand`` leaves the product of a step's dz with the weights in ``m.back.recurrent``."""
    back, recurrent = m.back, m.back.recurrent
    add, multiply, subtract = np.add, np.multiply, np.subtract
    O, u, part = empty((3, m.B, m.H), m.kind)
    held, sources, parts = empty((3, 2, m.B, m.H), m.kind)
    I, carry = held
    P = sources[0]
    carry[...] = back.carry
    for last in range(m.T, 0, -back.c):
        first = max(0, last - back.c)
        for t in range(last - 1, first - 1, -1):
            now, k = m.tape[t], t - first
            o, gates, g, factors, a = now[0], now[1:3], now[3], now[3:5], now[5]
            dz, dh, ds = back.dz[k], back.dh[k if keep else 0], back.ds[k if keep else 0]
            blocks = dz.swapaxes(0, 1)
            add(dl[t], recurrent, dh)                                         # (B, H)  as B1
            multiply(o, dh, O)
            multiply(a, O, u)
            multiply(u, a, part)
            subtract(O, part, ds)
            add(ds, carry, ds)                                                # (B, H)  as B2
            multiply(u, o, part)
            subtract(u, part, blocks[0])                                      # (B, H)  as B3, B4
            multiply(gates, ds, held)                                         # (2, B, H)  I, and as B8
            multiply(factors, held, sources)
            multiply(sources, gates, parts)
            subtract(sources, parts, blocks[1:3])                             # (2, B, H)  as B3, B4
            multiply(P, g, part)
            subtract(I, part, blocks[3])                                      # (B, H)  as B3, B4
            hand(dz.reshape(m.B, -1))                                         # (B, H)  as B7
        if first == 0:
            back.carry[...] = carry
        yield first, last
