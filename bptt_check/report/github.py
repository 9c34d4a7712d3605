"""What GitHub shows of a run: annotations beside the code, and the summary of a step. All foreign text is escaped.

GitHub shows ten annotations of a step and drops the rest without a word, so there are nine and a count. It drops a step
summary above 1 MiB as a whole, so that ours stays below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bptt_check.report.markdown import markdown_report
from bptt_check.report.model import Failure, Grid, Summary
from bptt_check.report.tables import incomplete
from bptt_check.report.tables_beside import causes_said
from bptt_check.report.tests import ENDING
from bptt_check.report.text import clean, counted, figure
from bptt_check.results import Verdict

ANNOTATIONS = 9
SUMMARY_LIMIT = 2**20
_NOTHING = Grid(rows=(), columns=(), values=())


def workflow_commands(summary: Summary, worse: Sequence[str] = ()) -> list[str]:
    """Return the workflow commands for what is wrong in ``summary``, and for each of ``worse``, a sentence each."""
    places = {
        str(row["test"]): row for record in summary.records if record.kind == ENDING if "test" in (row := record.data)
    }
    commands = [_command("error", sentence, title="gradient worse than before") for sentence in worse]
    commands += [_of_failure(failure, places) for failure in (*summary.disagreements, *summary.inconclusives)]
    if summary.tests:
        commands += [
            _command(
                "error", f"{row.test} {row.why}", title="gradient check without a result", place=places.get(row.test)
            )
            for row in summary.tests.unfinished
        ]
    elif incomplete(summary):
        commands.append(_command("error", incomplete(summary), title="gradient report"))
    left = len(commands) - ANNOTATIONS
    more = [f"::notice::and {counted(left, 'more finding')} about gradients, in the report"] if left > 0 else []
    return commands[:ANNOTATIONS] + more


def _of_failure(failure: Failure, places: Any) -> str:
    level = "error" if failure.verdict is Verdict.DISAGREES else "warning"
    wrong = [f"{clean(row.gradient, limit=60)} (relative error {figure(row.error)})" for row in failure.blocks[:5]]
    said = f"{clean(failure.name)}: {', '.join(wrong) or failure.reason or 'nothing was compared'}"
    for cause in causes_said(failure.causes)[:1]:
        said += f"\n{cause.looks}" + (f"; mend: {cause.remedy}" if cause.remedy else "")
    said += f"\n{clean(failure.reproduce, limit=500)}" if failure.reproduce else ""
    return _command(level, said, title=f"gradient {failure.verdict}", place=places.get(failure.test))


def _command(level: str, message: str, *, title: str, place: Any = None) -> str:
    given = {"title": title}
    if place and place.get("file"):
        given["file"] = str(place["file"])
        given |= {"line": str(place["line"])} if isinstance(place.get("line"), int) else {}
    pairs = ",".join(f"{key}={_property(clean(value, limit=400))}" for key, value in sorted(given.items()))
    text = "\n".join(clean(line, limit=600) for line in message.split("\n"))
    return f"::{level} {pairs}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("##[", "## [").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def harmless(line: str) -> str:
    """Return a line of a log in which nothing that came from outside reads as a workflow command."""
    if line.lstrip().startswith("::"):
        line = line.replace("::", ": :", 1)
    return line.replace("##[", "## [")


def step_summary(summary: Summary, *, room: int = SUMMARY_LIMIT) -> str:
    """Return the report as Markdown in at most ``room`` bytes of UTF-8: whole, shortened, in one line, or empty."""
    short = replace(
        summary,
        ledger=(),
        equations=(),
        by_loss=_NOTHING,
        cells_and_losses=_NOTHING,
        steps=(),
        sweeps=(),
        gradients=summary.gradients[:50],
        disagreements=summary.disagreements[:5],
        inconclusives=summary.inconclusives[:5],
        findings=summary.findings[:10],
    )
    note = "\n> Shortened: the whole report is in the files that the run has left.\n"
    for text in (markdown_report(summary), markdown_report(short) + note, _one_line(summary) + note):
        if len(text.encode("utf-8", "replace")) <= room:
            return text
    return ""


def _one_line(summary: Summary) -> str:
    return f"**{summary.verdict}**{'' if summary.complete else ' (incomplete)'}\n"
