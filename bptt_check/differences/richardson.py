"""Richardson extrapolation of the central difference: the h², h⁴, … terms of its error removed one by one.

The tableau T[k, j] = T[k, j−1] + (T[k, j−1] − T[k−1, j−1]) / (4^j − 1), over steps halved from row to row, gives an error
estimate at each place: what the last extrapolation changed, and the noise it amplified. The place with the least
sum is taken, entry by entry (Richardson 1911; Ridders 1982 for the choice).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Plan, derivative, noise_of


@dataclass(frozen=True)
class Richardson:
    """Central differences at ``levels`` halved steps from ``widest`` times the scale, extrapolated to step 0."""

    levels: int = 7
    widest: float = 0.125

    @property
    def name(self) -> str:
        """What a report calls it."""
        return "Richardson extrapolation"

    @property
    def order(self) -> int:
        """Order of the highest extrapolation."""
        return 2 * self.levels

    def __call__(
        self, function: Callable[[Any], Any], x: float = 0.0, *, scale: float = 1.0, noise: float | None = None
    ) -> Estimate:
        """The derivative of a function of one number at ``x``."""
        return derivative(self, function, x, scale=scale, noise=noise)

    def plan(self, scale: Array, noise: Array | float | None) -> Plan:
        """See :class:`~bptt_check.differences.estimate.Method`."""
        steps = np.stack([np.asarray(scale) * (self.widest / 2**k) for k in range(self.levels)])
        values = yield np.concatenate([-steps, steps])
        steps = steps.reshape(steps.shape + (1,) * (values.ndim - steps.ndim))  # for a function that returns arrays
        noise = noise_of(values, noise)
        tableau = (values[self.levels :] - values[: self.levels]) / (2 * steps)
        roundoff = noise / steps
        best = Estimate(
            tableau[0], roundoff[0], np.full_like(roundoff[0], np.inf), steps[0], 2 * self.levels, self.name
        )
        for j in range(1, self.levels):
            weight = 1 / (4.0**j - 1)
            change = tableau[1:] - tableau[:-1]
            refined = tableau[1:] + change * weight
            amplified = roundoff[1:] * (1 + weight) + roundoff[:-1] * weight
            truncation = np.maximum(np.abs(refined - tableau[1:]), np.abs(refined - tableau[:-1]) * weight)
            for k in range(len(refined)):
                best = _better(best, refined[k], amplified[k], truncation[k], steps[k + j])
            tableau, roundoff = refined, amplified
        return best


def _better(best: Estimate, value: Array, roundoff: Array, truncation: Array, step: Array) -> Estimate:
    wins = roundoff + truncation < best.error
    return Estimate(
        np.where(wins, value, best.value),
        np.where(wins, roundoff, best.roundoff),
        np.where(wins, truncation, best.truncation),
        np.where(wins, step, best.step),
        best.evaluations,
        best.method,
    )
