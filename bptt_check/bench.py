"""A subject on the bench: at one point, with its gradient, that gradient's rounding level, a reference, and a bill.

Here gradient and reference meet, entry by entry or along a direction; what follows from it is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from math import hypot
from typing import Any

import numpy as np

from bptt_check import directions, rounding
from bptt_check.compare import REFERENCE_SAFETY, ROUNDING_SAFETY, Comparison
from bptt_check.differences import Method, Richardson
from bptt_check.differences.averaging import AROUND, FEWER, averaged, finest
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.evaluate import along, partials
from bptt_check.differences.ladder import laddered
from bptt_check.differences.noise import noise_at
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import layouts, shapes_of
from bptt_check.levels import Levels, levels
from bptt_check.proof import TAMER
from bptt_check.reference import Reference
from bptt_check.seen import Bill, Off, Tame
from bptt_check.subject import Array, Point, Subject
from bptt_check.sweeping import Sweeping, estimates

SMALLEST = 1e-300  # a divisor that is none
OF_A_DIRECTION = 0.1  # share of a resolution that a direction's error may be, for a few of them to see that finely
EACH = 6  # blocks that are scaled down one at a time, where all at once show nothing
SECANTS = 4  # moves, by which it is asked what a loss at its bottom does further off
Right = tuple[Mapping[str, Array], Mapping[str, Array]]  # right gradients by block, and what they may be off by


@dataclass(frozen=True)
class Bench:
    """A subject at ``point``, which is the subject's own or one to which it was moved.

    ``gradient`` is finite (what is not is 0 here; its block is named in ``broken``). ``size`` is |loss|.
    ``plain`` is the bench in the subject's own precision, where this one is in long double.
    """

    subject: Subject
    point: Point
    gradient: Mapping[str, Array]
    rounding: rounding.Rounding
    reference: Reference
    size: float
    rng: np.random.Generator
    bill: Bill = field(default_factory=Bill)
    broken: frozenset[str] = frozenset()
    plain: Bench | None = None
    tame: Tame = field(default_factory=Tame)
    sweeping: Sweeping = field(default_factory=Sweeping)

    @classmethod
    def of(cls, subject: Subject, point: Point, gradient: Mapping[str, Array], found: Levels, **fields: Any) -> Bench:
        """A bench with the gradient in the highest precision that it was ``found`` in; ``gradient`` as handed out."""
        own = cls(subject, point, gradient, found.own, **fields)
        return replace(own, gradient=found.gradient, rounding=found.rounding, plain=own) if found.extended else own

    @property
    def eps(self) -> float:
        """Relative precision the subject works in."""
        return self.rounding.eps

    @property
    def both(self) -> float:
        """2 where the reference rounds as coarsely as the subject does, else 1."""
        return 2.0 if self.reference.exact and self.reference.eps >= self.eps else 1.0

    def loss(self, point: Point, *, handed_over: bool = False) -> Any:
        """The subject's loss, counted; not a number at a real point outside its domain, which steps may leave."""
        self.bill.losses += 1
        try:
            return self.subject.loss(point, handed_over=handed_over)
        except (SubjectFailed, SubjectError):
            kind = np.result_type(*point.values())
            if kind.kind == "c":
                raise
            return kind.type(np.nan)

    def scale(self, name: str) -> float:
        """The size of a block's largest entry: the length of a move that matters. 1 for interventions."""
        return self._scales[name] or 1.0

    @cached_property
    def _scales(self) -> dict[str, float]:
        return rounding.largest_of(self.point)

    def blunt(self, name: str, *, here: bool = False) -> float:
        """The most that rounding inside could put on an entry: an ulp of the largest sensitivity to anything.

        That of the point alone says too little where a softmax saturates, or terms cancel: what is added up inside may
        be far larger than what is left of it. So points scaled down count too, once asked for, unless ``here``.
        """
        return self.blunts((name,), here=here)[0]

    def blunts(self, names: Iterable[str], *, here: bool = False) -> list[float]:
        """The same for several blocks."""
        least = max(min(self.size, rounding.GENUINE * self.tame.change), 0.0 if here else self.tame.largest)
        sensitivity, found = self.rounding.sensitivity, []
        for name in names:
            scale = self.scale(name)
            largest = max(sensitivity[name] * scale, least)
            found.append(ROUNDING_SAFETY * max(self.eps * largest / scale, self._apart(name)))
        return found

    def _apart(self, name: str) -> float:
        """What two precisions differ by in any entry of a block: rounding inside, up to that of a loss of this size.

        Where terms cancel at any scale, as in a normalised layer, no point shows how large they are.
        """
        if self.plain is None:
            return 0.0
        return min(self._differing[name], rounding.NOISE_CAP * self.eps * self.size / self.scale(name))

    @cached_property
    def _differing(self) -> dict[str, float]:
        """By block, the largest difference of the two precisions."""
        assert self.plain is not None
        largest: dict[str, float] = {}
        for flat in layouts(shapes_of(self.gradient)):
            off = np.abs(flat.join(self.plain.gradient) - flat.join(self.gradient))
            largest |= dict(zip(flat.shapes, flat.largest(off).astype(float).tolist(), strict=True))
        return largest

    def lost_inside(self, name: str, eps: float) -> float:
        """The most that rounding inside could put on an entry in a precision, by what this block itself shows.

        Here and at points scaled down: where a softmax saturates, shares of size 1 have vanished from all that is left.
        """
        tame = self.tame.of_block.get(name, 0.0)
        largest = max(float(np.abs(self.gradient[name]).max(initial=0)) * self.scale(name), tame)
        return ROUNDING_SAFETY * eps * largest / self.scale(name)

    def secant(self, name: str) -> float:
        """How much the loss changes where all moves by an eighth, in this block's units.

        Where all gradients are zero, at the bottom of a loss, it says beside what a derivative is nothing.
        """
        here, changes = float_of(self.loss(self.point)), [0.0]
        for _ in range(SECANTS):
            width = {key: Richardson().widest * self.scale(key) for key in self.point}
            moved = {key: a + width[key] * self.rng.uniform(-1, 1, a.shape) for key, a in self.point.items()}
            there = float_of(self.loss(moved))
            changes.append(abs(float(there - here)) if np.isfinite(there) else 0.0)
        return max(changes) / (Richardson().widest * self.scale(name))

    def look_at_tamer_points(self) -> None:
        """The largest sensitivity at the point scaled down, for :meth:`blunt`; asked for once, if something is off."""
        if self.tame.looked:
            return
        self.tame.looked = True
        self.tame.of_block = dict.fromkeys(self.gradient, 0.0)
        changes = self._look_at(TAMER)
        if len(changes) == len(TAMER):
            self.tame.change = float(max(changes))

    def look_at_each_block_tamed(self) -> None:
        """The same with one block at a time scaled down: z/T is what it was where both are."""
        if not self.tame.each:
            self.tame.each = True
            self._look_at([{name: factor} for name in list(self.gradient)[:EACH] for factor in TAMER])

    def _look_at(self, factors: Sequence[float | Mapping[str, float]]) -> list[float]:
        """The sensitivities at scaled points, and by how much the loss changes up to there."""
        here, changes = self.loss(self.point), []
        for factor in factors:
            point = scaled(self.point, factor)
            self.bill.gradients += 1
            try:
                gradient = self.subject.gradient(point)
                changes.append(abs(float_of(here) - float_of(self.loss(point))))
            except (SubjectFailed, SubjectError):
                continue
            finite = {name: a for name, a in gradient.items() if name in self.gradient and np.isfinite(a).all()}
            largest = [rounding.sensitivities(point, finite)[name] * self.scale(name) for name in finite]
            self.tame.largest = max(self.tame.largest, *largest, 0.0)
            for name, a in finite.items():
                of_it = float(np.abs(a).max(initial=0)) * self.scale(name)
                self.tame.of_block[name] = max(self.tame.of_block[name], of_it)
        return changes

    def levels(self) -> dict[str, Array]:
        """What a direction must not be drowned by, by entry: rounding, and for differences the noise of the loss."""
        if self.reference.exact or self.reference.noise is None:
            return dict(self.rounding.level)
        step = Richardson().widest
        return {
            name: level + self.reference.noise / (step * self.scale(name))
            for name, level in self.rounding.level.items()
        }

    def estimate(
        self, name: str, entries: Array, method: Method | None = None, *, scale: Array | None = None
    ) -> Estimate:
        """The reference derivative of some entries (flat indices) of a block, or the same by another method."""
        if scale is None:
            return self.estimates({name: entries}, method)[name]
        return partials(
            method or self.reference.method,
            self.loss,
            self.reference.point,
            name,
            entries=entries,
            scale=scale,
            noise=self.reference.noise,
            stacked=self.subject.stacked,
        )

    def estimates(self, entries: Mapping[str, Array], method: Method | None = None) -> dict[str, Estimate]:
        """The same for entries of several blocks at once."""
        reference = self.reference
        return estimates(
            self.subject,
            self.loss,
            reference.point,
            method or reference.method,
            entries,
            noise=reference.noise,
            sweeping=self.sweeping,
            count=self.bill.more_losses,
        )

    def compared(self, name: str, entries: Array, estimate: Estimate | None = None) -> Comparison:
        """The named entries (flat indices) against the reference, each on its own; ``estimate``, where had already."""
        estimate = estimate or self.estimate(name, entries)
        exact = np.zeros(len(entries))
        return Comparison(
            name=name,
            shape=self.gradient[name].shape,
            entries=entries,
            analytic=self.gradient[name].reshape(-1)[entries],
            reference=estimate.value,
            level=self.both * self.rounding.level[name].reshape(-1)[entries],
            rounding_floor=self.both * self.rounding.floor[name].reshape(-1)[entries],
            error=exact if self.reference.exact else estimate.error.astype(float),
            noise=exact if self.reference.exact else estimate.roundoff.astype(float),
            sensitivity=self.rounding.sensitivity[name],
            eps=self.eps,
            own=self.plain.gradient[name].reshape(-1)[entries] if self.plain else None,
            step=None if self.reference.exact else estimate.step.astype(float),
        )

    def along(self, v: Point, *, refine: float = 0.0, norm: float | None = None) -> Off:
        """The gradient's prediction along ``v`` against the reference's derivative, scaled so that steps stay small.

        ``refine``: the resolution for which real differences are made sharper, on ladders of steps and by their mean.
        ``norm``: how long ``v`` is, where it is a part of a direction and no step should be longer than in that.
        """
        direction = directions.along(v, self.gradient, self.rounding)
        norm = norm or self.norm(v)
        kind = np.result_type(*self.reference.point.values())
        unit = {name: part.astype(kind) / norm for name, part in v.items()}

        def by(method: Method, scale: float = 1.0) -> Estimate:
            point, noise, stacked = self.reference.point, self.reference.noise, self.subject.stacked
            return along(method, self.loss, point, unit, scale=scale, noise=noise, stacked=stacked)

        estimate = laddered(by) if refine and not self.reference.exact else by(self.reference.method)
        if refine and REFERENCE_SAFETY * float(estimate.error) * norm > OF_A_DIRECTION * refine:
            scale = float(estimate.step) * AROUND / Richardson().widest
            estimate = finest(estimate, averaged(partial(by, scale=scale), FEWER))
        error = 0.0 if self.reference.exact else float(estimate.error) * norm
        own = directions.along(v, self.plain.gradient, self.rounding) if self.plain else direction
        return Off(
            own=float(estimate.value * norm - own.predicted),
            discrepancy=float(estimate.value * norm - direction.predicted),
            tolerance=self.both * ROUNDING_SAFETY * direction.noise + REFERENCE_SAFETY * error,
            blunt=hypot(*(self.blunt(name) * float(np.linalg.norm(part)) for name, part in v.items())),
        )

    def norm(self, v: Point) -> float:
        """How long a direction is, in units of the point: 1 where some block moves by its own size."""
        return max(_rms(part) / (_rms(self.point[name]) or 1.0) for name, part in v.items()) or 1.0

    def rounded(self, resolution: float) -> dict[str, float]:
        """By block, the largest relative error of the gradient as handed out beside the one in a higher precision.

        Entries below their floor count relative to that, as in :func:`bptt_check.compare.judge`.
        """
        if self.plain is None:
            return dict.fromkeys(self.gradient, 0.0)
        largest: dict[str, float] = {}
        for flat in layouts(shapes_of(self.gradient)):
            exact, own = flat.join(self.gradient), flat.join(self.plain.gradient)
            floor = ROUNDING_SAFETY * flat.join(self.plain.rounding.floor) / resolution
            scale = np.maximum(np.maximum(np.abs(exact), floor), SMALLEST)
            found = flat.largest((np.abs(own - exact) / scale).astype(float)).tolist()
            largest |= dict(zip(flat.shapes, found, strict=True))
        return largest

    def nearby(self, far: float, factor: float = 1.0) -> Bench | None:
        """The same at a point scaled and moved by that share, by the same rounding levels; ``None`` where it fails."""
        point = {}
        for name, array in self.reference.point.items():
            moved = factor * array * (1 + far * self.rng.uniform(-1, 1, array.shape))
            point[name] = moved.astype(self.point[name].dtype).astype(array.dtype)  # the same in both precisions
        if not self.has_value_at(point):
            return None
        there = replace(self, reference=replace(self.reference, point=point))
        gradient = there.handed_out() if self.plain is None else there.gradient_at(point)
        return None if gradient is None else replace(there, gradient=gradient)

    def has_value_at(self, point: Point) -> bool:
        """Whether the loss is finite there: a complex logarithm, or root, has a value where a real one has none."""
        return bool(np.isfinite(float_of(self.loss(point))))

    def handed_out(self) -> Mapping[str, Array] | None:
        """The gradient where the reference is taken, in the subject's own precision; ``None`` where it fails."""
        kinds = {name: array.dtype for name, array in self.point.items()}
        return self.gradient_at({name: array.astype(kinds[name]) for name, array in self.reference.point.items()})

    def gradient_at(self, point: Point) -> Mapping[str, Array] | None:
        """The gradient at another point; ``None`` where it fails."""
        self.bill.gradients += 1
        try:
            return self.subject.gradient(point)
        except (SubjectFailed, SubjectError):
            return None

    def moved(self, factor: float | Mapping[str, float]) -> Bench | None:
        """The same subject with its point scaled; ``None`` where loss or gradient is not finite there.

        ``factor`` is one for all blocks, or by block; one that is not named stays.
        """
        point = scaled(self.point, factor)
        size = float(np.abs(self.subject.loss(point)))
        gradient = {name: a.astype(float) for name, a in self.subject.gradient(point).items() if name in self.gradient}
        self.bill.losses += 1
        self.bill.gradients += 1
        if not np.isfinite(size) or not all(np.isfinite(a).all() for a in gradient.values()):
            return None
        there = self._reference_at(point, size)
        found = levels(self.subject, point, gradient, there, eps=self.eps, rng=self.rng)
        self.bill.gradients += found.calls
        bench = Bench.of(self.subject, point, gradient, found, reference=there, size=size, rng=self.rng, bill=self.bill)
        return replace(bench, tame=self.tame)

    def _reference_at(self, point: Point, size: float) -> Reference:
        """The reference at another point, with the noise of the loss there where that known says nothing of it.

        A loss that is exactly 0, of an example that is classified with certainty, has no noise.
        """
        there = self.reference.at(point)
        if there.exact or there.noise is None or there.noise >= np.finfo(float).eps * size / 2:
            return there
        direction = {name: a * self.rng.choice([-1.0, 1.0], a.shape) for name, a in there.point.items()}
        noise = noise_at(self.loss, there.point, direction=direction, stacked=self.subject.stacked)
        return replace(there, noise=noise)


def scaled(point: Point, factor: float | Mapping[str, float]) -> Point:
    """A point with its blocks scaled; ``factor`` is one for all, or by block, of which one that is not named stays."""
    of = factor if isinstance(factor, Mapping) else dict.fromkeys(point, factor)
    return {name: (of.get(name, 1.0) * array).astype(array.dtype) for name, array in point.items()}


def _rms(array: Array) -> float:
    return float(np.sqrt(np.mean(np.square(array.astype(float))))) if array.size else 0.0


def float_of(value: Any) -> Any:
    """A loss as a real NumPy scalar of its own precision."""
    return np.asarray(value).real.reshape(())[()]
