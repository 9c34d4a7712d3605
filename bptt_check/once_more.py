"""Some entries of a block looked at once more, where a first look leaves them open: each way as a function of a bench.

Differences on ladders of steps, and their mean over many; the noise of the reference itself; the mean gradient nearby.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bptt_check import rounding
from bptt_check.bench import Bench
from bptt_check.differences import Method, Richardson
from bptt_check.differences.averaging import AROUND, GOLDEN, averaged, finest
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.ladder import LADDERS, laddered
from bptt_check.differences.noise import settled_noise
from bptt_check.subject import Array, Point

NEIGHBOURS = (2.0**4, 2.0**14, 2.0**24)  # ulps apart, where the rounding of a reference is read
BESIDE, NEARBY = 3, 2.0**-20  # points, and how far away, at which it is held against one in float64
TINY = 8.0  # how many times smaller than the finest step an entry must be to get steps of its own


def reference_noise(bench: Bench, name: str, entries: Array) -> Array:
    """The rounding of the reference itself, for some entries: the noise of its values along a line near the point.

    Moves by an ulp would not show it, where a small entry of the point is added to a large constant. And where it
    stands still over any line, as that of 1 − p does for p near 1, the same in float64 is off by as much more as
    that is coarser.
    """
    point = bench.reference.point
    signs = {key: bench.rng.choice([-1.0, 1.0], array.shape) for key, array in point.items()}
    noise = np.zeros(len(entries))
    for far in NEIGHBOURS:
        values = []
        for k in range(-4, 5):
            moved = rounding.jiggled(point, k * far * bench.reference.eps, signs)
            there = replace(bench, reference=replace(bench.reference, point=moved))
            values.append(there.estimate(name, entries).value)
        for place, column in enumerate(np.array(values).T):
            level, settled = settled_noise(column)
            noise[place] = max(noise[place], level) if settled else noise[place]
    return np.maximum(noise, _noise_by_float64(bench, name, entries))


def _noise_by_float64(bench: Bench, name: str, entries: Array) -> Array:
    """What the reference in float64 is off by at some points nearby, by the ratio of the two precisions."""
    noise = np.zeros(len(entries))
    eps = float(np.finfo(float).eps)
    if bench.reference.eps >= eps:
        return noise
    for _ in range(BESIDE):
        by = {key: np.asarray(bench.rng.uniform(-1, 1, a.shape)) for key, a in bench.reference.point.items()}
        moved = rounding.jiggled(bench.reference.point, NEARBY, by)
        if not bench.has_value_at(moved):
            continue
        at = [_with_reference_at(bench, moved, kind).estimate(name, entries).value for kind in (np.longdouble, float)]
        off = np.abs(at[0] - at[1]).astype(float) * (rounding.GENUINE * bench.reference.eps / eps)
        noise = np.fmax(noise, off)
    return noise


def _with_reference_at(bench: Bench, point: Point, kind: Any) -> Bench:
    there = {key: array.astype(kind) for key, array in point.items()}
    return replace(bench, reference=replace(bench.reference, point=there))


def refined(bench: Bench, name: str, entries: Array) -> Estimate:
    """Real differences on ladders of steps, tiny to wide; a wider one counts only where it confirms the finer.

    Entries that are small beside the finest step begin with steps in proportion to themselves.
    """
    size = np.abs(bench.reference.point[name].reshape(-1)[entries])
    tiny = (size > 0) & (size < 2.0 ** LADDERS[0] * bench.scale(name) / TINY)
    first = None
    if tiny.any():
        own = np.where(tiny, size, 2.0 ** LADDERS[0] * bench.scale(name) / Richardson().widest)
        first = bench.estimate(name, entries, Richardson(), scale=own)
    return laddered(lambda method: bench.estimate(name, entries, method), first=first)


def mean_of_many(bench: Bench, name: str, entries: Array, single: Estimate, count: int) -> Estimate:
    """The mean over many tableaux of steps about as long as those of ``single``, where that is sharper."""
    scale = single.step * (AROUND / Richardson().widest)
    return finest(single, averaged(partial(_on_scale, bench, name, entries, scale), count))


def scatter(bench: Bench, name: str, entries: Array, count: int = 4) -> Array:
    """What real differences on ladders of steps differ by when all steps are stretched, for some entries."""
    values = []
    for stretch in 2.0 ** -(np.arange(1, count + 1) * GOLDEN % 1.0):
        scale = np.full(len(entries), bench.scale(name) * stretch)
        values.append(laddered(partial(_on_scale, bench, name, entries, scale)).value)
    return np.asarray(np.ptp(np.stack(values), axis=0), float)


def _on_scale(bench: Bench, name: str, entries: Array, scale: Array, method: Method) -> Estimate:
    return bench.estimate(name, entries, method, scale=scale)


def mean_gradient(bench: Bench, name: str, entries: Array, count: int) -> tuple[Array, Array]:
    """Mean and standard deviation of some entries of the gradient over points moved by an ulp at random."""
    drawn = []
    for _ in range(count):
        signs = {key: bench.rng.choice([-1.0, 1.0], array.shape) for key, array in bench.point.items()}
        gradient = bench.subject.gradient(rounding.jiggled(bench.point, bench.eps, signs))
        bench.bill.gradients += 1
        drawn.append(gradient[name].astype(float).reshape(-1)[entries])
    return np.mean(drawn, axis=0), np.std(drawn, axis=0)
