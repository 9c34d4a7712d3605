"""Shapes of a case: how they are written, which are tried, and which are smaller."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace

from bptt_check.errors import UsageError

LETTERS = ("T", "B", "D", "H")
LARGEST = 10_000


@dataclass(frozen=True)
class Shape:
    """T steps, B sequences, D inputs, H memory cells."""

    T: int
    B: int
    D: int
    H: int

    def __str__(self) -> str:
        return ",".join(f"{letter}={length}" for letter, length in self.lengths.items())

    @property
    def lengths(self) -> dict[str, int]:
        """The four lengths by letter."""
        return asdict(self)

    @property
    def size(self) -> tuple[int, ...]:
        """A sorting key: smaller cases first, few steps before few of anything else."""
        return (self.T * self.B * self.D * self.H, self.T, self.H, self.B, self.D)

    def smaller(self) -> Iterator[Shape]:
        """Every shape with one of the lengths reduced, the boldest reductions first."""
        for bold in (lambda n: 1, lambda n: n // 2, lambda n: n - 1):
            for letter, length in self.lengths.items():
                if 1 <= bold(length) < length:
                    yield replace(self, **{letter: bold(length)})


# In the order of what each adds: the first few already hold T = 1 and T ≥ 5, B = 1 and 3, D ≠ H both ways.
FIXED = (
    Shape(5, 3, 2, 4),
    Shape(1, 1, 3, 2),
    Shape(2, 1, 1, 1),
    Shape(1, 3, 2, 3),
    Shape(5, 1, 3, 2),
    Shape(2, 1, 2, 3),
    Shape(1, 1, 1, 1),
    Shape(3, 2, 2, 2),
    Shape(7, 3, 4, 2),
    Shape(2, 2, 3, 1),
)


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """Shapes written as ``"T=1,B=1,D=2,H=3;T=5,B=3,D=3,H=2"``.

    Raises
    ------
    UsageError
        For anything else; the piece that was not understood is shown.
    """
    shapes = tuple(_parsed(piece) for piece in text.split(";") if piece.strip())
    if not shapes:
        raise UsageError('--shapes is empty; write it as "T=1,B=1,D=2,H=3;T=5,B=3,D=3,H=2"')
    return shapes


def _parsed(text: str) -> Shape:
    lengths: dict[str, int] = {}
    for piece in text.split(","):
        letter, equals, digits = (part.strip() for part in piece.partition("="))
        if letter not in LETTERS or not equals or not digits.isascii() or not digits.isdecimal() or letter in lengths:
            raise UsageError(f'--shapes: {text.strip()!r} is not a shape; write all four of them, "T=1,B=1,D=2,H=3"')
        lengths[letter] = int(digits[:9])
    return shape_of(lengths)


def shape_of(lengths: dict[str, int]) -> Shape:
    """The shape with these four lengths. Raises ``UsageError`` where one is missing or out of range."""
    missing = [letter for letter in LETTERS if letter not in lengths]
    if missing or lengths.keys() - set(LETTERS):
        wrong = f"lacks {', '.join(missing)}" if missing else "has other letters"
        raise UsageError(f'a shape takes T, B, D and H, such as "T=1,B=1,D=2,H=3"; this one {wrong}')
    for letter, length in lengths.items():
        if not 1 <= length <= LARGEST:
            raise UsageError(f"{letter} must lie between 1 and {LARGEST}; it is {length}")
    return Shape(**lengths)


def shapes_to_try(count: int | None, seed: int) -> tuple[Shape, ...]:
    """``count`` different shapes, the smallest first: the fixed ones (all where it is ``None``), then random ones."""
    wanted = len(FIXED) if count is None else count
    shapes = list(FIXED[:wanted])
    rng = random.Random(seed)
    widest = 4
    while len(shapes) < wanted:
        drawn = Shape(rng.randint(1, 2 * widest), rng.randint(1, 3), rng.randint(1, widest), rng.randint(1, widest))
        if drawn not in shapes:
            shapes.append(drawn)
        if len(shapes) % 50 == 0:
            widest += 1  # never runs out of new ones
    return sorted_shapes(shapes)


def sorted_shapes(shapes: Iterable[Shape]) -> tuple[Shape, ...]:
    """Each shape once, the smallest first."""
    return tuple(sorted(dict.fromkeys(shapes), key=lambda shape: shape.size))
