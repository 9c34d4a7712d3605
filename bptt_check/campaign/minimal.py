"""The smallest failing case of a cell, by Hypothesis: shape and all numbers are drawn here, and shrunk together."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bptt_check.campaign.held import Trial
from bptt_check.campaign.shapes import LETTERS, Shape
from bptt_check.campaign.tried import Tried

NUMBERS = tuple(sign * k / 8 for k in (4, 8, 5, 6, 7) for sign in (1, -1))  # short, and never zero; simplest first
EXAMPLES = 40  # that Hypothesis draws before it gives up looking for a failing one
Lengths = Mapping[str, list[int]]


def minimal(
    failing: Tried,
    *,
    arrays: Callable[[Shape], Lengths],
    run: Callable[[Trial], Tried],
    seconds: float,
    seed: int,
) -> Tried:
    """``failing`` again, with a shape no larger and with the simplest numbers that fail in the same way.

    Parameters
    ----------
    arrays: name and shape of every array of the point, for a shape of the case.
    run: runs one trial.
    seconds: after this long nothing more is tried.

    Returns the case as it came where Hypothesis finds none that is made of such numbers.
    """
    from hypothesis import HealthCheck, Phase, find, settings
    from hypothesis import strategies as st
    from hypothesis.errors import HypothesisException

    largest, until = failing.trial.shape, time.monotonic() + seconds
    if largest is None:
        return failing
    seen: dict[str, Tried | None] = {}

    def same(trial: Trial) -> bool:
        key = repr(trial)
        if key not in seen:
            one = run(trial) if time.monotonic() < until else None
            alike = one is not None and not one.lost and (one.verdict, one.faults) == (failing.verdict, failing.faults)
            seen[key] = one if alike else None
        return seen[key] is not None

    @st.composite
    def trials(draw: st.DrawFn) -> Trial:
        shape = Shape(**{letter: draw(st.integers(1, largest.lengths[letter])) for letter in LETTERS})
        point = {name: _held(draw, st.sampled_from(NUMBERS), lengths) for name, lengths in arrays(shape).items()}
        return replace(failing.trial, shape=shape, point=point)

    quick = settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    try:
        found = find(trials(), same, settings=quick, random=random.Random(seed))
    except HypothesisException:
        return failing
    return seen[repr(found)] or failing


def _held(draw: Any, numbers: Any, lengths: list[int]) -> dict[str, Any]:
    from hypothesis import strategies as st

    size = 1
    for length in lengths:
        size *= length
    values = draw(st.lists(numbers, min_size=size, max_size=size))
    return {"dtype": "float64", "shape": list(lengths), "values": values}
