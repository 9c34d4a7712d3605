"""Reading a journal back: strictly, within bounds, and with a clear word about what is missing."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from bptt_check.errors import ReportError
from bptt_check.report.fields import (
    Rules,
    all_of,
    check,
    check_no_others,
    is_count,
    is_flag,
    is_number,
    is_object,
    is_text,
    is_verdict,
    is_whole,
    known_schema,
    or_none,
)
from bptt_check.report.opening import numbered_lines, opened
from bptt_check.report.record import SMALLEST, Record
from bptt_check.report.strict import NotStrictError, parse
from bptt_check.report.tests import from_tests
from bptt_check.report.text import clean

SIZE_LIMIT = 256 * 2**20
LINE_LIMIT = 2**20
WANTED = "the .jsonl file that a run has left"


@dataclass(frozen=True)
class RunLog:
    """What a journal holds.

    ``planned`` is the number of records the run meant to write, of every kind, or ``None`` if it could not know.
    ``ended`` says that the run reached its end and that all it wrote is there; ``problems`` are sentences for a person.
    """

    title: str
    planned: int | None = None
    environment: Mapping[str, Any] | None = None
    started: str = ""
    records: tuple[Record, ...] = ()
    ended: bool = False
    problems: tuple[str, ...] = ()

    @property
    def recorded(self) -> int:
        """How many records there are of those that were planned."""
        return sum(record.kind != SMALLEST for record in self.records)

    @property
    def complete(self) -> bool:
        """Whether the run came to its end with everything recorded that was planned, test by test where it was one."""
        tests = from_tests(self.records)
        all_there = self.planned is None or self.planned == self.recorded
        return self.ended and all_there and not (tests and tests.unfinished)


def read_journal(path: str | os.PathLike[str], *, size_limit: int = SIZE_LIMIT, line_limit: int = LINE_LIMIT) -> RunLog:
    """Read the journal at ``path``, which may come from anyone and may have been cut off anywhere.

    A last line that was torn by a kill is left out and said so in ``problems``; so is a missing end. What an older
    version wrote is brought up to this one's form.

    Raises
    ------
    ReportError
        If the file cannot be read, is too large (``size_limit`` bytes, ``line_limit`` bytes a line), is not a journal,
        or was written by a newer version of the format.
    """
    with opened(path, limit=size_limit, wanted=WANTED) as stream:
        return _read(clean(path), numbered_lines(stream, path, limit=line_limit))


def _read(name: str, lines: Iterator[tuple[int, bytes]]) -> RunLog:
    header = _header(name, next(lines, None))
    records: list[Record] = []
    problems: list[str] = []
    end: int | None = None
    for number, line in lines:
        if end is not None:
            raise ReportError(f"{name}, line {number}: the journal goes on after its end; two runs may have written it")
        try:
            row = parse(line)
        except NotStrictError as reason:
            if line.endswith(b"\n"):
                raise ReportError(f"{name}, line {number}: {reason}") from None
            problems.append(f"Line {number}, the last, was torn while it was being written and is left out.")
            break
        try:
            if row.get("kind") == "end":
                end = _end(row)
            else:
                records.append(record_from(row))
        except NotStrictError as reason:
            raise ReportError(f"{name}, line {number}: {reason}") from None
    if end is not None and end != len(records):
        problems.append(f"The run says that it wrote {end} records; {len(records)} are there.")
    return RunLog(**header, records=tuple(records), ended=end == len(records), problems=tuple(problems))


def _header(name: str, first: tuple[int, bytes] | None) -> dict[str, Any]:
    try:
        if first is None:
            raise NotStrictError("it is empty")
        row = parse(first[1])
        if row.get("kind") != "header":
            raise NotStrictError("its first line is not a header")
        known_schema(row)
        header = {"title": row.get("title"), "planned": row.get("planned"), "started": row.get("started", "")}
        header["environment"] = row.get("environment")
        check(header, _HEADER)
        return header
    except NotStrictError as reason:
        raise ReportError(f"{name} is not a journal of this program: {reason}") from None


def _end(row: Mapping[str, Any]) -> int:
    known_schema(row)
    check(row, {"recorded": is_count})
    recorded: int = row["recorded"]
    return recorded


def record_from(row: Mapping[str, Any]) -> Record:
    """The record that ``row`` is, which may have been written by an older version.

    Raises
    ------
    NotStrictError
        If it is none; the field is named.
    """
    known_schema(row)
    row = _upgraded(row)
    check(row, _RECORD)
    check_no_others(row, _RECORD, "a record")
    for block in row["blocks"]:
        check(block, _BLOCK, within="a block's ")
    for finding in row["findings"]:
        check(finding, _FINDING, within="a finding's ")
    known = {key: value for key, value in row.items() if key != "schema"}
    return Record(**{**known, **{key: tuple(row[key]) for key in ("blocks", "findings", "causes")}})


def _upgraded(row: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields that schema 1 did not know, and that may still be left out."""
    blocks = row.get("blocks")
    if isinstance(blocks, list):
        blocks = [{"norms": None, **block} if isinstance(block, dict) else block for block in blocks]
    return {"causes": [], **row, "blocks": blocks}


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and is_number(value[0]) and or_none(is_number)(value[1])


_HEADER: Rules = {
    "title": is_text,
    "planned": or_none(is_count),
    "started": is_text,
    "environment": or_none(is_object),
}

_RECORD: Rules = {
    "name": is_text,
    "kind": is_text,
    "case": is_object,
    "verdict": is_verdict,
    "method": is_text,
    "reason": is_text,
    "blocks": all_of(is_object),
    "findings": all_of(is_object),
    "causes": all_of(is_object),
    "evaluations": is_count,
    "gradient_evaluations": is_count,
    "miss_probability": or_none(is_number),
    "miss_size": or_none(is_number),
    "seconds": is_number,
    "data": is_object,
}
assert _RECORD.keys() == {field.name for field in fields(Record)}

_BLOCK: Rules = {
    "name": is_text,
    "verdict": is_verdict,
    "shape": all_of(is_count),
    "equation": or_none(is_text),
    "compared": is_count,
    "max_relative_error": or_none(is_number),
    "tolerance_ratio": or_none(is_number),
    "index": or_none(all_of(is_whole)),
    "analytic": or_none(is_number),
    "reference": or_none(is_number),
    "resolution": or_none(is_number),
    "by_step": or_none(all_of(is_number)),
    "norms": or_none(all_of(_is_pair)),
    "note": is_text,
}

_FINDING: Rules = {"kind": is_text, "message": is_text, "detail": is_text, "fault": is_flag}
