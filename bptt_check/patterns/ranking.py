"""From guesses to patterns: which of them the numbers bear out, in how many blocks, and which comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bptt_check.patterns import arrangements, between, factors, regions, steps, values
from bptt_check.patterns.guess import Guess
from bptt_check.patterns.side import Array, Fit, Side, sides

EVIDENCE = 16.0  # bits by which chance must be excluded, all that was tried being taken into account
REGIONS = (
    "rows",
    "columns",
    "slices",
    "part",
    "corner",
    "diagonal",
    "off-diagonal",
    "triangle",
    "entries",
    "steps-wrong",
)
ORDER = (
    "zero", "independent", "scaled", "clipped-norm", "learning-rate", "transposed", "swapped", "permuted", "shared",
    "first-step", "last-step", "all-but-last", "all-but-first", "steps", "step-missing", "step-twice", "step-shifted",
    "step-sign", "parts-permuted", "other-block", "rolled", "shifted", "reversed", "weight-decay", "offset",
    "updated-weight", "parameter", "clipped", "rounded", "sum", "reshaped", "interleaved", "parts-repeated",
    "accumulated", "spread", "absolute", "sign", "positive-part", "negative-part", "dead-zone", "weight-decay-l1",
    "parameter-product", "square", *REGIONS,
)  # fmt: skip
PLACE_EVIDENCE = 6.5  # the same where only places are claimed, and no numbers


@dataclass(frozen=True)
class Pattern:
    """What the numbers of wrong blocks have in common, as one mistake would make it.

    ``kind`` is one of ``patterns.KINDS``. ``message`` reads after a block's name; ``factor`` is the number in it, if it
    has one. ``residual`` is ‖a − what the mistake would make‖ / ‖a‖, the largest of the blocks: beside it ``exact``
    says whether that is rounding, entry by entry. A pattern that only says *where* a block is wrong is exact if all
    else is right, and its residual is how wrong the block is. ``remedy`` is what to change. ``also`` are other
    readings that fit the very same blocks just as exactly: the numbers cannot tell which of them it is.
    """

    kind: str
    blocks: tuple[str, ...]
    message: str
    factor: float | None
    residual: float
    exact: bool
    remedy: str
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        also = f" (or: {'; '.join(self.also)})" if self.also else ""
        return f"{', '.join(self.blocks)}: {self.message}{also}"


KINDS = ORDER


def patterns(
    analytic: Mapping[str, Array],
    reference: Mapping[str, Array],
    tolerance: Mapping[str, Array],
    *,
    point: Mapping[str, Array],
    lengths: Mapping[str, int],
    by_step: Mapping[str, Array] | None = None,
) -> tuple[Pattern, ...]:
    """What the numbers of a wrong gradient say by themselves, without any model of the recurrence.

    Parameters
    ----------
    analytic: the gradient under test, by block.
    reference: the reference derivative, each block of the same shape; NaN where an entry was not compared.
    tolerance: what |analytic − reference| may be without anything being wrong; of the block's shape, or a number.
    point: where the gradient was taken: blocks of the same names and shapes. Other entries are not read.
    lengths: T, B, D and H as far as they are known, to name factors and parts.
    by_step: for sums over time, what each step contributes to the right gradient: steps on a leading axis.

    Returns
    -------
    tuple of Pattern
        the one that explains most blocks first; exact ones before others. Nothing where nothing disagrees, and nothing
        that chance could have made: see ``EVIDENCE``.
    """
    blocks = sides(analytic, reference, tolerance)
    wrong = [side for side in blocks if side.wrong.any()]
    with np.errstate(all="ignore"):
        found = merged(list(_guesses(wrong, blocks, point, lengths, by_step or {})), list(analytic))
        explained = {name for pattern in found if pattern.kind not in REGIONS for name in pattern.blocks}
        rest = [side for side in wrong if side.name not in explained]
        nearly = near(factors.nearly_multiples(rest, lengths))
    return _ranked(found) + nearly


def _guesses(
    wrong: Sequence[Side],
    blocks: Sequence[Side],
    point: Mapping[str, Array],
    lengths: Mapping[str, int],
    by_step: Mapping[str, Array],
) -> Iterable[Guess]:
    yield from values.missing(wrong)
    told = [side for side in wrong if side.a.any()]
    yield from factors.multiples(told, lengths)
    yield from between.exchanged(told, blocks, lengths)
    yield from between.added_up(told, blocks)
    yield from arrangements.rearranged(told, lengths)
    yield from steps.counted_wrong(wrong, by_step)
    yield from steps.zero_but_for(told)
    yield from factors.added(told, point)
    yield from values.clipped(told)
    yield from values.cut_off(told)
    yield from values.rounded_off(told)
    yield from values.unsigned(told)
    yield from regions.located(told, lengths)


def _borne_out(guesses: Sequence[Guess], fits: Sequence[Fit]) -> bool:
    """Whether guesses of one mistake, each exact, say more than chance and our choosing among many could."""
    bits = sum(fit.bits if guess.bits is None else guess.bits for guess, fit in zip(guesses, fits, strict=True))
    fitted = {guess.factor for guess in guesses if guess.numbers}
    bits -= len(fitted) * max(fit.most for fit in fits) + float(np.log2(max(guess.choices for guess in guesses)))
    enough = sum(fit.entries for fit in fits) >= max(guess.least for guess in guesses)
    return enough and bits >= (PLACE_EVIDENCE if guesses[0].kind in (*REGIONS, "dead-zone") else EVIDENCE)


def merged(guesses: Sequence[Guess], names: Sequence[str]) -> list[Pattern]:
    """Guesses of one mistake as one pattern, where they are exact and borne out; blocks in the order of ``names``."""
    groups: dict[tuple[object, ...], list[tuple[Guess, Fit]]] = {}
    for guess in guesses:
        fit = guess.fit()
        if not fit.exact:
            continue
        group = groups.setdefault((guess.kind, guess.key), [])
        if all(guess.side.name != other.side.name for other, _ in group):
            group.append((guess, fit))
    found = []
    for group in groups.values():
        told, fits = [guess for guess, _ in group], [fit for _, fit in group]
        if _borne_out(told, fits):
            residual = max(fit.residual if g.residual is None else g.residual for g, fit in group)
            first = told[0]
            of = tuple(sorted((guess.side.name for guess in told), key=names.index))
            found.append(Pattern(first.kind, of, first.message, first.factor, residual, True, first.remedy, first.also))
    return found


def _ranked(found: Sequence[Pattern]) -> tuple[Pattern, ...]:
    """Most blocks first; what explains only blocks that another explains together with more gives way to it."""
    order = sorted(found, key=lambda p: (-len(p.blocks), ORDER.index(p.kind)))
    kept: list[Pattern] = []
    for pattern in order:
        names = set(pattern.blocks)
        over = [k for k, other in enumerate(kept) if names <= set(other.blocks)]
        same = [k for k in over if names == set(kept[k].blocks)]
        if same and (pattern.kind not in REGIONS or kept[same[0]].kind in REGIONS):
            first = kept[same[0]]
            also = tuple(dict.fromkeys((*first.also, pattern.message, *pattern.also)))
            kept[same[0]] = replace(first, also=tuple(m for m in also if m != first.message))
        elif not over:
            kept.append(pattern)
    return tuple(kept)


def near(guesses: Iterable[Guess]) -> tuple[Pattern, ...]:
    """Guesses that leave a rest, as patterns that are not exact."""
    groups: dict[tuple[object, ...], list[Guess]] = {}
    for guess in guesses:
        groups.setdefault((guess.kind, guess.key), []).append(guess)
    found = [
        Pattern(
            g[0].kind, tuple(x.side.name for x in g), g[0].message, g[0].factor, max(x.residual or 0.0 for x in g),
            False, g[0].remedy,
        )
        for g in groups.values()
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda p: -len(p.blocks)))
