"""The backward pass, B1–B9, derived by hand: the mirror of forward.py in exact reverse.

Each line is tagged with its shape, its own id, and the forward line it differentiates. ``d□`` is the full derivative
∂L/∂□ of the loss of the whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.activations import LOGISTIC, activation_named
from bptt_check.lstm.forward import Steps, Trace, over_time, row, stepwise, turned
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Gradients:
    """All derivatives of the loss. ``grads.W_gx`` is dL/dW_gx, as in :class:`~bptt_check.lstm.params.Parameters`.

    ``weights``: summed over time and batch (B5, B6). ``weights_by_step``: the same before the sum over time, each with
    T in front of its shape, or ``None`` where not asked for (P1). ``x`` (T, B, D); ``initial``: h0, s0 and, for FGR,
    i0, f0, o0, each (B, H) (B9). ``steps``: d□(t) for every intermediate h, s, g, i, f, o, z_k, each (T, B, H).
    """

    weights: Parameters
    x: Array
    initial: Mapping[str, Array]
    steps: Mapping[str, Array]
    weights_by_step: Parameters | None = None

    def __getattr__(self, name: str) -> Array:
        return getattr(self.__dict__["weights"], name)  # type: ignore[no-any-return]

    @property
    def h0(self) -> Array:
        """dL/dh(0), (B, H)."""
        return self.initial["h0"]

    @property
    def s0(self) -> Array:
        """dL/ds(0), (B, H)."""
        return self.initial["s0"]


def backward(
    trace: Trace,
    dl_dh: Array,
    *,
    dh_next: Array | float = 0,
    ds_next: Array | float = 0,
    gates_next: Mapping[str, Array] | None = None,
    by_step: bool = False,
) -> Gradients:
    """Backpropagation through time.

    Parameters
    ----------
    trace: what :func:`~bptt_check.lstm.forward.forward` returned.
    dl_dh: ∂l(t)/∂h(t) for t = 1 … T, (T, B, H): what the loss hands down.
    dh_next, ds_next: what a later part of the sequence hands back to h(T) and s(T), (B, H); nothing at its end (P2).
    gates_next: the same for the gates i, f, o of step T, by name (FGR).
    by_step: keep the weight gradients of each step too (P1).

    Source: the post's code, equation by equation; the variants' terms after Greff et al., arXiv:1503.04069.
    """
    variant, weights, T = trace.variant, trace.weights, trace.T
    s, g, i, f, z = trace.s, trace.g, trace.i, trace.f, trace.z
    blocks, peepholed = variant.blocks, variant.peepholed
    p = {k: row(weights[f"p_{k}"]) for k in peepholed}
    W = [(k, j, weights[f"W_{k}{j}"]) for k in blocks for j in variant.sees(k) if j != "x"]
    dl = stepwise(dl_dh)
    a, slope, o_slope = activated(trace)
    d: dict[str, Steps] = {name: [] for name in (*"hsgifo", *(f"z_{k}" for k in blocks))}
    next_gate = dict(gates_next or {})                                        # from the gates of t+1 (FGR)

    def handed_back(k: str, dk: Array) -> Array:
        return dk + next_gate[k] if k in next_gate else dk

    for t in range(T, 0, -1):
        dz: dict[str, Array] = {}
        dh = dl[t] + dh_next                                                  # (B, H)  B1  ← L4
        do = handed_back("o", a[t] * dh)                                      # (B, H)  B3  ← F8
        ds = o_slope[t] * dh + ds_next                                        # (B, H)  B2  ← F8, F7
        if "o" in z:
            dz["o"] = slope["o"][t] * do                                      # (B, H)  B4  ← F6
        if "o" in p:
            ds = ds + p["o"] * dz["o"]                                        # (B, H)  B2  ← F2, peephole of o
        df = handed_back("f", s[t - 1] * ds)                                  # (B, H)  B3  ← F7
        di = handed_back("i", g[t] * ds)                                      # (B, H)  B3  ← F7
        dg = i[t] * ds                                                        # (B, H)  B3  ← F7
        if variant.forget_gate is Gate.COUPLED:
            di = di - df                                                      # (B, H)  B3  ← F7, f = 1 − i
        for k, dk in (("f", df), ("i", di)):
            if k in z:
                dz[k] = slope[k][t] * dk                                      # (B, H)  B4  ← F5, F4
        dz["g"] = slope["g"][t] * dg                                          # (B, H)  B4  ← F3
        dx_c: dict[str, Array] = {}
        for k, j, W_kj in W:
            dx_kj = dz[k] @ W_kj
            dx_c[j] = dx_c[j] + dx_kj if j in dx_c else dx_kj                 # (B, H)  B7  ← F1, F2
        ds_next = ds * f[t]                                                   # (B, H)  B8  ← F7
        if "s" in dx_c:
            ds_next = ds_next + dx_c["s"]                                     # (B, H)  B8s  ← F1s
        for k in peepholed:
            if k != "o":
                ds_next = ds_next + p[k] * dz[k]                              # (B, H)  B8  ← F2, peephole
        dh_next = dx_c["h"] if "h" in dx_c else np.zeros_like(dh)             # (B, H)  B7  ← F1
        next_gate = {k: dx_c[k] for k in ("i", "f", "o") if k in dx_c}        # (B, H)  B7  ← F1, FGR
        for name, value in (("h", dh), ("s", ds), ("g", dg), ("i", di), ("f", df), ("o", do)):
            d[name].append(value)
        for k in blocks:
            d[f"z_{k}"].append(dz[k])

    initial = {"h0": dh_next, "s0": ds_next}                                  # (B, H)  B9
    if variant.gate_recurrence:
        initial |= {f"{k}0": next_gate[k] for k in ("i", "f", "o")}
    steps = {name: over_time(values[::-1]) for name, values in d.items()}
    dW, dx = sums(trace, steps, by_step=by_step)
    return Gradients(
        weights=Parameters({name: each.sum(axis=0) for name, each in dW.items()}) if by_step else dW,
        weights_by_step=dW if by_step else None,
        x=dx,
        initial={name: np.asarray(value) for name, value in initial.items()},
        steps=steps,
    )


def sums(trace: Trace, steps: Mapping[str, Array], *, by_step: bool) -> tuple[Parameters, Array]:
    """What no step waits for, from dz_k of all of them, (T, B, H): the weights' gradients, and dx.

    The former summed over time and batch, one product a matrix; ``by_step``: their terms, with T in front.
    """
    variant, weights = trace.variant, trace.weights
    dz = {k: steps[f"z_{k}"] for k in variant.blocks}
    seen = {j: over_time([trace.seen(j, t) for t in range(1, trace.T + 1)]) for k in dz for j in variant.sees(k)}
    along = (lambda a: a) if by_step else flattened
    dW: dict[str, Array] = {}
    dx: Array | float = 0
    for k, dz_k in dz.items():
        each = along(dz_k)
        for j in variant.sees(k):
            dW[f"W_{k}{j}"] = turned(each) @ along(seen[j])                   # (H, D|H)  B5  ← F2
        dW[f"b_{k}"] = each.sum(axis=-2)                                      # (H,)  B6  ← F2
        if k in variant.peepholed:
            s = over_time(trace.s[1:] if k == "o" else trace.s[:-1])
            dW[f"p_{k}"] = along(dz_k * s).sum(axis=-2)                       # (H,)  B5  ← F2, peephole
        dx = dx + dz_k @ weights[f"W_{k}x"][..., None, :, :]                  # (T, B, D)  B7  ← F1, F2
    return Parameters({name: dW[name] for name in weights}), np.asarray(dx)


def flattened(a: Array) -> Array:
    """The rows of all steps and sequences below each other: (…, T, B, H) as (…, T·B, H)."""
    return a.reshape(*a.shape[:-3], -1, a.shape[-1])


def activated(trace: Trace) -> tuple[Steps, dict[str, Steps], Steps]:
    """a(s(t)), the slopes of g and of the gates, and o(t) a′(s(t)), by step: no step waits for another."""
    variant, s = trace.variant, over_time(trace.s[1:])
    of_g, of_s = activation_named(variant.input_activation), activation_named(variant.output_activation)
    z = {k: over_time(trace.z[k][1:]) for k in variant.blocks}
    slope = {k: (of_g if k == "g" else LOGISTIC).slope(z[k], trace.over_time(k)) for k in variant.blocks}
    a = of_s.function(s)
    o_slope = trace.over_time("o") * of_s.slope(s, a)
    return stepwise(a), {k: stepwise(values) for k, values in slope.items()}, stepwise(o_slope)
