"""Reading a journal back: strictly, within bounds, and with a clear word about what is missing."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, BinaryIO

from bptt_check.errors import ReportError
from bptt_check.report.record import SCHEMA, Record
from bptt_check.report.strict import NotStrictError, parse
from bptt_check.report.tests import from_tests
from bptt_check.report.text import clean
from bptt_check.results import Verdict

SIZE_LIMIT = 256 * 2**20
LINE_LIMIT = 2**20


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
    def complete(self) -> bool:
        """Whether the run came to its end with everything recorded that was planned, test by test where it was one."""
        tests = from_tests(self.records)
        all_there = self.planned is None or self.planned == len(self.records)
        return self.ended and all_there and not (tests and tests.unfinished)


def read_journal(path: str | os.PathLike[str], *, size_limit: int = SIZE_LIMIT, line_limit: int = LINE_LIMIT) -> RunLog:
    """Read the journal at ``path``, which may come from anyone and may have been cut off anywhere.

    A last line that was torn by a kill is left out and said so in ``problems``; so is a missing end.

    Raises
    ------
    ReportError
        If the file cannot be read, is too large (``size_limit`` bytes, ``line_limit`` bytes a line), is not a journal,
        or was written by another version of the format.
    """
    name = clean(path)
    try:
        with Path(path).open("rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ReportError(f"{name} is not a regular file; give the .jsonl file that a run has left")
            if status.st_size > size_limit:
                raise ReportError(f"{name} has {status.st_size} bytes; at most {size_limit} are read")
            return _read(name, _lines(name, stream, line_limit))
    except ReportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReportError(f"cannot read {name}: {clean(reason)}; give the .jsonl file that a run has left") from error


def _lines(name: str, stream: BinaryIO, limit: int) -> Iterator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise ReportError(f"{name}, line {number}: longer than {limit} bytes; this is not a journal")
        yield number, line


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
        _known_schema(row)
        header = {"title": row.get("title"), "planned": row.get("planned"), "started": row.get("started", "")}
        header["environment"] = row.get("environment")
        _check(header, _HEADER)
        return header
    except NotStrictError as reason:
        raise ReportError(f"{name} is not a journal of this program: {reason}") from None


def _end(row: Mapping[str, Any]) -> int:
    _known_schema(row)
    _check(row, {"recorded": _is_count})
    recorded: int = row["recorded"]
    return recorded


def record_from(row: Mapping[str, Any]) -> Record:
    """Return the record that a line of a journal holds. Raises ``NotStrictError`` where it is none."""
    _known_schema(row)
    _check(row, _RECORD)
    unknown = row.keys() - _RECORD.keys() - {"schema"}
    if unknown:
        raise NotStrictError(f"a record has no field {clean(min(unknown), limit=40)!r}")
    for block in row["blocks"]:
        _check(block, _BLOCK, within="a block's ")
    for finding in row["findings"]:
        _check(finding, _FINDING, within="a finding's ")
    known = {key: value for key, value in row.items() if key != "schema"}
    return Record(**{**known, "blocks": tuple(row["blocks"]), "findings": tuple(row["findings"])})


def _known_schema(row: Mapping[str, Any]) -> None:
    schema = row.get("schema")
    if not isinstance(schema, int) or not _is_count(schema):
        raise NotStrictError("it does not say its schema")
    if schema > SCHEMA:
        raise NotStrictError(f"a newer version wrote it (schema {schema}, this one reads {SCHEMA}); update bptt-check")
    if schema != SCHEMA:
        raise NotStrictError(f"its schema is {schema}, and {SCHEMA} is the only one there is")


def _check(row: Mapping[str, Any], rules: Mapping[str, Callable[[Any], bool]], within: str = "") -> None:
    for key, rule in rules.items():
        if key not in row:
            raise NotStrictError(f"{within}field {key!r} is missing")
        if not rule(row[key]):
            raise NotStrictError(f"{within}field {key!r} cannot be {clean(repr(row[key])[:200], limit=40)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or value in ("nan", "inf", "-inf")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _or_none(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or rule(value)


def _all(rule: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(rule(item) for item in value)


def _is_verdict(value: Any) -> bool:
    return isinstance(value, str) and value in _VERDICTS


_VERDICTS = frozenset(verdict.value for verdict in Verdict) | {""}

_HEADER: Mapping[str, Callable[[Any], bool]] = {
    "title": _is_text,
    "planned": _or_none(_is_count),
    "started": _is_text,
    "environment": _or_none(_is_object),
}

_RECORD: Mapping[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "kind": _is_text,
    "case": _is_object,
    "verdict": _is_verdict,
    "method": _is_text,
    "reason": _is_text,
    "blocks": _all(_is_object),
    "findings": _all(_is_object),
    "evaluations": _is_count,
    "gradient_evaluations": _is_count,
    "miss_probability": _or_none(_is_number),
    "miss_size": _or_none(_is_number),
    "seconds": _is_number,
    "data": _is_object,
}
assert _RECORD.keys() == {field.name for field in fields(Record)}

_BLOCK: Mapping[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "verdict": _is_verdict,
    "shape": _all(_is_count),
    "equation": _or_none(_is_text),
    "compared": _is_count,
    "max_relative_error": _or_none(_is_number),
    "tolerance_ratio": _or_none(_is_number),
    "index": _or_none(_all(_is_whole)),
    "analytic": _or_none(_is_number),
    "reference": _or_none(_is_number),
    "resolution": _or_none(_is_number),
    "by_step": _or_none(_all(_is_number)),
    "note": _is_text,
}

_FINDING: Mapping[str, Callable[[Any], bool]] = {
    "kind": _is_text,
    "message": _is_text,
    "detail": _is_text,
    "fault": lambda value: isinstance(value, bool),
}
