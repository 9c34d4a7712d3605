"""Derivatives to the left and to the right of a point along a direction: is there a kink?"""

from __future__ import annotations

import numpy as np

from bptt_check.bench import Bench, float_of
from bptt_check.subject import Point

KINK = 50.0  # how many times their uncertainty one-sided derivatives must differ by to be called a kink
KINK_WIDER = 8.0  # how many times wider the steps are that must see the same jump,
KINK_ALIKE = 0.2  # to this share of it
SMALL = 1e-3  # share of the largest entry of its block from which an entry gets steps of its own


def one_sided(bench: Bench, v: Point) -> tuple[float, float, float]:
    """Derivatives to the left and to the right along ``v`` by tiny real steps, and what noise leaves uncertain.

    Tiny beside the largest entry of each block, too: what bends on the scale of a block of 1e-12 is no kink of it. And
    what looks like a kink of an entry that is tiny beside its block is looked at by steps tiny beside itself.

    A jump between the two is that of a kink if wider steps see the same one. Noise that nobody measured, that of an
    ill-conditioned loss for instance, shrinks with wider steps.
    """
    eps = float(np.finfo(np.result_type(*bench.reference.point.values())).eps)
    step = max(2.0**-30, 4 * eps**0.5 if eps > 1e-10 else eps**0.5)
    left, right, unsure = _sides(bench, v, step)
    if abs(right - left) > KINK * unsure:
        wider = _sides(bench, v, KINK_WIDER * step)
        unsure = max(unsure, abs((right - left) - (wider[1] - wider[0])) / (KINK * KINK_ALIKE))
    if abs(right - left) > KINK * unsure and (share := _share(bench, v)) < SMALL:
        finer = _sides(bench, v, share * step)
        if KINK * finer[2] < abs(right - left):
            return finer
    return left, right, unsure


def _share(bench: Bench, v: Point) -> float:
    """How large the one entry that a direction moves is beside the move of a unit; 1 where it is zero, or not alone."""
    moved = [(name, k) for name, part in v.items() for k in np.flatnonzero(part)[:2]]
    if len(moved) != 1:
        return 1.0
    (name, k) = moved[0]
    return float(np.abs(bench.point[name].reshape(-1)[k]) / min(1.0, bench.scale(name))) or 1.0


def _sides(bench: Bench, v: Point, width: float) -> tuple[float, float, float]:
    """The same by steps of ``width``, with the noise that is known."""
    point = bench.reference.point
    norm = max(float(np.abs(part).max(initial=0)) / min(1.0, bench.scale(name)) for name, part in v.items()) or 1.0
    kind = np.result_type(*point.values())
    step = kind.type(width)
    values = []
    for k in (-2, -1, 0, 1, 2):
        moved = {name: a + k * step * (v[name] / norm) if name in v else a for name, a in point.items()}
        values.append(float_of(bench.loss(moved)))
    left = (1.5 * values[2] - 2 * values[1] + 0.5 * values[0]) / step * norm
    right = (-1.5 * values[2] + 2 * values[3] - 0.5 * values[4]) / step * norm
    noise = max(bench.reference.noise or 0.0, 2 * float(np.finfo(kind).eps) * float(max(map(abs, values))))
    return float(left), float(right), float(8 * noise / step * norm)
