"""The report as one HTML file: nothing is loaded from elsewhere, nothing needs scripts, everything is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bptt_check.report.html_ledger import ledger_section
from bptt_check.report.html_parts import badge
from bptt_check.report.model import Failure, Summary
from bptt_check.report.page_style import STYLE
from bptt_check.report.plots import errors_picture, steps_picture, sweep_picture
from bptt_check.report.tables import (
    FAILURES,
    Column,
    Table,
    environment_rows,
    equation_table,
    failure_table,
    findings_table,
    gradient_table,
    incomplete,
    key_figures,
    loss_table,
    regions_table,
    steps_table,
    sweep_table,
    timing_rows,
    verdict_advice,
    visits_table,
)
from bptt_check.report.text import clean, clean_lines, counted
from bptt_check.results import Verdict
from bptt_check.tally import ALONE, WHOLE

SWEEPS = 8


def html_report(summary: Summary) -> str:
    """Return the report as a self-contained page in HTML5."""
    title = escape(clean(summary.title) or "untitled")
    sections = [section for section in _sections(summary) if section[2]]
    links = "".join(f'<li><a href="#{ident}">{escape(name)}</a></li>\n' for ident, name, _ in sections)
    body = "".join(
        f'<section id="{ident}">\n<h2>{escape(name)}</h2>\n{content}\n</section>\n' for ident, name, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{summary.verdict}: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n{_head(summary, title)}</header>\n<nav aria-label="Parts of this report"><ul>\n{links}</ul></nav>\n'
        f"<main>\n{body}</main>\n</body>\n</html>\n"
    )


def _head(summary: Summary, title: str) -> str:
    missing = incomplete(summary)
    parts = [f'<p class="incomplete" role="alert"><strong>{escape(missing)}</strong></p>\n'] if missing else []
    parts.append(f"<h1>Gradient report: {title}</h1>\n")
    parts.append(f'<p class="outcome">{badge(str(summary.verdict))} {escape(verdict_advice(summary))}</p>\n')
    parts.extend(f"<p>{escape(clean(problem, limit=300))}</p>\n" for problem in summary.problems)
    figures = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in key_figures(summary)
    )
    parts.append(f'<dl class="figures">\n{figures}</dl>\n')
    return "".join(parts)


def _sections(summary: Summary) -> list[tuple[str, str, str]]:
    """Identifier, heading and content of each part; a part without content is left out."""
    return [
        ("disagreements", "Disagreements", _failures(summary.disagreements)),
        ("gradients", "By gradient", _errors(summary) + _table(gradient_table(summary))),
        ("equations", "Equations", ledger_section(summary.ledger) + _table(equation_table(summary))),
        ("losses", "By gradient and loss", _table(loss_table(summary))),
        ("steps", "By time step", _steps(summary)),
        ("sweeps", "Error against step size", _sweeps(summary)),
        ("coverage", "Coverage of the case space", _table(regions_table(summary)) + _table(visits_table(summary))),
        ("findings", "Findings", _table(findings_table(summary))),
        ("inconclusive", "Inconclusive cases", _failures(summary.inconclusives)),
        ("reading", "How to read this", _reading()),
        ("environment", "Environment", _pairs(environment_rows(summary)) or "<p>Not recorded.</p>"),
        ("timing", "Timing", _pairs(timing_rows(summary))),
    ]


def _errors(summary: Summary) -> str:
    legend = (
        "Each row is a histogram of the largest relative error of every case. ● is the worst of them (✕ where it "
        "disagrees, ○ where it is not decided); the upright bar is the coarsest resolution: an error to the right of "
        "it would have been seen in every case. The dashed line is the spacing of double precision."
    )
    return _figure(errors_picture(summary), legend)


def _steps(summary: Summary) -> str:
    legend = (
        "The worst relative error of each intermediate derivative at each time step, over all cases that reach it. A "
        "mistake in the backward recursion shows from some step down to t = 1."
    )
    table = steps_table(summary)
    return _figure(steps_picture(summary), legend) + _folded("The same as a table", _table(table)) if table.rows else ""


def _sweeps(summary: Summary) -> str:
    legend = (
        "Truncation falls with the step size and rounding rises, so a central difference draws a V; its slope on the "
        "right is its order. A complex step has no cancellation and stays flat."
    )
    pictures = [sweep_picture(sweep, f"sweep-{place}") for place, sweep in enumerate(summary.sweeps[:SWEEPS])]
    left = len(summary.sweeps) - SWEEPS
    more = f"<p>And {counted(left, 'more sweep')}, in the JSON report.</p>" if left > 0 else ""
    return "".join(_figure(picture, legend) for picture in pictures) + more + _table(sweep_table(summary))


def _figure(picture: str, legend: str) -> str:
    if not picture:
        return ""
    scroll = f'<div class="scroll" tabindex="0" role="group" aria-label="Picture">{picture}</div>'
    return f"<figure>\n{scroll}\n<figcaption>{escape(legend)}</figcaption>\n</figure>\n"


def _folded(label: str, content: str) -> str:
    return f"<details>\n<summary>{escape(label)}</summary>\n{content}</details>\n"


def _table(table: Table) -> str:
    if not table.rows:
        return ""
    head = "".join(f'<th scope="col"{_class(column)}>{escape(column.label)}</th>' for column in table.columns)
    rows = "".join(f"<tr>{_row(table.columns, row)}</tr>\n" for row in table.rows)
    note = f"<p>{escape(table.note)}</p>\n" if table.note else ""
    caption = escape(table.caption)
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{caption}">\n<table>\n'
        f"<caption>{caption}</caption>\n"
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{note}"
    )


def _row(columns: Sequence[Column], cells: Sequence[str]) -> str:
    head, *rest = zip(columns, cells, strict=True)
    return f'<th scope="row"{_class(head[0])}>{escape(head[1])}</th>' + "".join(
        f"<td{_class(column)}>{badge(cell) if column.kind == 'verdict' else escape(cell)}</td>" for column, cell in rest
    )


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind in ("number", "name") else ""


def _failures(failures: Sequence[Failure]) -> str:
    left = len(failures) - FAILURES
    more = f"<p>And {counted(left, 'more case')}, in the JSON report.</p>\n" if left > 0 else ""
    return "".join(_failure(failure) for failure in failures[:FAILURES]) + more


def _failure(failure: Failure) -> str:
    parts = [f"<article>\n<h3>{escape(clean(failure.name))}</h3>\n<p>{badge(str(failure.verdict))}</p>\n"]
    parts.extend(f"<p>{escape(clean(text, limit=400))}</p>\n" for text in (failure.case, failure.reason) if text)
    parts.append(_table(failure_table(failure)))
    if failure.findings:
        items = "".join(f"<li>{escape(clean(finding, limit=300))}</li>\n" for finding in failure.findings[:10])
        parts.append(f"<ul>\n{items}</ul>\n")
    if failure.reproduce:
        code = escape(clean_lines(failure.reproduce))
        parts.append(f'<p>To reproduce it:</p>\n<pre tabindex="0"><code>{code}</code></pre>\n')
    return "".join(parts) + "</article>\n"


def _pairs(rows: Sequence[tuple[str, str]]) -> str:
    if not rows:
        return ""
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in rows)
    return f'<dl class="pairs">\n{items}</dl>'


def _reading() -> str:
    terms = [
        ("relative error", "The largest |analytic − reference| of a gradient's entries, each over the entry's scale."),
        ("resolution", "The smallest relative error of one entry that would have been seen. Smaller is sharper."),
        ("÷ tolerance", "The largest error in units of what rounding allows; above 1 the two do not agree."),
        *((str(verdict), verdict.advice) for verdict in Verdict),
        (WHOLE, "A derivative that runs through the equation's line, and all before it, beside the loss's own."),
        (ALONE, "The equation's line by itself, all that it reads taken as given, beside the line that it mirrors."),
        ("DIFFERS", "Kept because it is not an equation, and seen not to be one."),
    ]
    items = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(text)}</dd></div>\n" for name, text in terms)
    return f'<dl class="pairs">\n{items}</dl>'
