"""What an entry is off by, at points nearby: a fault stays the same share of it, rounding does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bptt_check.bench import Bench
from bptt_check.compare import ROUNDING_SAFETY, Comparison
from bptt_check.subject import Array

ROUNDED = 500.0  # ulps of an entry that a constant rounded to the own precision may put on it, everywhere alike
TRIALS = (1e-4, 1e-4, 1e-4, 1e-2, 1e-2)  # how far off are points nearby at which a fault must stay what it is
SCALED = 0.5  # factor on the point at which it must be that too, where rounding inside could do as much
NEAREST = 3  # of them, at which a share that has dropped out is still what it was
MUCH = 1e-3  # share of an entry from which digits lost inside may be what is off in it everywhere alike
ALL = 1e-3  # nearness to −1 of a share that says: the gradient is nothing beside the reference
STEADY = 1.2  # factor within which a fault keeps its share of an entry at points nearby


def forgiven(bench: Bench, c: Comparison, unsteady: Array) -> Comparison:
    """What is not steady may be as large as the subject's own rounding, though it was evaluated in long double.

    And it may be as large as what a rounded constant, an exponent for instance, puts on an entry.
    """
    own = bench.plain or bench
    level = ROUNDED * own.eps * c.size / ROUNDING_SAFETY
    if bench.plain is not None:
        level = np.maximum(level, own.rounding.level[c.name].reshape(-1)[c.entries])
    explained = c.wrong & unsteady & (c.difference <= ROUNDING_SAFETY * level)
    return replace(c, level=np.where(explained, np.maximum(c.level, level), c.level))


def steady_entries(bench: Bench, c: Comparison, places: Array) -> Array:
    """Which of the disputed entries are off by the same share at points nearby.

    A fault is. Digits lost on the way are not: in a saturated gate, or in a backward pass that keeps some array in
    float64, or on a step of a staircase: hence some points further off. (A gradient that is zero, or nothing beside the
    reference, is off by all of it everywhere, and tells nothing. Nor does what even the reference's precision may lose
    inside: a share that has dropped out of a saturated softmax, or one step's part of a sum where a gate saturates, is
    missing at every point nearby. Nor does, below the own precision's rounding inside, what constants alone are
    combined to, which is done in float64 whatever the point is: at a point scaled down it is another share.)
    """
    steady = np.zeros(len(c.entries), dtype=bool)
    asked = places if bench.plain else places[c.analytic[places] != 0]
    if not len(asked):
        return steady
    with np.errstate(all="ignore"):
        share = (c.analytic - c.reference)[asked] / c.reference[asked]
    inside = bench.blunt(c.name) * bench.reference.eps / bench.eps
    lost = (c.difference[asked] <= inside) & ((np.abs(share) > MUCH) | (c.size[asked] <= inside))
    vanished = np.abs(share + 1) <= ALL if bench.plain is None else lost
    same = (np.abs(share) > ROUNDED * (bench.plain or bench).eps) & ~lost & ~vanished
    rounded = c.difference[asked] <= bench.blunt(c.name)
    for far, factor in (*((far, 1.0) for far in TRIALS), (TRIALS[0], SCALED)):
        if not (same & (rounded | (factor == 1))).any():
            break
        near = bench.nearby(far, factor)
        if near is None:
            return steady
        there = near.compared(c.name, c.entries[asked])
        with np.errstate(all="ignore"):
            ratio = (there.analytic - there.reference) / there.reference / share
        same &= (ratio > 1 / STEADY) & (ratio < STEADY) | (~rounded & (factor != 1))
    steady[asked[same]] = True
    return steady


def restless(bench: Bench, c: Comparison, places: Array) -> Array:
    """Which entries are off by another share at each point nearby, and by the same in either precision.

    Rounding that changes from point to point is two thousand times as large in float64 as in long double. So where the
    gradients in both are all but one, and long double is off by far more than what they differ by, it is not rounding.
    Of the gradient, that is: a reference that has lost digits in saturated gates is restless too. So it must agree but
    for a thousandth, and be off by more than what even its precision may lose inside.
    """
    restless = np.zeros(len(c.entries), dtype=bool)
    if bench.plain is None or bench.subject.gradient_noise or not len(places):
        return restless
    entries = c.entries[places]
    with np.errstate(all="ignore"):
        share = (c.analytic - c.reference)[places] / c.reference[places]
    unsteady, apart = np.zeros(len(places), dtype=bool), 0.0
    for far in TRIALS[:NEAREST]:
        near = bench.nearby(far)
        own = None if near is None else near.handed_out()
        if near is None or own is None:
            return restless
        apart = max(apart, float(np.abs(own[c.name] - near.gradient[c.name]).max(initial=0.0)))
        there = near.compared(c.name, entries)
        with np.errstate(all="ignore"):
            ratio = (there.analytic - there.reference) / there.reference / share
        unsteady |= (ratio < 1 / STEADY) | (ratio > STEADY)
    inside = bench.blunt(c.name) * bench.reference.eps / bench.eps
    beyond = c.difference[places] > max(ROUNDING_SAFETY * apart, inside)
    restless[places] = unsteady & (np.abs(share) <= MUCH) & beyond
    return restless
