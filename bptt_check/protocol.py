"""How a subject behaves when it is called: more than once, elsewhere, with its inputs watched.

A backward pass can be right once and wrong twice. Each way that this happens is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError, SubjectWarning
from bptt_check.manners import look_at_gradient, look_at_loss, note
from bptt_check.points import Array, copied, scalar
from bptt_check.results import Finding
from bptt_check.subject import Subject
from bptt_check.watch import random_states, undisturbed

REPEAT = 1e3  # in ulps: two runs at one point that differ by more are not the same function


@dataclass(frozen=True)
class Observations:
    """What calling the subject showed: its loss and gradient at the point, findings, and what it cost."""

    loss: float
    gradient: Mapping[str, Array]
    findings: tuple[Finding, ...]
    evaluations: int
    gradients: int


def observe(subject: Subject, *, eps: float) -> Observations:
    """Call loss and gradient twice each, watching inputs, earlier results and the global random generators.

    Raises
    ------
    SubjectError
        Where the loss at the point is not finite, or a returned gradient is not one.
    SubjectFailed
        Where the subject's code raises.
    """
    findings: dict[str, Finding] = {}
    heard: list[SubjectWarning] = []
    with undisturbed() as printed:
        states = random_states()
        loss = _watched_loss(subject, findings, heard)
        first_raw, first = _watched_gradient(subject, findings, heard)
        again = _watched_loss(subject, findings, heard)
        _, second = _watched_gradient(subject, findings, heard)
        draws = random_states() != states
    if draws:
        message = "the global random generator is used; give the code a generator of its own"
        note(findings, "global-random", message, fault=False)
    if printed.count:
        message = f"the code prints: {printed.count} characters in four calls"
        note(findings, "prints", message, fault=False, detail=printed.text)
    for warning in heard:
        note(findings, warning.kind, warning.message, fault=False)
    if abs(again - loss) > REPEAT * eps * max(abs(loss), abs(again)):
        note(findings, "random-loss", f"the loss differs when repeated at the same point: {loss:.9g}, then {again:.9g}")
    _compare_repeats(first, second, eps, findings)
    for name, array in first.items():
        if not np.array_equal(np.asarray(first_raw[name]), array, equal_nan=True):
            note(
                findings,
                "result-overwritten",
                f"the gradient of {name} that was handed out changes with a later call; copy it",
            )
    return Observations(loss, first, tuple(findings.values()), 2, 2)


def _watched_loss(subject: Subject, findings: dict[str, Finding], heard: list[SubjectWarning]) -> float:
    point = copied(subject.point)
    raw = subject.call(subject.loss_at, point, "the loss", heard)
    value = scalar(raw)
    if np.iscomplexobj(value):
        raise SubjectError(f"the loss of {subject.name} is complex at a real point; return its real part")
    _compare_inputs(subject, point, "the loss", findings)
    if not np.isfinite(value):
        raise SubjectError(f"the loss of {subject.name} is {value} at the point; choose a point where it is finite")
    look_at_loss(subject, raw, value, findings)
    return float(value)


def _watched_gradient(
    subject: Subject, findings: dict[str, Finding], heard: list[SubjectWarning]
) -> tuple[Mapping[str, Any], dict[str, Array]]:
    point = copied(subject.point)
    raw = subject.call(subject.gradient_at, point, "the gradient", heard)
    gradient = subject.checked_gradient(raw)
    _compare_inputs(subject, point, "the gradient", findings)
    look_at_gradient(subject, raw, gradient, point, findings)
    return raw, gradient


def _compare_inputs(subject: Subject, point: Mapping[str, Array], what: str, findings: dict[str, Finding]) -> None:
    for name, before in subject.point.items():
        after = point.get(name)
        if after is None or after.shape != before.shape or not np.array_equal(after, before):
            note(findings, "changed-inputs", f"{what} changes its input {name}; work on a copy")


def _compare_repeats(
    first: Mapping[str, Array], second: Mapping[str, Array], eps: float, findings: dict[str, Finding]
) -> None:
    for name, a in first.items():
        if name not in second:
            note(findings, "random-gradient", f"the gradient of {name} is returned once and not the second time")
            continue
        finite = np.isfinite(a)
        if not np.array_equal(finite, np.isfinite(second[name])):
            note(findings, "random-gradient", f"the gradient of {name} is finite at one call and not at another")
            continue
        a, b = a[finite].astype(float), second[name][finite].astype(float)
        scale = float(np.abs(a).max(initial=0)) or 1.0
        if np.abs(b - a).max(initial=0) <= REPEAT * eps * scale:
            continue
        if np.abs(b - 2 * a).max(initial=0) <= REPEAT * eps * scale:
            note(
                findings,
                "accumulates",
                f"the gradient of {name} doubles at the second call: it is added to and never cleared",
            )
        else:
            note(findings, "random-gradient", f"the gradient of {name} differs when repeated at the same point")
