"""Which loss of h(1 … T) a subject's number is, declared with ``loss_of=`` and ``targets=``."""

from __future__ import annotations

from typing import Any

import numpy as np

from bptt_check.errors import SubjectError
from bptt_check.forms.builtin import chosen_loss
from bptt_check.lstm.losses import Loss
from bptt_check.points import Point
from bptt_check.recurrence import LossOfH


def declared_loss(loss_of: str | Loss | None, targets: Any, point: Point) -> LossOfH | None:
    """The loss that is declared, or ``None``.

    Raises
    ------
    SubjectError
        For an unknown loss, for targets without a loss, and for targets that are not there or no array of numbers.
    """
    if loss_of is None:
        if targets is not None:
            raise SubjectError("targets= is given without loss_of=: of which loss are they the targets?")
        return None
    if isinstance(targets, str):
        if targets not in point:
            raise SubjectError(f"targets= names {targets}, which the point lacks; it has {', '.join(point)}")
        shape = np.shape(point[targets])
    elif targets is not None:
        targets = np.array(targets)
        if targets.dtype.kind not in "fiub":
            raise SubjectError(f"targets= must be numbers, or the name of an array of the point; it is {targets.dtype}")
        shape = targets.shape
    else:
        shape = ()
    T, B = shape[:2] if len(shape) == 3 else (0, 0)
    if isinstance(loss_of, str) and loss_of.startswith(("last_step", "unequal_lengths")):
        if loss_of.startswith("unequal_lengths"):
            raise SubjectError("loss_of='unequal_lengths' draws lengths; declare Loss.masked(lengths, T) of yours")
        if not T:
            raise SubjectError(f"loss_of={loss_of!r} needs targets= of shape (T, B, H); they have shape {shape}")
    return LossOfH(chosen_loss(loss_of, T=T, B=B, rng=np.random.default_rng(0)), targets)
