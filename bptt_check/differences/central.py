"""The central difference, (F(x+h) − F(x−h)) / 2h, with a step from an error model.

Its error is ε/h + h² M₃/6, where ε is the absolute noise of F and M₃ bounds its third derivative: least at
h = (3ε/M₃)^⅓ (Gill, Murray, Saunders & Wright 1983; Sauer, *Numerical Analysis*, §5.1). M₃ is measured by a pilot at a
wider step, from (F(x+2h) − 2F(x+h) + 2F(x−h) − F(x−2h)) / 2h³.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Plan, derivative, noise_of

_NODES = np.array([-2.0, -1.0, 1.0, 2.0])
_THIRD = np.array([-0.5, 1.0, -1.0, 0.5])


@dataclass(frozen=True)
class Central:
    """Second-order central difference. ``step=None``: from the error model, six evaluations; else fixed, four."""

    step: float | None = None
    order: int = 2

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "central difference" if self.step is None else f"central difference, step {self.step:g}"

    def __call__(
        self, function: Callable[[Any], Any], x: float = 0.0, *, scale: float = 1.0, noise: float | None = None
    ) -> Estimate:
        """The derivative of a function of one number at ``x``."""
        return derivative(self, function, x, scale=scale, noise=noise)

    def plan(self, scale: Array, noise: Array | float | None) -> Plan:
        """See :class:`~bptt_check.differences.estimate.Method`."""
        scale = np.asarray(scale)
        kind = np.result_type(scale, np.float16)
        pilot = np.asarray(self.step, dtype=kind) if self.step else scale * float(np.finfo(kind).eps) ** 0.2
        values = yield np.multiply.outer(_NODES.astype(kind), pilot)
        noise = noise_of(values, noise)
        third = (np.abs(np.tensordot(_THIRD, values, axes=1)) + 3 * noise) / pilot**3
        wide = (values[2] - values[1]) / (2 * pilot)
        if self.step:
            truncation = pilot**2 * third / 6
            return Estimate(wide, noise / pilot, truncation, np.broadcast_to(pilot, wide.shape), 4, self.name)
        step = np.minimum(np.cbrt(3 * noise / np.where(third > 0, third, 1)), pilot)
        step = np.where(step > 0, step, pilot)
        values = yield np.stack([-step, step])
        value = (values[1] - values[0]) / (2 * step)
        truncation = np.maximum(step**2 * third / 6, np.abs(wide - value) * (step / pilot) ** 2)
        return Estimate(value, noise / step, truncation, step, 6, self.name)
