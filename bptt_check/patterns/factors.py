"""Mistakes with one number in them: a factor, a norm clipped to, a decay or a constant added."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bptt_check.patterns.guess import NAMED, VAGUE, Guess, Ray, Shared, shared
from bptt_check.patterns.numbers import Name, factors, is_learning_rate, is_round, rounded, shown
from bptt_check.patterns.side import Array, Side, norm

PROPORTIONAL = 1e-4  # residual after scaling, as a share of the block, up to which a block is called a multiple
ALIKE = 16.0  # bits: how unlikely it is that errors without structure are this nearly proportional
CLIPPED_BY = 1e-6  # what libraries add to a norm before they divide by it

REMEDIES = {
    "−1": "change the sign of the loss's derivative, or of the term that is subtracted the wrong way round",
    "2": "drop the 2 of a square that is differentiated twice, or clear what is added up between two calls",
    "½": "put back the 2 of the square, or take out a ½ that the loss does not have",
    "learning": "take the learning rate out of the gradient: it belongs into the update",
    "other": "look for a constant by which this gradient is multiplied and the loss is not",
}


def multiples(wrong: Sequence[Side], lengths: Mapping[str, object]) -> Iterator[Guess]:
    """Blocks that are a constant multiple of the right ones, one constant for as many as it fits."""
    known = factors(lengths)
    rays = [Ray(side, side.r) for side in wrong if side.a.any()]
    groups = list(shared(rays, lambda number: [*known, *(replace(n, far=9) for n in rounded(number))]))
    clipped = _clipped_to(groups, wrong)
    for group in groups:
        plain = any(n.value == group.number for n in known)
        lengthy = group.names[:1] or (f"{group.number:.6g}",)
        bound = None if group.names else clipped_norm([ray.side.a for ray in group.rays], group.number)
        if bound:
            yield from _together(group, bound)
        for ray in group.rays:
            if not group.names and (bound or any(guess.side is ray.side for guess in clipped)):
                continue
            yield Guess(
                kind="scaled" if plain or not is_learning_rate(group.number) else "learning-rate",
                side=ray.side,
                message=f"is {lengthy[0]} times the right one",
                remedy=remedy_of(group.number, lengthy[0], plain),
                predicted=ray.at(group.number),
                spread=ray.spread_at(group.number),
                factor=group.number,
                key=(group.number,),
                choices=group.choices,
                numbers=group.numbers,
                also=tuple(f"is {name} times the right one" for name in group.names[1:]),
                least=2,
            )
        if plain and is_learning_rate(group.number):
            yield from _learning_rate(group)
    yield from clipped


def remedy_of(number: float, name: str, plain: bool) -> str:
    """What to change where a gradient is a multiple of the right one."""
    if name in REMEDIES:
        return REMEDIES[name]
    text = name.partition(" =")[0]
    if plain and "1/" in text:
        lengths = text.partition("1/")[2].strip("()")
        return f"add up where a mean over {lengths} is taken, or let the loss take that mean as well"
    if plain and not text[-1].isdigit():
        return f"divide by {text} as the loss does, or do not add one term up {text} times"
    return REMEDIES["learning"] if is_learning_rate(number) else REMEDIES["other"]


def nearly_multiples(wrong: Sequence[Side], lengths: Mapping[str, object]) -> Iterator[Guess]:
    """Blocks that are a multiple but for a small rest: not to rounding, so something else is off as well."""
    known = factors(lengths)
    for side in wrong:
        number, unsure = Ray(side, side.r).estimate()
        told = side.known & np.isfinite(side.a)
        a, r = side.a[told], side.r[told]
        if not unsure <= VAGUE * abs(number) or np.count_nonzero(r) < 2 or not norm(a):
            continue
        number = _least_squares(a, r)
        left = np.abs(a - number * r)
        residual = norm(left) / norm(a)
        allowed = np.maximum(side.slack[told] * max(1.0, abs(number)), PROPORTIONAL * np.abs(a))
        if residual > min(PROPORTIONAL, abs(number - 1) / 10) or (left > allowed).any():
            continue
        if residual and (_effective(r) - 1) * np.log2(abs(number - 1) / residual) < ALIKE:
            continue
        names = [n.text for n in known if abs(n.value - number) <= max(1e-6, residual) * abs(number)]
        text = names[0] if names else f"{number:.6g}"
        yield Guess(
            "scaled", side, f"is nearly {text} times the right one", remedy_of(number, text, bool(names)),
            number * side.r, factor=number, key=("nearly", text), residual=residual,
        )  # fmt: skip


def added(wrong: Sequence[Side], point: Mapping[str, Array]) -> Iterator[Guess]:
    """Something added to the right gradient: a share of the parameter (weight decay), its sign, a constant."""
    at = {side.name: np.asarray(point[side.name]).astype(side.a.dtype) for side in wrong if _fits(side, point)}
    weighed = [side for side in wrong if side.name in at]
    ones = [Name("1", 1.0), Name("−1", -1.0)]

    def numbers(number: float) -> list[Name]:
        return [*ones, *rounded(number)]

    for group in shared([Ray(side, at[side.name], side.r) for side in weighed], numbers):
        yield from _of(group, "weight-decay", f"is the right one {_plus(group, 'the parameter itself')}",
            "start what is added up at zeros, not at a copy of the parameter" if group.number == 1.0 else
            "a decay belongs into the loss as well, or out of the gradient",
        )  # fmt: skip
    for group in shared([Ray(side, np.sign(at[side.name]), side.r) for side in weighed], numbers):
        yield from _of(group, "weight-decay-l1", f"is the right one {_plus(group, 'the sign of the parameter')}",
            "a penalty on absolute values belongs into the loss as well, or out of the gradient",
        )  # fmt: skip
    for group in shared([Ray(side, np.ones_like(side.a), side.r) for side in wrong], numbers):
        number = shown(group.number)
        yield from _of(group, "offset", f"is the right one plus {number} in every entry",
            "start what is added up at zeros (not empty, not ones, not what an earlier call has left)",
        )  # fmt: skip
    for group in shared([Ray(side, side.r, at[side.name]) for side in weighed], numbers):
        yield from _of(group, "updated-weight", f"is the parameter {_plus(group, 'the right one')}",
            "hand out the gradient, not the parameter after its update",
        )  # fmt: skip
    for side in weighed:
        said = "is the parameter itself, not its gradient"
        yield Guess("parameter", side, said, "hand out the gradient under this name", at[side.name])
        with np.errstate(all="ignore"):
            product = at[side.name] * side.r
        said = "is the right one times the parameter, entry by entry"
        yield Guess("parameter-product", side, said, "do not multiply by the parameter itself here", product)


def _of(group: Shared, kind: str, message: str, remedy: str) -> Iterator[Guess]:
    for ray in group.rays:
        yield Guess(
            kind, ray.side, message, remedy, ray.at(group.number), ray.spread_at(group.number), group.number,
            key=(group.number,), choices=group.choices, numbers=group.numbers, least=2,
        )  # fmt: skip


def _plus(group: Shared, what: str) -> str:
    """The right one plus so many times something, as a sentence."""
    number = group.names[0] if group.names else shown(group.number)
    sign, size = ("minus", number[1:]) if number[0] in "-−" else ("plus", number)
    return f"{sign} {what}" if size == "1" else f"{sign} {size} times {what}"


def _learning_rate(group: Shared) -> Iterator[Guess]:
    for ray in group.rays:
        yield Guess(
            "learning-rate", ray.side, f"is {shown(group.number)} times the right one: a learning rate?",
            REMEDIES["learning"], ray.at(group.number), ray.spread_at(group.number), group.number,
            key=(group.number,), choices=group.choices, least=2,
        )  # fmt: skip


def clipped_norm(blocks: Sequence[Array], factor: float) -> float | None:
    """The round number to which the norm of blocks was clipped, all being ``factor`` times what they should be."""
    size = norm(np.array([norm(block) for block in blocks]))
    if not (0 < factor < 1 and 0 < size < np.inf):
        return None
    right = size / factor
    found = [v for v in (size, size * (right + CLIPPED_BY) / right) if is_round(v)]
    return float(f"{found[0]:.1e}") if found else None


def _together(group: Shared, bound: float) -> Iterator[Guess]:
    every = "is scaled down with all others of its kind until their norm together is"
    alone = "is scaled down until its norm is"
    for ray in group.rays:
        yield Guess(
            "clipped-norm", ray.side, f"{every if len(group.rays) > 1 else alone} {bound:g}",
            "clip when the weights are updated; a clipped gradient is not the derivative of the loss",
            ray.at(group.number), ray.spread_at(group.number), group.number,
            key=(bound, group.number), choices=NAMED, numbers=1, least=2,
        )  # fmt: skip


def _clipped_to(groups: Iterable[Shared], wrong: Sequence[Side]) -> list[Guess]:
    """Several blocks, each scaled down by a factor of its own to one and the same round norm."""
    found: dict[float, list[Guess]] = {}
    for group in groups:
        for ray in group.rays:
            bound = clipped_norm([ray.side.a], group.number)
            if bound:
                found.setdefault(bound, []).append(Guess(
                    "clipped-norm", ray.side, f"is scaled down until its norm is {bound:g}, each block by itself",
                    "clip when the weights are updated; a clipped gradient is not the derivative of the loss",
                    ray.at(group.number), ray.spread_at(group.number), group.number,
                    key=("each", bound), choices=NAMED, numbers=1, least=2,
                ))  # fmt: skip
    enough = {bound: guesses for bound, guesses in found.items() if len(guesses) > 1}
    return max(enough.values(), key=len, default=[]) if len(wrong) > 1 else []


def _fits(side: Side, point: Mapping[str, Array]) -> bool:
    return side.name in point and np.shape(point[side.name]) == side.a.shape and not np.iscomplexobj(point[side.name])


def _least_squares(a: Array, r: Array) -> float:
    top = float(np.abs(r).max())
    u = r / top
    return float(np.sum(u * (a / top)) / np.sum(u * u))


def _effective(r: Array) -> float:
    """How many entries count: all of them where they are of one size, one where one is far larger than the others."""
    squares = (r / np.abs(r).max()) ** 2
    return float(np.sum(squares) ** 2 / np.sum(squares**2))
