"""The report as one HTML file: nothing is loaded from elsewhere, all can be read without scripts, all is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bptt_check.report.beside import Beside
from bptt_check.report.changes import said
from bptt_check.report.html_failures import failures_html
from bptt_check.report.html_ledger import ledger_section
from bptt_check.report.html_parts import badge, figure_html, folded, table_html
from bptt_check.report.model import Summary
from bptt_check.report.page_script import HASH, SCRIPT
from bptt_check.report.page_style import STYLE
from bptt_check.report.plots import errors_picture, steps_picture, sweep_picture
from bptt_check.report.plots_over_time import history_picture, norms_picture
from bptt_check.report.tables import (
    environment_rows,
    equation_table,
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
from bptt_check.report.tables_beside import changes_table, history_table, norms_table
from bptt_check.report.text import clean, counted
from bptt_check.results import Verdict
from bptt_check.tally import ALONE, WHOLE

SWEEPS = 8


def html_report(summary: Summary, beside: Beside | None = None) -> str:
    """Return the report as a self-contained page in HTML5; ``beside`` adds earlier runs and what has changed."""
    title = escape(clean(summary.title) or "untitled")
    sections = [section for section in _sections(summary, beside or Beside()) if section[2]]
    links = "".join(f'<li><a href="#{ident}">{escape(name)}</a></li>\n' for ident, name, _ in sections)
    body = "".join(
        f'<section id="{ident}">\n<h2>{escape(name)}</h2>\n{content}\n</section>\n' for ident, name, content in sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        f"script-src '{HASH}'\">\n"
        f"<title>{summary.verdict}: {title}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f'<header>\n{_head(summary, title)}</header>\n<nav aria-label="Parts of this report"><ul>\n{links}</ul></nav>\n'
        f"<main>\n{body}</main>\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
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


def _sections(summary: Summary, beside: Beside) -> list[tuple[str, str, str]]:
    """Identifier, heading and content of each part; a part without content is left out."""
    return [
        ("disagreements", "Disagreements", failures_html(summary.disagreements)),
        ("inconclusive", "Inconclusive cases", failures_html(summary.inconclusives)),
        ("changes", "Changes", _changes(beside)),
        ("gradients", "By gradient", _errors(summary) + table_html(gradient_table(summary))),
        ("losses", "By gradient and loss", table_html(loss_table(summary))),
        ("steps", "By time step", _steps(summary)),
        ("norms", "Norms over time", _norms(summary)),
        ("sweeps", "Error against step size", _sweeps(summary)),
        ("history", "From run to run", _history(summary, beside)),
        ("equations", "Equations", ledger_section(summary.ledger) + table_html(equation_table(summary))),
        (
            "coverage",
            "Coverage of the case space",
            table_html(regions_table(summary)) + table_html(visits_table(summary)),
        ),
        ("findings", "Findings", table_html(findings_table(summary))),
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
    return figure_html(errors_picture(summary), legend)


def _steps(summary: Summary) -> str:
    legend = (
        "The worst relative error of each intermediate derivative at each time step, over all cases that reach it. A "
        "mistake in the backward recursion shows from some step down to t = 1."
    )
    table = steps_table(summary)
    picture = figure_html(steps_picture(summary), legend)
    return picture + folded("The same as a table", table_html(table)) if table.rows else ""


def _norms(summary: Summary) -> str:
    legend = (
        "How large the derivatives are at each time step. Read from right to left, backwards in time: where they "
        "fall they vanish, where they rise they explode. Lines are as derived by hand, rings as found numerically, "
        "where every entry was compared; if the gradient is right they lie on the lines. What is zero is not drawn."
    )
    pictures = [norms_picture(case, f"norms-{place}") for place, case in enumerate(summary.norms)]
    parts = [
        f"<h3>{escape(clean(case.case))} {badge(str(case.verdict))}</h3>\n{figure_html(picture, legend)}"
        for case, picture in zip(summary.norms, pictures, strict=True)
        if picture
    ]
    return "".join(parts) + (folded("As a table", table_html(norms_table(summary))) if parts else "")


def _history(summary: Summary, beside: Beside) -> str:
    legend = (
        "The worst relative error of each run (✕ where it disagrees, ○ where it is not decided); the level bars are "
        "the coarsest resolution. Only runs of the same job are shown: those with the title of this one."
    )
    return figure_html(history_picture(beside.history, summary), legend) + table_html(history_table(beside.history))


def _changes(beside: Beside) -> str:
    if beside.changes is None:
        return ""
    first, *more = said(beside.changes, beside.rules).splitlines()
    rules = [line.strip() for line in more if line.strip().startswith("rule ")]
    lines = "".join(f"<p>{escape(line)}</p>\n" for line in (first, *rules))
    return lines + table_html(changes_table(beside.changes))


def _sweeps(summary: Summary) -> str:
    legend = (
        "Truncation falls with the step size and rounding rises, so a central difference draws a V; its slope on the "
        "right is its order. A complex step has the same truncation but no cancellation, and stays flat below it."
    )
    pictures = [sweep_picture(sweep, f"sweep-{place}") for place, sweep in enumerate(summary.sweeps[:SWEEPS])]
    left = len(summary.sweeps) - SWEEPS
    more = f"<p>And {counted(left, 'more sweep')}, in the JSON report.</p>" if left > 0 else ""
    return "".join(figure_html(picture, legend) for picture in pictures) + more + table_html(sweep_table(summary))


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
