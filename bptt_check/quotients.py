"""A gradient and a complex step that do not agree: what difference quotients say of the complex step.

They are blunter, but carry no complex number. Where one sides with the gradient, the forward pass does not carry a
complex step after all, though a random direction had borne it out.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

import numpy as np

from bptt_check.bench import Bench, float_of
from bptt_check.compare import REFERENCE_SAFETY, Comparison
from bptt_check.differences import Richardson
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.ladder import confirmed
from bptt_check.differences.noise import noise_at
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.once_more import refined
from bptt_check.proof import TAMER
from bptt_check.subject import Array

WIDER = 8.0  # widest step, in units of the block's size, of the blunt quotient's second try
QUOTIENTS = 3  # entries of a block that are asked about, the most disputed first


class ReferenceUnsafe(Exception):
    """The complex-step reference was contradicted by a difference quotient that sides with the gradient."""


def held_against_quotients(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """Replace what a complex step could not give; raise where a sharp quotient contradicts what it gave."""
    missing = places[~np.isfinite(c.reference[places])]
    if len(missing):
        raise ReferenceUnsafe("it overflows on the way, where the real forward pass does not")
    asked = places[:QUOTIENTS]
    plain = bench.estimate(c.name, c.entries[asked], Richardson())
    told = _told(c, asked, plain)
    within_reach = True
    if told is Told.NOTHING:  # too blunt; wider steps may be sharper
        wider = bench.estimate(c.name, c.entries[asked], Richardson(widest=WIDER))
        told = _told(c, asked, confirmed(plain, wider))
        within_reach = _within_reach(bench, c, asked, wider)
    if told is not Told.AGAINST_GRADIENT and within_reach:
        told = _told(c, asked, refined(bench, c.name, c.entries[asked]))
    if told is Told.AGAINST_REFERENCE and bench.reference.noise is None:
        noisy = _with_noise(bench, c, asked)
        told = _told(c, asked, refined(noisy, c.name, c.entries[asked]))
    if told is Told.AGAINST_REFERENCE:
        raise ReferenceUnsafe(f"for an entry of {c.name} a difference quotient contradicts it")
    if told is Told.NOTHING:
        _borne_out_elsewhere(bench, c, c.entries[asked])
    return c


def _with_noise(bench: Bench, c: Comparison, places: Array) -> Bench:
    """The bench with the measured noise of the loss along some entries: a complex step never asked for it.

    By its values alone a loss is rounded to an ulp. The sine of a hundred radians is rounded to a hundred.
    """
    point = bench.reference.point
    along = np.zeros(c.shape, point[c.name].dtype)
    along.reshape(-1)[c.entries[places]] = bench.scale(c.name) * bench.rng.choice([-1.0, 1.0], len(places))
    noise = noise_at(lambda at: float_of(bench.loss(at)), point, direction={c.name: along}, eps=bench.reference.eps)
    return replace(bench, reference=replace(bench.reference, noise=noise))


def _within_reach(bench: Bench, c: Comparison, places: Array, wider: Estimate) -> bool:
    """Whether noise alone, over the widest step of any ladder, would leave a discrepancy visible."""
    least = wider.roundoff * wider.step / (WIDER * bench.scale(c.name))
    return bool((REFERENCE_SAFETY * least.astype(float) < c.difference[places]).any())


class Told(Enum):
    """What difference quotients say of a gradient and a complex step that do not agree."""

    AGAINST_REFERENCE = "they side with the gradient"
    AGAINST_GRADIENT = "they side with the complex step"
    NOTHING = "they side with both, or with neither"


def _told(c: Comparison, places: Array, estimate: Estimate) -> Told:
    value, error = estimate.value.astype(float), REFERENCE_SAFETY * estimate.error.astype(float)
    with_gradient = np.abs(value - c.analytic[places]) <= error + c.tolerance[places]
    with_reference = np.abs(value - c.reference[places]) <= error + c.tolerance[places]
    if (with_gradient & ~with_reference).any():
        return Told.AGAINST_REFERENCE
    return Told.AGAINST_GRADIENT if (with_reference & ~with_gradient).any() else Told.NOTHING


def _borne_out_elsewhere(bench: Bench, c: Comparison, entries: Array) -> None:
    """Raise where quotients, which cannot tell here, contradict the complex step at a point scaled down.

    Code that drops the imaginary part of a share of the loss too small to be seen here drops it there too, where it
    may be a larger share. A fault of the gradient that is too small to be seen stays so, or shows as one.
    """
    for factor in TAMER:
        try:
            there = bench.moved(factor)
            if there is None or c.name not in there.gradient:
                continue
            comparison = there.compared(c.name, entries)
            places = np.flatnonzero(comparison.wrong)
            estimate = there.estimate(c.name, entries[places], Richardson()) if len(places) else None
        except (SubjectFailed, SubjectError):
            continue
        if estimate and _told(comparison, places, estimate) is Told.AGAINST_REFERENCE:
            raise ReferenceUnsafe(f"for an entry of {c.name} at {factor:g} times the point a quotient contradicts it")
