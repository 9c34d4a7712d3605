"""Hypothesis strategies, public: random LSTM cases with numbers that are short on a screen and shrink well.

Every number is a multiple of 1/8 (weights: plus a fixed 1/32 a block, so that no two gates are alike); weights lie
between ½ and 1 in size and initial states are never zero, because wrong backward passes hide behind zeros and equal
gates. Whatever else a case needs at random derives from the drawn numbers, so that a failing example fails again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bptt_check.errors import UsageError
from bptt_check.lstm.losses import LOSS_NAMES, Loss, loss_named
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


SIZES = {"T": (1, 6), "B": (1, 3), "D": (1, 4), "H": (1, 3)}
SEEDS = 2**16
LOCAL = "<locals>"  # in the name of a class that is made inside a function, where nothing can import it
SHORT = tuple(sign * k / 8 for k in (4, 8, 5, 6, 7, 3, 12) for sign in (1, -1))  # never zero, the simplest first
NEAR_A_KINK = 1e-3  # a loss without a derivative so near is drawn again


@dataclass(frozen=True)
class CellCase:
    """One drawn case of a user's cell, or of a built-in one by name. Prints as the line that makes it again.

    ``point`` holds all numbers of the point, eighths as nested lists; targets and lengths come from the seed ``rng``.
    """

    cell: Any
    loss: str | Loss
    T: int
    B: int
    D: int
    H: int
    rng: int
    point: Mapping[str, Any]

    def subject(self) -> Subject:
        """The case as something to check."""
        make = Subject.from_variant if isinstance(self.cell, str) else Subject.from_cell
        return make(
            self.cell, T=self.T, B=self.B, D=self.D, H=self.H, loss=self.loss, rng=self.rng, point=_arrays(self.point)
        )

    def near_a_kink(self, subject: Subject) -> bool:
        """Whether the loss has a place without a derivative so near that differences straddle it."""
        return subject.kink_distance is not None and subject.kink_distance < NEAR_A_KINK

    @property
    def code(self) -> str:
        """A few lines that check this case by themselves, where its cell can be imported."""
        kind = self.cell if isinstance(self.cell, type) else type(self.cell)
        found = not isinstance(self.cell, str) and LOCAL not in kind.__qualname__
        source = f"from {kind.__module__} import {kind.__qualname__.partition('.')[0]}\n" if found else ""
        return f"from bptt_check import Subject, check\n{source}\nprint(check({self!r}))"

    def __repr__(self) -> str:
        kind = self.cell if isinstance(self.cell, type) else type(self.cell)
        named = kind.__name__ if LOCAL in kind.__qualname__ else kind.__qualname__
        maker, cell = "from_cell", named if kind is self.cell else f"{named}()"
        if isinstance(self.cell, str):
            maker, cell = "from_variant", repr(self.cell)
        loss = repr(self.loss if isinstance(self.loss, str) else self.loss.name)
        drawn = (f", rng={self.rng}" if self.rng else "") + (f", point={dict(self.point)}" if self.point else "")
        return f"Subject.{maker}({cell}, T={self.T}, B={self.B}, D={self.D}, H={self.H}, loss={loss}{drawn})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """Print it so in Hypothesis's report of a failing test too, which prints records field by field."""
        printer.text(repr(self))


def cell_cases(
    cells: Sequence[Any], *, shapes: Any = None, losses: Sequence[str | Loss] = ("euclidean",)
) -> st.SearchStrategy[CellCase]:
    """Cases of ``cells``: a shape, a loss, and all numbers; small shapes and numbers of ½ are the simplest.

    Parameters
    ----------
    cells: classes or objects that :meth:`Subject.from_cell` takes, or names of built-in cells.
    shapes: ``{"T": (1, 8), "H": 2}``, ranges and sizes by letter, or a list of whole shapes; see :data:`SIZES`.
    losses: names, or :class:`~bptt_check.lstm.losses.Loss` objects.

    Raises
    ------
    UsageError
        Where there is no cell or no loss, and for a shape or a loss that does not exist.
    """
    if isinstance(cells, str) or not cells or isinstance(losses, str) or not losses:
        raise UsageError("cells= and losses= take a list of at least one; a single one needs brackets too: [MyCell]")
    for loss in losses:
        try:
            loss_named(loss, T=1, B=1, rng=np.random.default_rng(0)) if isinstance(loss, str) else loss.value
        except (ValueError, AttributeError) as error:
            raise UsageError(f"losses={losses!r}: {error}") from None
    return _cell_cases(list(cells), list(losses), _sizes(shapes))


@st.composite
def _cell_cases(
    draw: st.DrawFn, cells: Sequence[Any], losses: Sequence[str | Loss], sizes: st.SearchStrategy[dict[str, int]]
) -> CellCase:
    cell, loss, shape = draw(st.sampled_from(cells)), draw(st.sampled_from(losses)), draw(sizes)
    seed = draw(st.integers(0, SEEDS - 1))
    point = {name: _nested(draw, lengths) for name, lengths in _shapes_of(cell, **shape).items()}
    return CellCase(cell, loss, **shape, rng=seed, point=point)


def _shapes_of(cell: Any, *, T: int, B: int, D: int, H: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of the point; none for a cell of which ``Subject.from_cell`` has to say why."""
    if isinstance(cell, str):
        (variant,) = (v for v in VARIANTS if v.name == cell)
        return {**shapes(variant, D, H), "x": (T, B, D), **states(variant, B, H)}
    try:
        cell = cell() if isinstance(cell, type) else cell
        given = {name: tuple(map(int, shape)) for name, shape in cell.parameters(D, H).items()}
        return {**given, "x": (T, B, D), **{f"{name}0": (B, H) for name in cell.state}}
    except Exception:
        return {}


def _nested(draw: st.DrawFn, lengths: tuple[int, ...]) -> Any:
    """Short numbers in lists within each other, as they are written down."""
    size = math.prod(lengths)
    return np.reshape(draw(st.lists(st.sampled_from(SHORT), min_size=size, max_size=size)), lengths).tolist()


def _arrays(point: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.array(numbers) for name, numbers in point.items()}


def _sizes(shapes: Any) -> st.SearchStrategy[dict[str, int]]:
    if shapes is None or isinstance(shapes, Mapping):
        given = {**SIZES, **(shapes or {})}
        ranges = {letter: (size, size) if isinstance(size, int) else tuple(size) for letter, size in given.items()}
        if set(ranges) != set(SIZES) or any(len(r) != 2 or not 1 <= r[0] <= r[1] for r in ranges.values()):
            raise UsageError(
                f"shapes={shapes!r}: takes sizes or ranges for T, B, D, H, such as {{'T': (1, 8), 'H': 2}}"
            )
        return st.fixed_dictionaries({letter: st.integers(*low_high) for letter, low_high in ranges.items()})
    whole = [dict(shape) for shape in shapes]
    if not whole or any(set(shape) != set(SIZES) or min(shape.values()) < 1 for shape in whole):
        raise UsageError(f"shapes={shapes!r}: each must give T, B, D and H, such as {{'T': 3, 'B': 2, 'D': 1, 'H': 2}}")
    return st.sampled_from(whole)
