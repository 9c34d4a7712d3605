"""Code that carries no complex step: looked at along a few directions, and where its derivatives are loud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from planted import caught, draw
from planted.hard import KINDS
from planted.programs_of import Spec, make, spoil, unsafe
from thinned import some, thinned

from bptt_check import Subject, Verdict, check

seeds = st.integers(0, 10**6)


def checked(subject, seed=0):
    with np.errstate(all="ignore"):
        return check(subject, rng=seed, causes=False)


def cost(result):
    return result.evaluations + 3 * result.gradient_evaluations


def hard(kind, seed):
    return unsafe(KINDS[kind](np.random.default_rng([seed, 77])))


@pytest.mark.parametrize(("D", "H"), [(2, 3), (8, 8), (30, 30), (60, 90)])  # 150 to 60,000 entries
def test_a_right_gradient_costs_no_more_however_many_entries_it_has(D, H):
    subject = unsafe(make(Spec("stacked", T=3, B=2, D=D, H=H, seed=1)))
    result = checked(subject)
    assert result.verdict is Verdict.AGREES, str(result)
    assert all(block.resolution <= 1e-6 for block in result.blocks.values()), str(result)
    assert cost(result) <= 60, str(result)


@pytest.mark.parametrize("index", [(3, 7), (90, 21)])
def test_one_wrong_entry_of_thousands_is_found_without_a_look_at_each(index):
    subject = unsafe(make(Spec("stacked", T=3, B=2, D=30, H=30, seed=1)))
    result = checked(spoil(subject, "W", index, 1 + 1e-5))
    assert result.blocks["W"].verdict is Verdict.DISAGREES, str(result)
    assert result.blocks["W"].index == index
    assert cost(result) < 4000 < sum(a.size for a in subject.blocks.values())  # each would take eighteen


@given(seed=seeds)
def test_an_error_of_the_size_that_a_block_states_is_seen_in_its_entries_always(seed):
    right = make(replace(Spec("stacked", T=2, B=2, D=3, H=3, seed=seed), scale=1.0))
    result = checked(unsafe(right))
    rng = np.random.default_rng(seed)
    gradient = right.gradient(right.blocks)
    stated = {k: b.resolution for k, b in result.blocks.items() if b.verdict is Verdict.AGREES and b.resolution}
    name = str(rng.choice(sorted(stated)))
    size = np.abs(gradient[name]).reshape(-1)
    entry = int(rng.choice(np.flatnonzero(size > 1e-4 * size.max())))
    index = np.unravel_index(entry, gradient[name].shape)
    wrong = spoil(unsafe(right), name, index, 1 + 2 * stated[name])
    for again in some(range(3), 1):
        assert checked(wrong, seed + again).verdict is Verdict.DISAGREES


def test_one_wrong_entry_is_caught_and_named_at_these_cases():
    for seed in some(range(8), 4):
        case = draw("not complex-safe, one entry 1e-06", seed)
        result = checked(case.subject, seed)
        assert caught(case, result), f"\n{case.label}\n{result}"
        assert result.blocks[case.block].index == case.index, f"\n{case.label}\n{result}"


LOUD = [(kind, seed) for kind in ("offset", "huge constants", "absolute kink inside", "vanishing") for seed in (0, 5)]


@pytest.mark.parametrize("loud", thinned(LOUD, lambda k, each: each != ("vanishing", 5)), ids=lambda each: each[0])
def test_what_is_lost_beside_the_loss_is_seen_where_it_is_loud(loud):
    kind, seed = loud
    maker = KINDS.get(kind)
    subject = unsafe(maker(np.random.default_rng([seed, 77]))) if maker else constant_beside(seed)
    result = checked(subject)
    assert result.verdict is Verdict.AGREES, str(result)


def constant_beside(seed, factor=1.0):
    """A loss of 1e10 and something of 1e-3 whose derivative is asked for, times ``factor``."""
    rng = np.random.default_rng(seed)

    def loss(p):
        return 1e10 + 1e-3 * (np.tanh(p["x"]) * p["y"]).sum()

    def gradient(p):
        h = np.tanh(p["x"])
        return {"x": factor * 1e-3 * (1 - h**2) * p["y"], "y": 1e-3 * h}

    return unsafe(Subject.from_functions(loss, gradient, {k: rng.normal(size=4) for k in "xy"}))


@pytest.mark.parametrize("factor", [0.0, -1.0, 1.01, 1 + 1e-5])
def test_a_fault_that_is_lost_beside_the_loss_is_not_passed(factor):
    assert checked(constant_beside(0, factor)).verdict is not Verdict.AGREES


@pytest.mark.parametrize("kind", ["offset", "vanishing"])
def test_a_factor_of_two_in_a_block_is_caught_beside_a_loud_loss(kind):
    subject = hard(kind, 0)
    for name in some(("W", "b", "V"), 1 if kind == "vanishing" else 3):
        wrong = replace(
            subject,
            gradient_at=lambda p, name=name: {k: a * (1 + (k == name)) for k, a in subject.gradient_at(p).items()},
        )
        assert checked(wrong).verdict is Verdict.DISAGREES, name
