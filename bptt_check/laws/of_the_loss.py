"""L1–L5: what the loss of a sequence is, and what it cannot see."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check.laws.compare import Pair
from bptt_check.laws.directions import STEP, each_entry
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.problem import Backward, Problem

Array = np.ndarray[Any, Any]


def slope_of_the_loss(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """L1: ∂l(t)/∂h(t) is the derivative of the loss with respect to the outputs."""
    h = problem.trace().over_time("h")
    value = problem.loss.value(h + 1j * STEP * each_entry(h.shape, h), problem.y).imag / STEP
    yield Pair("∂l/∂h", problem.loss.derivative(h, problem.y), value.reshape(h.shape))


def sum_over_steps(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """L2: L = Σ l(t)."""
    trace = problem.trace()
    steps = [loss_between(problem, trace, t, t) for t in range(1, trace.T + 1)]
    yield Pair("L", problem.value(trace), np.asarray(sum(steps[1:], steps[0])))


def loss_from_here_on(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """L3: every derivative at step t is one of L(t), the loss from t onwards; the loss before t adds nothing."""
    trace, T = problem.trace(), problem.shape[0]
    dl = problem.slope(trace)
    whole = backward(trace, dl)
    for t in range(1, T + 1):
        later = backward(trace, np.where(np.arange(1, T + 1)[:, None, None] >= t, dl, 0))
        for name in problem.intermediates:
            yield Pair(f"d{name}({t})", whole.steps[name][t - 1], later.steps[name][t - 1])


def this_step_and_the_rest(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """L4: L(t) = l(t) + L(t+1), and L(T) = l(T)."""
    trace, T = problem.trace(), problem.shape[0]
    from_step = [loss_between(problem, trace, t, T) for t in range(1, T + 1)]
    for t in range(1, T + 1):
        now = loss_between(problem, trace, t, t)
        yield Pair(f"L({t})", from_step[t - 1], now if t == T else now + from_step[t])


def the_past_stays(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """L5: an intervention on h(t) leaves every h(u) and so every l(u), u < t, as it was."""
    before = problem.trace().over_time("h")
    for t in range(2, problem.shape[0] + 1):

        def nudged(name: str, u: int, value: Array, t: int = t) -> Array:
            return value + 1 if (name, u) == ("h", t) else value

        after = problem.trace(tap=nudged).over_time("h")
        yield Pair(f"h(u), u < {t}", before[: t - 1], after[: t - 1])


def loss_between(problem: Problem, trace: Trace, first: int, last: int) -> Array:
    """Σ l(t) over t = ``first`` … ``last`` of a forward pass over the whole sequence."""
    window = replace(trace, x=[trace.x[0], *trace.x[first : last + 1]], h=[trace.h[0], *trace.h[first : last + 1]])
    return problem.between(first, last).value(window)
