"""Faults of state and calls: a gradient that is right once, and wrong when it is called again or elsewhere."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check import Subject
from planted.case import Planted, Point
from planted.programs_of import Spec, make

RARE = 0.1
REPEATS = 50
Rng = np.random.Generator
Wrap = Callable[[Subject, Rng], Subject]


def _gradient(subject: Subject, gradient_at: Callable[[Point], Any]) -> Subject:
    return replace(subject, gradient_at=gradient_at, pair=None)


def _loss(subject: Subject, loss_at: Callable[[Point], Any]) -> Subject:
    return replace(subject, loss_at=loss_at, pair=None)


def _some(subject: Subject, rng: Rng) -> str:
    return str(rng.choice(list(subject.point)))


def gradient_changes_an_input(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)

    def gradient(p: Any) -> Any:
        returned = subject.gradient_at(p)
        p[name] -= 0.01 * returned[name]
        return returned

    return _gradient(subject, gradient)


def loss_changes_an_input(subject: Subject, rng: Rng) -> Subject:
    def loss(p: Any) -> Any:
        value = subject.loss_at(p)
        p["x"] *= 0.5
        return value

    return _loss(subject, loss)


def inputs_are_changed_and_only_slightly(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)

    def gradient(p: Any) -> Any:
        returned = subject.gradient_at(p)
        p[name] += 1e-12
        return returned

    return _gradient(subject, gradient)


def gradient_accumulates(subject: Subject, rng: Rng) -> Subject:
    total: dict[str, Any] = {}

    def gradient(p: Point) -> Any:
        for k, a in subject.gradient_at(p).items():
            total[k] = total.get(k, 0) + np.asarray(a)
        return {k: np.array(a) for k, a in total.items()}

    return _gradient(subject, gradient)


def one_block_accumulates(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)
    total = np.zeros_like(subject.point[name])

    def gradient(p: Point) -> Any:
        returned = dict(subject.gradient_at(p))
        total[...] += returned[name]
        return {**returned, name: total.copy()}

    return _gradient(subject, gradient)


def earlier_result_is_overwritten(subject: Subject, rng: Rng) -> Subject:
    buffers = {k: np.zeros_like(a) for k, a in subject.point.items()}

    def gradient(p: Point) -> Any:
        for k, a in subject.gradient_at(p).items():
            buffers[k][...] = a
        return buffers

    return _gradient(subject, gradient)


def one_buffer_is_overwritten(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)
    buffer = np.zeros_like(subject.point[name])

    def gradient(p: Point) -> Any:
        returned = dict(subject.gradient_at(p))
        buffer[...] = returned[name]
        return {**returned, name: buffer}

    return _gradient(subject, gradient)


def gradient_keeps_the_first_weights(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)
    first: dict[str, Any] = {}

    def gradient(p: Point) -> Any:
        first.setdefault(name, np.array(p[name]))
        return subject.gradient_at({**p, name: first[name]})

    return _gradient(subject, gradient)


def everything_keeps_the_first_weights(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)
    first: dict[str, Any] = {}

    def stale(p: Point) -> Any:
        first.setdefault(name, np.array(p[name]))
        return {**p, name: first[name]}

    return replace(
        subject,
        loss_at=lambda p: subject.loss_at(stale(p)),
        gradient_at=lambda p: subject.gradient_at(stale(p)),
        pair=None,
    )


def gradient_is_kept_from_the_first_call(subject: Subject, rng: Rng) -> Subject:
    kept: dict[str, Any] = {}

    def gradient(p: Point) -> Any:
        if not kept:
            kept.update(subject.gradient_at(p))
        return {k: np.array(a) for k, a in kept.items()}

    return _gradient(subject, gradient)


def second_call_forgets_a_block(subject: Subject, rng: Rng) -> Subject:
    name = _some(subject, rng)
    calls = [0]

    def gradient(p: Point) -> Any:
        calls[0] += 1
        returned = dict(subject.gradient_at(p))
        return returned if calls[0] == 1 else {**returned, name: 0 * np.asarray(returned[name])}

    return _gradient(subject, gradient)


def second_call_is_slightly_off(subject: Subject, rng: Rng) -> Subject:
    calls = [0]

    def gradient(p: Point) -> Any:
        calls[0] += 1
        factor = 1.0 if calls[0] == 1 else 1 + 1e-4
        return {k: factor * np.asarray(a) for k, a in subject.gradient_at(p).items()}

    return _gradient(subject, gradient)


def dropout_in_the_loss(subject: Subject, rng: Rng) -> Subject:
    own = np.random.default_rng(int(rng.integers(2**31)))

    def loss(p: Point) -> Any:
        return subject.loss_at({**p, "x": p["x"] * (own.random(p["x"].shape) < 0.5)})

    return _loss(subject, loss)


def dropout_in_loss_and_gradient(subject: Subject, rng: Rng) -> Subject:
    own = np.random.default_rng(int(rng.integers(2**31)))

    def dropped(p: Point) -> Any:
        return {**p, "x": p["x"] * (own.random(p["x"].shape) < 0.5)}

    return replace(
        subject,
        loss_at=lambda p: subject.loss_at(dropped(p)),
        gradient_at=lambda p: subject.gradient_at(dropped(p)),
        pair=None,
    )


def noise_in_the_loss(subject: Subject, rng: Rng) -> Subject:
    own = np.random.default_rng(int(rng.integers(2**31)))
    return _loss(subject, lambda p: subject.loss_at(p) * (1 + 1e-6 * own.standard_normal()))


def global_generator_is_used(subject: Subject, rng: Rng) -> Subject:
    def loss(p: Point) -> Any:
        return subject.loss_at(p) + 0 * np.random.rand()  # noqa: NPY002

    return _loss(subject, loss)


def global_generator_is_reseeded(subject: Subject, rng: Rng) -> Subject:
    def gradient(p: Point) -> Any:
        np.random.seed(0)  # noqa: NPY002
        return subject.gradient_at(p)

    return _gradient(subject, gradient)


def global_generator_of_python_is_used(subject: Subject, rng: Rng) -> Subject:
    def gradient(p: Point) -> Any:
        random.random()
        return subject.gradient_at(p)

    return _gradient(subject, gradient)


def cache_is_spoilt_by_its_first_use(subject: Subject, rng: Rng) -> Subject:
    assert subject.pair is not None
    forward, backward = subject.pair
    which = str(rng.choice(["r", "a", "g", "s"]))

    def spoiling(cache: Any) -> Any:
        returned = backward(cache)
        for step in cache[which]:
            step *= 0.5
        return returned

    return Subject.from_forward_backward(
        lambda p: forward({k: np.array(a) for k, a in p.items()}), spoiling, subject.point
    )


def cache_is_emptied_by_its_first_use(subject: Subject, rng: Rng) -> Subject:
    assert subject.pair is not None
    forward, backward = subject.pair

    def emptying(cache: Any) -> Any:
        returned = backward({k: list(v) if isinstance(v, list) else v for k, v in cache.items()})
        cache["r"][0] = 0 * cache["r"][0]
        return returned

    return Subject.from_forward_backward(forward, emptying, subject.point)


def backward_reads_the_latest_cache(subject: Subject, rng: Rng) -> Subject:
    assert subject.pair is not None
    forward, backward = subject.pair
    latest: dict[str, Any] = {}

    def remembering(p: Point) -> Any:
        loss, cache = forward(p)
        latest.update(cache)
        return loss, cache

    return Subject.from_forward_backward(remembering, lambda cache: backward(latest), subject.point)


def backward_reads_one_array_of_the_latest_cache(subject: Subject, rng: Rng) -> Subject:
    assert subject.pair is not None
    forward, backward = subject.pair
    which = str(rng.choice(["f", "a", "s", "xc"]))
    latest: dict[str, Any] = {}

    def remembering(p: Point) -> Any:
        loss, cache = forward(p)
        latest[which] = cache[which]
        return loss, cache

    return Subject.from_forward_backward(remembering, lambda cache: backward({**cache, **latest}), subject.point)


def forward_reuses_its_buffers(subject: Subject, rng: Rng) -> Subject:
    """The cache holds buffers that the next forward pass writes over, so that an older cache becomes the newer."""
    assert subject.pair is not None
    forward, backward = subject.pair
    buffers: dict[tuple[Any, ...], Any] = {}

    def reusing(p: Point) -> Any:
        loss, cache = forward(p)
        kept = {}
        for k, value in cache.items():
            if k in ("f", "g", "i", "o") and not np.iscomplexobj(value[0]):
                whole = np.stack(value)
                buffer = buffers.setdefault((k, whole.dtype), np.empty_like(whole))
                buffer[...] = whole
                kept[k] = buffer
            else:
                kept[k] = value
        return loss, kept

    return Subject.from_forward_backward(reusing, backward, subject.point)


@dataclass(frozen=True)
class Call:
    """One way to misbehave; ``named``: findings by which it may go where the verdict need not be DISAGREES."""

    wrap: Wrap
    named: tuple[str, ...] = ()
    cached: bool = False

    @property
    def name(self) -> str:
        return self.wrap.__name__.replace("_", " ")


GLOBAL = ("global-random",)
CALLS = (
    Call(gradient_changes_an_input, ("changed-inputs",)),
    Call(loss_changes_an_input, ("changed-inputs",)),
    Call(inputs_are_changed_and_only_slightly, ("changed-inputs",)),
    Call(gradient_accumulates, ("accumulates",)),
    Call(one_block_accumulates, ("accumulates",)),
    Call(earlier_result_is_overwritten, ("result-overwritten",)),
    Call(one_buffer_is_overwritten, ("result-overwritten",)),
    Call(gradient_keeps_the_first_weights),
    Call(everything_keeps_the_first_weights),
    Call(gradient_is_kept_from_the_first_call),
    Call(second_call_forgets_a_block, ("random-gradient", "differs-when-repeated")),
    Call(second_call_is_slightly_off, ("random-gradient", "differs-when-repeated")),
    Call(dropout_in_the_loss, ("random-loss",)),
    Call(dropout_in_loss_and_gradient, ("random-loss", "random-gradient")),
    Call(noise_in_the_loss, ("random-loss",)),
    Call(global_generator_is_used, GLOBAL),
    Call(global_generator_is_reseeded, GLOBAL),
    Call(global_generator_of_python_is_used, GLOBAL),
    Call(cache_is_spoilt_by_its_first_use, cached=True),
    Call(cache_is_emptied_by_its_first_use, cached=True),
    Call(backward_reads_the_latest_cache, cached=True),
    Call(backward_reads_one_array_of_the_latest_cache, cached=True),
    Call(forward_reuses_its_buffers, cached=True),
)


def _spec(rng: Rng, form: str) -> Spec:
    T, B, D, H = (int(rng.integers(least, 5)) for least in (2, 1, 1, 1))
    return Spec("stacked", T, B, D, H, int(rng.integers(2**31)), form=form)


def draw(rng: Rng, seed: int) -> Planted:
    """A random fault of :data:`CALLS` on a random problem."""
    call = CALLS[int(rng.integers(len(CALLS)))]
    spec = _spec(rng, "forward_backward" if call.cached else "functions")
    if "dropout" in call.name:  # two masks that are alike by chance are no fault yet
        spec = replace(spec, T=4, B=3, D=3)
    subject = call.wrap(make(spec), rng)
    return Planted("calls", seed, spec.form, subject, call.name, named=call.named, facts={"spec": spec})


def draw_rare(rng: Rng, seed: int) -> Planted:
    """A fault that strikes one call in ten."""
    spec = _spec(rng, "functions")
    right = make(spec)
    own = np.random.default_rng(int(rng.integers(2**31)))
    name = _some(right, rng)
    size = float(rng.choice([1e-6, 1e-3, 0.1, 1.0]))

    def gradient(p: Point) -> Any:
        returned = dict(right.gradient_at(p))
        return {**returned, name: (1 + size) * np.asarray(returned[name])} if own.random() < RARE else returned

    def loss(p: Point) -> Any:
        return right.loss_at(p) * (1 + size * (own.random() < RARE))

    in_loss = bool(rng.integers(4) == 0)
    subject = _loss(right, loss) if in_loss else _gradient(right, gradient)
    fault = f"{'loss' if in_loss else f'gradient of {name}'} off by {size:g} in one call of ten"
    return Planted("calls, one in ten", seed, spec.form, subject, fault, repeats=REPEATS, facts={"spec": spec})
