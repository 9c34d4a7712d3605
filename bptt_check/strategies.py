"""Hypothesis strategies, public: random LSTM cases with numbers that are short on a screen and shrink well.

Every number is a multiple of 1/8 (weights: plus a fixed 1/32 a block, so that no two gates are alike); weights lie
between ½ and 1 in size and initial states are never zero, because wrong backward passes hide behind zeros and equal
gates. Whatever else a case needs at random derives from the drawn numbers, so that a failing example fails again.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bptt_check.lstm.losses import LOSS_NAMES
from bptt_check.lstm.params import shapes, states
from bptt_check.lstm.variants import NP, POST, VARIANTS, Variant
from bptt_check.subject import Array, Subject

EIGHTHS = tuple(k / 8 for k in range(-8, 9))
AWAY_FROM_ZERO = tuple(sign * k / 8 for k in (4, 5, 6, 7) for sign in (1, -1))


@dataclass(frozen=True)
class LstmCase:
    """One drawn case: which cell, which loss, T, B, D, H, and all numbers of the point."""

    variant: Variant
    loss: str
    T: int
    B: int
    D: int
    H: int
    point: Mapping[str, Array] = field(repr=False)

    @property
    def seed(self) -> int:
        """A seed that depends on the drawn numbers and on nothing else."""
        return zlib.crc32(b"".join(array.tobytes() for array in self.point.values()))

    def subject(self) -> Subject:
        """The case as something to check, targets and sequence lengths drawn from :attr:`seed`."""
        return Subject.from_variant(
            self.variant, T=self.T, B=self.B, D=self.D, H=self.H, loss=self.loss, rng=self.seed, point=self.point
        )


def numbers(shape: tuple[int, ...], *, away_from_zero: bool = False) -> st.SearchStrategy[Array]:
    """Arrays of eighths in [−1, 1], or between ½ and 1 in absolute value; float64."""
    elements = st.sampled_from(AWAY_FROM_ZERO if away_from_zero else EIGHTHS)
    return hnp.arrays(np.float64, shape, elements=elements, fill=st.nothing())


def variants(names: Sequence[str] | None = None) -> st.SearchStrategy[Variant]:
    """Cells of the family: the post's and the common one first, where no names are given."""
    chosen = [v for v in VARIANTS if names is None or v.name in names]
    return st.sampled_from(sorted(chosen, key=lambda v: v not in (POST, NP)))


def losses() -> st.SearchStrategy[str]:
    """Names of losses, those at the last step and of unequal lengths among them."""
    return st.sampled_from(LOSS_NAMES)


@st.composite
def lstm_cases(
    draw: st.DrawFn,
    *,
    cells: st.SearchStrategy[Variant] = variants(),
    loss: st.SearchStrategy[str] = losses(),
    T: st.SearchStrategy[int] = st.integers(1, 6),
    B: st.SearchStrategy[int] = st.integers(1, 3),
    D: st.SearchStrategy[int] = st.integers(1, 4),
    H: st.SearchStrategy[int] = st.integers(1, 3),
) -> LstmCase:
    """A cell, a loss, a shape and all numbers. Each part can be replaced by a strategy of one's own."""
    variant, loss_name = draw(cells), draw(loss)
    steps, batch, inputs, cells_of_memory = draw(T), draw(B), draw(D), draw(H)
    point: dict[str, Array] = {}
    for k, (name, shape) in enumerate(shapes(variant, inputs, cells_of_memory).items()):
        point[name] = draw(numbers(shape, away_from_zero=True)) + k / 32
    point["x"] = draw(numbers((steps, batch, inputs)))
    for name, shape in states(variant, batch, cells_of_memory).items():
        point[name] = draw(numbers(shape, away_from_zero=True))
    return LstmCase(variant, loss_name, steps, batch, inputs, cells_of_memory, point)
