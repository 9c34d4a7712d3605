"""What a numerical derivative hands back, and the contract that every method keeps.

A *method* says at which offsets it wants the function and combines the values; who evaluates the function there, one
by one, stacked or elsewhere, is not its business. So a method is a generator, its *plan*: it yields offsets, an
array of shape (m, …), is sent the values there, of the same shape, and returns an :class:`Estimate` of shape (…).
It stores no state between calls.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]
Plan = Generator[Array, Array, "Estimate"]


@dataclass(frozen=True)
class Estimate:
    """A derivative with its error estimate; every field is an array of the same shape.

    ``error`` = ``roundoff`` + ``truncation``: an estimate, not a bound. ``evaluations`` counts values of the function
    per entry. ``step`` is the step that the value was taken at.
    """

    value: Array
    roundoff: Array
    truncation: Array
    step: Array
    evaluations: int
    method: str

    @property
    def error(self) -> Array:
        """Round-off and truncation together."""
        return np.asarray(self.roundoff + self.truncation)


def taken(estimate: Estimate, which: Array) -> Estimate:
    """Some entries of an estimate: those of a mask, or by place."""
    return replace(
        estimate,
        value=estimate.value[which],
        roundoff=estimate.roundoff[which],
        truncation=estimate.truncation[which],
        step=estimate.step[which],
    )


def chosen(which: Array, one: Estimate, other: Estimate) -> Estimate:
    """Entry by entry ``one`` where ``which`` holds and ``other`` elsewhere."""
    return replace(
        other,
        value=np.where(which, one.value, other.value),
        roundoff=np.where(which, one.roundoff, other.roundoff),
        truncation=np.where(which, one.truncation, other.truncation),
        step=np.where(which, one.step, other.step),
    )


class Method(Protocol):
    """A numerical derivative as a value: frozen options, a name, a declared order, and a plan."""

    @property
    def name(self) -> str:
        """What a report calls it."""

    def plan(self, scale: Array, noise: Array | float | None) -> Plan:
        """Offsets out, values in, an estimate at the end.

        ``scale`` is the length over which the function is expected to change, one for each entry; ``noise`` the
        absolute noise of its values, or ``None``: an ulp of the largest value seen.
        """


def drive(plan: Plan, evaluate: Callable[[Array], Array]) -> Estimate:
    """Run a plan to its end, with ``evaluate`` giving the values at the offsets it asks for."""
    offsets = next(plan)
    while True:
        try:
            offsets = plan.send(evaluate(offsets))
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]


def derivative(
    method: Method, function: Callable[[Any], Any], x: float = 0.0, *, scale: float = 1.0, noise: float | None = None
) -> Estimate:
    """dF/dx of a function of one number at ``x``, by any method; ``function`` may return an array."""

    def evaluate(offsets: Array) -> Array:
        return np.stack([np.asarray(function(x + offset)) for offset in offsets])

    return drive(method.plan(np.asarray(scale), noise), evaluate)


def noise_of(values: Array, noise: Array | float | None) -> Array:
    """The absolute noise to reckon with: the one given, but never less than an ulp of the largest value of an entry."""
    eps, largest = np.finfo(values.dtype).eps, np.fmax.reduce(np.abs(values), axis=0)
    ulp = eps * np.where(largest > 0, largest, 1)  # a loss of exactly 0 hides the size of what cancelled in it
    return np.asarray(ulp if noise is None else np.maximum(ulp, noise))
