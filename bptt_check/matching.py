"""A wrong gradient held against the catalogue: which mistake gives exactly this?

The lines of the right backward pass are run with one of them changed, for every fault of the cell. Where the outcome
equals what the user returned, to rounding, this is that mistake, or one that the case cannot tell from it: all that
give the same are named together. What the user returned for an intermediate is handed to the lines after it, so that
each line is judged by what it was given; then two mistakes in two lines are two independent matches. Where the
catalogue has nothing, slips of the pen are tried, and two of its mistakes that hide each other, in pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from bptt_check.budget import Budget
from bptt_check.faults import Fault
from bptt_check.program import STEP, Runnable

Array = np.ndarray[Any, Any]
Outcome = tuple[
    Fault, frozenset[str], dict[str, float]
]  # a fault, what it leaves wrong, and how far each target is off
ULPS = 2.0**16  # of a target's largest entry at a step: what two ways to compute the same may differ by,
SINGLE_ULPS = 2.0**9  # and in float32, where as many ulps would let mistakes pass for one another
ALIKE = 2.0**6  # times the residual of the best, within which another mistake gives the same
STEP_FLOOR = 1e-6  # of a target's largest entry: steps below it are judged by it
MOST = 8  # faults at once
LATE = 3  # last steps, which are run first where a sequence is longer than SHORT
SHORT = 8
PAIRED = 12  # mistakes that explain most by themselves, each tried with every other
NEAREST = 2  # candidates named where nothing matches
NEAR = 0.2  # share of the disagreement that such a candidate may leave unexplained
MOST_EVALUATED = 1e6  # lines at one step each, after which the rest of the catalogue is left out,
SECONDS = 20.0  # or of the processor, for large cases


@dataclass(frozen=True)
class Match:
    """One fault, and those that cannot be told from it here.

    ``explains`` are the targets that are right once it is made; ``residual`` is the largest difference in them,
    relative to the largest entry of each. ``exact``: nothing is left unexplained by this fault and the others found.
    """

    faults: tuple[Fault, ...]
    explains: tuple[str, ...]
    residual: float
    exact: bool


@dataclass(frozen=True)
class Matched:
    """What the catalogue says. ``right``: the gradient is that of the equations as they are. ``left``: unexplained.

    ``tried`` runs were made of the lines; where not ``complete``, they had cost what they may before the last fault.
    """

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

    def __init__(self, program: Runnable, observed: Mapping[str, Array], *, eps: float) -> None:
        self.program = program
        self.observed = {
            k: a for k, a in observed.items() if k in program.right and np.shape(program.right[k]) == a.shape
        }
        single = SINGLE_ULPS * float(np.finfo(np.float32).eps)
        self.tolerance = max(min(ULPS * eps, single), SINGLE_ULPS * eps)
        self.steps = {line.target for line in program.lines if line.kind == STEP}
        self.scale = {k: self._largest_at(k, a) for k, a in self.observed.items()}
        self.known = {k: np.isfinite(a) for k, a in self.observed.items()}
        self.start = self.residuals(program.right)
        self.tried, self.budget = 0, Budget(np.inf, np.inf)

    def _largest_at(self, target: str, a: Array) -> Array:
        """What a target is judged by: its largest entry, at each step where it has some."""
        size = np.abs(a)
        size = np.where(np.isfinite(size), size, 0.0)
        if target not in self.steps:
            return np.asarray(size.max(initial=0.0))
        each = size.max(axis=tuple(range(1, a.ndim)), initial=0.0, keepdims=True)
        return np.asarray(np.maximum(each, STEP_FLOOR * each.max(initial=0.0)))

    def residuals(self, values: Mapping[str, Array]) -> dict[str, float]:
        """How far the user's targets are from ``values``, each relative to its largest entry (at that step)."""
        return {k: self._residual(k, values[k], ...) for k in self.observed}

    def _residuals_beside(self, values: Mapping[str, Array], start: Mapping[str, float]) -> dict[str, float]:
        """The same where ``start`` are those of the right lines: most targets are what these give, bit by bit."""
        right = self.program.right
        return {
            k: start[k] if values[k] is right[k] or np.array_equal(values[k], right[k]) else
            self._residual(k, values[k], ...)
            for k in self.observed
        }  # fmt: skip

    def _residual(self, target: str, value: Array, at: Any) -> float:
        a, known = self.observed[target][at], self.known[target][at]
        if value.shape != a.shape:
            return np.inf
        own = self.scale[target][at if self.scale[target].ndim else ...]
        scale = np.maximum(own, self._largest_at(target, value))
        off = np.where(scale > 0, np.abs(value - a) / np.where(scale > 0, scale, 1), 0.0)[known]
        largest = float(off.max(initial=0.0))
        return largest if np.isfinite(largest) else np.inf

    def wrong(self, residuals: Mapping[str, float]) -> frozenset[str]:
        """The targets that are further off than rounding explains."""
        return frozenset(k for k, r in residuals.items() if not r <= self.tolerance)

    def against(
        self, faults: Iterable[Fault], *, slips: Callable[[], Iterable[Fault]] = tuple, most: float = MOST_EVALUATED
    ) -> Matched:
        """Look for the fault, or the few faults, that give what the user returned.

        ``slips``: asked for more of them where none of ``faults`` fits; of these only one that leaves nothing counts.
        """
        faults, self.tried = tuple(faults), 0
        self.budget = Budget(most, SECONDS)
        start = self.start
        left = self.wrong(start)
        if not left:
            return Matched(right=True)
        matches: list[Match] = []
        made: dict[str, str] = {}
        near: dict[Fault, float] = {}
        while left and len(matches) < MOST:
            outcomes = []
            for fault, now, residuals in self._outcomes(faults, made, left):
                if now < left:
                    outcomes.append((fault, now, residuals))
                elif not matches:
                    near[fault] = _together(residuals) / _together({k: start[k] for k in residuals})
            if not outcomes:
                break
            match, left = self._best(outcomes, left)
            matches.append(match)
            made |= dict(match.faults[0].changes)
        if left and len(matches) < MOST:
            matches, left = self._with_a_slip(tuple(slips()), matches, made, left)
        complete = not self.budget.is_spent
        if left and complete and not matches:
            pair = self._pair(faults, sorted(near, key=lambda fault: near[fault])[:PAIRED])
            complete = not self.budget.is_spent
            if pair:
                matches, left = pair, frozenset()
        if matches and not left:
            matches = [Match(m.faults, m.explains, m.residual, exact=True) for m in matches]
        unexplained = tuple(k for k in self.observed if k in left)
        nearest = () if matches else self._nearest(near, start)
        return Matched(False, tuple(matches), nearest, unexplained, self.tried, complete)

    def _outcomes(self, faults: Iterable[Fault], made: Mapping[str, str], left: frozenset[str]) -> Iterator[Outcome]:
        """Each fault made beside those of ``made``, as far as the budget goes.

        In long sequences those that the last steps rule out are tried on these alone, and stand with what they show.
        """
        for fault in faults:
            if any(target in made for target, _ in fault.changes):
                continue
            if self.budget.is_spent:
                return
            changes = {**made, **dict(fault.changes)}
            if self.program.T > SHORT and any(target in self.steps for target, _ in fault.changes):
                late = self._late(changes)
                if late is None:
                    continue
                wrong = self.wrong(late)
                if wrong - left or (wrong and wrong == left & late.keys()):
                    yield fault, left | wrong, late
                    continue
            residuals = self._of(changes)
            if residuals is not None:
                yield fault, self.wrong(residuals), residuals

    def _best(self, outcomes: list[Outcome], left: frozenset[str]) -> tuple[Match, frozenset[str]]:
        """What leaves least, and all that cannot be told from it."""
        fewest = min((now for _, now, _ in outcomes), key=len)
        explains = tuple(k for k in self.observed if k in left - fewest)
        alike = [(f, max(residuals[k] for k in explains)) for f, now, residuals in outcomes if now == fewest]
        best = min(residual for _, residual in alike)
        same = tuple(f for f, residual in alike if residual <= max(ALIKE * best, self.tolerance / ALIKE))
        return Match(same, explains, best, exact=False), fewest

    def _pair(self, faults: tuple[Fault, ...], likely: list[Fault]) -> list[Match] | None:
        """Two faults of steps that together give what was returned.

        One in a gate's derivative and one in its slope, since of two on one path neither looks likely by itself; else
        one that does, with any other.
        """
        found = self._together(_on_one_path(faults)) or self._together(product(likely, faults))
        if not found:
            return None
        best = min(found.values())
        alike = [pair for pair, residual in found.items() if residual <= max(ALIKE * best, self.tolerance / ALIKE)]
        one, two = min(alike, key=lambda pair: sum(not fault.common for fault in pair))
        ones = dict.fromkeys([one, *(a for a, b in alike if b == two), *(b for a, b in alike if a == two)])
        twos = dict.fromkeys([two, *(b for a, b in alike if a == one), *(a for a, b in alike if b == one)])
        explains = tuple(self.wrong(self.start))
        ordered = tuple(k for k in self.observed if k in explains)
        return [Match(tuple(each), ordered, found[one, two], exact=True) for each in (ones, twos)]

    def _together(self, pairs: Iterable[tuple[Fault, Fault]]) -> dict[tuple[Fault, Fault], float]:
        """The pairs that leave nothing, with their residuals, as far as the budget goes."""
        found: dict[tuple[Fault, Fault], float] = {}
        for first, second in pairs:
            if {target for target, _ in first.changes} & {target for target, _ in second.changes}:
                continue
            if self.budget.is_spent:
                break
            residuals = self._if_nothing_is_left(dict((*first.changes, *second.changes)))
            if residuals is not None:
                found[first, second] = max(residuals.values())
        return found

    def _that_leave_nothing(self, faults: Iterable[Fault], made: Mapping[str, str]) -> Iterator[Outcome]:
        """Those that explain all that is left beside those of ``made``, as far as the budget goes."""
        for fault in faults:
            if self.budget.is_spent:
                return
            if not any(target in made for target, _ in fault.changes):
                residuals = self._if_nothing_is_left({**made, **dict(fault.changes)})
                if residuals is not None:
                    yield fault, frozenset(), residuals

    def _with_a_slip(
        self, slips: tuple[Fault, ...], matches: list[Match], made: Mapping[str, str], left: frozenset[str]
    ) -> tuple[list[Match], frozenset[str]]:
        """A slip that explains everything by itself, else one that does beside the faults found."""
        outcomes = list(self._that_leave_nothing(slips, {}))
        if outcomes:
            return [self._best(outcomes, self.wrong(self.start))[0]], frozenset()
        outcomes = list(self._that_leave_nothing(slips, made)) if made else []
        if outcomes:
            return [*matches, self._best(outcomes, left)[0]], frozenset()
        return matches, left

    def _if_nothing_is_left(self, changes: Mapping[str, str]) -> dict[str, float] | None:
        """All residuals if every target is right with these changes. Most are ruled out by the last step or two."""
        for steps in (1, LATE):
            if steps < self.program.T and any(target in self.steps for target in changes):
                late = self._late(changes, steps)
                if late is None or self.wrong(late):
                    return None
        residuals = self._of(changes)
        return None if residuals is None or self.wrong(residuals) else residuals

    def _nearest(self, near: Mapping[Fault, float], start: Mapping[str, float]) -> tuple[tuple[Fault, float], ...]:
        """The faults that leave least of the disagreement, where that is little."""
        shares = []
        for fault in sorted(near, key=lambda fault: near[fault])[: 2 * NEAREST]:
            residuals = self._of(dict(fault.changes))
            if residuals is not None and (share := _together(residuals) / _together(start)) < NEAR:
                shares.append((fault, share))
        return tuple(sorted(shares, key=lambda one: one[1])[:NEAREST])

    def _late(self, changes: Mapping[str, str], steps: int = LATE) -> dict[str, float] | None:
        """The residuals of the last steps alone, of targets that have steps."""
        self.tried += 1
        at, timed = slice(self.program.T - steps, None), [k for k in self.observed if k in self.steps]
        if not timed:
            return {}
        values = self._run(self.program.late, changes, steps)
        return None if values is None else {k: self._residual(k, values[k], at) for k in timed}

    def _of(self, changes: Mapping[str, str]) -> dict[str, float] | None:
        """All residuals with lines changed; ``None`` where shapes do not fit: nobody's program runs like that here."""
        self.tried += 1
        values = self._run(self.program.run, changes)
        return None if values is None else self._residuals_beside(values, self.start)

    def _run(self, how: Callable[..., dict[str, Array]], *what: Any) -> dict[str, Array] | None:
        before = self.program.evaluated
        try:
            with np.errstate(all="ignore"):
                return how(*what)
        except (ValueError, TypeError, IndexError):
            return None
        finally:
            self.budget.spend(self.program.evaluated - before + len(self.observed))


def _on_one_path(faults: Iterable[Fault]) -> Iterator[tuple[Fault, Fault]]:
    """Mistakes in one line each, one in the derivative of a gate and one in what its slope makes of it."""
    of: dict[str, list[Fault]] = {}
    for fault in faults:
        if len(fault.changes) == 1:
            of.setdefault(fault.changes[0][0], []).append(fault)
    for k in "ifog":
        yield from product(of.get(f"d{k}", ()), of.get(f"dz_{k}", ()))


def _together(residuals: Mapping[str, float]) -> float:
    return float(np.sqrt(sum(min(r, 1e6) ** 2 for r in residuals.values()))) or 1e-300
