"""``gradient_check(subject)``: check, keep the result, tell the search, raise unless it agrees."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt_check.errors import GradientError, UsageError
from bptt_check.report.text import clean_lines
from bptt_check.testing.examples import inside_given, only_on_the_way, steer
from bptt_check.testing.place import place_of
from bptt_check.testing.running import Running
from bptt_check.testing.smaller import smallest_case
from bptt_check.testing.steps import is_short, with_norms

if TYPE_CHECKING:
    from bptt_check.results import Result
    from bptt_check.subject import Subject

MESSAGE_LIMIT = 20_000  # characters of a failure that are printed
RAISED = "raised"  # the kind of finding that says that the subject's code has raised
PACKAGE = str(Path(__file__).parents[1])


class GradientCheck:
    """What the fixture ``gradient_check`` is. One for a whole run: it may be used inside ``@given``.

    Called with a :class:`~bptt_check.Subject` and options of :func:`bptt_check.check`, it returns the
    :class:`~bptt_check.Result` if that AGREES.

    Raises
    ------
    GradientDisagrees, GradientInconclusive
        With the printed result as message.
    SubjectError, UsageError
        As ``check`` does.
    """

    def __init__(self, running: Running, defaults: Mapping[str, Any]) -> None:
        import bptt_check.checking  # noqa: F401  now, not in the first example, for which Hypothesis stops the time

        self._running = running
        self._defaults = dict(defaults)

    def __call__(self, subject: Subject, **options: Any) -> Result:
        """Check ``subject``; see the class."""
        __tracebackhide__ = True
        from bptt_check.checking import check
        from bptt_check.subject import Subject

        if not isinstance(subject, Subject):
            raise UsageError(
                f"gradient_check takes a Subject, not {type(subject).__name__}; make one with Subject.from_functions "
                "or its like"
            )
        shown = self._running.is_first()
        more: dict[str, Any] = {"entries": "all"} if shown and is_short(subject) else {}
        more |= {"causes": False} if only_on_the_way() else {}  # a diagnosis takes as long as many examples
        asked = {**self._defaults, **options}
        result = check(subject, **{**more, **asked})
        if shown or result.verdict is not result.verdict.AGREES:
            result = with_norms(result, subject)
        if result.verdict is result.verdict.DISAGREES and not inside_given():  # there, Hypothesis finds it
            result = replace(result, findings=(*result.findings, *smallest_case(subject, asked)))
        self._running.keep(result, place_of(subject, asked))
        steer(result)
        insist(result, self._running.how_again())
        return result

    def __repr__(self) -> str:
        return "gradient_check"


def own_frames(trace: str) -> str:
    """Return a printed traceback without the frames of this package."""
    frames = re.split(r'(?m)^(?=  File ")', trace)
    return "".join(frame for frame in frames if not frame.startswith(f'  File "{PACKAGE}'))


def insist(result: Result, how_again: str) -> None:
    """Raise what ``result.raise_unless_agrees`` raises, on one's guard against what names may hold."""
    __tracebackhide__ = True
    try:
        result.raise_unless_agrees()
    except GradientError as error:
        failure = type(error)(clean_lines(error, limit=MESSAGE_LIMIT))
        for finding in result.findings:
            if finding.kind == RAISED and finding.detail:
                failure.add_note(clean_lines(own_frames(finding.detail), limit=MESSAGE_LIMIT))
        if how_again:
            failure.add_note(f"to run it again: {how_again}")
        raise failure from None
