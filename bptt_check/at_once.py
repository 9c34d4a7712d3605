"""A small subject that carries copies on a leading axis, looked at in two calls of its code: no more if all is right.

The first, in long double, gives gradient and loss at the point and the loss a step to either side of it, along a random
direction. The second takes a complex step along directions over all blocks, and along that one: where the quotients of
the first call bear it out, it is proved safe (proof.py) by as much as calls of their own would prove.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bptt_check import rounding
from bptt_check.differences import ComplexStep
from bptt_check.flat import TOGETHER, end_to_end, shapes_of
from bptt_check.levels import Levels
from bptt_check.points import total_size
from bptt_check.proof import NEARBY, is_met
from bptt_check.reference import CARRIED, Reference, has_long_double, probe_direction
from bptt_check.stacks import losses_and_gradients
from bptt_check.subject import Array, Subject


@dataclass(frozen=True)
class First:
    """What the first call gave: rounding levels, presumed, and a complex step that is not proved yet.

    ``probe``: the direction, all blocks laid end to end, along which the loss, ``size`` at the point, has
    ``quotients``, one to either side: at a kink they differ.
    """

    levels: Levels
    reference: Reference
    probe: Array
    quotients: tuple[float, float]
    size: float

    def bears_out(self, slope: float) -> bool:
        """Whether the complex step's derivative along the probe is that of real losses."""
        return all(is_met(quotient, slope, self.size, np.longdouble) for quotient in self.quotients)


def first_call(
    subject: Subject, gradient: Mapping[str, Array], *, eps: float, rng: np.random.Generator
) -> First | None:
    """The first call; ``None`` where the subject is not of this kind, or does not carry copies or long double."""
    blocks = subject.blocks
    if not subject.stacked or total_size(blocks.values()) > TOGETHER or not has_long_double():
        return None
    flat = end_to_end(shapes_of(blocks))
    if flat.shapes != shapes_of(gradient):
        return None
    whole = flat.join(blocks).astype(np.longdouble)
    probe = flat.join(probe_direction(blocks, gradient, rng))
    points = flat.split(np.stack([whole, whole + NEARBY * probe, whole - NEARBY * probe]))
    seen = losses_and_gradients(subject, points, gradient, eps=eps)
    if seen is None:
        return None
    losses, rows = seen
    point = flat.split(whole)
    finer = rounding.presumed_finer(flat.split(rows[0]), point, gradient, eps=eps)
    found = Levels(finer.gradient, finer.rounding, finer.own, 1, presumed=True)
    reference = Reference(ComplexStep(), point, CARRIED, True, float(np.finfo(np.longdouble).eps), None, 0)
    quotients = float((losses[1] - losses[0]) / NEARBY), float((losses[0] - losses[2]) / NEARBY)
    return First(found, reference, probe, quotients, float(losses[0]))
