"""The Hypothesis side: whether a test runs inside ``@given``, what its search is told, how many examples it draws."""

from __future__ import annotations

import math
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from bptt_check.report.text import clean_lines
from bptt_check.testing.options import Depth

if TYPE_CHECKING:
    from bptt_check.results import Result

ARGUMENTS_LIMIT = 4000  # characters of failing arguments that are kept
FARTHEST = 30.0  # decades: what is sent to the search is finite, whatever the error is


def inside_given() -> bool:
    """Whether Hypothesis is running an example just now."""
    if "hypothesis" not in sys.modules:
        return False
    from hypothesis import currently_in_test_context

    return currently_in_test_context()


def only_on_the_way() -> bool:
    """Whether the example that is running is one of many that Hypothesis tries, and not the one that it will show."""
    if not inside_given():
        return False
    from hypothesis import control

    context = control.current_build_context()
    return not getattr(context, "is_final", True)  # where a version does not say, every example is looked at in full


def failing_arguments(error: BaseException) -> str:
    """Return the smallest failing arguments of a test, which Hypothesis has noted on what it raises."""
    inner = getattr(error, "exceptions", ())
    notes = [note for e in (error, *inner) for note in getattr(e, "__notes__", ()) if isinstance(note, str)]
    found = [note for note in notes if note.startswith(("Failing test case: ", "Falsifying example: "))]
    return clean_lines("\n".join(found), limit=ARGUMENTS_LIMIT)


def steer(result: Result) -> None:
    """Send the search towards large errors, and count the example under the decade of its error."""
    if not inside_given():
        return
    from hypothesis import event, target
    from hypothesis.errors import InvalidArgument

    errors = [b.max_relative_error for b in result.blocks.values() if b.max_relative_error is not None]
    event("gradient", payload=f"{result.verdict}, {decade(_worst(errors))}")
    worst = result.worst
    if worst is not None and worst.tolerance_ratio is not None:
        with suppress(InvalidArgument):  # a second check in one example: the first has been sent
            target(in_decades(worst.tolerance_ratio), label="gradient error in units of what rounding allows, log10")


def _worst(errors: list[float]) -> float | None:
    return next((error for error in errors if math.isnan(error)), max(errors, default=None))


def decade(error: float | None) -> str:
    """Return in which decade an error lies, as a few words: an event for each error would be a flood."""
    if error is None:
        return "nothing compared entry by entry"
    if error == 0:
        return "relative error 0"
    return f"relative error near 1e{math.floor(math.log10(abs(error)))}" if math.isfinite(error) else "not finite"


def in_decades(ratio: float) -> float:
    """Return log10 of ``ratio`` as a finite Python float."""
    if math.isnan(ratio):
        return FARTHEST  # nothing is further off
    return float(min(FARTHEST, max(-FARTHEST, math.log10(ratio)))) if ratio > 0 else -FARTHEST


def set_depth(depth: Depth) -> None:
    """Let Hypothesis draw as many examples as the depth says; all else stays as the profile has it."""
    if depth.examples is None:
        return
    from hypothesis import settings

    settings.register_profile("bptt-check", settings(), max_examples=depth.examples)
    settings.load_profile("bptt-check")
