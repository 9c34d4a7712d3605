"""The ledger in the HTML page: typeset formulas, and beside each what the run has found."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from itertools import groupby

from bptt_check.mathml import typeset
from bptt_check.report.html_parts import badge, folded
from bptt_check.report.ledger_lines import NOT_COMPARED, ledger_said
from bptt_check.report.model import LedgerLine, LookedAt
from bptt_check.report.text import clean, count, figure

_HEAD = (
    ("", "id"),
    ("", "equation"),
    ("", "verdict"),
    ("", "looked at"),
    ("number", "cases"),
    ("number", "entries"),
    ("number", "worst error"),
    ("number", "÷ tolerance"),
    ("number", "resolution"),
)


def ledger_section(lines: Sequence[LedgerLine]) -> str:
    """Return a table for each part of the ledger; nothing where a run speaks of no equation."""
    if not lines:
        return ""
    parts = (_part(group, list(of)) for group, of in groupby(lines, key=lambda line: line.group))
    return f"<p>{escape(ledger_said(lines))}</p>\n" + "".join(parts)


def _part(group: str, lines: Sequence[LedgerLine]) -> str:
    """A part of the ledger; folded where this run compared nothing of it."""
    table = _table(group, lines)
    return table if any(line.entries for line in lines) else folded(f"{group} ({NOT_COMPARED})", table)


def _table(group: str, lines: Sequence[LedgerLine]) -> str:
    head = "".join(f'<th scope="col"{_class(kind)}>{label}</th>' for kind, label in _HEAD)
    caption = escape(group)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{caption}">\n<table class="ledger">\n'
        f"<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{''.join(map(_rows, lines))}</tbody>\n</table>\n</div>\n"
    )


def _rows(line: LedgerLine) -> str:
    span = f' rowspan="{len(line.ways)}"' if len(line.ways) > 1 else ""
    head = f'<th scope="row" class="name"{span}>{escape(line.id)}</th><td class="equation"{span}>{_said(line)}</td>'
    if not line.ways:
        return f'<tr>{head}<td colspan="7">{NOT_COMPARED}</td></tr>\n'
    first, *others = map(_cells, line.ways)
    rows = "".join(f"<tr>{cells}</tr>\n" for cells in others)
    return f"<tr>{head}<td{span}>{badge(line.verdict)}</td>{first}</tr>\n{rows}"


def _said(line: LedgerLine) -> str:
    mirrors = f"; differentiates {', '.join(line.mirrors)}" if line.mirrors else ""
    title = escape(f"{line.title}{mirrors}")
    places = escape(", ".join(line.places))
    return (
        f'<div class="formula">{typeset(line.formula)}</div><div>{title}</div>'
        f'<div class="where">{places}<br>{escape(line.properties[0])}</div>'
    )


def _cells(way: LookedAt) -> str:
    case = f' title="{escape(clean(way.worst_case))}"' if way.worst_case else ""
    numbers = (count(way.cases), count(way.entries), figure(way.worst_error))
    further = (figure(way.worst_ratio), figure(way.resolution))
    cells = [f'<td class="number">{number}</td>' for number in (*numbers, *further)]
    cells[2] = f'<td class="number"{case}>{numbers[2]}</td>'
    return f"<td>{escape(way.name)}</td>" + "".join(cells)


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
