"""What a recognised subject hands back: our arrays out of theirs, and gradients the other way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from bptt_check.lstm.backward import backward
from bptt_check.lstm.forward import Steps, Trace, forward
from bptt_check.lstm.params import Parameters, shapes, states
from bptt_check.lstm.variants import Variant
from bptt_check.points import Array
from bptt_check.recognise.axes import in_order, stacked
from bptt_check.recurrence import Recurrence

ALIKE = 1e-6  # of the largest entry: two gradients of one sum that are further apart differ by more than rounding


@dataclass(frozen=True)
class Sources:
    """Where our arrays come from: ours = Σ theirs at these places, plus a constant.

    Attributes
    ----------
    point: the user's arrays, for their names and shapes.
    places: by our name, the place of each entry among all entries of ``point``, one behind the other; several such
        arrays add up. An array of ours that is not named is zero.
    constants: by our name, what is added: 1 to the bias of the forget gate, or an x that the point does not hold.
    """

    point: Mapping[str, Array]
    places: Mapping[str, tuple[Array, ...]]
    constants: Mapping[str, Any] = field(default_factory=dict)

    @property
    def starts(self) -> dict[str, int]:
        """The place of the first entry of each of the user's arrays."""
        ends = np.cumsum([0, *(array.size for array in self.point.values())])
        return {name: int(start) for name, start in zip(self.point, ends, strict=False)}

    def taken(self, flat: Array, variant: Variant, steps: tuple[int, int, int, int]) -> dict[str, Array]:
        """Our arrays from all entries of theirs, ``flat``."""
        T, B, D, H = steps
        ours = {"x": (T, B, D), **shapes(variant, D, H), **states(variant, B, H)}
        return {
            name: np.broadcast_to(
                sum((flat[places] for places in self.places.get(name, ())), np.zeros(shape, flat.dtype))
                + np.asarray(self.constants.get(name, 0)).astype(flat.dtype),
                shape,
            )
            for name, shape in ours.items()
        }

    @property
    def named(self) -> frozenset[str]:
        """The user's arrays that hold any of ours."""
        held, starts = self.held(self.places), self.starts
        return frozenset(k for k, a in self.point.items() if held[starts[k] : starts[k] + a.size].any())

    def held(self, names: Iterable[str]) -> Array:
        """Which entries, one behind the other, hold one of these arrays of ours."""
        held = np.zeros(sum(array.size for array in self.point.values()), bool)
        for name in names:
            for places in self.places[name]:
                held[places] = True
        return held

    def added(self, ours: Mapping[str, Array]) -> dict[str, Array]:
        """The adjoint: gradients by their entries from gradients by ours, for their arrays that hold any of ours."""
        if not ours:
            return {}
        kind = np.result_type(*ours.values())
        flat = np.zeros(sum(array.size for array in self.point.values()), kind)
        known = np.zeros(flat.shape, bool)
        for name, everything in self.places.items():
            for places in everything:
                known[places] = True
                if name in ours:
                    np.add.at(flat, places, ours[name])
        return {
            name: flat[start : start + self.point[name].size].reshape(self.point[name].shape)
            for name, start in self.starts.items()
            if known[start : start + self.point[name].size].any()
        }

    def read(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients of our arrays that theirs determine.

        ``theirs`` need not hold all arrays. Left out are those of an array that serves several sums, and those of two
        arrays that are added up and have got different gradients.
        """
        point = self.point
        filled = [np.asarray(theirs[k]) if k in theirs else np.full(a.shape, np.nan) for k, a in point.items()]
        flat = np.concatenate([array.reshape(-1) for array in filled])
        given = np.concatenate([np.full(a.size, k in theirs) for k, a in point.items()])
        used = np.zeros(len(flat), int)
        for everything in self.places.values():
            for places in everything:
                np.add.at(used, places, 1)
        found: dict[str, Array] = {}
        for name, everything in self.places.items():
            whole = [flat[places] for places in everything if given[places].all() and (used[places] == 1).all()]
            if whole and all(_alike(whole[0], other) for other in whole[1:]):
                found[name] = whole[0]
        return found


class Arriving(NamedTuple):
    """What a loss hands down, each (T, B, H): ∂L/∂h(t), ∂L/∂s(t), and what reaches h(t) by further outputs that are h.

    The last is no part of the first. It comes to h(T) as a carry does, where h of the last step is handed out besides.
    """

    dl: Array
    dl_ds: Array
    dl_again: Array


@dataclass(frozen=True)
class Recognised:
    """A user's subject as a cell of the family.

    Attributes
    ----------
    variant: the cell. ``steps``: T, B, D, H.
    sources: where each of our arrays comes from.
    output: name of the output that is h. ``order``: its axes, letters of ``TBH``; one that is missing has length 1, and
        without T it is h of the last step. Where the subject returns only its loss, these are the targets' axes.
    final_memory: name and axes of the output that is s, of all steps or of the last one; ``None`` where none is.
    repeated: further outputs that are h or s once more, such as h of the last step: name, axes, and ``"h"`` or ``"s"``.
    unread: outputs that are neither h nor s. The loss reaches the cell through them too, in ways not known here.
    taps: their intermediates by ours, such as ``{"cand(t)": "g"}``: equal in value at every step.
    scale: where the subject returns only its loss, that number over the declared loss.
    ambiguous: whether other mappings would explain the outputs as well.
    """

    variant: Variant
    steps: tuple[int, int, int, int]
    sources: Sources
    output: str
    order: str
    recurrence: Recurrence = field(repr=False)
    final_memory: tuple[str, str] | None = None
    repeated: tuple[tuple[str, str, str], ...] = ()
    unread: tuple[str, ...] = ()
    taps: Mapping[str, str] = field(default_factory=dict)
    scale: float = 1.0
    ambiguous: bool = False

    @property
    def name(self) -> str:
        """What it is, in words."""
        return f"cell {self.variant.name}"

    def ours(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """Our point from theirs: weights, x (T, B, D), and the states of step 0; zeros where they have none.

        Raises ``KeyError`` where one of their arrays is missing.
        """
        flat = np.concatenate([np.asarray(theirs[name]).reshape(-1) for name in self.sources.point])
        return self.sources.taken(flat, self.variant, self.steps)

    def theirs(self, ours: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients in their names, shapes and packing from gradients in ours.

        Two biases that add up get the same gradient each; one state that all sequences share gets the sum. Arrays that
        hold none of ours are left out.
        """
        return self.sources.added(ours)

    def gradients_in_ours(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients of our arrays that theirs determine, see :meth:`Sources.read`."""
        return self.sources.read(theirs)

    def trace(self, theirs: Mapping[str, Array]) -> Trace:
        """Our forward pass at their point."""
        return trace_of(self.variant, self.ours(theirs))

    def arriving(self, theirs: Mapping[str, Array]) -> Arriving:
        """What their loss hands down to h(t) and to s(t) at their point."""
        T, B, _, H = self.steps
        if self.recurrence.loss is not None:
            h = self.trace(theirs).over_time("h")
            y = targets_in_order(self.recurrence, theirs, self.order)
            slope = self.recurrence.loss.slope(h, y)
            return Arriving(np.asarray(self.scale * slope).astype(h.dtype), np.zeros_like(h), np.zeros_like(h))
        cotangents = self.recurrence.cotangents(self.recurrence.outputs(theirs))
        arrays = stacked(cotangents)
        found = Arriving(*np.zeros((3, T, B, H), np.result_type(*cotangents.values())))
        memory = [(*self.final_memory, "s")] if self.final_memory else []
        for name, order, ours in ((self.output, self.order, "first"), *memory, *self.repeated):
            array = in_order(arrays[name], order, "TBH")
            into = {"first": found.dl, "h": found.dl_again, "s": found.dl_ds}[ours]
            into[-len(array) :] += array
        return found

    def gradient(self, theirs: Mapping[str, Array]) -> dict[str, Array] | None:
        """The gradient by our backward pass, in their names and shapes; ``None`` where an output is unread."""
        if self.unread:
            return None
        trace = self.trace(theirs)
        dl, dl_ds, dl_again = self.arriving(theirs)
        dl_dh = dl + dl_again
        if not dl_ds[:-1].any():
            grads = backward(trace, dl_dh, ds_next=dl_ds[-1])
            return self.theirs({**grads.weights, "x": grads.x, **grads.initial})
        total: dict[str, Array] = {}
        carried = {name: np.zeros_like(dl_ds[0]) for name in states(self.variant, 1, 1)}
        dx = []
        for t in range(trace.T, 0, -1):  # P2: step by step, for the loss reaches s(t) as well
            gates = {name[0]: d for name, d in carried.items() if name not in ("h0", "s0")}
            grads = backward(
                one_step(trace, t),
                dl_dh[t - 1 : t],
                dh_next=carried["h0"],
                ds_next=carried["s0"] + dl_ds[t - 1],
                gates_next=gates,
            )
            carried = dict(grads.initial)
            dx.append(grads.x[0])
            total = {name: total.get(name, 0) + d for name, d in grads.weights.items()}
        return self.theirs({**total, "x": np.stack(dx[::-1]), **carried})


def _alike(a: Array, b: Array) -> bool:
    return bool(np.abs(a - b).max(initial=0) <= ALIKE * max(np.abs(a).max(initial=0), np.abs(b).max(initial=0)))


def trace_of(variant: Variant, ours: Mapping[str, Array]) -> Trace:
    """Our forward pass of arrays by our names."""
    gates0 = {k: ours[f"{k}0"] for k in ("i", "f", "o") if f"{k}0" in ours}
    weights = Parameters({name: ours[name] for name in shapes(variant, 1, 1)})
    return forward(weights, ours["x"], ours["h0"], ours["s0"], variant=variant, gates0=gates0)


def one_step(trace: Trace, t: int) -> Trace:
    """Step t of a forward pass, as a pass of its own."""
    parts = {k: getattr(trace, k)[t - 1 : t + 1] for k in "xhsgifo"}
    z: dict[str, Steps] = {k: [_no_slot, steps[t]] for k, steps in trace.z.items()}
    return replace(trace, **{**parts, "x": [_no_slot, trace.x[t]]}, z=z)


def targets_in_order(recurrence: Recurrence, theirs: Mapping[str, Array], order: str) -> Array:
    """The targets of the declared loss with the axes T, B, H."""
    assert recurrence.loss is not None
    targets = recurrence.loss.targets_at(theirs)
    return np.zeros((1, 1, 1)) if targets is None else in_order(targets, order, "TBH")


_no_slot: Any = None
