"""What the command prints at the end of a run: the tables of the report, cut to what a terminal shows at a glance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from bptt_check.campaign.tried import Tried, Verified
from bptt_check.campaign.wanted import Wanted
from bptt_check.report.model import Grid, Summary
from bptt_check.report.terminal import table
from bptt_check.report.text import clean, counted
from bptt_check.results import Verdict

GROUPS: Mapping[str, str] = {
    "W_g": "W_g…",
    "W_i": "W_i…",
    "W_f": "W_f…",
    "W_o": "W_o…",
    "b_": "b_k",
    "p_": "p_k",
    "z_": "z_k(t)",
}
GATES: Mapping[str, str] = {
    "g(t)": "g, i, f, o(t)",
    "i(t)": "g, i, f, o(t)",
    "f(t)": "g, i, f, o(t)",
    "o(t)": "g, i, f, o(t)",
}
INITIAL: Mapping[str, str] = {f"{k}0": "initial states" for k in "hsifo"}


def builtin_overview(summary: Summary) -> str:
    """The table by gradient and the table by loss; in the latter, gradients of one kind share a line."""
    return table(replace(summary, by_loss=grouped(summary.by_loss)))


def grouped(grid: Grid) -> Grid:
    """The worst of each kind of gradient under each loss."""
    rows: dict[str, list[float | None]] = {}
    for name, values in zip(grid.rows, grid.values, strict=True):
        row = rows.setdefault(_kind(name), [None] * len(grid.columns))
        for column, value in enumerate(values):
            row[column] = _worse(row[column], value)
    columns = tuple(
        name.replace("last_step:", "last: ").replace("unequal_lengths:", "unequal: ") for name in grid.columns
    )
    return Grid(tuple(rows), columns, tuple(tuple(row) for row in rows.values()))


def _kind(name: str) -> str:
    named = GATES.get(name) or INITIAL.get(name)
    return named or next((kind for start, kind in GROUPS.items() if name.startswith(start)), name)


def _worse(a: float | None, b: float | None) -> float | None:
    known = [value for value in (a, b) if value is not None]
    return next((value for value in known if math.isnan(value)), max(known, default=None))


def user_overview(summary: Summary, verified: Verified, wanted: Wanted) -> str:
    """The table by gradient, what else was noticed, where it goes wrong, and the smallest case that does, in full."""
    lines = [_without_failures(summary)]
    if summary.findings:
        lines += ["", "Findings"]
        lines += [
            f"  {finding.kind} (in {counted(finding.cases, 'case')}): {clean(finding.example, limit=300)}"
            for finding in summary.findings
        ]
    failing = verified.failing
    if failing is None:
        return "\n".join(lines)
    pattern = where_it_fails(verified.tried, failing.verdict)
    if pattern:
        lines += ["", pattern]
    lines += ["", f"The smallest case found that does not agree: {failing.trial.described}", "", failing.table]
    if failing.trace:
        lines.append(f"  raised in {failing.trace}")
    lines += ["", *reproducing(verified, wanted)]
    return "\n".join(lines)


def _without_failures(summary: Summary) -> str:
    """The table without the failing cases at its end: the smallest of them follows in full."""
    failures = (*summary.disagreements, *summary.inconclusives)
    text = table(summary)
    return text.partition(f"\n\n{failures[0].verdict}  {failures[0].name[:20]}")[0] if failures else text


def reproducing(verified: Verified, wanted: Wanted) -> list[str]:
    """The lines that say how to run the smallest failing case again."""
    if verified.failing is None:
        return []
    if verified.failing.trial.point and verified.case_file:  # its numbers were drawn one by one: no seed makes them
        return [f"Reproduce it:  {wanted.held_line(verified.case_file)}"]
    lines = [f"Reproduce it:  {wanted.line(verified.failing.trial)}"]
    if verified.case_file:
        lines.append(f"Held exactly:  {wanted.held_line(verified.case_file)}")
    return lines


def where_it_fails(tried: Sequence[Tried], verdict: str) -> str:
    """Which condition on the shape or loss tells the cases of this verdict from the others, if one does."""
    shaped = [one for one in tried if one.trial.shape is not None]
    bad = [one for one in shaped if one.verdict == verdict]
    good = [one for one in shaped if one.verdict == Verdict.AGREES.value]
    if not bad or not good or len(bad) + len(good) != len(shaped):
        return ""
    found = [text for text, holds in _conditions(shaped) if all(map(holds, bad)) and not any(map(holds, good))]
    word = "disagrees" if verdict == Verdict.DISAGREES.value else "is inconclusive"
    if found:
        return f"Pattern: every case with {' or, the same, '.join(found)} {word}, every other agrees."
    necessary = [text for text, holds in _conditions(shaped) if all(map(holds, bad)) and not all(map(holds, good))]
    return (
        f"Pattern: every case that {word} has {' and '.join(necessary)}; not every such case does." if necessary else ""
    )


def _conditions(tried: Sequence[Tried]) -> list[tuple[str, _Condition]]:
    losses = Counter(one.trial.loss for one in tried if one.trial.loss)
    conditions = [
        (f"{letter} {sign} 1", _Condition(letter=letter, one=sign == "=")) for letter in "TBDH" for sign in (">", "=")
    ]
    conditions += [("D ≠ H", _Condition(square=False)), ("D = H", _Condition(square=True))]
    return conditions + [(f"loss {loss}", _Condition(loss=loss)) for loss in (losses if len(losses) > 1 else ())]


class _Condition:
    """A test of a trial's shape or loss."""

    def __init__(self, *, letter: str = "", one: bool = False, square: bool | None = None, loss: str = "") -> None:
        self.letter, self.one, self.square, self.loss = letter, one, square, loss

    def __call__(self, tried: Tried) -> bool:
        shape = tried.trial.shape
        if self.loss:
            return tried.trial.loss == self.loss
        assert shape is not None
        if self.square is not None:
            return (shape.D == shape.H) is self.square
        return (shape.lengths[self.letter] == 1) is self.one
