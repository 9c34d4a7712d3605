"""Strict JSON in and out. What is read is untrusted: it is bounded in size and depth, and never evaluated."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 100
_STRINGS = re.compile(r'"(?:[^"\\]|\\.)*+"')
_BRACKETS = re.compile(r"[][{}]")


class NotStrictError(ValueError):
    """The text is not strict JSON; the message says in a few words why."""


def compact(value: Any) -> str:
    """Write ``value`` as one line of strict JSON in plain ASCII, keys sorted."""
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))


def parse(data: bytes) -> Mapping[str, Any]:
    """Read one JSON object.

    Raises
    ------
    NotStrictError
        For anything else than strict JSON in UTF-8: NaN, Infinity, numbers beyond the range of a double, a key given
        twice, nesting deeper than :data:`MAX_DEPTH`, or a value that is not an object.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictError("it is not text in UTF-8") from None
    if _depth_exceeds(text, MAX_DEPTH):
        raise NotStrictError(f"it is nested more than {MAX_DEPTH} deep")
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_no_constant, parse_float=_finite, parse_int=_whole
        )
    except json.JSONDecodeError as error:
        raise NotStrictError(f"it is not JSON ({error.msg} at column {error.colno})") from None
    except RecursionError:
        raise NotStrictError(f"it is nested more than {MAX_DEPTH} deep") from None
    if not isinstance(value, dict):
        raise NotStrictError("it is not a JSON object")
    return value


def _depth_exceeds(text: str, limit: int) -> bool:
    """Count brackets outside strings; the parser itself would stop only at the interpreter's recursion limit."""
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for bracket in _BRACKETS.findall(_STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > limit:
            return True
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrictError(f"the key {twice[:40]!r} is given twice")
    return value


def _no_constant(name: str) -> float:
    raise NotStrictError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise NotStrictError(f"the number {digits[:20]} is beyond the range of a double")
    return value


def _whole(digits: str) -> int:
    if len(digits) > 20:
        raise NotStrictError(f"the whole number {digits[:20]}… has more than 20 digits")
    return int(digits)
