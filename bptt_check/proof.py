"""Whether a forward pass carries a complex step: asked of difference quotients, along a direction.

A quotient is blunter, but carries no complex number. One that has no digits of its own can neither bear out nor refute;
then it is asked at other points, since whether code carries complex numbers does not depend on the point.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.differences import Central, ComplexStep, Method, Richardson
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.evaluate import along, moved, values_along
from bptt_check.differences.ladder import laddered
from bptt_check.differences.noise import noise_at
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import Flat, layouts, shapes_of
from bptt_check.points import scalar
from bptt_check.subject import Array, Point, Subject

BORNE_OUT = 1e-8  # share of the plainest quotient by which a complex derivative may differ from it
ROUGH = 1e-5  # the same where a gradient bears it out to BORNE_OUT
QUOTIENT_SAFETY = 10.0  # how many times its error estimate any other may be off by
NEARLY = 1e-5  # share of a quotient within which it is nearly met: perhaps its error is more than estimated
STEEP = 1e-3  # how much shorter a direction's move of some entry must be for that to make a difference
FINE = 1e-18  # precision from which it is long double's
PLAIN = 1 / 3  # power of the precision that is the first quotient's step: noise and truncation are alike there
NEARBY = 2.0**-33  # step of one-sided quotients in long double, half its digits
NEAREST = 2.0**-23  # step of a one-sided quotient, half the digits of a loss that the complex step has brought along
SHORTER = 2.0**-8  # widest step of a second quotient, as a share of the direction
DIGITS = 0.1  # relative error below which a difference quotient has a digit to speak with
TAMER = (0.25, 0.05)  # factors on the point at which a complex step is tried where no quotient speaks at the point


def refuted(counter: Counted, point: Point, direction: Point) -> str:
    """Why a complex step is not safe here; empty where a difference quotient bears it out.

    A quotient that has no digits of its own, beside a loud loss, can neither bear out nor refute. Nor does one that is
    nearly met: code that drops the imaginary part of a small share of the loss (a Hermitian factorisation, say) is off
    by that share. Whether code carries complex numbers does not depend on the point, so that it is asked again at
    points scaled down.
    """
    found = counter.complex_value(point, direction)
    counter.slope = value = found.imag / ComplexStep().step
    if counter.borne_out_beside(point, direction, found) or counter.borne_out(point, direction, value):
        return ""
    seen = counter.beside(point, direction, value)
    if seen.agrees and seen.sharp:
        return ""
    if seen.value or seen.quotient:  # else it stands still, and no step would tell
        noise = noise_at(counter.loss_if_any, point, direction=direction, stacked=counter.subject.stacked)
        seen = counter.beside(point, direction, value, noise, careful=True)
        if seen.agrees and seen.speaks:
            return ""
        short = shorter(point, direction)
        if short is not None:
            along_it = counter.beside(point, short, counter.complex_along(point, short))
            if along_it.agrees and along_it.speaks:
                return ""  # steps that are wide beside a small entry may jump over what matters: they cannot refute
        if seen.speaks and not seen.nearly:
            return f"along a random direction {seen}"
    for where, other in _elsewhere(point, direction):
        there = counter.beside(other, direction, counter.complex_along(other, direction))
        if there.sharp or (there.speaks and not seen.speaks):
            return "" if there.nearly and (there.agrees or not seen.speaks) else f"{where} {there}"
    return "" if seen.speaks else "no difference quotient has the digits to bear it out"


def borne_out_by_both(counter: Counted, point: Point, direction: Point, predicted: float) -> tuple[float, bool]:
    """What a gradient's prediction is off by beside a complex derivative, as a share of it, and whether all agree.

    The quotient need be no better than rough, where the derivative by complex step is that of the gradient to many
    digits; and then that gradient is right, too.
    """
    try:
        value = counter.complex_value(point, direction)
        slope = float(value.imag) / ComplexStep().step
        off = abs(slope - predicted) / (abs(slope) or 1.0)
        if off > BORNE_OUT:
            return off, False
        beside = counter.loss(moved(point, direction, NEAREST), handed_over=True)
        near = _near((beside - value.real) / NEAREST, slope, ROUGH)
        return off, near or counter.borne_out(point, direction, slope, share=ROUGH)
    except (SubjectFailed, SubjectError, TypeError, ValueError, FloatingPointError):
        return np.inf, False  # why it is none is said where the choice is made


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


class Counted:
    """A subject's loss with a count of its evaluations, and the ``slope`` that a complex step found."""

    def __init__(self, subject: Subject, evaluations: int = 0) -> None:
        self.subject = subject
        self.evaluations = evaluations
        self.slope: Any = 0.0

    def loss(self, point: Point, *, handed_over: bool = False) -> Any:
        """The loss as one finite number, or one a copy."""
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
            asked = [rows] if self.subject.stacked else list(rows)
            values = [self.loss_if_any(flat.split(each), handed_over=True) for each in asked]
            values = values[0] if self.subject.stacked else values
        before, after = np.broadcast_to(values, 2)
        quotient = float((after - before) / (2 * step))
        return _near(quotient, float(value), share)

    def borne_out_beside(self, point: Point, direction: Point, found: Any) -> bool:
        """The same of one-sided quotients, beside the real part of what the complex step ``found``.

        Their step is so short that what they may be off by is rounding. In long double alone do they have the digits;
        of a loss that stands still they have none; and of a stack many values cost no more than two. To both sides: at
        a kink a complex step takes one of them.
        """
        if self.subject.stacked or not found.imag or np.finfo(found.dtype).eps > FINE:
            return False
        value, whole = float(found.imag / ComplexStep().step), _whole(point, direction)
        for step in (NEARBY, -NEARBY):
            if whole is None:
                beside = self.loss_if_any(moved(point, direction, step), handed_over=True)
            else:
                flat, here, move = whole
                beside = self.loss_if_any(flat.split(here + step * move), handed_over=True)
            if not is_met(float((beside - found.real) / step), value, float(found.real), found.dtype):
                return False
        return True

    def loss_if_any(self, point: Point, *, handed_over: bool = False) -> Any:
        """The loss, not a number where it has none: a step beside the point may leave its domain."""
        try:
            return self.loss(point, handed_over=handed_over)
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
        """The derivative along the direction by a complex step."""
        return self.complex_value(point, direction).imag / ComplexStep().step

    def complex_value(self, point: Point, direction: Point) -> Any:
        """The loss of the point moved by i times a tiny step along the direction."""
        step = ComplexStep().step
        if (whole := _whole(point, direction)) is None:
            value = self.loss(moved(point, direction, 1j * step), handed_over=True)
        else:
            flat, here, move = whole
            value = self.loss(flat.split(here + 1j * (step * move)), handed_over=True)
        if not isinstance(value, np.complexfloating):
            raise SubjectError("the loss of a complex point is real: the imaginary part is dropped on the way")
        return value


def is_met(quotient: float, value: float, size: float, kind: Any) -> bool:
    """Whether a complex derivative is that of a one-sided quotient, of losses of that size, with a step of ``NEARBY``.

    What such a quotient may be off by is rounding in the precision of ``kind``.
    """
    error = QUOTIENT_SAFETY * float(np.finfo(kind).eps) * abs(size) / NEARBY
    beside = _Beside(value, quotient, error)
    return _near(quotient, value, BORNE_OUT) or (beside.agrees and beside.sharp)


def _near(quotient: float, value: float, share: float) -> bool:
    """Whether a quotient is so near a complex derivative that its error need not be asked for."""
    return bool(quotient) and abs(value - quotient) <= share * abs(quotient)


def _whole(point: Point, direction: Point) -> tuple[Flat, Array, Array] | None:
    """A small point and a direction through all of it, laid end to end."""
    groups = layouts(shapes_of(point))
    if len(groups) > 1 or len(direction) < len(point):
        return None
    return groups[0], groups[0].join(point), groups[0].join(direction)


def shorter(point: Point, direction: Point) -> dict[str, Array] | None:
    """The direction with no entry moved by more than its own size, zeros aside; ``None`` where it is that already."""
    moved = {name: np.asarray(array).astype(float, copy=False) for name, array in point.items()}
    inner = {
        name: np.where((a != 0) & (np.abs(v) > np.abs(a)), np.sign(v) * np.abs(a), v)
        for (name, v), a in zip(direction.items(), (moved[name] for name in direction), strict=True)
    }
    return inner if any((np.abs(inner[name]) < STEEP * np.abs(direction[name])).any() for name in inner) else None
