"""What cancels in a loss cancels in its gradient too: digits that a right gradient has lost by constants alone.

a(h·w) − a(h·v), with w and v alike but for a part in 10⁹, has the gradient a·w − a·v, which is right to seven digits
at best, whatever h is. Points moved by an ulp do not show that: nothing that depends on them rounds. The loss does: it
has lost as many digits, and its noise along a line, beside all that the point accounts for, says how many. Of a loss
that adds and multiplies without cancelling that is about half an ulp; of one near its minimum it may be thousands.

Or what cancels depends on the point: mean(x²) − mean(x)², of numbers κ times as far from zero as they are apart, is
noisier by κ² than usual, and so is a gradient that is divided by it, in every entry alike. Points moved by an ulp show
that, but so they would a float32 value in a float64 path. The loss tells which: its noise is κ ulps of what the point
accounts for, which is κ times as large as what the loss changes by over the distance that the numbers are apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from math import comb

import numpy as np

from bptt_check import rounding
from bptt_check.bench import Bench, float_of
from bptt_check.compare import ROUNDING_SAFETY, Comparison
from bptt_check.differences.noise import settled_noise
from bptt_check.subject import Array, Point

APART = (2.0**4, 2.0**10)  # ulps between the points at which the noise of a loss is read
CANCELS = 100.0  # ulps of noise from which a loss cancels: without that it is below 10
SMALL = 1e-3  # share of an entry up to which lost digits are looked for; a gradient with fewer digits is none
ORDER = 4  # of differences of the gradient's entries,
USUAL = comb(2 * ORDER, ORDER) ** 0.5  # and what they are where each number scatters by 1
LOST = 32.0  # relative noises of the loss that an entry may be off by, in units of its size and of the block's


def forgiven(bench: Bench, c: Comparison, unsteady: Array) -> Comparison:
    """The comparison with what lost digits explain, if they explain all that is off in it.

    ``unsteady``: the entries that are not off by the same share at points nearby.
    """
    if not c.wrong.any() or (c.difference[c.wrong] > SMALL * c.size[c.wrong]).any():
        return c
    level = _lost(bench) * (c.size + _typical(bench, c.name)) * (LOST / ROUNDING_SAFETY)
    if unsteady[c.wrong].all() and (c.difference[c.wrong] > ROUNDING_SAFETY * level[c.wrong]).any():
        scatter = _scatter(bench, c.name, lambda gradient: gradient.reshape(-1)[c.entries])
        level = np.maximum(level, np.minimum(scatter, _accounted(bench) * (c.size + _typical(bench, c.name))))
    if (c.difference[c.wrong] > ROUNDING_SAFETY * level[c.wrong]).any():
        return c
    floor = np.where(c.wrong, np.maximum(c.rounding_floor, level), c.rounding_floor)
    return replace(c, level=np.where(c.wrong, np.maximum(c.level, level), c.level), rounding_floor=floor)


def along(bench: Bench, name: str, v: Array, discrepancy: float) -> float | None:
    """The relative error of a typical entry that is seen beside lost digits, if they explain a discrepancy.

    That is, what a direction ``v`` through one block is off by; ``None`` where they do not explain it.
    """
    count = v * (np.abs(bench.gradient[name]) + _typical(bench, name))
    if discrepancy <= LOST * _lost(bench) * float(np.linalg.norm(count)):
        return 2 * LOST * _lost(bench)
    predicted = _scatter(bench, name, lambda gradient: np.atleast_1d(np.vdot(v, gradient).real))[0]
    scatter = min(predicted, _accounted(bench) * float(np.linalg.norm(count)))
    return 2 * ROUNDING_SAFETY * float(scatter) if discrepancy <= ROUNDING_SAFETY * scatter else None


def may_explain(bench: Bench, name: str, off: Array, size: Array) -> bool:
    """Whether what entries of these sizes are ``off`` by could be lost digits, the loss being as noisy as it is.

    It is read only where they are off by as little as that may be.
    """
    if not bench.reference.exact or (off > SMALL * size).any():
        return False
    return bool((off <= ROUNDING_SAFETY * _accounted(bench) * (size + _typical(bench, name))).any())


def _typical(bench: Bench, name: str) -> float:
    return float(np.sqrt(np.mean(bench.gradient[name] ** 2)))


def _lost(bench: Bench) -> float:
    """The relative noise of the loss; 0 where that is no more than a loss has that does not cancel."""
    noise = _noise(bench)
    return noise if noise > CANCELS * (bench.plain or bench).eps else 0.0


def _noise(bench: Bench) -> float:
    """Noise of the loss in the subject's own precision, relative to all that the point accounts for; read once."""
    if bench.tame.noise is None:
        own = bench.plain or bench
        noise, size = 0.0, bench.size
        for points in _lines(bench):
            values = np.array([float(float_of(bench.loss(point))) for point in points])
            level, settled = settled_noise(values) if np.isfinite(values).all() else (0.0, False)
            noise = max(noise, level) if settled else noise
        size = max(size, sum(float(np.abs(a * own.point[name]).sum()) for name, a in own.gradient.items()))
        bench.tame.noise = noise / size if size else 0.0
    return bench.tame.noise


def _lines(bench: Bench) -> Iterator[list[Point]]:
    """Points along a line through the point, equally spaced, near and less near."""
    own = bench.plain or bench
    signs = {name: bench.rng.choice([-1.0, 1.0], array.shape) for name, array in own.point.items()}
    for apart in APART:
        yield [rounding.jiggled(own.point, k * apart * own.eps, signs) for k in range(-4, 5)]


def _scatter(bench: Bench, name: str, of: Callable[[Array], Array]) -> Array:
    """What numbers that are made ``of`` a block of the gradient scatter by along such lines; 0 where it fails there.

    By differences of a high order, which leave nothing of a smooth trend.
    """
    scatter = np.zeros(1)
    for points in _lines(bench):
        found = [bench.gradient_at(point) for point in points]
        if not all(gradient is not None and name in gradient for gradient in found):
            return np.zeros(1)
        drawn = np.array([of(gradient[name]) for gradient in found if gradient], dtype=float)
        scatter = np.fmax(scatter, np.abs(np.diff(drawn, ORDER, axis=0)).max(axis=0) / USUAL)
    return scatter


def _accounted(bench: Bench) -> float:
    """How much of itself an entry of the gradient may scatter by where the loss is as noisy as it is."""
    eps = (bench.plain or bench).eps
    return rounding.NOISE_CAP * eps * (_noise(bench) / eps) ** 2
