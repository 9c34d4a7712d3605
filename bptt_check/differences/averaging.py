"""Richardson extrapolation with many sets of steps: what is rounding scatters over them, and averages out.

A loss of 1e8 plus something small is rounded to its last place, and no step makes that small beside what is asked.
But steps of another length meet another rounding. So the mean over ``count`` tableaux, their steps stretched by factors
that have nothing in common, is better by √count, and their spread says how good it is: no model of the noise is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bptt_check.differences.estimate import Estimate, Method, chosen
from bptt_check.differences.richardson import Richardson

GOLDEN = (5**0.5 - 1) / 2  # its multiples, less their whole parts, spread evenly and never repeat
FEWER, MORE = 16, 96  # tableaux
AROUND = 8.0  # widest step of a tableau in units of that at which a single one was best
HALF = 3.0  # standard errors of the mean that it may be off by, beyond one


def stretched(by: Callable[[Method], Estimate], count: int) -> list[Estimate]:
    """The estimates of tableaux whose steps are stretched by factors between 1 and ½."""
    usual = Richardson().widest
    return [by(Richardson(widest=usual * 2.0 ** -((k + 1) * GOLDEN % 1.0))) for k in range(count)]


def averaged(by: Callable[[Method], Estimate], count: int) -> Estimate:
    """The mean over stretched tableaux; its error from their spread, and from what wide and narrow steps differ by."""
    runs = stretched(by, count)
    values, steps = np.stack([run.value for run in runs]), np.stack([run.step for run in runs])
    mean = values.mean(axis=0)
    deviation = values.std(axis=0, ddof=1) / count**0.5
    wide = steps >= np.median(steps, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        halves = [np.where(which, values, 0).sum(axis=0) / which.sum(axis=0) for which in (wide, ~wide)]
    drift = np.where(wide.all(axis=0), 0.0, np.abs(halves[0] - halves[1]))
    beyond = np.maximum(drift - 2 * HALF * deviation, 0.0)  # what is more than the spread of the two halves
    last = np.finfo(values.dtype).eps * np.abs(mean)
    return replace(
        runs[0],
        value=mean,
        roundoff=deviation + last,
        truncation=HALF * deviation + beyond,
        step=np.median(steps, axis=0),
        evaluations=sum(run.evaluations for run in runs),
    )


def finest(single: Estimate, mean: Estimate) -> Estimate:
    """Entry by entry the mean where that is sharper and the single estimate does not contradict it."""
    near = np.abs(single.value - mean.value) <= single.error + mean.error
    which = near & (mean.error < single.error)
    return replace(chosen(which, mean, single), evaluations=single.evaluations + mean.evaluations)
