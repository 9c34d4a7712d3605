"""Where in an object an array is: an attribute path, a key path, or a pair of functions.

=============================  ==============================================================
``"W"``, ``"layer.W"``         attributes (or keys, where the object is a dict)
``"layers[0].W"``              an item of a list on the way
``"params['W']"``              a key on the way
``("layers", 0, "W")``         the same as a path of keys, each an item where there is one, else an attribute
``(get, set)``                 get(obj) → array, set(obj, array)
=============================  ==============================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bptt_check.errors import SubjectError

_TOKEN = re.compile(r"""\.?([A-Za-z_]\w*)|\[(-?\d+)\]|\[(['"])(.*?)\3\]""")
Key = str | int


@dataclass(frozen=True)
class Place:
    """A place in an object: ``get(obj)`` and ``set(obj, value)``, ``None`` where it can only be read."""

    text: str
    get: Callable[[Any], Any]
    set: Callable[[Any, Any], None] | None
    is_path: bool


def place_of(where: Any, *, what: str) -> Place:
    """A place from any of the forms above; ``what`` names the argument in messages.

    Raises
    ------
    SubjectError
        For anything else.

    >>> from types import SimpleNamespace
    >>> net = SimpleNamespace(layers=[{"W": 1.0}])
    >>> place = place_of("layers[0]['W']", what="parameters['W']")
    >>> place.set(net, 2.0)
    >>> place.get(net), net.layers
    (2.0, [{'W': 2.0}])
    """
    if callable(where):
        return Place(what, where, None, is_path=False)
    if isinstance(where, tuple) and len(where) == 2 and all(map(callable, where)):
        return Place(what, where[0], where[1], is_path=False)
    if isinstance(where, str):
        return _path(_keys(where, what), where, what)
    if isinstance(where, tuple) and where and all(isinstance(key, (str, int)) for key in where):
        return _path(where, ".".join(map(str, where)), what)
    raise SubjectError(
        f"{what} is {where!r}; it takes an attribute path such as 'layers[0].W', a tuple of keys, or a pair (get, set)"
    )


def _keys(text: str, what: str) -> tuple[Key, ...]:
    keys: list[Key] = []
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise SubjectError(
                f"{what} is {text!r}, which is no path; write it as in 'layer.W', 'layers[0].W', \"params['W']\""
            )
        name, index, _, key = match.groups()
        keys.append(name if name is not None else int(index) if index is not None else key)
        at = match.end()
    if not keys:
        raise SubjectError(f"{what} is empty; give the path of an attribute")
    return tuple(keys)


def _path(keys: tuple[Key, ...], text: str, what: str) -> Place:
    def parent(obj: Any) -> Any:
        for key in keys[:-1]:
            obj = _step(obj, key, what)
        return obj

    def put(obj: Any, value: Any) -> None:
        holder = parent(obj)
        if _holds_items(holder, keys[-1]):
            holder[keys[-1]] = value
        else:
            setattr(holder, str(keys[-1]), value)

    return Place(text, lambda obj: _step(parent(obj), keys[-1], what), put, is_path=True)


def _holds_items(holder: Any, key: Key) -> bool:
    return isinstance(key, int) or isinstance(holder, Mapping)


def _step(holder: Any, key: Key, what: str) -> Any:
    try:
        return holder[key] if _holds_items(holder, key) else getattr(holder, str(key))
    except (AttributeError, KeyError, IndexError, TypeError):
        has = (
            list(holder)
            if isinstance(holder, Mapping)
            else [k for k in getattr(holder, "__dict__", {}) if k[:1] != "_"]
        )
        there = f"; it has {', '.join(map(str, has))}" if has else ""
        raise SubjectError(f"{what}: {type(holder).__name__} has no {key!r}{there}") from None
