"""What cancels in a loss cancels in its gradient too: digits that a right gradient has lost by constants alone.

a(h·w) − a(h·v), with w and v alike but for a part in 10⁹, has the gradient a·w − a·v, which is right to seven digits
at best, whatever h is. Points moved by an ulp do not show that: nothing that depends on them rounds. The loss does: it
has lost as many digits, and its noise along a line, beside all that the point accounts for, says how many. Of a loss
that adds and multiplies without cancelling that is about half an ulp; of one near its minimum it may be thousands.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bptt_check import rounding
from bptt_check.bench import Bench, float_of
from bptt_check.compare import ROUNDING_SAFETY, Comparison
from bptt_check.differences.noise import settled_noise
from bptt_check.subject import Array

APART = (2.0**4, 2.0**10)  # ulps between the points at which the noise of a loss is read
CANCELS = 100.0  # ulps of noise from which a loss cancels: without that it is below 10
SMALL = 1e-3  # share of an entry up to which lost digits are looked for; a gradient with fewer digits is none
LOST = 32.0  # relative noises of the loss that an entry may be off by, in units of its size and of the block's


def forgiven(bench: Bench, c: Comparison) -> Comparison:
    """The comparison with what lost digits explain, if they explain all that is off in it."""
    if not c.wrong.any() or (c.difference[c.wrong] > SMALL * c.size[c.wrong]).any():
        return c
    level = _lost(bench) * (c.size + _typical(bench, c.name)) * (LOST / ROUNDING_SAFETY)
    if (c.difference[c.wrong] > ROUNDING_SAFETY * level[c.wrong]).any():
        return c
    floor = np.where(c.wrong, np.maximum(c.rounding_floor, level), c.rounding_floor)
    return replace(c, level=np.where(c.wrong, np.maximum(c.level, level), c.level), rounding_floor=floor)


def along(bench: Bench, name: str, v: Array) -> float:
    """What a direction through one block may be off by where its entries have lost those digits."""
    return LOST * _lost(bench) * float(np.linalg.norm(v * (np.abs(bench.gradient[name]) + _typical(bench, name))))


def seen_beside(bench: Bench) -> float:
    """The smallest relative error of a typical entry that is more than those digits."""
    return 2 * LOST * _lost(bench)


def _typical(bench: Bench, name: str) -> float:
    return float(np.sqrt(np.mean(bench.gradient[name] ** 2)))


def _lost(bench: Bench) -> float:
    """Noise of the loss in the subject's own precision, relative to all that the point accounts for; read once.

    0 where that is no more than a loss has that does not cancel.
    """
    if bench.tame.lost is None:
        own = bench.plain or bench
        signs = {name: bench.rng.choice([-1.0, 1.0], array.shape) for name, array in own.point.items()}
        noise, size = 0.0, bench.size
        for apart in APART:
            points = [rounding.jiggled(own.point, k * apart * own.eps, signs) for k in range(-4, 5)]
            values = np.array([float(float_of(bench.loss(point))) for point in points])
            level, settled = settled_noise(values) if np.isfinite(values).all() else (0.0, False)
            noise = max(noise, level) if settled else noise
        size = max(size, sum(float(np.abs(a * own.point[name]).sum()) for name, a in own.gradient.items()))
        lost = noise / size if size else 0.0
        bench.tame.lost = lost if lost > CANCELS * own.eps else 0.0
    return bench.tame.lost
