"""Fewer cases in the quick run: what costs seconds a case is tried on some of them there, and on all in the long run.

The profiles ``fresh`` and ``deep`` (conftest.py) are the long run; CI makes it every week, and so does whoever changes
what it tries. A case that is left to it shows the same as one that stays, on other code or another cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
from hypothesis import settings

QUICK = 25  # examples of a property in a quick run


def long_run() -> bool:
    """Whether all cases are to be tried."""
    return settings().max_examples > QUICK


def thinned(values: Iterable[Any], keep: Callable[[int, Any], bool]) -> list[Any]:
    """Values for ``parametrize``; those that are not kept are left to the long run."""
    return [
        value if keep(k, value) else pytest.param(value, marks=pytest.mark.thorough) for k, value in enumerate(values)
    ]


def some(values: Sequence[Any], count: int) -> Sequence[Any]:
    """So many of the values, first and last among them, evenly spread; all of them in the long run."""
    if long_run() or len(values) <= count:
        return values
    return [values[k * (len(values) - 1) // max(1, count - 1)] for k in range(count)]
