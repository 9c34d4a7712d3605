"""Parts of the HTML page that more than one of its sections uses."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bptt_check.report.table import Column, Table
from bptt_check.results import Verdict

_SIGNS = {
    Verdict.AGREES.value: ("✓", "agrees"),
    Verdict.DISAGREES.value: ("✕", "disagrees"),
    "DIFFERS": ("≠", "agrees"),  # of what is kept because it is no equation: seen to be none
    "better": ("✓", "agrees"),
    "worse": ("✕", "disagrees"),
    "missing": ("✕", "disagrees"),
    "new": ("+", "new"),
}


def badge(verdict: str) -> str:
    """The verdict with a sign of its own, so that its colour is not needed to tell it."""
    word, _, others = verdict.partition(" ")
    sign, style = _SIGNS.get(word, ("?", "unsure"))
    rest = f" {escape(others)}" if others else ""
    return f'<span class="badge {style}"><span aria-hidden="true">{sign}</span> {escape(word)}</span>{rest}'


def table_html(table: Table) -> str:
    """A table that scrolls by itself where it is too wide; of more than two rows, one that can be sorted."""
    if not table.rows:
        return ""
    head = "".join(f'<th scope="col"{_class(column)}>{_breakable(column.label)}</th>' for column in table.columns)
    rows = "".join(f"<tr>{_row(table.columns, row)}</tr>\n" for row in table.rows)
    note = f"<p>{escape(table.note)}</p>\n" if table.note else ""
    caption = escape(table.caption)
    sorts = ' class="sorts"' if len(table.rows) > 2 else ""
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{caption}">\n<table{sorts}>\n'
        f"<caption>{caption}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{note}"
    )


def _row(columns: Sequence[Column], cells: Sequence[str]) -> str:
    head, *rest = zip(columns, cells, strict=True)
    return f'<th scope="row"{_class(head[0])}>{_breakable(head[1])}</th>' + "".join(
        f"<td{_class(column)}>{badge(cell) if column.kind == 'verdict' else _breakable(cell)}</td>"
        for column, cell in rest
    )


def _breakable(text: str) -> str:
    """Escaped, with places at which a long name may go on in the next line."""
    return escape(text).replace("_", "_<wbr>").replace(":", ":<wbr>")


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind in ("number", "name", "note", "index", "case") else ""


def figure_html(picture: str, legend: str) -> str:
    """A picture with its legend."""
    if not picture:
        return ""
    scroll = f'<div class="scroll" tabindex="0" role="group" aria-label="Picture">{picture}</div>'
    return f"<figure>\n{scroll}\n<figcaption>{escape(legend)}</figcaption>\n</figure>\n"


def folded(label: str, content: str) -> str:
    """Something that unfolds."""
    return f"<details>\n<summary>{escape(label)}</summary>\n{content}</details>\n"
