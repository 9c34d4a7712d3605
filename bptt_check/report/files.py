"""Files that a run leaves: written whole or not at all, rendered from the journal."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from bptt_check.errors import ReportError, UsageError
from bptt_check.report.html import html_report
from bptt_check.report.json_report import json_report
from bptt_check.report.junit import junit_report
from bptt_check.report.markdown import markdown_report
from bptt_check.report.runlog import read_journal
from bptt_check.report.summary import Summary, summarise
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write

_RENDERERS: Mapping[str, Callable[[Summary], str]] = {
    "json": json_report,
    "md": markdown_report,
    "html": html_report,
    "xml": junit_report,
}
FORMATS = ("json", "md", "html")  # what a run leaves where nothing else is asked for
TYPES = tuple(_RENDERERS)


def render(journal: str | os.PathLike[str], formats: Sequence[str] = FORMATS) -> list[Path]:
    """Read the journal and write a report of each of ``formats`` beside it, under the same stem.

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
    unknown = [name for name in formats if name not in TYPES]
    if unknown:
        raise UsageError(f"there is no report format {clean(unknown[0])!r}; take some of {', '.join(TYPES)}")
    source = Path(journal)
    targets = [source.with_suffix(f".{name}") for name in formats]
    if source in targets:
        raise UsageError(f"the report would replace the journal {clean(source)}; give the journal a name in .jsonl")
    summary = summarise(read_journal(source))
    for name, target in zip(formats, targets, strict=True):
        write_atomically(target, report_text(summary, name))
    return targets


def report_text(summary: Summary, name: str) -> str:
    """Return the report in one of :data:`TYPES`, ``"json"``, ``"md"``, ``"html"`` or ``"xml"`` (JUnit)."""
    return _RENDERERS[name](summary)


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` so that a reader finds the old file or the new one, never a part of either.

    Raises
    ------
    ReportError
        If it cannot be written; what stood there before is then still there.
    """
    try:
        target = Path(os.path.realpath(path))  # a link stays a link
        if target.exists() and not target.is_file():
            raise ReportError(f"cannot write {clean(path)}: something that is not a file has that name")
        _replace(target, text)
    except ReportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise cannot_write(path, error) from error


def _replace(target: Path, text: str) -> None:
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", errors="replace", newline="\n") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
