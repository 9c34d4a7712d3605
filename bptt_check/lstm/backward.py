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
    s, g, i, f, o, z = trace.s, trace.g, trace.i, trace.f, trace.o, trace.z
    sees, peepholed = {k: variant.sees(k) for k in variant.blocks}, variant.peepholed
    dl = stepwise(dl_dh)
    a, slope = activated(trace)
    d: dict[str, Steps] = {name: [] for name in ("x", *"hsgifo", *(f"z_{k}" for k in variant.blocks))}
    dW: dict[str, Steps] = {name: [] for name in weights}
    carried = gates_next or {}
    next_gate: dict[str, Array | float] = {k: carried.get(k, 0) for k in ("i", "f", "o")}  # from the gates of t+1 (FGR)

    def add(name: str, contribution: Array) -> None:                          # Σ_t, or its terms one by one
        dW[name] = [*dW[name], contribution] if by_step or not dW[name] else [dW[name][0] + contribution]

    for t in range(T, 0, -1):
        dz: dict[str, Array] = {}
        dh = dl[t] + dh_next                                                  # (B, H)  B1  ← L4
        do = a[t] * dh + next_gate["o"]                                       # (B, H)  B3  ← F8
        ds = o[t] * slope["a"][t] * dh + ds_next                              # (B, H)  B2  ← F8, F7
        if "o" in z:
            dz["o"] = slope["o"][t] * do                                      # (B, H)  B4  ← F6
        if "o" in peepholed:
            ds = ds + row(weights.p_o) * dz["o"]                              # (B, H)  B2  ← F2, peephole of o
        df = s[t - 1] * ds + next_gate["f"]                                   # (B, H)  B3  ← F7
        di = g[t] * ds + next_gate["i"]                                       # (B, H)  B3  ← F7
        dg = i[t] * ds                                                        # (B, H)  B3  ← F7
        if variant.forget_gate is Gate.COUPLED:
            di = di - df                                                      # (B, H)  B3  ← F7, f = 1 − i
        for k, dk in (("f", df), ("i", di)):
            if k in z:
                dz[k] = slope[k][t] * dk                                      # (B, H)  B4  ← F5, F4
        dz["g"] = slope["g"][t] * dg                                          # (B, H)  B4  ← F3
        dx_c: dict[str, Array | float] = {"x": 0, "h": 0, "s": 0, "i": 0, "f": 0, "o": 0}
        for k in sees:
            for j in sees[k]:
                add(f"W_{k}{j}", turned(dz[k]) @ trace.seen(j, t))            # (H, D|H)  B5  ← F2
                dx_c[j] = dx_c[j] + dz[k] @ weights[f"W_{k}{j}"]              # (B, D|H)  B7  ← F1, F2
            add(f"b_{k}", dz[k].sum(axis=-2))                                 # (H,)  B6  ← F2
        ds_next = ds * f[t] + dx_c["s"]                                       # (B, H)  B8, B8s  ← F7, F1s
        for k in peepholed:
            seen = s[t] if k == "o" else s[t - 1]
            add(f"p_{k}", (dz[k] * seen).sum(axis=-2))                        # (H,)  B5  ← F2, peephole
            if k != "o":
                ds_next = ds_next + row(weights[f"p_{k}"]) * dz[k]            # (B, H)  B8  ← F2, peephole
        dh_next = dx_c["h"] + np.zeros_like(dh)                               # (B, H)  B7  ← F1
        next_gate = {k: dx_c[k] for k in ("i", "f", "o")}                     # (B, H)  B7  ← F1, FGR
        for name, value in (("x", dx_c["x"]), ("h", dh), ("s", ds), ("g", dg), ("i", di), ("f", df), ("o", do)):
            d[name].append(np.asarray(value))
        for k in sees:
            d[f"z_{k}"].append(dz[k])

    initial = {"h0": dh_next, "s0": ds_next}                                  # (B, H)  B9
    if variant.gate_recurrence:
        initial |= {f"{k}0": next_gate[k] for k in ("i", "f", "o")}
    d = {name: steps[::-1] for name, steps in d.items()}
    return Gradients(
        weights=Parameters({name: sum(steps[1:], steps[0]) for name, steps in dW.items()}),
        weights_by_step=Parameters({name: np.stack(steps[::-1]) for name, steps in dW.items()}) if by_step else None,
        x=over_time(d.pop("x")),
        initial={name: np.asarray(value) for name, value in initial.items()},
        steps={name: over_time(steps) for name, steps in d.items()},
    )


def activated(trace: Trace) -> tuple[Steps, dict[str, Steps]]:
    """a(s(t)), and the derivatives of all activations, by what they give (a, g, i, f, o): no step waits for another."""
    variant, s = trace.variant, over_time(trace.s[1:])
    of_g, of_s = activation_named(variant.input_activation), activation_named(variant.output_activation)
    z = {k: over_time(trace.z[k][1:]) for k in variant.blocks}
    slope = {k: (of_g if k == "g" else LOGISTIC).slope(z[k], trace.over_time(k)) for k in variant.blocks}
    a = of_s.function(s)
    slope["a"] = of_s.slope(s, a)
    return stepwise(a), {k: stepwise(values) for k, values in slope.items()}
