"""The built-in cells' own evaluator of perturbed copies, as a Subject takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from bptt_check.lstm.copies import CHUNK_BYTES, Setting, losses
from bptt_check.lstm.imaginary import complex_losses
from bptt_check.lstm.losses import Loss
from bptt_check.lstm.variants import Variant
from bptt_check.subject import Array, Point


@dataclass(frozen=True)
class CellCopies:
    """See :class:`~bptt_check.subject.Copies`. ``y`` are the targets, (T, B, H)."""

    variant: Variant
    loss: Loss
    y: Array

    def __call__(
        self,
        point: Point,
        names: Sequence[str],
        owner: Array,
        within: Array,
        offsets: Array,
        memory: int,
        on_steps: Callable[[int, int], None],
    ) -> Array | None:
        """Values by :mod:`bptt_check.lstm.copies` for real offsets, :mod:`bptt_check.lstm.imaginary` for tiny steps."""
        run = complex_losses if np.iscomplexobj(offsets) else losses
        setting = Setting(self.variant, point, self.loss, self.y)
        try:
            return run(setting, names, owner, within, offsets, chunk_bytes=min(CHUNK_BYTES, memory), on_steps=on_steps)
        except (ValueError, TypeError, IndexError, AttributeError):  # a loss of the user's that knows no leading axes
            return None

    def cost(self, name: str) -> float:
        """Steps of one sequence that a copy takes, on average."""
        T, B, _ = self.y.shape
        timed = name == "x" or name.endswith("(t)")
        return (T + 1) / 2 if timed else float(T if name.endswith("0") else T * B)
