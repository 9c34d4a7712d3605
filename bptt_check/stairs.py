"""Staircases: where real differences see the slope of a tread, and a right gradient is that of the whole flight.

Code that has only float64 may compute 1 − p as a multiple of an ulp of 1. Near p = 1 the loss then stands on a tread
wider than any step by which a derivative would usually be taken, and its slope there is that of something else.
So where real differences dispute a gradient it is asked whether the loss jumps further off. Where it does, the slope
from afar is the reference, and the height of the jumps is noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bptt_check.bench import Bench, float_of
from bptt_check.compare import REFERENCE_SAFETY
from bptt_check.differences import Richardson
from bptt_check.differences.estimate import Estimate, chosen
from bptt_check.differences.evaluate import moved
from bptt_check.differences.stairs import step_height
from bptt_check.subject import Array

WIDTHS = (2.0**-26, 2.0**-18, 2.0**-10, 2.0**-3, 2.0, 32.0)  # how far off jumps are looked for, in units of the point
HIGHER = 10.0  # times the jumps seen from nearer, from which what was seen from nearer may have been a tread of these
LOW = 8.0  # how much lower than they would have to be jumps may be read
HIGH = 3.0  # times the noise that is known, from which a jump is one


def climbs(bench: Bench, v: Mapping[str, Array]) -> bool:
    """Whether the loss is a staircase along ``v``, at any width."""
    norm = bench.norm(v)
    return any(_height(bench, {name: part / norm for name, part in v.items()}, width) for width in WIDTHS)


def from_afar(bench: Bench, name: str, entry: int, *, off: float, step: float) -> Estimate | None:
    """The derivative of one entry by steps so wide that jumps count for little; ``None`` where it makes none.

    The slope that was seen from nearby is ``off``, by steps of ``step``. If it is that of a tread, the tread is wider
    than those, so that no jump is nearer, and over treads of width w jumps of height J put J/w on a slope: lower ones
    explain nothing.
    """
    v = np.zeros(bench.gradient[name].shape)
    v.reshape(-1)[entry] = bench.scale(name)
    best: Estimate | None = None
    highest = 0.0
    for width in WIDTHS:
        if width * bench.scale(name) < step:
            continue
        jump = _height(bench, {name: v}, width, least=off * step / LOW)
        if jump:
            higher, highest = jump > HIGHER * highest, max(highest, jump)
            noisy = replace(bench, reference=replace(bench.reference, noise=highest))
            seen = noisy.estimate(name, np.array([entry]), Richardson(widest=width))
            best = seen if best is None else _of_two(best, seen, higher)
    return best


def _of_two(finer: Estimate, wider: Estimate, higher: bool) -> Estimate:
    """The wider, if that is sharper and they bear each other out, or if it has seen ``higher`` jumps.

    Then the finer may be the slope of a tread, or the wider that of a bend further off: where they contradict each
    other either may hold.
    """
    apart, both = np.abs(wider.value - finer.value), finer.error + wider.error
    if not higher:
        return chosen((apart <= both) & (wider.error < finer.error), wider, finer)
    unsure = np.where(apart > both, 2 * (apart + both) / REFERENCE_SAFETY, 0.0)
    return replace(wider, truncation=np.maximum(wider.truncation, unsure))


def _height(bench: Bench, v: Mapping[str, Array], width: float, least: float = 0.0) -> float:
    """How high the steps of the loss are along ``v``; 0 where they are below ``least`` or the noise that is known."""
    point = bench.reference.point
    kind, eps = np.result_type(*point.values()), float(np.finfo(float).eps)

    def at(offset: float) -> float:
        return float(float_of(bench.loss(moved(point, v, kind.type(offset)))))

    ulps = [eps * np.abs(point[name][part != 0] / part[part != 0]) for name, part in v.items()]
    ulp = max(float(each.min(initial=width)) for each in ulps)
    noise = max(least, HIGH * (bench.reference.noise or 0.0))
    return step_height(at, width=width, ulp=max(ulp, eps * width), noise=noise)
