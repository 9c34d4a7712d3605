"""A wrong gradient held against the catalogue: which mistake gives exactly this?

The lines of the right backward pass are run with one of them changed, for every fault of the cell. Where the outcome
equals what the user returned, to rounding, this is that mistake, or one that the case cannot tell from it: all that
give the same are named together. What the user returned for an intermediate is handed to the lines after it, so that
each line is judged by what it was given; then two mistakes in two lines are two independent matches.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.faults import Fault
from bptt_check.program import Program

Array = np.ndarray[Any, Any]
ULPS = 2.0**16  # of a target's largest entry: what two ways to compute the same may differ by
MOST = 3  # faults at once
NEAREST = 3  # candidates named where nothing matches
NEAR = 0.5  # share of the disagreement that a candidate must explain to be worth naming
SECONDS = 5.0  # of the processor, after which the rest of the catalogue is left out


@dataclass(frozen=True)
class Match:
    """One fault, and those that cannot be told from it here.

    ``explains`` are the targets that are right once it is made; ``residual`` is the largest difference in them,
    relative to the largest entry of each. ``exact``: nothing is left unexplained by this fault and those before it.
    """

    faults: tuple[Fault, ...]
    explains: tuple[str, ...]
    residual: float
    exact: bool


@dataclass(frozen=True)
class Matched:
    """What the catalogue says. ``right``: the gradient is that of the equations as they are. ``left``: unexplained."""

    right: bool
    matches: tuple[Match, ...] = ()
    nearest: tuple[tuple[Fault, float], ...] = ()
    left: tuple[str, ...] = ()
    tried: int = 0
    complete: bool = True


class Matching:
    """One gradient, and the program of the cell at the same point.

    Parameters
    ----------
    program: the lines of the cell; its held values are what the user returned for intermediates.
    observed: what the user returned, by target of the program, in the program's shapes. NaN where an entry is unknown.
    eps: relative precision of the user's arithmetic.
    """

    def __init__(self, program: Program, observed: Mapping[str, Array], *, eps: float) -> None:
        self.program = program
        self.observed = {
            k: a for k, a in observed.items() if k in program.right and np.shape(program.right[k]) == a.shape
        }
        self.tolerance = ULPS * eps
        self.scale = {
            k: max(_largest(a), _largest(program.right[k])) or _largest(program.right["dh"]) or 1.0
            for k, a in self.observed.items()
        }
        self.known = {k: np.isfinite(a) for k, a in self.observed.items()}

    def residuals(self, values: Mapping[str, Array]) -> dict[str, float]:
        """How far the user's targets are from ``values``, each relative to its largest entry."""
        found = {}
        for k, a in self.observed.items():
            value = values[k]
            if value.shape != a.shape:
                found[k] = np.inf
                continue
            off = np.abs(value - a)[self.known[k]]
            found[k] = float(off.max(initial=0.0) / self.scale[k]) if np.isfinite(off).all() else np.inf
        return found

    def wrong(self, residuals: Mapping[str, float]) -> frozenset[str]:
        """The targets that are further off than rounding explains."""
        return frozenset(k for k, r in residuals.items() if r > self.tolerance)

    def against(self, faults: Iterable[Fault], *, seconds: float = SECONDS) -> Matched:
        """Look for the fault, or the few faults, that give what the user returned."""
        faults, until = tuple(faults), time.process_time() + seconds
        start = self.residuals(self.program.right)
        left = self.wrong(start)
        if not left:
            return Matched(right=True)
        matches: list[Match] = []
        made: dict[str, str] = {}
        nearest: list[tuple[Fault, float]] = []
        tried, complete = 0, True
        while left and len(matches) < MOST:
            outcomes: list[tuple[Fault, frozenset[str], dict[str, float]]] = []
            for fault in faults:
                if any(target in made for target, _ in fault.changes):
                    continue
                if time.process_time() > until:
                    complete = False
                    break
                residuals = self._of(fault, made)
                tried += 1
                if residuals is None:
                    continue
                now = self.wrong(residuals)
                if now < left:
                    outcomes.append((fault, now, residuals))
                elif not matches:
                    nearest.append((fault, _together(residuals) / _together(start)))
            if not outcomes:
                break
            fewest = min((now for _, now, _ in outcomes), key=len)
            alike = [(fault, residuals) for fault, now, residuals in outcomes if now == fewest]
            explains = tuple(k for k in self.observed if k in left - fewest)
            residual = min(max(residuals[k] for k in explains) for _, residuals in alike)
            matches.append(Match(tuple(f for f, _ in alike), explains, residual, exact=False))
            made |= dict(alike[0][0].changes)
            left = fewest
        if matches and not left:
            matches = [Match(m.faults, m.explains, m.residual, exact=True) for m in matches]
        near = sorted(((f, share) for f, share in nearest if share < NEAR), key=lambda one: one[1])
        unexplained = tuple(k for k in self.observed if k in left)
        return Matched(
            False, tuple(matches), tuple(near[:NEAREST]) if not matches else (), unexplained, tried, complete
        )

    def _of(self, fault: Fault, made: Mapping[str, str]) -> dict[str, float] | None:
        try:
            with np.errstate(all="ignore"):
                return self.residuals(self.program.run({**made, **dict(fault.changes)}))
        except (
            ValueError,
            TypeError,
            IndexError,
        ):  # shapes that do not fit: nobody's program runs with this mistake here
            return None


def _largest(array: Array) -> float:
    finite = np.abs(array[np.isfinite(array)])
    return float(finite.max(initial=0.0))


def _together(residuals: Mapping[str, float]) -> float:
    return float(np.sqrt(sum(min(r, 1e6) ** 2 for r in residuals.values())))
