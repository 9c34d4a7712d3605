"""Which way a subject is looked at: from afar, along directions, at a glance, or entry by entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bptt_check import frugal, joint
from bptt_check.bench import Bench, Right
from bptt_check.flat import not_finite
from bptt_check.levels import Levels, levels
from bptt_check.lone import wrong_entry
from bptt_check.looking import (
    Looked,
    along_directions,
    at_a_glance,
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


def benched_and_looked(
    subject: Subject,
    seen: Observations,
    gradient: Mapping[str, Array],
    eps: float,
    rng: np.random.Generator,
    options: Options,
    asked: float,
    known: Callable[[], Right] | None,
) -> tuple[Bench, Looked]:
    """A large subject is looked at from afar first; where that does not settle it, and else, as all are.

    Where only real differences work, a few directions come before everything else.
    """
    large = options.entries != "all" and total_size(gradient.values()) > joint.LEAST
    there = _there(seen, gradient) if large and options.method != "differences" else None
    proof = Proof(None, np.inf, 0)
    if there:
        proof = proved_elsewhere(subject, {**subject.blocks, **seen.elsewhere}, there, rng=rng)
    chosen = proof.reference
    if chosen is None:
        tried = attempt(subject, gradient, rng=rng, method=options.method)
        tried = replace(tried, evaluations=tried.evaluations + proof.evaluations)
        chosen = tried.reference and replace(tried.reference, evaluations=tried.evaluations)
        if chosen is None:
            return _by_differences(subject, seen, gradient, eps, rng, options, asked, known, tried)
    if not large:
        bench = benched(subject, seen, gradient, eps, rng, options, chosen=chosen)
        return bench, looked_at(bench, seen, options, asked, known)
    bench = _presuming(subject, seen, gradient, eps, rng, options, chosen)
    applies = joint.applies(bench)
    looked = from_afar(bench, asked, proof) if applies else None
    if looked is not None:
        return bench, looked
    wrong = wrong_entry(bench, asked) if applies else None
    chosen = replace(chosen, evaluations=bench.bill.losses - seen.evaluations)
    afar, bench = bench, benched(subject, seen, gradient, eps, rng, options, chosen=chosen)
    found = but_for_one(afar, bench, wrong, asked) if wrong else None
    return bench, found or looked_at(bench, seen, options, asked, known)


def _by_differences(
    subject: Subject,
    seen: Observations,
    gradient: Mapping[str, Array],
    eps: float,
    rng: np.random.Generator,
    options: Options,
    asked: float,
    known: Callable[[], Right] | None,
    tried: Attempt,
) -> tuple[Bench, Looked]:
    """Where a complex step was ``tried`` in vain: a few directions, then as all are what those leave open."""
    found = wrong = None
    few = _presuming(subject, seen, gradient, eps, rng, options, few_differences(subject, tried, abs(seen.loss)))
    if options.entries != "all" and frugal.applies(few):
        found = frugal.look(few, asked)
        if found and not found.left:
            return few, Looked(found.blocks, (), 0.0)
        wrong = None if found else frugal.wrong_entry(few, asked)
        tried = replace(tried, evaluations=few.bill.losses - seen.evaluations)
    bench = benched(subject, seen, gradient, eps, rng, options, chosen=by_differences(subject, tried))
    if wrong and (but_for_it := but_for_one(few, bench, wrong, asked)):
        return bench, but_for_it
    if found and total_size([gradient[name] for name in found.left]) <= DIFFERENCE_ENTRIES:
        looked = entry_by_entry(bench, asked, found.left)
        return bench, replace(looked, blocks={**found.blocks, **looked.blocks})
    return bench, looked_at(bench, seen, options, asked, known)


def _presuming(
    subject: Subject,
    seen: Observations,
    gradient: Mapping[str, Array],
    eps: float,
    rng: np.random.Generator,
    options: Options,
    chosen: Reference,
) -> Bench:
    """The subject on the bench, its rounding taken to be the least that it can be, for which nothing is evaluated."""
    level = joint.presumed(subject.blocks, gradient, eps=eps)
    return _on_the_bench(subject, seen, gradient, Levels(gradient, level, level, 0), chosen, rng, options)


def _there(seen: Observations, gradient: Mapping[str, Array]) -> Mapping[str, Array] | None:
    """The gradient at the second point, if it has all blocks and is finite."""
    there = seen.gradient_elsewhere
    return there if set(there) == set(gradient) and not not_finite(there) else None


def benched(
    subject: Subject,
    seen: Observations,
    gradient: Mapping[str, Array],
    eps: float,
    rng: np.random.Generator,
    options: Options,
    *,
    why: str = "",
    chosen: Reference | None = None,
) -> Bench:
    """The subject on the bench, its rounding levels measured; ``why``: what speaks against a complex step."""
    reference = chosen or choose(subject, gradient, rng=rng, method=options.method)
    if why:
        reference = replace(reference, reason=f"no complex step: {why}; {reference.reason.partition('; ')[2]}")
    found = levels(subject, subject.blocks, gradient, reference, eps=eps, rng=rng)
    return _on_the_bench(subject, seen, gradient, found, reference, rng, options)


def _on_the_bench(
    subject: Subject,
    seen: Observations,
    gradient: Mapping[str, Array],
    found: Levels,
    reference: Reference,
    rng: np.random.Generator,
    options: Options,
) -> Bench:
    bench = Bench.of(
        subject,
        subject.blocks,
        gradient,
        found,
        reference=reference,
        size=abs(seen.loss),
        rng=rng,
        broken=not_finite(seen.gradient),
        sweeping=options.sweeping,
    )
    if seen.repeats < 2:  # asked to be quick
        bench.bill.limit = 0
    bench.bill.losses += seen.evaluations + reference.evaluations
    bench.bill.gradients += seen.gradients + found.calls
    return bench


def looked_at(
    bench: Bench, seen: Observations, options: Options, asked: float, known: Callable[[], Right] | None
) -> Looked:
    """Every entry on its own where they are few, along directions where they are many."""
    n, elsewhere = total_size(bench.gradient.values()), (seen.elsewhere, seen.gradient_elsewhere)
    limit = STACKED_ENTRIES if bench.subject.stacked else SINGLE_ENTRIES
    limit = limit if bench.reference.exact else max(limit, DIFFERENCE_ENTRIES)
    if options.entries == "all" or (options.entries == "auto" and n <= limit):
        glanced = options.entries == "auto" and bench.subject.stacked
        first = at_a_glance(bench, asked, elsewhere) if glanced else None
        return first or entry_by_entry(bench, asked)
    return along_directions(bench, asked, elsewhere, known)
