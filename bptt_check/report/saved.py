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
from bptt_check.report.record import SCHEMA
from bptt_check.report.runlog import LINE_LIMIT, read_journal
from bptt_check.report.saved_lines import SavedRun, case_line
from bptt_check.report.saved_runs import find, load, numbered, of, runs
from bptt_check.report.strict import compact
from bptt_check.report.summary import summarise
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write
from bptt_check.report.writing import write_new

__all__ = ["SavedRun", "check_place", "find", "load", "must_be_name", "of", "parse_keep", "runs", "save"]

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
        number = max((one for one, _ in numbered(place)), default=0) + 1
        target = write_new((place / f"{number + more:04d}.jsonl" for more in range(10_000)), "".join(_lines(kept)))
    except ReportError:
        raise
    except (OSError, ValueError) as error:
        raise cannot_write(folder, error) from error
    if keep is not None:
        _prune(place, target, keep, now)
    return target


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


def _lines(run: SavedRun) -> Iterator[str]:
    cases = [list(rows) for _, rows in groupby(run.rows or (), key=lambda row: row.name)]
    for row in (run.as_json(), *map(case_line, cases), {"schema": SCHEMA, "kind": "end", "recorded": len(cases)}):
        line = compact(row) + "\n"
        if len(line) > LINE_LIMIT:
            raise ReportError(
                f"a case of this run takes {len(line)} bytes, and a line at most {LINE_LIMIT}; compare fewer blocks"
            )
        yield line


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
