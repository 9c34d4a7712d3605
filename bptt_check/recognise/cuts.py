"""How a user's array may be cut into ours: gates packed along an axis, x and h side by side, a bias as a row.

Arrays here hold the *places* of entries among all entries of the user's point, so that a cut is an indexing and
nothing else: what is read through it are values, and what is written back through it are gradients.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np

from bptt_check.lstm.variants import Variant
from bptt_check.points import Array

GATES_AT_MOST = 4
REMEMBERED = 256  # cuts of as many small arrays are kept: of each frame that is tried most are asked for again
SMALL = 4096  # entries of a small one
Reading = tuple[str, Array]  # what kind of array of ours, and the place of each of its entries


@dataclass(frozen=True, eq=False)
class Piece:
    """A part of a user's array that is one of ours.

    ``entries``: the places of what it consists of. ``readings``: the kinds of array that its shape allows.
    """

    entries: Array
    readings: tuple[Reading, ...]

    @cached_property
    def places(self) -> Array:
        """The entries that it consists of, in rising order."""
        return np.sort(self.entries, axis=None)


def roles(variant: Variant) -> dict[str, tuple[str, ...]]:
    """Our arrays by kind."""
    seen = [(k, j) for k in variant.blocks for j in variant.sees(k)]
    gates = ("i0", "f0", "o0") if variant.gate_recurrence else ()
    return {
        "from x": tuple(f"W_{k}x" for k, j in seen if j == "x"),
        "recurrent": tuple(f"W_{k}{j}" for k, j in seen if j != "x"),
        "vector": (*(f"b_{k}" for k in variant.blocks), *(f"p_{k}" for k in variant.peepholed)),
        "diagonal": tuple(f"p_{k}" for k in variant.peepholed),
        "state": ("h0", "s0", *gates),
    }


def cuts_of(places: Array, B: int, D: int, H: int) -> list[tuple[Piece, ...]]:
    """Every way to cut an array; the last one leaves it as it is, of no kind."""
    if places.size > SMALL:
        return _cuts(places, B, D, H)
    return list(_cuts_of_small(places.tobytes(), places.dtype.str, places.shape, B, D, H))


@lru_cache(REMEMBERED)
def _cuts_of_small(held: bytes, kind: str, shape: tuple[int, ...], B: int, D: int, H: int) -> list[tuple[Piece, ...]]:
    return _cuts(np.frombuffer(held, kind).reshape(shape), B, D, H)


def _cuts(places: Array, B: int, D: int, H: int) -> list[tuple[Piece, ...]]:
    cuts: dict[tuple[bytes, ...], tuple[Piece, ...]] = {}
    for parts in _packed(places):
        for pieces in zip(*(_pieces(part, B, D, H) for part in parts), strict=True):
            cut = tuple(piece for unit in pieces for piece in unit)
            cuts.setdefault(tuple(sorted(piece.places.tobytes() for piece in cut)), cut)
    return list(cuts.values()) or [(Piece(places, ()),)]


def _packed(places: Array) -> Iterator[list[Array]]:
    """The array as it is, and in 4, 3 or 2 equal parts along each axis: one behind the other, or interleaved."""
    yield [places]
    for n, axis in product(range(GATES_AT_MOST, 1, -1), range(places.ndim)):
        if places.shape[axis] % n == 0:
            yield np.split(places, n, axis)
            yield [places.take(range(k, places.shape[axis], n), axis) for k in range(n)]


def _pieces(part: Array, B: int, D: int, H: int) -> Iterator[list[Piece]]:
    """The part as one piece, and then as columns side by side."""
    whole = _readings(part, B, D, H)
    if whole:
        yield [Piece(part, tuple(whole))]
    if part.size % H == 0:
        width = part.size // H
        for widths in _columns(width, D, H):
            for matrix in _shaped(part, H, width):
                columns = np.split(matrix, np.cumsum(widths)[:-1], axis=1)
                yield [Piece(column, tuple(_readings(column, B, D, H))) for column in columns]


def _columns(width: int, D: int, H: int) -> Iterator[list[int]]:
    """Widths of [x, h …] side by side in one matrix: x first or last, recurrent ones, a bias first or last."""
    for bias, of_x in product(("", "first", "last"), repeat=2):
        rest = width - bool(bias) - bool(of_x) * D
        if rest < 0 or rest % H or rest // H > GATES_AT_MOST:
            continue
        widths = [H] * (rest // H)
        widths = [D, *widths] if of_x == "first" else [*widths, D] if of_x else widths
        widths = [1, *widths] if bias == "first" else [*widths, 1] if bias else widths
        if len(widths) > 1:
            yield widths


def _readings(part: Array, B: int, D: int, H: int) -> list[Reading]:
    readings: list[Reading] = []
    if _lengths(part.shape) == _lengths((H,)):
        vector = part.reshape(H)
        readings += [("vector", vector), ("state", np.broadcast_to(vector, (B, H)))]
    for kind, rows, columns in (("state", B, H), ("from x", H, D), ("recurrent", H, H)):
        readings += [(kind, matrix) for matrix in _shaped(part, rows, columns)]
    if part.shape == (H, H) and H > 1:
        readings.append(("diagonal", np.diagonal(part)))
    return list({(kind, matrix.tobytes()): (kind, matrix) for kind, matrix in readings}.values())


def _shaped(part: Array, rows: int, columns: int) -> Iterator[Array]:
    """The part as a matrix of that shape, as it is and transposed, whatever axes of length 1 it has."""
    if _lengths(part.shape) == _lengths((rows, columns)):
        yield part.reshape(rows, columns)
    if _lengths(part.shape) == _lengths((columns, rows)) and rows > 1 and columns > 1:
        yield part.reshape(columns, rows).T


@lru_cache(REMEMBERED)
def _lengths(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n > 1)
