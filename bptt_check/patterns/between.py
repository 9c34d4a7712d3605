"""Blocks that hold what belongs to others: swapped, permuted, shared by two names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bptt_check.compare import is_timed
from bptt_check.patterns.arrangements import with_factor
from bptt_check.patterns.guess import Guess
from bptt_check.patterns.side import Side

MOST = 64  # wrong blocks up to which each is compared with each


def exchanged(wrong: Sequence[Side], blocks: Sequence[Side], lengths: Mapping[str, object]) -> Iterator[Guess]:
    """Blocks that hold the right gradient of another; where they hold each other's, that is one mistake."""
    found: dict[str, tuple[str, Guess]] = {}
    for side in wrong[:MOST]:
        for guess, other, turned in (*_held(side, blocks, lengths), *_held(side, _ends(side, blocks), lengths)):
            if turned:
                yield guess
            elif side.name not in found or guess.fit().residual < found[side.name][1].fit().residual:
                found[side.name] = (other, guess)
    done: set[str] = set()
    for name in found:
        circle = _circle(name, found)
        if name in done or not circle:
            continue
        done |= set(circle)
        yield from _exchange(circle, found)
    for name, (_, guess) in found.items():
        if name not in done:
            yield guess


def added_up(wrong: Sequence[Side], blocks: Sequence[Side]) -> Iterator[Guess]:
    """Blocks that hold their own right gradient and that of another as well, such as one array under two names."""
    for side in wrong[:MOST]:
        others = [b for b in blocks if b is not side and b.a.shape == side.a.shape]
        same = [b for b in others if np.array_equal(b.a, side.a)]
        for group, kind in ((same, "shared"), *(([b], "sum") for b in others)):
            if not group:
                continue
            with np.errstate(all="ignore"):
                total = np.sum([side.r, *(b.r for b in group)], axis=0)
                spread = np.sum([side.slack, *(b.slack for b in group)], axis=0)
            names = sorted([side.name, *(b.name for b in group)])
            joined = " and ".join(names)
            if kind == "shared":
                message, remedy = f"is the sum of the right ones of {joined}", "give each name an array of its own"
            else:
                message = f"has the right one of {group[0].name} added"
                remedy = f"{group[0].name} is added up under this name too"
            yield Guess(
                kind, side, message, remedy, total, spread, key=(joined if kind == "shared" else group[0].name,),
                choices=float(len(others)),
            )  # fmt: skip


def _held(side: Side, blocks: Sequence[Side], lengths: Mapping[str, object]) -> Iterator[tuple[Guess, str, bool]]:
    for other in blocks:
        if other is side or not np.nan_to_num(other.r).any():
            continue
        for turned, what in ((False, ""), (True, "the transpose of ")):
            direction, spread = (other.r.T, other.slack.T) if turned else (other.r, other.slack)
            if direction.shape != side.a.shape or (turned and direction.ndim != 2):
                continue
            message = f"is {{}}{what}the right one of {other.name}"
            remedy = f"what belongs to {other.name} is written here"
            choices = 2.0 * len(blocks)
            for guess in with_factor("other-block", side, message, remedy, direction, spread, choices, lengths):
                if guess.fit().exact:
                    yield replace(guess, least=2 if guess.factor else 1), other.name, turned


def _ends(side: Side, blocks: Sequence[Side]) -> list[Side]:
    """The first and the last step of blocks that have steps, where these have the shape of ``side``."""
    found = []
    for block in blocks:
        if is_timed(block.name) and block.a.shape[1:] == side.a.shape and side.a.ndim:
            for t in dict.fromkeys((0, len(block.a) - 1)):
                found.append(replace(block.part(t), name=f"{block.name} at t = {t + 1}"))
    return found


def _circle(start: str, found: Mapping[str, tuple[str, Guess]]) -> list[str]:
    """The names from ``start`` to the block that it holds, and on, if they come back to it."""
    circle = [start]
    while (following := found[circle[-1]][0]) != start:
        if following in circle or following not in found:
            return []
        circle.append(following)
    return circle


def _exchange(circle: list[str], found: Mapping[str, tuple[str, Guess]]) -> Iterator[Guess]:
    letters = frozenset(_letters(name, found[name][0]) for name in circle)
    factors = {found[name][1].factor for name in circle}
    short = all(len(own) <= 2 and len(other) <= 2 for own, other in letters)
    said = ", ".join(f"{own} ← {other}" for own, other in sorted(letters)) if short else ""
    for name in circle:
        other, guess = found[name]
        times = "" if guess.factor is None else f", times {guess.factor:.6g}"
        if len(circle) == 2 and short:
            own, of = sorted(_letters(name, other))
            message = f"holds the gradient of its twin, {own} and {of} being swapped{times}"
        elif len(circle) == 2:
            message = f"is swapped with its twin: {' and '.join(sorted(circle))} hold each other's gradient{times}"
        else:
            message = f"holds the gradient of another in turn ({said or ' ← '.join([*circle, circle[0]])}){times}"
        remedy = "hand the blocks out under each other's names, or unpack the gates in the order of the forward pass"
        kind = "swapped" if len(circle) == 2 else "permuted"
        key = (letters if short else tuple(sorted(circle)), tuple(sorted(factors, key=str)))
        yield replace(guess, kind=kind, message=message, remedy=remedy, key=key)


def _letters(own: str, other: str) -> tuple[str, str]:
    """What two names differ in: ("f", "i") of W_fx and W_ix."""
    start = _alike(own, other)
    end = _alike(own[start:][::-1], other[start:][::-1])
    return own[start : len(own) - end], other[start : len(other) - end]


def _alike(one: str, two: str) -> int:
    """How many letters both begin with."""
    return next((k for k, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
