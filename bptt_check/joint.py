"""The first look at a large subject: a few directions through all blocks at once, and nothing else if they agree.

Along v_j = ξ_j / d_j, ξ standard normal and d_j = max(|a_j|, low), every entry counts alike down to its block's low,
below which it counts for |a_j|/low as much. What a right gradient may be off by is not measured here but taken to be an
ulp of each entry and an ulp of its block's largest. That is the least that rounding.py ever finds, so that what agrees
here would agree there; where anything is off, nothing is said, and the subject is looked at with measured levels.

How finely a look has seen is read off what it saw. Were one entry off by δ of itself, each discrepancy would be normal
with a spread of at least δ |a_j|/d_j, so that all of K stay below x τ_k with a chance of no more than
Π √(2/π) x τ_k d_j / (δ |a_j|). The x that counts is the largest discrepancy in units of its tolerance, rounded up to
one of M powers of 2, each of which gets an M-th of the chance: so the statement holds though x was chosen afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, isfinite, log, log2, pi, sqrt

import numpy as np

from bptt_check.bench import Bench
from bptt_check.compare import ROUNDING_SAFETY
from bptt_check.differences.evaluate import moved
from bptt_check.directions import CHANCE, DROWNING, SMALLEST
from bptt_check.points import total_size
from bptt_check.results import Block, Verdict
from bptt_check.rounding import Rounding, sensitivities
from bptt_check.subject import Array

LEAST = 20_000  # entries above which a subject is looked at in this way first
DIRECTIONS = 3
TIERS = 24  # powers of 2 that the largest discrepancy is rounded up to
SHARP = 3e-4  # what the tolerance of a direction is kept to, as a share of the resolution asked for
RAISES = (1e4, 1e3, 1e2, DROWNING)  # how many times the typical entry's rounding an entry's may count
SAMPLE = 2**12  # entries of a block by which ``low`` is chosen
CHUNK = 2**14  # entries that are worked on at a time, few enough to stay in the cache
LOUD = 3e-3  # and beyond which a share of it the blocks are parted in two groups, the louder by themselves
SUSPECT = (
    0.25  # share of its tolerance beyond which a discrepancy is looked into: this says that all is right, or nothing
)
LEFT = 0.2  # share of a block's entries that may be too small to be seen as finely as asked
NOTE = "{count} of its entries, those below {size:.1e}, count for less and were seen to {seen:.0e} of that size"


@dataclass(frozen=True)
class Joint:
    """What the look found where all agrees: blocks, and the chance that an error of the size asked for was missed."""

    blocks: Mapping[str, Block]
    miss_probability: float


@dataclass(frozen=True)
class Ray:
    """One drawn direction: what the gradient predicts along it, what that may be off by, and how far it reaches."""

    v: dict[str, Array]
    predicted: float
    tolerance: float
    norm: float


class _Presumed(Mapping[str, Array]):
    """Rounding levels by block, computed when asked for: an ulp of each entry, and one of its block's largest."""

    def __init__(self, gradient: Mapping[str, Array], eps: float, *, floor: bool) -> None:
        self._gradient, self._eps, self._floor = gradient, eps, floor

    def __getitem__(self, name: str) -> Array:
        a = self._gradient[name]
        floor = self._eps * _largest(a)
        return np.broadcast_to(floor, a.shape) if self._floor else self._eps * np.abs(a) + floor

    def __iter__(self) -> Iterator[str]:
        return iter(self._gradient)

    def __len__(self) -> int:
        return len(self._gradient)


def presumed(point: Mapping[str, Array], gradient: Mapping[str, Array], *, eps: float) -> Rounding:
    """The least that rounding can be, without evaluating anything."""
    level, floor = (_Presumed(gradient, eps, floor=only) for only in (False, True))
    return Rounding(eps, level, floor, sensitivities(point, gradient), 0)


def applies(bench: Bench) -> bool:
    """Whether a subject is large, and its reference and rounding such that this look is for it."""
    large = total_size(bench.gradient.values()) > LEAST
    return large and bench.reference.exact and not bench.broken and not bench.subject.gradient_noise


def together(bench: Bench, resolution: float, tell: Callable[[float], None]) -> Joint | None:
    """All blocks along a few directions; ``None`` where one is off, or not all is seen as finely as asked.

    ``tell`` is told the share of this look that is done.
    """
    parted = groups(bench, resolution)
    looks: dict[str, _Look] = {}
    for k, (lows, largest) in enumerate(parted):
        seen = _seen(bench, lows, largest)
        if seen is None or seen.typical > resolution:
            return None
        for name, low in lows.items():
            looks[name] = _look(bench, name, low, largest[name], seen, resolution)
        tell((k + 1) / (len(parted) + 1))
    if any(look.count > LEFT * bench.gradient[name].size for name, look in looks.items()):
        return None
    blocks = {name: _block(bench, name, looks[name], resolution) for name in bench.gradient}
    worst = max(look.finest for look in looks.values())
    return Joint(blocks, CHANCE * min(1.0, worst / resolution) ** DIRECTIONS)


def groups(bench: Bench, resolution: float) -> list[tuple[dict[str, float], dict[str, float]]]:
    """The blocks that share directions, in one group or two: what their entries are divided by at least, and the
    largest entry of each."""
    sizes = {name: _Sizes.of(bench, name) for name in bench.gradient}
    parted = [{name: sizes[name] for name in group} for group in _parted(bench, sizes, resolution) if group]
    return [(_lows(bench, of, resolution), {name: size.largest for name, size in of.items()}) for of in parted]


@dataclass(frozen=True)
class _Seen:
    """What the directions of a group saw: of an entry that is not below its block's low, and as it was measured."""

    typical: float
    ratio: float
    off: float


@dataclass(frozen=True)
class _Look:
    """One block: what was seen of its entries above ``cut``; ``count`` lie between that and its ``floor``."""

    seen: _Seen
    finest: float
    count: int
    floor: float
    cut: float


def _seen(bench: Bench, lows: Mapping[str, float], largest: Mapping[str, float]) -> _Seen | None:
    """Look along directions; ``None`` where one is off."""
    offs: list[tuple[float, float]] = []
    shared = bench.subject.rays is not None
    for batch in [range(DIRECTIONS)] if shared else [[k] for k in range(DIRECTIONS)]:
        rays = [drawn(bench, lows, largest) for _ in batch]
        for ray, slope in zip(rays, slopes(bench, [(ray.v, ray.norm) for ray in rays]), strict=True):
            offs.append((abs(slope - ray.predicted), ray.tolerance))
        if not all(isfinite(off) and off <= SUSPECT * tolerance for off, tolerance in offs):
            return None
    ratio = max((off / tolerance if tolerance else 0.0) for off, tolerance in offs)
    return _Seen(smallest_seen([tolerance for _, tolerance in offs], ratio), ratio, max(off for off, _ in offs))


def smallest_seen(tolerances: Sequence[float], ratio: float, *, chance: float = CHANCE) -> float:
    """The relative error of one entry that directions miss with no more than ``chance``.

    ``ratio`` is the largest discrepancy in units of its tolerance, at most 1.
    """
    tier = 2.0 ** -min(TIERS - 1, int(-log2(ratio)) if ratio > 0 else TIERS)
    if not all(tolerances):
        return 0.0
    mean = exp(sum(log(tolerance) for tolerance in tolerances) / len(tolerances))
    return float(sqrt(2 / pi) * tier * mean * (TIERS / chance) ** (1 / len(tolerances)))


def slopes(bench: Bench, along: Sequence[tuple[Mapping[str, Array], float]]) -> list[float]:
    """The reference's derivative along each direction, each with its length in units of the point."""
    point, step, subject = bench.reference.point, bench.reference.method.step, bench.subject  # type: ignore[attr-defined]
    if subject.rays is not None:
        units = [{name: part / norm for name, part in v.items()} for v, norm in along]
        bench.bill.losses += len(along)
        losses = subject.call(lambda p: subject.rays(p, units, 1j * step), dict(point), "the loss")  # type: ignore[misc]
    else:
        losses = [bench.loss(moved(point, v, 1j * (step / norm)), handed_over=True) for v, norm in along]
    return [float(np.imag(loss)) / step * norm for loss, (_, norm) in zip(losses, along, strict=True)]


def _largest(array: Array) -> float:
    return max(float(array.max(initial=0.0)), -float(array.min(initial=0.0)))


@dataclass(frozen=True)
class _Sizes:
    """How large the entries of one block are: some of them, evenly spread over it, and what is typical of them."""

    some: Array
    share: float
    typical: float
    largest: float
    sensitivity: float

    @classmethod
    def of(cls, bench: Bench, name: str) -> _Sizes:
        flat = bench.gradient[name].reshape(-1)
        some = np.abs(flat[:: max(1, flat.size // SAMPLE)])
        largest = _largest(flat)
        typical = float(np.median(some[some > 0])) if some.any() else largest
        return cls(some, flat.size / max(1, some.size), typical, largest, bench.rounding.sensitivity[name] or 1.0)

    def low(self, raised: float) -> float:
        """What an entry is divided by at least, so that its rounding counts ``raised`` times the typical one."""
        if not self.largest:
            return self.sensitivity
        return max(self.largest / (raised * (1 + self.largest / self.typical)), SMALLEST)

    def noise(self, eps: float, low: float) -> float:
        """The rounding of the block along a direction, about: the root of the sum of squares of level/d."""
        terms = (self.some + self.largest) / np.maximum(self.some, low)
        return eps * sqrt(self.share * float(np.dot(terms, terms)))


def _parted(bench: Bench, sizes: Mapping[str, _Sizes], resolution: float) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The blocks in two groups: those whose rounding would drown the others are looked at by themselves."""
    noise = {name: size.noise(bench.eps, size.low(DROWNING)) for name, size in sizes.items()}
    most = resolution / (bench.both * ROUNDING_SAFETY)
    loud: tuple[str, ...] = ()
    if sqrt(sum(level**2 for level in noise.values())) > LOUD * most:
        loud = tuple(name for name, level in noise.items() if level > max(SHARP * most, 2 * min(noise.values())))
    return tuple(name for name in noise if name not in loud), loud


def _lows(bench: Bench, sizes: Mapping[str, _Sizes], resolution: float) -> dict[str, float]:
    """What entries are divided by at least, as little as keeps the tolerance of a direction sharp."""
    for raised in RAISES:
        lows = {name: size.low(raised) for name, size in sizes.items()}
        noise = sqrt(sum(sizes[name].noise(bench.eps, low) ** 2 for name, low in lows.items()))
        if bench.both * ROUNDING_SAFETY * noise <= SHARP * resolution:
            break
    return lows


def _chunks(array: Array) -> Iterator[slice]:
    return (slice(first, first + CHUNK) for first in range(0, array.size, CHUNK))


def drawn(bench: Bench, lows: Mapping[str, float], largest: Mapping[str, float]) -> Ray:
    """A direction over some blocks, with all that is to be known of it, in one go through the entries."""
    v = {name: np.empty(bench.gradient[name].shape) for name in lows}
    return ray_of(bench, v, largest, lows)


def ray_of(
    bench: Bench, v: dict[str, Array], largest: Mapping[str, float], lows: Mapping[str, float] | None = None
) -> Ray:
    """What is to be known of the direction ``v``, which is drawn meanwhile where ``lows`` are given."""
    predicted = squared_level = squared_terms = norm = 0.0
    for name in v:
        a, flat, point = bench.gradient[name].reshape(-1), v[name].reshape(-1), bench.point[name].reshape(-1)
        reach = extent = 0.0
        for some in _chunks(a):
            part, here, sized = flat[some], a[some], np.abs(a[some])
            if lows:
                bench.rng.standard_normal(out=part)
                part /= np.maximum(sized, lows[name])
            sized += largest[name]
            sized *= part
            squared_level += float(np.dot(sized, sized))
            reach += float(np.dot(part, part))
            extent += float(np.dot(point[some], point[some]))
            np.multiply(part, here, out=sized)
            predicted += float(sized.sum())
            squared_terms += float(np.dot(sized, sized))
        norm = max(norm, sqrt(reach / (extent or a.size)))
    noise = bench.eps * (sqrt(squared_level) + sqrt(squared_terms))
    return Ray(v, predicted, bench.both * ROUNDING_SAFETY * noise, norm or 1.0)


def _look(bench: Bench, name: str, low: float, largest: float, seen: _Seen, resolution: float) -> _Look:
    """How finely the entries of a block were seen: one of size |a| < low counts for |a|/low as much."""
    cut, floor = low * seen.typical / resolution, ROUNDING_SAFETY * bench.eps * largest / resolution
    count, least = 0, inf
    for some in _chunks(bench.gradient[name]):
        sizes = np.abs(bench.gradient[name].reshape(-1)[some])
        counted = sizes[sizes >= floor]
        fine = counted[counted >= cut]
        count += counted.size - fine.size
        least = min(least, float(fine.min(initial=inf)))
    lowest = low / least if largest and isfinite(least) else 1.0
    return _Look(seen, seen.typical * max(1.0, lowest), count, floor, cut)


def _block(bench: Bench, name: str, look: _Look, resolution: float) -> Block:
    """The block, which agrees."""
    a = bench.gradient[name]
    return Block(
        name=name,
        verdict=Verdict.AGREES,
        shape=a.shape,
        equation=bench.subject.equations.get(name),
        compared=a.size,
        max_relative_error=look.seen.off,
        tolerance_ratio=look.seen.ratio,
        resolution=look.finest,
        note=NOTE.format(count=look.count, size=look.cut, seen=resolution) if look.count else "",
    )
