"""What a run has left: its journal, or the folder of one that was killed, in which each worker has a file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report.places import PREVIOUS, RUN, RUNNING
from bptt_check.report.record import Record
from bptt_check.report.runlog import RunLog, read_journal
from bptt_check.report.strict import compact
from bptt_check.report.tests import PLAN
from bptt_check.report.text import clean, count, natural

NAMED = 5  # runs that are named where one has to be chosen


def journal_of(path: str | os.PathLike[str]) -> Path:
    """Return the journal that is meant: the path itself, or the one in a folder, of a run that was killed or of any.

    Raises
    ------
    ReportError
        For a folder in which no run has written, or more than one.
    """
    place = Path(path)
    if not place.is_dir():
        return place
    if (place / RUN).exists() or _parts(place):
        return place / RUN
    journals = (path for path in place.glob("*.jsonl") if not path.stem.endswith(PREVIOUS))
    found = [*sorted(journals), *sorted(place.glob(f"*{RUNNING}*/"))]
    if len(found) == 1:
        return journal_of(found[0])
    if not found:
        raise ReportError(f"no run has written in {clean(place)}; give the .jsonl file that a run has left")
    named = ", ".join(clean(path) for path in found[:NAMED]) + ", …" * (len(found) > NAMED)
    raise ReportError(f"{clean(place)} holds what {count(len(found))} runs have left; give one of them: {named}")


def read_run(journal: str | os.PathLike[str]) -> RunLog:
    """Read a journal; where a run of several processes was killed, with what its workers had not handed on.

    Raises
    ------
    ReportError
        As :func:`~bptt_check.report.runlog.read_journal` does, where nothing of the run can be read.
    """
    place = Path(journal)
    parts = _parts(place.parent) if place.name == RUN else []
    if not parts:
        return read_journal(place)
    whole, why = _read(place)
    if whole is not None and whole.ended:
        return whole
    read = {path.name: _read(path) for path in parts}
    logs = {name: log for name, (log, _) in read.items() if log is not None}
    if whole is None and not logs:
        raise ReportError(why)
    problems = [
        f"The run was killed, or still goes on: this is what {count(len(parts))} of its processes have written.",
        *(whole.problems if whole else ()),
        *(f"{name} cannot be read: {reason}" for name, (_, reason) in read.items() if reason),
        *(f"{name}: {clean(said, limit=300)}" for name, log in logs.items() for said in log.problems),
    ]
    head = whole or replace(next(iter(logs.values())), title=f"a run that was killed: {place.parent.name}")
    records = _together([log.records for log in logs.values()], whole.records if whole else ())
    return replace(head, records=records, ended=False, problems=tuple(problems))


def _parts(folder: Path) -> list[Path]:
    if RUNNING not in folder.resolve().name:
        return []
    return sorted((path for path in folder.glob("*.jsonl") if path.name != RUN), key=lambda path: natural(path.name))


def _read(path: Path) -> tuple[RunLog | None, str]:
    """What can be read there, and why not."""
    try:
        return read_journal(path), ""
    except ReportError as error:
        return None, str(error)


def _together(parts: Sequence[Sequence[Record]], copied: Sequence[Record]) -> tuple[Record, ...]:
    """All records once each: those of the parts, and of those copied from parts what can no longer be read there."""
    plans = {compact(record.as_json()): record for part in parts for record in part if record.kind == PLAN}
    records = [*plans.values(), *(record for part in parts for record in part if record.kind != PLAN)]
    there = Counter(compact(record.as_json()) for record in records)
    for record in copied:
        key = compact(record.as_json())
        if there[key]:
            there[key] -= 1
        else:
            records.append(record)
    return tuple(records)
