"""Mistakes that are made entry by entry: nothing there, clipped, cut off, rounded, without its sign."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from bptt_check.patterns.guess import NAMED, Guess, Ray, shared
from bptt_check.patterns.numbers import is_round, rounded, shown
from bptt_check.patterns.side import BITS, Array, Side

CERTAIN = 64.0  # bits of what needs no evidence: that every number is zero, say
FORMATS = (("float16", 10, -24), ("bfloat16", 7, -133), ("float32", 23, -149))  # bits of the fraction, least exponent
DECIMALS = range(1, 13)
NOT_THE_DERIVATIVE = "change gradients when the weights are updated; what is handed out is to be the derivative"


def missing(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Blocks of zeros that should not be zero, and blocks that should be."""
    for key, said, bits in (
        ("all", "is zero throughout: a path to it is missing", CERTAIN),
        ("rounding", "is next to nothing beside the right one: the paths that matter are missing", None),
    ):
        absent = [side for side in wrong if _is_zero(side) == key]
        for side in absent:
            yield Guess("zero", side, said, _path(absent), np.zeros_like(side.a), key=(key,), bits=bits)
    for side in wrong:
        if side.known.all() and not side.r.any():
            yield Guess(
                "independent", side,
                "is not zero, but the loss does not depend on it: is a copy kept from the first use?",
                "let the loss read the array that it is given, or hand out zeros",
                np.where(side.wrong, side.a, side.r), key=("all",), bits=CERTAIN,
            )  # fmt: skip


def clipped(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Blocks whose largest entries all stand at one bound, the others being right."""
    for side in wrong:
        size = np.abs(side.a)
        bound = float(size.max())
        if not 0 < bound < np.inf:
            continue
        at = side.known & (size == bound)
        with np.errstate(all="ignore"):
            beyond = (np.abs(side.r) >= bound - side.slack) & (np.sign(side.r) == np.sign(side.a))
        count = int(at.sum())
        if count + is_round(bound) < 2 or not beyond[at].all() or (side.wrong & ~at).any():
            continue
        yield Guess(
            "clipped", side, f"is clipped at ±{bound:.6g}", NOT_THE_DERIVATIVE,
            np.where(at, side.a, side.r), factor=bound, key=(bound,),
            choices=NAMED if is_round(bound) else 1.0, numbers=0 if is_round(bound) else 1,
        )  # fmt: skip


def cut_off(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Dead zones: entries below some size are exactly zero, the others are right."""
    found = []
    for side in wrong:
        gone = side.wrong & (side.a == 0)
        kept = side.known & (side.a != 0)
        if not (side.wrong & ~gone).any() and kept.any():
            largest, least = float(np.abs(side.r[gone]).max()), float(np.abs(side.a[kept]).min())
            if largest < least:
                found.append((side, gone, largest, least))
    low, high = max((f[2] for f in found), default=0.0), min((f[3] for f in found), default=0.0)
    for side, gone, largest, least in found:
        one = low < high
        below, above = (low, high) if one else (largest, least)
        bound = _between(below, above)
        yield Guess(
            "dead-zone", side, f"is zero wherever it should be smaller than about {bound:.3g}, and right elsewhere",
            "do not drop small entries", np.where(gone, 0, side.r), factor=bound, key=("one",) if one else (bound,),
            bits=chance(int(side.known.sum()), int(gone.sum())),
        )  # fmt: skip


def rounded_off(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Blocks that hold the right numbers in fewer digits than they should have."""
    for side in wrong:
        told = side.known & np.isfinite(side.a) & np.isfinite(side.r)
        a, off = side.a[told], side.difference[told]
        slack, bad = side.slack[told], side.wrong[told] & (side.a[told] != 0)
        if not bad.any() or not np.isfinite(side.a).all():
            continue
        for name, fraction, least in FORMATS:
            exponent = np.maximum(np.frexp(a)[1] - 1 - fraction, least)
            yield from _on_grid(side, a, off, slack, bad, np.exp2(exponent.astype(a.dtype)), f"to {name}", 8.0)
        yield from _on_grid(side, a, off, slack, bad, np.ones_like(a), "to whole numbers", 4.0)
        for digits in DECIMALS:
            grid = np.full_like(a, 10.0**-digits)
            if guesses := list(_on_grid(side, a, off, slack, bad, grid, f"to {digits} decimals", 32.0)):
                yield from guesses
                break
        with np.errstate(all="ignore"):
            magnitude = np.where(a != 0, np.floor(np.log10(np.abs(a))), 0)
        for digits in DECIMALS:
            grid = 10.0 ** (magnitude - digits + 1)
            if guesses := list(_on_grid(side, a, off, slack, bad, grid, f"to {digits} significant digits", 32.0)):
                yield from guesses
                break


def _on_grid(
    side: Side, a: Array, off: Array, slack: Array, bad: Array, grid: Array, what: str, choices: float
) -> Iterator[Guess]:
    """The guess that each entry is the multiple of ``grid`` next to the right number."""
    with np.errstate(all="ignore"):
        steps = a / grid
        exact = np.abs(steps - np.rint(steps)) <= 4 * side.eps * np.abs(steps)
        worth = np.log2(np.abs(grid / (8 * side.eps * a)))[bad]
    if not exact.all() or (off > 0.5 * grid * (1 + 1e-9) + slack).any() or not (worth > 1).all():
        return
    yield Guess(
        "rounded", side, f"is rounded {what}", "compute and hand out the gradient in the precision of its inputs",
        np.where(side.known, side.a, np.nan), key=(what,), choices=choices,
        bits=float(np.clip(worth, 0, BITS).sum()),
    )  # fmt: skip


def unsigned(wrong: Sequence[Side]) -> Iterator[Guess]:
    """Without signs, signs alone, one half of the numbers, squares."""
    for side in wrong:
        r = side.r
        with np.errstate(all="ignore"):
            square = r * r
        for kind, message, predicted in (
            ("absolute", "is the absolute value of the right one", np.abs(r)),
            ("absolute", "is minus the absolute value of the right one", -np.abs(r)),
            ("positive-part", "is the right one where that is positive, and zero elsewhere", np.fmax(r, 0 * r)),
            ("negative-part", "is the right one where that is negative, and zero elsewhere", np.fmin(r, 0 * r)),
            ("square", "is the square of the right one", square),
        ):
            yield Guess(kind, side, message, NOT_THE_DERIVATIVE, predicted, key=(message,), choices=6, least=2)
    for group in shared([Ray(side, _signs(side)) for side in wrong if side.a.any()], rounded):
        number = shown(group.number)
        message = (
            "is the sign of the right one" if group.number == 1 else f"is {number} times the sign of the right one"
        )
        for ray in group.rays:
            yield Guess(
                "sign", ray.side, message, NOT_THE_DERIVATIVE, ray.at(group.number), ray.spread_at(group.number),
                group.number, key=(group.number,), choices=group.choices, numbers=group.numbers, least=2,
            )  # fmt: skip


def _signs(side: Side) -> Array:
    """Signs of the right one; unknown where rounding decides."""
    with np.errstate(all="ignore"):
        return np.where((np.abs(side.r) <= side.slack) & (side.r != 0), np.nan, np.sign(side.r))


def chance(among: int, chosen: int) -> float:
    """How many bits it takes to say which ``chosen`` of ``among`` entries are meant."""
    k = np.arange(1, min(chosen, among - chosen) + 1)
    return float(np.sum(np.log2((among - k + 1) / k)))


def _between(low: float, high: float) -> float:
    """The roundest number between two."""
    middle = float(np.sqrt(low) * np.sqrt(high)) if low else high
    for digits in range(3):
        number = float(f"{middle:.{digits}e}")
        if low < number <= high:
            return number
    return middle


def _is_zero(side: Side) -> str:
    """``"all"`` where every number is zero, ``"rounding"`` where none can be told from zero."""
    if not side.a.any():
        return "all"
    told = side.known & np.isfinite(side.a)
    return "rounding" if bool((np.abs(side.a) <= side.slack)[told].all()) else ""


def _path(absent: Sequence[Side]) -> str:
    names = sorted(side.name for side in absent)
    stems = {name[:-2] + "□" + name[-1] for name in names if len(name) > 2 and name[-3] == "_"}
    if len(names) > 1 and len(stems) == 1 and all(len(name) > 2 and name[-3] == "_" for name in names):
        return f"all {stems.pop()} vanish together: look for the one line that they share"
    if len(names) > 1:
        return f"{', '.join(names)} vanish together: look for what they are all computed from"
    return f"check that {names[0]} is written at all, and not only its name"
