"""One planted case, what counts as a fault in it, and whether a result caught it.

The rounding level of an entry is determined here without the engine under trial: how far the right gradient is from
itself in long double, and how far it moves when every number of the point moves by an ulp.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bptt_check import Result, Subject, Verdict

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
Gradient = Callable[[Point], Mapping[str, Any]]

ULP_MOVES = 16
ABOVE_ROUNDING = 10.0  # a fault counts where it exceeds the entry's rounding level by this factor


@dataclass(frozen=True)
class Planted:
    """A subject and the truth about it.

    ``fault`` names what is wrong, ``""`` where nothing is. ``block`` and ``index``: the one entry at fault, where there
    is one. ``named``: kinds of findings by which the fault may go. ``repeats``: how often calls should be repeated for
    it to be seen. ``effect``: the largest change in units of what counts, above 1.
    """

    family: str
    seed: int
    kind: str
    subject: Subject
    fault: str = ""
    block: str = ""
    index: tuple[int, ...] = ()
    named: tuple[str, ...] = ()
    repeats: int | None = None
    effect: float = 0.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Family, kind, fault and seed in one line; ``draw(family, seed)`` makes the case again."""
        entry = f" in {self.block}{list(self.index)}" if self.block else ""
        return f"{self.family}:{self.seed} {self.kind}{': ' if self.fault else ''}{self.fault}{entry}"


def caught(case: Planted, result: Result) -> bool:
    """Whether the result says that something is wrong: DISAGREES, any finding that is a fault, or the fault's own."""
    kinds = {finding.kind for finding in result.findings}
    return (
        result.verdict is Verdict.DISAGREES
        or any(finding.fault for finding in result.findings)
        or bool(kinds & set(case.named))
    )


def in_long_double(gradient: Gradient, point: Point) -> dict[str, Array]:
    """The gradient at the same point, computed in long double; only for code that keeps the type of its input."""
    with np.errstate(all="ignore"):
        exact = gradient({name: np.array(array, dtype=np.longdouble) for name, array in point.items()})
    return {name: np.asarray(array, dtype=np.longdouble) for name, array in exact.items()}


def rounding_level(gradient: Gradient, point: Point, *, seed: int = 0, moves: int = ULP_MOVES) -> dict[str, Array]:
    """How far each entry of a *right* gradient may be off for rounding alone, by block.

    |g − g in long double| + the largest change over points moved by an ulp + an ulp of the entry itself.
    """
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        here = {k: np.asarray(v) for k, v in gradient({k: np.array(a) for k, a in point.items()}).items()}
        exact = in_long_double(gradient, point)
        level = {k: np.abs(np.asarray(v - exact[k], float)) + np.spacing(np.abs(v)) for k, v in here.items()}
        spread = {k: np.zeros(np.shape(v)) for k, v in here.items()}
        for _ in range(moves):
            moved = {
                k: np.nextafter(a, rng.choice([-np.inf, np.inf], a.shape).astype(a.dtype)) for k, a in point.items()
            }
            for k, v in gradient(moved).items():
                spread[k] = np.maximum(spread[k], np.abs(np.asarray(v) - here[k]))
    return {k: level[k] + spread[k] for k in here}


def effect(
    wrong: Gradient, right: Gradient, point: Point, *, size: float, seed: int = 0, loss_noise: float = 0.0
) -> float:
    """The largest change of any entry over what must be exceeded to count: ``size`` relative, or the rounding level.

    A fault that gives something not finite, or nothing, counts without measure.
    """
    with np.errstate(all="ignore"):
        bad = wrong({k: np.array(a) for k, a in point.items()})
        good = right({k: np.array(a) for k, a in point.items()})
    level = rounding_level(right, point, seed=seed)
    worst = 0.0
    for name, g in good.items():
        if bad.get(name) is None or not np.isfinite(bad[name]).all():
            return np.inf
        must = np.maximum(size * np.abs(g), ABOVE_ROUNDING * level[name] + loss_noise)
        change = np.abs(np.asarray(bad[name], float) - np.asarray(g, float))
        worst = max(worst, float((change / np.maximum(must, 1e-300)).max(initial=0)))
    return worst
