"""Where a backward pass first goes wrong: each of its lines on its own, in backward order.

A cell that taps its intermediates and returns their derivatives says enough to ask of each line alone whether it is
right, everything that it reads taken as given (local.py). Here one random direction asks a whole block at once, over
all steps, and only blocks that are off are taken apart: a handful of evaluations, whatever the sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np

from bptt_check.differences import ComplexStep, Method
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.line_reading import causes_of
from bptt_check.line_search import STEPS_LISTED, Lines, WrongLine, held_at_taps
from bptt_check.local import Line, lines
from bptt_check.results import Cause, Finding
from bptt_check.subject import Array, Point, Subject

KIND = "first-wrong-line"


@dataclass(frozen=True)
class WrongLines:
    """What the lines on their own say. ``read``: asks those that are wrong what they hold; an evaluation an entry."""

    finding: Finding
    read: Callable[[], tuple[Cause, ...]] = tuple

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Of the wrong lines, where their numbers tell what they hold."""
        try:
            return self.read()
        except (SubjectFailed, SubjectError):
            return ()


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
        looked = Lines(subject, finite, method or ComplexStep(), point, np.random.default_rng(rng))
        wrong = looked.wrong()
    except (SubjectFailed, SubjectError):
        return None
    if not wrong:
        return None
    message = _message(wrong) if looked.tapped else _shared(wrong) or _message(wrong)
    finding = Finding(KIND, message, _table(looked, wrong))
    return WrongLines(finding, partial(causes_of, subject, looked, wrong) if len(finite) == len(gradient) else tuple)


def lines_of_subject(subject: Subject, gradient: Mapping[str, Array] | None = None) -> tuple[Line, ...]:
    """Every line of a subject on its own, entry by entry: see :func:`bptt_check.local.lines`.

    Raises
    ------
    SubjectError
        Where the subject has no forward pass that can be held at its intermediates.
    """
    returned = subject.gradient(subject.blocks) if gradient is None else gradient
    hook = held_at_taps(subject)
    return lines(hook, subject.point, returned, equations=subject.behind, stacked=subject.stacked)


def _table(lines: Lines, wrong: list[WrongLine]) -> str:
    """Every line, in the order of one step backwards, with the steps at which it is wrong."""
    by_name = {line.name: line for line in wrong}
    rows = ["each line on its own, what it reads taken as given:"]
    for name in lines.places:
        line = by_name.get(name)
        said = "right" if line is None else f"wrong{_at(lines, line)}, off by {line.error:.1g}"
        rows.append(f"  {name:<12} {said}".rstrip())
    return "\n".join(rows)


def _at(lines: Lines, line: WrongLine) -> str:
    if not line.steps:
        return ""
    earlier = " and perhaps before" if lines.held.T > STEPS_LISTED else ""
    return f" at t = {', '.join(map(str, line.steps))}{earlier}"


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
