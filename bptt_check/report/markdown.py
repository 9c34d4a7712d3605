"""The report as a Markdown page. All that comes from a record stands in code spans, where nothing is interpreted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bptt_check.report.model import Failure, Summary
from bptt_check.report.tables import (
    FAILURES,
    Table,
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
from bptt_check.report.text import MISSING, clean, clean_lines, counted

_PLAIN = re.compile(r"[A-Za-z0-9 .,;:=≥≠÷%–+()\-]*")


def markdown_report(summary: Summary) -> str:
    """Return the report as GitHub-flavoured Markdown."""
    missing = incomplete(summary)
    parts = [
        f"**{missing}**" if missing else "",
        f"# Gradient report: {code(summary.title)}",
        f"**{summary.verdict}** – {verdict_advice(summary)}",
        *(f"> {code(problem, limit=300)}" for problem in summary.problems),
        _pairs(key_figures(summary)),
        _failures("Disagreements", summary.disagreements),
        _section("By gradient", [gradient_table(summary)]),
        _section("Equations", [ledger_table(summary), equation_table(summary)]),
        _section("By gradient and loss", [loss_table(summary)]),
        _section("By time step", [steps_table(summary)]),
        _section("Error against step size", [sweep_table(summary)]),
        _section("Coverage of the case space", [regions_table(summary), visits_table(summary)]),
        _section("Findings", [findings_table(summary)]),
        _failures("Inconclusive cases", summary.inconclusives),
        "## Environment\n\n" + (_pairs(environment_rows(summary)) or "Not recorded."),
        "## Timing\n\n" + _pairs(timing_rows(summary)),
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


def _section(title: str, tables: Sequence[Table]) -> str:
    texts = [_table(table) for table in tables if table.rows]
    return "\n\n".join([f"## {title}", *texts]) if texts else ""


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
    parts = [f"## {title}", *(_failure(failure) for failure in failures[:FAILURES])]
    if left > 0:
        parts.append(f"And {counted(left, 'more case')}, in the JSON report.")
    return "\n\n".join(parts)


def _failure(failure: Failure) -> str:
    parts = [f"### {code(failure.name)}", code(failure.case, limit=300) if failure.case else ""]
    if failure.reason:
        parts.append(code(failure.reason, limit=300))
    if failure.blocks:
        parts.append(_table(failure_table(failure)))
    if failure.findings:
        parts.append("\n".join(f"- {code(finding, limit=300)}" for finding in failure.findings[:10]))
    if failure.reproduce:
        parts.append("To reproduce it:\n\n" + _fenced(failure.reproduce))
    return "\n\n".join(part for part in parts if part)


def _fenced(text: str) -> str:
    shown = clean_lines(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    return f"{fence}\n{shown}\n{fence}"
