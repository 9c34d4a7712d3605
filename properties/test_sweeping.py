"""Comparing every entry: by which evaluator, what becomes of a wrong one, in how much memory, what is told."""

from __future__ import annotations

import io
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject, Verdict, blas, check
from bptt_check.differences import Central, ComplexStep, Richardson
from bptt_check.differences.evaluate import partials
from bptt_check.errors import UsageError
from bptt_check.lstm import losses as loss_room
from bptt_check.lstm.losses import pair
from bptt_check.lstm.variants import VARIANTS
from bptt_check.pace import Pace
from bptt_check.points import total_size
from bptt_check.report.terminal import bar
from bptt_check.sweeping import Sweeping, carries_copies, estimates


@pytest.mark.parametrize("method", [Central(), Richardson(), ComplexStep()], ids=lambda m: m.name)
def test_a_sweep_by_any_method_is_what_the_readable_evaluator_gives_block_by_block(method):
    subject = Subject.from_variant("V", T=3, B=2, D=2, H=3, rng=1)
    blocks = subject.blocks
    every = {name: np.arange(a.size) for name, a in blocks.items()}
    swept = estimates(
        subject, subject.loss, blocks, method, every, noise=None, sweeping=Sweeping(), count=lambda n: None
    )
    for name in blocks:
        readable = partials(method, subject.loss, blocks, name, stacked=True)
        assert swept[name].evaluations == readable.evaluations
        error = 10 * (swept[name].error + readable.error) + 1e-13 * np.abs(readable.value).max()
        assert (np.abs(swept[name].value - readable.value) <= error).all()


@given(variant=st.sampled_from(VARIANTS), seed=st.integers(0, 10**6), where=st.floats(0, 0.999), data=st.data())
def test_one_wrong_entry_is_found_and_named(variant, seed, where, data):
    subject = Subject.from_variant(variant, T=3, B=2, D=2, H=3, rng=seed % 50)
    name = data.draw(st.sampled_from(sorted(subject.blocks)))
    gradient = subject.gradient(subject.blocks)[name]
    index = np.unravel_index(int(where * gradient.size), gradient.shape)
    index = np.unravel_index(int(np.abs(gradient).argmax()), gradient.shape) if abs(gradient[index]) < 1e-4 else index

    def spoilt(point):
        out = {key: np.array(a) for key, a in subject.gradient_at(point).items()}
        out[name][index] += 1e-5 * (abs(gradient[index]) or 1.0)  # h0 does not matter to state feedback
        return out

    result = check(replace(subject, gradient_at=spoilt, pair=None), entries="all", causes=False)
    assert [k for k, b in result.blocks.items() if b.verdict is Verdict.DISAGREES] == [name]
    assert result.blocks[name].index == tuple(int(k) for k in index)


class Counted:
    """The evaluator of a subject, counting calls, with a fault if one is asked for."""

    def __init__(self, copies, spoil=lambda values: values):
        self.copies, self.spoil, self.calls, self.cost = copies, spoil, 0, copies.cost

    def __call__(self, *arguments):
        self.calls += 1
        return self.spoil(self.copies(*arguments))


def test_a_check_of_every_entry_goes_through_the_fast_evaluator():
    subject = Subject.from_variant("V", T=3, B=2, D=2, H=3, rng=0)
    counted = Counted(subject.copies)
    assert check(replace(subject, copies=counted), entries="all").verdict is Verdict.AGREES
    assert counted.calls == 1


SPOILT = {"off": lambda v: v * 1.001, "nan": lambda v: v * np.nan, "none": lambda v: None}


@pytest.mark.parametrize("method", ["complex", "differences"])
@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT.keys())
def test_a_fast_evaluator_that_is_wrong_decides_nothing(method, spoil):
    subject = Subject.from_variant("NP", T=3, B=2, D=2, H=3, rng=0)
    result = check(replace(subject, copies=Counted(subject.copies, spoil)), entries="all", method=method)
    assert result.verdict is Verdict.AGREES


def test_every_part_of_a_sweep_is_held_against_the_readable_pass():
    subject = Subject.from_variant("NP", T=3, B=2, D=2, H=3, rng=0)
    late = Counted(subject.copies)
    late.spoil = lambda values: values * (1.01 if late.calls > 3 else 1)
    assert check(replace(subject, copies=late), entries="all", memory=2**16).verdict is Verdict.AGREES
    assert late.calls == 4


def test_no_entries_are_no_entries():
    subject = Subject.from_variant("NP", T=1, B=1, D=1, H=1)
    none = {"x": np.zeros(0, int)}
    got = estimates(
        subject,
        subject.loss,
        subject.blocks,
        ComplexStep(),
        none,
        noise=None,
        sweeping=Sweeping(),
        count=lambda n: None,
    )
    assert got["x"].value.shape == (0,)


@pytest.mark.parametrize("way", ["pair", "axis by number", "another shape"])
def test_a_loss_of_the_users_that_cannot_be_taken_step_by_step_is_served_by_the_readable_pass(way):
    rng = np.random.default_rng(0)
    share = rng.uniform(1, 2, size=(3, 2))
    loss = {
        "pair": pair("whole", lambda h, y: ((h - y) ** 2).sum(axis=(-3, -2, -1)), lambda h, y: 2 * (h - y)),
        "axis by number": loss_room.Loss(
            "by step",
            lambda h, y: share * ((h - y) ** 2).sum(axis=-1),  # knows which step it is at
            lambda h, y: 2 * share[..., None] * (h - y),
        ),
        "another shape": loss_room.Loss(
            "cumulated",
            lambda h, y: np.cumsum(((h - y) ** 2).sum(axis=-1), axis=-2),  # a step that sees earlier ones
            lambda h, y: 2 * (h - y) * np.arange(3, 0, -1)[:, None, None],
        ),
    }[way]
    subject = Subject.from_variant("NP", T=3, B=2, D=2, H=3, rng=0, loss=loss)
    assert check(subject, entries="all").verdict is Verdict.AGREES


def user_subject(loss, gradient):
    point = {"W": np.random.default_rng(0).normal(size=(4, 24)), "b": np.arange(1.0, 25) / 16}
    return Subject.from_functions(loss, gradient, point)


def stackable(p):
    return np.tanh(p["W"] * p["b"][..., None, :]).sum(axis=(-2, -1))


def its_gradient(p):
    slope = 1 - np.tanh(p["W"] * p["b"]) ** 2
    return {"W": slope * p["b"], "b": (slope * p["W"]).sum(axis=0)}


def test_a_users_forward_pass_that_carries_leading_axes_is_found_out():
    subject = user_subject(stackable, its_gradient)
    assert carries_copies(subject, subject.loss, subject.point, "W")
    assert carries_copies(subject, subject.loss, subject.point, "b")
    result = check(subject, entries="all")
    assert result.verdict is Verdict.AGREES
    assert result.evaluations < 40 < 120 == result.compared


@pytest.mark.parametrize(
    "loss",
    [
        lambda p: np.tanh(p["W"] * p["b"]).sum(),
        lambda p: np.tanh(p["W"] * p["b"]).sum() + np.zeros(p["W"].shape[0] if p["W"].ndim == 3 else ())[()],
        lambda p: np.tanh(p["W"] * p["b"]).sum(axis=tuple(range(1, p["W"].ndim))).sum() if p["W"].ndim == 2 else 1 / 0,
    ],
    ids=["one number", "all copies summed", "raises"],
)
def test_a_users_forward_pass_that_mixes_copies_up_goes_one_by_one(loss):
    subject = user_subject(loss, its_gradient)
    assert not carries_copies(subject, subject.loss, subject.point, "W")
    result = check(subject, entries="all")
    assert result.verdict is Verdict.AGREES
    assert result.evaluations >= result.compared


def test_compiled_code_is_not_handed_stacks():
    handed = []

    def loss(p):
        handed.append(p["W"].shape)
        return stackable(p)

    subject = replace(user_subject(loss, its_gradient), precision="float64")
    assert not carries_copies(subject, subject.loss, subject.point, "W")
    assert handed == []


@pytest.mark.parametrize(("method", "memory"), [("complex", 2**20), ("complex", 2**22), ("differences", 2**22)])
def test_a_sweep_keeps_within_the_memory_that_it_is_given(method, memory):
    subject = Subject.from_variant("NP", T=6, B=2, D=24, H=20, rng=0)
    blocks = {name: a.astype(float) for name, a in subject.blocks.items()}
    n = sum(a.nbytes for a in blocks.values())
    chosen = ComplexStep() if method == "complex" else Richardson()
    every = {name: np.arange(a.size) for name, a in blocks.items()}
    sweeping = Sweeping(memory=memory)
    tracemalloc.start()
    try:
        swept = estimates(
            subject, subject.loss, blocks, chosen, every, noise=None, sweeping=sweeping, count=lambda n: None
        )
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    kept = sum(e.value.nbytes + e.roundoff.nbytes + e.truncation.nbytes + e.step.nbytes for e in swept.values())
    assert sum(len(e.value) for e in swept.values()) == total_size(blocks.values())
    assert peak <= memory + 2 * kept + 8 * n


def test_products_run_on_one_thread_during_a_sweep_and_as_before_after_it():
    found = blas._threads()
    if found is None:
        pytest.skip("NumPy's BLAS here is not OpenBLAS")
    get, put = found
    before = get()
    try:
        put(2)
        with blas.single_threaded():
            assert get() == 1
        assert get() == 2
        with pytest.raises(KeyError), blas.single_threaded():
            raise KeyError
        assert get() == 2
    finally:
        put(before)


def test_memory_is_a_number_of_bytes_that_can_do():
    subject = Subject.from_variant("NP", T=1, B=1, D=1, H=1)
    for wrong in (0, 1000, 1e9, "2 GB"):
        with pytest.raises(UsageError, match="memory="):
            check(subject, memory=wrong)


class Clock:
    """A clock that is told what time it is."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_time_left_is_told_where_it_takes_over_two_seconds():
    clock, told = Clock(), []
    pace = Pace(lambda share, left: told.append((share, left)), clock=clock)
    for share in (0.1, 0.2, 0.15, 0.5, 1.0):
        clock.now += 1.0
        pace.at(share)
    assert [share for share, _ in told] == [0.1, 0.2, 0.2, 0.5, 1.0]
    assert [left for _, left in told] == pytest.approx([9.0, 8.0, 12.0, 4.0, 0.0])


def test_nothing_is_told_of_what_is_over_soon():
    clock, told = Clock(), []
    pace = Pace(lambda share, left: told.append(share), clock=clock)
    for share in (0.25, 0.5, 0.75, 1.0):
        clock.now += 0.4
        pace.at(share)
    assert told == []


def test_what_progress_prints_is_seen(monkeypatch, capsys):
    monkeypatch.setattr("bptt_check.pace.LONG", 0.0)
    check(Subject.from_variant("V", T=2, B=2, D=2, H=3), entries="all", progress=lambda share, left: print("at", share))
    assert "at 1.0" in capsys.readouterr().out


def test_a_bar_on_a_log_is_written_at_every_tenth():
    stream = io.StringIO()
    follow = bar(stream)
    for share, left in ((0.05, 19.0), (0.31, 130.0), (0.32, 7.0), (1.0, 0.0)):
        follow(share, left)
    lines = stream.getvalue().splitlines()
    assert lines[0].endswith("310/1,000   31 %  of the entries; about 2 min left")
    assert lines[1].endswith("100 %  of the entries")
    assert len(lines) == 2


def test_the_share_never_falls_and_ends_whole(monkeypatch):
    monkeypatch.setattr("bptt_check.pace.LONG", 0.0)
    monkeypatch.setattr("bptt_check.pace.APART", 0.0)
    for subject in (Subject.from_variant("V", T=4, B=2, D=2, H=3, rng=0), user_subject(stackable, its_gradient)):
        told = []
        check(subject, entries="all", memory=2**16, progress=lambda share, left, told=told: told.append((share, left)))
        shares = [share for share, _ in told]
        assert shares == sorted(shares) or shares.count(1.0) > 1  # more than one sweep, each from the start
        assert shares[-1] == 1.0 and told[-1][1] == pytest.approx(0.0)
