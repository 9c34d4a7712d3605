"""What is known of a subject that runs over time: its outputs, and the derivative of the loss by each of them.

A form that has more than a loss says so here, so that its cell can be recognised by what it computes. A form that has
only the loss may declare which loss of h(1 … T) it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt_check.points import Array, Point

if TYPE_CHECKING:
    from bptt_check.lstm.losses import Loss
    from bptt_check.lstm.variants import Variant
    from bptt_check.recognise.record import Recognised

LOSS = "loss"  # the one output of a subject that returns only its loss


@dataclass(frozen=True)
class LossOfH:
    """A declared loss of all h(t). ``targets``: an array, the name of one in the point, or ``None`` for zeros.

    Targets have the axes T, B, H in any order; an axis may be missing, and is repeated then.
    """

    loss: Loss
    targets: Array | str | None = None

    def targets_at(self, point: Point) -> Array | None:
        """The targets of ``point``, as the user has them. Raises ``KeyError`` where the point lacks them."""
        found = point[self.targets] if isinstance(self.targets, str) else self.targets
        return None if found is None else np.asarray(found)

    def value(self, h: Array, y: Array) -> Array:
        """The loss of h (…, T, B, H) with targets that fit (T, B, H): one number for each stacked copy."""
        y = np.broadcast_to(y, h.shape[-3:])
        copies = h.reshape(-1, *h.shape[-3:])
        return np.array([self.loss.value(one, y) for one in copies]).reshape(h.shape[:-3])

    def slope(self, h: Array, y: Array) -> Array:
        """∂L/∂h(t), (T, B, H)."""
        return self.loss.derivative(h, np.broadcast_to(y, h.shape))


@dataclass(frozen=True)
class Recurrence:
    """What is known of a subject that runs over time.

    Attributes
    ----------
    outputs: outputs(point) -> the forward pass's outputs by name, as they come; ``{"loss": number}`` where the loss is
        all there is.
    cotangents: cotangents(outputs) -> ∂L/∂ of each output, same names and shapes.
    variant: where it is a built-in cell, with its own names and shapes.
    tapped: tapped(point) -> intermediates by ``"name(t)"``, (T, B, H), where the form has taps.
    loss: which loss of h the number is, where the loss is all there is.
    recognised: the cell, where it has been recognised at this point before; it is not looked for again.
    """

    outputs: Callable[[Point], Mapping[str, Array]]
    cotangents: Callable[[Mapping[str, Array]], Mapping[str, Array]]
    variant: Variant | None = None
    tapped: Callable[[Point], Mapping[str, Array]] | None = None
    loss: LossOfH | None = None
    recognised: Recognised | None = None


def of_loss(loss_at: Callable[[Point], Any], loss: LossOfH | None) -> Recurrence | None:
    """The recurrence of a subject that returns only its loss; ``None`` where it does not declare which one it is."""
    if loss is None:
        return None
    return Recurrence(
        outputs=lambda p: {LOSS: np.asarray(loss_at(p))},
        cotangents=lambda outputs: {name: np.ones_like(value) for name, value in outputs.items()},
        loss=loss,
    )
