"""The complex-step derivative, Im F(x + ih) / h (Lyness & Moler 1967; Squire & Trapp 1998).

Nothing is subtracted, so nothing cancels: with h tiny the truncation error h² F‴/6 vanishes, and what is left is
the rounding of one evaluation. It needs a forward pass that carries complex numbers from end to end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Plan, derivative


@dataclass(frozen=True)
class ComplexStep:
    """One evaluation at an imaginary offset of ``step`` times the scale.

    Nothing cancels, so that the step may be as small as the range of the numbers allows; it must be small beside each
    entry, and those of one block may be 1e-16 of its largest.
    """

    step: float = 1e-40

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "complex step"

    @property
    def order(self) -> int:
        """Order of the truncation error, seen only at steps far larger than the default."""
        return 2

    def __call__(
        self, function: Callable[[Any], Any], x: float = 0.0, *, scale: float = 1.0, noise: float | None = None
    ) -> Estimate:
        """The derivative of a function of one number at ``x``."""
        return derivative(self, function, x, scale=scale, noise=noise)

    def plan(self, scale: Array, noise: Array | float | None) -> Plan:
        """See :class:`~bptt_check.differences.estimate.Method`. ``noise`` of the real part does not matter here."""
        step = np.asarray(scale) * self.step
        (value,) = yield np.asarray(1j * step)[None]
        slope = np.asarray(value.imag / step)
        # h² F‴/6, with F‴ taken to be of the size of F′ on the length of the scale: nothing, at the default step.
        truncation = np.abs(slope) * self.step**2 / 6
        roundoff = np.finfo(slope.dtype).eps * np.abs(slope)
        return Estimate(slope, roundoff, truncation, np.broadcast_to(step, slope.shape), 1, self.name)
