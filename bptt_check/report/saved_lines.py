"""The lines of a saved run: its head and its cases, written and read back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

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
from bptt_check.report.reading import number
from bptt_check.report.record import SCHEMA, plain
from bptt_check.report.rows import Row
from bptt_check.report.strict import NotStrictError
from bptt_check.report.text import clean
from bptt_check.results import Verdict


@dataclass(frozen=True)
class SavedRun:
    """A run as it is kept.

    ``number`` is that of its file, 0 where it is in no folder of saved runs; ``commit`` the one that was checked out
    when it ran. ``gradients`` has the worst error and the coarsest resolution of each. ``rows`` is ``None`` where only
    the head was read. ``problem`` says why a file in a folder of runs could not be read; all else is then empty.
    """

    title: str = ""
    verdict: Verdict = Verdict.INCONCLUSIVE
    complete: bool = False
    cases: int = 0
    compared: int = 0
    worst_error: float | None = None
    worst_gradient: str = ""
    resolution: float | None = None
    started: str = ""
    commit: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    seeds: tuple[int, ...] = ()
    gradients: tuple[tuple[str, float | None, float | None], ...] = ()
    name: str = ""
    saved: datetime | None = None
    rows: tuple[Row, ...] | None = None
    number: int = 0
    path: Path | None = None
    problem: str = ""

    @property
    def label(self) -> str:
        """The run in a few words: its number, name, time and commit, as far as it has them."""
        if not self.number:
            return clean(self.path.name if self.path else self.title or "this run", limit=80)
        name = f" {self.name}" if self.name else ""
        when = f", {self.saved:%Y-%m-%d %H:%M} UTC" if self.saved else ""
        return f"run {self.number}{name}{when}" + (f", commit {self.commit[:9]}" if self.commit else "")

    def as_json(self) -> dict[str, Any]:
        """The head as plain JSON data."""
        row: dict[str, Any] = plain({key: getattr(self, key) for key in _HEAD if key not in ("saved", "verdict")})
        saved = self.saved.isoformat(timespec="seconds") if self.saved else None
        return {**row, "schema": SCHEMA, "kind": "saved", "verdict": self.verdict.value, "saved": saved}


def head_of(row: Mapping[str, Any], *, of_a_report: bool = False) -> SavedRun:
    """The run whose head ``row`` is; of a report in JSON, which has more, what a saved run has of it.

    Raises
    ------
    NotStrictError
        If it is none; the field is named.
    """
    known_schema(row)
    if of_a_report:
        row = _head_of_report(row)
    check(row, {**_HEAD, "kind": is_text})
    check_no_others(row, {**_HEAD, "kind": is_text}, "the head of a saved run")
    fields = {key: row[key] for key in _HEAD}
    for key in ("worst_error", "resolution"):
        fields[key] = number(fields[key])
    return SavedRun(
        **{
            **fields,
            "verdict": Verdict(row["verdict"] or Verdict.INCONCLUSIVE.value),
            "saved": _time(row["saved"]),
            "seeds": tuple(row["seeds"]),
            "gradients": tuple((name, number(error), number(seen)) for name, error, seen in row["gradients"]),
        }
    )


def _head_of_report(row: Mapping[str, Any]) -> dict[str, Any]:
    lines, environment, timing = row.get("gradients"), row.get("environment"), row.get("timing")
    if not isinstance(lines, list) or not isinstance(environment, dict) or not isinstance(timing, dict):
        raise NotStrictError("it is not a report: it has no gradients, environment and timing")
    known = {key: row[key] for key in _HEAD if key in row} | {"schema": row["schema"], "kind": "saved"}
    texts = {key: str(value) for key, value in environment.items()}
    figures = [[line.get(key) for key in ("name", "worst_error", "resolution")] for line in lines if is_object(line)]
    commit = texts.pop("commit", "")
    started = timing.get("started")
    return {
        **known,
        "commit": commit,
        "environment": texts,
        "started": started,
        "seeds": [],
        "gradients": figures,
    }


def case_line(rows: Sequence[Row]) -> dict[str, Any]:
    """A case as it is kept; ``rows`` are its own, that of the whole case among them."""
    blocks = [[row.block, *_figures(row)] for row in rows if row.block]
    whole = next(row for row in rows if not row.block)
    told = {"point": whole.point} if whole.point else {}
    line: dict[str, Any] = plain({"case": whole.name, "whole": _figures(whole), "blocks": blocks, **told})
    return line


def rows_from(line: Mapping[str, Any]) -> list[Row]:
    """The rows of a case that :func:`case_line` has written.

    Raises
    ------
    NotStrictError
        If the line is none.
    """
    check({"point": "", **line}, _CASE)
    check_no_others(line, _CASE, "a case of a saved run")
    name, point = line["case"], line.get("point", "")
    figures = [("", *line["whole"]), *line["blocks"]]
    return [replace(_row(name, block, numbers), point=point) for block, *numbers in figures]


def _figures(row: Row) -> list[Any]:
    return [row.verdict.value, row.compared, row.error, row.ratio, row.resolution]


def _row(name: str, block: str, figures: Sequence[Any]) -> Row:
    verdict, compared, *numbers = figures
    error, ratio, resolution = map(number, numbers)
    return Row(name, block, Verdict(verdict or Verdict.INCONCLUSIVE.value), compared, error, ratio, resolution)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return datetime.fromisoformat(text[:40]).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotStrictError(f"{clean(text, limit=40)!r} is no time") from None


def _are_figures(value: Any) -> bool:
    rules = (is_verdict, is_count, or_none(is_number), or_none(is_number), or_none(is_number))
    return (
        isinstance(value, list)
        and len(value) == len(rules)
        and all(rule(item) for rule, item in zip(rules, value, strict=True))
    )


def _is_block(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and is_text(value[0]) and value[0] != "" and _are_figures(value[1:])


def _is_gradient(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and is_text(value[0])
        and all(item is None or is_number(item) for item in value[1:])
    )


def _are_texts(value: Any) -> bool:
    return is_object(value) and all(map(is_text, value.values()))


_HEAD: Rules = {
    "title": is_text,
    "name": is_text,
    "verdict": is_verdict,
    "complete": is_flag,
    "cases": is_count,
    "compared": is_count,
    "worst_error": or_none(is_number),
    "worst_gradient": is_text,
    "resolution": or_none(is_number),
    "saved": or_none(is_text),
    "started": is_text,
    "commit": is_text,
    "environment": _are_texts,
    "seeds": all_of(is_whole),
    "gradients": all_of(_is_gradient),
}

_CASE: Rules = {"case": is_text, "point": is_text, "whole": _are_figures, "blocks": all_of(_is_block)}
