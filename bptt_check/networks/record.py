"""A subject recognised as a network: our arrays out of theirs, what reaches its outputs, gradients the other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from bptt_check.faults import Fault, faults_of
from bptt_check.networks.plan import HANDED_TWICE, Plan
from bptt_check.networks.stages import Chain
from bptt_check.networks.ways_between import OF_OUTPUTS
from bptt_check.points import Array
from bptt_check.recognise.axes import in_order, stacked
from bptt_check.recognise.record import Sources
from bptt_check.recurrence import Recurrence


def taken(
    plan: Plan, flat: Array, places: Mapping[str, tuple[Array, ...]], outside: Mapping[str, Array]
) -> dict[str, Array]:
    """Our arrays from all entries of theirs; ``outside`` are x, h0, s0 where the point does not hold them."""
    ours = {
        name: sum((flat[where] for where in places.get(name, ())), np.full(shape, plan.constants.get(name, 0.0)))
        for name, shape in plan.shapes.items()
    }
    return {**ours, **({"x": flat[places["x"][0]]} if "x" in places else {}), **outside}


@dataclass(frozen=True)
class RecognisedNetwork:
    """A subject as a network.

    Attributes
    ----------
    plan: which one. ``sources``: where each of our arrays comes from.
    outside: x (T, B, D) and initial states (B, H), where the point does not hold them.
    output, order: which output shows the network, and its axes, letters of ``TBH``; empty where the loss is inside.
    repeated: further outputs that are h at the top, name and axes. ``unread``: outputs that are not known.
    taps: none; what a bare cell returns for intermediates is not looked at here.
    """

    plan: Plan
    sources: Sources
    recurrence: Recurrence | None
    outside: Mapping[str, Array] = field(default_factory=dict)
    output: str = ""
    order: str = ""
    repeated: tuple[tuple[str, str], ...] = ()
    unread: tuple[str, ...] = ()
    taps: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is, in words."""
        return str(self.plan)

    def chain(self, theirs: Mapping[str, Array]) -> Chain:
        """Its backward pass as lines, at their point."""
        flat = np.concatenate([np.asarray(theirs[name], dtype=float).reshape(-1) for name in self.sources.point])
        ours = taken(self.plan, flat, self.sources.places, self.outside)
        if self.plan.goal is not None:
            return self.plan.chain(ours, None)
        assert self.recurrence is not None
        cotangents = stacked(self.recurrence.cotangents(self.recurrence.outputs(theirs)))
        arriving = self._over_time(cotangents, ((self.output, self.order),))
        again = self._over_time(cotangents, self.repeated) if self.repeated else None
        return self.plan.chain(ours, arriving, again)

    def _over_time(self, cotangents: Mapping[str, Array], outputs: Sequence[tuple[str, str]]) -> Array:
        """∂L/∂ of the outputs of the network by these outputs of theirs, (T, B, V or H)."""
        found = np.zeros((self.plan.T, self.plan.B, self.plan.V or self.plan.H))
        for name, order in outputs:
            array = np.asarray(in_order(cotangents[name], order, "TBH"), dtype=float)
            found[-len(array) :] += array
        return found

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every mistake that is known of the network, those of outputs that are handed out twice with them."""
        likeness = self.plan.parts[0].cell.likeness
        twice = faults_of(OF_OUTPUTS, HANDED_TWICE, likeness) if self.repeated else ()
        return (*twice, *self.plan.faults)

    def theirs(self, ours: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients in their names, shapes and packing from gradients in ours."""
        return self.sources.added(ours)

    def gradients_in_ours(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients of our arrays that theirs determine."""
        return self.sources.read(theirs)
