"""The format of everything that is written, as JSON Schema (2020-12): ``python -m bptt_check.report.schema`` prints it.

What a report holds is read from the records in ``model.py``, so that the two cannot part. The lines of journals and of
saved runs are described here, beside the reader that holds them to it (``runlog.py``, ``saved_lines.py``).
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from bptt_check.report.model import Summary
from bptt_check.report.record import SCHEMA, Record
from bptt_check.results import Verdict

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_WHOLE: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_ANY_OBJECT: Schema = {"type": "object"}


def schema() -> Schema:
    """Return the schema. Its ``anyOf`` lists all that may stand in a line or a file; each has a name of its own too."""
    known = {**_BASICS, **_LINES}
    report = _object("A report as JSON.", {**_report(known), "schema": _ref("schema"), "kind": {"const": "report"}})
    known["report"] = report
    documents = ("header", "record", "end", "saved", "saved_case", "report")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:bptt-check:report-schema:{SCHEMA}",
        "title": "What bptt-check writes",
        "description": "A journal is a header, records and an end, one a line. A saved run is its head (saved), "
        "saved_cases and an end, one a line. A report is one object. reports/README.md says what the fields mean.",
        "anyOf": [_ref(name) for name in documents],
        "$defs": known,
    }


def _report(known: dict[str, Schema]) -> dict[str, Schema]:
    hints = get_type_hints(Summary)
    return {field.name: _of(hints[field.name], known) for field in fields(Summary)}


def _of(kind: Any, known: dict[str, Schema]) -> Schema:
    """The schema of a type annotation; that of a dataclass goes to ``known`` under its name."""
    plain = {str: _TEXT, bool: _FLAG, int: _WHOLE, float: _ref("number"), Any: {}, types.NoneType: {"type": "null"}}
    if kind in plain:
        return plain[kind]
    if kind is Verdict:
        return _ref("verdict")
    if kind is Record:
        return _ref("record")
    if is_dataclass(kind) and isinstance(kind, type):
        _add(kind, known)
        return _ref(kind.__name__)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        return {"anyOf": [_of(argument, known) for argument in arguments]}
    if origin is tuple and arguments[-1] is not Ellipsis:
        return _tuple(*(_of(argument, known) for argument in arguments))
    if origin is tuple:
        return _list(_of(arguments[0], known))
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(arguments[1], known)}
    raise TypeError(f"a report has no field of type {kind}")  # pragma: no cover  for whoever gives it one


def _add(kind: type, known: dict[str, Schema]) -> None:
    if kind.__name__ in known:
        return
    known[kind.__name__] = {}  # a type that holds itself ends here
    hints = get_type_hints(kind)
    about = (kind.__doc__ or "").partition("\n")[0]
    known[kind.__name__] = _object(about, {field.name: _of(hints[field.name], known) for field in fields(kind)})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _tuple(*items: Schema) -> Schema:
    return {"type": "array", "prefixItems": list(items), "items": False, "minItems": len(items)}


def _or_null(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "null"}]}


def _object(about: str, properties: dict[str, Schema], *, optional: tuple[str, ...] = (), more: bool = False) -> Schema:
    return {
        "description": about,
        "type": "object",
        "properties": properties,
        "required": sorted(properties.keys() - set(optional)),
        "additionalProperties": more,
    }


_FIGURES = (_ref("recorded_verdict"), _COUNT, _ref("figure"), _ref("figure"), _ref("figure"))

_BASICS: dict[str, Schema] = {
    "schema": {"description": "The version of the format; 1 knew no causes and no norms.", "enum": [1, SCHEMA]},
    "number": {
        "description": "A number, or the name of one that is not finite.",
        "anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}],
    },
    "figure": {"description": "A number, or null where there is none.", **_or_null(_ref("number"))},
    "verdict": {"enum": [verdict.value for verdict in Verdict]},
    "recorded_verdict": {"enum": [*(verdict.value for verdict in Verdict), ""]},
    "cause": {
        "description": "What a disagreement looks like: fault, equation, exact, residual, explanation, remedy, also, "
        "each where it is known.",
        "type": "object",
    },
}

_LINES: dict[str, Schema] = {
    "header": _object(
        "The first line of a journal.",
        {
            "schema": _ref("schema"),
            "kind": {"const": "header"},
            "title": _TEXT,
            "planned": _or_null(_COUNT),
            "started": _TEXT,
            "environment": _or_null(_ANY_OBJECT),
        },
        optional=("planned", "started", "environment"),
        more=True,
    ),
    "record": _object(
        "A case, or a study of error against step size: a line of a journal; in a report without its seconds.",
        {
            "schema": _ref("schema"),
            "name": _TEXT,
            "kind": _TEXT,
            "case": _ANY_OBJECT,
            "verdict": _ref("recorded_verdict"),
            "method": _TEXT,
            "reason": _TEXT,
            "blocks": _list(_ref("block")),
            "findings": _list(_ref("finding")),
            "causes": _list(_ref("cause")),
            "evaluations": _COUNT,
            "gradient_evaluations": _COUNT,
            "miss_probability": _ref("figure"),
            "miss_size": _ref("figure"),
            "seconds": _ref("number"),
            "data": _ANY_OBJECT,
        },
        optional=("causes", "seconds"),
    ),
    "block": _object(
        "One gradient compared with its reference derivative.",
        {
            "name": _TEXT,
            "verdict": _ref("recorded_verdict"),
            "shape": _list(_COUNT),
            "equation": _or_null(_TEXT),
            "compared": _COUNT,
            "max_relative_error": _ref("figure"),
            "tolerance_ratio": _ref("figure"),
            "index": _or_null(_list(_WHOLE)),
            "analytic": _ref("figure"),
            "reference": _ref("figure"),
            "resolution": _ref("figure"),
            "by_step": _or_null(_list(_ref("number"))),
            "norms": _or_null(_list(_tuple(_ref("number"), _ref("figure")))),
            "note": _TEXT,
        },
        optional=("norms",),
        more=True,
    ),
    "finding": _object(
        "What else was noticed.", {"kind": _TEXT, "message": _TEXT, "detail": _TEXT, "fault": _FLAG}, more=True
    ),
    "end": _object(
        "The last line of a journal or of a saved run: how many records or cases were written.",
        {"schema": _ref("schema"), "kind": {"const": "end"}, "recorded": _COUNT},
        more=True,
    ),
    "saved": _object(
        "The first line of a saved run.",
        {
            "schema": _ref("schema"),
            "kind": {"const": "saved"},
            "title": _TEXT,
            "name": _TEXT,
            "verdict": _ref("recorded_verdict"),
            "complete": _FLAG,
            "cases": _COUNT,
            "compared": _COUNT,
            "worst_error": _ref("figure"),
            "worst_gradient": _TEXT,
            "resolution": _ref("figure"),
            "saved": _or_null(_TEXT),
            "started": _TEXT,
            "commit": _TEXT,
            "environment": {"type": "object", "additionalProperties": _TEXT},
            "seeds": _list(_WHOLE),
            "gradients": _list(_tuple(_TEXT, _ref("figure"), _ref("figure"))),
        },
    ),
    "saved_case": _object(
        "A case of a saved run. The figures of it and of each block: verdict, entries compared, worst relative error, "
        "the same in units of the tolerance, resolution. Where its numbers are known, what tells them from others.",
        {
            "case": _TEXT,
            "point": _TEXT,
            "whole": _tuple(*_FIGURES),
            "blocks": _list(_tuple({"type": "string", "minLength": 1}, *_FIGURES)),
        },
        optional=("point",),
    ),
}


if __name__ == "__main__":
    print(json.dumps(schema(), indent=1, ensure_ascii=False))
