"""Where in a block the wrong entries lie, if that has a shape: rows, columns, a part, the diagonal, time steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.compare import is_timed
from bptt_check.patterns.arrangements import PARTS
from bptt_check.patterns.factors import multiples
from bptt_check.patterns.guess import Guess
from bptt_check.patterns.side import Array, Side, norm
from bptt_check.patterns.values import chance

FILLED = 0.8  # share of a region's entries that must be wrong


@dataclass(frozen=True, eq=False)
class Region:
    """A set of entries with a name: ``kind`` and ``text``, as an index of NumPy or a word. ``bits``: among how many."""

    kind: str
    text: str
    mask: Array
    index: Any
    bits: float


def region_of(side: Side, H: int | None = None) -> Region | None:
    """The shape that the wrong entries have, if they have one and do not fill the block. ``H``: the size of a part."""
    wrong, known = side.wrong, side.known
    if not wrong.any() or (wrong == known).all():
        return None
    boxes = [_box(side, H), *_slanted(side)]
    for region in boxes:
        if region is None:
            continue
        inside = known & region.mask
        if (wrong & ~inside).any() or not (known & ~inside).any():
            continue
        if np.count_nonzero(wrong) >= FILLED * np.count_nonzero(inside):
            return region
    return None


def located(wrong: Sequence[Side], lengths: Mapping[str, int]) -> Iterator[Guess]:
    """Blocks that are right outside a region, with what is there if that is a multiple or nothing."""
    for side in wrong:
        region = region_of(side, lengths.get("H"))
        if region is None:
            continue
        k, inside, among = (int(np.count_nonzero(m)) for m in (side.wrong, side.known & region.mask, side.known))
        bits = chance(among, k) - chance(inside, k) - region.bits
        predicted = np.where(region.mask, side.a, side.r)
        message, factor = f"is right but for {region.text}", None
        if region.kind == "steps-wrong":
            steps = np.flatnonzero(region.mask.any(axis=tuple(range(1, region.mask.ndim))))
            message = f"is wrong {steps_in_words([int(t) + 1 for t in steps], len(region.mask))} and right elsewhere"
        part = side.part(region.index)
        remedy = "look at what is written there and nowhere else"
        if not part.a.any():
            message = f"{message}, where it is zero"
            predicted, factor, bits = np.where(region.mask, 0, side.r), 0.0, max(bits, 0) + 8.0 * k
        else:
            for guess in multiples([part], lengths):
                if guess.fit().exact and guess.fit().entries > 1 + guess.numbers:
                    message, factor = f"{message}, where it {guess.message}", guess.factor
                    bits += guess.fit().bits - guess.numbers * guess.fit().most
                    predicted, remedy = np.where(region.mask, (factor or 0.0) * side.r, side.r), guess.remedy
                    break
        with np.errstate(all="ignore"):
            rest = side.a[region.mask] if factor is None else side.a[region.mask] - predicted[region.mask]
        yield Guess(
            region.kind, side, message, remedy, predicted, side.slack * max(1.0, abs(factor or 0.0)), factor,
            key=(message,), bits=bits, residual=None if factor is not None or not rest.size else _off(side),
        )  # fmt: skip


def _off(side: Side) -> float:
    """How far off the block is as it stands: what a region alone leaves unexplained."""
    size = norm(side.a[side.known])
    return norm(side.difference[side.known]) / size if size else 1.0


def _box(side: Side, H: int | None) -> Region | None:
    """The smallest product of indices along each axis that holds all wrong entries."""
    wrong = side.wrong
    if not wrong.ndim:
        return None
    chosen = [
        np.flatnonzero(wrong.any(axis=tuple(k for k in range(wrong.ndim) if k != axis))) for axis in range(wrong.ndim)
    ]
    for axis, n in enumerate(wrong.shape):  # what was not compared does not narrow a region
        whole = [np.arange(n) if k == axis else of for k, of in enumerate(chosen)]
        if (wrong | ~side.known)[np.ix_(*whole)].all():
            chosen = whole
    narrowed = [axis for axis, of in enumerate(chosen) if len(of) < wrong.shape[axis]]
    if not narrowed:
        return None
    index = np.ix_(*chosen)
    mask = np.zeros(wrong.shape, bool)
    mask[index] = True
    kind = _kind(side, narrowed, chosen, H)
    bits = 3.5 if kind == "part" else sum(_bits_of(of, wrong.shape[axis]) for axis, of in enumerate(chosen))
    return Region(kind, sliced(chosen, wrong.shape), mask, index, bits)


def _kind(side: Side, narrowed: list[int], chosen: list[Array], H: int | None) -> str:
    shape = side.a.shape
    if len(narrowed) > 1:
        return "corner"
    axis = narrowed[0]
    if axis == 0 and is_timed(side.name):
        return "steps-wrong"
    of, n = chosen[axis], shape[axis]
    for count in PARTS:
        size = n // count
        if (
            size > 1
            and size in (H, n / 4)
            and n % count == 0
            and len(of) == size
            and of[0] % size == 0
            and of[-1] - of[0] == size - 1
        ):
            return "part"
    if len(shape) == 1:
        return "entries"
    return "rows" if axis == len(shape) - 2 else "columns" if axis == len(shape) - 1 else "slices"


def sliced(chosen: Sequence[Array], shape: Sequence[int]) -> str:
    """Indices as NumPy would take them: ``[2, :]``, ``[:, 3:]``, ``[[0, 4], :]``."""
    return "[" + ", ".join(_slice(of, n) for of, n in zip(chosen, shape, strict=True)) + "]"


def steps_in_words(steps: Sequence[int], T: int) -> str:
    """Some of the steps 1 … T in words: ``"from t = 4 down"``, ``"at t = 1 only"``, ``"at all steps"``."""
    steps = sorted(steps)
    if len(steps) == T:
        return "at all steps" if T > 1 else "at the only step"
    if len(steps) == 1:
        ends = {T: f"at the last step only (t = {T})", 1: "at t = 1 only"}
        return ends.get(steps[0], f"at t = {steps[0]} only")
    if steps == list(range(1, steps[-1] + 1)):
        return f"from t = {steps[-1]} down"
    if steps == list(range(steps[0], T + 1)):
        return f"from t = {steps[0]} on"
    if steps == list(range(steps[0], steps[-1] + 1)):
        return f"at t = {steps[0]} … {steps[-1]}"
    said = ", ".join(map(str, steps[:12]))
    return f"at t = {said}{' …' if len(steps) > 12 else ''}"


def _slice(of: Array, n: int) -> str:
    first, last = int(of[0]), int(of[-1])
    if len(of) == n:
        return ":"
    if len(of) == 1:
        return str(first)
    if last - first == len(of) - 1:
        return f"{first or ''}:{'' if last == n - 1 else last + 1}"
    return "[" + ", ".join(map(str, of[:8])) + (", …" if len(of) > 8 else "") + "]"


def _bits_of(of: Array, n: int) -> float:
    if len(of) == n:
        return 0.0
    if len(of) == 1:
        return float(np.log2(2 * n))
    if int(of[-1]) - int(of[0]) > len(of) - 1:
        return chance(n, len(of)) + float(np.log2(8 * n))
    return float(np.log2(4 * n if of[0] == 0 or of[-1] == n - 1 else 2 * n * (n + 1)))


def _slanted(side: Side) -> Iterator[Region]:
    """Diagonals and triangles of a square matrix."""
    shape = side.a.shape
    if len(shape) != 2 or shape[0] != shape[1] or shape[0] < 2:
        return
    row, column = np.indices(shape)
    slants: tuple[tuple[str, str, Any], ...] = (
        ("diagonal", "its diagonal", row == column),
        ("triangle", "the entries above its diagonal", row < column),
        ("triangle", "the entries below its diagonal", row > column),
        ("off-diagonal", "the entries off its diagonal", row != column),
        ("triangle", "its diagonal and the entries above it", row <= column),
        ("triangle", "its diagonal and the entries below it", row >= column),
    )
    for kind, text, mask in slants:
        yield Region(kind, text, mask, mask, 5.0 if kind == "triangle" else 3.0)
