"""Where a backward pass first goes wrong: each of its lines on its own, in backward order.

A cell that taps its intermediates and returns their derivatives says enough to ask of each line alone whether it is
right, everything that it reads taken as given (local.py). Here one random direction asks a whole block at once, over
all steps, and only blocks that are off are taken apart: a handful of evaluations, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.compare import REFERENCE_SAFETY
from bptt_check.differences import ComplexStep, Method
from bptt_check.differences.evaluate import along
from bptt_check.differences.noise import noise_at
from bptt_check.equations import Behind
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.expressions import said_of
from bptt_check.local import BLOCK_ULPS, LEVEL_ULPS, HeldForward, Line, Tap, lines, of_block
from bptt_check.results import Cause, Finding
from bptt_check.subject import Array, Point, Subject, copied

KIND = "first-wrong-line"
READ_LINES = 4  # wrong ones, up to which each is asked what it holds,
READ_ENTRIES = 512  # and of each so many entries at most
ULPS = 2.0**16  # of its largest entry: what two ways to compute the same may differ by
STEPS_LISTED = 16  # of a wrong block; in longer sequences only the latest wrong step is looked for


@dataclass(frozen=True)
class WrongLines:
    """What the lines on their own say. ``causes``: of those that are wrong, where their numbers tell what they hold."""

    finding: Finding
    causes: tuple[Cause, ...] = ()


def first_wrong_line(
    subject: Subject,
    gradient: Mapping[str, Array],
    *,
    method: Method | None = None,
    point: Point | None = None,
    rng: int | np.random.Generator = 0,
) -> Finding | None:
    """The finding of :func:`wrong_lines` alone."""
    found = wrong_lines(subject, gradient, method=method, point=point, rng=rng)
    return found.finding if found else None


def wrong_lines(
    subject: Subject,
    gradient: Mapping[str, Array],
    *,
    method: Method | None = None,
    point: Point | None = None,
    rng: int | np.random.Generator = 0,
) -> WrongLines | None:
    """The first line in backward order that is wrong by itself, by intermediate and time step.

    Parameters
    ----------
    subject: one with a forward pass that can be held at its intermediates, as :meth:`Subject.from_cell` makes it.
    gradient: what its backward pass returns at its point.
    method: a numerical derivative that the forward pass carries, by default the complex step.
    point: the blocks of the subject in the precision to work in, by default as they are.
    rng: seed or generator of the random directions.

    Returns
    -------
    WrongLines or None
        ``None`` where the subject has no such forward pass, where it cannot be evaluated so, and where no line is
        wrong. The finding's ``detail`` lists every line with the steps at which it is wrong.
    """
    if subject.tapped is None:
        return None
    finite = {name: np.asarray(a) for name, a in gradient.items() if np.isfinite(a).all()}
    try:
        looked = _Lines(subject, finite, method or ComplexStep(), point, np.random.default_rng(rng))
        wrong = looked.wrong()
        causes = looked.causes(wrong) if len(finite) == len(gradient) else ()
    except (SubjectFailed, SubjectError):
        return None
    if not wrong:
        return None
    message = _message(wrong) if looked.tapped else _shared(wrong) or _message(wrong)
    return WrongLines(Finding(KIND, message, looked.table(wrong)), causes)


def lines_of_subject(subject: Subject, gradient: Mapping[str, Array] | None = None) -> tuple[Line, ...]:
    """Every line of a subject on its own, entry by entry: see :func:`bptt_check.local.lines`.

    Raises
    ------
    SubjectError
        Where the subject has no forward pass that can be held at its intermediates.
    """
    returned = subject.gradient(subject.blocks) if gradient is None else gradient
    hook = _hook(subject)
    return lines(hook, subject.point, returned, equations=subject.behind, stacked=subject.stacked)


def _hook(subject: Subject) -> Any:
    tapped = subject.tapped
    if tapped is None:
        raise SubjectError(f"{subject.name} hands no intermediates through a tap; a cell does (Subject.from_cell)")

    def held(point: Point, tap: Tap) -> Any:
        return subject.call(lambda p: tapped(p, tap), copied(point), "the forward pass")

    return held


@dataclass(frozen=True)
class _Place:
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


class _Lines:
    """The lines of a subject at its point. Each is looked at along one direction over all steps, then by halves."""

    def __init__(
        self, subject: Subject, gradient: Point, method: Method, point: Point | None, rng: np.random.Generator
    ) -> None:
        self.gradient, self.method, self.rng, self.behind = gradient, method, rng, subject.behind
        inner = {name: a for name, a in (point or subject.blocks).items() if name in subject.point}
        kind = np.result_type(*inner.values())
        self.held = HeldForward(_hook(subject), inner, gradient)
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
        self.slopes = _slopes(subject)

    @property
    def tapped(self) -> bool:
        """Whether the cell names anything between what arrives at a step and what it hands out."""
        return any(f"{name}(t)" in self.point and not name.startswith("next ") for name in self.held.order)

    def wrong(self) -> list[WrongLine]:
        """All lines that are wrong by themselves, in backward order."""
        found = [line for name in self.places if (line := self._looked_at(name))]
        order = list(self.places)
        return sorted(found, key=lambda line: (line.steps is None, -(line.steps or (0,))[0], order.index(line.name)))

    def causes(self, wrong: list[WrongLine]) -> tuple[Cause, ...]:
        """What the wrong lines hold, and what belongs there, in the author's own names.

        Exact where that is known of all of them: the others are right by themselves, so that nothing else is wrong.
        """
        if len(wrong) > READ_LINES:
            return ()
        told = [cause for line in wrong if (cause := self._cause(line))]
        return tuple(told) if len(told) == len(wrong) else tuple(replace(cause, exact=False) for cause in told)

    def _cause(self, line: WrongLine) -> Cause | None:
        places = self.places[line.name]
        blocks = dict.fromkeys(place.block for place in places)
        if line.steps is None or any(self.gradient[k].size > READ_ENTRIES for k in blocks):
            return None
        right = {k: of_block(self.method, self.held, self.point, k) for k in blocks}
        written = self._along_steps(places, self.gradient)
        belongs = self._along_steps(places, right)
        if places[0].block.startswith("next "):  # the loss joins what is handed back
            arriving = self._along_steps(places, {k: self._slope(k) for k in blocks})
            written, belongs = written - arriving, belongs - arriving
        derivatives, values = self._read(line.name, written.shape)
        found = said_of(line.name, written, belongs, derivatives, values, ULPS * self.eps)
        if found is None:
            return None
        return Cause(
            "line", next(iter(line.equations), None), True, found.residual, found.says, found.remedy,
            explains=tuple(blocks),
        )  # fmt: skip

    def _along_steps(self, places: list[_Place], blocks: Mapping[str, Array]) -> Array:
        """The parts of a line, step 1 first."""
        return np.stack([np.asarray(blocks[place.block][place.entries], dtype=float) for place in places[::-1]])

    def _slope(self, block: str) -> Array:
        """∂L/∂ of a state by the loss alone, at each step; nothing at step 0, nor for a state that it does not see."""
        seen = self.slopes.get(block.removeprefix("next ").removesuffix("(t)"))
        return np.zeros_like(self.gradient[block]) if seen is None or not block.endswith("(t)") else seen

    def _read(self, line: str, shape: tuple[int, ...]) -> tuple[dict[str, Array], dict[str, Array]]:
        """Derivatives and forward values that a line may read, by the author's names, those of states first."""
        T, derivatives, values = self.held.T, {}, {}
        for name in sorted(self.held.order, key=lambda name: not name.startswith("next ")):
            steps = np.stack([self.held.values[name, t] for t in range(1, T + 1)]).astype(float)
            state = name.removeprefix("next ")
            returned = self.gradient.get(f"{name}(t)")
            if returned is not None and returned.shape == shape and line != f"d{name}":
                derivatives[f'd["{state}"]' if state != name else f"d{name}"] = np.asarray(returned, dtype=float)
            if steps.shape == shape:
                values[state] = steps
            if state != name and f"{state}0" in self.point and steps.shape == shape:
                before = np.asarray(self.point[f"{state}0"], dtype=float)[None]
                values[f'prev["{state}"]'] = np.concatenate([before, steps[:-1]])
        return derivatives, values

    def _places(self) -> dict[str, list[_Place]]:
        """The places of each line, latest step first; the lines in the order of one step backwards, then the sums.

        What reaches a state of step t is what the backward pass of step t+1 has returned for its previous state.
        """
        T, places = self.held.T, {}
        taps = [name for name in reversed(self.held.order) if f"{name}(t)" in self.point]
        states = [name.removeprefix("next ") for name in taps if name.startswith("next ")]
        for name in taps:
            if not name.startswith("next "):
                places[f"d{name}"] = [_Place(f"{name}(t)", t, t) for t in range(T, 0, -1)]
        places["dx"] = [_Place("x", t, t) for t in range(T, 0, -1)]
        for name in states:
            handed_back = [_Place(f"next {name}(t)", t, t - 1) for t in range(T, 1, -1)]
            places[f'dprev["{name}"]'] = [*handed_back, _Place(f"{name}0", 1, 0)]
        handed_on = {"x", *(f"{name}0" for name in states)}
        for name in self.point:
            if name not in handed_on and not name.endswith("(t)"):
                label = f"d{name}" if f"d{name}" not in places else f"d{name} (parameter)"
                places[label] = [_Place(name, 0, 0) if self.held.is_initial(name) else _Place(name)]
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

    def _latest(self, places: list[_Place], offset: int = 0) -> int | None:
        """Which of the places, latest first, is the first that is wrong: by halving."""
        if self._off(places)[0] <= 1:
            return None
        if len(places) == 1:
            return offset
        half = len(places) // 2
        found = self._latest(places[:half], offset)
        return self._latest(places[half:], offset + half) if found is None else found

    def _off(self, places: list[_Place]) -> tuple[float, float]:
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

    def _level(self, place: _Place) -> float:
        return sum(self.levels.values()) if place.of is None else self.levels[place.of]

    def table(self, wrong: list[WrongLine]) -> str:
        """Every line, in the order of one step backwards, with the steps at which it is wrong."""
        by_name = {line.name: line for line in wrong}
        rows = ["each line on its own, what it reads taken as given:"]
        for name in self.places:
            line = by_name.get(name)
            said = "right" if line is None else f"wrong{self._at(line)}, off by {line.error:.1g}"
            rows.append(f"  {name:<12} {said}".rstrip())
        return "\n".join(rows)

    def _at(self, line: WrongLine) -> str:
        if not line.steps:
            return ""
        earlier = " and perhaps before" if self.held.T > STEPS_LISTED else ""
        return f" at t = {', '.join(map(str, line.steps))}{earlier}"


def _slopes(subject: Subject) -> Mapping[str, Array]:
    recurrence = subject.recurrence
    return recurrence.cotangents(recurrence.outputs(subject.point)) if recurrence and recurrence.tapped else {}


def _shared(wrong: list[WrongLine]) -> str:
    """What is said where nothing inside a step is named, and several of its results are wrong at once."""
    first = wrong[0]
    together = [line.name for line in wrong if line.steps and first.steps and line.steps[0] == first.steps[0]]
    if first.steps is None or len(together) < 2:
        return ""
    sums = [line.name for line in wrong if line.steps is None]
    said = f"at t = {first.steps[0]} what arrives at the step is right, and {', '.join(together)} are wrong"
    said += f", and so are {', '.join(sums[:8])}" if sums else ""
    return f"{said}: look at what they share. tap() the intermediates and return their derivatives to see the line"


def _message(wrong: list[WrongLine]) -> str:
    first, *others = wrong
    message = f"{first} is the first wrong line in backward order; everything that it is computed from is right"
    if first.equations:
        message += f" (→ {first.equations[0]})"
    if others:
        names = ", ".join(line.name for line in others[:8])
        message += f"; wrong by themselves too: {names}" + (f" and {len(others) - 8} more" if len(others) > 8 else "")
    return message
