"""What stands above the cells: an output layer and the loss, or which output shows the hidden states.

With everything else zero the loss depends on the output layer's bias alone, and with its matrix zero on nothing else.
Where there is no such layer, a loss of the hidden states is one of a few that people write.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bptt_check.budget import Budget, Spent
from bptt_check.networks.data import classes, numbers, whole
from bptt_check.networks.readout import AIMLESS, ENDINGS, SQUARED, WEIGHTED, Ending, Goal
from bptt_check.points import Array
from bptt_check.recognise.axes import in_order, orders, stacked
from bptt_check.recognise.trials import Trials, apart
from bptt_check.recurrence import LOSS


class NetworkTrials(Trials):
    """Trials of the outputs, where a subject has them, or of its loss."""

    budget: Budget = field(default_factory=lambda: Budget(np.inf, np.inf))  # runs of theirs, and of ours beside them

    @property
    def by_loss(self) -> bool:
        """Whether the loss is all there is."""
        recurrence = self.subject.recurrence
        return recurrence is None or recurrence.loss is not None

    def shown(self, point: Mapping[str, Array]) -> Mapping[str, Array]:
        """The loss, or the outputs. Raises :class:`Spent` where that would be one run too many."""
        self.budget.spend()
        if self.budget.is_spent:
            raise Spent("what is known of networks has been tried as far as it goes")
        if self.by_loss:
            return {LOSS: np.asarray(self.subject.loss({**point, **self.subject.interventions}))}
        return super().shown(point)

    def seen(self, output: str, order: str, flat_or_mask: Array) -> Array:
        """The loss, (1, 1, 1), or an output with the axes T, B, H."""
        shown = self.run_on(flat_or_mask) if flat_or_mask.dtype == bool else self.run(flat_or_mask)
        if self.by_loss:
            return shown[LOSS].reshape(1, 1, 1)
        return in_order(stacked(shown)[output], order, "TBH")


@dataclass(frozen=True)
class Top:
    """What stands above the cells: the output layer's arrays, ``layer``, and the loss, or which output shows it all.

    ``aimless``: a loss of h without data in it, its scale (a mean is 0), and whether it is of the last step alone.
    Lengths that nothing tells are ``None``.
    """

    layer: Mapping[str, Array] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    V: int = 0
    H: int = 0
    goal: Goal | None = None
    output: str = ""
    order: str = ""
    T: int | None = None
    B: int | None = 1
    aimless: tuple[Ending, float, bool] | None = None

    def aimed(self, T: int, B: int) -> Goal | None:
        """The loss, at these lengths."""
        if self.aimless is None:
            return self.goal
        ending, scale, last = self.aimless
        target = np.zeros((1 if last else T, B, self.H))
        return Goal(ending, target, scale or 1 / target.size)


@dataclass(frozen=True)
class Tops:
    """The search for what stands above the cells. ``entries``: places of the point's arrays; ``data``: within reach."""

    trials: NetworkTrials
    entries: Mapping[str, Array]
    data: Sequence[Array]
    tolerance: float

    def found(self) -> Iterator[Top]:
        """Everything that the loss, or an output, does not rule out."""
        if self.trials.by_loss:
            yield from self._tops_of_loss()
            return
        for output, array in sorted(
            stacked(self.trials.run(self.trials.values)).items(), key=lambda item: -item[1].ndim
        ):
            for order in orders(array.ndim, "TBH"):
                T = array.shape[order.index("T")] if "T" in order else None
                _, B, width = in_order(array, order, "TBH").shape
                bare = Top(H=width, output=output, order=order, T=T, B=B)
                yield from self._layers_of_output(bare)
                yield bare

    def _layers_of_output(self, bare: Top) -> Iterator[Top]:
        """Output layers with which an output is zero, or the bias alone, where nothing else is on."""
        nothing = np.zeros(len(self.trials.values), bool)
        if self.trials.seen(bare.output, bare.order, nothing).any():
            return
        for bias, on in self._biases(bare.H):
            shown = self.trials.seen(bare.output, bare.order, on)
            flat = self.trials.on(on)
            if bias is not None:
                given = flat[self.entries[bias].reshape(-1)]
                if not apart(shown, np.broadcast_to(given, shown.shape)) <= self.tolerance:
                    continue
            yield from self._matrices(replace(bare, V=bare.H), bias, np.zeros_like(shown))

    def _biases(self, V: int) -> Iterator[tuple[str | None, Array]]:
        """Vectors of V entries, each alone; and none."""
        for name, places in self.entries.items():
            if places.size == V and max(places.shape, default=1) == V:
                on = np.zeros(len(self.trials.values), bool)
                on[places] = True
                yield name, on
        yield None, np.zeros(len(self.trials.values), bool)

    def _matrices(self, top: Top, bias: str | None, still: Array) -> Iterator[Top]:
        """Matrices without which, and without the bias, nothing else shows."""
        for name, places in self.entries.items():
            shape = tuple(n for n in places.shape if n > 1)
            size = places.size // top.V
            if name == bias or places.size % top.V or sorted(shape) != sorted(n for n in (top.V, size) if n > 1):
                continue
            off = np.ones(len(self.trials.values), bool)
            off[places] = False
            if bias is not None:
                off[self.entries[bias]] = False
            if apart(self.trials.seen(top.output, top.order, off), still) > self.tolerance:
                continue
            layer = {} if bias is None else {"b_y": self.entries[bias].reshape(-1)}
            names = frozenset([name, *([bias] if bias else [])])
            bare = places.reshape(shape) if len(shape) == 2 else places.reshape(top.V, size)
            if bare.shape == (top.V, size):
                yield replace(top, layer={"W_yh": bare, **layer}, names=names, H=size)
            if bare.T.shape == (top.V, size) and len(shape) == 2:
                yield replace(top, layer={"W_yh": bare.T, **layer}, names=names, H=size)

    def _tops_of_loss(self) -> Iterator[Top]:
        nothing = np.zeros(len(self.trials.values), bool)
        start = float(self.trials.seen("", "", nothing).item())
        without: list[Top] = []
        for goal, T in self._goals(start):
            for bias, on in self._biases(goal.V):
                top = Top(V=goal.V, goal=goal, T=T, B=goal.target.shape[1])
                if bias is None:
                    without.append(top)
                    continue
                y = self.trials.on(on)[self.entries[bias].reshape(-1)]
                if self._close(float(goal.value(np.broadcast_to(y, goal.target.shape))), on):
                    yield from self._matrices(top, bias, np.full((1, 1, 1), start))
        for top in without:  # nothing but its scale speaks for such a loss
            if top.goal is not None and top.goal.is_plain:
                yield from self._matrices(top, None, np.full((1, 1, 1), start))

    def losses_of_h(self) -> Iterator[Top]:
        """Losses of the hidden states themselves, where a loss is all there is."""
        if not self.trials.by_loss:
            return
        start = float(self.trials.seen("", "", np.zeros(len(self.trials.values), bool)).item())
        widths = {n for places in self.entries.values() for n in places.shape}
        widths |= {n // k for n in widths for k in (3, 4) if n % k == 0}
        for array in self.data:
            for target, T, _ in numbers(array):
                B, H = target.shape[1:]
                if H not in widths or whole(array):
                    continue
                for ending in (WEIGHTED, SQUARED):
                    declared = float(ending.terms(np.zeros_like(target), target).sum())
                    shown = start / declared if declared else 0.0  # unless a state that is not zero shows as well
                    plain = shown > 0 and Goal(ending, target, shown).is_plain
                    for scale in (shown,) if plain else (1.0, 1 / target.size, 0.5)[: 2 + (ending is SQUARED)]:
                        yield Top(H=H, goal=Goal(ending, target, scale), T=T, B=B)
        for ending in AIMLESS:
            for scale in (1.0, 0.0, 0.5)[: 2 + (ending is AIMLESS[1])]:
                for last in (False, True):
                    for H in sorted(widths):
                        yield Top(H=H, B=None, aimless=(ending, scale, last))

    def _close(self, predicted: float, on: Array) -> bool:
        shown = float(self.trials.seen("", "", on).item())
        return abs(predicted - shown) <= self.tolerance * max(abs(predicted), abs(shown))

    def _goals(self, start: float) -> Iterator[tuple[Goal, int | None]]:
        """Losses of y that are what the subject's is where y is zero; with T, where the targets tell."""
        for target, T, one_hot in self._targets():
            for ending in ENDINGS:
                if ending.one_hot and not one_hot:
                    continue
                declared = float(ending.terms(np.zeros_like(target), target).sum())
                if declared and start / declared > 0:
                    yield Goal(ending, target, start / declared), T

    def _targets(self) -> Iterator[tuple[Array, int | None, bool]]:
        """Targets (T, B, V), or (1, B, V) of the last step; whether each is one class of V."""
        widths = sorted({n for places in self.entries.values() for n in places.shape})
        seen = set()
        for array in sorted(self.data, key=_says_little):
            for target, T, one_hot in (*classes(array, widths), *numbers(array)):
                key = (target.shape, T, target.tobytes())
                if key not in seen:
                    seen.add(key)
                    yield target, T, one_hot


def _says_little(array: Array) -> bool:
    """Whether an array is hardly the targets: one number throughout, or whole numbers that are no integers."""
    one_hot = array.ndim > 1 and array.dtype.kind == "f" and bool((array.sum(axis=-1) == 1).all())
    return bool((array == array.flat[0]).all()) or (whole(array) and array.dtype.kind == "f" and not one_hot)
