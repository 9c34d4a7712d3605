"""A run as rows that can be held beside those of another run: a case, a block of it, and what was found."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from bptt_check.report.reading import number, verdict_of, worst_of
from bptt_check.report.record import Record
from bptt_check.report.strict import compact
from bptt_check.results import Verdict

VERDICTS = (Verdict.AGREES, Verdict.NOT_RETURNED, Verdict.INCONCLUSIVE, Verdict.DISAGREES)  # from best to worst
DIGITS = 16  # of what tells the numbers of a case


@dataclass(frozen=True)
class Row:
    """What a run found of one block of one case; with an empty ``block``, of the case as a whole.

    ``error`` is the worst relative error, ``ratio`` the same in units of the tolerance, ``resolution`` the coarsest
    one, ``compared`` the number of entries; of all cases where several share a name. ``point`` tells at which numbers:
    two rows with the same one were measured at the same place, entry by entry where something was wrong. Empty where
    that is not known.
    """

    name: str
    block: str
    verdict: Verdict
    compared: int = 0
    error: float | None = None
    ratio: float | None = None
    resolution: float | None = None
    point: str = ""


def rows_of(records: Iterable[Record]) -> tuple[Row, ...]:
    """Return the rows of all cases among ``records``, sorted by name and block."""
    rows: dict[tuple[str, str], Row] = {}
    for record in records:
        if record.kind == "case":
            for row in _rows(record):
                key = row.name, row.block
                rows[key] = joined(rows[key], row) if key in rows else row
    return tuple(rows[key] for key in sorted(rows))


def _rows(record: Record) -> list[Row]:
    point = _point_of(record)
    compared = sum(block["compared"] for block in record.blocks)
    whole = Row(record.name, "", verdict_of(record), compared, point=point)
    blocks = [
        Row(
            name=record.name,
            block=block["name"],
            verdict=Verdict(block["verdict"] or Verdict.INCONCLUSIVE.value),
            compared=block["compared"],
            error=number(block["max_relative_error"]),
            ratio=number(block["tolerance_ratio"]),
            resolution=number(block["resolution"]),
            point=point,
        )
        for block in record.blocks
        if block["name"]
    ]
    return [whole, *blocks]


def joined(one: Row, other: Row) -> Row:
    """Return the worst of two rows that share a name."""
    return replace(
        one,
        verdict=max(one.verdict, other.verdict, key=VERDICTS.index),
        compared=one.compared + other.compared,
        error=worst_of((one.error, other.error)),
        ratio=worst_of((one.ratio, other.ratio)),
        resolution=worst_of((one.resolution, other.resolution)),
        point=_both(one.point, other.point),
    )


def _point_of(record: Record) -> str:
    """What tells the numbers of a case: its record says so, or its seed decides them with all else that it says.

    Where entries were sampled, which ones it was is a matter of chance.
    """
    given, seed = record.data.get("point"), record.case.get("seed")
    returned = [block for block in record.blocks if block["verdict"] != Verdict.NOT_RETURNED.value]
    sampled = [block["verdict"] for block in returned if block["compared"] < math.prod(block["shape"])]
    if isinstance(given, str):
        return "" if Verdict.DISAGREES.value in sampled or not given else _digest(given)
    return _digest(compact(dict(record.case))) if isinstance(seed, int) and not sampled else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _both(one: str, other: str) -> str:
    """What tells the numbers of two cases together, whichever came first."""
    return f"{(int(one, 16) + int(other, 16)) % 16**DIGITS:0{DIGITS}x}" if one and other else ""
