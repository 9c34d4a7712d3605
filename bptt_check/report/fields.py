"""What the fields of a file may hold, and which version of the format wrote them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from bptt_check.report.record import SCHEMA
from bptt_check.report.strict import NotStrictError
from bptt_check.report.text import clean
from bptt_check.results import Verdict

Rule = Callable[[Any], bool]
Rules = Mapping[str, Rule]


def check(row: Mapping[str, Any], rules: Rules, within: str = "") -> None:
    """Hold ``row`` to ``rules``, a rule for each field that it must have.

    Raises
    ------
    NotStrictError
        For the first field that is missing or holds something else; it is named.
    """
    for key, rule in rules.items():
        if key not in row:
            raise NotStrictError(f"{within}field {key!r} is missing")
        if not rule(row[key]):
            raise NotStrictError(f"{within}field {key!r} cannot be {clean(repr(row[key])[:200], limit=40)}")


def check_no_others(row: Mapping[str, Any], rules: Rules, what: str) -> None:
    """Raise ``NotStrictError`` for a field that ``rules`` does not know."""
    unknown = row.keys() - rules.keys() - {"schema"}
    if unknown:
        raise NotStrictError(f"{what} has no field {clean(min(unknown), limit=40)!r}")


def known_schema(row: Mapping[str, Any]) -> int:
    """The version of the format that ``row`` says it was written in.

    Raises
    ------
    NotStrictError
        If it does not say, or if the version is none that this program can read.
    """
    schema = row.get("schema")
    if not isinstance(schema, int) or not is_count(schema):
        raise NotStrictError("it does not say its schema")
    if schema > SCHEMA:
        raise NotStrictError(f"a newer version wrote it (schema {schema}, this one reads {SCHEMA}); update bptt-check")
    if schema == 0:
        raise NotStrictError("its schema is 0, and the first one is 1")
    return schema


def is_text(value: Any) -> bool:
    """Any string."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """True or false."""
    return isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """A whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_count(value: Any) -> bool:
    """A whole number of at least 0."""
    return is_whole(value) and value >= 0


def is_number(value: Any) -> bool:
    """A number, or the name of one that is not finite."""
    if isinstance(value, str):
        return value in ("nan", "inf", "-inf")
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_object(value: Any) -> bool:
    """A JSON object."""
    return isinstance(value, dict)


def is_verdict(value: Any) -> bool:
    """A verdict, or nothing."""
    return isinstance(value, str) and value in _VERDICTS


def or_none(rule: Rule) -> Rule:
    """What ``rule`` takes, or null."""
    return lambda value: value is None or rule(value)


def all_of(rule: Rule) -> Rule:
    """A list of what ``rule`` takes."""
    return lambda value: isinstance(value, list) and all(rule(item) for item in value)


_VERDICTS = frozenset(verdict.value for verdict in Verdict) | {""}
