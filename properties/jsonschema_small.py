"""A validator for JSON Schema, of the keywords that the published schema uses; any other is an error."""

from __future__ import annotations

from typing import Any

TYPES: dict[str, Any] = {"string": str, "boolean": bool, "object": dict, "array": list, "null": type(None)}
ANNOTATIONS = {"$schema", "$id", "$defs", "title", "description"}


def complaints(value: Any, schema: Any, root: dict[str, Any], where: str = "$") -> list[str]:
    """What is wrong with ``value`` by ``schema``, a part of ``root``; nothing where it is valid."""
    if schema is True or schema is False:
        return [] if schema else [f"{where}: nothing may stand here"]
    found: list[str] = []
    for keyword, wanted in schema.items():
        if keyword not in ANNOTATIONS:
            found += _KEYWORDS[keyword](value, wanted, schema, root, where)
    return found


def _type(value: Any, wanted: str, schema: Any, root: Any, where: str) -> list[str]:
    if wanted in ("integer", "number"):
        right = isinstance(value, int | float) and not isinstance(value, bool)
        right = right and (wanted == "number" or float(value).is_integer())
    else:
        right = isinstance(value, TYPES[wanted])
    return [] if right else [f"{where}: not of type {wanted}"]


def _ref(value: Any, wanted: str, schema: Any, root: Any, where: str) -> list[str]:
    return complaints(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, where)


def _properties(value: Any, wanted: Any, schema: Any, root: Any, where: str) -> list[str]:
    known = [key for key in wanted if isinstance(value, dict) and key in value]
    return [said for key in known for said in complaints(value[key], wanted[key], root, f"{where}.{key}")]


def _additional(value: Any, wanted: Any, schema: Any, root: Any, where: str) -> list[str]:
    others = value.keys() - schema.get("properties", {}).keys() if isinstance(value, dict) else ()
    return [said for key in others for said in complaints(value[key], wanted, root, f"{where}.{key}")]


def _items(value: Any, wanted: Any, schema: Any, root: Any, where: str) -> list[str]:
    first = len(schema.get("prefixItems", []))
    rest = list(enumerate(value))[first:] if isinstance(value, list) else []
    return [said for place, item in rest for said in complaints(item, wanted, root, f"{where}[{place}]")]


def _prefix(value: Any, wanted: Any, schema: Any, root: Any, where: str) -> list[str]:
    pairs = list(zip(value, wanted, strict=False)) if isinstance(value, list) else []
    return [s for place, (item, part) in enumerate(pairs) for s in complaints(item, part, root, f"{where}[{place}]")]


def _same(one: Any, other: Any) -> bool:
    return isinstance(one, bool) == isinstance(other, bool) and one == other


_KEYWORDS: dict[str, Any] = {
    "type": _type,
    "$ref": _ref,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
    "required": lambda value, wanted, schema, root, where: [
        f"{where}: {key} is missing" for key in wanted if isinstance(value, dict) and key not in value
    ],
    "anyOf": lambda value, wanted, schema, root, where: (
        [] if any(not complaints(value, part, root, where) for part in wanted) else [f"{where}: none of all"]
    ),
    "enum": lambda value, wanted, schema, root, where: (
        [] if any(_same(value, each) for each in wanted) else [f"{where}: none of {wanted}"]
    ),
    "const": lambda value, wanted, schema, root, where: [] if _same(value, wanted) else [f"{where}: not {wanted!r}"],
    "minimum": lambda value, wanted, schema, root, where: (
        [f"{where}: below {wanted}"] if isinstance(value, int | float) and value < wanted else []
    ),
    "minItems": lambda value, wanted, schema, root, where: (
        [f"{where}: fewer than {wanted}"] if isinstance(value, list) and len(value) < wanted else []
    ),
    "minLength": lambda value, wanted, schema, root, where: (
        [f"{where}: too short"] if isinstance(value, str) and len(value) < wanted else []
    ),
}
