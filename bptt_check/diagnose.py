"""From a disagreement to its probable causes: what an experienced colleague would say.

Where it is known which cell a subject computes (recognise), its gradient is held against every mistake of the
catalogue (matching). Where it is not, or where nothing matches, the numbers are asked what they look like by themselves
(patterns). What agrees to rounding is called exact; what does not is never called so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from bptt_check.bench import Bench, Right
from bptt_check.compare import Comparison
from bptt_check.known import ULPS, Known, KnownCell
from bptt_check.matching import Match, Matched
from bptt_check.networks import KnownNetwork, RecognisedNetwork, recognise_network
from bptt_check.patterns import REGIONS, Pattern, Place, patterns, steps_in_words, where
from bptt_check.recognise import Recognised, recognise
from bptt_check.results import Block, Cause
from bptt_check.subject import Array, Subject

LARGE = {"T": 6, "B": 3, "D": 4, "H": 5}  # a case where two mistakes seldom give the same: all lengths differ
SEED = 20  # of that case
REFERENCE_ENTRIES = 768  # that are compared one by one for the sake of a pattern
Sides = tuple[dict[str, Array], Mapping[str, Array], Mapping[str, Array]]  # the gradient, the right one, the tolerance
Reference = Callable[[Subject, frozenset[str]], Right]


@dataclass(frozen=True)
class Diagnosis:
    """``causes``, most telling first. ``where``: for each wrong block the entries, gate and time steps, in words.

    ``recognised``: the cell that the subject computes, if it is one of the family. ``unfinished`` says so where time
    was up before the whole catalogue had been tried; ``untold`` what could not be told, where there is no cause.
    ``right``: what is known of the right gradient, and what it may be off by.
    """

    causes: tuple[Cause, ...] = ()
    where: Mapping[str, str] = field(default_factory=dict)
    recognised: Recognised | RecognisedNetwork | None = None
    unfinished: str = ""
    untold: str = ""
    right: Right = field(default_factory=lambda: ({}, {}))


def diagnose(subject: Subject, gradient: Mapping[str, Array], reference: Reference | None = None) -> Diagnosis:
    """What the disagreement of a subject is likely to come from; see :class:`Diagnosing`."""
    return Diagnosing(subject, gradient, reference).diagnosis()


class Diagnosing:
    """A disagreement being diagnosed. Which cell it is, is found out at most once.

    Parameters
    ----------
    subject: whose gradient disagrees with its loss.
    gradient: what its backward pass returned at its point.
    reference: called with the subject, or with the same code at another case, and the blocks to look at, where no cell
        is recognised or it does not have them: right derivatives by block, and what they may be off by; NaN where an
        entry has not been compared.

    Nothing is offered for a gradient that is right.
    """

    def __init__(self, subject: Subject, gradient: Mapping[str, Array], reference: Reference | None = None) -> None:
        self.subject, self.gradient, self.reference = subject, gradient, reference

    @cached_property
    def finite(self) -> dict[str, Array]:
        """What of the gradient can be explained."""
        return {name: np.asarray(a) for name, a in self.gradient.items() if np.isfinite(a).all()}

    @cached_property
    def _own(self) -> _Look:
        with np.errstate(all="ignore"):
            return _Look(self.subject, self.finite, self.reference)

    def by_the_cell(self) -> Right:
        """The right gradient by the equations of the cell, if it is a known one, and what it may be off by."""
        return self._own.known.reference() if self._own.known else ({}, {})

    def diagnosis(self) -> Diagnosis:
        """Causes and places."""
        own = self._own
        with np.errstate(all="ignore"):
            larger = None if _is_large(self.subject) else _look_at_larger(self.subject, self.reference)
            causes = larger.causes() if larger else ()
            if not causes:  # what has been looked for at the larger case is not looked for again
                causes = own.structural() if larger and larger.searched else own.causes()
            if len(self.finite) < len(self.gradient):  # what is not finite has not been explained
                causes = tuple(replace(cause, exact=False) for cause in causes)
            unfinished = "" if causes else own.unfinished or (larger.unfinished if larger else "")
            untold = "" if causes or unfinished else own.untold()
            return Diagnosis(causes, own.where(), own.recognised, unfinished, untold, own.right)


def enlarged(subject: Subject) -> Subject | None:
    """The subject at a case where mistakes are told apart; ``None`` where it cannot be made, or run, at one."""
    if subject.again is None:
        return None
    try:
        larger = subject.again(**LARGE, rng=SEED)
        larger.gradient(larger.blocks)
    except Exception:  # whatever their code has to say of a shape that it does not take
        return None
    return larger


def _look_at_larger(subject: Subject, reference: Reference | None) -> _Look | None:
    larger = enlarged(subject)
    if larger is None:
        return None
    gradient = larger.gradient(larger.blocks)
    return _Look(larger, {name: a for name, a in gradient.items() if np.isfinite(a).all()}, reference)


def _is_large(subject: Subject) -> bool:
    lengths = [subject.case.get(letter) for letter in "TBDH"]
    known = [length for length in lengths if isinstance(length, int)]
    return len(known) == 4 and known[0] >= 5 and len(set(known[1:])) == 3 and min(known[1:]) > 1


class _Look:
    """One subject with its gradient at one point: the causes, and the places."""

    def __init__(self, subject: Subject, gradient: Mapping[str, Array], reference: Reference | None) -> None:
        self.subject, self.gradient = subject, gradient
        self.recognised = recognise(subject) or recognise_network(subject)
        self.known = _known(subject, self.recognised, gradient)
        self.reference = reference
        self.unfinished, self.searched = "", False

    def causes(self) -> tuple[Cause, ...]:
        """The causes, most telling first."""
        if self.known is None:
            return self.structural()
        matched = self.known.matched()
        if matched.right:  # wrong in what no equation of ours describes, or not at this case
            return self.structural()
        self.searched = True
        if not matched.complete:
            self.unfinished = (
                f"{matched.tried} runs of the lines of {self.known.recognised.name} with mistakes in them were as many "
                f"as a check makes; the rest of the catalogue was left out. Check a smaller case for the cause"
            )
        causes = _causes(self.known, matched)
        if matched.matches and not matched.left:
            if not self._beyond(matched):
                return causes
            causes = tuple(replace(cause, exact=False) for cause in causes)
        structural = self.structural()
        if matched.matches and any(cause.exact for cause in structural):
            structural = tuple(replace(cause, exact=False) for cause in structural)
        return tuple(sorted((*structural, *causes), key=lambda cause: (not cause.exact, not cause.explains)))

    def untold(self) -> str:
        """What could not be told of a disagreement without a cause, and what would tell more."""
        if self.known is not None:
            name = self.known.recognised.name
            return f"this computes {name}, and none of the known mistakes of its backward pass gives this gradient"
        if self.recognised is not None:
            unread = ", ".join(self.recognised.unread)
            return f"the loss reaches {self.recognised.name} through {unread} too, in a way not known here"
        if self.subject.recurrence is not None:
            return "no cell or network that is known here computes these outputs, so no list of mistakes was tried"
        return (
            "no network that is known here has this loss, and which line is wrong cannot be told from a loss and its "
            "gradient alone; Subject.from_vjp with h among the outputs, loss_of= or Subject.from_cell would tell more"
        )

    def _beyond(self, matched: Matched) -> frozenset[str]:
        """The wrong blocks that the mistakes found do not explain: of other parts of the network, or held twice."""
        assert self.known is not None
        foreign = self.gradient.keys() & self.subject.point.keys() - self.known.recognised.sources.named
        if foreign and self._sides is not None:
            analytic, right, tolerance = self._sides
            foreign = {k for k in foreign & right.keys() if _off(analytic[k], right[k], tolerance[k]).any()}
        return self.known.unlike(matched) | foreign

    def where(self) -> dict[str, str]:
        """For each wrong block, in words: time steps, rows, columns, gate."""
        sides = self._sides
        if sides is None:
            return {}
        analytic, right, tolerance = sides
        lengths = {k: v for k, v in self.subject.case.items() if k in "TBDH" and isinstance(v, int)}
        steps = self.known.steps if self.known else {}
        inputs = self.known.time_axes if self.known else {"x": None} if "T" not in lengths else {}
        found = where(analytic, right, tolerance, lengths=lengths, by_step=steps, inputs=inputs)
        counted = self._counted_wrong(steps)
        wrong_at = {place.block: place.steps or () for place in found.places if not place.summed}
        said = {place.block: self._said(place, counted, sides) for place in found.places}
        chains = {name: self.known.chain(name, wrong_at) for name in said} if self.known else {}
        together = {name: "; ".join(filter(None, (words, chains.get(name)))) for name, words in said.items()}
        return {name: words for name, words in together.items() if words}

    def _said(self, place: Place, counted: Mapping[str, str], sides: Sides) -> str:
        analytic, right, tolerance = sides
        parts = [counted.get(place.block) or place.when]
        if place.entries:
            parts.append(f"right but for {place.entries}")
        if self.known and place.gate is None:
            off = _off(analytic[place.block], right[place.block], tolerance[place.block])
            gates = self.known.gates(place.block, off)
            parts.append(f"of gate {', '.join(gates)} alone" if gates else "")
        return ", ".join(filter(None, parts))

    def _counted_wrong(self, right: Mapping[str, Array]) -> dict[str, str]:
        """For weights whose gradient the form sums up itself: at which steps what is added is wrong."""
        if self.subject.by_step is None or not right or self.known is None:
            return {}
        try:
            added = self.subject.by_step(self.subject.point)
        except Exception:
            return {}
        said = {}
        for name in set(added) & set(right):
            a, r = np.asarray(added[name], dtype=float), right[name]
            off = np.abs(a - r).reshape(len(r), -1).max(axis=1)
            steps = np.flatnonzero(off > ULPS * self.known.eps * np.abs(r).max(initial=0)) + 1
            if len(steps) and len(r) > 1:
                said[name] = f"wrong {steps_in_words([int(t) for t in steps], len(r))}"
        return said

    @property
    def right(self) -> Right:
        """What is known of the right gradient, and what it may be off by."""
        return ({}, {}) if self._sides is None else self._sides[1:]

    @cached_property
    def _sides(self) -> Sides | None:
        sides: Right | None = self.known.reference() if self.known else None
        left = frozenset(
            self.gradient if sides is None else self.gradient.keys() & self.subject.point.keys() - sides[0]
        )
        if self.reference is not None and left:
            measured = self.reference(self.subject, left)
            sides = measured if sides is None else ({**measured[0], **sides[0]}, {**measured[1], **sides[1]})
        if sides is None:
            return None
        right, tolerance = sides
        common = [name for name in self.gradient if name in right]
        return ({name: np.asarray(self.gradient[name], dtype=float) for name in common}, right, tolerance)

    def structural(self) -> tuple[Cause, ...]:
        """What the numbers look like by themselves."""
        sides = self._sides
        if sides is None:
            return ()
        analytic, right, tolerance = sides
        lengths = {k: v for k, v in self.subject.case.items() if k in "TBDH" and isinstance(v, int)}
        by_step = self.known.steps if self.known else {}
        point = self.subject.blocks
        found = patterns(analytic, right, tolerance, point=point, lengths=lengths, by_step=by_step)
        telling = [pattern for pattern in found if pattern.kind not in REGIONS]  # those are places
        explained = {name for pattern in telling if pattern.exact for name in pattern.blocks}
        wrong = {name for name, a in analytic.items() if _off(a, right[name], tolerance[name]).any()}
        causes = [_cause_of_pattern(pattern) for pattern in telling]
        if not wrong <= explained or len(analytic) < len(self.subject.point.keys() & self.gradient.keys()):
            causes = [replace(cause, exact=False) for cause in causes]
        return tuple(causes)


def _known(
    subject: Subject, recognised: Recognised | RecognisedNetwork | None, gradient: Mapping[str, Array]
) -> Known | None:
    """The subject in the terms of what it was recognised as, unless the loss reaches that in ways not known here."""
    if recognised is None or recognised.unread:
        return None
    if isinstance(recognised, RecognisedNetwork):
        return KnownNetwork(subject, recognised, gradient)
    return KnownCell(subject, recognised, gradient)


def _off(a: Array, right: Array, tolerance: Array) -> Array:
    """Which entries are wrong; those that have not been compared are not."""
    return np.asarray(np.abs(a - right) > tolerance)


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
        equations=tuple(dict.fromkeys(o.equation for o in others if o.equation != fault.equation))[:2],
        why=fault.why,
        code=fault.code,
        explains=known.named(match.explains),
    )


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


def located(blocks: Mapping[str, Block], places: Mapping[str, str]) -> dict[str, Block]:
    """The blocks, each wrong one with the place where it is wrong."""
    return {name: replace(b, where=places[name]) if name in places else b for name, b in blocks.items()}


def references(
    bench: Bench, compared: Mapping[str, Comparison], names: frozenset[str]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Reference derivatives of some blocks, and what they may be off by: those found already, and what is cheap."""
    right, tolerance = {}, {}
    left = REFERENCE_ENTRIES
    for name in [name for name in bench.gradient if name in names]:
        a = bench.gradient[name]
        known = compared.get(name)
        if (known is None or len(known.entries) < a.size) and a.size <= left:
            left -= a.size
            known = bench.compared(name, np.arange(a.size))
        if known is not None:
            right[name], tolerance[name] = np.full((2, a.size), np.nan)
            right[name][known.entries] = known.reference
            rounding = ULPS * bench.eps * float(np.abs(known.reference).max(initial=0))
            tolerance[name][known.entries] = np.maximum(known.tolerance, rounding)
            right[name], tolerance[name] = right[name].reshape(a.shape), tolerance[name].reshape(a.shape)
    return right, tolerance
