"""How a subject behaves when it is called: more than once, elsewhere, with its inputs watched.

A backward pass can be right once and wrong twice. Each way that this happens is a finding of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed, SubjectWarning
from bptt_check.flat import layouts, not_finite, shapes_of
from bptt_check.manners import look_at_gradient, look_at_loss, note
from bptt_check.points import Array, Point, copied, identical, pair_of, scalar
from bptt_check.results import Finding
from bptt_check.subject import Subject
from bptt_check.watch import States, random_states, unprinted

REPEAT = 1e3  # in ulps: two runs at one point that differ by more are not the same function
NOT_WATCHED = "protocol=False: a second call, one elsewhere, and a cache's second use were not looked at"
ELSEWHERE = (0.01, 1e-4)  # relative move of the second point at which the subject is called; the nearer if it must be


@dataclass(frozen=True)
class Observations:
    """What calling the subject showed: its loss and gradient at the point, findings, and what it cost.

    ``elsewhere`` and ``gradient_elsewhere``: the second point and the gradient there. ``repeats``: how often loss and
    gradient were called at the point itself.
    """

    loss: float
    gradient: Mapping[str, Array]
    elsewhere: Point
    gradient_elsewhere: Mapping[str, Array]
    findings: tuple[Finding, ...]
    evaluations: int
    gradients: int
    repeats: int

    @cached_property
    def broken(self) -> frozenset[str]:
        """The blocks whose gradient at the point holds something that is no finite number."""
        return not_finite(self.gradient)

    @property
    def random_loss(self) -> bool:
        """Whether the loss is no function of the point, so that nothing can be compared with it."""
        return any(finding.kind == "random-loss" for finding in self.findings)

    @property
    def random_gradient(self) -> bool:
        """Whether the gradient is none."""
        return any(finding.kind in ("random-gradient", "accumulates") for finding in self.findings)


def observe(
    subject: Subject, *, eps: float, rng: np.random.Generator, repeats: int = 2, before: States | None = None
) -> Observations:
    """Call the subject here, here again, and at a point nearby, watching inputs, results, caches and global state.

    ``before``: how the global generators stood before any of its code ran, where that is known.

    Raises
    ------
    SubjectError
        Where the loss at the point is not finite, or a returned gradient is not one.
    SubjectFailed
        Where the subject's code raises.
    """
    before = before or random_states()
    with unprinted() as printed:
        watch = _Watch(subject, eps)
        calls = watch.with_cache if subject.pair else watch.without_cache
        seen = _nearer(watch, calls, rng, max(2, repeats))
    if random_states() != before:
        message = "the global random generator is used; give the code a generator of its own"
        note(watch.findings, "global-random", message, fault=False)
    if printed.count:
        message = f"the code prints: {printed.count} characters in {watch.losses + watch.gradients} calls"
        note(watch.findings, "prints", message, fault=False, detail=printed.text)
    for warning in watch.heard:
        note(watch.findings, warning.kind, warning.message, fault=False)
    loss, gradient, elsewhere, there = seen
    return Observations(
        loss=loss,
        gradient=gradient,
        elsewhere=elsewhere,
        gradient_elsewhere=there,
        findings=tuple(watch.findings.values()),
        evaluations=watch.losses,
        gradients=watch.gradients,
        repeats=max(2, repeats),
    )


def called_once(subject: Subject, eps: float) -> Observations:
    """Loss and gradient at the point from one call of each; of all else it is said that nobody looked.

    Raises as :func:`observe` does.
    """
    watch = _Watch(subject, eps)
    with unprinted():
        if subject.pair:
            loss, cache = watch.forward(subject.point)
            gradient = watch.backward(cache)[1]
        else:
            loss, gradient = watch.loss(subject.point), watch.gradient(subject.point)[1]
    for warning in watch.heard:
        note(watch.findings, warning.kind, warning.message, fault=False)
    note(watch.findings, "calls-not-watched", NOT_WATCHED, fault=False)
    return Observations(loss, gradient, {}, {}, tuple(watch.findings.values()), watch.losses, watch.gradients, 1)


Seen = tuple[float, dict[str, Array], Point, dict[str, Array]]


@dataclass
class _Watch:
    """The calls of one observation: what they return, compared call by call, and their count."""

    subject: Subject
    eps: float
    findings: dict[str, Finding] = field(default_factory=dict)
    heard: list[SubjectWarning] = field(default_factory=list)
    losses: int = 0
    gradients: int = 0
    called_at: Point | None = None

    def without_cache(self, elsewhere: Point, repeats: int) -> Seen:
        """Loss and gradient as two functions."""
        loss = self.loss(self.subject.point)
        raw, gradient = self.gradient(self.subject.point)
        for _ in range(repeats - 1):
            self.same_loss(loss, self.loss(self.subject.point))
            self.same_gradient(gradient, self.gradient(self.subject.point)[1])
        _, there = self.gradient(elsewhere)
        self.still(raw, gradient)
        return loss, gradient, elsewhere, there

    def with_cache(self, elsewhere: Point, repeats: int) -> Seen:
        """A forward pass that hands out a cache, and a backward pass of that cache and of nothing else.

        One cache is used a second time after two later forward passes; what made a difference is asked for only if
        there is one.
        """
        loss, cache = self.forward(self.subject.point)
        raw, gradient = self.backward(cache)
        for _ in range(repeats - 2):
            repeated, another = self.forward(self.subject.point)
            self.same_loss(loss, repeated)
            self.same_gradient(gradient, self.backward(another)[1])
        self.same_loss(loss, self.forward(self.subject.point)[0])
        _, cache_elsewhere = self.forward(elsewhere)
        _, again = self.backward(cache)
        if self.differ(gradient, again):
            self.why_it_differs(gradient, again, elsewhere)
        _, there = self.backward(cache_elsewhere)
        self.still(raw, gradient)
        return loss, gradient, elsewhere, there

    def why_it_differs(self, gradient: Point, again: Point, elsewhere: Point) -> None:
        """A cache gave another gradient when used again, later: by its first use, or by a forward pass after it?"""
        _, unused = self.forward(self.subject.point)
        self.forward(elsewhere)
        _, late = self.backward(unused)
        later = "the backward pass reads what a later forward pass left behind, not the cache it is given"
        self.same_gradient(gradient, late, kind="later-forward", message=later)
        if not self.differ(gradient, late) or self.differ(late, again):
            spoilt = (
                "the cache is spoilt by its first use: a second backward pass of the same cache gives another gradient"
            )
            self.same_gradient(gradient, again, kind="cache-spoilt", message=spoilt)

    def loss(self, at: Point) -> float:
        """The loss at a point, watched."""
        self.losses += 1
        self.called_at = at
        point = copied(at)
        value = self.number(self.subject.call(self.subject.loss_at, point, "the loss", self.heard))
        self.unchanged(at, point, "the loss")
        return value

    def gradient(self, at: Point) -> tuple[Mapping[str, Any], dict[str, Array]]:
        """The gradient at a point, as returned and as checked."""
        self.gradients += 1
        self.called_at = at
        point = copied(at)
        raw = self.subject.call(self.subject.gradient_at, point, "the gradient", self.heard)
        return self.looked_at(raw, at, point)

    def forward(self, at: Point) -> tuple[float, tuple[Any, Point, Point]]:
        """Loss and cache at a point; with the cache go the point it belongs to and the copy that was handed over."""
        assert self.subject.pair is not None
        self.losses += 1
        self.called_at = at
        point = copied(at)
        value, cache = pair_of(self.subject.call(self.subject.pair[0], point, "the loss", self.heard))
        self.unchanged(at, point, "the loss")
        return self.number(value), (cache, at, point)

    def backward(self, cached: tuple[Any, Point, Point]) -> tuple[Mapping[str, Any], dict[str, Array]]:
        """The gradient from a cache."""
        assert self.subject.pair is not None
        self.gradients += 1
        cache, at, point = cached
        self.called_at = at
        raw = self.subject.call(self.subject.pair[1], cache, "the gradient", self.heard)
        return self.looked_at(raw, at, point)

    def looked_at(self, raw: Mapping[str, Any], at: Point, point: Point) -> tuple[Mapping[str, Any], dict[str, Array]]:
        """A gradient as returned and as checked; its manners are looked at where they can differ from the first's."""
        gradient = self.subject.checked_gradient(raw)
        self.unchanged(at, point, "the gradient")
        if self.gradients == 1 or at is not self.subject.point:
            look_at_gradient(self.subject, raw, gradient, point, self.findings)
        return raw, gradient

    def number(self, raw: Any) -> float:
        """A returned loss as a finite float."""
        value, name = scalar(raw), self.subject.name
        if np.iscomplexobj(value):
            raise SubjectError(f"the loss of {name} is complex at a real point; return its real part")
        if not np.isfinite(value):
            raise SubjectError(f"the loss of {name} is {value} at the point; choose a point where it is finite")
        look_at_loss(self.subject, raw, value, self.findings)
        return float(value)

    def unchanged(self, before: Point, after: Point, what: str) -> None:
        """Inputs are as they were handed over."""
        for name, array in before.items():
            now = after.get(name)
            if now is None or not identical(now, array):
                note(self.findings, "changed-inputs", f"{what} changes its input {name}; work on a copy")

    def still(self, raw: Mapping[str, Any], gradient: Mapping[str, Array]) -> None:
        """What was handed out first is still what it was."""
        for name, array in gradient.items():
            if not identical(np.asarray(raw[name]), array):
                message = f"the gradient of {name} that was handed out changes with a later call; hand out a copy"
                note(self.findings, "result-overwritten", message)

    def same_loss(self, first: float, again: float) -> None:
        """Two losses at one point are one number, but for rounding."""
        if abs(again - first) > REPEAT * self.eps * max(abs(first), abs(again)):
            message = f"the loss differs when repeated at the same point: {first:.9g}, then {again:.9g}"
            note(self.findings, "random-loss", message)

    def same_gradient(
        self,
        first: Mapping[str, Array],
        again: Mapping[str, Array],
        *,
        kind: str = "random-gradient",
        message: str = "",
    ) -> None:
        """Two gradients at one point are one, but for rounding."""
        name = self.differ(first, again)
        if not name:
            return
        if name in first and name in again and not self.differ({name: 2 * first[name]}, {name: again[name]}):
            message = f"the gradient of {name} doubles at the second call: it is added to and never cleared"
            kind = "accumulates"
        note(self.findings, kind, message or f"the gradient of {name} differs when repeated at the same point")

    def differ(self, one: Mapping[str, Array], other: Mapping[str, Array]) -> str:
        """The name of the first block in which two gradients differ beyond rounding; empty where none does."""
        for name in {**one, **other}:
            if name not in one or name not in other:
                return name
            if identical(one[name], other[name]):
                continue
            a, b = one[name].astype(float), other[name].astype(float)
            finite = np.isfinite(a)
            if not np.array_equal(finite, np.isfinite(b)):
                return name
            scale = float(np.abs(a[finite]).max(initial=0))
            if np.abs(b[finite] - a[finite]).max(initial=0) > REPEAT * self.eps * scale:
                return name
        return ""


def _nearer(watch: _Watch, calls: Callable[[Point, int], Seen], rng: np.random.Generator, repeats: int) -> Seen:
    """What the calls show; where code has no value, or no finite gradient, at the second point, one nearer is taken.

    A matrix may not be positive definite there, or a map leave its domain: that is no fault of code that is right here.
    """
    point = watch.subject.point
    for far in ELSEWHERE[:-1]:
        try:
            seen = calls(_near(point, rng, far), repeats)
        except (SubjectFailed, SubjectError):
            if watch.called_at is point:
                raise
            continue
        if not not_finite(seen[3]) or not_finite(seen[1]):
            return seen
        watch.findings.pop("not-finite", None)
    return calls(_near(point, rng, ELSEWHERE[-1]), repeats)


def _near(point: Point, rng: np.random.Generator, far: float) -> dict[str, Array]:
    """A point where everything is a little different."""
    if len({array.dtype for array in point.values()}) == 1 and len(groups := layouts(shapes_of(point))) == 1:
        whole = groups[0].join(point)  # one draw for all of a small point
        return dict(groups[0].split((whole * (1 + far * rng.uniform(0.5, 1, whole.shape))).astype(whole.dtype)))
    return {
        name: (array * (1 + far * rng.uniform(0.5, 1, array.shape))).astype(array.dtype)
        for name, array in point.items()
    }
