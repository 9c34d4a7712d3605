"""The forward pass, F1–F8: one equation a line, with its shape and its id in docs/equations.md; beside it, backward.py.

The same lines serve float32, float64, long double and complex numbers, and stacks of copies: every array may have
leading axes in front of the shape in its comment. Lists over time have T+1 slots, so that ``h[t-1]`` is h(t−1), slot 0
is the initial state, and no step is special.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bptt_check.lstm.activations import activation_named, logistic
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.variants import Gate, Variant

Array = np.ndarray[Any, Any]
Steps = list[Array]
Tap = Callable[[str, int, Array], Array]


def untapped(name: str, t: int, value: Array) -> Array:
    """The tap that changes nothing."""
    return value


@dataclass(frozen=True)
class Trace:
    """All that the forward pass computed, by step: ``h[t]`` is h(t). x and z_k have no slot 0 (``None``)."""

    variant: Variant
    weights: Parameters
    x: Steps
    h: Steps
    s: Steps
    g: Steps
    i: Steps
    f: Steps
    o: Steps
    z: dict[str, Steps] = field(default_factory=dict)

    @property
    def T(self) -> int:
        """Number of time steps."""
        return len(self.x) - 1

    def seen(self, j: str, t: int) -> Array:
        """Part j of x_c(t) = [x(t), h(t−1)] (F1): x of this step, everything else of the step before."""
        steps: Steps = getattr(self, j)
        return steps[t] if j == "x" else steps[t - 1]

    def over_time(self, name: str) -> Array:
        """``"h"``, ``"s"``, a gate, or ``"z_k"``, for t = 1 … T, stacked: (T, B, H)."""
        steps: Steps = self.z[name[2:]] if name.startswith("z_") else getattr(self, name)
        return over_time(steps[1:])


def turned(W: Array) -> Array:
    """The transpose of a matrix, or of each of a stack."""
    return W.swapaxes(-1, -2)


def over_time(steps: Steps) -> Array:
    """The arrays of T steps, (…, B, H) each, as one: (…, T, B, H). Leading axes may differ from step to step."""
    try:
        together = np.array(steps)
    except ValueError:
        together = np.array(np.broadcast_arrays(*steps))
    leading = range(1, together.ndim - 2)
    return together.transpose(*leading, 0, -2, -1) if leading else together


def forward(
    weights: Parameters,
    x: Array,
    h0: Array,
    s0: Array,
    *,
    variant: Variant,
    gates0: Mapping[str, Array] | None = None,
    tap: Tap = untapped,
) -> Trace:
    """Run the cell over T steps.

    Parameters
    ----------
    weights: arrays named and shaped as :func:`bptt_check.lstm.params.shapes` says.
    x: inputs, (T, B, D). h0, s0: initial states, (B, H).
    gates0: for FGR, the gates i, f, o of step 0, each (B, H); zero where not given.
    tap: called as ``tap(name, t, value)`` with every intermediate h, s, g, i, f, o, z_k as it is computed; what it
        returns is used from there on. Adding ε to one of them is the intervention that defines d□(t).

    Returns
    -------
    Trace
        with h and s (T+1 slots of (B, H)) and all intermediates.

    Source: the post's cell after Lipton, arXiv:1506.00019; variants after Greff et al., arXiv:1503.04069.
    """
    input_activation = activation_named(variant.input_activation).function
    output_activation = activation_named(variant.output_activation).function
    before = {k: (gates0 or {}).get(k, np.zeros_like(s0)) for k in ("i", "f", "o")}
    steps = {k: [before[k]] for k in ("i", "f", "o")}
    z: dict[str, Steps] = {k: [_no_slot] for k in variant.blocks}
    trace = Trace(variant, weights, stepwise(x), [h0], [s0], [_no_slot], **steps, z=z)
    h, s = trace.h, trace.s
    kind = {k: variant.gate(k) for k in steps}
    p = {k: row(weights[f"p_{k}"]) for k in variant.peepholed}
    of_x: dict[str, Steps] = {}
    others: dict[str, list[tuple[Steps, Array]]] = {}                     # what else z_k sees, and its matrix
    for k in variant.blocks:                                              # of x, for all steps at once
        b_k, W_kx = row(weights[f"b_{k}"]), turned(weights[f"W_{k}x"])[..., None, :, :]
        of_x[k] = stepwise(row(b_k) + x @ W_kx)                           # (T, B, H)  F1, F2
        others[k] = [(getattr(trace, j), turned(weights[f"W_{k}{j}"])) for j in variant.sees(k) if j != "x"]

    def preactivation(k: str, t: int) -> Array:
        z_k = of_x[k][t]                                                  # (B, H)  F2
        for steps_j, W_kj in others[k]:
            z_k = z_k + steps_j[t - 1] @ W_kj                             # (B, H)  F1, F2
        if k in p:                                                        # o is computed after s, and sees s(t)
            z_k = z_k + p[k] * s[t if k == "o" else t - 1]                # (B, H)  F2, peephole
        return z_k                                                        # (B, H)  F1, F2

    def gate(k: str, t: int) -> Array:
        if kind[k] is Gate.OPEN:
            return np.ones_like(s[t - 1])                                 # (B, H)  F4, open
        if kind[k] is Gate.COUPLED:                                       # 1 − σ(z) is σ(−z)
            return tap("f", t, logistic(-z["i"][t]) - (trace.i[t] - logistic(z["i"][t])))  # (B, H)  F5, f = 1 − i
        z_k = tap(f"z_{k}", t, preactivation(k, t))                       # (B, H)  F2
        z[k].append(z_k)
        return tap(k, t, logistic(z_k))

    for t in range(1, trace.T + 1):
        z["g"].append(z_g := tap("z_g", t, preactivation("g", t)))        # (B, H)  F2
        trace.g.append(g := tap("g", t, input_activation(z_g)))           # (B, H)  F3
        trace.i.append(i := gate("i", t))                                 # (B, H)  F4
        trace.f.append(f := gate("f", t))                                 # (B, H)  F5
        s.append(s_t := tap("s", t, g * i + s[t - 1] * f))                # (B, H)  F7
        trace.o.append(o := gate("o", t))                                 # (B, H)  F6
        h.append(tap("h", t, output_activation(s_t) * o))                 # (B, H)  F8
    return trace


def stepwise(a: Array) -> Steps:
    """An array of all steps, (…, T, B, H), as a list of T+1 slots, the first of them without one."""
    return [_no_slot, *(a[..., t, :, :] for t in range(a.shape[-3]))]


def row(b: Array) -> Array:
    """A vector of H, or a stack of them, as one row that every sequence of the batch shares."""
    return b[..., None, :]


_no_slot: Any = None
