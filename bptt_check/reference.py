"""Which numerical derivative a subject gets, and why: complex step where it is proved safe, else Richardson.

Proved safe means: the loss of a complex point is a complex number, nothing on the way raises or warns that an
imaginary part is dropped, and its derivative along a random direction agrees with a difference quotient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from bptt_check.differences import Central, ComplexStep, Method, Richardson
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.evaluate import along, moved, values_along
from bptt_check.differences.ladder import laddered
from bptt_check.differences.noise import noise_at
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import Flat, layouts, put_together, shapes_of
from bptt_check.points import scalar, total_size
from bptt_check.subject import Array, Point, Subject

LONG_DOUBLE_SIZE = 20_000  # entries above which long double, which has no fast matrix product, costs too much
ROUGH = 1e-5  # the same where a gradient bears it out to BORNE_OUT
BORNE_OUT = 1e-8  # share of the plainest quotient by which a complex derivative may differ from it
QUOTIENT_SAFETY = 10.0  # how many times its error estimate any other may be off by
NEARLY = 1e-5  # share of a quotient within which it is nearly met: perhaps its error is more than estimated
COARSE_ULPS = 2.0  # least noise of a loss whose arithmetic has a type of its own, in ulps of its value
COARSE = 1e-6  # share of the loss beyond which its noise is asked for once more, along shorter lines
STEEP = 1e-3  # how much shorter a direction's move of some entry must be for that to make a difference
SIGNS = np.array([-1.0, 1.0])
PLAIN = 1 / 3  # power of the precision that is the first quotient's step: noise and truncation are alike there
NEAREST = 2.0**-23  # step of a one-sided quotient, half the digits of a loss that the complex step has brought along
SHORTER = 2.0**-8  # widest step of a second quotient, as a share of the direction
DIGITS = 0.1  # relative error below which a difference quotient has a digit to speak with
TAMER = (0.25, 0.05)  # factors on the point at which a complex step is tried where no quotient speaks at the point


@dataclass(frozen=True)
class Reference:
    """A way to differentiate one subject: ``method`` on its loss at ``point``, which may be of a higher precision.

    ``exact``: carries no truncation and no cancellation. ``noise``: absolute noise of the loss, for differences.
    ``evaluations``: what the choice cost.
    """

    method: Method
    point: Point
    reason: str
    exact: bool
    eps: float
    noise: float | None
    evaluations: int

    def at(self, point: Point) -> Reference:
        """The same method at another point."""
        kind = np.result_type(*self.point.values())
        return replace(self, point=_as_type(point, kind))

    @property
    def described(self) -> str:
        """Method and precision, for people."""
        kind = np.result_type(*self.point.values())
        return f"{self.method.name} in {'long double' if kind == np.longdouble else kind.name}"


def choose(
    subject: Subject,
    gradient: Mapping[str, Array],
    *,
    rng: np.random.Generator,
    method: str = "auto",
    long_double: bool = True,
) -> Reference:
    """The reference for ``subject``; ``method`` may force ``"complex"`` or ``"differences"``.

    Raises
    ------
    SubjectError
        Where ``method="complex"`` is asked for and the forward pass does not carry a complex step; says why.
    """
    blocks = subject.blocks
    counter = _Counted(subject)
    direction = _probe_direction(blocks, gradient, rng)
    why_not = ""
    if method != "differences":
        extended = long_double and _has_long_double() and total_size(blocks.values()) <= LONG_DOUBLE_SIZE
        for kind in ([np.longdouble] if extended else []) + [np.float64]:
            candidate = _as_type(blocks, kind)
            try:
                why_not = _refuted(counter, candidate, direction)
            except (SubjectFailed, SubjectError, TypeError, ValueError, FloatingPointError) as error:
                why_not = _cause(error)
            if not why_not:
                reason = "the forward pass carries it: it agrees with a difference quotient along a random direction"
                eps = float(np.finfo(kind).eps)
                return Reference(ComplexStep(), candidate, reason, True, eps, None, counter.evaluations)
        if method == "complex":
            raise SubjectError(f"the forward pass of {subject.name} does not carry a complex step: {why_not}")
    return _differences(subject, counter, direction, why_not or "differences were asked for", long_double)


@dataclass(frozen=True)
class Proof:
    """A complex step tried at a second point: the reference at the subject's own point, if it was borne out there.

    ``off``: what the gradient there differs by from the derivative found, as a share of it. ``evaluations``: losses.
    """

    reference: Reference | None
    off: float
    evaluations: int


def proved_elsewhere(
    subject: Subject, there: Point, gradient: Mapping[str, Array], *, rng: np.random.Generator
) -> Proof:
    """Whether a complex step is safe, asked at the point ``there`` of two witnesses: a quotient, and the ``gradient``.

    Whether code carries complex numbers does not depend on the point. The quotient need be no better than rough, where
    the derivative by complex step is that of the gradient to many digits; and then that gradient is right, too.
    """
    counter = _Counted(subject)
    direction, point = _probe_direction(there, gradient, rng), _as_type(there, np.float64)
    predicted = sum(float(np.vdot(direction[name], gradient[name])) for name in gradient)
    off, borne_out = np.inf, False
    try:
        value = counter.complex_value(point, direction)
        slope = float(value.imag) / ComplexStep().step
        off = abs(slope - predicted) / (abs(slope) or 1.0)
        if off <= BORNE_OUT:
            beside = counter.loss(moved(point, direction, NEAREST), handed_over=True)
            borne_out = _near((beside - value.real) / NEAREST, slope, ROUGH) or counter.borne_out(
                point, direction, slope, share=ROUGH
            )
    except (SubjectFailed, SubjectError, TypeError, ValueError, FloatingPointError):
        pass  # why it is none is said where the choice is made
    reason = (
        "the forward pass carries it: at a point nearby it agrees with a difference quotient and the gradient there"
    )
    here, eps = _as_type(subject.blocks, np.float64), float(np.finfo(np.float64).eps)
    reference = Reference(ComplexStep(), here, reason, True, eps, None, counter.evaluations) if borne_out else None
    return Proof(reference, off, counter.evaluations)


def _refuted(counter: _Counted, point: Point, direction: Point) -> str:
    """Why a complex step is not safe here; empty where a difference quotient bears it out.

    A quotient that has no digits of its own, beside a loud loss, can neither bear out nor refute. Nor does one that is
    nearly met: code that drops the imaginary part of a small share of the loss (a Hermitian factorisation, say) is off
    by that share. Whether code carries complex numbers does not depend on the point, so that it is asked again at
    points scaled down.
    """
    value = counter.complex_along(point, direction)
    if counter.borne_out(point, direction, value):
        return ""
    seen = counter.beside(point, direction, value)
    if seen.agrees and seen.sharp:
        return ""
    if seen.value or seen.quotient:  # else it stands still, and no step would tell
        noise = noise_at(counter.loss_if_any, point, direction=direction, stacked=counter.subject.stacked)
        seen = counter.beside(point, direction, value, noise, careful=True)
        if seen.agrees and seen.speaks:
            return ""
        inner = _inner(point, direction)
        if inner is not None:
            along_it = counter.beside(point, inner, counter.complex_along(point, inner))
            if along_it.agrees and along_it.speaks:
                return ""  # steps that are wide beside a small entry may jump over what matters: they cannot refute
        if seen.speaks and not seen.nearly:
            return f"along a random direction {seen}"
    for where, other in _elsewhere(point, direction):
        there = counter.beside(other, direction, counter.complex_along(other, direction))
        if there.sharp or (there.speaks and not seen.speaks):
            return "" if there.nearly and (there.agrees or not seen.speaks) else f"{where} {there}"
    return "" if seen.speaks else "no difference quotient has the digits to bear it out"


def _elsewhere(point: Point, direction: Point) -> Iterator[tuple[str, Point]]:
    """Points at which a complex step may be tried where no quotient speaks at the point, and where they are."""
    for factor in TAMER:
        yield f"at {factor:g} times the point", {name: (factor * a).astype(a.dtype) for name, a in point.items()}
    moved = {name: (a + direction.get(name, 0)).astype(a.dtype) for name, a in point.items()}
    yield "at a point further along it", moved


@dataclass(frozen=True)
class _Beside:
    """A complex derivative along a direction, beside it a difference quotient and what that may be off by."""

    value: float
    quotient: float
    error: float

    @property
    def agrees(self) -> bool:
        """Whether the quotient's own error explains what they differ by."""
        return abs(self.value - self.quotient) <= self.error

    @property
    def nearly(self) -> bool:
        """Whether they differ by little, though perhaps by more than that: an estimate is no bound."""
        return abs(self.value - self.quotient) <= self.error + NEARLY * abs(self.quotient)

    @property
    def speaks(self) -> bool:
        """Whether the quotient has a digit; that of a loss that stands still has none."""
        return bool(self.quotient) and self.error <= DIGITS * max(abs(self.value), abs(self.quotient))

    @property
    def sharp(self) -> bool:
        """Whether it has the digits to tell what is met from what is nearly met."""
        return bool(self.quotient) and self.error <= NEARLY * abs(self.quotient)

    def __str__(self) -> str:
        return f"it gives {self.value:.8g}, a difference quotient {self.quotient:.8g}"


def _differences(subject: Subject, counter: _Counted, direction: Point, why_not: str, long_double: bool) -> Reference:
    blocks = subject.blocks
    best: Reference | None = None
    wider = long_double and _has_long_double() and subject.precision is None
    for kind in ([np.longdouble] if wider else []) + [np.float64]:
        point = _as_type(blocks, kind)
        try:
            noise = noise_at(
                counter.loss_if_any, point, direction=direction, eps=_working_eps(subject), stacked=subject.stacked
            )
            size = abs(float(counter.loss(point)))
            inner = _inner(point, direction) if noise > COARSE * size else None
            if inner is not None:  # a loss that changes greatly along so short a line is steep, not noisy
                noise = min(noise, noise_at(counter.loss_if_any, point, direction=inner, eps=_working_eps(subject)))
            if subject.precision:  # nine values on a coarse grid can agree by chance
                noise = max(noise, COARSE_ULPS * float(np.finfo(subject.precision).eps) * size)
            if best is not None and best.noise is not None:  # what long double shows is there in float64 too
                noise = max(noise, best.noise)
        except (SubjectFailed, SubjectError):
            continue
        eps = float(np.finfo(kind).eps)
        reason = f"no complex step ({why_not}); loss {size:.3g} with measured noise {noise:.1e}"
        candidate = Reference(Richardson(), point, reason, False, eps, noise, counter.evaluations)
        if best is None or noise < best.noise / 4:  # type: ignore[operator]
            best = candidate
        if noise <= 100 * eps * max(size, 1e-300):
            break
    if best is None:
        best = Reference(
            Richardson(), _as_type(blocks, np.float64), f"no complex step ({why_not})", False, 2e-16, None, 0
        )
    return best


def _working_eps(subject: Subject) -> float | None:
    return float(np.finfo(subject.precision).eps) if subject.precision else None


class _Counted:
    """A subject's loss with a count of its evaluations."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.evaluations = 0

    def loss(self, point: Point, *, handed_over: bool = False) -> Any:
        self.evaluations += 1
        value = self.subject.loss(point, handed_over=handed_over)
        value = value if self.subject.stacked and np.ndim(value) else scalar(value)
        if not np.isfinite(value).all():
            raise SubjectError(f"the loss of {self.subject.name} is {value} beside the point")
        return value

    def borne_out(self, point: Point, direction: Point, value: Any, *, share: float = BORNE_OUT) -> bool:
        """Whether the plainest quotient, two values, agrees with ``value`` so well that no error is asked for."""
        kind = np.result_type(*point.values())
        step = kind.type(float(np.finfo(kind).eps) ** PLAIN)
        offsets = np.array([-step, step])
        if (whole := _whole(point, direction)) is None:
            values: Any = values_along(self.loss_if_any, point, direction, offsets, stacked=self.subject.stacked)
        else:
            flat, here, move = whole
            rows = here + offsets[:, None] * move
            each = flat.split(rows) if self.subject.stacked else None
            values = self.loss_if_any(each) if each else [self.loss_if_any(flat.split(row)) for row in rows]
        before, after = np.broadcast_to(values, 2)
        quotient = float((after - before) / (2 * step))
        return _near(quotient, float(value), share)

    def loss_if_any(self, point: Point) -> Any:
        """The loss, not a number where it has none: a step beside the point may leave its domain."""
        try:
            return self.loss(point)
        except (SubjectFailed, SubjectError):
            return np.result_type(*point.values()).type(np.nan)

    def beside(
        self, point: Point, direction: Point, value: Any, noise: float | None = None, *, careful: bool = False
    ) -> _Beside:
        """The complex derivative ``value`` beside a quotient; ``careful``: one on ladders of steps."""

        def quotient(method: Method) -> Estimate:
            return along(method, self.loss_if_any, point, direction, noise=noise, stacked=self.subject.stacked)

        def held(found: Estimate) -> _Beside:
            return _Beside(float(value), float(found.value), QUOTIENT_SAFETY * float(found.error))

        if careful:
            return held(laddered(quotient))
        if not self.subject.stacked:
            return held(quotient(Central()))
        # one call with all steps costs less than two with few; a sum of many terms may need shorter ones
        first = held(quotient(Richardson(levels=3)))
        return first if first.agrees and first.sharp else held(quotient(Richardson(levels=3, widest=SHORTER)))

    def complex_along(self, point: Point, direction: Point) -> Any:
        return self.complex_value(point, direction).imag / ComplexStep().step

    def complex_value(self, point: Point, direction: Point) -> Any:
        """The loss of the point moved by i times a tiny step along the direction."""
        step = ComplexStep().step
        if (whole := _whole(point, direction)) is None:
            value = self.loss(moved(point, direction, 1j * step), handed_over=True)
        else:
            flat, here, move = whole
            value = self.loss(flat.split(here + 1j * (step * move)))
        if not isinstance(value, np.complexfloating):
            raise SubjectError("the loss of a complex point is real: the imaginary part is dropped on the way")
        return value


def _near(quotient: float, value: float, share: float) -> bool:
    """Whether a quotient is so near a complex derivative that its error need not be asked for."""
    return bool(quotient) and abs(value - quotient) <= share * abs(quotient)


def _whole(point: Point, direction: Point) -> tuple[Flat, Array, Array] | None:
    """A small point and a direction through all of it, laid end to end."""
    groups = layouts(shapes_of(point))
    if len(groups) > 1 or len(direction) < len(point):
        return None
    return groups[0], groups[0].join(point), groups[0].join(direction)


def _as_type(blocks: Point, kind: Any) -> Point:
    if total_size(blocks.values()) > LONG_DOUBLE_SIZE and all(array.dtype == kind for array in blocks.values()):
        return blocks
    return put_together([flat.split(flat.join(blocks).astype(kind)) for flat in layouts(shapes_of(blocks))])


def _has_long_double() -> bool:
    return bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)


def _probe_direction(blocks: Point, gradient: Mapping[str, Array], rng: np.random.Generator) -> Point:
    """A random direction in which each block counts about alike, no entry moving by more than its own size or 1."""
    sizes: dict[str, float] = {}
    for flat in layouts(shapes_of(gradient)):
        squares = flat.total(np.square(flat.join(gradient).astype(float, copy=False)))
        sizes |= dict(zip(flat.shapes, np.sqrt(squares).tolist(), strict=True))
    norms = {name: sizes.get(name, 0.0) for name in blocks}
    typical = max((norm for norm in norms.values() if isfinite(norm)), default=0.0) or 1.0
    share = {name: typical / norm if isfinite(norm) and norm > 1e-3 * typical else 1e3 for name, norm in norms.items()}
    largest = max(share.values())
    direction = []
    for flat in layouts(shapes_of(blocks)):
        shares = np.array([share[name] / largest for name in flat.shapes])[flat.owner]
        moves = np.maximum(np.abs(flat.join(blocks).astype(float, copy=False)), 0.1)
        signed = SIGNS[rng.integers(0, 2, moves.shape)] * rng.uniform(0.5, 1, moves.shape)
        direction.append(flat.split(signed * shares * moves))
    return put_together(direction)


def _inner(point: Point, direction: Point) -> dict[str, Array] | None:
    """The direction with no entry moved by more than its own size, zeros aside; ``None`` where it is that already."""
    moved = {name: np.asarray(array).astype(float, copy=False) for name, array in point.items()}
    inner = {
        name: np.where((a != 0) & (np.abs(v) > np.abs(a)), np.sign(v) * np.abs(a), v)
        for (name, v), a in zip(direction.items(), (moved[name] for name in direction), strict=True)
    }
    return inner if any((np.abs(inner[name]) < STEEP * np.abs(direction[name])).any() for name in inner) else None


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}" if error.__cause__ else str(error)
