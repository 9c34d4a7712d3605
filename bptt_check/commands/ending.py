"""How a command ends: what it says last, where its reports are, and the exit code that a script relies on."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bptt_check.commands.keeping import Keeping
    from bptt_check.report.model import Summary

AGREES, DISAGREES, USAGE, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
EXIT_CODES = (
    "exit codes: 0 agrees, 1 disagrees or breaks a rule, 2 wrong usage, 3 inconclusive or incomplete, 130 interrupted"
)


def program() -> str:
    """What the command was called as, for the lines that it asks its reader to type."""
    return "python -m bptt_check" if Path(sys.argv[0]).parts[-2:] == ("bptt_check", "__main__.py") else "bptt-check"


def say(text: str) -> None:
    """Print ``text``; a reader that has had enough, such as ``head``, does not change what the run found."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def rendered(journal: Path, kept: Keeping, title: str = "") -> Summary:
    """Write the reports of a journal beside it, and return what they show."""
    from bptt_check.report.files import render

    render(journal, baseline=kept.baseline, rules=kept.rules, runs=kept.runs, title=title)
    return summarised(journal, title)


def summarised(journal: Path | str, title: str = "") -> Summary:
    """What the reports of a journal show."""
    from bptt_check.report.left import read_run
    from bptt_check.report.summary import summarise

    summary = summarise(read_run(journal))
    return replace(summary, title=title) if title else summary


def verdict_line(summary: Summary) -> str:
    """The verdict of a run in one line."""
    word = "" if summary.complete else "INCOMPLETE  "
    return f"{word}{summary.verdict}  {summary.title}"


def ended(summary: Summary, stopped: str, interrupted: bool, journal: Path, *, quiet: bool) -> int:
    """Say why a run is incomplete and where its reports are, and return the exit code."""
    if stopped:
        say(f"\nIncomplete: {stopped}.")
    if not quiet:
        say(f"\nReports: {journal.with_suffix('.html')}, and .md, .json, .jsonl beside it")
    return INTERRUPTED if interrupted else exit_code(summary)


def exit_code(summary: Summary) -> int:
    """The exit code of a run by its verdict."""
    if summary.verdict.value == "DISAGREES":
        return DISAGREES
    return AGREES if summary.verdict.value == "AGREES" and summary.complete else INCONCLUSIVE
