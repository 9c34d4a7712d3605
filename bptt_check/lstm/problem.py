"""One place at which everything is evaluated: a cell, its weights, inputs, initial states, and a loss with its targets.

The forward pass, the loss, the backward pass and the tangent of one problem all start from the same record, so that two
of them can be laid side by side.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.lstm.backward import Gradients
from bptt_check.lstm.backward import backward as derived_backward
from bptt_check.lstm.forward import Tap, Trace, forward, untapped
from bptt_check.lstm.losses import Loss, loss_named
from bptt_check.lstm.params import Parameters, draw, shapes, signed, states
from bptt_check.lstm.variants import Gate, Variant

Array = np.ndarray[Any, Any]
Backward = Callable[..., Gradients]


@dataclass(frozen=True)
class Problem:
    """A cell at one point.

    ``x`` (T, B, D); ``initial``: h0, s0 and, for FGR, i0, f0, o0, each (B, H); ``y`` (T, B, H).
    """

    variant: Variant
    weights: Parameters
    x: Array
    initial: Mapping[str, Array]
    loss: Loss
    y: Array

    @classmethod
    def draw(
        cls, variant: Variant, *, T: int, B: int, D: int, H: int, rng: np.random.Generator, loss: str = "euclidean"
    ) -> Problem:
        """Random weights and states, none of them small; inputs and targets as the loss wants them."""
        weights = draw(variant, D, H, rng=rng)
        initial = {name: signed(rng, shape) for name, shape in states(variant, B, H).items()}
        chosen = loss_named(loss, T=T, B=B, rng=rng)
        return cls(variant, weights, rng.normal(size=(T, B, D)), initial, chosen, chosen.targets(rng, (T, B, H)))

    @classmethod
    def around(cls, variant: Variant, point: Mapping[str, Array], *, rng: np.random.Generator, loss: str) -> Problem:
        """A problem at given arrays: weights, x and initial states by name; targets from ``rng``."""
        T, B, D = point["x"].shape
        H = point["s0"].shape[-1]
        chosen = loss_named(loss, T=T, B=B, rng=rng)
        weights = Parameters({name: point[name] for name in shapes(variant, D, H)})
        initial = {name: point[name] for name in states(variant, B, H)}
        return cls(variant, weights, point["x"], initial, chosen, chosen.targets(rng, (T, B, H)))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """T, B, D, H."""
        T, B, D = self.x.shape[-3:]
        return T, B, D, self.initial["s0"].shape[-1]

    @property
    def point(self) -> dict[str, Array]:
        """All arrays that the loss depends on, by name: weights, x, and the states of step 0."""
        return {**self.weights, "x": self.x, **self.initial}

    @property
    def intermediates(self) -> tuple[str, ...]:
        """What the cell computes at each step, in forward order; a gate that is 1 is none of it."""
        gates = {k: (f"z_{k}", k) if self.variant.gate(k) is Gate.LEARNED else (k,) for k in ("i", "f", "o")}
        present = {k: names for k, names in gates.items() if self.variant.gate(k) is not Gate.OPEN}
        return ("z_g", "g", *present.get("i", ()), *present.get("f", ()), "s", *present.get("o", ()), "h")

    def at(self, point: Mapping[str, Array]) -> Problem:
        """The same cell and loss at another point; a name left out keeps its array."""
        weights = Parameters({name: point.get(name, array) for name, array in self.weights.items()})
        initial = {name: point.get(name, array) for name, array in self.initial.items()}
        return replace(self, weights=weights, x=point.get("x", self.x), initial=initial)

    def astype(self, kind: Any) -> Problem:
        """The same problem in another floating-point type."""
        moved = self.at({name: array.astype(kind) for name, array in self.point.items()})
        weights = None if self.loss.weights is None else self.loss.weights.astype(kind)
        return replace(moved, y=self.y.astype(kind), loss=replace(self.loss, weights=weights))

    def between(self, first: int, last: int, *, before: Trace | None = None) -> Problem:
        """Steps ``first`` … ``last`` (from 1), starting from where ``before`` stands after step ``first`` − 1."""
        t = first - 1
        initial = {name: getattr(before, name[0])[t] for name in self.initial} if before else self.initial
        weights = None if self.loss.weights is None else self.loss.weights[t:last]
        loss = replace(self.loss, weights=weights)
        return replace(self, x=self.x[..., t:last, :, :], initial=initial, loss=loss, y=self.y[t:last])

    def row(self, b: int) -> Problem:
        """Sequence ``b`` of the batch alone, B = 1."""
        rows = slice(b, b + 1)
        weights = None if self.loss.weights is None else self.loss.weights[:, rows]
        initial = {name: array[..., rows, :] for name, array in self.initial.items()}
        loss = replace(self.loss, weights=weights)
        return replace(self, x=self.x[..., rows, :], initial=initial, loss=loss, y=self.y[:, rows])

    def trace(self, *, tap: Tap = untapped) -> Trace:
        """The forward pass."""
        gates0 = {name[0]: array for name, array in self.initial.items() if name not in ("h0", "s0")}
        h0, s0 = self.initial["h0"], self.initial["s0"]
        return forward(self.weights, self.x, h0, s0, variant=self.variant, gates0=gates0, tap=tap)

    def value(self, trace: Trace) -> Array:
        """The loss of a forward pass (L2)."""
        return self.loss.value(trace.over_time("h"), self.y)

    def slope(self, trace: Trace) -> Array:
        """∂l(t)/∂h(t) of a forward pass, (T, B, H)."""
        return self.loss.derivative(trace.over_time("h"), self.y)

    def gradients(self, *, backward: Backward = derived_backward, by_step: bool = False) -> Gradients:
        """The backward pass; ``backward`` may be any function of that signature."""
        trace = self.trace()
        return backward(trace, self.slope(trace), by_step=by_step)

    def derivatives(self, gradients: Gradients) -> dict[str, Array]:
        """Gradients by the names of :attr:`point`, and ``"□(t)"`` for each intermediate □."""
        by_step = {f"{name}(t)": gradients.steps[name] for name in self.intermediates}
        return {**gradients.weights, "x": gradients.x, **gradients.initial, **by_step}
