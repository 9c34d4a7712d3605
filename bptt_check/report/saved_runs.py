"""Runs that were kept, found again and read back. A file may come from anyone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report.model import Summary
from bptt_check.report.opening import numbered_lines, opened
from bptt_check.report.record import Record
from bptt_check.report.rows import Row, rows_of
from bptt_check.report.runlog import LINE_LIMIT, SIZE_LIMIT, read_journal, record_from
from bptt_check.report.saved_lines import SavedRun, head_of, rows_from
from bptt_check.report.strict import NotStrictError, parse
from bptt_check.report.summary import summarise
from bptt_check.report.text import clean, natural

WANTED = "a saved run, a journal or a report in JSON"
SEEDS = 10_000
GRADIENTS = 500

_FILE = re.compile(r"(\d{4,9})\.jsonl", re.ASCII)


def of(summary: Summary) -> SavedRun:
    """Return what would be kept of a run, its rows included."""
    environment = {key: str(value) for key, value in summary.environment.items()}
    seeds = {record.case.get("seed") for record in summary.records}
    return SavedRun(
        title=summary.title,
        verdict=summary.verdict,
        complete=summary.complete,
        cases=summary.cases,
        compared=summary.compared,
        worst_error=summary.worst_error,
        worst_gradient=summary.worst_gradient,
        resolution=summary.resolution,
        started=str(summary.timing.get("started", "")),
        commit=environment.pop("commit", ""),
        environment=environment,
        seeds=tuple(sorted(seed for seed in seeds if isinstance(seed, int) and not isinstance(seed, bool)))[:SEEDS],
        gradients=tuple((line.name, line.worst_error, line.resolution) for line in summary.gradients[:GRADIENTS]),
        rows=rows_of(summary.records),
    )


def runs(folder: str | os.PathLike[str]) -> list[SavedRun]:
    """Return the runs kept in ``folder``, the oldest number first, their rows left unread.

    A file that cannot be read is in the list too: its ``problem`` says why.

    Raises
    ------
    ReportError
        If the folder cannot be read; one that is not there holds no runs.
    """
    try:
        return [_head(path, number) for number, path in numbered(Path(folder))]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReportError(f"cannot read {clean(folder)}: {clean(reason)}; give a folder of saved runs") from error


def find(folder: str | os.PathLike[str], which: str | int) -> SavedRun:
    """Return the saved run that ``which`` names: its number, its name (the last of that name), or ``"last"``.

    Raises
    ------
    ReportError
        If there is none, or if it cannot be read; the message lists those there are.
    """
    kept = runs(folder)
    wanted = str(which)
    if wanted == "last":
        found = kept[-1:]
    elif wanted.isascii() and wanted.isdecimal():
        found = [run for run in kept if run.number == int(wanted[:20])]
    else:
        found = [run for run in kept if run.name == wanted]
    if not found:
        names = sorted({run.name for run in kept if run.name}, key=natural)[:20]
        numbers = f"; there are runs {kept[0].number} to {kept[-1].number}" if kept else "; it holds none"
        named = f", and the names {', '.join(names)}" if names else ""
        raise ReportError(f"no saved run {clean(wanted, limit=70)!r} in {clean(folder)}{numbers}{named}")
    if found[-1].problem:
        raise ReportError(found[-1].problem)
    return found[-1]


def load(run: SavedRun | str | os.PathLike[str], *, size_limit: int = SIZE_LIMIT) -> SavedRun:
    """Return a run with its rows, from a saved run, a journal or a report in JSON, which may come from anyone.

    Raises
    ------
    ReportError
        If the file cannot be read, is too large, is none of the three, was cut off where it should not be, or was
        written by a newer version.
    """
    if isinstance(run, SavedRun) and run.rows is not None:
        return run
    path = run.path if isinstance(run, SavedRun) else Path(run)
    if path is None:
        raise ReportError("this run was never saved, and has no rows")
    name = clean(path)
    with opened(path, limit=size_limit, wanted=WANTED) as stream:
        try:
            first = stream.readline(LINE_LIMIT + 1)
            if first.strip() == b"{":
                return replace(_from_report(first + stream.read(size_limit)), path=path)
            kind = _kind(first)
            if kind == "saved":
                stream.seek(0)
                return replace(_from_lines(numbered_lines(stream, path, limit=LINE_LIMIT), path), path=path)
        except NotStrictError as reason:
            raise ReportError(f"{name} is no {WANTED.removeprefix('a ')}: {reason}") from None
    if kind == "header":
        return replace(of(summarise(read_journal(path, size_limit=size_limit))), path=path)
    raise ReportError(f"{name} is no {WANTED.removeprefix('a ')}: its kind is {clean(kind, limit=40)!r}")


def numbered(folder: Path) -> list[tuple[int, Path]]:
    """Return the files of saved runs in ``folder``, by number."""
    found = ((_FILE.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def _kind(line: bytes) -> str:
    if not line:
        raise NotStrictError("it is empty")
    if len(line) > LINE_LIMIT:
        raise NotStrictError(f"its first line is longer than {LINE_LIMIT} bytes")
    return str(parse(line).get("kind", ""))


def _head(path: Path, number: int) -> SavedRun:
    try:
        with opened(path, limit=SIZE_LIMIT, wanted="a saved run") as stream:
            line = stream.readline(LINE_LIMIT + 1)
        if _kind(line) != "saved":
            raise NotStrictError("its first line is not the head of one")
        return replace(head_of(parse(line)), path=path, number=number)
    except NotStrictError as reason:
        problem = f"{clean(path)} is no saved run: {reason}"
    except ReportError as error:
        problem = str(error)
    return SavedRun(path=path, number=number, problem=problem)


def _from_lines(lines: Iterator[tuple[int, bytes]], path: Path) -> SavedRun:
    match = _FILE.fullmatch(path.name)
    run = replace(head_of(parse(next(lines)[1])), number=int(match[1]) if match else 0)
    rows: list[Row] = []
    cases, end = 0, None
    for number, line in lines:
        try:
            row = parse(line)
            if end is not None:
                raise NotStrictError("it goes on after its end")
            if row.get("kind") == "end":
                end = row.get("recorded")
            else:
                rows += rows_from(row)
                cases += 1
        except NotStrictError as reason:
            raise NotStrictError(f"line {number}: {reason}") from None
    if end is None:
        raise NotStrictError("it was cut off: its end is missing")
    if end != cases or len({(row.name, row.block) for row in rows}) != len(rows):
        raise NotStrictError("its end counts other cases than there are, or one is there twice")
    return replace(run, rows=tuple(rows))


def _from_report(data: bytes) -> SavedRun:
    row = parse(data)
    if row.get("kind") != "report" or not isinstance(row.get("records"), list):
        raise NotStrictError("it is JSON of another kind")
    records = tuple(_untimed(record) for record in row["records"])
    run = head_of({**row, "kind": "saved", "name": "", "saved": None}, of_a_report=True)
    return replace(run, rows=rows_of(records))


def _untimed(row: object) -> Record:
    if not isinstance(row, dict):
        raise NotStrictError("a record of it is not an object")
    return record_from({"seconds": 0.0, **row})
