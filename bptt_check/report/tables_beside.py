"""What stands beside the figures of a run, as plain text: causes, norms over time, earlier runs, what has changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bptt_check.report.changes import Change, Changes, Kind
from bptt_check.report.model import Cause, Summary
from bptt_check.report.saved_lines import SavedRun
from bptt_check.report.table import Column, Table, table_of
from bptt_check.report.text import MISSING, clean, count, derivative, figure

CAUSES = 5


@dataclass(frozen=True)
class CauseSaid:
    """What is said of one cause: what the disagreement looks like, how to mend it, what would look the same.

    ``written`` is the wrong line, or lines, ``why`` how it comes to be written.
    """

    looks: str
    written: str
    remedy: str
    why: str
    also: str


def causes_said(causes: Sequence[Cause]) -> list[CauseSaid]:
    """Return what is said of the causes of a disagreement, the likeliest first."""
    return [
        CauseSaid(
            _looks(cause),
            written=clean("; ".join(cause.code), limit=200),
            remedy=clean(cause.remedy, limit=200),
            why=clean(cause.why, limit=300),
            also=clean(", ".join(cause.also), limit=300),
        )
        for cause in causes[:CAUSES]
    ]


def _looks(cause: Cause) -> str:
    what = clean(cause.explanation, limit=300) or clean(cause.fault, limit=100) or "a known fault"
    close = figure(cause.residual) if cause.residual else "the last bit"
    agrees = "" if cause.residual is None else f" (agrees to {close})"
    equation = f", {clean(cause.equation, limit=20)}" if cause.equation else ""
    return f"looks {'exactly ' if cause.exact else ''}like: {what}{agrees}{equation}"


def norms_table(summary: Summary) -> Table:
    """Return the norms of derivatives at the last and the first step, and the mean factor of a step."""
    columns = (
        Column("derivative", "name"),
        Column("case", "case"),
        Column("steps"),
        Column("by hand at t = T"),
        Column("numerically at t = T"),
        Column("by hand at t = 1"),
        Column("numerically at t = 1"),
        Column("factor a step backwards"),
    )
    rows = [
        (
            derivative(clean(norms.name, limit=30)),
            clean(case.case, limit=60),
            count(len(norms.analytic)),
            figure(norms.analytic[-1], 4),
            figure(norms.reference[-1], 4),
            figure(norms.analytic[0], 4),
            figure(norms.reference[0], 4),
            figure(norms.factor, 3),
        )
        for case in summary.norms
        for norms in case.norms
    ]
    return table_of("Norms of derivatives over time", columns, rows)


def history_table(history: Sequence[SavedRun]) -> Table:
    """Return the saved runs of a job, the last one first."""
    columns = (
        Column("run", "name"),
        Column("saved (UTC)", "name"),
        Column("commit", "name"),
        Column("verdict", "verdict"),
        Column("cases"),
        Column("worst error"),
        Column("in", "name"),
        Column("resolution"),
    )
    rows = [
        (
            f"{run.number} {clean(run.name, limit=40)}".strip(),
            f"{run.saved:%Y-%m-%d %H:%M}" if run.saved else MISSING,
            clean(run.commit)[:9] or MISSING,
            str(run.verdict),
            count(run.cases),
            figure(run.worst_error),
            clean(run.worst_gradient, limit=30) or MISSING,
            figure(run.resolution),
        )
        for run in reversed(history)
    ]
    return table_of("Saved runs of this job", columns, rows)


def changes_table(changes: Changes) -> Table:
    """Return what has changed, the worst first; what is the same is left out."""
    columns = (
        Column("case", "case"),
        Column("gradient", "index"),
        Column("is", "verdict"),
        Column("verdict before", "text"),
        Column("verdict now", "text"),
        Column("error before"),
        Column("error now"),
        Column("resolution before"),
        Column("resolution now"),
    )
    order = (Kind.WORSE, Kind.MISSING, Kind.BETTER, Kind.NEW)
    shown = [row for kind in order for row in sorted(changes.of(kind), key=lambda row: -row.growth)]
    rows = [_change(row) for row in shown]
    return table_of(f"From {clean(changes.old)} to {clean(changes.new)}", columns, rows)


def _change(row: Change) -> tuple[str, ...]:
    old, new = row.old, row.new
    return (
        clean(row.name, limit=80),
        clean(row.block, limit=40) or "(all)",
        str(row.kind),
        str(old.verdict) if old else MISSING,
        str(new.verdict) if new else MISSING,
        figure(old.error if old else None),
        figure(new.error if new else None),
        figure(old.resolution if old else None),
        figure(new.resolution if new else None),
    )
