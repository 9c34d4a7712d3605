"""The report as strict JSON: a versioned schema, keys sorted, records in an order of their own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from bptt_check.report.model import Summary
from bptt_check.report.record import SCHEMA, Record, plain
from bptt_check.report.strict import compact


def json_report(summary: Summary) -> str:
    """Return the report as JSON text, one record a line.

    The parts ``environment`` and ``timing`` hold everything that differs between two runs of the same cases; all the
    rest is the same, byte for byte.
    """
    parts: dict[str, Any] = {
        field.name: _json(getattr(summary, field.name)) for field in fields(summary) if field.name != "records"
    }
    parts |= {"schema": SCHEMA, "kind": "report", "verdict": summary.verdict.value}
    texts = {key: json.dumps(value, allow_nan=False, sort_keys=True, indent=1) for key, value in parts.items()}
    texts["records"] = "[" + ",".join("\n" + compact(_untimed(record)) for record in summary.records) + "\n]"
    return "{\n" + ",\n".join(f'"{key}": {texts[key]}' for key in sorted(texts)) + "\n}\n"


def _untimed(record: Record) -> Mapping[str, Any]:
    row = record.as_json()
    del row["seconds"]
    return row


def _json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_json(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        return _json(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    return getattr(value, "value", None) if hasattr(value, "advice") else plain(value)
