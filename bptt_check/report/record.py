"""A Record is one frozen, JSON-able row: case, blocks, verdicts, errors, resolution, cost. Strict JSON only.

Every number that leaves a check is turned into a plain Python ``float``, ``int`` or ``str`` here, once: a
``numpy.float64`` that travels further can kill a test worker, and a bare NaN is not JSON. What is not finite is
written as the string ``"nan"``, ``"inf"`` or ``"-inf"``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass
from typing import Any

from bptt_check.results import Block, Finding, Result

SCHEMA = 2  # of all that is written; 2 added causes and norms


SMALLEST = "smallest"


@dataclass(frozen=True)
class Record:
    """One case as it is kept: everything below is plain JSON data.

    ``kind`` is ``"case"`` for a comparison, ``"sweep"`` for a study of error against step size, and ``"smallest"``
    for the smallest case that fails, looked for after those that were planned and counted with none of them. ``case``
    says how to make it again: cell, loss, T, B, D, H, seed where they apply. ``causes`` holds what a disagreement
    looks like, the likeliest first: ``fault``, ``equation``, ``exact``, ``residual``, ``explanation``, ``remedy``,
    ``also``, each where it is known. ``data`` holds what belongs to one kind alone.
    """

    name: str
    kind: str = "case"
    case: Mapping[str, Any] = field(default_factory=dict)
    verdict: str = ""
    method: str = ""
    reason: str = ""
    blocks: tuple[Mapping[str, Any], ...] = ()
    findings: tuple[Mapping[str, Any], ...] = ()
    causes: tuple[Mapping[str, Any], ...] = ()
    evaluations: int = 0
    gradient_evaluations: int = 0
    miss_probability: float | None = None
    miss_size: float | None = None
    seconds: float = 0.0
    data: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The record as a dictionary that ``json.dumps(..., allow_nan=False)`` takes as it is."""
        row: dict[str, Any] = plain({"schema": SCHEMA, **vars(self)})
        return row


def record_of(result: Result, *, name: str | None = None, case: Mapping[str, Any] | None = None) -> Record:
    """Turn a :class:`~bptt_check.results.Result` into the row that is kept of it."""
    return Record(
        name=name or result.subject,
        case=plain(dict(result.case if case is None else case)),
        verdict=result.verdict.value,
        method=result.method,
        reason=result.reason,
        blocks=tuple(_block(block) for block in result.blocks.values()),
        findings=tuple(_finding(finding) for finding in result.findings),
        causes=tuple(_cause(cause) for cause in getattr(result, "causes", ())),
        evaluations=int(result.evaluations),
        gradient_evaluations=int(result.gradient_evaluations),
        miss_probability=plain(result.miss_probability),
        miss_size=plain(result.miss_size),
        seconds=float(result.seconds),
    )


def _block(block: Block) -> Mapping[str, Any]:
    row: Mapping[str, Any] = plain({**asdict(block), "verdict": block.verdict.value})
    return row


def _finding(finding: Finding) -> Mapping[str, Any]:
    row: Mapping[str, Any] = plain(asdict(finding))
    return row


def _cause(cause: Any) -> Mapping[str, Any]:
    row: Mapping[str, Any] = plain(
        asdict(cause) if is_dataclass(cause) and not isinstance(cause, type) else dict(cause)
    )
    return row


def plain(value: Any) -> Any:
    """Turn NumPy scalars, arrays, tuples and non-finite numbers into what strict JSON can hold.

    Raises
    ------
    TypeError
        For an object that has no JSON form; its type is named.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # a NumPy array or scalar, without importing NumPy; long double stays one, so:
        listed = value.tolist()
        return plain(float(listed)) if type(listed) is type(value) else plain(listed)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    raise TypeError(f"a record holds plain JSON data only, not {type(value).__name__}")
