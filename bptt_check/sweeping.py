"""The reference derivative of many entries: how their values are had, within how much memory, and how far it is.

A built-in cell brings an evaluator of its own, in which a step of all perturbed copies is one matrix product
(lstm/copies.py, lstm/imaginary.py). A sample of each sweep is held against the readable forward pass; where the two
differ, and for a few entries only, the readable one is used. A user's forward pass is tried with copies stacked on a
leading axis, block by block: where it hands back one loss a copy, each equal to the loss of that copy alone, it is used
so; elsewhere copies go one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bptt_check.blas import single_threaded
from bptt_check.differences import Method
from bptt_check.differences.estimate import Estimate, drive
from bptt_check.differences.evaluate import CHUNK_BYTES, values_of_copies
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.pace import Pace, Told
from bptt_check.subject import Array, Point, Subject

OnShare = Callable[[float], None]
LEAST = 2**25  # bytes that a sweep may take where nothing else is said,
SHARE = 8  # or so many times what the subject's arrays take, whichever is more
AN_ENTRY = 1024  # bytes that an entry takes in the plan of a method
A_COPY = 256  # and a copy on its way to its values
FEW = 48  # entries up to which the readable pass is used
TRIED = 3  # copies by which a user's forward pass shows that it carries a leading axis
AT_ONCE = 8  # evaluations between two words on how far a sweep is, at least
WORTH = 16  # entries of a block from which that is tried
ALIKE = 1e-6  # share of the largest derivative of a block by which two evaluators may differ,
SAME = 1e-9  # of a loss by which two real evaluations of it may,
SLACK = 1e3  # and by so many ulps of the largest of all blocks
ONE = 64  # and ulps of it where one of them is that of a single copy
TRACE = 16  # what a stacked forward pass takes for a copy, in units of the subject's arrays


@dataclass
class Sweeping:
    """How to sweep. ``memory`` in bytes, ``None`` for 8 times the subject's arrays but at least 32 MiB."""

    memory: int | None = None
    progress: Told | None = None
    carried: dict[str, bool] = field(default_factory=dict)

    def room(self, point: Point) -> int:
        """Bytes that a sweep at ``point`` may take."""
        return self.memory or max(LEAST, SHARE * sum(np.asarray(a).nbytes for a in point.values()))


def estimates(
    subject: Subject,
    loss: Callable[[Point], Any],
    point: Point,
    method: Method,
    entries: Mapping[str, Array],
    *,
    noise: float | None,
    sweeping: Sweeping,
    count: Callable[[int], None],
) -> dict[str, Estimate]:
    """The derivative by each of ``entries`` (flat indices, by block) at ``point``.

    ``loss`` is the subject's, which counts itself; ``count`` is told of evaluations made elsewhere, a stack being one.

    Raises
    ------
    SubjectFailed, SubjectError
        What the subject's loss raises.
    """
    names = tuple(entries)
    sizes = [len(flat) for flat in entries.values()]
    owner, within = np.repeat(np.arange(len(names)), sizes), np.concatenate([np.asarray(e) for e in entries.values()])
    kind = np.result_type(*point.values())
    lengths = np.array([float(np.abs(point[name]).max(initial=0)) or 1.0 for name in names], kind)
    room = sweeping.room(point)
    values = _Values(subject, loss, point, names, room, sweeping, count, quick=len(owner) > FEW)
    pace = Pace(sweeping.progress if len(owner) > FEW else None)
    cost = np.array([subject.copies.cost(name) if subject.copies else 1.0 for name in names])
    ahead, at_once = np.concatenate([[0.0], np.cumsum(cost[owner])]), max(1, room // 2 // AN_ENTRY)
    parts, whole = [], float(ahead[-1]) or 1.0
    for first in range(0, max(1, len(owner)), at_once):
        some = slice(first, min(first + at_once, len(owner)))
        on_share = _between(pace.at, float(ahead[some.start]) / whole, float(ahead[some.stop]) / whole)

        def evaluate(offsets: Array, some: slice = some, on_share: OnShare = on_share) -> Array:
            who = np.broadcast_to(owner[some], offsets.shape).reshape(-1)
            which = np.broadcast_to(within[some], offsets.shape).reshape(-1)
            return values.at(who, which, offsets.reshape(-1), on_share).reshape(offsets.shape)

        with single_threaded() if subject.copies else nullcontext():
            parts.append(drive(method.plan(lengths[owner[some]], noise), evaluate))
    joined = _joined(parts)
    pace.at(1.0)
    edges = np.cumsum([0, *sizes])
    return {name: _of(joined, slice(lo, hi)) for name, lo, hi in zip(names, edges[:-1], edges[1:], strict=True)}


class _Values:
    """Values of the loss with one entry moved, by the fastest evaluator that is found to be right."""

    def __init__(
        self,
        subject: Subject,
        loss: Callable[[Point], Any],
        point: Point,
        names: Sequence[str],
        room: int,
        sweeping: Sweeping,
        count: Callable[[int], None],
        *,
        quick: bool,
    ) -> None:
        self.subject, self.loss, self.point, self.names = subject, loss, point, names
        self.room, self.sweeping, self.count, self.quick = room, sweeping, count, quick

    def at(self, owner: Array, within: Array, offsets: Array, on_share: OnShare) -> Array:
        """One value for each offset; ``within`` are flat indices into block ``names[owner]``."""
        at_once, parts = max(1, self.room // 4 // A_COPY), []
        for first in range(0, len(owner), at_once):
            some = slice(first, first + at_once)
            tell = _between(on_share, first / len(owner), min(1.0, (first + at_once) / len(owner)))
            parts.append(self._part(owner[some], within[some], offsets[some], tell))
            tell(1.0)
        return np.concatenate(parts) if parts else np.zeros(0, offsets.dtype)

    def _part(self, owner: Array, within: Array, offsets: Array, tell: OnShare) -> Array:
        copies = self.subject.copies
        if copies is not None and self.quick:
            values = self._by_copies(owner, within, offsets, tell)
            if values is not None:
                return values
            self.quick = False
        blocks, places, done = [np.zeros(0, np.float16)], [np.zeros(0, np.intp)], 0
        for place, name in enumerate(self.names):
            mine = np.flatnonzero(owner == place)
            if len(mine):
                on_share = _between(tell, done / len(owner), (done + len(mine)) / len(owner))
                blocks.append(self._of_block(name, within[mine], offsets[mine], on_share))
                places.append(mine)
                done += len(mine)
        values = np.concatenate(blocks)
        found = np.empty_like(values)
        found[np.concatenate(places)] = values
        return found

    def _by_copies(self, owner: Array, within: Array, offsets: Array, tell: OnShare) -> Array | None:
        """``None`` where the built-in evaluator does not take such offsets, or is not what the readable pass gives."""
        assert self.subject.copies is not None
        on_steps = lambda done, total: tell(done / max(total, 1))  # noqa: E731
        self.count(1)
        values = self.subject.copies(self.point, self.names, owner, within, offsets, self.room // 4, on_steps)
        return values if values is not None and self._audit(owner, within, offsets, values) else None

    def _audit(self, owner: Array, within: Array, offsets: Array, values: Array) -> bool:
        """One copy of each block, as many blocks as there is room for, through the readable pass, all in one call."""
        present = np.unique(owner)
        size = TRACE * sum(np.asarray(a).nbytes for a in self.point.values())
        step = max(1, -(-len(present) * size // max(self.room // 2, size)))
        chosen, moved = present[::step], dict(self.point)
        largest = [np.flatnonzero(owner == k) for k in chosen]
        imaginary = np.iscomplexobj(values)
        part = values.imag if imaginary else values
        sample = np.array([mine[np.abs(part[mine]).argmax()] for mine in largest])
        for place, (k, column) in enumerate(zip(chosen, sample, strict=True)):
            block = np.asarray(self.point[self.names[k]])
            stack = np.repeat(block[None].astype(np.result_type(block, offsets)), len(chosen), axis=0)
            stack.reshape(len(chosen), -1)[place, within[column]] += offsets[column]
            moved[self.names[k]] = stack
        readable = np.broadcast_to(np.asarray(self.loss(moved)), len(chosen))
        off = np.abs((readable.imag if imaginary else readable) - part[sample])
        share, ulp = ALIKE if imaginary else SAME, float(np.finfo(part.dtype).eps)
        size = np.abs(part[sample])
        return bool((off <= share * size + SLACK * ulp * size.max()).all())

    def _of_block(self, name: str, within: Array, offsets: Array, on_share: OnShare) -> Array:
        block = np.asarray(self.point[name])
        if not self.subject.stacked and len(within) >= WORTH:
            carried = self.sweeping.carried
            if name not in carried:
                carried[name] = carries_copies(self.subject, self.loss, self.point, name)
            if carried[name]:
                try:
                    return self._stacked(name, within, offsets, on_share, self._of_the_stack)
                except (SubjectFailed, SubjectError):
                    carried[name] = False
        if self.subject.stacked:
            return self._stacked(name, within, offsets, on_share, self.loss)
        length = max(AT_ONCE, len(within) // 100)
        parts = []
        for first in range(0, len(within), length):
            some = slice(first, first + length)
            parts.append(values_of_copies(self.loss, self.point, name, within[some], offsets[some], stacked=False))
            on_share(min(1.0, (first + length) / len(within)))
        return np.concatenate(parts) if parts else np.zeros(0, np.result_type(block, offsets))

    def _of_the_stack(self, point: Point) -> Array:
        self.count(1)
        return _losses_of_a_stack(self.subject, point)

    def _stacked(
        self,
        name: str,
        within: Array,
        offsets: Array,
        on_share: OnShare,
        function: Callable[[Point], Any],
    ) -> Array:
        a_copy = TRACE * sum(np.asarray(a).nbytes for a in self.point.values())
        length = max(1, min(CHUNK_BYTES // (np.asarray(self.point[name]).nbytes + 1), self.room // 2 // a_copy))
        parts = []
        for first in range(0, len(within), length):
            some = slice(first, first + length)
            parts.append(values_of_copies(function, self.point, name, within[some], offsets[some], stacked=True))
            on_share(min(1.0, (first + length) / len(within)))
        return np.concatenate(parts)


def carries_copies(subject: Subject, loss: Callable[[Point], Any], point: Point, name: str) -> bool:
    """Whether the loss of a stack of copies of block ``name``, all else single, is the losses of those copies.

    Tried with copies that differ from each other in all their entries, so many that no axis of the point is as long.
    """
    if subject.precision is not None or subject.copies is not None:
        return False  # compiled code would read one copy and not say so
    block = np.asarray(point[name])
    lengths = {length for array in point.values() for length in np.shape(array)}
    count = next(n for n in range(TRIED, TRIED + len(lengths) + 1) if n not in lengths)
    rng = np.random.default_rng(count)
    stack = block + 0.01 * (np.abs(block).max(initial=0) or 1.0) * rng.uniform(-1, 1, (count, *block.shape))
    stack = stack.astype(block.dtype)
    try:
        together = _losses_of_a_stack(subject, {**point, name: stack})
        alone = np.array([np.asarray(loss({**point, name: copy})).reshape(())[()] for copy in stack])
    except (SubjectFailed, SubjectError):
        return False
    ulp = float(np.finfo(together.dtype).eps)
    same = together.shape == alone.shape and np.isfinite(alone).all() and len(set(alone.tolist())) > 1
    return bool(same and (np.abs(together - alone) <= ONE * ulp * np.abs(alone)).all())


def _losses_of_a_stack(subject: Subject, point: Point) -> Array:
    """What the user's loss makes of a stack, as it is. Raises ``SubjectError`` unless it is one number a copy."""
    copied = {name: np.array(array, order="C") for name, array in point.items()}
    returned = subject.call(subject.loss_at, copied, "the loss")
    if not isinstance(returned, np.ndarray) or returned.ndim != 1 or returned.dtype.kind not in "fc":
        raise SubjectError("the loss of a stack of copies is not one number a copy")
    return returned


def _between(on_share: OnShare, low: float, high: float) -> OnShare:
    """Shares of a part told as shares of the whole."""
    return lambda share: on_share(low + share * (high - low))


def _joined(parts: list[Estimate]) -> Estimate:
    if len(parts) == 1:
        return parts[0]
    value, roundoff, truncation, step = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("value", "roundoff", "truncation", "step")
    )
    return Estimate(value, roundoff, truncation, step, parts[0].evaluations, parts[0].method)


def _of(whole: Estimate, which: slice) -> Estimate:
    parts = (whole.value[which], whole.roundoff[which], whole.truncation[which], whole.step[which])
    return Estimate(*parts, whole.evaluations, whole.method)
