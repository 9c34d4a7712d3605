"""Which way a subject is looked at: from afar, along directions, at a glance, or entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check import frugal, joint
from bptt_check.at_once import First, first_call
from bptt_check.bench import Bench, Right
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import not_finite
from bptt_check.levels import Levels, levels
from bptt_check.lone import wrong_entry
from bptt_check.looking import (
    Looked,
    along_directions,
    at_a_glance,
    at_first,
    but_for_one,
    entry_by_entry,
    from_afar,
)
from bptt_check.points import total_size
from bptt_check.protocol import Observations
from bptt_check.reference import (
    Attempt,
    Proof,
    Reference,
    attempt,
    by_differences,
    choose,
    few_differences,
    proved_elsewhere,
)
from bptt_check.subject import Array, Subject
from bptt_check.sweeping import Sweeping

RESOLUTION = {"float64": 1e-6, "float32": 1e-2, "float16": 0.3}  # asked for by default, by precision of the subject
STACKED_ENTRIES = 4096  # all entries are compared up to this many where they can be stacked,
DIFFERENCE_ENTRIES = 2048  # up to this many where only real differences work,
SINGLE_ENTRIES = 24  # and up to this many one by one with a complex step; beyond, directions


@dataclass(frozen=True)
class Options:
    """What ``check`` was asked for; see there."""

    resolution: float | None
    optional: frozenset[str]
    entries: str
    method: str
    repeats: int
    causes: bool
    protocol: bool
    sweeping: Sweeping


@dataclass(frozen=True)
class Question:
    """Whether the ``gradient`` of a subject at its point is right: what there is to answer it with.

    Attributes
    ----------
    subject: the thing under test, at its point.
    seen: what came of calling it there.
    gradient: what it returned, by name, in float64, with 0 for what is not finite.
    options: what ``check`` was asked for.
    rng: of directions and moves.
    known: derivatives by the cell that the subject is recognised as, if causes are wanted.
    """

    subject: Subject
    seen: Observations
    gradient: Mapping[str, Array]
    options: Options
    rng: np.random.Generator
    known: Callable[[], Right] | None = None

    @property
    def eps(self) -> float:
        """The spacing of the numbers that the subject computes with, float64 at the finest."""
        return eps_of(self.subject)

    @property
    def asked(self) -> float:
        """The smallest relative error of one entry that must be visible."""
        return self.options.resolution or RESOLUTION.get(_kind(self.subject).name, RESOLUTION["float64"])

    def answer(self) -> tuple[Bench, Looked]:
        """In two calls where that can be and settles all, else as :meth:`_in_turn` does."""
        spent = (0, 0)
        first = self._first_call()
        if first:
            bench = self._on_the_bench(first.reference, first.levels)
            try:
                looked = at_first(bench, self.asked, self._elsewhere, first)
            except (SubjectFailed, SubjectError, TypeError, ValueError, FloatingPointError):
                looked = None  # no complex step: why is said where it is asked for by itself
            if looked:
                return bench, looked
            spent = self._spent(bench), bench.bill.gradients - self.seen.gradients
        bench, looked = self._in_turn(spent[0], presume=first is None)
        bench.bill.gradients += spent[1]
        return bench, looked

    def _first_call(self) -> First | None:
        if self.options.method == "differences" or not self._by_directions():
            return None
        return first_call(self.subject, self.gradient, eps=self.eps, rng=self.rng)

    def _in_turn(self, spent: int, *, presume: bool) -> tuple[Bench, Looked]:
        """A large subject is looked at from afar first; where that does not settle it, and else, as all are.

        Where only real differences work, a few directions come before everything else. ``spent``: losses evaluated
        before. ``presume``: a small one may be looked at by presumed rounding first.
        """
        subject, seen, options = self.subject, self.seen, self.options
        large = options.entries != "all" and total_size(self.gradient.values()) > joint.LEAST
        there = _there(seen, self.gradient) if large and options.method != "differences" else None
        proof = Proof(None, np.inf, 0)
        if there:
            proof = proved_elsewhere(subject, {**subject.blocks, **seen.elsewhere}, there, rng=self.rng)
        chosen = proof.reference
        if chosen is None:
            tried = attempt(subject, self.gradient, rng=self.rng, method=options.method)
            tried = replace(tried, evaluations=tried.evaluations + proof.evaluations + spent)
            chosen = tried.reference and replace(tried.reference, evaluations=tried.evaluations)
            presume = presume and tried.agrees  # else they are measured in the end
            if chosen is None:
                return self._by_differences(tried)
        if not large:
            return self._presumed_or_measured(chosen, presume=presume and self._by_directions())
        bench = self._presuming(chosen)
        applies = joint.applies(bench)
        looked = from_afar(bench, self.asked, proof) if applies else None
        if looked is not None:
            return bench, looked
        wrong = wrong_entry(bench, self.asked) if applies else None
        afar, bench = bench, self.benched(replace(chosen, evaluations=self._spent(bench)))
        found = but_for_one(afar, bench, wrong, self.asked) if wrong else None
        return bench, found or self.looked_at(bench)

    def _presumed_or_measured(self, chosen: Reference, *, presume: bool) -> tuple[Bench, Looked]:
        """A small subject along a few directions by presumed rounding, where those settle all; else measured."""
        spent = 0
        if presume:
            found = self._levels(chosen, presume=True)
            bench = self._on_the_bench(chosen, found)
            looked = at_first(bench, self.asked, self._elsewhere) if found.presumed else self.looked_at(bench)
            if looked:
                return bench, looked
            chosen, spent = replace(chosen, evaluations=self._spent(bench)), found.calls
        bench = self.benched(chosen)
        bench.bill.gradients += spent
        return bench, self.looked_at(bench)

    def answer_by_differences(self, why: str) -> tuple[Bench, Looked]:
        """By real differences alone, once a complex step was found out to be unsafe; ``why``."""
        chosen = choose(self.subject, self.gradient, rng=self.rng, method="differences")
        reason = f"no complex step: {why}; {chosen.reason.partition('; ')[2]}"
        bench = self.benched(replace(chosen, reason=reason))
        return bench, self.looked_at(bench)

    def benched(self, chosen: Reference | None = None) -> Bench:
        """The subject on the bench, its rounding levels measured."""
        reference = chosen or choose(self.subject, self.gradient, rng=self.rng, method=self.options.method)
        return self._on_the_bench(reference, self._levels(reference))

    def looked_at(self, bench: Bench) -> Looked:
        """Every entry on its own where they are few, along directions where they are many."""
        entries, stacked = self.options.entries, bench.subject.stacked
        n, elsewhere = total_size(bench.gradient.values()), self._elsewhere
        limit = STACKED_ENTRIES if stacked else SINGLE_ENTRIES
        limit = limit if bench.reference.exact else max(limit, DIFFERENCE_ENTRIES)
        if entries == "all" or (entries == "auto" and n <= limit):
            first = at_a_glance(bench, self.asked, elsewhere) if entries == "auto" and stacked else None
            return first or entry_by_entry(bench, self.asked)
        return along_directions(bench, self.asked, elsewhere, self.known)

    def _by_directions(self) -> bool:
        """Whether directions are what a small subject that carries a complex step is looked at along, at first."""
        subject, entries = self.subject, self.options.entries
        if entries == "all" or subject.gradient_noise or self.seen.broken:
            return False
        return subject.stacked or entries == "directions" or total_size(self.gradient.values()) > SINGLE_ENTRIES

    @property
    def _elsewhere(self) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
        """The second point, and the gradient there."""
        return self.seen.elsewhere, self.seen.gradient_elsewhere

    def _levels(self, reference: Reference, *, presume: bool = False) -> Levels:
        """The gradient and its rounding levels, measured or, where that can be, presumed."""
        of, rng = self.subject, self.rng
        return levels(of, of.blocks, self.gradient, reference, eps=self.eps, rng=rng, presume=presume)

    def _by_differences(self, tried: Attempt) -> tuple[Bench, Looked]:
        """Where a complex step was ``tried`` in vain: a few directions, then as all are what those leave open."""
        subject, asked = self.subject, self.asked
        found = wrong = None
        few = self._presuming(few_differences(subject, tried, abs(self.seen.loss)))
        if self.options.entries != "all" and frugal.applies(few):
            found = frugal.look(few, asked)
            if found and not found.left:
                return few, Looked(found.blocks, (), 0.0)
            wrong = None if found else frugal.wrong_entry(few, asked)
            tried = replace(tried, evaluations=self._spent(few))
        bench = self.benched(by_differences(subject, tried))
        if wrong and (but_for_it := but_for_one(few, bench, wrong, asked)):
            return bench, but_for_it
        if found and total_size([self.gradient[name] for name in found.left]) <= DIFFERENCE_ENTRIES:
            looked = entry_by_entry(bench, asked, found.left)
            return bench, replace(looked, blocks={**found.blocks, **looked.blocks})
        return bench, self.looked_at(bench)

    def _presuming(self, chosen: Reference) -> Bench:
        """The subject on the bench, its rounding taken to be the least that it can be, at no cost."""
        level = joint.presumed(self.subject.blocks, self.gradient, eps=self.eps)
        return self._on_the_bench(chosen, Levels(self.gradient, level, level, 0))

    def _on_the_bench(self, reference: Reference, found: Levels) -> Bench:
        bench = Bench.of(
            self.subject,
            self.subject.blocks,
            self.gradient,
            found,
            reference=reference,
            size=abs(self.seen.loss),
            rng=self.rng,
            broken=self.seen.broken,
            sweeping=self.options.sweeping,
        )
        if self.seen.repeats < 2:  # asked to be quick
            bench.bill.limit = 0
        bench.bill.losses += self.seen.evaluations + reference.evaluations
        bench.bill.gradients += self.seen.gradients + found.calls
        return bench

    def _spent(self, bench: Bench) -> int:
        """Losses evaluated on a bench, without those that came before: what the next one begins with."""
        return bench.bill.losses - self.seen.evaluations


def eps_of(subject: Subject) -> float:
    """The spacing of the numbers that a subject computes with, float64 at the finest."""
    return max(float(np.finfo(_kind(subject)).eps), float(np.finfo(np.float64).eps))


def _kind(subject: Subject) -> np.dtype[Any]:
    return np.result_type(*subject.point.values())


def _there(seen: Observations, gradient: Mapping[str, Array]) -> Mapping[str, Array] | None:
    """The gradient at the second point, if it has all blocks and is finite."""
    there = seen.gradient_elsewhere
    return there if set(there) == set(gradient) and not not_finite(there) else None
