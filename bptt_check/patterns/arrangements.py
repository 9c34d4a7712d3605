"""The right numbers in the wrong places: transposed, swapped, permuted, shifted, reversed, spread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import permutations as orders

import numpy as np

from bptt_check.compare import is_timed
from bptt_check.patterns.guess import Guess, Ray, shared
from bptt_check.patterns.numbers import Name, factors, rounded
from bptt_check.patterns.side import Array, Side

PARTS = (2, 3, 4)
TRANSPOSE = "transpose where the block is handed out, or swap the two factors of its outer product"
ORDER = "split and join the gates in the same order in the forward and in the backward pass"


def rearranged(wrong: Sequence[Side], lengths: Mapping[str, object]) -> Iterator[Guess]:
    """Each block on its own: its right numbers in other places, perhaps times a factor."""
    for side in wrong:
        for kind, message, remedy, (direction, spread), choices in _of_one(side):
            yield from with_factor(kind, side, message, remedy, direction, spread, choices, lengths)


def with_factor(
    kind: str,
    side: Side,
    message: str,
    remedy: str,
    direction: Array,
    spread: Array,
    choices: float,
    lengths: Mapping[str, object],
    key: tuple[object, ...] | None = None,
) -> Iterator[Guess]:
    """The guess that a block is ``direction``, or a multiple of it. ``message`` has a ``{}`` for the multiple."""
    known = [Name("", 1.0, -1), Name("−1", -1.0, -1), *factors(lengths)]
    ray = Ray(side, direction, spread=spread)
    for found in shared([ray], lambda number: [*known, *(replace(n, far=9) for n in rounded(number))]):
        times = "" if found.number == 1.0 else f"{found.names[0] if found.names else f'{found.number:.6g}'} times "
        plain = found.number == 1.0
        yield Guess(
            kind, side, message.format(times), remedy, ray.at(found.number), ray.spread_at(found.number),
            None if plain else found.number, key=(*(key or (message,)), found.number),
            choices=choices * (1.0 if plain else found.choices), numbers=found.numbers, least=2,
        )  # fmt: skip


def _of_one(side: Side) -> Iterator[tuple[str, str, str, tuple[Array, Array], float]]:
    r, timed = side.r, is_timed(side.name)

    def both(change: object) -> tuple[Array, Array]:
        return change(r), change(side.slack)  # type: ignore[operator]

    for axes in orders(range(r.ndim)) if r.ndim in (2, 3) else ():
        if list(axes) == sorted(axes):
            continue
        shape = tuple(r.shape[k] for k in axes)
        if shape == r.shape:
            what = "the transpose of" if r.ndim == 2 else f"with its axes in the order {axes},"
            yield "transposed", f"is {{}}{what} the right one", TRANSPOSE, both(lambda m, ax=axes: m.transpose(ax)), 6
        else:
            message = "is {}the right one reshaped where it should be transposed"
            back = np.argsort(axes)
            out = both(lambda m, ax=axes: m.transpose(ax).reshape(m.shape))
            into = both(lambda m, s=shape, b=back: m.reshape(s).transpose(b))
            yield "reshaped", message, "transpose, do not reshape: the shape is right, the order is not", out, 6
            yield "reshaped", message, "transpose, do not reshape: the shape is right, the order is not", into, 6
    for axis in range(r.ndim):
        yield from _along(side, axis, timed and axis == 0)
    yield from _in_parts(side, range(1 if timed else 0, r.ndim))


def _along(side: Side, axis: int, time: bool) -> Iterator[tuple[str, str, str, tuple[Array, Array], float]]:
    r, n = side.r, side.a.shape[axis]
    if n < 2:
        return
    where = "in time" if time else f"along axis {axis}"
    flipped = np.flip(r, axis), np.flip(side.slack, axis)
    remedy = "put the steps back into their order: the backward pass fills them from the last to the first"
    yield "reversed", f"is {{}}the right one reversed {where}", remedy, flipped, 4
    remedy = "check the indices t, t − 1 and t + 1" if time else "check the index: it is off, or wraps round at −1"
    for k in _shifts(side, axis):
        steps = f"{abs(k)} {'step' if time else 'place'}{'s' if abs(k) > 1 else ''} {'later' if k > 0 else 'earlier'}"
        yield (
            "rolled", f"is {{}}the right one {steps} {where}, wrapped round at the end", remedy,
            (np.roll(r, k, axis), np.roll(side.slack, k, axis)), 4.0 * n,
        )  # fmt: skip
        moved, spread = np.roll(r, k, axis), np.roll(side.slack, k, axis)
        edge = [slice(None)] * r.ndim
        edge[axis] = slice(0, k) if k > 0 else slice(k, None)
        moved[tuple(edge)] = np.nan
        yield "shifted", f"is {{}}the right one {steps} {where}", remedy, (moved, spread), 4.0 * n
    with np.errstate(all="ignore"):
        for what, values in (("mean", r.mean(axis, keepdims=True)), ("sum", r.sum(axis, keepdims=True))):
            spread = np.broadcast_to(side.slack.sum(axis, keepdims=True), r.shape)
            yield (
                "spread", f"is {{}}the {what} of the right one over {'the steps' if time else f'axis {axis}'}, "
                "the same everywhere", "keep this axis: nothing is to be added up over it here",
                (np.broadcast_to(values, r.shape), spread), 8,
            )  # fmt: skip
        for back in (True, False) if time else ():
            turned = np.flip(r, 0) if back else r
            total = np.flip(np.cumsum(turned, 0), 0) if back else np.cumsum(turned, 0)
            yield (
                "accumulated", f"is {{}}the right one added up over {'later' if back else 'earlier'} steps as well",
                "start each step at zeros: what is written at t holds what other steps have left",
                (total, np.broadcast_to(side.slack.sum(0), r.shape)), 4,
            )  # fmt: skip


def _shifts(side: Side, axis: int) -> list[int]:
    """By how much the block may be shifted along an axis: where its most telling slice is found again."""
    n = side.a.shape[axis]
    a, r = (np.moveaxis(m, axis, 0).reshape(n, -1) for m in (side.a, side.r))
    slack = np.moveaxis(side.slack, axis, 0).reshape(n, -1)
    found = set()
    with np.errstate(all="ignore"):
        told = np.where(np.moveaxis(side.wrong, axis, 0).reshape(n, -1), np.abs(a), 0).max(axis=1)
        for row in np.argsort(-told)[:2]:
            for sign in (1, -1):
                found |= {int(row) - int(j) for j in np.flatnonzero(_same(sign * a[row], r, slack[row] + slack))}
    halves = {k if abs(k) <= n // 2 else k - int(np.sign(k)) * n for k in found} - {0}
    return sorted(halves | (found - {0} if n <= 3 else set()), key=abs)[:6]


def _same(row: Array, rows: Array, slack: Array) -> Array:
    unknown = ~np.isfinite(rows)
    return np.asarray(((np.abs(row - rows) <= slack) | unknown).all(axis=1) & ~unknown.all(axis=1))


def _in_parts(side: Side, axes: range) -> Iterator[tuple[str, str, str, tuple[Array, Array], float]]:
    """Gates packed into one block in another order, or one beside the other where they should alternate."""
    r, slack = side.r, side.slack
    done: list[Array] = []
    for axis in axes:
        n = r.shape[axis]
        for count in PARTS:
            if n % count or n < count:
                continue
            parts = [np.split(m, count, axis) for m in (side.a, r, slack)]
            order = _order(*parts)
            if order is not None and order != list(range(count)):
                whole = tuple(np.concatenate([of[k] for k in order], axis) for of in parts[1:])
                if not any(np.array_equal(whole[0], other, equal_nan=True) for other in done):
                    done.append(whole[0])
                    yield _packed(count, axis, order, (whole[0], whole[1]))
            if n > count:
                for outer, inner in ((count, n // count), (n // count, count)):
                    split = (*r.shape[:axis], outer, inner, *r.shape[axis + 1 :])
                    mixed = [m.reshape(split).swapaxes(axis, axis + 1).reshape(r.shape) for m in (r, slack)]
                    message = f"is {{}}the right one with its {count} parts along axis {axis} interleaved"
                    yield "interleaved", message, ORDER, (mixed[0], mixed[1]), 8
            m = n // count
            if r.ndim == 2 and m > 1 and r.shape[1 - axis] == m:
                turned = [np.concatenate([p.T for p in np.split(x, count, axis)], axis) for x in (r, slack)]
                message = f"is {{}}the right one with each of its {count} parts along axis {axis} transposed"
                yield "transposed", message, TRANSPOSE, (turned[0], turned[1]), 8


def _order(a: list[Array], r: list[Array], slack: list[Array]) -> list[int] | None:
    """Which right part each part holds, or ``None`` if one of them holds none."""
    found: list[int] = []
    for own, allowed in zip(a, slack, strict=True):
        with np.errstate(all="ignore"):
            fits = [
                bool((known := np.isfinite(other)).any())
                and bool((np.abs(own - other) <= np.fmax(allowed, spread))[known].all())
                for other, spread in zip(r, slack, strict=True)
            ]
        if not any(fits):
            return None
        at = len(found)
        found.append(at if fits[at] else fits.index(True))
    return found


def _packed(
    count: int, axis: int, order: list[int], whole: tuple[Array, Array]
) -> tuple[str, str, str, tuple[Array, Array], float]:
    said = ", ".join(map(str, order))
    if sorted(order) == list(range(count)):
        message = f"is {{}}the right one with its {count} parts along axis {axis} in another order: {said}"
        return "parts-permuted", message, ORDER, whole, float(count**count * 3)
    message = f"is {{}}the right one with a part twice along axis {axis}: {said} of the right {count}"
    return "parts-repeated", message, "check which gate is written into which part", whole, float(count**count)
