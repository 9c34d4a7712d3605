"""What the adapters share: outputs of a foreign function become a loss, and its own backward pass a gradient."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np

from bptt_check.errors import MissingExtra, SubjectError
from bptt_check.forms.functions import subject_of_forward_backward
from bptt_check.forms.nested import is_node
from bptt_check.forms.vjp import subject_of_vjp
from bptt_check.points import Point, checked_point, copied
from bptt_check.subject import Subject
from bptt_check.watch import undisturbed

Forward = Callable[[Any], tuple[Any, Any]]
Backward = Callable[[Any, Any], Any]


def imported(library: str, extra: str) -> Any:
    """The library, imported now.

    Raises
    ------
    MissingExtra
        Where it is not installed; names the extra that brings it.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise MissingExtra(
            f"this needs {library}, which cannot be imported ({error}); pip install 'bptt-check[{extra}]'"
        ) from error


def double_at_most(point: Point, library: str) -> None:
    """Raise ``SubjectError`` for long double, which the library lacks: the engine then stays with float64."""
    if any(array.dtype in (np.longdouble, np.clongdouble) for array in point.values()):
        raise SubjectError(f"{library} has no long double")


def subject_of_library(
    forward: Forward, backward: Backward, point: Any, *, loss: str, rng: int | np.random.Generator, name: str,
    precision: str | None,
) -> Subject:  # fmt: skip
    """forward(point) -> (outputs, cache), backward(cache, cotangents) -> gradients, all NumPy outside.

    A lone number is the loss itself; other outputs get one from the harness.
    """
    outputs: Any = None
    with undisturbed(), contextlib.suppress(Exception):  # what it raises is reported by the check that follows
        outputs = forward(point)[0]
    if outputs is None or is_node(outputs) or np.ndim(outputs):
        return subject_of_vjp(forward, backward, point, loss=loss, rng=rng, name=name, precision=precision)

    def from_one(cache: tuple[Any, Any]) -> Any:
        value, inner = cache
        return backward(inner, np.ones((), value.dtype))

    def with_value(p: Any) -> tuple[Any, Any]:
        value, cache = forward(p)
        return value, (value, cache)

    return subject_of_forward_backward(with_value, from_one, point, layout=None, name=name, precision=precision)


def precision_of(forward: Forward, point: Point) -> str | None:
    """``"float32"`` where a float32 function does not run in float64; ``None`` where its type follows the point."""
    if np.result_type(*point.values()) != np.float32:
        return None
    double = {name: array.astype(np.float64) for name, array in point.items()}
    try:
        with undisturbed():
            outputs, _ = forward(double)
    except Exception:
        return "float32"
    leaves = outputs.values() if isinstance(outputs, dict) else outputs if is_node(outputs) else [outputs]
    return None if all(np.asarray(y).dtype == np.float64 for y in leaves) else "float32"


def arrays_of(named: Any) -> dict[str, Any]:
    """A checked copy of a flat point, writable. Raises ``SubjectError`` as :func:`~bptt_check.points.checked_point`."""
    return copied(checked_point(named))
