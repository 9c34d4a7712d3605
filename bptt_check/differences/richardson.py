"""Richardson extrapolation of the central difference: the h², h⁴, … terms of its error removed one by one.

The tableau T[k, j] = T[k, j−1] + (T[k, j−1] − T[k−1, j−1]) / (4^j − 1), over steps halved from row to row, gives an
error estimate at each place: what the last extrapolation changed, and the noise it amplified. The place with the least
sum is taken, entry by entry (Richardson 1911; Ridders 1982 for the choice).

A tableau can be fooled as a whole: where every step jumps over the place that matters it converges, to something else.
Two guards, plain central differences at far smaller steps, contradict it then, and where they do one of them is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Array, Estimate, Plan, chosen, derivative, noise_of

GUARDS = (2.0**-12, 2.0**-16)  # steps of the guards, as shares of the widest
SLACK = 4.0  # how much slower than in theory a column may converge and still be believed
HONEST = 2.5  # factor on the error estimate that brings the share of true errors inside above 99.9 %
CONTRADICTED = 10.0  # discrepancy, in units of both error estimates, at which a guard is believed


@dataclass(frozen=True)
class Richardson:
    """Central differences at ``levels`` halved steps from ``widest`` times the scale, extrapolated to step 0.

    Without guards, ``guarded=False``, it is cheaper, and right only where something else bears the value out.
    """

    levels: int = 7
    widest: float = 0.125
    guarded: bool = True

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
        shares = [*(0.5**k for k in range(self.levels)), *(GUARDS if self.guarded else ())]
        steps = np.stack([np.asarray(scale) * (self.widest * share) for share in shares])
        values = yield np.concatenate([-steps, steps])
        values = np.where(np.isfinite(values), values, np.nan)  # outside the domain; what comes of it is never chosen
        steps = steps.reshape(steps.shape + (1,) * (values.ndim - steps.ndim))  # for a function that returns arrays
        noise = noise_of(values, noise)
        quotients = (values[len(steps) :] - values[: len(steps)]) / (2 * steps)
        noises = noise / steps
        unknown = np.full_like(quotients[0], np.inf)
        start = Estimate(quotients[0], noises[0], unknown, steps[0], 2 * len(steps), self.name)
        best = _extrapolated(start, quotients[: self.levels], noises[: self.levels], steps)
        if self.guarded:
            best = _guarded(best, start, quotients[self.levels :], noises[self.levels :], steps[self.levels :])
        return replace(best, roundoff=HONEST * best.roundoff, truncation=HONEST * best.truncation)


def _extrapolated(best: Estimate, tableau: Array, roundoff: Array, steps: Array) -> Estimate:
    """The place of the tableau with the least error estimate, entry by entry."""
    for j in range(1, len(tableau)):
        weight = 1 / (4.0**j - 1)
        change = tableau[1:] - tableau[:-1]
        refined = tableau[1:] + change * weight
        roundoff = roundoff[1:] * (1 + weight) + roundoff[:-1] * weight
        truncation = np.abs(change) * np.where(_converging(np.abs(change), 4.0**j), weight, 1.0)
        for k in range(len(refined)):
            step = np.broadcast_to(steps[k + j], refined[k].shape)
            place = replace(best, value=refined[k], roundoff=roundoff[k], truncation=truncation[k], step=step)
            best = chosen(place.error < best.error, place, best)
        tableau = refined
    return best


def _guarded(best: Estimate, start: Estimate, quotients: Array, roundoff: Array, steps: Array) -> Estimate:
    """The estimate of the tableau, or where the differences at far smaller steps contradict it, one of these."""
    drift = np.abs(quotients[0] - quotients[1])
    fine = replace(start, value=quotients[0], roundoff=roundoff[0], truncation=drift, step=steps[0])
    left = drift / ((GUARDS[0] / GUARDS[1]) ** 2 - 1)  # of the h² that both guards carry
    finest = replace(start, value=quotients[1], roundoff=roundoff[1], truncation=left, step=steps[1])
    return _unless_contradicted(_unless_contradicted(best, fine), finest)


def _converging(change: Array, rate: float) -> Array:
    """Where a column shrinks from row to row at about the rate that theory says; only there does it earn trust."""
    earlier = np.concatenate([np.zeros_like(change[:1]), change[:-1]])
    return np.asarray(change <= SLACK * earlier / rate)


def _unless_contradicted(estimate: Estimate, guard: Estimate) -> Estimate:
    off = np.abs(estimate.value - guard.value) > CONTRADICTED * (estimate.error + guard.error)
    off |= ~np.isfinite(estimate.error) & np.isfinite(guard.error)
    return chosen(off, guard, estimate)
