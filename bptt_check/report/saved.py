"""Runs that are kept, so that a later one can be held against them: what each found, block by block, where and when.

A folder of saved runs holds a file for each, ``0007.jsonl``: its head on the first line, then a line for each case,
then an end. They are small, sorted and the same for the same findings: they can be kept under version control.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path

from bptt_check.errors import ReportError, UsageError
from bptt_check.report.model import Summary
from bptt_check.report.opening import numbered_lines, opened
from bptt_check.report.record import SCHEMA, Record
from bptt_check.report.rows import Row, rows_of
from bptt_check.report.runlog import LINE_LIMIT, SIZE_LIMIT, read_journal, record_from
from bptt_check.report.saved_lines import SavedRun, case_line, head_of, rows_from
from bptt_check.report.strict import NotStrictError, compact, parse
from bptt_check.report.summary import summarise
from bptt_check.report.text import clean, natural
from bptt_check.report.write_errors import cannot_write
from bptt_check.report.writing import write_new

__all__ = ["SavedRun", "check_place", "find", "load", "must_be_name", "of", "parse_keep", "runs", "save"]

WANTED = "a saved run, a journal or a report in JSON"
SEEDS = 10_000
GRADIENTS = 500

_FILE = re.compile(r"(\d{4,9})\.jsonl", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)


def save(
    run: Summary | str | os.PathLike[str],
    folder: str | os.PathLike[str],
    name: str | None = None,
    *,
    keep: int | timedelta | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Path:
    """Keep a run in ``folder`` under the next free number. Two that save at once both get one.

    Parameters
    ----------
    run
        What to keep: the summary of a run, or the path of its journal.
    name
        A name to find it by; letters, digits and ``. _ + -``, at most 64.
    keep
        How many runs to keep, this one included, or for how long; older ones are removed. The age is counted from the
        run before this one if that is earlier than now, so that a clock that jumped removes nothing; the run before
        this one always stays.
    clock
        Tells the time.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UsageError
        If ``name`` or ``keep`` cannot be.
    ReportError
        If the journal cannot be read or the run cannot be written.
    """
    must_be_name(name)
    if isinstance(keep, int) and keep < 1:
        raise UsageError(f"keep must be at least 1 run; it is {keep}")
    held = run if isinstance(run, Summary) else summarise(read_journal(run))
    now = clock().astimezone(UTC).replace(microsecond=0)
    kept = replace(of(held), name=name or "", saved=now)
    place = Path(folder)
    try:
        place.mkdir(parents=True, exist_ok=True)
        number = max((one for one, _ in _numbered(place)), default=0) + 1
        target = write_new((place / f"{number + more:04d}.jsonl" for more in range(10_000)), "".join(_lines(kept)))
    except ReportError:
        raise
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error) from error
    if keep is not None:
        _prune(place, target, keep, now)
    return target


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
        return [_head(path, number) for number, path in _numbered(Path(folder))]
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


def parse_keep(text: str) -> int | timedelta:
    """Read how many runs to keep, ``20``, or for how long, ``30d`` or ``12h``.

    Raises
    ------
    UsageError
        For anything else.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})([dh]?)", text, re.ASCII)
    if not match:
        raise UsageError(
            f"{clean(text, limit=40)!r} says neither how many runs to keep, such as 20, nor for how long: 30d"
        )
    number = int(match[1])
    if not match[2]:
        return number
    return timedelta(days=number) if match[2] == "d" else timedelta(hours=number)


def check_place(folder: str | os.PathLike[str], name: str | None = None) -> None:
    """See, before anything is run, whether a run could be kept in ``folder`` under ``name``. Makes the folder.

    Raises
    ------
    UsageError
        If the name cannot be.
    ReportError
        If the folder cannot be made or written to.
    """
    must_be_name(name)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error) from error


def must_be_name(name: str | None) -> None:
    """Raise ``UsageError`` unless a run can have this name, or none."""
    if name is None:
        return
    if not _NAME.fullmatch(name) or name.isdecimal() or name == "last":
        raise UsageError(
            f"a run cannot be named {clean(name, limit=40)!r}: a name has 1 to 64 letters, digits and . _ + -, begins "
            "with a letter or digit, is not a number, and is not 'last'"
        )


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    found = ((_FILE.fullmatch(path.name), path) for path in folder.iterdir())
    return sorted((int(match[1]), path) for match, path in found if match)


def _lines(run: SavedRun) -> Iterator[str]:
    cases = [list(rows) for _, rows in groupby(run.rows or (), key=lambda row: row.name)]
    for row in (run.as_json(), *map(case_line, cases), {"schema": SCHEMA, "kind": "end", "recorded": len(cases)}):
        line = compact(row) + "\n"
        if len(line) > LINE_LIMIT:
            raise ReportError(
                f"a case of this run takes {len(line)} bytes, and a line at most {LINE_LIMIT}; compare fewer blocks"
            )
        yield line


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


def _prune(folder: Path, newest: Path, keep: int | timedelta, now: datetime) -> None:
    kept = [run for run in runs(folder) if run.path != newest]
    if isinstance(keep, int):
        old: Iterable[SavedRun] = kept[: max(0, len(kept) - keep + 1)]
    else:
        latest = next((run.saved for run in reversed(kept) if run.saved), now)
        before = min(now, latest) - keep
        old = [run for run in kept[:-1] if run.saved and run.saved < before]
    for run in old:
        try:
            with suppress(FileNotFoundError):
                (run.path or newest).unlink()
        except OSError as error:
            raise ReportError(
                f"the run is kept as {clean(newest)}, but {clean(run.path)} cannot be removed: {clean(error.strerror)}"
            ) from error
