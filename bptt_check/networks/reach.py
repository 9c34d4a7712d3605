"""The data that a subject's functions can reach: inputs and targets that stand in a closure, a global, an attribute.

Or in a local variable, while the loss is computed. Nothing that is found here is believed: it is tried as inputs or
targets of a network, and the numbers decide. Only data is looked at; no property is evaluated.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MOST = 4000  # objects looked at
LARGEST = 200_000  # entries of an array
SHORTEST = 3  # sequence that may be written down in code; shorter ones are shapes and axes
OURS = "bptt_check"
_FOREIGN = ("numpy", "scipy", "torch", "jax", "builtins")


def arrays_within_reach(*starts: Any) -> list[Array]:
    """Arrays of numbers, and lists that are some, without repetition; those that are nearest come first."""
    found: dict[tuple[Any, ...], Array] = {}
    queue, seen = list(starts), set()
    for _ in range(MOST):
        if not queue:
            break
        item = queue.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        array = _as_array(item)
        if array is not None:
            found.setdefault((array.shape, array.dtype.kind, array.tobytes()), array)
        if array is None or not isinstance(item, np.ndarray):  # a list of two lists may be inputs and targets
            queue += _reached(item)
    return list(found.values())


def arrays_held_meanwhile(call: Callable[[], Any]) -> list[Array]:
    """Arrays in the local variables of the Python functions that ``call`` runs, as they are when those return.

    None where somebody else profiles the interpreter.
    """
    held: dict[int, Any] = {}

    def on_event(frame: types.FrameType, event: str, _: Any) -> None:
        if event == "return" and frame.f_globals.get("__name__", "").partition(".")[0] not in (OURS, *_FOREIGN):
            for value in frame.f_locals.values():
                held.setdefault(id(value), value)

    if sys.getprofile() is not None:
        return []
    sys.setprofile(on_event)
    try:
        call()
    finally:
        sys.setprofile(None)
    return arrays_within_reach(*held.values())


def _as_array(item: Any) -> Array | None:
    """An array of numbers with at least one axis; a list, or a dict numbered from 0, of equal parts is one too."""
    if isinstance(item, np.ndarray):
        array = item
    else:
        if isinstance(item, Mapping):
            if not item or not all(type(key) is int or isinstance(key, np.integer) for key in item):
                return None
            item = [item[key] for key in sorted(item) if key >= 0]  # slot −1 holds the initial state
        if not isinstance(item, (list, tuple)) or not item or not _uniform(item):
            return None
        array = np.array(item)
    if array.dtype.kind not in "fiub" or not 0 < array.size <= LARGEST or array.ndim == 0:
        return None
    return array


def _uniform(items: Any) -> bool:
    """Whether a list holds numbers alone, or arrays, or lists of numbers, of one shape."""
    if len(items) > LARGEST:
        return False
    if all(isinstance(one, (int, float, np.number)) for one in items):
        return True
    if all(isinstance(one, np.ndarray) for one in items):
        return len({one.shape for one in items}) == 1
    lists = all(isinstance(one, (list, tuple)) and one for one in items)
    return lists and len({len(one) for one in items}) == 1 and all(_uniform(one) for one in items)


def _reached(item: Any) -> Iterator[Any]:
    """What an object holds or refers to."""
    if isinstance(item, functools.partial):
        yield from (item.func, *item.args, *item.keywords.values())
    elif isinstance(item, types.MethodType):
        yield from (item.__self__, item.__func__)
    elif isinstance(item, types.FunctionType):
        yield from _of_function(item)
    elif isinstance(item, (Mapping, list, tuple)):
        parts = list(item.values()) if isinstance(item, Mapping) else item
        yield from (part for part in parts[:MOST] if not isinstance(part, (int, float, str, np.number)))
    elif hasattr(item, "__dict__") and not isinstance(item, (type, types.ModuleType)):
        home = type(item).__module__.partition(".")[0]
        if home not in _FOREIGN:
            yield from vars(item).values()
            yield from () if home == OURS else _of_class(type(item))


def _of_class(kind: type) -> Iterator[Any]:
    """Functions and data of a user's class: its methods may refer to globals."""
    for value in vars(kind).values():
        if isinstance(value, (staticmethod, classmethod)):
            yield value.__func__
        elif isinstance(value, (types.FunctionType, np.ndarray, list, tuple, dict)):
            yield value


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    if (function.__module__ or "").partition(".")[0] == OURS:
        return  # of our own functions only what they were given
    for code in _codes(function.__code__):
        yield from (item for item in code.co_consts if isinstance(item, tuple) and len(item) >= SHORTEST)
        for name in code.co_names:
            value = function.__globals__.get(name)
            if isinstance(
                value, (types.FunctionType, types.MethodType, functools.partial, np.ndarray, list, tuple, dict)
            ):
                yield value
            elif isinstance(value, type) or hasattr(value, "__dict__"):
                home = (value if isinstance(value, type) else type(value)).__module__.partition(".")[0]
                if home not in (*_FOREIGN, OURS) and not isinstance(value, types.ModuleType):
                    yield from _of_class(value) if isinstance(value, type) else (value,)


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """The code of a function and of all functions defined in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)
