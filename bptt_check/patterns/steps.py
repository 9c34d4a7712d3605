"""Sums over time that lack steps, or hold them twice: recognised from what each step contributes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bptt_check.compare import is_timed
from bptt_check.patterns.guess import Guess
from bptt_check.patterns.regions import steps_in_words
from bptt_check.patterns.side import Array, Side

RANGES = 48  # steps up to which every range of them is tried; beyond, those that begin or end the sequence
SAMPLE = 32  # entries on which a hypothesis is tried first
ROUNDING = 16.0  # ulps of all that is added up


@dataclass(frozen=True)
class Tale:
    """How often each step is counted, and how to say so."""

    kind: str
    message: str
    remedy: str
    weights: tuple[float, ...]


ASSIGNED = "add each step up (+=): as it is, every step overwrites what the steps before it have left"
STOPS = "let the loop run over all steps, and add each of them up"


def counted_wrong(wrong: Sequence[Side], by_step: Mapping[str, Array]) -> Iterator[Guess]:
    """Blocks whose steps are not each counted once. ``by_step``: what each step contributes, on a leading axis."""
    made: dict[int, tuple[list[Tale], Array]] = {}
    for side in wrong:
        given = by_step.get(side.name)
        if given is None or np.shape(given)[1:] != side.a.shape or len(given) < 2 or np.iscomplexobj(given):
            continue
        steps = np.asarray(given).astype(side.a.dtype)
        T = len(steps)
        if T not in made:
            told = _tales(T)
            made[T] = told, np.array([tale.weights for tale in told])
        tales, weights = made[T]
        flat = steps.reshape(T, -1)
        size = np.abs(steps).sum(axis=0)
        spread = side.slack + ROUNDING * side.eps * size
        few = np.flatnonzero(side.wrong.reshape(-1))
        few = few[np.argsort(-(side.difference.reshape(-1) / spread.reshape(-1))[few])[:SAMPLE]]
        with np.errstate(all="ignore"):
            off = np.abs(weights @ flat[:, few] - side.a.reshape(-1)[few]) > spread.reshape(-1)[few] * 2
        for k in np.flatnonzero(~off.any(axis=1)):
            tale = tales[k]
            predicted = np.tensordot(np.asarray(tale.weights, side.a.dtype), steps, 1)
            yield Guess(
                tale.kind, side, tale.message, tale.remedy, predicted, spread,
                key=(tale.message,), choices=float(len(tales)),
            )  # fmt: skip


def zero_but_for(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Blocks over time that hold some steps rightly and zeros at all others."""
    for side in wrong:
        if not is_timed(side.name) or side.a.ndim < 2 or len(side.a) < 2:
            continue
        T = len(side.a)
        held = side.a.reshape(T, -1).any(axis=1)
        missing = side.wrong.reshape(T, -1).any(axis=1)
        if not held.any() or (held & missing).any() or (missing & ~side.known.reshape(T, -1).any(axis=1)).any():
            continue
        steps = [int(t) + 1 for t in np.flatnonzero(held)]
        kind = "first-step" if steps == [1] else "last-step" if steps == [T] else "steps"
        absent = [int(t) + 1 for t in np.flatnonzero(~held)]
        if len(absent) < len(steps):
            said = f"is zero {steps_in_words(absent, T)}"
        else:
            said = f"is zero but for {steps_in_words(steps, T).removeprefix('at ').replace(' only', '')}"
        yield Guess(
            kind, side, said, "write it at every step, inside the loop",
            np.where(held.reshape(-1, *[1] * (side.a.ndim - 1)), side.r, 0), key=("but for", said), choices=2.0 * T,
        )  # fmt: skip


def steps_missing(guess: Guess, T: int) -> tuple[int, ...]:
    """The steps, counted from 1, that a guess of :func:`counted_wrong` counts wrong."""
    return next((tuple(t for t in range(1, T + 1) if tale.weights[t - 1] != 1) for tale in _tales(T)
                 if tale.message == guess.message), ())  # fmt: skip


def _tales(T: int) -> list[Tale]:
    """All ways to miscount that are tried for a sequence of T steps, the likeliest first."""
    one = np.eye(T)
    every = np.ones(T)
    found = [
        Tale("first-step", "holds the contribution of the first step alone (t = 1)", ASSIGNED, tuple(one[0])),
        Tale("last-step", f"holds the contribution of the last step alone (t = {T})", STOPS, tuple(one[-1])),
        Tale("all-but-last", f"lacks the last step (t = {T})", STOPS, tuple(every - one[-1])),
        Tale("all-but-first", "lacks the first step (t = 1)", STOPS, tuple(every - one[0])),
    ]
    pairs = [(s, e) for s in range(T) for e in range(s, T) if T <= RANGES or s == 0 or e == T - 1 or s == e]
    for s, e in pairs:
        weights = tuple(float(s <= t <= e) for t in range(T))
        if s == 0 and e < T - 1:
            message = f"holds the steps from t = {e + 1} down alone: t = {_span(e + 2, T)} is lacking"
        elif e == T - 1 and s > 0:
            message = f"holds the steps from t = {s + 1} on alone: t = {_span(1, s)} is lacking"
        else:
            message = f"holds t = {_span(s + 1, e + 1)} alone, none of the other steps"
        found.append(Tale("steps", message, STOPS, weights))
    for t in range(T):
        at = f"t = {t + 1}"
        found += [
            Tale("step-missing", f"lacks the step {at}", "add this step up as well", tuple(every - one[t])),
            Tale("step-twice", f"counts the step {at} twice", "add this step up once", tuple(every + one[t])),
            Tale("step-sign", f"subtracts the step {at}", "check the sign at this step", tuple(every - 2 * one[t])),
        ]
        for u in (t - 1, t + 1):
            if 0 <= u < T:
                message = f"counts t = {u + 1} twice, in the place of {at}"
                remedy = "check the index: t for t − 1, or one held fast at an end"
                found.append(Tale("step-shifted", message, remedy, tuple(every - one[t] + one[u])))
    known: dict[tuple[float, ...], Tale] = {tuple(every): found[0]}
    return [known.setdefault(tale.weights, tale) for tale in found if tale.weights not in known]


def _span(first: int, last: int) -> str:
    return str(first) if first == last else f"{first} … {last}"
