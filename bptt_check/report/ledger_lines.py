"""The ledger as a report shows it: each equation and law with its place, its property, and what this run has found."""

from __future__ import annotations

from collections.abc import Sequence

from bptt_check import ledger
from bptt_check.report.model import LedgerLine, LookedAt
from bptt_check.report.record import Record
from bptt_check.report.text import count
from bptt_check.tally import Figures

NOT_COMPARED = "not compared in this run"


def ledger_lines(cases: Sequence[Record]) -> tuple[LedgerLine, ...]:
    """Return the whole ledger filled from ``cases``, or nothing if they speak of none of its equations."""
    figures = ledger.fill(cases)
    return tuple(_line(each) for each in figures) if any(each.compared for each in figures) else ()


def ledger_said(lines: Sequence[LedgerLine]) -> str:
    """Return in a sentence how much of the ledger the run has compared, and what it has not."""
    if not lines:
        return "No equation was compared in this run."
    missing = [line.id for line in lines if not line.entries]
    wrong = [line.id for line in lines if line.verdict == "DISAGREES"]
    said = f"{count(len(lines) - len(missing))} of {count(len(lines))} equations and laws were compared in this run; "
    said += f"{', '.join(wrong)} {'disagrees' if len(wrong) == 1 else 'disagree'}." if wrong else "none disagrees."
    return f"{said} Not compared in this run: {', '.join(missing)}." if missing else said


def _line(figures: Figures) -> LedgerLine:
    entry = figures.entry
    ways = tuple(
        LookedAt(
            name=way.name,
            cases=way.cases,
            entries=way.compared,
            worst_error=way.max_relative_error,
            worst_ratio=way.tolerance_ratio,
            resolution=way.resolution,
            worst_case=way.worst_case,
        )
        for way in figures.ways
        if way.compared
    )
    return LedgerLine(
        id=entry.id,
        group=ledger.HEADINGS[entry.kind],
        title=entry.title,
        formula=entry.formula,
        source=entry.source,
        mirrors=entry.mirrors,
        places=ledger.stands_in(entry.id),
        properties=entry.properties,
        verdict=figures.verdict if figures.compared else "NOT_COMPARED",
        cases=figures.cases,
        entries=figures.compared,
        ways=ways,
    )
