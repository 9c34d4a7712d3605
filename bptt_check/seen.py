"""What is counted and seen while a subject is on the bench: the bill, a direction's discrepancy, tamer points."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf, isfinite


@dataclass
class Bill:
    """What a check has cost so far. ``limit`` is what it may spend of its own accord while nothing is wrong."""

    losses: int = 0
    gradients: int = 0
    limit: int = 58  # so that a check stays within 60 when all is right

    @property
    def total(self) -> int:
        """In loss evaluations, a gradient counting as three."""
        return self.losses + 3 * self.gradients

    def more_losses(self, losses: int) -> None:
        """Count so many."""
        self.losses += losses


@dataclass
class Tame:
    """What points scaled down showed, once they were looked at: how much the loss is sensitive to there.

    ``largest`` sensitivity to anything, and to each block by itself, as a change of the loss; ``change`` of the loss
    from the point to these, in which a constant has no part. ``each``: whether blocks were scaled down one at a time.
    ``noise`` of the loss, relative (cancelling.py).
    """

    looked: bool = False
    each: bool = False
    largest: float = 0.0
    of_block: dict[str, float] = field(default_factory=dict)
    change: float = inf
    noise: float | None = None


@dataclass(frozen=True)
class Off:
    """Along one direction: how far the gradient's prediction is off (signed), what may be off, and the blunt limit.

    ``own`` is how far the gradient is off as the subject hands it out, in its own precision.
    """

    discrepancy: float
    tolerance: float
    blunt: float
    own: float

    @property
    def ratio(self) -> float:
        """Discrepancy in units of the tolerance."""
        if not isfinite(self.discrepancy):
            return inf
        off = abs(self.discrepancy)
        return off / self.tolerance if self.tolerance else (inf if off else 0.0)
