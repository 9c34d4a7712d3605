"""Which part of which array is which of ours, found one part after another by what it does to the outputs.

All entries but x are zero at first, and the memory cell does nothing. A part that is switched on alone changes the
outputs in a way that our forward pass with one of *our* arrays switched on explains, or none. What is explained stays
on, and others begin to show: g before i, i and f before their recurrent weights, those before h0. No two unknowns are
ever on together, so that there is nothing to enumerate but one part's roles. (Of a single step h0 and the weights that
see it show only together: there each part that could be h0 is taken for it in turn.)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from bptt_check.lstm.variants import Variant
from bptt_check.points import Array
from bptt_check.recognise.axes import Frame
from bptt_check.recognise.cuts import Piece, cuts_of, roles
from bptt_check.recognise.record import Sources
from bptt_check.recognise.trials import Trials, apart

STEPS_SEEN = 3  # each part shows within so many steps, if at all
Role = tuple[str, Array]  # our name, and the place of each of its entries
Cut = tuple[Piece, ...]


@dataclass(frozen=True)
class Found:
    """Roles of parts so far. ``ambiguous``: one of them was one of several, or some part could be what is missing."""

    roles: tuple[Role, ...] = ()
    ambiguous: bool = False

    @property
    def places(self) -> dict[str, tuple[Array, ...]]:
        """By our name."""
        names = dict.fromkeys(name for name, _ in self.roles)
        return {name: tuple(places for other, places in self.roles if other == name) for name in names}


class Model(Protocol):
    """What is looked for: arrays of ours, and what they compute."""

    @property
    def trials(self) -> Trials:
        """Runs of the user's forward pass."""

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Our arrays by kind."""

    @property
    def dispensable(self) -> frozenset[str]:
        """Those that change nothing, whatever they are."""

    @property
    def hidden(self) -> tuple[tuple[str, str], ...]:
        """Kind and name of what shows only together with others."""

    @property
    def given(self) -> tuple[Role, ...]:
        """Roles that are known from the beginning."""

    def response(self, mask: Array) -> Array:
        """What the subject shows with these entries on, three axes."""

    def arrays(self, flat: Array, places: Mapping[str, tuple[Array, ...]]) -> dict[str, Array]:
        """Our arrays from all entries of theirs."""

    def same(self, ours: Mapping[str, Array], flat: Array, response: Array) -> Array:
        """Whether our forward pass shows the same, for each stacked copy of ``ours``."""


@dataclass(frozen=True)
class OneCell:
    """One cell of the family in one reading of the shapes. ``constants`` are added to arrays of ours."""

    trials: Trials
    frame: Frame
    variant: Variant
    constants: Mapping[str, Any]
    scale: float
    tolerance: float

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        """Our arrays by kind."""
        return roles(self.variant)

    @property
    def dispensable(self) -> frozenset[str]:
        """h(0), where no line reads it."""
        return frozenset(["h0"] if self.variant.feedback == "s" else [])

    @property
    def hidden(self) -> tuple[tuple[str, str], ...]:
        """Of a single step h0 and the weights that see it show only together."""
        return (("state", "h0"),)

    @property
    def given(self) -> tuple[Role, ...]:
        """x, where the point holds it."""
        return () if self.frame.inputs is not None else (("x", self.frame.x),)

    def response(self, mask: Array) -> Array:
        """h of the subject, or its loss."""
        return self.trials.response(self.frame, mask, self.scale)

    def arrays(self, flat: Array, places: Mapping[str, tuple[Array, ...]]) -> dict[str, Array]:
        """Our arrays from all entries of theirs."""
        return Sources(self.trials.subject.point, places, self.constants).taken(flat, self.variant, self.frame.steps)

    def same(self, ours: Mapping[str, Array], flat: Array, response: Array) -> Array:
        """Whether the first steps of our forward pass are those of the subject."""
        first = min(self.frame.T, STEPS_SEEN)
        predicted = self.trials.predicted(self.frame, self.variant, ours, flat, first)
        return np.asarray(apart(predicted, response[:first]) <= self.tolerance)


@dataclass
class Roles:
    """The search for one model.

    ``always``: a mask of the entries that are on from the beginning, x and targets. ``tolerance``: how far apart two
    computations of one number may be.
    """

    model: Model
    always: Array
    tolerance: float

    def search(self, cuts: Mapping[str, list[Cut]]) -> Iterator[Found]:
        """Everything that the trials leave possible, likely ones first. ``cuts``: of each array by its name."""
        yield from self._onwards(Found(tuple(self.model.given)), {name: list(some) for name, some in cuts.items()})

    def _onwards(self, found: Found, cuts: dict[str, list[Cut]]) -> Iterator[Found]:
        several: list[Role] = []
        while True:
            passed = self._pass(found, cuts)
            if passed is None:
                return
            new, cuts, several = passed
            if not new:
                break
            found = replace(found, roles=(*found.roles, *new))
        if several:  # nothing tells them apart
            yield from self._onwards(replace(found, roles=(*found.roles, several[0]), ambiguous=True), cuts)
            return
        on = self._mask(found)
        rest = [cut for some in cuts.values() for cut in some[:1]]
        left = [piece for cut in rest for piece in cut if not on[piece.places].all()]
        if self._differs(np.ones_like(on), on):
            for hidden, name in self.model.hidden:
                if name in found.places:
                    continue
                for piece in left:
                    for kind, places in piece.readings:
                        if kind == hidden:
                            yield from self._onwards(replace(found, roles=(*found.roles, (name, places))), cuts)
            return
        missing = {name for names in self.model.names.values() for name in names} - set(found.places)
        missing -= self.model.dispensable
        could_be = any(self._possible(piece, missing) for piece in left)
        yield replace(found, ambiguous=found.ambiguous or could_be)

    def _pass(
        self, found: Found, cuts: dict[str, list[Cut]]
    ) -> tuple[list[Role], dict[str, list[Cut]], list[Role]] | None:
        """Every unknown part on its own: roles found, cuts that are left, and parts with several roles."""
        on = self._mask(found)
        base = self.model.response(on)
        new: list[Role] = []
        several: list[Role] = []
        left: dict[str, list[Cut]] = {}
        for name, some in cuts.items():
            best: tuple[int, list[Role], list[Role]] = (0, [], [])
            left[name] = []
            for cut in some:
                tried = self._cut(cut, found, on, base)
                if tried is None:
                    continue
                if len(tried[0]) + len(tried[1]) > best[0]:
                    best = (len(tried[0]) + len(tried[1]), *tried)
                    left[name].insert(0, cut)
                else:
                    left[name].append(cut)
            if not left[name]:
                return None
            new += best[1]
            several += best[2]
        return new, left, several

    def _cut(self, cut: Cut, found: Found, on: Array, base: Array) -> tuple[list[Role], list[Role]] | None:
        """Roles of the parts of one cut, and what has several; ``None`` where a part does what none of ours does."""
        new: list[Role] = []
        several: list[Role] = []
        for piece in cut:
            known = on[piece.places]
            if known.all() or any(places is part for _, places in found.roles for _, part in piece.readings):
                continue
            if known.any():
                return None
            mask = on.copy()
            mask[piece.places] = True
            response = self.model.response(mask)
            if apart(response, base) <= 10 * self.tolerance:
                continue
            explaining = self._explaining(piece, found, self.model.trials.on(mask), response)
            if not explaining:
                return None
            (new if len(explaining) == 1 else several).append(explaining[0])
        return new, several

    def _possible(self, piece: Piece, names: set[str]) -> list[Role]:
        ours = self.model.names
        return [(name, places) for kind, places in piece.readings for name in ours.get(kind, ()) if name in names]

    def _explaining(self, piece: Piece, found: Found, flat: Array, response: Array) -> list[Role]:
        """The roles in which our forward pass does the same: all of them run at once, as stacked copies."""
        taken = {name for name, _ in found.roles} - {name for name in found.places if name.startswith("b_")}
        every = {name for names in self.model.names.values() for name in names}
        possible = self._possible(piece, every - taken)
        if not possible:
            return []
        ours = self.model.arrays(flat, found.places)
        for name in {name for name, _ in possible}:
            copies = np.stack([ours[name]] * len(possible))
            for n, (other, places) in enumerate(possible):
                if other == name:
                    copies[n] += flat[places]
            ours[name] = copies
        same = np.broadcast_to(self.model.same(ours, flat, response), len(possible))
        return [role for role, is_same in zip(possible, same, strict=True) if is_same]

    def _differs(self, a: Array, b: Array) -> bool:
        responses = [self.model.response(mask) for mask in (a, b)]
        return bool(apart(*responses) > 10 * self.tolerance)

    def _mask(self, found: Found) -> Array:
        on = self.always.copy()
        for _, places in found.roles:
            on[places] = True
        return on


def cuts_of_point(entries: Mapping[str, Array], always: Array, frame: Frame) -> dict[str, list[Cut]]:
    """The cuts of all arrays that are not on from the beginning."""
    free = {name: places for name, places in entries.items() if not always[places].all()}
    return {name: list(cuts_of(places, frame.B, frame.D, frame.H)) for name, places in free.items()}
