"""Mistakes that need no knowledge of the code: in gradients of layers, losses and numerical code of every kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check import Subject
from planted import learners, numerics
from planted.case import Array, Planted, effect

Rng = np.random.Generator
Change = Callable[[Rng, Array], Callable[[Array], Array]]
SIZE = 1e-9  # relative change of an entry at which such a mistake counts
HARD_TO_COUNT = (
    "kink",
    "lasso",
    "units",
    "pooling",
    "float32",
    "odd points",
    "fitted",
)  # what counts is not plain there


def _scaled(rng: Rng, a: Array) -> Callable[[Array], Array]:
    factor = float(rng.choice([2.0, -1.0, 0.5, 1.01, 1 + 1e-4, 1 - 1e-6]))
    return lambda a: factor * a


def _transposed(rng: Rng, a: Array) -> Callable[[Array], Array]:
    return lambda a: a.T if a.ndim == 2 and a.shape[0] == a.shape[1] else -a


def _one_row_missing(rng: Rng, a: Array) -> Callable[[Array], Array]:
    row = int(rng.integers(len(np.atleast_1d(a))))

    def change(a: Array) -> Array:
        b = np.atleast_1d(np.array(a))
        b[row] = 0
        return b.reshape(np.shape(a))

    return change


def _rolled(rng: Rng, a: Array) -> Callable[[Array], Array]:
    return lambda a: np.roll(a, 1)


def _clipped(rng: Rng, a: Array) -> Callable[[Array], Array]:
    bound = 0.9 * float(np.quantile(np.abs(a), 0.8))
    return lambda a: np.clip(a, -bound, bound)


def _dead_zone(rng: Rng, a: Array) -> Callable[[Array], Array]:
    bound = 1.1 * float(np.quantile(np.abs(a), 0.3))  # not on an entry itself
    return lambda a: np.where(np.abs(a) <= bound, 0 * a, a)


def _in_single(rng: Rng, a: Array) -> Callable[[Array], Array]:
    return lambda a: np.asarray(a).astype(np.float32).astype(np.asarray(a).dtype)


def _plus_a_little(rng: Rng, a: Array) -> Callable[[Array], Array]:
    return lambda a: a + 1e-8 * np.abs(a).max(initial=0)


def _rounded(rng: Rng, a: Array) -> Callable[[Array], Array]:
    unit = 1e-6 * float(np.abs(a).max(initial=0)) or 1.0
    return lambda a: np.round(a / unit) * unit


def _absolute(rng: Rng, a: Array) -> Callable[[Array], Array]:
    return np.abs


def _squashed(rng: Rng, a: Array) -> Callable[[Array], Array]:
    size = 1e3 * float(np.abs(a).max(initial=0)) or 1.0
    return lambda a: size * np.tanh(a / size)


CHANGES: dict[str, Change] = {
    "times a factor": _scaled,
    "transposed or negated": _transposed,
    "one row missing": _one_row_missing,
    "shifted by one": _rolled,
    "clipped": _clipped,
    "dead zone": _dead_zone,
    "through float32": _in_single,
    "1e-8 added": _plus_a_little,
    "rounded to 1e-6 of the largest": _rounded,
    "without its sign": _absolute,
    "squashed": _squashed,
}
KINDS = {
    kind: made
    for kind, made in {**learners.KINDS, **numerics.KINDS}.items()
    if not any(word in kind for word in HARD_TO_COUNT)
}


def draw(rng: Rng, seed: int) -> Planted | None:
    """One mistake in one block of a right gradient; ``None`` where it changes nothing that counts."""
    kind = str(rng.choice(list(KINDS)))
    right = KINDS[kind](rng)
    here = right.gradient(right.blocks)
    block = str(rng.choice(list(here)))
    name = str(rng.choice(list(CHANGES)))
    change = CHANGES[name](rng, here[block])
    wrong = spoilt(right, block, change)
    try:
        strength = effect(wrong.gradient_at, right.gradient_at, right.blocks, size=SIZE)
    except TypeError:  # code that has no long double: its rounding is not known that well
        return None
    if not strength > 1:
        return None
    return Planted("of other kinds", seed, kind, wrong, name, block, effect=strength)


def spoilt(subject: Subject, block: str, change: Callable[[Array], Any]) -> Subject:
    """The same subject with one gradient changed."""

    def gradient(p: Any) -> Mapping[str, Any]:
        returned = dict(subject.gradient_at(p))
        returned[block] = change(np.asarray(returned[block]))
        return returned

    return replace(subject, gradient_at=gradient, pair=None)
