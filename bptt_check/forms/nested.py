"""Parameters in nested dicts and lists: flattened to readable names, and back.

``{"layers": [{"W": …, "b": …}], "out": {"W": …}}`` has the names ``layers[0].W``, ``layers[0].b`` and ``out.W``. The
user's functions get the nested form that they were written for; everything else sees the names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError


def is_node(value: Any) -> bool:
    """Whether ``value`` holds arrays by name or position. A list of numbers, nested or not, is an array."""
    if isinstance(value, Mapping):
        return True
    if isinstance(value, (list, tuple)):
        return any(_is_array(item) or is_node(item) for item in value)
    return False


def _is_array(value: Any) -> bool:
    return hasattr(value, "__array__") and not isinstance(value, np.generic)


def is_flat(tree: Any) -> bool:
    """Whether ``tree`` is a dict of arrays already."""
    return isinstance(tree, Mapping) and not any(is_node(value) for value in tree.values())


def flatten(tree: Any) -> dict[str, Any]:
    """The leaves of ``tree`` by name.

    Raises
    ------
    SubjectError
        Where two leaves would have one name.

    >>> flatten({"layers": [{"W": 1.0}, {"W": 2.0}], "out": {"b": 3.0}})
    {'layers[0].W': 1.0, 'layers[1].W': 2.0, 'out.b': 3.0}
    """
    leaves: dict[str, Any] = {}
    for name, value in _leaves(tree, ""):
        if name in leaves:
            raise SubjectError(f"two arrays of the point have the name {name}; rename one")
        leaves[name] = value
    return leaves


def _leaves(tree: Any, name: str) -> Iterator[tuple[str, Any]]:
    if not is_node(tree):
        yield name, tree
        return
    for key, value in _items(tree):
        yield from _leaves(value, below(name, key))


def _items(node: Any) -> list[tuple[Any, Any]]:
    if isinstance(node, Mapping):
        return list(node.items())
    fields = getattr(node, "_fields", None)
    return list(zip(fields, node, strict=True)) if fields else list(enumerate(node))


def below(name: str, key: Any) -> str:
    """The name of what lies under ``key`` of ``name``."""
    if isinstance(key, str):
        return f"{name}.{key}" if name else key
    return f"{name}[{key}]"


def rebuild(tree: Any, flat: Mapping[str, Any], name: str = "") -> Any:
    """The form of ``tree`` with the leaves of ``flat``.

    >>> rebuild({"layers": [0, {"W": 0}]}, {"layers[0]": 1, "layers[1].W": 2})
    {'layers': [1, {'W': 2}]}
    """
    if not is_node(tree):
        return flat[name]
    parts = [(key, rebuild(value, flat, below(name, key))) for key, value in _items(tree)]
    if isinstance(tree, Mapping):
        return dict(parts)
    values = [value for _, value in parts]
    return type(tree)(*values) if hasattr(tree, "_fields") else type(tree)(values)


def follow(tree: Any, returned: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of what a backward pass returned for the point ``tree``, by the point's names; ``None`` is left out.

    Raises
    ------
    SubjectError
        Where it is not of the point's form, and for keys that the point lacks; says where.
    """
    if returned is None:
        return
    if not is_node(tree):
        yield name, returned
    elif isinstance(tree, Mapping):
        yield from _follow_dict(tree, returned, name)
    else:
        if not isinstance(returned, (list, tuple)) or len(returned) != len(tree):
            length = f" of {len(returned)}" if isinstance(returned, (list, tuple)) else ""
            raise SubjectError(
                f"the gradient of {name or 'the point'} must be a {type(tree).__name__} of {len(tree)}, "
                f"as in the point; it is a {type(returned).__name__}{length}"
            )
        for (key, value), part in zip(_items(tree), returned, strict=True):
            yield from follow(value, part, below(name, key))


def _follow_dict(tree: Mapping[Any, Any], returned: Any, name: str) -> Iterator[tuple[str, Any]]:
    where = name or "the point"
    if not isinstance(returned, Mapping):
        raise SubjectError(
            f"the gradient of {where} must be a dict, as the point is, with {', '.join(map(str, tree))}; "
            f"it is a {type(returned).__name__}"
        )
    unknown = [str(key) for key in returned if key not in tree]
    if unknown:
        raise SubjectError(
            f"the gradient of {where} names {', '.join(unknown)}, which the point lacks; "
            f"it has {', '.join(map(str, tree))}"
        )
    for key, value in tree.items():
        yield from follow(value, returned.get(key), below(name, key))
