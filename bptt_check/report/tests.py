"""What a run of tests set out to do and what came of it: the plan, and how each test ended, as records of the journal.

A plan record lists tests that were selected. An ending says how one attempt of a test ended, and is written when it
does: a test whose process was killed has none. Both are in the journal, so that its reader can tell what is missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bptt_check.report.model import FromTests, Unfinished
from bptt_check.report.record import Record

PLAN, ENDING = "plan", "ending"
ID_LIMIT = 2000  # characters of a test's name that are kept; pytest allows any number
PLAN_LIMIT = 500_000  # bytes of names in one plan record: a line of a journal is bounded
SKIPPED = "skipped"


def id_of(nodeid: str) -> str:
    """Return the name of a test as records hold it: itself, or cut with a digest where it is very long."""
    if len(nodeid) <= ID_LIMIT:
        return nodeid
    digest = hashlib.sha256(nodeid.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{nodeid[:ID_LIMIT]}… {digest}"


def plan_of(nodeids: Iterable[str]) -> list[Record]:
    """Return the records that say which tests were selected, by name, in as few lines as fit."""
    lines: list[list[str]] = []
    size = PLAN_LIMIT
    for name in sorted({id_of(nodeid) for nodeid in nodeids}):
        size += 6 * len(name) + 3  # what JSON may need at most
        if size > PLAN_LIMIT:
            lines.append([])
            size = 6 * len(name) + 3
        lines[-1].append(name)
    return [Record(name=f"plan {k}", kind=PLAN, data={"tests": names}) for k, names in enumerate(lines, start=1)]


def ending_of(
    nodeid: str,
    *,
    outcome: str,
    attempt: int,
    results: int,
    asked: bool,
    file: str = "",
    line: int | None = None,
    drawn: str = "",
) -> Record:
    """Return the record of how one attempt of a test ended.

    Parameters
    ----------
    outcome: ``"passed"``, ``"failed"`` or ``"skipped"``.
    results: how many results it left in this attempt.
    asked: whether the test itself asks for the fixture, and so owes a result; else something that it uses does.
    file, line: where the test is, the first line being 1.
    drawn: the smallest failing arguments, as Hypothesis prints them.
    """
    name = id_of(nodeid)
    data = {"test": name, "outcome": outcome, "attempt": attempt, "results": results, "asked": asked}
    data |= {"file": file, "line": line} | ({"drawn": drawn} if drawn else {})
    return Record(name=f"{name}, attempt {attempt}", kind=ENDING, data=data)


def drawn_by_test(records: Sequence[Record]) -> dict[str, str]:
    """Return the smallest failing arguments that Hypothesis has printed, by the test that they are of."""
    rows = [record.data for record in records if record.kind == ENDING]
    return {_text(row.get("test")): text for row in rows if (text := _text(row.get("drawn")))}


def from_tests(records: Sequence[Record]) -> FromTests | None:
    """Compare what was planned with what is there; ``None`` where the records come from no run of tests."""
    planned = [name for record in records if record.kind == PLAN for name in _texts(record.data.get("tests"))]
    endings = [record.data for record in records if record.kind == ENDING]
    drawn = [record.data for record in records if record.kind == "case" and _whole(record.data.get("example"))]
    if not planned and not endings:
        return None
    selected = dict.fromkeys(sorted({*planned, *(_text(row.get("test")) for row in endings)}))
    by_test: dict[str, list[Mapping[str, Any]]] = {name: [] for name in selected}
    for row in endings:
        by_test[_text(row.get("test"))].append(row)
    unfinished = [Unfinished(name, why) for name in selected if (why := _missing(by_test[name]))]
    return FromTests(
        selected=len(selected),
        ended=sum(bool(rows) for rows in by_test.values()),
        skipped=sum(bool(rows) and rows[-1].get("outcome") == SKIPPED for rows in by_test.values()),
        examples=len(drawn),
        unfinished=tuple(unfinished),
    )


def _missing(endings: Sequence[Mapping[str, Any]]) -> str:
    if not endings:
        return "did not come to its end"
    owed = any(row.get("asked") is True and row.get("outcome") != SKIPPED for row in endings)
    return "left no result" if owed and not any(_whole(row.get("results")) for row in endings) else ""


def smallest(records: Sequence[Record]) -> tuple[Record, ...]:
    """Of the examples that Hypothesis drew for one test keep the last of each verdict, and all other records.

    While it shrinks a failure it tries hundreds; the last one is the smallest.
    """
    last: dict[tuple[str, str], Record] = {}
    for record in records:
        if _whole(record.data.get("example")):
            key = _text(record.data.get("test")), record.verdict
            if key not in last or _whole(last[key].data.get("example")) < _whole(record.data.get("example")):
                last[key] = record
    kept = {id(record) for record in last.values()}
    return tuple(r for r in records if id(r) in kept or not _whole(r.data.get("example")))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
