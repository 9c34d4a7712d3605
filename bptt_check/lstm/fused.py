"""The same mathematics as forward.py and backward.py, laid out for speed: the ordinary LSTM for NumPy.

>>> import numpy as np
>>> from bptt_check import LSTM
>>> rng = np.random.default_rng(0)
>>> cell = LSTM("NP", D=3, H=4, dtype=np.float32)
>>> weights = cell.draw(rng)
>>> tape = cell.forward(weights, rng.normal(size=(5, 2, 3)))
>>> tape.h.shape, tape.h.dtype
((5, 2, 4), dtype('float32'))
>>> grads = cell.backward(tape, 2 * tape.h)
>>> grads.W_gx.shape, grads.x.shape, grads.h0.shape
((4, 3), (5, 2, 3), (2, 4))

One product a step serves all gates, one product many steps of dW and of dx; no array is made inside a loop. Where the
arrays lie and why: :mod:`bptt_check.lstm.fused_memory`. What the loops do: :mod:`bptt_check.lstm.fused_passes`.
``benchmarks/core.py`` measures it.

Rounding
--------
σ(z) is ½ + ½ tanh(z/2), and σ′ is k (1 − k): one call of tanh serves all gates. Both are within a few eps of the exact
value *absolutely*, not relatively as in activations.py: a gate below about eps (z < −16 in float32, z < −37 in float64)
is rounded to 0 or to a few eps, and the slope of a gate that near to 0 or 1 likewise; so is tanh′ = 1 − g².
An entry of a gradient is off by what that moves, a few eps times the size of what it is a sum of; a gradient that only
comes through saturated gates can be off by all of itself. Where that matters, the readable pass keeps it.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bptt_check.lstm.backward import Gradients
from bptt_check.lstm.fused_memory import Memory, refuse_unknown
from bptt_check.lstm.fused_passes import run_backward, run_forward, run_tangent
from bptt_check.lstm.params import Parameters, draw, shapes
from bptt_check.lstm.products import multiply_rows
from bptt_check.lstm.unbuffered import unbuffered
from bptt_check.lstm.variants import Gate, Variant, variant_named

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Tape:
    """What a forward pass hands on: ``h`` (T, B, H) for t = 1 … T, and ``s_last``, s(T), (B, H).

    Both are the caller's own: nothing that runs later changes them, and changing them changes no gradient. All else
    that the backward pass needs is kept inside for as long as the tape is alive.
    """

    variant: Variant
    h: Array
    s_last: Array
    _memory: Memory = field(repr=False)


class LSTM:
    """A cell of one variant, size and type, with its forward pass, backward pass and tangent.

    Buffers are kept and used again: from the second call with the same T and B on, nothing big is allocated but what is
    returned. Two tapes that are alive at once never share one, so results can be kept, and passes can interleave. Not
    for two threads at once; make one per thread.

    Parameters
    ----------
    variant: a cell, or its name: ``"NP"`` is the common LSTM, ``"post"`` the post's; all but FGR.
    D, H: inputs and memory cells.
    dtype: float32 and float64 are what it is made for; long double and complex types work as well.

    Raises
    ------
    ValueError
        For a cell that is unknown or has full gate recurrence, for D or H below 1, for another kind of ``dtype``.
    """

    def __init__(self, variant: str | Variant, *, D: int, H: int, dtype: Any = np.float64) -> None:
        self.variant = variant_named(variant) if isinstance(variant, str) else variant
        refuse_unknown(self.variant)
        for name, length in (("D", D), ("H", H)):
            if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1:
                raise ValueError(f"{name} must be a whole number of at least 1; it is {length!r}")
        self.D, self.H, self.dtype = int(D), int(H), np.dtype(dtype)
        if self.dtype.kind not in "fc":
            raise ValueError(f"dtype must be a floating-point type; it is {self.dtype}")
        self._kept: list[tuple[Memory, weakref.ref[Tape]]] = []

    def __repr__(self) -> str:
        return f"LSTM({self.variant.name!r}, D={self.D}, H={self.H}, dtype={self.dtype.name!r})"

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as in :mod:`bptt_check.lstm.params`."""
        return shapes(self.variant, self.D, self.H)

    def draw(self, rng: np.random.Generator, *, size: float | None = None) -> Parameters:
        """Random weights in ``dtype``, between ½ and 1 times ``size`` (1/√H where not given) in absolute value."""
        drawn = draw(self.variant, self.D, self.H, rng=rng, size=self.H**-0.5 if size is None else size)
        return Parameters({name: array.astype(self.dtype) for name, array in drawn.items()})

    def forward(
        self, weights: Mapping[str, Array], x: Array, h0: Array | None = None, s0: Array | None = None
    ) -> Tape:
        """Run the cell over all steps (F1–F8).

        Parameters
        ----------
        weights: arrays by name, of the shapes in :attr:`shapes`. More names than the cell has do no harm.
        x: inputs, (T, B, D). h0, s0: initial states, (B, H); zero where not given.

        Everything is copied into place, cast to ``dtype``; no argument is kept or changed.

        Raises
        ------
        ValueError
            For a weight that is missing and for a wrong shape; the message names the array.
        """
        x = np.asarray(x)
        if x.ndim != 3 or x.shape[2] != self.D or not x.size:
            raise ValueError(f"x has shape {x.shape}; it must be (T, B, D) with D = {self.D}, T and B at least 1")
        T, B, D, H = *x.shape, self.H
        memory = self._memory(T, B)
        memory.pack(weights)
        first = (0, slice(None), slice(0, H))
        memory.seen[:-1, :, H : H + D] = x
        for name, given, place in (("h0", h0, memory.seen[first]), ("s0", s0, memory.tape[0, memory.at["s"]])):
            place[...] = 0 if given is None else _shaped(name, given, (B, H))
        if self.variant.feedback == "s":
            memory.seen[first] = memory.tape[0, memory.at["s"]]
            if h0 is not None:
                _shaped("h0", h0, (B, H))
        with _on_views(memory):
            run_forward(memory)
        tape = Tape(self.variant, memory.h.copy(), memory.tape[-1, memory.at["s"]].copy(), memory)
        self._kept.append((memory, weakref.ref(tape)))
        return tape

    def backward(
        self,
        tape: Tape,
        dl_dh: Array,
        *,
        dh_next: Array | None = None,
        ds_next: Array | None = None,
        steps: bool = False,
        by_step: bool = False,
    ) -> Gradients:
        """Backpropagation through time (B1–B9); see :func:`backward`."""
        return backward(tape, dl_dh, dh_next=dh_next, ds_next=ds_next, steps=steps, by_step=by_step)

    def tangent(self, tape: Tape, along: Mapping[str, Array]) -> Array:
        """How h moves along a direction, (T, B, H); see :func:`tangent`."""
        return tangent(tape, along)

    def _memory(self, T: int, B: int) -> Memory:
        """Buffers that no living tape uses, taken out of those kept; new ones where there are none."""
        for k, (memory, tape) in enumerate(self._kept):
            if (memory.T, memory.B) == (T, B) and tape() is None:
                del self._kept[k]
                return memory
        self._kept = [(memory, tape) for memory, tape in self._kept if tape() is not None]
        return Memory(self.variant, T, B, self.D, self.H, self.dtype)


def forward(
    weights: Mapping[str, Array],
    x: Array,
    h0: Array | None = None,
    s0: Array | None = None,
    *,
    variant: str | Variant,
    dtype: Any = None,
) -> Tape:
    """The forward pass, with buffers of its own; :class:`LSTM` keeps them for the next call.

    Parameters and errors are those of :meth:`LSTM.forward`. ``dtype`` is the common type of all arrays if not given.
    """
    x = np.asarray(x)
    given = [np.asarray(array) for array in (*weights.values(), x, h0, s0) if array is not None]
    if x.ndim != 3 or "b_g" not in weights or np.ndim(weights["b_g"]) != 1:
        raise ValueError("x must be (T, B, D), and weights must have a vector b_g: its length is H")
    kind = np.result_type(np.float32, *given) if dtype is None else dtype
    return LSTM(variant, D=x.shape[2], H=len(weights["b_g"]), dtype=kind).forward(weights, x, h0, s0)


def backward(
    tape: Tape,
    dl_dh: Array,
    *,
    dh_next: Array | None = None,
    ds_next: Array | None = None,
    steps: bool = False,
    by_step: bool = False,
) -> Gradients:
    """Backpropagation through time, as often as wanted on one tape.

    Parameters
    ----------
    tape: what ``forward`` returned.
    dl_dh: ∂l(t)/∂h(t) for t = 1 … T, (T, B, H).
    dh_next, ds_next: what a later part of the sequence hands back to h(T) and s(T), (B, H).
    steps: fill ``.steps`` with d□(t) of every intermediate, as the readable backward pass does; empty otherwise.
    by_step: keep the weight gradients of each step too, before their sum.

    Returns
    -------
    Gradients
        ``.W_gx`` and so on, ``.x``, ``.h0``, ``.s0``: fresh arrays, all weights being views of one.

    Raises
    ------
    ValueError
        For a wrong shape.
    """
    m, back = tape._memory, tape._memory.back
    T, B, D, H, n = m.T, m.B, m.D, m.H, len(m.blocks)
    dl = _shaped("dl_dh", dl_dh, (T, B, H)).astype(m.kind, copy=False, casting="same_kind")
    back.recurrent[...] = 0 if dh_next is None else _shaped("dh_next", dh_next, (B, H))
    back.carry[...] = 0 if ds_next is None else _shaped("ds_next", ds_next, (B, H))
    dW, dp, dx = np.empty_like(m.packed), np.zeros_like(m.peepholes), np.empty((T, B, D), m.kind)
    each = np.empty((T, *dW.shape), m.kind) if by_step else None
    each_p = np.zeros((T, *dp.shape), m.kind) if by_step else None
    d = {name: np.empty((T, B, H), m.kind) for name in _intermediates(m.variant)} if steps else {}
    np.copyto(back.inputs, m.packed[:, H : H + D])
    with _on_views(m):
        for first, last in run_backward(m, dl, keep=steps):
            k = last - first
            dz = back.dz[:k].reshape(k * B, n * H)
            seen = m.seen[first:last].reshape(k * B, -1)
            if last == T:
                dz.T.dot(seen, dW)                                            # (n H, K)  as B5, B6
            else:
                np.add(dW, dz.T.dot(seen, back.part), dW)
            multiply_rows(dz, back.inputs, dx[first:last].reshape(k * B, D))  # (c B, D)  as B7
            for gate in m.variant.peepholed:
                s = m.tape[first + 1 : last + 1, m.at["s"]] if gate == "o" else m.tape[first:last, m.at["s"]]
                terms = (back.dz[:k, :, m.at[gate]] * s).sum(axis=1)          # (c, H)  as B5, peephole
                dp[m.at[gate]] += terms.sum(axis=0)
                if each_p is not None:
                    each_p[first:last, m.at[gate]] = terms
            if each is not None:
                np.matmul(dz.reshape(k, B, -1).swapaxes(1, 2), m.seen[first:last], each[first:last])  # as P1
            if d:
                _keep_steps(m, d, first, last)
    return Gradients(
        weights=Parameters(m.named(dW, dp)),
        x=dx,
        initial={"h0": back.recurrent.copy(), "s0": back.carry.copy()},   # (B, H)  as B9
        steps=d,
        weights_by_step=None if each is None or each_p is None else Parameters(m.named(each, each_p)),
    )


def tangent(tape: Tape, along: Mapping[str, Array]) -> Array:
    """J v: how fast h(1) … h(T) change when weights, inputs and initial states all move at once along v.

    Parameters
    ----------
    tape: what ``forward`` returned.
    along: v by name: weights, ``"x"`` (T, B, D), ``"h0"`` and ``"s0"`` (B, H). What is left out does not move;
        to leave out x saves one of its products.

    Returns
    -------
    vh, (T, B, H), a fresh array. The derivative of a loss along v is ``(dl_dh * vh).sum()``.

    Raises
    ------
    KeyError
        For a name that the cell does not have.
    ValueError
        For a wrong shape.
    """
    m = tape._memory
    known = {**{name: view.shape for name, view in m.places.items()}, "x": (m.T, m.B, m.D)}
    known |= dict.fromkeys(("h0", "s0"), (m.B, m.H))
    unknown = sorted(set(along) - set(known))
    if unknown:
        raise KeyError(
            f"a tangent is given for {', '.join(unknown)}; the cell {m.variant.name} has {', '.join(known)}"
        )
    v = {name: _shaped(name, array, known[name]).astype(m.kind, copy=False) for name, array in along.items()}
    vW, vp = np.zeros_like(m.packed), np.zeros_like(m.peepholes)
    for name, view in m.named(vW, vp).items():
        if name in v:
            view[...] = v[name]
    vh = np.empty((m.T, m.B, m.H), m.kind)
    zero = np.zeros((m.B, m.H), m.kind)
    with _on_views(m):
        run_tangent(m, vW, vp, v.get("x"), np.ascontiguousarray(v.get("h0", zero)), v.get("s0", zero), vh)
    return vh


def _on_views(m: Memory) -> AbstractContextManager[None]:
    """Operations without NumPy's buffers where views of a step are not plain vectors."""
    return nullcontext() if m.B == 1 else unbuffered()


def _keep_steps(m: Memory, d: Mapping[str, Array], first: int, last: int) -> None:
    """d□(t) of the steps that the buffers hold: B1–B4 once more, without the slopes."""
    back, at, k = m.back, m.at, last - first
    dh, ds, tape = back.dh[:k], back.ds[:k], m.tape[first:last]
    now = {**{f"z_{b}": back.dz[:k, :, at[b]] for b in m.blocks}, "h": dh, "s": ds}
    if "o" in at:
        now["o"] = m.a(first, last) * dh
    now["g"] = tape[:, at["i"]] * ds if "i" in at else ds
    coupled = m.variant.forget_gate is Gate.COUPLED
    if "f" in at or coupled:
        now["f"] = tape[:, at["s"]] * ds
    if "i" in at:
        now["i"] = tape[:, at["g"]] * ds - now["f"] if coupled else tape[:, at["g"]] * ds
    for name, array in now.items():
        d[name][first:last] = array


def _intermediates(variant: Variant) -> tuple[str, ...]:
    present = [k for k in ("i", "f", "o") if variant.gate(k) is not Gate.OPEN]
    return ("h", "s", "g", *present, *(f"z_{k}" for k in variant.blocks))


def _shaped(name: str, array: Array, shape: tuple[int, ...]) -> Array:
    array = np.asarray(array)
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; here it must be {shape}")
    return array
