"""From a disagreement to its probable causes: what an experienced colleague would say.

Where it is known which cell a subject computes (recognise), its gradient is held against every mistake of the catalogue
(matching). Where it is not, or where nothing matches, the numbers are asked what they look like by themselves (patterns).
What agrees to rounding is called exact; what does not is never called so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.faults import Fault, catalogue
from bptt_check.lstm.forward import Trace
from bptt_check.matching import Match, Matched, Matching
from bptt_check.patterns import Pattern, patterns
from bptt_check.program import Program
from bptt_check.recognise import Recognised, recognise
from bptt_check.results import Cause
from bptt_check.subject import Array, Subject

LARGE = {"T": 6, "B": 3, "D": 4, "H": 5}  # a case where two mistakes seldom give the same: all lengths differ
SEED = 20  # of that case
ULPS = 2.0**16  # of a block's largest entry: what a gradient may differ from the right one and still show a pattern
Reference = Callable[[], tuple[Mapping[str, Array], Mapping[str, Array]]]  # right gradients and what they may be off


@dataclass(frozen=True)
class Diagnosis:
    """``causes``, most telling first. ``recognised``: the cell that the subject computes, if it is one of the family."""

    causes: tuple[Cause, ...] = ()
    recognised: Recognised | None = None


def diagnose(subject: Subject, gradient: Mapping[str, Array], reference: Reference | None = None) -> Diagnosis:
    """What the disagreement of a subject is likely to come from.

    Parameters
    ----------
    subject: whose gradient disagrees with its loss.
    gradient: what its backward pass returned at its point.
    reference: called where no cell is recognised, or none of its mistakes matches: right derivatives by block, and what
        they may be off by; NaN where an entry has not been compared.

    Nothing is offered for a gradient that is right.
    """
    return _at_a_large_case(subject) or _at_its_own(subject, gradient, reference)


def _at_a_large_case(subject: Subject) -> Diagnosis | None:
    """The diagnosis at a case where mistakes are told apart, where the subject can be made at one and is wrong there."""
    if subject.again is None or _is_large(subject):
        return None
    try:
        larger = subject.again(**LARGE, rng=SEED)
        gradient = larger.gradient(larger.blocks)
    except (SubjectFailed, SubjectError):
        return None
    found = _at_its_own(larger, gradient, None)
    return found if found.causes else None


def _is_large(subject: Subject) -> bool:
    lengths = [subject.case.get(letter) for letter in "TBDH"]
    known = [length for length in lengths if isinstance(length, int)]
    return len(known) == 4 and known[0] >= 5 and len(set(known[1:])) == 3 and min(known[1:]) > 1


def _at_its_own(subject: Subject, gradient: Mapping[str, Array], reference: Reference | None) -> Diagnosis:
    finite = {name: np.asarray(a) for name, a in gradient.items() if np.isfinite(a).all()}
    recognised = recognise(subject)
    if recognised is None or recognised.unread:
        return Diagnosis(_structural(subject, finite, reference, {}), recognised)
    known = Known(subject, recognised, finite)
    matched = known.matched()
    if matched.right:  # wrong in what no equation of ours describes
        return Diagnosis(_structural(subject, finite, reference, {}), recognised)
    exact = bool(matched.matches) and not matched.left
    causes = _causes(known, matched)
    if not exact:
        causes = (*_structural(subject, finite, known.reference, known.steps), *causes)
        causes = tuple(sorted(causes, key=lambda cause: (not cause.exact, not cause.explains)))
    return Diagnosis(causes, recognised)


class Known:
    """A subject whose cell is known, in the terms of that cell."""

    def __init__(self, subject: Subject, recognised: Recognised, gradient: Mapping[str, Array]) -> None:
        self.subject, self.recognised, self.gradient = subject, recognised, gradient
        self.trace: Trace = recognised.trace(subject.point)
        self.dl, self.dl_ds = recognised.arriving(subject.point)
        kinds = [np.asarray(a).dtype for a in (*subject.point.values(), *gradient.values())]
        self.eps = max(float(np.finfo(kind).eps) for kind in [*kinds, np.dtype(subject.precision or float)])
        self.theirs = {name: np.asarray(gradient[name], dtype=float) for name in gradient}
        self.ends = recognised.gradients_in_ours(self.theirs)
        self.steps_of = _intermediates(recognised, self.theirs, self.ends)
        observed = {f"d{name}": array for name, array in self.ends.items()} | self.steps_of
        self.program = Program(self.trace, self.dl, dl_ds=self.dl_ds, held=self.steps_of)
        self.matching = Matching(self.program, observed, eps=self.eps)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The catalogue of the cell, but for what a cell that is unrolled by the harness cannot get wrong."""
        faults = catalogue(self.recognised.variant)
        if not any(name.startswith("next ") for name in self.subject.interventions):
            return faults
        return tuple(f for f in faults if all(target != "dh" for target, _ in f.changes))

    def matched(self) -> Matched:
        """The gradient held against the catalogue."""
        return self.matching.against(self.faults)

    def reference(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The right gradient by the equations of the cell, in the subject's names, and what it may be off by."""
        right = Program(self.trace, self.dl, dl_ds=self.dl_ds).right
        ours = {name: right[f"d{name}"] for name in self.recognised.sources.places if f"d{name}" in right}
        theirs = self.recognised.theirs(ours)
        off = {name: np.full(a.shape, ULPS * self.eps * float(np.abs(a).max(initial=0))) for name, a in theirs.items()}
        return theirs, off

    @property
    def steps(self) -> dict[str, Array]:
        """What each step contributes to the right gradient of each weight, (T, …), in the subject's names."""
        by_step = Program(self.trace, self.dl, dl_ds=self.dl_ds).contributions()
        T = self.program.T
        each = [self.recognised.theirs({k[1:]: steps[t] for k, steps in by_step.items()}) for t in range(T)]
        timed = {name for name, a in self.theirs.items() if a.shape[:1] == (T,) and name == "x"}
        return {name: np.stack([one[name] for one in each]) for name in each[0] if name not in timed}

    def named(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Targets of the program by the subject's own names, where it has them."""
        back = {f"d{ours}": theirs for theirs, ours in self.recognised.taps.items() if theirs in self.theirs}
        whose: dict[str, str] = {}
        for name, start in self.recognised.sources.starts.items():
            stop = start + self.recognised.sources.point[name].size
            for ours, everything in self.recognised.sources.places.items():
                if any(((places >= start) & (places < stop)).any() for places in everything):
                    whose.setdefault(f"d{ours}", name)
        return tuple(dict.fromkeys(whose.get(target, back.get(target, target)) for target in targets))


def _intermediates(recognised: Recognised, theirs: Mapping[str, Array], ends: Mapping[str, Array]) -> dict[str, Array]:
    """What was returned for intermediates, by target of the program.

    A cell's ``next s(t)`` is what step t+1 handed back to s(t); so it is what the line of ds_next gave at step t+1, and what
    it gave at step 1 is the derivative of s(0).
    """
    T, B, _, H = recognised.steps
    found: dict[str, Array] = {}
    for name, ours in recognised.taps.items():
        array = theirs.get(name)
        if array is None or array.shape != (T, B, H):
            continue
        if not name.startswith("next ") or ours == "h":
            found[f"d{ours}"] = array
        elif f"{ours}0" in ends:
            found[f"d{ours}_next"] = np.concatenate([ends[f"{ours}0"][None], array[:-1]])
    return found


def _causes(known: Known, matched: Matched) -> tuple[Cause, ...]:
    causes = [_cause_of(known, match, matched) for match in matched.matches]
    causes += [
        Cause(
            fault=fault.id,
            equation=fault.equation,
            exact=False,
            residual=share,
            explanation=fault.says,
            why=fault.why,
            code=fault.code,
        )
        for fault, share in matched.nearest
    ]
    return tuple(causes)


def _cause_of(known: Known, match: Match, matched: Matched) -> Cause:
    fault, *others = match.faults
    return Cause(
        fault=fault.id,
        equation=fault.equation,
        exact=match.exact,
        residual=match.residual,
        explanation=fault.says,
        remedy=fault.remedy,
        also=tuple(other.id for other in others),
        why=fault.why,
        code=fault.code,
        explains=known.named(match.explains),
    )


def _structural(
    subject: Subject, gradient: Mapping[str, Array], reference: Reference | None, by_step: Mapping[str, Any]
) -> tuple[Cause, ...]:
    """What the numbers look like by themselves."""
    if reference is None:
        return ()
    right, tolerance = reference()
    common = [name for name in gradient if name in right]
    found = patterns(
        {name: gradient[name] for name in common},
        {name: right[name] for name in common},
        {name: tolerance[name] for name in common},
        point=subject.blocks,
        lengths={k: v for k, v in subject.case.items() if k in "TBDH" and isinstance(v, int)},
        by_step=by_step,
    )
    return tuple(_cause_of_pattern(pattern) for pattern in found)


def _cause_of_pattern(pattern: Pattern) -> Cause:
    named = ", ".join(pattern.blocks[:6]) + ", …" * (len(pattern.blocks) > 6)
    return Cause(
        fault=pattern.kind,
        equation=None,
        exact=pattern.exact,
        residual=pattern.residual,
        explanation=f"{named} {pattern.message}",
        remedy=pattern.remedy,
        explains=pattern.blocks,
        also=pattern.also,
    )
