"""A guess: what a block would hold if one particular mistake had been made. And mistakes with one number in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bptt_check.patterns.numbers import SHARP, Name
from bptt_check.patterns.side import Array, Fit, Side

WIDE = 4.0  # how many times its uncertainty a number may be off
VAGUE = 0.01  # relative uncertainty beyond which a number is none
SAME = 1e-12  # how near two numbers must lie to be one
NAMED = 256.0  # about how many numbers have a name or two digits: what it costs to have chosen among them


@dataclass(frozen=True, eq=False)
class Guess:
    """What ``side`` would hold if one mistake had been made.

    Guesses of one ``kind`` and one ``key`` in several blocks are one mistake. ``choices`` is among how many such
    mistakes this one was chosen, ``numbers`` how many real numbers were fitted to make it; both weigh against it.
    ``bits`` is what it is worth where :meth:`Side.fit` cannot know. ``also`` are other names for the very same.
    """

    kind: str
    side: Side
    message: str
    remedy: str
    predicted: Array
    spread: Array | None = None
    factor: float | None = None
    key: tuple[object, ...] = ()
    choices: float = 1.0
    numbers: int = 0
    bits: float | None = None
    also: tuple[str, ...] = ()
    least: int = 1  # entries, over all blocks, that must tell something
    residual: float | None = None

    def fit(self) -> Fit:
        """How well the block is what the guess says."""
        return self.side.fit(self.predicted, self.spread)


@dataclass(frozen=True, eq=False)
class Ray:
    """What one mistake with a number in it makes of a block: base + number × direction."""

    side: Side
    direction: Array
    base: Array | float = 0.0
    spread: Array | None = None

    def at(self, number: float) -> Array:
        """The block for one number."""
        with np.errstate(all="ignore"):
            return np.asarray(self.base + number * self.direction)

    def spread_at(self, number: float) -> Array:
        """What rounding may do to it; more where the number magnifies."""
        own = self.side.slack if self.spread is None else np.fmax(self.side.slack, self.spread)
        return np.asarray(own * max(1.0, abs(number)))

    def estimate(self) -> tuple[float, float]:
        """The number that fits best, and how far rounding may have moved it; 1 and infinity where nothing tells."""
        with np.errstate(all="ignore"):
            slack = self.side.slack if self.spread is None else np.fmax(self.spread, self.side.ulps)
            u, v = self.direction / slack, (self.side.a - self.base) / slack
            told = self.side.known & np.isfinite(u) & np.isfinite(v) & (np.abs(u) > 1)
            u, v = u[told], v[told]
            if not len(u):
                return 1.0, np.inf
            top = float(np.abs(u).max())
            square = float(np.sum((u / top) ** 2))
            return float(np.sum(u / top * (v / top)) / square), float(1 / (top * np.sqrt(square)))


@dataclass(frozen=True, eq=False)
class Shared:
    """One number that explains the blocks of ``rays`` to rounding; ``names`` are the numbers' names, if it has any."""

    number: float
    names: tuple[str, ...]
    rays: tuple[Ray, ...]

    @property
    def choices(self) -> float:
        """Among how many numbers this one was chosen, if it has a name."""
        return NAMED if self.names else 1.0

    @property
    def numbers(self) -> int:
        """How many numbers were fitted."""
        return 0 if self.names else 1


def shared(rays: Sequence[Ray], named: Callable[[float], list[Name]]) -> Iterator[Shared]:
    """The numbers that explain blocks, each with all the blocks that it explains; the sharpest block speaks first."""
    estimates = [(ray, *ray.estimate()) for ray in rays]
    left = sorted((e for e in estimates if np.isfinite(e[1]) and e[1] != 0), key=lambda e: e[2] / abs(e[1]))
    while left:
        ray, number, unsure = left.pop(0)
        margin = 0.0
        names: tuple[str, ...] = ()
        known, near = named(number), WIDE * unsure + SHARP**3 * abs(number)
        sharp = unsure <= SHARP * abs(number)
        tried = [n for n in known if n.far < 0 or (sharp and abs(n.value - number) <= near)]
        fitting = [n for n in tried if ray.side.fit(ray.at(n.value), ray.spread_at(n.value)).exact]
        if fitting:
            number = fitting[0].value
            same = [n for n in fitting if abs(n.value - number) <= SAME * abs(number)]
            names = tuple(n.text for n in same if n.far == same[0].far)
        if not names:
            margin = WIDE * unsure
            if unsure > VAGUE * abs(number) or not ray.side.fit(ray.at(number), ray.spread_at(number)).exact:
                continue
        together = [ray]
        for other in list(left):
            spread = other[0].spread_at(number) + np.nan_to_num(np.abs(margin * other[0].direction))
            if other[0].side.fit(other[0].at(number), spread).exact:
                together.append(other[0])
                left.remove(other)
        yield Shared(number, names, tuple(together))
