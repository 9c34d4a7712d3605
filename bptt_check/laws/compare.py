"""A law as a comparison of two sides at one problem.

A law is a function from a problem and a backward pass to pairs of arrays that ought to be equal. The backward pass is
an argument, so that a planted violation can be handed in, and a law that cannot fail is found out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.backward import backward as derived_backward
from bptt_check.lstm.problem import Backward, Problem
from bptt_check.results import Block, Verdict

Array = np.ndarray[Any, Any]
BLOCK_ULPS, LEVEL_ULPS = 4096, 256  # what rounding may do: ulps of an array's largest entry, and of the largest of all


@dataclass(frozen=True)
class Pair:
    """Two arrays that a law says are equal; ``eps`` is the precision of the coarser side, where it is not their own."""

    name: str
    left: Array
    right: Array
    eps: float | None = None


Sides = Callable[[Problem, Backward], Iterator[Pair]]


@dataclass(frozen=True)
class Law:
    """A law by its id in the ledger. ``exact``: to the last bit, no rounding allowed for."""

    id: str
    sides: Sides
    exact: bool = False


def compare(law: Law, problem: Problem, *, backward: Backward = derived_backward) -> Block:
    """Compare the two sides of one law at one problem.

    An error is relative to the largest entry of its own array. What rounding may do to it is measured by the largest
    entry of all arrays of the law too, since small ones are differences of large terms; a problem in long double leaves
    the more room for that. A law that says nothing about a problem (P2 at T = 1) compares nothing: INCONCLUSIVE.
    """
    pairs = list(law.sides(problem, backward))
    level = max((_size(pair) for pair in pairs), default=0.0)
    compared, error, ratio, resolution = 0, 0.0, 0.0, 0.0
    for pair in pairs:
        off = float(np.abs(pair.left - pair.right).max(initial=0))
        eps = pair.eps or float(np.finfo(np.result_type(pair.left, pair.right)).eps)
        scale = _size(pair) or level or 1.0
        tolerance = 0.0 if law.exact else eps * (BLOCK_ULPS * scale + LEVEL_ULPS * level)
        compared += np.broadcast(pair.left, pair.right).size
        error = _worse(error, off / scale)
        ratio = _worse(ratio, off / tolerance if tolerance else (np.inf if off != 0 else 0.0))
        resolution = max(resolution, tolerance / scale)
    name = f"law {law.id}"
    if not compared:
        return Block(name, Verdict.INCONCLUSIVE, (0,), law.id)
    verdict = Verdict.AGREES if ratio <= 1 else Verdict.DISAGREES
    return Block(name, verdict, (compared,), law.id, compared, error, ratio, resolution=resolution)


def _size(pair: Pair) -> float:
    return max(float(np.abs(side).max(initial=0)) for side in (pair.left, pair.right))


def _worse(a: float, b: float) -> float:
    """The larger, where NaN is larger than anything."""
    return a if b <= a else b
