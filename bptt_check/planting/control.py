"""The negative control of a right subject: faults planted one at a time, and what the check says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from bptt_check.checking import check
from bptt_check.faults import Fault
from bptt_check.planting.known import Known
from bptt_check.planting.structural import Structural, planted, structural
from bptt_check.recognise import Recognised, recognise
from bptt_check.results import Result, Verdict
from bptt_check.subject import Subject

Judged = tuple[str, bool, bool]  # how it is named, whether with its equation, and whether that one is tied at least


@dataclass(frozen=True)
class Outcome:
    """What became of one planted fault.

    Attributes
    ----------
    fault: its id. ``group``: the equation it spoils, or the kind of a structural one. ``says``: what was planted.
    verdict: of the check.
    named: ``"exact"`` where the first cause is it, or names it among what cannot be told from it here and gives the
        same gradient, to rounding, when that is planted, or, for a structural one, is a mistake that gives the same;
        ``"near"`` where it is only offered; ``"no"``; ``"place"`` where no cause is expected, for the fault is only
        a place.
    equation: whether the first cause blames the right equation. ``tied``: whether it does, or blames another, lists
        the right one beside it as one that cannot be told apart here, and gives the same, to rounding, when planted.
    cause: the first cause in words.
    """

    fault: str
    group: str
    says: str
    verdict: str
    named: str
    equation: bool
    tied: bool
    cause: str = ""

    @property
    def caught(self) -> bool:
        """Whether the check called the gradient wrong."""
        return self.verdict == Verdict.DISAGREES.value

    def as_json(self) -> dict[str, Any]:
        """Plain data; ``Outcome(**data)`` is the same again."""
        return asdict(self)


@dataclass(frozen=True)
class Planting:
    """A fault that is ready to be planted."""

    id: str
    group: str
    says: str
    make: Callable[[], Subject]
    judge: Callable[[Result], Judged]


class Control:
    """A subject, and the faults to plant in it. It should be right; whether it is, ``right`` says.

    Parameters
    ----------
    subject: at a case where mistakes are told apart, all of T, B, D and H being different, if there is a choice.
    rng: seed of the check, and of other points at which a fault that changes nothing is tried.
    options: of :func:`bptt_check.check`.
    """

    def __init__(self, subject: Subject, *, rng: int = 0, **options: Any) -> None:
        self.subject, self.rng, self.options = subject, rng, options
        self.right = check(subject, rng=rng, **options)
        self.recognised: Recognised | None = None
        self.plantings: dict[str, Planting] = {}
        self.elsewhere: tuple[str, ...] = ()  # change something at other points alone
        self.equivalent: tuple[str, ...] = ()  # change nothing at any point tried
        if self.right.verdict is Verdict.AGREES:
            self._prepare()

    def _prepare(self) -> None:
        found = recognise(self.subject)
        if found is not None and not found.unread:
            known = Known(self.subject, found)
            changed, elsewhere, still = known.changing(np.random.default_rng(self.rng))
            if changed:
                self.recognised = found
                self.plantings = {f.id: _known(known, f) for f in changed}
                self.elsewhere = tuple(f.id for f in elsewhere)
                self.equivalent = tuple(f.id for f in still)
                return
        faults = structural(self.subject, self.subject.gradient(self.subject.blocks))
        self.plantings = {f.id: _structural(self.subject, f) for f in faults}

    def chosen(self, sample: int | None, seed: int) -> tuple[str, ...]:
        """Ids of ``sample`` faults drawn at random, one of each group first; all of them where ``sample`` is None."""
        if sample is None or sample >= len(self.plantings):
            return tuple(self.plantings)
        ids = list(self.plantings)
        drawn = [ids[n] for n in np.random.default_rng(seed).permutation(len(ids))]
        firsts = {self.plantings[fault].group: fault for fault in reversed(drawn)}.values()
        taken = [*sorted(firsts, key=drawn.index), *(fault for fault in drawn if fault not in firsts)][:sample]
        return tuple(fault for fault in ids if fault in taken)

    def outcome(self, fault: str) -> Outcome:
        """Plant one fault and check: what becomes of it."""
        planting = self.plantings[fault]
        result = check(planting.make(), rng=self.rng, **self.options)
        cause = str(result.causes[0]) if result.causes else ""
        return Outcome(fault, planting.group, planting.says, result.verdict.value, *planting.judge(result), cause=cause)


def _known(known: Known, fault: Fault) -> Planting:
    def judge(result: Result) -> Judged:
        if not result.causes:
            return "no", False, False
        first = result.causes[0]
        offered = any(fault.id in (cause.fault, *cause.also) for cause in result.causes)
        exact = first.exact and fault.id in (first.fault, *first.also) and known.alike(fault, first.fault)
        same = first.equation == fault.equation
        named = "exact" if exact else "near" if offered else "no"
        return named, same, same or (exact and fault.equation in first.equations)

    return Planting(fault.id, fault.equation, fault.says, lambda: known.planted(fault), judge)


def _structural(subject: Subject, fault: Structural) -> Planting:
    def judge(result: Result) -> Judged:
        if not fault.names:
            return "place", False, False
        kinds = [cause.fault for cause in result.causes]
        # a mistake in an equation is exact where that equation, spoilt and run, gives this very gradient
        right = bool(kinds) and (kinds[0] in fault.names or bool(result.causes[0].equation))
        exact = right and result.causes[0].exact
        return "exact" if exact else "near" if set(kinds) & set(fault.names) else "no", False, False

    return Planting(fault.id, fault.kind, fault.says, lambda: planted(subject, fault), judge)
