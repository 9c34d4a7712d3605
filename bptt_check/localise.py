"""Where a backward pass first goes wrong: each of its lines on its own, in backward order.

A cell that taps its intermediates and returns their derivatives says enough to ask of each line alone whether it is
right, everything that it reads taken as given (local.py). Here one random direction asks a whole block at once, over
all steps, and only blocks that are off are taken apart: a handful of evaluations, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.compare import REFERENCE_SAFETY
from bptt_check.differences import ComplexStep, Method
from bptt_check.differences.evaluate import along
from bptt_check.differences.noise import noise_at
from bptt_check.equations import Behind
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.local import BLOCK_ULPS, LEVEL_ULPS, HeldForward, Line, Tap, lines
from bptt_check.results import Finding
from bptt_check.subject import Array, Point, Subject, copied

KIND = "first-wrong-line"
STEPS_LISTED = 16  # of a wrong block; in longer sequences only the latest wrong step is looked for


def first_wrong_line(
    subject: Subject,
    gradient: Mapping[str, Array],
    *,
    method: Method | None = None,
    point: Point | None = None,
    rng: int | np.random.Generator = 0,
) -> Finding | None:
    """The first line in backward order that is wrong by itself, by intermediate and time step, as a finding.

    Parameters
    ----------
    subject: one with a forward pass that can be held at its intermediates, as :meth:`Subject.from_cell` makes it.
    gradient: what its backward pass returns at its point.
    method: a numerical derivative that the forward pass carries, by default the complex step.
    point: the blocks of the subject in the precision to work in, by default as they are.
    rng: seed or generator of the random directions.

    Returns
    -------
    Finding or None
        ``None`` where the subject has no such forward pass, where it cannot be evaluated so, and where no line is
        wrong. ``detail`` lists every line with the steps at which it is wrong.
    """
    if subject.tapped is None:
        return None
    finite = {name: np.asarray(a) for name, a in gradient.items() if np.isfinite(a).all()}
    try:
        looked = _Lines(subject, finite, method or ComplexStep(), point, np.random.default_rng(rng))
        wrong = looked.wrong()
    except (SubjectFailed, SubjectError):
        return None
    return Finding(KIND, _message(wrong), looked.table(wrong)) if wrong else None


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
class WrongLine:
    """One block whose line is wrong by itself: at which steps, the latest first; ``None`` for a sum over all steps.

    ``error`` is relative to the line's own size, along one random direction.
    """

    name: str
    steps: tuple[int, ...] | None
    equations: tuple[str, ...]
    error: float

    @property
    def said(self) -> str:
        """The line by the name that its author knows it by."""
        if self.steps is None:
            return f"the gradient of {self.name}"
        t = self.steps[0]
        if self.name.startswith("next "):
            return f"the derivative of {self.name[5:-3]} that step t = {t + 1} hands back"
        if t == 0:
            return f"the derivative of {self.name[:-1]} that step t = 1 hands back"
        return f"{self.short} at t = {t}"

    @property
    def short(self) -> str:
        """The line without its step."""
        if self.name.startswith("next "):
            return f"the d{self.name[5:-3]} handed back"
        return f"d{self.name.removesuffix('(t)')}"


class _Lines:
    """The lines of a subject at its point, each block of them looked at along one direction."""

    def __init__(
        self, subject: Subject, gradient: Point, method: Method, point: Point | None, rng: np.random.Generator
    ) -> None:
        self.gradient, self.method, self.rng = gradient, method, rng
        self.behind = subject.behind
        inner = {name: a for name, a in (point or subject.blocks).items() if name in subject.point}
        self.held = HeldForward(_hook(subject), inner, gradient)
        self.point = {
            **inner,
            **{k: zeros.astype(np.result_type(*inner.values())) for k, zeros in self.held.zeros.items()},
        }
        kinds = [*(a.dtype for a in subject.point.values()), *(a.dtype for a in gradient.values())]
        self.eps = max(float(np.finfo(kind).eps) for kind in {*kinds, np.dtype(subject.precision or kinds[0])})
        self.levels = self.held.levels(inner)
        exact = isinstance(method, ComplexStep)
        self.noise = None if exact else noise_at(self.held, self.point, direction=inner)

    def wrong(self) -> list[WrongLine]:
        """All lines that are wrong by themselves, in backward order."""
        found = [line for name in self._names() if (line := self._looked_at(name))]
        order = {name: place for place, name in enumerate(self._names())}
        return sorted(found, key=lambda line: (line.steps is None, -(line.steps or (0,))[0], order[line.name]))

    def _names(self) -> list[str]:
        """Every block, within a step in backward order: intermediates, x; then initial states, then weights."""
        taps = [f"{k}(t)" for k in reversed(self.held.order)]
        initial = [name for name in self.point if self.held.is_initial(name)]
        others = [name for name in self.point if name not in (*taps, "x", *initial)]
        return [name for name in (*taps, "x", *initial, *others) if name in self.gradient and name in self.point]

    def _looked_at(self, name: str) -> WrongLine | None:
        timed = name == "x" or name.endswith("(t)")
        if not timed:
            ratio, error = self._off(name, ...)
            step = 0 if self.held.is_initial(name) else None
            return (
                WrongLine(name, None if step is None else (0,), self._equations(name, step), error)
                if ratio > 1
                else None
            )
        T = self.held.T
        latest = self._latest(name, 1, T)
        if latest is None:
            return None
        earlier = range(latest - 1, 0, -1) if T <= STEPS_LISTED else ()
        steps = (latest, *(t for t in earlier if self._off(name, [t - 1])[0] > 1))
        return WrongLine(name, steps, self._equations(name, latest), self._off(name, [latest - 1])[1])

    def _latest(self, name: str, first: int, last: int) -> int | None:
        """The latest wrong step from ``first`` to ``last``, by halving."""
        if self._off(name, slice(first - 1, last))[0] <= 1:
            return None
        if first == last:
            return first
        middle = (first + last) // 2
        return self._latest(name, middle + 1, last) or self._latest(name, first, middle)

    def _off(self, name: str, steps: Any) -> tuple[float, float]:
        """How far off along a random direction over some steps: in units of what rounding allows, and relative."""
        a = self.gradient[name].astype(float)
        v = np.zeros(a.shape)
        v[steps] = self.rng.standard_normal(v[steps].shape)
        estimate = along(self.method, self.held, self.point, {name: v}, noise=self.noise)
        discrepancy = abs(float(estimate.value) - float(np.sum(a * v)))
        size = float(np.sum(np.abs(a * v)))
        level = float(np.sum(np.abs(v))) * self._level(name, steps)
        tolerance = self.eps * (BLOCK_ULPS * size + LEVEL_ULPS * level)
        tolerance += 0.0 if self.noise is None else REFERENCE_SAFETY * float(estimate.error)
        ratio = discrepancy / tolerance if tolerance else (np.inf if discrepancy else 0.0)
        return ratio, discrepancy / (max(size, abs(float(estimate.value))) or 1.0)

    def _level(self, name: str, steps: Any) -> float:
        if name == "x" or name.endswith("(t)"):
            return max(
                list(self.levels.values())[1:][steps] if isinstance(steps, slice) else [self.levels[steps[0] + 1]]
            )
        return self.levels[0] if self.held.is_initial(name) else sum(self.levels.values())

    def _equations(self, name: str, t: int | None) -> tuple[str, ...]:
        return self.behind.get(name, Behind(())).at(t, self.held.T)

    def table(self, wrong: list[WrongLine]) -> str:
        """Every line, in the order of one step backwards, with the steps at which it is wrong."""
        by_name = {line.name: line for line in wrong}
        rows = ["each line on its own, what it reads taken as given:"]
        for name in self._names():
            line = by_name.get(name)
            said = "right" if line is None else f"wrong{_at(line)}, off by {line.error:.1g}"
            rows.append(f"  {name:<12} {said}".rstrip())
        return "\n".join(rows)


def _at(line: WrongLine) -> str:
    return f" at t = {', '.join(map(str, line.steps))}" if line.steps and line.steps != (0,) else ""


def _message(wrong: list[WrongLine]) -> str:
    first, *others = wrong
    handed_back = {f"{line.name[5:-3]}0" for line in wrong if line.name.startswith("next ")}
    others = [line for line in others if line.name not in handed_back]  # the same line, at the first step
    message = f"{first.said} is the first wrong line in backward order; everything that it is computed from is right"
    if first.equations:
        message += f" (→ {first.equations[0]})"
    if others:
        names = ", ".join(line.short for line in others[:8])
        message += f"; wrong by themselves too: {names}" + (f" and {len(others) - 8} more" if len(others) > 8 else "")
    return message
