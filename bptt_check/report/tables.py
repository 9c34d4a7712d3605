"""The sentences and tables of a report as plain text, the same for every page that shows them."""

from __future__ import annotations

from collections.abc import Sequence

from bptt_check.report.ledger_lines import NOT_COMPARED
from bptt_check.report.model import Failure, FromTests, Grid, LedgerLine, Line, Summary, Wrong
from bptt_check.report.table import Column, Table, table_of
from bptt_check.report.text import MISSING, clean, count, counted, derivative, exact, figure, place
from bptt_check.results import Verdict

FAILURES = 50
UNFINISHED = 5


def incomplete(summary: Summary) -> str:
    """Return the sentence that says what is missing from an incomplete run, or nothing if it is complete."""
    if summary.complete:
        return ""
    recorded, planned = summary.recorded, summary.planned
    if summary.tests and summary.tests.unfinished:
        return f"INCOMPLETE: {_unfinished(summary.tests)}"
    if planned is None:
        return f"INCOMPLETE: recorded {count(recorded)}; the run was stopped before its end, so more may be missing."
    said = f"INCOMPLETE: recorded {count(recorded)} of {count(planned)}"
    if recorded > planned:
        return f"{said}; more than planned, so the plan or the journal is wrong."
    if recorded < planned:
        stopped = "" if summary.ended else ": the run was stopped before its end"
        missing = planned - recorded
        return f"{said}{stopped}; {count(missing)} {'is' if missing == 1 else 'are'} missing."
    return f"{said}; the run was stopped before it could say that this was all."


def _unfinished(tests: FromTests) -> str:
    """Say which tests left nothing, the first few by name."""
    named = [f"{clean(row.test, limit=200)} {row.why}" for row in tests.unfinished[:UNFINISHED]]
    left = len(tests.unfinished) - len(named)
    more = f"; and {count(left)} more" if left else ""
    are = "is" if len(tests.unfinished) == 1 else "are"
    said = f"{count(len(tests.unfinished))} of {counted(tests.selected, 'test')} {are} not accounted for"
    return f"{said}: {'; '.join(named)}{more}."


def verdict_advice(summary: Summary) -> str:
    """Return why the run has the verdict it has, and what to do about it."""
    if summary.verdict is Verdict.INCONCLUSIVE and not summary.cases:
        return "No case was recorded, so nothing was compared."
    if summary.verdict is Verdict.INCONCLUSIVE and not summary.compared:
        return "Nothing was compared, and that is never a pass."
    if summary.verdict is Verdict.INCONCLUSIVE and not summary.inconclusives:
        return "All that was recorded agrees, but the run is incomplete."
    failing = [failure for failure in summary.disagreements if not failure.sought]
    named = sum(bool(failure.causes) and failure.causes[0].exact for failure in failing)
    if named and named == len(failing):
        return "The gradient is wrong here, and the mistake is named below."
    if named:
        cases = counted(len(failing), "case")
        return f"The gradient is wrong here; in {count(named)} of {cases} the mistake is named below."
    return summary.verdict.advice


def key_figures(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the few numbers that sum up a run, each with its name."""
    worst = figure(summary.worst_error)
    if summary.worst_gradient:
        worst += f" in {clean(summary.worst_gradient, limit=24)}"
    rows = [
        ("cases", count(summary.cases)),
        *((f"of them {name}", count(number)) for name, number in summary.verdicts.items()),
        *([("cases drawn by Hypothesis", count(summary.tests.examples))] if summary.tests else []),
        ("gradient entries compared", count(summary.compared)),
        ("worst relative error", worst),
        ("worst error ÷ tolerance", figure(summary.worst_ratio)),
        ("coarsest resolution", figure(summary.resolution)),
        ("loss evaluations", count(summary.evaluations)),
        ("gradient evaluations", count(summary.gradient_evaluations)),
    ]
    if summary.ledger:
        compared = sum(bool(line.entries) for line in summary.ledger)
        rows.append(("equations and laws compared", f"{count(compared)} of {count(len(summary.ledger))}"))
    if summary.miss_probability is not None:
        size = f" of {figure(summary.miss_size, 1)}" if summary.miss_size is not None else ""
        rows.append((f"chance to miss an error{size}", figure(summary.miss_probability)))
    return tuple(rows)


def gradient_table(summary: Summary) -> Table:
    """Return the worst error of each gradient."""
    return _lines("Worst error per gradient", summary.gradients, "gradient", "equations")


def equation_table(summary: Summary) -> Table:
    """Return which equations that are not of the ledger were compared, in how many cases and how closely."""
    known = {line.id for line in summary.ledger}
    others = [line for line in summary.equations if line.name not in known]
    return _lines("Worst error per equation", others, "equation", "compared by")


def ledger_table(summary: Summary) -> Table:
    """Return the ledger: each equation and law, where it stands, what checks it, and what this run has found."""
    columns = (
        Column("id", "name"),
        Column("equation", "text"),
        Column("stands in", "text"),
        Column("checked by", "text"),
        Column("verdict", "verdict"),
        Column("looked at", "text"),
        Column("cases"),
        Column("entries"),
        Column("worst error"),
        Column("÷ tolerance"),
        Column("resolution"),
    )
    rows = [row for line in summary.ledger for row in _ledger_rows(line)]
    return table_of("Equations and laws", columns, rows)


def _ledger_rows(line: LedgerLine) -> list[tuple[str, ...]]:
    head = (line.id, line.formula, ", ".join(line.places), line.properties[0])
    if not line.ways:
        return [(*head, NOT_COMPARED, *[MISSING] * 6)]
    figures = [
        (
            way.name,
            count(way.cases),
            count(way.entries),
            figure(way.worst_error),
            figure(way.worst_ratio),
            figure(way.resolution),
        )
        for way in line.ways
    ]
    first, *others = figures
    return [(*head, line.verdict, *first), *((line.id, *[MISSING] * 4, *row) for row in others)]


def _lines(caption: str, lines: Sequence[Line], name: str, related: str) -> Table:
    columns = (
        Column(name, "name"),
        Column("verdict", "verdict"),
        Column("cases"),
        Column("entries"),
        Column("worst error"),
        Column("÷ tolerance"),
        Column("resolution"),
        Column("worst case", "name"),
        Column(related, "text"),
    )
    return table_of(caption, columns, [_line(line) for line in lines])


def _line(line: Line) -> tuple[str, ...]:
    others = ", ".join(f"{name} {count(n)}" for name, n in line.verdicts.items() if name != line.verdict.value)
    return (
        clean(line.name, limit=40),
        f"{line.verdict} ({others})" if others else str(line.verdict),
        count(line.cases),
        count(line.entries),
        figure(line.worst_error),
        figure(line.worst_ratio),
        figure(line.resolution),
        clean(line.worst_case, limit=60) or MISSING,
        clean(", ".join(line.related), limit=120) or MISSING,
    )


def loss_table(summary: Summary) -> Table:
    """Return the worst error of each gradient under each loss."""
    return _grid("Worst relative error by gradient and loss", "gradient", summary.by_loss, whole=False)


def visits_table(summary: Summary) -> Table:
    """Return how many cases met each pair of a cell and a loss."""
    return _grid("Cases by cell and loss", "cell", summary.cells_and_losses, whole=True)


def _grid(caption: str, corner: str, grid: Grid, *, whole: bool) -> Table:
    names = [Column(clean(name, limit=40)) for name in grid.columns[:30]]
    rows = [
        (clean(name, limit=40), *(_cell(value, whole=whole) for value in values[:30]))
        for name, values in zip(grid.rows, grid.values, strict=True)
    ]
    return table_of(caption, (Column(corner, "name"), *names), rows)


def _cell(value: float | None, *, whole: bool) -> str:
    if whole:
        return count(int(value or 0))
    return figure(value)


def regions_table(summary: Summary) -> Table:
    """Return how often each region of the space of shapes was visited."""
    rows = [
        (region.name, count(region.cases), f"{100 * region.cases / summary.cases:.0f} %") for region in summary.regions
    ]
    return table_of("Regions of the case space", (Column("region", "name"), Column("cases"), Column("share")), rows)


def steps_table(summary: Summary) -> Table:
    """Return the worst error of each intermediate derivative by time step, the first steps of them."""
    shown = max((len(row.errors) for row in summary.steps), default=0)
    columns = (Column("derivative", "name"), *(Column(f"t = {step + 1}") for step in range(min(shown, 12))))
    rows = [
        [
            derivative(clean(row.name, limit=20)),
            *(figure(error) for error in (*row.errors, *[None] * 12)[: len(columns) - 1]),
        ]
        for row in summary.steps
    ]
    return table_of("Worst relative error by time step", columns, rows)


def sweep_table(summary: Summary) -> Table:
    """Return the slopes and the best errors of the sweeps over the step size."""
    rows = [
        (
            clean(sweep.gradient, limit=40),
            clean(curve.name, limit=40),
            figure(curve.slope, 3),
            figure(min((error for error in curve.errors if error is not None), default=None)),
        )
        for sweep in summary.sweeps
        for curve in sweep.curves
    ]
    columns = (Column("gradient", "name"), Column("method", "text"), Column("fitted slope"), Column("best error"))
    return table_of("Error against step size", columns, rows)


def findings_table(summary: Summary) -> Table:
    """Return the findings by kind, each with an example."""
    columns = (
        Column("finding", "name"),
        Column("is a fault", "text"),
        Column("times"),
        Column("cases"),
        Column("example", "text"),
        Column("in case", "name"),
    )
    rows = [
        (
            clean(row.kind, limit=60),
            "yes" if row.fault else "no",
            count(row.count),
            count(row.cases),
            clean(row.example, limit=300),
            clean(row.example_case, limit=60),
        )
        for row in summary.findings
    ]
    return table_of("Findings", columns, rows)


def failure_table(failure: Failure) -> Table:
    """Return the blocks of one case that do not agree, each with its worst entry."""
    return blocks_table(failure.blocks, caption="Blocks that do not agree")


def blocks_table(blocks: Sequence[Wrong], caption: str = "Gradients") -> Table:
    """Return blocks of one case, each with its worst entry."""
    columns = (
        Column("gradient", "name"),
        Column("verdict", "verdict"),
        Column("equation", "text"),
        Column("at", "index"),
        Column("analytic"),
        Column("reference"),
        Column("rel. error"),
        Column("resolution"),
        Column("note", "note"),
    )
    rows = [
        (
            clean(wrong.gradient, limit=40),
            str(wrong.verdict),
            clean(wrong.equation, limit=40) or MISSING,
            clean(place(wrong.index), limit=60),
            exact(wrong.analytic),
            exact(wrong.reference),
            figure(wrong.error),
            figure(wrong.resolution),
            clean(wrong.note, limit=300) or MISSING,
        )
        for wrong in blocks
    ]
    return table_of(caption, columns, rows)


def environment_rows(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return the environment as names and values."""
    return tuple((clean(key, limit=40), clean(value, limit=200)) for key, value in summary.environment.items())


def timing_rows(summary: Summary) -> tuple[tuple[str, str], ...]:
    """Return when the run began and how long its cases took together."""
    started = clean(summary.timing["started"], limit=40) or MISSING
    return (("started", started), ("time in all cases together", f"{summary.timing['seconds']:.1f} s"))
