"""Files that a run leaves: written whole or not at all, rendered from the journal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bptt_check.errors import UsageError
from bptt_check.report.beside import FOLDER, Beside, beside
from bptt_check.report.changes import Rule
from bptt_check.report.html import html_report
from bptt_check.report.journal import journal_text
from bptt_check.report.json_report import json_report
from bptt_check.report.junit import junit_report
from bptt_check.report.left import read_run
from bptt_check.report.markdown import markdown_report
from bptt_check.report.runlog import RunLog
from bptt_check.report.saved_lines import SavedRun
from bptt_check.report.summary import Summary, summarise
from bptt_check.report.text import clean
from bptt_check.report.writing import write_atomically

__all__ = ["FORMATS", "render", "write_as", "write_atomically", "write_one"]

FORMATS = ("json", "md", "html")
ENDINGS = (".html", ".md", ".json", ".jsonl", ".xml")


def render(
    journal: str | os.PathLike[str],
    formats: Sequence[str] = FORMATS,
    *,
    baseline: SavedRun | None = None,
    rules: tuple[Rule, ...] = (),
    runs: Path | None = None,
    title: str = "",
) -> list[Path]:
    """Read the journal and write a report of each of ``formats`` beside it, under the same stem.

    The pages also show what has changed since ``baseline``, which of ``rules`` that breaks, and the runs of the same
    job that are saved in the folder ``runs``, by default one of that name beside the journal. ``title`` is what they
    call the run, where that is not what the journal says.

    Returns
    -------
    list of Path
        The files written, in the order of ``formats``.

    Raises
    ------
    UsageError
        For a format that does not exist, before anything is read or written.
    ReportError
        If the journal cannot be read or a report cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"there is no report format {clean(unknown[0])!r}; take some of {', '.join(FORMATS)}")
    source = Path(journal)
    targets = [source.with_suffix(f".{name}") for name in formats]
    if source in targets:
        raise UsageError(f"the report would replace the journal {clean(source)}; give the journal a name in .jsonl")
    summary = summarise(_called(read_run(source), title))
    more = beside(summary, runs or source.parent / FOLDER, baseline=baseline, rules=rules)
    for name, target in zip(formats, targets, strict=True):
        write_atomically(target, _text(summary, name, more))
    return targets


def write_as(
    journal: str | os.PathLike[str],
    targets: Sequence[str | os.PathLike[str]],
    *,
    baseline: SavedRun | None = None,
    rules: tuple[Rule, ...] = (),
    runs: Path | None = None,
    title: str = "",
) -> list[Path]:
    """Read the journal and write a report to each of ``targets``, whose endings say which: see :data:`ENDINGS`.

    All else is as in :func:`render`.

    Raises
    ------
    UsageError
        For another ending, or a target that is the journal itself, before anything is written.
    ReportError
        If the journal cannot be read or a report cannot be written.
    """
    paths = [Path(target) for target in targets]
    for path in paths:
        if path.suffix.lower() not in ENDINGS:
            raise UsageError(f"{clean(path)} ends in none of {', '.join(ENDINGS)}, so its format is not known")
        if _same_file(path, Path(journal)):
            raise UsageError(f"the report would replace the journal {clean(journal)}; choose another name")
    log = _called(read_run(journal), title)
    summary = summarise(log)
    more = beside(summary, runs or Path(journal).parent / FOLDER, baseline=baseline, rules=rules)
    for path in paths:
        write_one(log, summary, path, more)
    return paths


def write_one(log: RunLog, summary: Summary, path: Path, more: Beside) -> None:
    """Write a report to ``path``, whose ending says which; ``summary`` is that of ``log``.

    ``more`` is what :func:`bptt_check.report.beside.beside` returns.

    Raises
    ------
    ReportError
        If it cannot be written.
    """
    name = path.suffix.lower().removeprefix(".")
    text = journal_text(log) if name == "jsonl" else _text(summary, name, more)
    write_atomically(path, text)


def _called(log: RunLog, title: str) -> RunLog:
    return replace(log, title=title) if title else log


def _same_file(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def _text(summary: Summary, name: str, more: Beside) -> str:
    if name == "json":
        return json_report(summary)
    if name == "xml":
        return junit_report(summary)
    return markdown_report(summary, more) if name == "md" else html_report(summary, more)
