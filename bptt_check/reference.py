"""Which numerical derivative a subject gets, and why: complex step where it is proved safe, else Richardson.

Proved safe means: the loss of a complex point is a complex number, nothing on the way raises or warns that an
imaginary part is dropped, and its derivative along a random direction agrees with a difference quotient (proof.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np

from bptt_check.differences import ComplexStep, Method, Richardson
from bptt_check.differences.noise import noise_at
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import layouts, put_together, shapes_of
from bptt_check.points import total_size
from bptt_check.proof import BORNE_OUT, Counted, borne_out_by_both, refuted, shorter
from bptt_check.subject import Array, Point, Subject

LONG_DOUBLE_SIZE = 20_000  # entries above which long double, which has no fast matrix product, costs too much
COARSE_ULPS = 2.0  # least noise of a loss whose arithmetic has a type of its own, in ulps of its value
COARSE = 1e-6  # share of the loss beyond which its noise is asked for once more, along shorter lines
CARRIED = "the forward pass carries it: it agrees with a difference quotient along a random direction"
SIGNS = np.array([-1.0, 1.0])


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
        return replace(self, point=as_type(point, kind))

    @property
    def described(self) -> str:
        """Method and precision, for people."""
        kind = np.result_type(*self.point.values())
        return f"{self.method.name} in {'long double' if kind == np.longdouble else kind.name}"


@dataclass(frozen=True)
class Attempt:
    """A complex step tried on a subject: the reference, or why there is none; what it was tried along, and its cost.

    ``agrees``: the gradient has that derivative along it, as far as it has all blocks: a first sign, and no verdict.
    """

    reference: Reference | None
    why_not: str
    direction: Point
    evaluations: int
    agrees: bool = True


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
    tried = attempt(subject, gradient, rng=rng, method=method, long_double=long_double)
    return tried.reference or by_differences(subject, tried, long_double=long_double)


def attempt(
    subject: Subject,
    gradient: Mapping[str, Array],
    *,
    rng: np.random.Generator,
    method: str = "auto",
    long_double: bool = True,
) -> Attempt:
    """A complex step, if the subject carries one and ``method`` does not forbid it; raises as :func:`choose` does."""
    blocks = subject.blocks
    counter = Counted(subject)
    direction = probe_direction(blocks, gradient, rng)
    if method == "differences":
        return Attempt(None, "differences were asked for", direction, 0)
    extended = long_double and has_long_double() and total_size(blocks.values()) <= LONG_DOUBLE_SIZE
    why_not = ""
    for kind in ([np.longdouble] if extended else []) + [np.float64]:
        candidate = as_type(blocks, kind)
        try:
            why_not, raised = refuted(counter, candidate, direction), False
        except (SubjectFailed, SubjectError, TypeError, ValueError, FloatingPointError) as error:
            why_not, raised = _cause(error), True
        if not why_not:
            eps = float(np.finfo(kind).eps)
            found = Reference(ComplexStep(), candidate, CARRIED, True, eps, None, counter.evaluations)
            return Attempt(found, "", direction, counter.evaluations, _agrees(direction, gradient, counter.slope))
        if not raised:
            break  # what is refuted in one precision is in any; what raises may know complex numbers of another
    if method == "complex":
        raise SubjectError(f"the forward pass of {subject.name} does not carry a complex step: {why_not}")
    return Attempt(None, why_not, direction, counter.evaluations)


def _agrees(direction: Point, gradient: Mapping[str, Array], slope: Any) -> bool:
    """Whether a gradient predicts a slope as well as one that is right would; one that lacks a block predicts none."""
    if any(name not in gradient for name in direction):
        return True
    predicted = sum(float(np.vdot(direction[name], gradient[name])) for name in direction)
    return bool(abs(float(slope) - predicted) <= BORNE_OUT * abs(float(slope)))


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

    Whether code carries complex numbers does not depend on the point.
    """
    counter = Counted(subject)
    direction, point = probe_direction(there, gradient, rng), as_type(there, np.float64)
    predicted = sum(float(np.vdot(direction[name], gradient[name])) for name in gradient)
    off, borne_out = borne_out_by_both(counter, point, direction, predicted)
    reason = (
        "the forward pass carries it: at a point nearby it agrees with a difference quotient and the gradient there"
    )
    here, eps = as_type(subject.blocks, np.float64), float(np.finfo(np.float64).eps)
    reference = Reference(ComplexStep(), here, reason, True, eps, None, counter.evaluations) if borne_out else None
    return Proof(reference, off, counter.evaluations)


def by_differences(subject: Subject, tried: Attempt, *, long_double: bool = True) -> Reference:
    """Richardson extrapolation with the measured noise of the loss, where the attempt at a complex step failed."""
    blocks, direction, why_not = subject.blocks, tried.direction, tried.why_not
    counter = Counted(subject, tried.evaluations)
    best: Reference | None = None
    wider = long_double and has_long_double() and subject.precision is None
    for kind in ([np.longdouble] if wider else []) + [np.float64]:
        point = as_type(blocks, kind)
        try:
            noise = noise_at(
                counter.loss_if_any, point, direction=direction, eps=_working_eps(subject), stacked=subject.stacked
            )
            size = abs(float(counter.loss(point)))
            short = shorter(point, direction) if noise > COARSE * size else None
            if short is not None:  # a loss that changes greatly along so short a line is steep, not noisy
                noise = min(noise, noise_at(counter.loss_if_any, point, direction=short, eps=_working_eps(subject)))
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
            Richardson(), as_type(blocks, np.float64), f"no complex step ({why_not})", False, 2e-16, None, 0
        )
    return best


def few_differences(subject: Subject, tried: Attempt, size: float) -> Reference:
    """The same for a first look, which finds out for itself whether the loss is noisier than its ``size`` tells."""
    eps = float(np.finfo(np.float64).eps)
    noise = COARSE_ULPS * (_working_eps(subject) or 0.0) * size
    reason = f"no complex step ({tried.why_not}); all along a few directions"
    point = as_type(subject.blocks, np.float64)
    return Reference(Richardson(), point, reason, False, eps, noise or None, tried.evaluations)


def _working_eps(subject: Subject) -> float | None:
    return float(np.finfo(subject.precision).eps) if subject.precision else None


def as_type(blocks: Point, kind: Any) -> Point:
    """The point in another type; a large one that is of it already is not copied."""
    if total_size(blocks.values()) > LONG_DOUBLE_SIZE and all(array.dtype == kind for array in blocks.values()):
        return blocks
    return put_together([flat.split(flat.join(blocks).astype(kind)) for flat in layouts(shapes_of(blocks))])


def has_long_double() -> bool:
    """Whether this platform has floats finer than float64."""
    return bool(np.finfo(np.longdouble).eps < np.finfo(np.float64).eps)


def probe_direction(blocks: Point, gradient: Mapping[str, Array], rng: np.random.Generator) -> Point:
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


def _cause(error: BaseException) -> str:
    cause = error.__cause__ or error
    return f"{type(cause).__name__}: {cause}" if error.__cause__ else str(error)
