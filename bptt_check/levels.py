"""A gradient with its rounding level, in the highest precision that its code and its reference carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bptt_check import rounding
from bptt_check.reference import Reference
from bptt_check.rounding import RUNS, Rounding
from bptt_check.stacks import stacked_gradients
from bptt_check.subject import Array, Point, Subject


@dataclass(frozen=True)
class Levels:
    """The gradient to compare and its rounding level; ``own``: the level of the gradient as the subject hands it out.

    The two are one where nothing higher than the subject's own precision is carried. ``calls`` counts gradients.
    ``presumed``: they are the least that they can be, at the point alone.
    """

    gradient: Mapping[str, Array]
    rounding: Rounding
    own: Rounding
    calls: int
    presumed: bool = False

    @property
    def extended(self) -> bool:
        """Whether the gradient is one of a higher precision."""
        return self.own is not self.rounding


def levels(
    subject: Subject,
    point: Point,
    gradient: Mapping[str, Array],
    reference: Reference,
    *,
    eps: float,
    rng: np.random.Generator,
    presume: bool = False,
) -> Levels:
    """What the gradient at ``point`` may be off by, and itself in long double where reference and gradient carry that.

    Then the subject's own rounding no longer hides whether its *equations* are right; what the two evaluations differ
    by shows how large it is, and so how large it is in long double. ``presume``: where long double is carried, the
    point is not moved, and conditioning taken to be the least that it can be.
    """
    together = stacked_gradients(subject, point, gradient, eps=eps)
    calls = 0
    if reference.exact and np.result_type(*reference.point.values()) == np.longdouble:
        finer, calls = rounding.measure_finer(
            subject.gradient,
            reference.point,
            gradient,
            eps=eps,
            rng=rng,
            runs=0 if presume else RUNS,
            of_the_form=subject.gradient_noise,
            together=together,
        )
        if finer:
            return Levels(finer.gradient, finer.rounding, finer.own, calls, presume)
    own = rounding.measure(
        subject.gradient, point, gradient, eps=eps, rng=rng, of_the_form=subject.gradient_noise, together=together
    )
    return Levels(gradient, own, own, calls + own.gradients)
