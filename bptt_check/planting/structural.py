"""What can go wrong with any gradient, planted where no cell is recognised: factors, exchanges, missing steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np

from bptt_check.subject import Point, Subject

Array = np.ndarray[Any, Any]
Gradient = dict[str, Array]
Spoil = Callable[[Gradient, Point], Gradient]


@dataclass(frozen=True)
class Structural:
    """One mistake in one or two blocks.

    ``kind``: what it is, as the table groups it. ``names``: kinds of pattern by which a cause names it rightly; empty
    where no cause is expected, for what is only a place. ``spoil``: from the right gradient, and the point it
    belongs to, to the wrong one.
    """

    id: str
    kind: str
    says: str
    names: tuple[str, ...]
    spoil: Spoil


def structural(subject: Subject, gradient: Mapping[str, Array]) -> tuple[Structural, ...]:
    """The mistakes that can be made in the blocks of ``gradient``, the right one."""
    blocks = {name: a for name, a in gradient.items() if a.size and a.any()}
    found: list[Structural] = []
    for name, array in blocks.items():
        found += _of_block(
            name, array, timed=array.ndim == 3 and len(array) == subject.case.get("T") and len(array) > 2
        )
    for a, b in combinations(blocks, 2):
        if blocks[a].shape == blocks[b].shape:
            found.append(
                Structural(f"swapped.{a}.{b}", "swapped", f"{a} and {b} change places", ("swapped",), _swapped(a, b))
            )
    found += _of_steps(subject, blocks)
    return tuple(found)


def planted(subject: Subject, fault: Structural) -> Subject:
    """The subject with its gradient spoilt; what it computes stays as it is."""
    own = subject.gradient_at

    def gradient_at(point: Point) -> Gradient:
        right = subject.checked_gradient(own(point))
        return {name: a.astype(right[name].dtype) for name, a in fault.spoil(right, point).items()}

    name = f"{subject.name} with {fault.id}"
    return replace(subject, name=name, gradient_at=gradient_at, pair=None, by_step=None, again=None)


def _of_block(name: str, array: Array, *, timed: bool) -> Iterator[Structural]:
    def one(kind: str, says: str, names: tuple[str, ...], edit: Callable[[Array], Array]) -> Structural:
        return Structural(f"{kind}.{name}", kind, f"{name} {says}", names, lambda g, p: {**g, name: edit(g[name])})

    yield one("twice", "is twice the right value", ("scaled",), lambda a: 2 * a)
    yield one("sign", "has the wrong sign", ("scaled",), lambda a: -a)
    yield one("zero", "is zero", ("zero",), lambda a: 0 * a)
    if array.ndim == 2 and array.shape[0] == array.shape[1] > 1:
        yield one("transposed", "is transposed", ("transposed",), lambda a: a.T)
    if timed:
        yield one("late", "is that of the step after", ("rolled", "shifted"), lambda a: np.roll(a, -1, axis=0))
    if array.size > 1:
        at = np.unravel_index(int(np.abs(array).argmax()), array.shape)
        yield one("entry", "is off by a hundredth in one entry", (), lambda a: _one_entry(a, at))
    if array.size > 3:
        limit = float(np.sort(np.abs(array), axis=None)[array.size // 2])
        if limit and (np.abs(array) > limit).sum() > 1:
            yield one("clipped", "is clipped", ("clipped",), lambda a: np.clip(a, -limit, limit))


def _one_entry(array: Array, at: Any) -> Array:
    spoilt = np.array(array)
    spoilt[at] *= 1.01
    return spoilt


def _swapped(a: str, b: str) -> Spoil:
    return lambda g, p: {**g, a: g[b], b: g[a]}


def _of_steps(subject: Subject, blocks: Mapping[str, Array]) -> Iterator[Structural]:
    """Sums over time that hold one step alone, or lack one; for a form that hands out what each step adds."""
    added = subject.by_step
    if added is None:
        return
    kinds = (
        ("first-step", "holds the first step alone", slice(0, 1)),
        ("last-step", "holds the last step alone", slice(-1, None)),
        ("all-but-first", "lacks the first step", slice(1, None)),
        ("all-but-last", "lacks the last step", slice(0, -1)),
    )
    steps = {name: a for name, a in added(subject.point).items() if name in blocks and len(a) > 1}
    for name in steps:
        for kind, says, kept in kinds:

            def spoil(g: Gradient, p: Point, name: str = name, kept: slice = kept) -> Gradient:
                return {**g, name: np.asarray(added(p)[name][kept].sum(axis=0))}

            yield Structural(f"{kind}.{name}", kind, f"{name} {says}", (), spoil)
