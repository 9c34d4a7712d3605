"""The memory of the fused pass: every array that one shape needs, made once, with views of it by step.

n blocks have a pre-activation, in the order o, i, f, g, those that a cell lacks left out; the backward pass works on c
steps at a time, and on e of them at a time before those products, few enough to stay in the cache.

========  ===============  ========================================================================================
name      shape            what lies where, and why
========  ===============  ========================================================================================
seen      (T+1, B, K)      [h(t−1), x(t), 1], K = H + D + 1: F1 without a copy; dW and db are one product with it
packed    (n H, K)         all weights, block below block, as B7 reads them
turned    (n, K, H)        the same transposed, which the product of F2 is faster with, those of gates halved; (K, n H)
                           where z is not had gate by gate (products.py)
tape      (T+1, n+2, B, H) per step o, i, f, g, s(t−1), tanh s(t): all σ in one piece, [i, f] ⊙ [g, s(t−1)] in another
slopes    (e, n+2, B, H)   per step what B2–B4 and B8 multiply by: for ds, for each dz, for ds_next
dz        (c, B, n, H)     per step all dz in one piece, and those of all c steps one matrix
========  ===============  ========================================================================================

Where states are small, the forward pass runs on copies of seen and tape for w steps at a time, ``seen_now`` and
``tape_now``: the views of thousands of steps, an object each, would not stay in the cache.

In a batch of one, views of a step have no axis for it: NumPy runs faster on a plain vector, and with few memory cells
the calls are all the cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from bptt_check.lstm.aligned import empty, full
from bptt_check.lstm.params import shapes
from bptt_check.lstm.products import band_of_columns, by_gate
from bptt_check.lstm.variants import Gate, Variant

Array = np.ndarray[Any, Any]
ROWS = 512  # rows (steps × sequences) of dz that the backward pass works on at a time,
STEPS = 256  # but no more steps
CACHE = 1 << 18  # bytes of slopes among them that are computed at a time
SMALL, AT_HAND = 2048, 128  # a state of up to so many numbers: the forward pass has views of so many steps only
NARROW = 48  # up to so many memory cells, a product with a matrix of ones and zeros is faster than broadcasting


class Step(NamedTuple):
    """Views of one step of the forward pass; (B, H) each where nothing else is said, (H,) in a batch of one.

    ``None`` where the cell has no such thing.
    """

    seen: Array  # (B, K), or of what comes from the step before alone (B, H), see ``Memory.ahead``
    raw: Array  # where the tanh of the early blocks goes
    sigmas: Array  # those of them that become σ
    gates: Array  # i and f, (2, B, H), where the cell has both
    factors: Array  # g and s(t−1), (2, B, H)
    o: Array
    i: Array
    f: Array
    g: Array
    before: Array  # s(t−1)
    s: Array
    a: Array  # the output activation of s; s itself where there is none
    h: Array
    again: Array  # where s(t) goes a second time, with state feedback


class Memory:
    """All buffers for one cell, one shape and one type.

    Raises
    ------
    ValueError
        For a cell with full gate recurrence, which the fused pass does not know.
    """

    def __init__(self, variant: Variant, T: int, B: int, D: int, H: int, kind: np.dtype[Any]) -> None:
        refuse_unknown(variant)
        self.variant, self.kind, self.T, self.B, self.D, self.H = variant, kind, T, B, D, H
        self.gates = tuple(k for k in ("o", "i", "f") if k in variant.gates)
        self.blocks = (*self.gates, "g")
        self.at = {name: m for m, name in enumerate((*self.blocks, "s", "a"))}
        n, K = len(self.blocks), H + D + 1
        self.seen = full((T + 1, B, K), 1, kind)
        self.packed, self.peepholes = full((n * H, K), 0, kind), np.zeros((n, H), kind)
        self.by_gate = by_gate(B, K, H)
        self.ahead = B > 1 and not self.by_gate  # whether what x adds to z is had for many steps at once
        self.turned = empty((n, K, H) if self.by_gate else (K, n * H), kind)
        self.halves = np.repeat([0.5] * len(self.gates) + [1.0], H).astype(kind)
        self.tape = empty((T + 1, n + 2, B, H), kind)
        self.z, self.pair = empty((n, B, H), kind), empty((2, B, H), kind)
        self.h = self.seen[1:, :, :H] if variant.feedback == "h" else empty((T, B, H), kind)
        self.half, self.one = np.array(0.5, kind), np.array(1, kind)
        self.indices = self._indices()
        self.places = self.named(self.packed, self.peepholes)
        self.early = slice(
            1 if "o" in variant.peepholed else 0, n if variant.input_activation == "tanh" else len(self.gates)
        )
        tanh_tanh = variant.input_activation == variant.output_activation == "tanh"
        self.common = len(self.gates) == 3 and tanh_tanh  # all three gates and both activations are there
        self.w = w = T if B * H > SMALL else min(T, AT_HAND)
        whole = w == T
        self.seen_now = self.seen if whole else full((w + 1, B, K), 1, kind)
        self.tape_now = self.tape if whole else empty((w + 1, n + 2, B, H), kind)
        self.h_now = self.seen_now[1:, :, :H] if variant.feedback == "h" else self.h if whole else self.h[:w].copy()
        self.steps = [self._step(t) for t in range(w)]
        self._back: Back | None = None

    @property
    def back(self) -> Back:
        """The buffers of the backward pass and of tangents, made when first wanted."""
        if self._back is None:
            self._back = Back(self)
        return self._back

    def pack(self, weights: Mapping[str, Array]) -> None:
        """Copy weights into place. Raises ``ValueError`` for a name that is missing and for another shape."""
        for name, place in self.places.items():
            try:
                given = np.asarray(weights[name])
            except KeyError:
                has = ", ".join(self.places)
                raise ValueError(f"weights lack {name}; the cell {self.variant.name} has {has}") from None
            if given.shape != place.shape:
                raise ValueError(f"weights: {name} has shape {given.shape}; here it must be {place.shape}")
            place[...] = given
        if self.by_gate:
            n, K, H = self.turned.shape
            np.multiply(self.packed.reshape(n, H, K).swapaxes(1, 2), self.halves.reshape(n, 1, H), self.turned)
        else:
            np.multiply(self.packed.T, self.halves, self.turned)

    def named(self, matrix: Array, peepholes: Array) -> dict[str, Array]:
        """Views by name of arrays whose last axes are laid out as ``packed`` and ``peepholes``."""
        return {name: (peepholes if name[0] == "p" else matrix)[index] for name, index in self.indices.items()}

    def _indices(self) -> dict[str, tuple[Any, ...]]:
        H, D = self.H, self.D
        columns = {"h": slice(0, H), "s": slice(0, H), "x": slice(H, H + D)}
        found: dict[str, tuple[Any, ...]] = {}
        for name in shapes(self.variant, D, H):
            m = self.at[name[2]]
            column = columns[name[3]] if name[0] == "W" else H + D
            found[name] = (..., m, slice(None)) if name[0] == "p" else (..., slice(m * H, (m + 1) * H), column)
        return found

    def a(self, first: int, last: int) -> Array:
        """The output activation of the memory after steps ``first`` … ``last`` − 1 (counted from 0), (·, B, H)."""
        if self.variant.output_activation == "identity":
            return self.tape[first + 1 : last + 1, self.at["s"]]
        return self.tape[first:last, self.at["a"]]

    def block_views(self, z: Array) -> Array:
        """An array (B, n H) as (n, B, H), in a batch of one as (n, H)."""
        return z.reshape(-1, self.H) if self.B == 1 else z.reshape(self.B, -1, self.H).swapaxes(0, 1)

    def flat(self, views: Array) -> Array:
        """A view with no axis for a batch of one, and no axis for blocks either, so that it is a vector."""
        return views.reshape(-1) if self.B == 1 else views

    @property
    def plain(self) -> bool:
        """Whether the forward loop for few memory cells serves."""
        v = self.variant
        all_there = len(self.gates) == 3 and not v.peepholes and v.input_activation == "tanh" and v.feedback == "h"
        return all_there and self.B == 1 and self.H <= NARROW

    def stretches(self) -> Iterator[int]:
        """How many of :attr:`steps` come next; what they read is put into place before, and kept after."""
        s, H, w = self.at["s"], self.H, self.w
        for first in range(0, self.T, w):
            k = min(w, self.T - first)
            last = first + k
            if w < self.T:
                self.seen_now[:k] = self.seen[first:last]
                self.tape_now[0, s] = self.tape[first, s]
            yield k
            if w < self.T:
                self.seen[first + 1 : last + 1, :, :H] = self.seen_now[1 : k + 1, :, :H]
                self.tape[first:last], self.tape[last, s] = self.tape_now[:k], self.tape_now[k, s]
                if self.variant.feedback == "s":
                    self.h[first:last] = self.h_now[:k]

    def _step(self, t: int) -> Step:
        now, at, flat = self.tape_now[t], self.at, self.flat
        slots = {name: flat(now[m]) for name, m in at.items()}
        both = "i" in at and "f" in at
        after = flat(self.tape_now[t + 1, at["s"]])
        return Step(
            seen=self.seen_now[t, 0] if self.B == 1 else self.seen_now[t, :, : self.H if self.ahead else None],
            raw=flat(now[self.early]),
            sigmas=flat(now[self.early.start : len(self.gates)]),
            gates=flat(now[at["i"] : at["f"] + 1]) if both else _none,
            factors=flat(now[at["g"] : at["s"] + 1]) if both else _none,
            o=slots.get("o", _none),
            i=slots.get("i", _none),
            f=slots.get("f", _none),
            g=slots["g"],
            before=slots["s"],
            s=after,
            a=after if self.variant.output_activation == "identity" else slots["a"],
            h=flat(self.h_now[t]),
            again=_none if self.variant.feedback == "h" else flat(self.seen_now[t + 1, :, : self.H]),
        )


class Back:
    """What the backward pass and tangents need beside ``memory``, for c steps at a time."""

    def __init__(self, memory: Memory) -> None:
        B, D, H, kind = memory.B, memory.D, memory.H, memory.kind
        n, K = len(memory.blocks), H + D + 1
        self.c = c = max(1, min(memory.T, ROWS // B, STEPS))
        self.e = e = max(1, min(c, CACHE // ((n + 2) * B * H * kind.itemsize)))
        self.slopes = empty((e, n + 2, B, H), kind)
        self.spare = empty((e, 3, B, H), kind) if memory.common else _none
        self.dh, self.ds = empty((c, B, H), kind), empty((c, B, H), kind)
        self.dz = empty((c, B, n, H), kind)
        self.carry, self.recurrent = empty((B, H), kind), empty((B, H), kind)
        w = band_of_columns(B, n * H, H, kind)
        self.square = empty((H // w, n * H, w), kind)  # the recurrent columns of ``packed``, w at a time,
        self.handed = self.recurrent.reshape(B, -1, w).swapaxes(0, 1)  # where their product with dz goes,
        self.inputs = empty((n * H, D), kind)  # and those of x
        self.part = empty((n * H, K), kind)
        self.first = "o" in memory.blocks  # blocks of dz that come from dh: o, or none
        o = int(self.first)
        flat, blocks = memory.flat, memory.block_views
        self.steps = []
        for k in range(c):
            slopes, dz = self.slopes[k % e], self.dz[k].reshape(B, -1)
            self.steps.append(
                (
                    flat(self.dh[k]),
                    flat(self.ds[k]),
                    flat(slopes[0]),
                    flat(slopes[1]),
                    slopes[1 + o : n + 1, 0] if B == 1 else slopes[1 + o : n + 1],
                    blocks(dz)[0],
                    blocks(dz)[o:],
                    flat(dz),
                )
            )
        self.narrow = Narrow(memory, self) if B == 1 and H <= NARROW and memory.variant.feedback == "h" else None
        # F is f itself where all gates are there and nothing is added to it; the narrow loop wants it beside the others
        self.own_F = not memory.common or bool(memory.variant.peepholes) or self.narrow is not None
        own = [flat(self.slopes[k % e, n + 1]) for k in range(c)]
        self._F = own if self.own_F else [flat(now) for now in memory.tape[:-1, memory.at["f"]]]

    def slopes_F(self, first: int, low: int, high: int) -> list[Array]:
        """F of steps ``first + low`` … ``first + high`` − 1, counted from 0, after ``compute_slopes``."""
        return self._F[low:high] if self.own_F else self._F[first + low : first + high]


class Narrow:
    """The same for a batch of one with few memory cells, where what counts is how few calls a step takes.

    A row of ``flow`` holds [a-part of ds, dz …, ds_next] of a step, rows backwards in time, so that ds_next of a step
    lies beside the a-part of the step before, and one product adds them up and lays their sum out once for each factor.
    """

    def __init__(self, memory: Memory, back: Back) -> None:
        H, kind, n, c = memory.H, memory.kind, len(memory.blocks), back.c
        q = 2 if back.first else 1
        self.q, width = q, (n + 2) * H
        self.flow = empty(((c + 1) * width,), kind)
        self.rows = self.flow[width:].reshape(c, n + 2, H)  # step c−1 in row 0
        self.dl = empty((c, q, H), kind)
        self.spread = np.tile(np.eye(H, dtype=kind), (2, n + 2 - q))
        self.square = empty((n * H, q * H), kind)
        self.dh, self.ds = empty((c, q * H), kind), empty((c, (n + 2 - q) * H), kind)
        self.recurrent = empty((q * H,), kind)
        slopes = back.slopes.reshape(back.e, width)
        self.steps = []
        for k in range(c):
            start = width * (c - k)
            self.steps.append(
                (
                    self.dl[k].reshape(-1),
                    self.dh[k],
                    self.ds[k],
                    slopes[k % back.e, : q * H],
                    slopes[k % back.e, q * H :],
                    self.flow[start : start + q * H],
                    self.flow[start + q * H : start + width],
                    self.flow[start - H : start + H],
                    self.flow[start + H : start + width - H],
                )
            )


def refuse_unknown(variant: Variant) -> None:
    """Raise ``ValueError`` for a cell that the fused pass does not know."""
    if variant.gate_recurrence:
        raise ValueError(
            f"the fused pass has no full gate recurrence (cell {variant.name}); lstm.forward and lstm.backward have"
        )
    if variant.forget_gate is Gate.COUPLED and variant.input_gate is not Gate.LEARNED:
        raise ValueError(f"the fused pass couples a forget gate to a learned input gate only (cell {variant.name})")


_none: Any = None
