"""Losses, L1 and L2: the value and its derivative in pairs, one beside the other.

A loss is a sum over steps and sequences of l(t) = ℓ(h(t), y(t)). ``terms`` gives the l(t), (T, B); ``slope`` gives
∂l(t)/∂h(t), (T, B, H). Both are complex-safe (no ``abs``, no comparison of complex values) and take leading axes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.lstm.activations import logistic

Array = np.ndarray[Any, Any]
Pair = Callable[[Array, Array], Array]
HUBER_WIDTH = 0.5


def _no_kink(h: Array, y: Array) -> Array:
    return np.full(np.shape(h), np.inf)


def _real_targets(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def _classes(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.eye(shape[-1])[rng.integers(shape[-1], size=shape[:-1])]


def _labels(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.integers(2, size=shape).astype(float)


@dataclass(frozen=True)
class Loss:
    """A loss of the whole sequence of outputs.

    ``terms(h, y)`` → l(t), (T, B); ``slope(h, y)`` → ∂l(t)/∂h(t), (T, B, H); ``targets(rng, (T, B, H))`` draws y.
    ``kink(h, y)`` → distance of each residual from the nearest place without a derivative, (T, B, H), infinite for
    smooth losses. ``weights`` (T, B), where given, multiplies l(t) of each sequence: 0 masks a step.
    """

    name: str
    terms: Pair
    slope: Pair
    targets: Callable[[np.random.Generator, tuple[int, ...]], Array] = _real_targets
    kink: Pair = _no_kink
    weights: Array | None = None

    def value(self, h: Array, y: Array) -> Array:
        """L = Σ_t Σ_b l(t) (L2), of h (T, B, H); leading axes stay."""
        terms = self.terms(h, y)
        counted = terms if self.weights is None else terms * _like(self.weights, terms)
        return np.asarray(counted.sum(axis=(-2, -1)))  # L2

    def derivative(self, h: Array, y: Array) -> Array:
        """∂l(t)/∂h(t), (T, B, H): what B1 starts from."""
        slope = self.slope(h, y)
        return slope if self.weights is None else slope * _like(self.weights, slope)[..., None]

    def kink_distance(self, h: Array, y: Array) -> float:
        """How near the nearest kink is that counts, in units of h; infinite for a smooth loss."""
        distance = self.kink(h.real, y)
        counted = distance if self.weights is None else distance[self.weights != 0]
        return float(counted.min(initial=np.inf))

    def at_last_step(self, T: int, B: int) -> Loss:
        """The same loss at the last step only."""
        return self.masked(np.full(B, T), T, first=T)

    def masked(self, lengths: Array, T: int, *, first: int = 1) -> Loss:
        """The same loss for sequences of unequal ``lengths`` (B,): steps after a sequence's own last do not count."""
        t = np.arange(1, T + 1)[:, None]
        counts = (t <= np.asarray(lengths)) & (t >= first)
        weights = counts.astype(float)
        return replace(self, weights=weights if self.weights is None else weights * self.weights)


def _like(weights: Array, values: Array) -> Array:
    """Weights in the precision of what they multiply: a mask turns no float32 gradient into a float64 one."""
    return weights.astype(values.real.dtype, copy=False)


def pair(name: str, value: Pair, derivative: Pair) -> Loss:
    """A user's own loss: ``value(h, y)`` → number, ``derivative(h, y)`` → (T, B, H), both of h (T, B, H).

    The value need not be a sum over steps; it is kept as it is.
    """
    return _Whole(name, value, derivative)


class _Whole(Loss):
    """A loss whose value is given whole, not term by term."""

    def value(self, h: Array, y: Array) -> Array:
        return np.asarray(self.terms(h, y))


def _euclidean(h: Array, y: Array) -> Array:
    return np.asarray(((h - y) ** 2).sum(axis=-1))


def _euclidean_slope(h: Array, y: Array) -> Array:
    return np.asarray(2 * (h - y))


def _first_cell(h: Array, y: Array) -> Array:
    return np.asarray((h[..., 0] - y[..., 0]) ** 2)


def _first_cell_slope(h: Array, y: Array) -> Array:
    slope = np.zeros_like(h - y)
    slope[..., 0] = 2 * (h[..., 0] - y[..., 0])
    return slope


def _softmax_cross_entropy(h: Array, y: Array) -> Array:
    top = h.real.max(axis=-1, keepdims=True)
    log_sum = np.log(np.exp(h - top).sum(axis=-1)) + top[..., 0]
    return np.asarray(log_sum * y.sum(axis=-1) - (h * y).sum(axis=-1))


def _softmax_cross_entropy_slope(h: Array, y: Array) -> Array:
    share = np.exp(h - h.real.max(axis=-1, keepdims=True))
    return np.asarray(share / share.sum(axis=-1, keepdims=True) * y.sum(axis=-1, keepdims=True) - y)


def _logistic(h: Array, y: Array) -> Array:
    right = h.real >= 0
    log_one_plus_exp = np.where(right, h, 0) + np.log1p(np.exp(np.where(right, -h, h)))
    return np.asarray((log_one_plus_exp - y * h).sum(axis=-1))


def _logistic_slope(h: Array, y: Array) -> Array:
    return logistic(h) - y


def _huber(h: Array, y: Array) -> Array:
    r = h - y
    outside = np.sign(r.real) * r
    inner = np.abs(r.real) <= HUBER_WIDTH
    return np.asarray(np.where(inner, r * r / 2, HUBER_WIDTH * (outside - HUBER_WIDTH / 2)).sum(axis=-1))


def _huber_slope(h: Array, y: Array) -> Array:
    r = h - y
    return np.asarray(np.where(np.abs(r.real) <= HUBER_WIDTH, r, HUBER_WIDTH * np.sign(r.real)))


def _absolute(h: Array, y: Array) -> Array:
    r = h - y
    return np.asarray((np.sign(r.real) * r).sum(axis=-1))


def _absolute_slope(h: Array, y: Array) -> Array:
    return np.asarray(np.sign((h - y).real) + 0 * (h - y))


def _distance_from_zero(h: Array, y: Array) -> Array:
    return np.asarray(np.abs(h - y))


# L1                                          l(t)                    ∂l(t)/∂h(t)
EUCLIDEAN             = Loss("euclidean",             _euclidean,             _euclidean_slope)
FIRST_CELL            = Loss("first_cell",            _first_cell,            _first_cell_slope)
SOFTMAX_CROSS_ENTROPY = Loss("softmax_cross_entropy", _softmax_cross_entropy, _softmax_cross_entropy_slope, _classes)
LOGISTIC_LOSS         = Loss("logistic",              _logistic,              _logistic_slope,              _labels)
HUBER                 = Loss("huber",                 _huber,                 _huber_slope)
ABSOLUTE              = Loss("absolute", _absolute, _absolute_slope, kink=_distance_from_zero)

LOSSES: tuple[Loss, ...] = (EUCLIDEAN, FIRST_CELL, SOFTMAX_CROSS_ENTROPY, LOGISTIC_LOSS, HUBER, ABSOLUTE)


def loss_named(name: str, *, T: int, B: int, rng: np.random.Generator) -> Loss:
    """The loss of that name; ``last_step`` and ``unequal_lengths`` are the Euclidean one at the last step, or masked.

    ``last_step:huber`` and the like put any of them at the last step, ``unequal_lengths:huber`` mask it.

    Raises
    ------
    ValueError
        Where there is none; the message lists the names.
    """
    where, _, base = name.partition(":") if name.startswith(("last_step", "unequal_lengths")) else ("", "", name)
    for loss in LOSSES:
        if loss.name == (base or "euclidean"):
            break
    else:
        raise ValueError(f"no loss is named {name!r}; the losses are {', '.join(LOSS_NAMES)}")
    if where == "last_step":
        return replace(loss.at_last_step(T, B), name=name)
    if where == "unequal_lengths":
        lengths = rng.integers(1, T + 1, size=B)
        return replace(loss.masked(lengths, T), name=name)
    return loss


LOSS_NAMES = (*(loss.name for loss in LOSSES), "last_step", "unequal_lengths")
