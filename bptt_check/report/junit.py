"""The report as JUnit XML, which build servers read: a test case for each case, a failure where it does not agree."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

from bptt_check.report.model import Failure, Summary
from bptt_check.report.reading import failure_of, number, verdict_of
from bptt_check.report.record import Record
from bptt_check.report.tables import failure_table, incomplete, key_figures
from bptt_check.report.tests import smallest
from bptt_check.report.text import clean
from bptt_check.results import Verdict


def junit_report(summary: Summary) -> str:
    """Return the report as JUnit XML.

    DISAGREES is a ``failure``, INCONCLUSIVE an ``error``, and so is a test that left no result. Of the examples that
    Hypothesis drew for one test the last of each verdict is shown; property ``cases`` counts all. Times are in a
    property named ``timing``, the machine in those named ``environment``, and nowhere else.
    """
    cases = smallest([record for record in summary.records if record.kind == "case"])
    unfinished = summary.tests.unfinished if summary.tests else ()
    verdicts = [verdict_of(record) for record in cases]
    errors = verdicts.count(Verdict.INCONCLUSIVE) + len(unfinished)
    errors += bool(incomplete(summary)) and not unfinished
    rows = [*key_figures(summary), ("timing: seconds", f"{summary.timing['seconds']}")]
    rows += [(f"environment: {key}", str(value)) for key, value in summary.environment.items()]
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        "<testsuites>",
        f"<testsuite name={_quoted(summary.title)} tests={_quoted(len(cases) + len(unfinished) or errors)} "
        f'failures={_quoted(verdicts.count(Verdict.DISAGREES))} errors={_quoted(errors)} skipped="0">',
        "<properties>",
        *(f"<property name={_quoted(name)} value={_quoted(value)}/>" for name, value in rows),
        "</properties>",
        *(_case(record) for record in cases),
        *(_lost(row.test, row.why) for row in unfinished),
    ]
    if not unfinished and incomplete(summary):
        lines.append(_lost("the run", incomplete(summary)))
    return "\n".join([*lines, "</testsuite>", "</testsuites>"]) + "\n"


def _case(record: Record) -> str:
    test = record.data.get("test")
    head = f"<testcase classname={_quoted(test if isinstance(test, str) else 'gradient')} name={_quoted(record.name)}"
    errors = [number(block["max_relative_error"]) for block in record.blocks]
    worst = max((error for error in errors if error is not None), default=None)
    kept = [("verdict", verdict_of(record).value), ("worst relative error", "none" if worst is None else repr(worst))]
    inside = ["<properties>", *(f"<property name={_quoted(n)} value={_quoted(v)}/>" for n, v in kept), "</properties>"]
    if verdict_of(record) is not Verdict.AGREES:
        inside.append(_failure(failure_of(record)))
    return "\n".join([f"{head}>", *inside, "</testcase>"])


def _failure(failure: Failure) -> str:
    element = "failure" if failure.verdict is Verdict.DISAGREES else "error"
    rows = ["  ".join(row) for row in failure_table(failure).rows]
    text = "\n".join(clean(line, limit=1000) for line in (failure.case, *rows, *failure.findings, failure.reproduce))
    wrong = ", ".join(clean(row.gradient, limit=40) for row in failure.blocks[:5])
    head = f"<{element} type={_quoted(failure.verdict)} message={_quoted(wrong or failure.reason)}>"
    return f"{head}{escape(text)}</{element}>"


def _lost(name: str, why: str) -> str:
    return (
        f'<testcase classname="gradient" name={_quoted(name)}>'
        f'<error type="INCOMPLETE" message={_quoted(why)}></error></testcase>'
    )


def _quoted(value: object) -> str:
    return quoteattr(clean(value, limit=2000))
