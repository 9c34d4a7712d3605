"""Cases that do not agree, in the HTML page: what each looks like, how to mend it, and how to make it again."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bptt_check.report.html_parts import badge, table_html
from bptt_check.report.model import Cause, Failure
from bptt_check.report.tables import FAILURES, failure_table
from bptt_check.report.tables_beside import causes_said
from bptt_check.report.text import clean, clean_lines, counted

OPEN = 3  # cases that are shown in full at once; the others unfold


def failures_html(failures: Sequence[Failure]) -> str:
    """Return the cases, the smallest first."""
    left = len(failures) - FAILURES
    more = f"<p>And {counted(left, 'more case')}, in the JSON report.</p>\n" if left > 0 else ""
    several = len(failures) > 1 and failures[0].size is not None
    parts = [
        _failure(failure, smallest=several and place == 0, folded=place >= OPEN)
        for place, failure in enumerate(failures[:FAILURES])
    ]
    return "".join(parts) + more


def _failure(failure: Failure, *, smallest: bool, folded: bool) -> str:
    word = ' <span class="tag">the smallest case</span>' if smallest else ""
    name = escape(clean(failure.name))
    verdict = badge(str(failure.verdict))
    body = _body(failure)
    if folded:
        return f"<article>\n<details>\n<summary><h3>{name} {verdict}</h3></summary>\n{body}</details>\n</article>\n"
    return f"<article>\n<h3>{name} {verdict}{word}</h3>\n{body}</article>\n"


def _body(failure: Failure) -> str:
    parts = [f'<p class="where">{escape(clean(failure.case, limit=400))}</p>\n' if failure.case else ""]
    parts += [causes_html(failure.causes)]
    if failure.findings:
        items = "".join(f"<li>{escape(clean(finding, limit=300))}</li>\n" for finding in failure.findings[:10])
        parts.append(f"<ul>\n{items}</ul>\n")
    parts.append(table_html(failure_table(failure)))
    if failure.method or failure.reason:
        reason = f" ({clean(failure.reason, limit=400)})" if failure.reason else ""
        parts.append(f'<p class="where">{escape(f"compared by {clean(failure.method)}{reason}")}</p>\n')
    parts += [_pasted("To run it again:", failure.reproduce), _pasted("The case by itself:", failure.example)]
    return "".join(parts)


def _pasted(label: str, code: str) -> str:
    if not code:
        return ""
    return f'<p>{escape(label)}</p>\n<pre tabindex="0"><code>{escape(clean_lines(code))}</code></pre>\n'


def causes_html(causes: Sequence[Cause]) -> str:
    """Return what a disagreement looks like, the likeliest cause first."""
    items = []
    for said in causes_said(causes):
        told = f"<p>To mend it: {escape(said.remedy)}.</p>\n" if said.remedy else ""
        if said.written:  # a line of the catalogue, and the one that belongs in its place
            lines = (("what gives these numbers", said.written), ("what belongs there", said.remedy))
            code = [f"<div><dt>{name}</dt><dd><code>{escape(line)}</code></dd></div>\n" for name, line in lines if line]
            told = f'<dl class="pairs">\n{"".join(code)}</dl>\n'
        told += f"<p>{escape(said.why[0].upper() + said.why[1:])}.</p>\n" if said.why else ""
        told += f'<p class="where">the same would be: {escape(said.also)}</p>\n' if said.also else ""
        items.append(f"<li><p><strong>{escape(said.looks)}</strong></p>\n{told}</li>\n")
    return f'<ul class="causes">\n{"".join(items)}</ul>\n' if items else ""
