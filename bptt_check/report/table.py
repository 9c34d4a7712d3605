"""A table as plain text, which every page that shows it lays out in its own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bptt_check.report.text import counted

ROWS = 200  # more rows than this nobody reads; the JSON report has them all


@dataclass(frozen=True)
class Column:
    """The head of a column, and what stands in it.

    ``kind`` is ``name``, ``number``, ``verdict``, ``index``, ``case``, ``note`` or ``text``.
    """

    label: str
    kind: str = "number"


@dataclass(frozen=True)
class Table:
    """A table: a caption, columns, rows of text, and a note on what is left out. The first cell of a row names it."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


def table_of(caption: str, columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> Table:
    """Return a table of the first of ``rows``; its note says how many are left out."""
    left = len(rows) - ROWS
    note = f"{counted(left, 'more row')} in the JSON report." if left > 0 else ""
    return Table(caption, tuple(columns), tuple(tuple(row) for row in rows[:ROWS]), note)
