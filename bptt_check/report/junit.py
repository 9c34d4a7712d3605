"""The report as the XML that continuous integration reads: a test case for each case of the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree as Tree

from bptt_check.report.model import Failure, Summary
from bptt_check.report.reading import failure_of, number, verdict_of
from bptt_check.report.record import Record
from bptt_check.report.tables import incomplete, key_figures, verdict_advice
from bptt_check.report.tables_beside import causes_said
from bptt_check.report.tests import smallest
from bptt_check.report.text import clean, exact, figure, place
from bptt_check.results import Verdict

SUITE = "bptt-check"


def junit_report(summary: Summary) -> str:
    """Return the report as JUnit's XML.

    A case that disagrees is a failure; one that is inconclusive is an error, since it is not shown to be right, and so
    is a run that is incomplete or compared nothing: it must not read as passed. Of the examples that Hypothesis drew
    for one test the last of each verdict is there.
    """
    cases = smallest([record for record in summary.records if record.kind == "case"])
    failures = {id(record): failure for record, failure in _failing(cases)}
    extra = _of_the_run(summary)
    verdicts = [verdict_of(record) for record in cases]
    counts = {
        "tests": str(len(cases) + bool(extra)),
        "failures": str(verdicts.count(Verdict.DISAGREES)),
        "errors": str(verdicts.count(Verdict.INCONCLUSIVE) + bool(extra)),
        "time": f"{summary.timing['seconds']:.3f}",
    }
    name = clean(summary.title) or SUITE
    root = Tree.Element("testsuites", {"name": SUITE, **counts})
    suite = Tree.SubElement(root, "testsuite", {"name": name, "skipped": "0", **counts})
    if summary.timing["started"]:
        suite.set("timestamp", clean(summary.timing["started"], limit=40))
    properties = Tree.SubElement(suite, "properties")
    for key, value in (*key_figures(summary), *summary.environment.items()):
        Tree.SubElement(properties, "property", {"name": clean(key, limit=60), "value": clean(value, limit=200)})
    for record in cases:
        _case(suite, name, record, failures.get(id(record)))
    if extra:
        case = Tree.SubElement(suite, "testcase", {"classname": name, "name": "the run as a whole", "time": "0.000"})
        Tree.SubElement(case, "error", {"type": "INCONCLUSIVE", "message": extra})
    Tree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + Tree.tostring(root, encoding="unicode") + "\n"


def _failing(cases: Sequence[Record]) -> list[tuple[Record, Failure]]:
    """Each failing record with what is said of it."""
    return [(record, failure_of(record)) for record in cases if verdict_of(record) is not Verdict.AGREES]


def _of_the_run(summary: Summary) -> str:
    """What is wrong with the run beside its cases."""
    missing = incomplete(summary)
    return missing or ("" if summary.cases else verdict_advice(summary))


def _case(suite: Tree.Element, classname: str, record: Record, failure: Failure | None) -> None:
    seconds = number(record.seconds) or 0.0
    spent = {"time": f"{seconds:.3f}"} if 0 <= seconds < 1e9 else {}
    case = Tree.SubElement(suite, "testcase", {"classname": classname, "name": clean(record.name), **spent})
    if failure is not None:
        wrong = ", ".join(clean(block.gradient, limit=40) for block in failure.blocks[:8])
        message = f"{failure.verdict}: {wrong}" if wrong else f"{failure.verdict}"
        tag = "failure" if failure.verdict is Verdict.DISAGREES else "error"
        Tree.SubElement(case, tag, {"type": str(failure.verdict), "message": message}).text = _told(
            failure, record.case
        )


def _told(failure: Failure, case: Mapping[str, object]) -> str:
    lines = [clean(failure.case, limit=400)] if case else []
    lines += [
        f"{clean(block.gradient, limit=40)} {block.verdict} at {place(block.index)}: analytic {exact(block.analytic)}, "
        f"reference {exact(block.reference)}; rel. error {figure(block.error)}, resolution {figure(block.resolution)}"
        for block in failure.blocks[:40]
    ]
    for cause in causes_said(failure.causes):
        lines += [cause.looks] + ([f"mend: {cause.remedy}"] if cause.remedy else [])
    lines += [f"finding: {clean(finding, limit=300)}" for finding in failure.findings[:10]]
    lines += [f"To run it again: {clean(failure.reproduce, limit=1000)}"] if failure.reproduce else []
    return "\n" + "\n".join(lines) + "\n"
