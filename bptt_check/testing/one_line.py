"""``@gradient_property``: a whole Hypothesis property of a backward pass in one line above a test."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bptt_check.errors import UsageError

LOSSES = ("euclidean", "softmax_cross_entropy", "last_step", "unequal_lengths")  # smooth; every step, one, some
RESULT = "result"


def gradient_property(
    *,
    cells: Sequence[Any],
    shapes: Any = None,
    losses: Sequence[Any] = LOSSES,
    max_examples: int | None = None,
    **options: Any,
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a test of ``test(result)``: Hypothesis draws cell, shape, loss and all numbers; the gradient has to agree.

    The body runs after each check that AGREES and may look at the :class:`~bptt_check.Result`; ``...`` will do. What
    fails is shrunk, and shown as the ``Subject`` that makes it again. Fixtures are taken as in any other test; by
    Hypothesis's own rule not those that are made anew for each test.

    Parameters
    ----------
    cells: what :meth:`bptt_check.Subject.from_cell` takes, or names of built-in cells such as ``"post"``.
    shapes: ``{"T": (1, 5), "H": 2}``, ranges and fixed sizes by letter; what is not given is drawn, T from 1 to 6, B to
        3, D to 4, H to 3. Or a list of whole shapes, ``[{"T": 3, "B": 2, "D": 1, "H": 2}]``.
    losses: names of :data:`bptt_check.lstm.losses.LOSS_NAMES`.
    max_examples: how many to draw; by default what the Hypothesis profile says.
    options: of :func:`bptt_check.check`.

    Raises
    ------
    UsageError
        Where the test is defined: for shapes or losses that do not exist, and for a test that takes no ``result``.

    It needs no fixture named in the test, and works with ``pytest -n``::

        @gradient_property(cells=[MyCell], shapes={"T": (1, 8)}, losses=["euclidean"])
        def test_my_cell(result): ...
    """
    from hypothesis import HealthCheck, Phase, assume, given, settings

    from bptt_check.strategies import cell_cases

    cases = cell_cases(cells, shapes=shapes, losses=losses)

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        named = inspect.signature(test).parameters
        if RESULT not in named:
            raise UsageError(f"{test.__name__} must take an argument named {RESULT}: what each check has found")

        names = _arguments([name for name in named if name != RESULT])

        def run(filled: dict[str, Any]) -> None:
            __tracebackhide__ = True
            check, case = filled.pop("gradient_check"), filled.pop("case")
            subject = case.subject()
            subject = replace(subject, case={**subject.case, "reproduce": case.code})
            assume(not case.near_a_kink(subject))
            test(**filled, result=check(subject, **options))

        def body(*args: Any, **named: Any) -> None:  # pragma: no cover  its code says it stands in the user's file
            __tracebackhide__ = True
            run({**dict(zip(names, args, strict=False)), **named})

        _dress(body, test, names)
        drawing = given(case=cases)(body)
        health = [HealthCheck.too_slow, HealthCheck.data_too_large]
        limits: Mapping[str, Any] = {} if max_examples is None else {"max_examples": max_examples}
        phases = [phase for phase in Phase if phase is not Phase.explain]  # which names lines in here, and takes long
        made: Callable[..., None] = settings(deadline=None, suppress_health_check=health, phases=phases, **limits)(
            drawing
        )
        return made

    return decorate


def _arguments(fixtures: Sequence[str]) -> list[str]:
    """All that pytest and Hypothesis are to fill, ``self`` first."""
    names = [name for name in fixtures if name == "self"] + ["gradient_check", "case"]
    return names + [name for name in fixtures if name not in names]


def _dress(body: Any, test: Any, names: Sequence[str]) -> None:
    """Give ``body`` the name and place of ``test``, and ``names`` as arguments.

    The place too: a traceback then shows the line above the test of the user, not one in here.
    """
    above = test.__code__.co_firstlineno - 1  # what can fail stands in the second line of the body
    body.__code__ = body.__code__.replace(co_filename=test.__code__.co_filename, co_firstlineno=above)
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(body, attribute, getattr(test, attribute))
    body.__dict__.update(test.__dict__)
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    body.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
