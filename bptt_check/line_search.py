"""The search for wrong lines: a random direction asks a whole block over all its steps, and what is off is halved."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.compare import REFERENCE_SAFETY
from bptt_check.differences import ComplexStep, Method
from bptt_check.differences.evaluate import along
from bptt_check.differences.noise import noise_at
from bptt_check.equations import Behind
from bptt_check.errors import SubjectError
from bptt_check.local import BLOCK_ULPS, LEVEL_ULPS, HeldForward, Tap
from bptt_check.subject import Array, Point, Subject, copied

STEPS_LISTED = 16  # of a wrong block; in longer sequences only the latest wrong step is looked for


def held_at_taps(subject: Subject) -> Any:
    """The forward pass of a subject as one that can be held at its intermediates: (point, tap) → loss.

    Raises ``SubjectError`` where it hands none through a tap.
    """
    tapped = subject.tapped
    if tapped is None:
        raise SubjectError(f"{subject.name} hands no intermediates through a tap; a cell does (Subject.from_cell)")

    def held(point: Point, tap: Tap) -> Any:
        return subject.call(lambda p: tapped(p, tap), copied(point), "the forward pass")

    return held


@dataclass(frozen=True)
class Place:
    """One line at one step: entries of one block.

    ``t`` is the step that computes it, ``of`` the step that it is a derivative of; both ``None`` for a sum over steps.
    """

    block: str
    t: int | None = None
    of: int | None = None

    @property
    def entries(self) -> Any:
        """Where in the block."""
        return self.of - 1 if self.of else ...


@dataclass(frozen=True)
class WrongLine:
    """A line that is wrong by itself, by the name that its author knows it by.

    ``steps`` are those at which it is wrong, the latest first, or ``None`` for a sum over all steps; ``error`` is
    relative to the line's own size, along one random direction.
    """

    name: str
    steps: tuple[int, ...] | None
    equations: tuple[str, ...]
    error: float

    def __str__(self) -> str:
        return self.name if not self.steps else f"{self.name} at t = {self.steps[0]}"


class Lines:
    """The lines of a subject at its point. Each is looked at along one direction over all steps, then by halves."""

    def __init__(
        self, subject: Subject, gradient: Point, method: Method, point: Point | None, rng: np.random.Generator
    ) -> None:
        self.gradient, self.method, self.rng, self.behind = gradient, method, rng, subject.behind
        inner = {name: a for name, a in (point or subject.blocks).items() if name in subject.point}
        kind = np.result_type(*inner.values())
        self.held = HeldForward(held_at_taps(subject), inner, gradient)
        self.point = {**inner, **{name: zeros.astype(kind) for name, zeros in self.held.zeros.items()}}
        self.levels = self.held.levels(inner)
        kinds = [
            *(a.dtype for a in (*subject.point.values(), *gradient.values())),
            np.dtype(subject.precision or float),
        ]
        self.eps = max(float(np.finfo(kind).eps) for kind in kinds)
        exact = isinstance(method, ComplexStep)
        self.noise = None if exact else noise_at(self.held, self.point, direction=inner)
        self.places = self._places()

    @property
    def tapped(self) -> bool:
        """Whether the cell names anything between what arrives at a step and what it hands out."""
        return any(f"{name}(t)" in self.point and not name.startswith("next ") for name in self.held.order)

    def wrong(self) -> list[WrongLine]:
        """All lines that are wrong by themselves, in backward order."""
        found = [line for name in self.places if (line := self._looked_at(name))]
        order = list(self.places)
        return sorted(found, key=lambda line: (line.steps is None, -(line.steps or (0,))[0], order.index(line.name)))

    def _places(self) -> dict[str, list[Place]]:
        """The places of each line, latest step first; the lines in the order of one step backwards, then the sums.

        What reaches a state of step t is what the backward pass of step t+1 has returned for its previous state.
        """
        T, places = self.held.T, {}
        taps = [name for name in reversed(self.held.order) if f"{name}(t)" in self.point]
        states = [name.removeprefix("next ") for name in taps if name.startswith("next ")]
        for name in taps:
            if not name.startswith("next "):
                places[f"d{name}"] = [Place(f"{name}(t)", t, t) for t in range(T, 0, -1)]
        places["dx"] = [Place("x", t, t) for t in range(T, 0, -1)]
        for name in states:
            handed_back = [Place(f"next {name}(t)", t, t - 1) for t in range(T, 1, -1)]
            places[f'dprev["{name}"]'] = [*handed_back, Place(f"{name}0", 1, 0)]
        handed_on = {"x", *(f"{name}0" for name in states)}
        for name in self.point:
            if name not in handed_on and not name.endswith("(t)"):
                label = f"d{name}" if f"d{name}" not in places else f"d{name} (parameter)"
                places[label] = [Place(name, 0, 0) if self.held.is_initial(name) else Place(name)]
        known = {
            line: [p for p in of if p.block in self.point and p.block in self.gradient] for line, of in places.items()
        }
        return {line: of for line, of in known.items() if of}

    def _looked_at(self, name: str) -> WrongLine | None:
        places = self.places[name]
        first = self._latest(places)
        if first is None:
            return None
        place = places[first]
        error = self._off([place])[1]
        equations = self.behind.get(place.block, Behind(())).at(place.of, self.held.T)
        if place.t is None:
            return WrongLine(name, None, equations, error)
        earlier = places[first + 1 :] if self.held.T <= STEPS_LISTED else []
        wrong = [place, *(each for each in earlier if self._off([each])[0] > 1)]
        return WrongLine(name, tuple(each.t for each in wrong if each.t is not None), equations, error)

    def _latest(self, places: list[Place], offset: int = 0) -> int | None:
        """Which of the places, latest first, is the first that is wrong: by halving."""
        if self._off(places)[0] <= 1:
            return None
        if len(places) == 1:
            return offset
        half = len(places) // 2
        found = self._latest(places[:half], offset)
        return self._latest(places[half:], offset + half) if found is None else found

    def _off(self, places: list[Place]) -> tuple[float, float]:
        """How far off along a random direction over some places: in units of what rounding allows, and relative."""
        v: dict[str, Array] = {}
        size = level = predicted = 0.0
        for place in places:
            a = self.gradient[place.block].astype(float)
            at = place.entries
            part = self.rng.standard_normal(a[at].shape)
            v.setdefault(place.block, np.zeros(a.shape))[at] = part
            predicted += float(np.sum(a[at] * part))
            size += float(np.sum(np.abs(a[at] * part)))
            level += float(np.sum(np.abs(part))) * self._level(place)
        estimate = along(self.method, self.held, self.point, v, noise=self.noise)
        discrepancy = abs(float(estimate.value) - predicted)
        tolerance = self.eps * (BLOCK_ULPS * size + LEVEL_ULPS * level)
        tolerance += 0.0 if self.noise is None else REFERENCE_SAFETY * float(estimate.error)
        ratio = discrepancy / tolerance if tolerance else (np.inf if discrepancy else 0.0)
        return ratio, discrepancy / (max(size, abs(float(estimate.value))) or 1.0)

    def _level(self, place: Place) -> float:
        return sum(self.levels.values()) if place.of is None else self.levels[place.of]
