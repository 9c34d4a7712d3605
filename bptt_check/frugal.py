"""The first look where only real differences work: a few directions through all entries, whatever their number.

Along v_j = ξ_j / d_j with d_j = max(|a_j|, G / s), s the size of its block, every entry counts alike that changes
the loss by G or more when it moves by s; a smaller one moves by about s, which is as far as anything should, and counts
for |a_j| s / G as much. With a large G the loss's noise is small beside each large entry, with a small one no entry is
left out: so G falls from direction to direction, from what is typical to the least that noise lets one see.

Each |ξ_j| lies between ½ and 1½, its sign is random. So a lone wrong entry shows at half its size at least, always, and
several can cancel by chance only. Rounding is not measured but taken to be the least that rounding.py ever finds, and
steps are few: what agrees so agrees the more with measured levels and more steps; where anything is off or blunt,
nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf

import numpy as np

from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY, ZERO, judge
from bptt_check.differences import Richardson
from bptt_check.directions import SMALLEST
from bptt_check.flat import end_to_end, shapes_of
from bptt_check.results import Block, Verdict
from bptt_check.seen import Off
from bptt_check.subject import Array

DIRECTIONS = 3
STEPS = Richardson(levels=6, guarded=False)  # twelve losses a direction
LEAST, MOST = 0.5, 1.5  # between which the size of a multiplier lies
SUSPECT = 0.2  # share of its tolerance beyond which a discrepancy is looked into: all is right, or nothing is said
HIDDEN = 1 / REFERENCE_SAFETY  # share of it that the error of a derivative may be, with either sign
SURE = (1 + HIDDEN) / (SUSPECT + HIDDEN)  # how much larger an error is that exceeds a tolerance
SAMPLE = 2**14  # entries of a block by which it is told what is typical
NEEDED = 1600.0  # times the noise of a loss over the resolution, that an entry must change it by to be seen
CLEAR = 4.0  # tolerances from which what is off along a direction is looked for in its halves
SAME = 0.2  # share of it by which a half may differ from the whole, or from nothing
SINGLY = 4  # entries of a block that are compared each by itself, because directions see them too bluntly


@dataclass(frozen=True)
class Frugal:
    """Blocks that agree and were seen as finely as asked, and the names of those that were not.

    ``cuts``: by block, the size of an entry down to which directions saw as finely as asked.
    """

    blocks: Mapping[str, Block]
    left: tuple[str, ...]
    cuts: Mapping[str, float]


@dataclass(frozen=True)
class _Ray:
    """What one direction showed: ``off``, and how finely; ``effect`` is the G of its divisors, ``norm`` its length."""

    off: Off
    effect: float
    norm: float

    @property
    def seen(self) -> float:
        """The smallest relative error that is looked into in an entry whose effect is no smaller than the direction's.

        That is from SUSPECT of a tolerance, and the derivative's own error may hide as much as that is.
        """
        return (SUSPECT + HIDDEN) * self.off.tolerance / LEAST


def applies(bench: Bench) -> bool:
    """Whether rounding is what it is presumed to be, and nothing is off to begin with."""
    return not bench.broken and not bench.subject.gradient_noise


def look(bench: Bench, resolution: float, names: Iterable[str] | None = None) -> Frugal | None:
    """Some blocks, all if none are named, along a few directions; ``None`` where one is off or nothing can be seen.

    ``bench`` has no exact reference.
    """
    asked = [name for name in (bench.gradient if names is None else names) if bench.gradient[name].size]
    effects = _effects(bench, asked, resolution)
    if not effects:
        return None
    sparing = replace(bench, reference=replace(bench.reference, method=STEPS))
    rays: list[_Ray] = []
    for effect in effects:
        v = {name: _drawn(bench, name, effect) for name in asked}
        rays.append(_Ray(sparing.along(v), effect, bench.norm(v)))
        if not rays[-1].off.ratio <= SUSPECT:
            return None
    cuts = {name: _cut(bench, name, rays, resolution) for name in asked}
    found = {name: _block(bench, name, rays, cuts[name], resolution) for name in asked}
    blocks = {name: block for name, block in found.items() if block is not None}
    if names is None:
        blocks |= {name: _empty(bench, name) for name, a in bench.gradient.items() if not a.size}
    return Frugal(blocks, tuple(name for name in asked if name not in blocks), cuts)


def wrong_entry(bench: Bench, resolution: float) -> tuple[str, int] | None:
    """Block and flat entry of the one that seems to be wrong; ``None`` where it is none, or not one alone.

    A direction that is off is halved: of one wrong entry either half shows all, and the other nothing.
    """
    names = [name for name, a in bench.gradient.items() if a.size]
    sparing = replace(bench, reference=replace(bench.reference, method=STEPS))
    for effect in _effects(bench, names, resolution):
        v = {name: _drawn(bench, name, effect) for name in names}
        off = sparing.along(v)
        if np.isfinite(off.discrepancy) and off.ratio > CLEAR:
            return _halved(sparing, v, off)
    return None


def _halved(bench: Bench, v: Mapping[str, Array], off: Off) -> tuple[str, int] | None:
    """The entry that makes up for all that is off along ``v``."""
    flat = end_to_end(shapes_of(v))
    whole, norm, discrepancy = flat.join(v), bench.norm(v), off.discrepancy
    first, last = 0, len(whole)
    while last - first > 1:
        middle = (first + last) // 2
        part = np.zeros_like(whole)
        part[first:middle] = whole[first:middle]
        of_part = bench.along(flat.split(part), norm=norm)
        unsure = SAME * abs(discrepancy) + of_part.tolerance
        if abs(of_part.discrepancy - discrepancy) <= unsure:
            last = middle
        elif abs(of_part.discrepancy) <= unsure:
            first = middle
        else:
            return None
    block = int(flat.owner[first])
    return list(flat.shapes)[block], first - int(flat.starts[block])


def _effects(bench: Bench, names: Iterable[str], resolution: float) -> list[float]:
    """What an entry changes the loss by that counts in full, by direction; none where all are lost in noise."""
    some = [_sampled(np.abs(bench.gradient[name]).reshape(-1)) * bench.scale(name) for name in names]
    effects = np.concatenate(some) if some else np.zeros(1)
    if not effects.any():
        return []
    typical = float(np.median(effects[effects > 0]))
    noise = max(bench.reference.noise or 0.0, float(np.finfo(float).eps) * max(bench.size, typical))
    least = NEEDED * noise / resolution
    return np.geomspace(typical, min(least, typical), DIRECTIONS).tolist() if float(effects.max()) >= least else []


def _sampled(flat: Array) -> Array:
    return np.asarray(flat[:: max(1, flat.size // SAMPLE)])


def _drawn(bench: Bench, name: str, effect: float) -> Array:
    """The part of a direction in one block."""
    a = np.abs(bench.gradient[name])
    signs = bench.rng.integers(0, 2, a.shape) * 2 - 1
    size = bench.rng.uniform(LEAST, MOST, a.shape)
    return np.asarray(signs * size / np.maximum(a, max(effect / bench.scale(name), SMALLEST)))


def _cut(bench: Bench, name: str, rays: list[_Ray], resolution: float) -> float:
    """The size of an entry down to which some direction saw as finely as asked."""
    sharp = [ray for ray in rays if ray.seen <= resolution]
    return min((ray.seen * ray.effect / (resolution * bench.scale(name)) for ray in sharp), default=inf)


def _block(bench: Bench, name: str, rays: list[_Ray], cut: float, resolution: float) -> Block | None:
    """A block that agrees along all directions, if it is seen as finely as asked; ``None`` where it is not."""
    size, scale = np.abs(bench.gradient[name]).reshape(-1), bench.scale(name)
    finest = 0.0
    if size.any() and size.max() > ZERO * bench.eps * bench.rounding.sensitivity[name]:
        fine = size >= cut
        floor = min(ray.off.tolerance / (ray.norm * scale * resolution) for ray in rays)
        left = np.flatnonzero(~fine & (size >= floor))
        if not fine.any() or len(left) > SINGLY:
            return None
        least = float(size[fine].min())
        finest = min(ray.seen * max(1.0, ray.effect / (scale * least)) for ray in rays)
        finest = max(finest, min(SURE * finest, resolution))  # what is looked into is seen as finely as asked, or open
        if len(left):
            single = judge(bench.compared(name, left), resolution=resolution)
            if single.verdict is not Verdict.AGREES:
                return None
            finest = max(finest, single.resolution or 0.0)
    elif not cut <= bench.rounding.sensitivity[name]:  # nothing but rounding: nothing that matters may be missing
        return None
    worst = max((ray.off for ray in rays), key=lambda off: off.ratio)
    return Block(
        name=name,
        verdict=Verdict.AGREES,
        shape=bench.gradient[name].shape,
        equation=bench.subject.equations.get(name),
        compared=size.size,
        max_relative_error=abs(worst.own),
        tolerance_ratio=worst.ratio,
        resolution=finest,
    )


def _empty(bench: Bench, name: str) -> Block:
    shape, equation = bench.gradient[name].shape, bench.subject.equations.get(name)
    return Block(name=name, verdict=Verdict.AGREES, shape=shape, equation=equation)
