"""What one record says by itself: its verdict, its failing blocks, its sweep."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bptt_check.report.model import Cause, Curve, Failure, Sweep, Wrong
from bptt_check.report.record import SMALLEST, Record, plain
from bptt_check.report.strict import compact
from bptt_check.results import Verdict
from bptt_check.tally import is_of_the_ledger

NOT_GIVEN = "not given"


def rank(value: float | None) -> tuple[int, float]:
    """Order figures from none over small and large to NaN, the worst of all."""
    if value is None:
        return (0, 0.0)
    return (2, 0.0) if math.isnan(value) else (1, value)


def worst_of(values: Iterable[float | None]) -> float | None:
    """Return the largest figure, of which NaN is the worst and none the best."""
    return max(values, key=rank, default=None)


def gradients_of(cases: Sequence[Record]) -> list[tuple[Record, Mapping[str, Any]]]:
    """Return all blocks that are gradients; laws and lines on their own have a place in the ledger alone."""
    return [(record, block) for record in cases for block in record.blocks if not is_of_the_ledger(block)]


def number(value: Any) -> float | None:
    """Return a figure of a record as a float (``"nan"`` and ``"inf"`` included), or ``None``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return float(value) if value in ("nan", "inf", "-inf") else None


def verdict_of(record: Record) -> Verdict:
    """Return the verdict of one case: never better than its blocks, and never AGREES if nothing was compared."""
    blocks = {block["verdict"] for block in record.blocks}
    if Verdict.DISAGREES.value in {record.verdict, *blocks}:
        return Verdict.DISAGREES
    agrees = record.verdict == Verdict.AGREES.value and any(block["compared"] for block in record.blocks)
    return Verdict.AGREES if agrees and Verdict.INCONCLUSIVE.value not in blocks else Verdict.INCONCLUSIVE


def equations_of(block: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the equations that a block tests, one by one."""
    return tuple(dict.fromkeys(re.findall(r"[^\s,]+", block["equation"] or "")))


def label(value: Any) -> str:
    """Return a value of a case as a name."""
    if value is None or value == "":
        return NOT_GIVEN
    return value if isinstance(value, str) else compact(plain(value))


def failure_of(record: Record) -> Failure:
    """Return what a report shows of a record that does not agree."""
    wrong = [block for block in record.blocks if block["verdict"] != Verdict.AGREES.value]
    hints = [text for row in (record.data, record.case) if (text := _text(row.get("reproduce")))]
    return Failure(
        name=record.name,
        test=test if isinstance(test := record.data.get("test"), str) else "",
        verdict=verdict_of(record),
        case=_case(record.case),
        size=_size(record.case),
        method=record.method,
        reason=record.reason,
        causes=tuple(cause_of(cause) for cause in record.causes),
        blocks=tuple(wrong_of(block) for block in wrong),
        findings=tuple(f"{finding['kind']}: {finding['message']}" for finding in record.findings),
        reproduce=next(iter(hints), ""),
        example=next(iter(hints[1:]), ""),
        sought=record.kind == SMALLEST,
    )


def cause_of(cause: Mapping[str, Any]) -> Cause:
    """Return what a record says of one cause; what it does not say is left empty."""
    texts = {key: _text(cause.get(key)) for key in ("fault", "equation", "explanation", "remedy", "why")}
    return Cause(
        **texts,
        exact=cause.get("exact") is True,
        residual=number(cause.get("residual")),
        also=_texts(cause.get("also")),
        code=_texts(cause.get("code")),
    )


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(map(_text, value if isinstance(value, (list, tuple)) else [value] if value else ()))


def _text(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return compact(plain(value))


def _size(case: Mapping[str, Any]) -> int | None:
    """How large a case is, so that the smallest can be shown first."""
    sizes = [case.get(letter) for letter in "TBDH"]
    known = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and size > 0]
    return math.prod(known) if known else None


def _case(case: Mapping[str, Any]) -> str:
    """What the case is, the well-known keys first, on one line."""
    lead = ("cell", "loss", *"TBDH", "seed")
    keys = [key for key in lead if key in case] + sorted(case.keys() - {*lead, "reproduce"})
    return ", ".join(f"{key} = {label(case[key])}" for key in keys)


def wrong_of(block: Mapping[str, Any]) -> Wrong:
    """Return what a report shows of one block."""
    return Wrong(
        gradient=block["name"],
        verdict=Verdict(block["verdict"] or Verdict.INCONCLUSIVE.value),
        equation=", ".join(equations_of(block)),
        index=None if block["index"] is None else tuple(block["index"]),
        analytic=number(block["analytic"]),
        reference=number(block["reference"]),
        error=number(block["max_relative_error"]),
        resolution=number(block["resolution"]),
        note="; ".join(text for text in (_text(block.get("where")), block["note"]) if text),
    )


def sweep_of(record: Record) -> Sweep | None:
    """Return the sweep that a record holds, or ``None`` if its data does not have that form."""
    steps, curves, slopes = (record.data.get(key) for key in ("steps", "curves", "slopes"))
    if not isinstance(steps, list) or not isinstance(curves, Mapping):
        return None
    sizes = [number(step) for step in steps]
    good = [place for place, size in enumerate(sizes) if size is not None and 0 < size < math.inf]
    fitted: Mapping[str, Any] = slopes if isinstance(slopes, Mapping) else {}
    lines = [
        Curve(
            name=name,
            errors=tuple(number(errors[place]) if place < len(errors) else None for place in good),
            slope=number(fitted.get(name)),
        )
        for name, errors in sorted(curves.items(), key=lambda curve: (curve[0].casefold(), curve[0]))
        if isinstance(errors, list)
    ]
    if not good or not lines:
        return None
    return Sweep(
        name=record.name,
        gradient=label(record.data.get("gradient")),
        steps=tuple(size for place in good if (size := sizes[place]) is not None),
        curves=tuple(lines),
    )
