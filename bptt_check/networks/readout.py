"""What stands between the last hidden states and the loss: an output layer, and a loss of its outputs.

    y(t) = W_yh h(t) + b_y, or h(t) where there is no such layer       F9
    L = scale · Σ_t Σ_b ℓ(y(t), target(t)), over all steps or the last

ℓ is one of the pairs of lstm/losses.py, or the squared error of an activation of y. Of hidden states themselves it may
be what people write to try a backward pass: their sum, the sum of their squares, a sum with weights drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.activations import logistic
from bptt_check.lstm.forward import turned
from bptt_check.lstm.losses import EUCLIDEAN, LOGISTIC_LOSS, SOFTMAX_CROSS_ENTROPY
from bptt_check.program import STEP, SUM, Line, Lines

Array = np.ndarray[Any, Any]
NEAR = 1e-9  # how far a scale may be from a number that people write


def _softmax(y: Array) -> Array:
    share = np.exp(y - y.max(axis=-1, keepdims=True))
    return np.asarray(share / share.sum(axis=-1, keepdims=True))


@dataclass(frozen=True, eq=False)
class Ending:
    """A loss of y: ``terms(y, target)`` (T, B); ``shown``: p of y, where the backward pass reads p; ``code``: dy(t)."""

    name: str
    terms: Callable[[Array, Array], Array]
    shown: Callable[[Array], Array] | None
    code: str
    one_hot: bool = False


ENDINGS = (
    Ending("softmax and cross-entropy", SOFTMAX_CROSS_ENTROPY.terms, _softmax, "p[t] - target[t]", one_hot=True),
    Ending("squared error", EUCLIDEAN.terms, None, "2 * (y[t] - target[t])"),
    Ending("logistic loss", LOGISTIC_LOSS.terms, logistic, "p[t] - target[t]"),
    Ending(
        "squared error of a logistic output",
        lambda y, target: EUCLIDEAN.terms(logistic(y), target),
        logistic,
        "2 * (p[t] - target[t]) * (p[t] * (1 - p[t]))",
    ),
    Ending(
        "squared error of tanh",
        lambda y, target: EUCLIDEAN.terms(np.tanh(y), target),
        np.tanh,
        "2 * (p[t] - target[t]) * (1 - p[t]**2)",
    ),
)
WEIGHTED = Ending("a weighted sum", lambda y, weight: (y * weight).sum(axis=-1), None, "weight[t]")
SQUARED = ENDINGS[1]
AIMLESS = (  # no data in them at all
    Ending("the sum", lambda y, _: y.sum(axis=-1), None, "(0 * y[t] + 1)"),
    Ending("the sum of squares", lambda y, _: (y * y).sum(axis=-1), None, "2 * y[t]"),
)


@dataclass(frozen=True)
class Goal:
    """The loss of y: ``target`` (T, B, V), or (1, B, V) where the loss is at the last step alone.

    Of a weighted sum it is the weights, and of losses without data zeros.
    """

    ending: Ending
    target: Array
    scale: float = 1.0

    @property
    def V(self) -> int:
        """Number of outputs."""
        return int(self.target.shape[-1])

    def value(self, y: Array) -> Array:
        """The loss of y (…, T, B, V), a number for each copy."""
        seen = y[..., -len(self.target) :, :, :]
        return np.asarray(self.scale * self.ending.terms(seen, self.target).sum(axis=(-2, -1)))

    @property
    def is_plain(self) -> bool:
        """Whether the scale is a number that people write: 1, ½, 1/T and the like."""
        return "scale" not in self.lines(len(self.target))[0].code

    def lines(self, T: int) -> tuple[Line, ...]:
        """B10."""
        B, V = self.target.shape[1:]
        only = "(t == T) * " if len(self.target) < T else ""
        return (Line("dy", only + _scaled(self.ending.code, self.scale, {"T": T, "B": B, "V": V}), "B10", STEP),)

    def program(self, y: Array) -> Lines:
        """The lines of dy at outputs y (T, B, V)."""
        T, B, V = y.shape
        target = np.concatenate([np.zeros((T - len(self.target), B, V)), self.target])
        start: dict[str, Any] = {"y": [None, *y], "target": [None, *target], "weight": [None, *target]}
        start |= {"B": B, "V": V, "scale": self.scale}
        start |= {"H": V} if self.ending.shown is None else {"p": [None, *self.ending.shown(y)], "H": V}
        return Lines(self.lines(T), start, T)


def _scaled(code: str, scale: float, lengths: Mapping[str, int]) -> str:
    """The derivative with its factor as people write it: ``/ T`` for 1/T, no 2 where the loss has ½."""
    written = {"": 1.0, **{f" / {a}": 1 / n for a, n in lengths.items()}}
    T, B, V = lengths["T"], lengths["B"], lengths["V"]
    written |= {" / (T * B)": 1 / (T * B), " / (B * V)": 1 / (B * V), " / (T * V)": 1 / (T * V)}
    written |= {" / (T * B * V)": 1 / (T * B * V)}
    bare = code.removeprefix("2 * ")
    enclosed = bare if bare.startswith("(") else f"({bare})"
    for text, value in written.items():
        if abs(scale - value) <= NEAR * value:
            return code if not text else f"{'2 * ' if bare != code else ''}{enclosed}{text}"
        if bare != code and abs(2 * scale - value) <= NEAR * value:
            return f"{enclosed}{text}"
    return f"scale * {enclosed}" if bare == code else f"2 * scale * {enclosed}"


READ_OFF = (Line("dl", "dy[t]", "B1", STEP),)  # without an output layer
LAYER = (
    Line("dl", "dy[t] @ W_yh", "B12", STEP),
    Line("dW_yh", "dy[t].T @ h[t]", "B11", SUM),
    Line("db_y", "dy[t].sum(axis=0)", "B11", SUM),
)


def layer_shapes(V: int, H: int) -> dict[str, tuple[int, ...]]:
    """The arrays of an output layer."""
    return {"W_yh": (V, H), "b_y": (V,)}


def outputs(h: Array, W: Array, b: Array) -> Array:
    """F9, of h (…, T, B, H), with leading axes of copies in any of them: (…, T, B, V)."""
    return np.asarray(h @ turned(W)[..., None, :, :] + b[..., None, None, :])
