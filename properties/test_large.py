"""Large subjects: a few directions through all blocks, honest about small entries, and the fused pass behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject, Verdict, check, joint, lone, reference
from bptt_check.bench import Bench
from bptt_check.lstm.fused import LSTM
from bptt_check.lstm.fused_imaginary import imaginary_outputs
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import VARIANTS

SHAPE = {"T": 12, "B": 4, "D": 20, "H": 30}
FUSED = [variant for variant in VARIANTS if not variant.gate_recurrence]


def power(n, blocks, rng, *, wrong=None):
    """Σ w³/3 over several blocks; ``wrong``: block, entry, relative error of its gradient."""
    point = {f"w{k}": rng.normal(size=size) for k, size in enumerate([n // blocks] * blocks)}

    def gradient(p):
        found = {name: w**2 for name, w in p.items()}
        if wrong:
            name, entry, error = wrong
            found[name][entry] *= 1 + error
        return found

    return Subject.from_functions(lambda p: sum((w**3).sum() for w in p.values()) / 3, gradient, point)


@given(seed=st.integers(0, 10**6), cell=st.sampled_from(FUSED), T=st.integers(1, 9), B=st.integers(1, 3))
def test_imaginary_parts_along_directions_are_those_of_the_readable_pass(seed, cell, T, B):
    rng = np.random.default_rng(seed)
    problem = Problem.draw(cell, T=T, B=B, D=2, H=3, rng=rng)
    tape = LSTM(cell, D=2, H=3).forward(problem.weights, problem.x, problem.initial["h0"], problem.initial["s0"])
    directions = [{name: rng.normal(size=a.shape) for name, a in problem.point.items()} for _ in range(2)]
    for v, found in zip(directions, imaginary_outputs(tape, directions), strict=True):
        moved = problem.at({name: a + 1e-40j * v[name] for name, a in problem.point.items()})
        expected = moved.trace().over_time("h").imag / 1e-40
        assert np.abs(found - expected).max() <= 1e-12 * np.abs(expected).max()


@pytest.mark.parametrize("blocks", [1, 8, 80])
def test_a_large_right_gradient_costs_a_handful_of_evaluations_however_many_blocks_it_has(blocks):
    result = check(power(40_000, blocks, np.random.default_rng(0)))
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.evaluations + 3 * result.gradient_evaluations <= 24
    assert all(block.resolution <= 1e-6 for block in result.blocks.values())


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_an_entry_of_any_size_that_is_wrong_by_a_millionth_is_found_among_many(share):
    rng = np.random.default_rng(1)
    subject = power(80_000, 4, rng)
    sizes = np.abs(subject.point["w2"])
    entry = int(np.argsort(sizes)[int(share * (len(sizes) - 1))])
    result = check(power(80_000, 4, np.random.default_rng(1), wrong=("w2", entry, 1e-5)), causes=False)
    told = result.blocks["w2"]
    assert told.verdict is Verdict.DISAGREES or (told.resolution or 0) > 1e-5 or "count for less" in told.note, str(
        result
    )
    if share >= 0.01:
        assert (told.verdict, told.index) == (Verdict.DISAGREES, (entry,)), str(result)


def test_one_typical_entry_that_is_wrong_by_1e_8_is_located_in_fewer_than_a_hundred_evaluations():
    result = check(power(200_000, 4, np.random.default_rng(2), wrong=("w1", 777, 1e-8)), causes=False)
    assert (result.blocks["w1"].verdict, result.blocks["w1"].index) == (Verdict.DISAGREES, (777,))
    assert result.evaluations < 100


def test_one_wrong_entry_of_a_large_cell_of_many_blocks_is_located_in_as_many():
    subject = Subject.from_variant("NP", **SHAPE)

    def wrong(p):
        gradient = dict(subject.gradient_at(p))
        gradient["W_fh"] = np.array(gradient["W_fh"])
        gradient["W_fh"][7, 11] *= 1 + 1e-8
        return gradient

    result = check(replace(subject, gradient_at=wrong, pair=None), causes=False)
    assert result.verdict is Verdict.DISAGREES
    assert {name for name, block in result.blocks.items() if block.verdict is Verdict.DISAGREES} == {"W_fh"}
    assert result.blocks["W_fh"].index == (7, 11)
    assert result.evaluations < 100


@given(seed=st.integers(0, 10**6), count=st.sampled_from([1, 2, 5]))
def test_the_ratio_of_two_discrepancies_names_a_lone_wrong_entry_and_none_of_several(seed, count):
    rng = np.random.default_rng(seed)
    subject = power(40_000, 4, rng)
    gradient = dict(subject.gradient(subject.blocks))
    names, entries = rng.choice(list(gradient), count), rng.choice(10_000, count, replace=False)
    for name, entry in zip(names, entries, strict=True):
        gradient[name][entry] = (gradient[name][entry] or 1e-3) * (1 + float(rng.choice([-1e-2, 1e-2])))
    level = joint.presumed(subject.blocks, gradient, eps=float(np.finfo(float).eps))
    complex_step = reference.choose(subject, gradient, rng=rng)
    bench = Bench(subject, subject.blocks, gradient, level, complex_step, size=1.0, rng=rng)
    found = lone.wrong_entry(bench, 1e-6)
    assert found in (None, *zip(names.tolist(), entries.tolist(), strict=True))
    if count == 1 and abs(subject.point[names[0]][entries[0]]) > 0.1:
        assert found == (names[0], entries[0])


def test_a_cell_without_intermediates_says_whose_gradient_it_is():
    result = check(Subject.from_variant("NP", **SHAPE, intermediates=False))
    assert result.verdict is Verdict.AGREES, str(result)
    assert "fused" in result.subject
    assert [f.kind for f in result.findings] == ["intermediates-left-out"]
    assert not any(name.endswith("(t)") for name in result.blocks)
    assert any(name.endswith("(t)") for name in check(Subject.from_variant("NP", **SHAPE)).blocks)


@pytest.mark.parametrize("cell", FUSED, ids=lambda cell: cell.name)
def test_the_fused_pass_of_every_cell_agrees_with_its_loss(cell):
    subject = Subject.from_variant(cell, T=60, B=9, D=40, H=12, intermediates=False)
    assert sum(a.size for a in subject.blocks.values()) > joint.LEAST
    assert check(subject).verdict is Verdict.AGREES


@pytest.mark.parametrize("spoilt", ["b_f", "h0", "x"])
def test_a_forgotten_path_of_a_large_cell_is_seen(spoilt):
    subject = Subject.from_variant("NP", T=60, B=9, D=40, H=12, intermediates=False)
    backward = subject.pair[1]
    wrong = replace(
        subject, pair=(subject.pair[0], lambda c: {**backward(c), spoilt: np.zeros_like(backward(c)[spoilt])})
    )
    wrong = replace(
        wrong, gradient_at=lambda p: {**subject.gradient_at(p), spoilt: np.zeros(subject.point[spoilt].shape)}
    )
    result = check(wrong, causes=False)
    assert [name for name, block in result.blocks.items() if block.verdict is Verdict.DISAGREES] == [spoilt]


@given(ratio=st.floats(1e-9, 1.0), tolerance=st.floats(1e-12, 1e-6))
def test_what_directions_state_is_borne_out_by_how_often_they_miss(ratio, tolerance):
    chance, rng = 0.2, np.random.default_rng(0)
    error = joint.smallest_seen([tolerance] * 3, ratio, chance=chance)
    tier = 2.0 ** -min(joint.TIERS - 1, int(-np.log2(ratio)))
    seen = np.abs(error * rng.standard_normal((20_000, 3))).max(axis=1)
    assert (seen <= tier * tolerance).mean() <= chance / joint.TIERS * 1.5 + 1e-3
