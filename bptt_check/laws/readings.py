"""L6: dL/dw = Σ_t Σ_i dL(t)/dh_i(t) · ∂h_i(t)/∂w, read in every way that it can be read.

The sum is true or false depending on what is held fixed in ∂h(t)/∂w.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from bptt_check.laws.compare import Pair, Sides
from bptt_check.laws.directions import complex_step, each_entry
from bptt_check.lstm.problem import Backward, Problem

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


def outputs_in_total(problem: Problem, point: Arrays) -> Array:
    """L6a, L6d: h(t) of the whole forward pass, nothing held; ∂h(t)/∂w is the total derivative."""
    return problem.at(point).trace().over_time("h")


def outputs_of_one_step(problem: Problem, point: Arrays) -> Array:
    """L6b: h(t) from everything of step t−1 as it was: h(t−1), s(t−1) and, for FGR, the gates are held."""
    trace = problem.trace()
    steps = [problem.at(point).between(t, t, before=trace).trace().h[1] for t in range(2, trace.T + 1)]
    first = problem.at(point).between(1, 1).trace().h[1]
    return np.stack(np.broadcast_arrays(first, *steps), axis=-3)


def outputs_with_memory_running_on(problem: Problem, point: Arrays) -> Array:
    """L6c: h(t) with the earlier h held and s running on from s(0)."""
    held = problem.trace().h
    computed: list[Array] = []

    def tap(name: str, t: int, value: Array) -> Array:
        if name != "h":
            return value
        computed.append(value)
        return held[t]

    problem.at(point).trace(tap=tap)
    return np.stack(np.broadcast_arrays(*computed), axis=-3)


def reading(outputs: Callable[[Problem, Arrays], Array], *, of_the_step: bool = False) -> Sides:
    """dL/dw, and Σ_t ⟨dL(t)/dh(t), ∂h(t)/∂w⟩ with ``outputs`` saying what is held; ``of_the_step``: l(t) for L(t)."""

    def sides(problem: Problem, backward: Backward) -> Iterator[Pair]:
        gradients = problem.gradients(backward=backward)
        dh = problem.slope(problem.trace()) if of_the_step else gradients.steps["h"]
        for name, weights in problem.weights.items():
            units = {name: each_entry(weights.shape, weights)}
            changes = complex_step(lambda p: outputs(problem, p), problem.point, units)
            summed = (dh * changes).sum(axis=(-3, -2, -1))
            yield Pair(name, gradients.weights[name], np.broadcast_to(summed, (weights.size,)).reshape(weights.shape))

    return sides
