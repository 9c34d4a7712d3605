"""The report as Markdown for a pull request: the verdict, what is wrong or worse, and the rest folded away.

All that comes from a record stands in code spans, where nothing is interpreted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from bptt_check.report.beside import Beside
from bptt_check.report.changes import broken
from bptt_check.report.model import Failure, Summary
from bptt_check.report.table import Table
from bptt_check.report.tables import (
    FAILURES,
    environment_rows,
    equation_table,
    failure_table,
    findings_table,
    gradient_table,
    incomplete,
    key_figures,
    ledger_table,
    loss_table,
    regions_table,
    steps_table,
    sweep_table,
    timing_rows,
    verdict_advice,
    visits_table,
)
from bptt_check.report.tables_beside import causes_said, changes_table, history_table, norms_table
from bptt_check.report.text import MISSING, clean, clean_lines, count, counted

_PLAIN = re.compile(r"[A-Za-z0-9 .,;:=≥≠÷%–+()\-]*")
OPEN = 3  # cases that are shown at once; the others unfold


def markdown_report(summary: Summary, beside: Beside | None = None) -> str:
    """Return the report as GitHub-flavoured Markdown; ``beside`` adds earlier runs and what has changed."""
    more = beside or Beside()
    missing = incomplete(summary)
    parts = [
        f"**{missing}**" if missing else "",
        f"# Gradient report: {code(summary.title)}",
        f"**{summary.verdict}** – {verdict_advice(summary)}",
        *(f"> {code(problem, limit=300)}" for problem in summary.problems),
        _changes(more),
        _failures("Disagreements", summary.disagreements),
        _failures("Inconclusive cases", summary.inconclusives),
        _folded("Figures", _pairs(key_figures(summary))),
        _tables("By gradient", [gradient_table(summary)]),
        _tables("By gradient and loss", [loss_table(summary)]),
        _tables("By time step", [steps_table(summary), norms_table(summary)]),
        _tables("Error against step size", [sweep_table(summary)]),
        _tables("From run to run", [history_table(more.history)]),
        _tables("Equations", [ledger_table(summary), equation_table(summary)]),
        _tables("Coverage of the case space", [regions_table(summary), visits_table(summary)]),
        _tables("Findings", [findings_table(summary)]),
        _folded("Environment", _pairs(environment_rows(summary)) or "Not recorded."),
        _folded("Timing", _pairs(timing_rows(summary))),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def code(text: str, *, limit: int = 120) -> str:
    """Return ``text`` as a code span that nothing in it can break, in a table or out of it."""
    shown = clean(text, limit=limit)
    if not shown:
        return MISSING
    if not set("`|\\") & set(shown):
        return f"`{shown}`"
    return "<code>" + "".join(c if c.isalnum() or c == " " else f"&#{ord(c)};" for c in shown) + "</code>"


def _folded(title: str, content: str) -> str:
    """A part that unfolds. ``title`` is a word of ours, or holds nothing but code spans."""
    return f"<details>\n<summary>{title}</summary>\n\n{content}\n\n</details>" if content else ""


def _tables(title: str, tables: Sequence[Table]) -> str:
    return _folded(title, "\n\n".join(_table(table) for table in tables if table.rows))


def _changes(beside: Beside) -> str:
    """What has changed since the run compared with: open where something is worse."""
    changes = beside.changes
    if changes is None:
        return ""
    found = ", ".join(f"{count(number)} {kind}" for kind, number in changes.counts.items())
    lines = [f"From {code(changes.old)} to {code(changes.new)}: {found}."]
    lines += [f"{code(name)} is incomplete: what is missing may only not have been run." for name in changes.incomplete]
    for rule in beside.rules:
        against = len(broken(changes, [rule]))
        lines.append(f"- {code(str(rule))}: " + (f"**broken** by {counted(against, 'row')}" if against else "kept"))
    table = changes_table(changes)
    if table.rows:
        worse = changes.counts["worse"] or changes.counts["missing"]
        lines.append(f"\n{_table(table)}" if worse else "\n" + _folded("What has changed", _table(table)))
    return "## Changes\n\n" + "\n".join(lines)


def _table(table: Table) -> str:
    rules = ["---:" if column.kind == "number" else "---" for column in table.columns]
    lines = [
        "| " + " | ".join(_text(column.label) for column in table.columns) + " |",
        "| " + " | ".join(rules) + " |",
        *(
            "| " + " | ".join(_text(cell, span=place == 0) for place, cell in enumerate(row)) + " |"
            for row in table.rows
        ),
    ]
    return "\n".join(lines) + (f"\n\n{table.note}" if table.note else "")


def _text(cell: str, *, span: bool = False) -> str:
    """Leave plain words and numbers as they are; anything else goes into a code span."""
    plain = not span and _PLAIN.fullmatch(cell) and "www." not in cell.lower()
    return cell if plain else code(cell, limit=300)


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join(f"- {_text(name)}: {_text(value)}" for name, value in rows)


def _failures(title: str, failures: Sequence[Failure]) -> str:
    if not failures:
        return ""
    left = len(failures) - FAILURES
    parts = [f"## {title}", *(_failure(failure) for failure in failures[:OPEN])]
    parts.append(
        _folded(counted(len(failures) - OPEN, "more case"), "\n\n".join(map(_failure, failures[OPEN:FAILURES])))
        if failures[OPEN:]
        else ""
    )
    if left > 0:
        parts.append(f"And {counted(left, 'more case')}, in the JSON report.")
    return "\n\n".join(part for part in parts if part)


def _failure(failure: Failure) -> str:
    parts = [f"### {code(failure.name)}"]
    parts += ["\n".join(_causes(failure))]
    if failure.findings:
        parts.append("\n".join(f"- {code(finding, limit=300)}" for finding in failure.findings[:10]))
    if failure.blocks:
        parts.append(_table(failure_table(failure)))
    if failure.reproduce:
        parts.append("To run it again:\n\n" + _fenced(failure.reproduce))
    if failure.example:
        parts.append("The case by itself:\n\n" + _fenced(failure.example))
    about = [code(failure.case, limit=300)] if failure.case else []
    reason = f" ({failure.reason})" if failure.reason else ""
    about += [code(f"compared by {failure.method}{reason}", limit=300)] if failure.method or reason else []
    parts.append("\n".join(f"- {line}" for line in about))
    return "\n\n".join(part for part in parts if part)


def _causes(failure: Failure) -> list[str]:
    lines = []
    for said in causes_said(failure.causes):
        lines.append(f"- {code(said.looks, limit=400)}")
        lines += [f"  - what gives these numbers: {code(said.written, limit=200)}"] if said.written else []
        lines += [f"  - what belongs there: {code(said.remedy, limit=200)}"] if said.remedy else []
        lines += [f"  - the same would be: {code(said.also, limit=300)}"] if said.also else []
    return lines


def _fenced(text: str) -> str:
    shown = clean_lines(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"
