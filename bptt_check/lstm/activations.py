"""Activations as a table: a function, and beside it its derivative. Complex-safe, and accurate at both ends.

½(1 + tanh(z/2)) and k (1 − k) lose all relative accuracy where a gate saturates. Here the logistic function is a
quotient of decaying exponentials on either side, and 1 − σ(z) is σ(−z): both keep their relative accuracy, and so do
the derivatives. Only the *real* part of z chooses a side, so that a complex step passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def logistic(z: Array) -> Array:
    """σ(z) = 1 / (1 + exp(−z)), to relative accuracy for every z; real or complex, dtype kept."""
    one, negative = _one(z.dtype), np.signbit(z.real)
    decay = decaying(z, negative)
    return np.asarray(np.where(negative, decay, one) / (one + decay))


def bell(z: Array) -> Array:
    """σ(z) σ(−z) = e / (1 + e)² with e = exp(−|z|): as accurate, at the cost of one exponential."""
    decay = decaying(z, np.signbit(z.real))
    both = _one(z.dtype) + decay
    return np.asarray(decay / (both * both))


def decaying(z: Array, negative: Array) -> Array:
    """exp(−|z|), by the sign of the real part: at most 1 in size on either side, so that nothing overflows."""
    return np.asarray(np.exp(np.where(negative, z, -z) if z.dtype.kind == "c" else -np.abs(z)))


@cache
def _one(kind: np.dtype[Any]) -> Array:
    """1 of that type: with a number of Python's an operation on a small array takes twice as long."""
    return np.ones((), kind)


@dataclass(frozen=True)
class Activation:
    """``function`` of the input; ``slope``, its derivative, of input and output. Arrays of any shape in and out."""

    name: str
    function: Callable[[Array], Array]
    slope: Callable[[Array, Array], Array]


# P13: σ′ = k (1 − k) = σ(z) σ(−z);  tanh′ = 1 − g² = 4 σ(2z) σ(−2z), which does not cancel
#                    name        function      derivative, from input z and output
LOGISTIC = Activation("logistic", logistic,    lambda z, k: bell(z))  # fmt: skip
TANH     = Activation("tanh",     np.tanh,     lambda z, g: 4 * bell(2 * z))  # fmt: skip
IDENTITY = Activation("identity", lambda z: z, lambda z, g: np.ones_like(z))  # fmt: skip

_ACTIVATIONS = {row.name: row for row in (LOGISTIC, TANH, IDENTITY)}


def activation_named(name: str) -> Activation:
    """The row of that name. Raises ``KeyError`` for an unknown one."""
    return _ACTIVATIONS[name]
