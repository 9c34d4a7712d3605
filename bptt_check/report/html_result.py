"""What a notebook shows of a result or of a run: a piece of a page, without a style of its own."""

from __future__ import annotations

from html import escape

from bptt_check.report.html_failures import causes_html, failures_html
from bptt_check.report.html_parts import badge, table_html
from bptt_check.report.model import Summary
from bptt_check.report.reading import failure_of, wrong_of
from bptt_check.report.record import record_of
from bptt_check.report.tables import blocks_table, gradient_table, incomplete, key_figures, verdict_advice
from bptt_check.report.text import clean, count
from bptt_check.results import Result, Verdict


def result_html(result: Result) -> str:
    """Return one result as HTML: its verdict, what it looks like, its blocks, its findings."""
    record = record_of(result)
    failure = failure_of(record)
    blocks = [wrong_of(block) for block in record.blocks]
    findings = "".join(f"<li>{escape(clean(finding, limit=300))}</li>\n" for finding in failure.findings)
    compared = f"{count(result.compared)} entries compared by {clean(result.method) or 'nothing'}"
    advice = "" if result.verdict is Verdict.AGREES else f"<p>{escape(result.verdict.advice)}</p>\n"
    return (
        f"<div>\n<p><strong>{badge(str(result.verdict))}</strong> {escape(clean(result.subject))}</p>\n"
        f"{causes_html(failure.causes)}{table_html(blocks_table(blocks))}<p>{escape(compared)}</p>\n"
        + (f"<ul>\n{findings}</ul>\n" if findings else "")
        + f"{advice}</div>\n"
    )


def summary_html(summary: Summary) -> str:
    """Return a run as HTML: its verdict and figures, the cases that do not agree, the errors by gradient."""
    missing = incomplete(summary)
    figures = "; ".join(f"{escape(name)}: {escape(value)}" for name, value in key_figures(summary))
    return (
        "<div>\n"
        + (f"<p><strong>{escape(missing)}</strong></p>\n" if missing else "")
        + f"<p><strong>{badge(str(summary.verdict))}</strong> {escape(clean(summary.title))}: "
        f"{escape(verdict_advice(summary))}</p>\n<p>{figures}</p>\n"
        f"{failures_html(summary.disagreements)}{table_html(gradient_table(summary))}</div>\n"
    )
