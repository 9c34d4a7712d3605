"""The same equations forwards: how fast everything changes when weights, inputs and states move along a tangent.

Each line is the differential of the forward line with the same id, by the product and chain rules. It shares no line
with backward.py but the table of slopes, so that ⟨u, J v⟩ = ⟨Jᵀu, v⟩ (P6) has two derivations on its two sides. Read it
beside forward.py. ``v□`` is the change of □ along the tangent. Leading axes carry stacks of tangents.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bptt_check.lstm.activations import LOGISTIC, activation_named
from bptt_check.lstm.forward import Trace, row, turned
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]


def tangent(trace: Trace, along: Mapping[str, Array]) -> Trace:
    """J v: the tangent of the forward pass at ``trace`` along v.

    Parameters
    ----------
    trace: what :func:`~bptt_check.lstm.forward.forward` returned.
    along: v by name. Weights, ``"x"`` (T, B, D), ``"h0"``, ``"s0"`` and, for FGR, ``"i0"``, ``"f0"``, ``"o0"`` (B, H),
        and ``"□(t)"`` (T, B, H) for an intermediate that is moved on its own after it was computed. A name left out
        does not move. All may have the same leading axes.

    Returns
    -------
    Trace
        whose every array is the tangent of the array of that name in ``trace``.

    Raises
    ------
    KeyError
        For a name that the forward pass does not have; the message lists it.

    Source: the differential of the equations of forward.py; forward accumulation after Griewank & Walther,
    *Evaluating Derivatives* (2008), chapter 3.
    """
    variant, weights = trace.variant, trace.weights
    s, g, i, f, o, z = trace.s, trace.g, trace.i, trace.f, trace.o, trace.z
    input_slope = activation_named(variant.input_activation).slope
    output = activation_named(variant.output_activation)
    _refuse_unknown(trace, along)
    v0 = {k: along.get(f"{k}0", np.zeros_like(getattr(trace, k)[0])) for k in ("h", "s", "i", "f", "o")}
    vW = Parameters({name: along.get(name, np.zeros_like(W)) for name, W in weights.items()})
    vx = np.moveaxis(along["x"], -3, 0) if "x" in along else [np.zeros_like(x) for x in trace.x[1:]]
    steps = {k: [v0[k]] for k in ("h", "s", "i", "f", "o")}
    v = Trace(variant, vW, [_no_slot, *vx], g=[_no_slot], z={k: [_no_slot] for k in variant.blocks}, **steps)

    def moved(name: str, t: int, value: Array) -> Array:
        nudge = along.get(f"{name}(t)")
        return value if nudge is None else value + nudge[..., t - 1, :, :]

    def preactivation(k: str, t: int) -> Array:
        vz = row(vW[f"b_{k}"])
        for j in variant.sees(k):
            vz = vz + trace.seen(j, t) @ turned(vW[f"W_{k}{j}"])                   # (B, H)  F1, F2, the weights move
            vz = vz + v.seen(j, t) @ turned(weights[f"W_{k}{j}"])                  # (B, H)  F1, F2, what they see moves
        if k in variant.peepholed:
            now = t if k == "o" else t - 1
            vz = vz + row(vW[f"p_{k}"]) * s[now] + row(weights[f"p_{k}"]) * v.s[now]  # (B, H)  F2, peephole
        return vz

    def gate(k: str, t: int) -> Array:
        if variant.gate(k) is Gate.OPEN:
            return np.zeros_like(s[t])                                             # (B, H)  F4, open
        if variant.gate(k) is Gate.COUPLED:
            return moved("f", t, -v.i[t])                                          # (B, H)  F5, f = 1 − i
        v.z[k].append(moved(f"z_{k}", t, preactivation(k, t)))                     # (B, H)  F2
        return moved(k, t, LOGISTIC.slope(z[k][t], getattr(trace, k)[t]) * v.z[k][t])

    for t in range(1, trace.T + 1):
        a, slope = output.function(s[t]), output.slope(s[t], output.function(s[t]))
        v.z["g"].append(moved("z_g", t, preactivation("g", t)))                    # (B, H)  F2
        v.g.append(vg := moved("g", t, input_slope(z["g"][t], g[t]) * v.z["g"][t]))  # (B, H)  F3
        v.i.append(vi := gate("i", t))                                             # (B, H)  F4
        v.f.append(vf := gate("f", t))                                             # (B, H)  F5
        vs = vg * i[t] + g[t] * vi + v.s[t - 1] * f[t] + s[t - 1] * vf             # (B, H)  F7
        v.s.append(vs := moved("s", t, vs))
        v.o.append(vo := gate("o", t))                                             # (B, H)  F6
        v.h.append(moved("h", t, slope * vs * o[t] + a * vo))                      # (B, H)  F8
    return v


def loss_tangent(v: Trace, dl_dh: Array) -> Array:
    """The change of the loss along a tangent, Σ_t ⟨∂l(t)/∂h(t), vh(t)⟩ (L2); ``dl_dh`` is (T, B, H)."""
    return np.asarray((dl_dh * v.over_time("h")).sum(axis=(-3, -2, -1)))


def _refuse_unknown(trace: Trace, along: Mapping[str, Array]) -> None:
    gates = [k for k in ("i", "f", "o") if trace.variant.gate(k) is not Gate.OPEN]
    steps = {f"{name}(t)" for name in ("h", "s", "g", *gates, *(f"z_{k}" for k in trace.variant.blocks))}
    initial = {"h0", "s0", *(("i0", "f0", "o0") if trace.variant.gate_recurrence else ())}
    known = {*trace.weights, "x", *initial, *steps}
    unknown = sorted(set(along) - known)
    if unknown:
        has = f"the cell {trace.variant.name} has {', '.join(sorted(known))}"
        raise KeyError(f"a tangent is given for {', '.join(unknown)}; {has}")


_no_slot: Any = None
