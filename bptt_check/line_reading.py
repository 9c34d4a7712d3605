"""What a wrong line holds, and what belongs there, read off its numbers in the author's own names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bptt_check.expressions import said_of
from bptt_check.line_search import Lines, Place, WrongLine
from bptt_check.local import of_block
from bptt_check.results import Cause
from bptt_check.subject import Array, Subject

READ_LINES = 4  # wrong ones, up to which each is asked what it holds,
READ_ENTRIES = 512  # and of each so many entries at most
ULPS = 2.0**16  # of its largest entry: what two ways to compute the same may differ by


def causes_of(subject: Subject, lines: Lines, wrong: list[WrongLine]) -> tuple[Cause, ...]:
    """What the wrong lines hold, and what belongs there, in the author's own names.

    Exact where that is known of all of them: the others are right by themselves, so that nothing else is wrong.
    """
    if len(wrong) > READ_LINES:
        return ()
    slopes = _slopes(subject)
    told = [cause for line in wrong if (cause := _cause(lines, line, slopes))]
    return tuple(told) if len(told) == len(wrong) else tuple(replace(cause, exact=False) for cause in told)


def _cause(lines: Lines, line: WrongLine, slopes: Mapping[str, Array]) -> Cause | None:
    places = lines.places[line.name]
    blocks = dict.fromkeys(place.block for place in places)
    if line.steps is None or any(lines.gradient[k].size > READ_ENTRIES for k in blocks):
        return None
    right = {k: of_block(lines.method, lines.held, lines.point, k) for k in blocks}
    written = _along_steps(places, lines.gradient)
    belongs = _along_steps(places, right)
    if places[0].block.startswith("next "):  # the loss joins what is handed back
        arriving = _along_steps(places, {k: _slope(lines, slopes, k) for k in blocks})
        written, belongs = written - arriving, belongs - arriving
    derivatives, values = _read(lines, line.name, written.shape)
    found = said_of(line.name, written, belongs, derivatives, values, ULPS * lines.eps)
    if found is None:
        return None
    return Cause(
        "line", next(iter(line.equations), None), True, found.residual, found.says, found.remedy,
        explains=tuple(blocks),
    )  # fmt: skip


def _along_steps(places: list[Place], blocks: Mapping[str, Array]) -> Array:
    """The parts of a line, step 1 first."""
    return np.stack([np.asarray(blocks[place.block][place.entries], dtype=float) for place in places[::-1]])


def _slope(lines: Lines, slopes: Mapping[str, Array], block: str) -> Array:
    """∂L/∂ of a state by the loss alone, at each step; nothing at step 0, nor for a state that it does not see."""
    seen = slopes.get(block.removeprefix("next ").removesuffix("(t)"))
    return np.zeros_like(lines.gradient[block]) if seen is None or not block.endswith("(t)") else seen


def _slopes(subject: Subject) -> Mapping[str, Array]:
    recurrence = subject.recurrence
    return recurrence.cotangents(recurrence.outputs(subject.point)) if recurrence and recurrence.tapped else {}


def _read(lines: Lines, line: str, shape: tuple[int, ...]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Derivatives and forward values that a line may read, by the author's names, those of states first."""
    T, derivatives, values = lines.held.T, {}, {}
    for name in sorted(lines.held.order, key=lambda name: not name.startswith("next ")):
        steps = np.stack([lines.held.values[name, t] for t in range(1, T + 1)]).astype(float)
        state = name.removeprefix("next ")
        returned = lines.gradient.get(f"{name}(t)")
        if returned is not None and returned.shape == shape and line != f"d{name}":
            derivatives[f'd["{state}"]' if state != name else f"d{name}"] = np.asarray(returned, dtype=float)
        if steps.shape == shape:
            values[state] = steps
        if state != name and f"{state}0" in lines.point and steps.shape == shape:
            before = np.asarray(lines.point[f"{state}0"], dtype=float)[None]
            values[f'prev["{state}"]'] = np.concatenate([before, steps[:-1]])
    return derivatives, values
