"""What the cases of a run say step by step: the errors of intermediate derivatives, and their norms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bptt_check.report.model import CaseNorms, Norms, StepErrors
from bptt_check.report.reading import gradients_of, number, verdict_of, worst_of
from bptt_check.report.record import Record
from bptt_check.report.text import natural
from bptt_check.results import Verdict

STATES = ("h(t)", "s(t)", "next h(t)", "next s(t)", "next c(t)")  # whose derivatives run through all of time
LEAD = ("h(t)", "next h(t)", "s(t)", "next s(t)", "g(t)", "i(t)", "f(t)", "o(t)")
MOST = 4  # curves in one picture


def step_errors(cases: Sequence[Record]) -> tuple[StepErrors, ...]:
    """Return the worst error by time step, by block, in the order of the backward pass: h, s, gates, …"""
    errors: dict[str, list[float | None]] = {}
    counts: dict[str, list[int]] = {}
    for _, block in gradients_of(cases):
        if block["by_step"]:
            worst, cases_at = errors.setdefault(block["name"], []), counts.setdefault(block["name"], [])
            _join(worst, cases_at, block["by_step"])
    names = sorted(errors, key=lambda name: (LEAD.index(name) if name in LEAD else len(LEAD), name))
    return tuple(StepErrors(name=name, errors=tuple(errors[name]), cases=tuple(counts[name])) for name in names)


def _join(worst: list[float | None], cases_at: list[int], series: Sequence[Any]) -> None:
    missing = len(series) - len(worst)
    worst.extend([None] * missing)
    cases_at.extend([0] * missing)
    for step, value in enumerate(series):
        worst[step] = worst_of((worst[step], number(value)))
        cases_at[step] += 1


def norms_over_time(cases: Sequence[Record]) -> tuple[CaseNorms, ...]:
    """Return the norms in the longest case that does not agree, and in the longest that does.

    One in which they were found numerically too comes first: only there can by hand and numerical be held together.
    """
    longest: dict[bool, tuple[tuple[bool, int, tuple[str, ...]], Record]] = {}
    for record in cases:
        steps = max((_steps_with_some(block) for block in _with_norms(record)), default=0)
        agrees = verdict_of(record) is Verdict.AGREES
        key = (not _measured(record), -steps, natural(record.name))
        if steps > 1 and (agrees not in longest or key < longest[agrees][0]):
            longest[agrees] = key, record
    return tuple(_case_norms(longest[agrees][1]) for agrees in (False, True) if agrees in longest)


def _steps_with_some(block: Mapping[str, Any]) -> int:
    """How many steps a derivative reaches: it is zero where no loss comes after."""
    return sum(number(analytic if reference is None else reference) != 0 for analytic, reference in block["norms"])


def _measured(record: Record) -> bool:
    """Whether norms were found numerically too."""
    return all(reference is not None for block in _with_norms(record) for _, reference in block["norms"])


def _with_norms(record: Record) -> list[Mapping[str, Any]]:
    return [block for _, block in gradients_of([record]) if block.get("norms") and block["name"] != "x"]


def _case_norms(record: Record) -> CaseNorms:
    blocks = {block["name"]: block for block in _with_norms(record)}
    chosen = [name for name in STATES if name in blocks] or list(blocks)
    return CaseNorms(record.name, verdict_of(record), tuple(_norms(name, blocks[name]) for name in chosen[:MOST]))


def _norms(name: str, block: Mapping[str, Any]) -> Norms:
    analytic, reference = zip(*block["norms"], strict=True)
    by_hand, numerical = tuple(map(number, analytic)), tuple(map(number, reference))
    return Norms(name, by_hand, numerical, _factor(by_hand if None in numerical else numerical))


def _factor(norms: Sequence[float | None]) -> float | None:
    """The mean factor of one step backwards, between the first and the last step at which there is something."""
    known = [(t, math.log(norm)) for t, norm in enumerate(norms) if norm is not None and 0 < norm < math.inf]
    if len(known) < 2:
        return None
    (t_first, first), *_, (t_last, last) = known
    return math.exp((first - last) / (t_last - t_first))
