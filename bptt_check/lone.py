"""One wrong entry among very many, found by the ratio of discrepancies along directions.

Along v a lone wrong entry j shows as d = v_j e_j. Along the same direction with each component weighted by its place,
from 0 at the first to 1 at the last, it shows as d times the weight of j: so the ratio of the two is its place, as
exactly as the discrepancy stands above the rounding along the direction. Then the same is done with the few that are
left, whose rounding is smaller in proportion. Where an interval does not show the whole discrepancy it is not one entry
that is wrong, and nothing is said.

An entry that was found and confirmed is put right, and all the others are looked at as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bptt_check import joint
from bptt_check.bench import Bench
from bptt_check.points import total_size
from bptt_check.subject import Array

LOUD = 4.0  # tolerances that a discrepancy must be to show a place
STAGES = 12  # at most, each two evaluations
SURE = 1 / 8  # of the tolerances, by which the place that a ratio shows may be off: these are meant to be safe
SAME = 0.2  # share of the discrepancy by which an interval may differ from what it was taken from


@dataclass(frozen=True)
class _Line:
    """The entries of some blocks in a row, and the direction through them."""

    bench: Bench
    v: Mapping[str, Array]
    largest: Mapping[str, float]

    def pieces(self, first: int, last: int) -> Iterator[tuple[str, int, slice]]:
        """The parts of blocks between two places: block, place of its first entry, which of its entries."""
        place = 0
        for name, part in self.v.items():
            low, high = max(first - place, 0), min(last - place, part.size)
            if low < high:
                yield name, place, slice(low, high)
            place += part.size

    def off(self, first: int, last: int, *, weighted: bool = False) -> tuple[float, float]:
        """Discrepancy and tolerance along the direction between two places; ``weighted`` by place, from 0 to 1."""
        ray: dict[str, Array] = {}
        for name, place, some in self.pieces(first, last):
            ray[name] = np.zeros(self.v[name].shape)
            part = ray[name].reshape(-1)[some]
            part[...] = self.v[name].reshape(-1)[some]
            if weighted:
                part *= (place + np.arange(some.start, some.stop) - first) / (last - first)
        found = joint.ray_of(self.bench, ray, self.largest)
        (slope,) = joint.slopes(self.bench, [(found.v, found.norm)])
        return slope - found.predicted, found.tolerance

    def at(self, place: int) -> tuple[str, int]:
        """Block and entry at a place."""
        name, _, some = next(self.pieces(place, place + 1))
        return name, some.start


def wrong_entry(bench: Bench, resolution: float) -> tuple[str, int] | None:
    """Block and flat entry of the one that seems to be wrong; ``None`` where it is none, or not one alone."""
    for lows, largest in joint.groups(bench, resolution):
        ray = joint.drawn(bench, lows, largest)
        line, size = _Line(bench, ray.v, largest), total_size(ray.v.values())
        (slope,) = joint.slopes(bench, [(ray.v, ray.norm)])
        place = _place(line, size, slope - ray.predicted, ray.tolerance)
        if place is not None:
            return line.at(place)
    return None


def _place(line: _Line, size: int, off: float, tolerance: float) -> int | None:
    """Where in a row the entry is that makes up for all of the discrepancy."""
    first, last, whole = 0, size, off
    for _ in range(STAGES):
        if not abs(off) > LOUD * tolerance or abs(off - whole) > SAME * abs(whole):
            return None
        if last - first == 1:
            return first
        weighted, unsure = line.off(first, last, weighted=True)
        middle = first + weighted / off * (last - first)
        apart = SURE * (unsure + tolerance) / abs(off) * (last - first)
        low, high = max(first, round(middle - apart)), min(last, round(middle + apart) + 1)
        if not 0 < high - low < last - first:
            return None
        first, last = low, high
        off, tolerance = line.off(first, last)
    return None


def put_right(bench: Bench, name: str, entry: int, value: float) -> Bench:
    """The same with one entry of the gradient replaced."""
    a = bench.gradient[name].copy()
    a.reshape(-1)[entry] = value
    return replace(bench, gradient={**bench.gradient, name: a})
