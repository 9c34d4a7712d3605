"""The check on trial: planted faults are caught, right gradients pass, and its figures mean what they say.

The quick version of benchmarks/detection.py, which counts thousands of cases.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from planted import FAMILIES, caught, draw, options, rounding_level
from planted.calls import CALLS
from planted.faults import STRUCTURAL, VALUE_DEPENDENT
from planted.hard import KINDS, OTHER_KINDS, RARELY, draw_other
from planted.hard import draw as draw_hard
from planted.learners import probabilities_with_an_epsilon
from planted.numerics import gaussian_process
from planted.programs_of import edited, spoil, unsafe
from thinned import some

from bptt_check import Subject, Verdict, check, directions, rounding
from bptt_check.differences import ComplexStep, Richardson
from bptt_check.differences.evaluate import partials

seeds = st.integers(0, 10**6)
QUICK_KINDS = sorted(set(KINDS) - set(RARELY))
FEW = settings(max_examples=max(5, settings().max_examples // 3))  # of what takes seconds, in every profile
LONG_DOUBLE = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps


def judged(case):
    with np.errstate(all="ignore"):
        return check(case.subject, rng=case.seed, causes=False, **options(case))


def assert_caught(family, seed):
    case = draw(family, seed)
    result = judged(case)
    assert caught(case, result), f"\n{case.label}\n{result}"
    return case, result


# ------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("fault", [*STRUCTURAL, *VALUE_DEPENDENT], ids=lambda f: f"{f.program}: {f.name}")
def test_every_planted_fault_is_one_edit_of_a_program_that_still_compiles(fault):
    compile(edited(fault.program, fault.edits), fault.name, "exec")


@FEW
@given(seed=seeds)
def test_every_structural_fault_is_caught(seed):
    assert_caught("structural", seed)


@FEW
@given(seed=seeds)
def test_every_value_dependent_fault_is_caught(seed):
    assert_caught("value-dependent", seed)


@FEW
@given(seed=seeds)
def test_every_mistake_in_other_code_is_caught(seed):
    assert_caught("of other kinds", seed)


@FEW
@given(seed=seeds, factor=st.sampled_from(["1e-06", "1e-12"]))
def test_a_fault_is_caught_however_small_the_loss_is(seed, factor):
    assert_caught(f"structural, loss times {factor}", seed)


@given(seed=seeds, size=st.sampled_from(["1e-02", "1e-04", "1e-06"]))  # down to what is asked for by default
def test_one_wrong_entry_is_caught_and_named(seed, size):
    case, result = assert_caught(f"one entry {size}", seed)
    assert result.blocks[case.block].verdict is Verdict.DISAGREES, str(result)
    assert result.blocks[case.block].index == case.index, f"\n{case.label}\n{result}"


@pytest.mark.parametrize("size", ["1e-08", "1e-10"])
def test_one_entry_that_is_wrong_by_less_than_is_asked_for_is_caught_at_these_cases(size):
    for seed in range(6):
        assert_caught(f"one entry {size}", seed)


def test_an_entry_too_small_for_the_directions_of_its_block_is_stated_to_be_seen_less_finely():
    case = draw("one entry 1e-08", 50)  # 1e-9 of its block's largest, and ill-conditioned
    result = judged(case)
    assert caught(case, result) or result.blocks[case.block].resolution > 1e-8, str(result)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.name)
def test_every_fault_of_state_and_calls_is_caught_and_named(call):
    seeds_of_it = (seed for seed in range(2000) if draw("calls", seed).fault == call.name)
    for _ in range(3):
        case, result = assert_caught("calls", next(seeds_of_it))
        kinds = {finding.kind for finding in result.findings}
        assert kinds, f"\n{case.label}\n{result}"
        assert not case.named or kinds & set(case.named), f"\n{case.label}\n{result}"


# ------------------------------------------------------------------------------------- right gradients


@given(seed=seeds)
def test_a_right_gradient_agrees(seed):
    case = draw("right", seed)
    result = judged(case)
    assert result.verdict is Verdict.AGREES, f"\n{case.label}\n{result}"


@pytest.mark.parametrize("kind", QUICK_KINDS)
def test_a_hard_case_of_each_kind_is_not_called_wrong(kind):
    case = draw_hard(np.random.default_rng([1, 0]), 1, kind)
    result = judged(case)
    assert result.verdict is not Verdict.DISAGREES, f"\n{case.label}\n{result}"


@FEW
@given(seed=seeds, kind=st.sampled_from(sorted(OTHER_KINDS)))
def test_a_right_gradient_of_other_code_is_never_called_wrong(kind, seed):
    case = draw_other(np.random.default_rng([seed, 0]), seed, kind)
    result = judged(case)
    assert result.verdict is not Verdict.DISAGREES, f"\n{case.label}\n{result}"


@FEW
@given(seed=seeds, kind=st.sampled_from(QUICK_KINDS))
def test_a_right_gradient_that_is_hard_to_see_right_is_never_called_wrong(kind, seed):
    case = draw_hard(np.random.default_rng([seed, 0]), seed, kind)
    result = judged(case)
    assert result.verdict is not Verdict.DISAGREES, f"\n{case.label}\n{result}"


# ------------------------------------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def sample():
    """Error estimates of Richardson extrapolation in float64 and its true errors, entry by entry, on a fixed sample."""
    bars, errors = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        T, B, D, H = (int(rng.integers(1, most)) for most in (7, 4, 5, 5))
        cell = str(rng.choice(["V", "NP", "post", "CIFG"]))
        loss = str(rng.choice(["euclidean", "softmax_cross_entropy"]))
        subject = Subject.from_variant(cell, T=T, B=B, D=D, H=H, loss=loss, rng=seed)
        precise = {name: a.astype(np.longdouble) for name, a in subject.blocks.items()}
        for name in subject.blocks:
            true = partials(ComplexStep(), subject.loss, precise, name, stacked=True).value
            tried = partials(Richardson(), subject.loss, subject.blocks, name, stacked=True)
            bars.append(tried.error)
            errors.append(np.abs(tried.value - true).astype(float))
    return np.concatenate(bars), np.concatenate(errors)


@pytest.mark.skipif(not LONG_DOUBLE, reason="needs a reference more precise than float64")
def test_999_of_1000_true_errors_lie_within_the_error_estimate(sample):
    bars, errors = sample
    assert len(bars) > 10_000
    assert (errors <= bars).mean() >= 0.999


@pytest.mark.skipif(not LONG_DOUBLE, reason="needs a reference more precise than float64")
def test_the_median_error_estimate_is_at_most_thirty_times_the_median_error(sample):
    bars, errors = sample
    assert np.median(bars) <= 30 * np.median(errors)


@given(seed=seeds, ratio=st.sampled_from([3.0, 10.0, 30.0]), count=st.sampled_from([1, 2, 3]))
def test_the_miss_probability_is_what_a_monte_carlo_experiment_finds(seed, ratio, count):
    """One entry off by δ, looked at along ``count`` directions with threshold τ = δ/ratio: the share that miss it."""
    rng = np.random.default_rng(seed)
    subject = Subject.from_variant("NP", T=3, B=2, D=3, H=2, rng=seed)
    gradient = subject.gradient(subject.blocks)
    level = rounding.measure(subject.gradient, subject.blocks, gradient, eps=np.finfo(float).eps, rng=rng)
    divisor = directions.divisors(gradient, level.level, level.sensitivity)
    name = str(rng.choice([k for k, a in gradient.items() if a.any()]))
    alike = np.flatnonzero(divisor[name] == np.abs(gradient[name]))  # ill-conditioned entries count less, and say so
    assume(len(alike))
    entry = int(rng.choice(alike))
    error, experiments = 1e-6, 20_000
    off = error * gradient[name].flat[entry]
    shown = np.abs(rng.standard_normal((experiments, count)) / divisor[name].flat[entry] * off)
    share = (shown < error / ratio).all(axis=1).mean()
    stated = directions.miss_probability([error / ratio] * count, error)
    spread = 5 * np.sqrt(stated / experiments) + 1e-4
    assert share <= stated + spread
    assert share >= 0.9 * stated * (1 - 1 / ratio**2) ** count - spread  # the formula is the first term, from above


@pytest.mark.skipif(not LONG_DOUBLE, reason="the cases' own rounding hides so small an error in float64")
@FEW
@given(seed=seeds)
def test_an_error_of_the_size_that_a_resolution_states_is_seen_in_an_entry_of_any_size(seed):
    case = draw("right", seed)
    stated = judged(case).blocks
    rng = np.random.default_rng(seed)
    here = case.subject.gradient(case.subject.blocks)
    name = str(rng.choice([k for k, a in here.items() if a.any()]))
    size = np.abs(here[name]).reshape(-1)
    above = np.flatnonzero(size > 1e-11 * size.max())  # of what lies below its floor no resolution is stated
    entry = int(above[np.argsort(size[above])[int(rng.integers(len(above)) * rng.random())]])  # small ones more often
    off = max(2 * stated[name].resolution, 1e-12)  # finer than that, rounded constants may be what is off
    wrong = spoil(case.subject, name, np.unravel_index(entry, here[name].shape), 1 + off)
    result = check(wrong, rng=seed + 1, causes=False)
    assert caught(case, result), f"\n{case.label}: {name} {entry} off by {off:.1e}\n{result}"


def test_every_family_draws_the_same_case_from_the_same_seed():
    for family in FAMILIES:
        first, second = draw(family, 3), draw(family, 3)
        assert first.label == second.label
        for name, array in first.subject.point.items():
            np.testing.assert_array_equal(array, second.subject.point[name])


# ------------------------------------------------------------------------------------- cases once called wrong

ONCE_CALLED_WRONG = [
    ("right but hard", "large inputs", 337),
    ("right but hard", "large inputs", 300319),  # the reference has lost nine of its digits, the gradient other ones
    ("right but hard", "large inputs", 300344),
    ("right but hard", "softmax regression (float64 only)", 300852),  # a loss of 0, and so without noise
    ("right but hard", "saturated softmax", 658),
    ("right but hard", "one power", 1416),
    pytest.param("right but hard", "saturated by bias (float64 only)", 1873, marks=pytest.mark.thorough),
    ("right but hard", "softmax regression", 2085),
    ("right but hard", "absolute kink inside", 1039),
    pytest.param("right but hard", "absolute kink inside (float64 only)", 1428, marks=pytest.mark.thorough),
    ("right but hard", "absolute kink inside (float64 only)", 5393),  # a loss of 25 ulps of what cancels in it
    ("right but hard", "one power (float64 only)", 2600),
    ("right but hard", "unequal blocks (float64 only)", 3233),
    ("right but hard", "relu kink", 4073),  # a kink that two blocks move, against each other
    ("right but hard", "saturated by bias (float64 only)", 703227),  # changes the loss by 50 of its ulps, however far
    ("right, of other kinds", "inputs of 1 to 1e4", 1979),  # derivatives of 1e-1000
    ("right, of other kinds", "logarithm with an epsilon (float64 only)", 2372),
    ("right, of other kinds", "all at the kink", 119),  # a complex step takes one side of it
]


@pytest.mark.parametrize(("family", "kind", "seed"), ONCE_CALLED_WRONG)
def test_a_case_that_was_once_called_wrong_is_not(family, kind, seed):
    if family == "right, of other kinds":
        case = draw_other(np.random.default_rng([seed, 0]), seed, kind.removesuffix(" (float64 only)"))
    else:
        case = draw(family, seed)
    assert case.kind == kind
    result = judged(case)
    assert result.verdict is not Verdict.DISAGREES, f"\n{case.label}\n{result}"


@pytest.mark.parametrize("seed", [71, 83, 414, 526])
def test_a_slope_on_the_tread_of_a_staircase_condemns_no_right_gradient_and_hides_no_factor(seed):
    subject = unsafe(probabilities_with_an_epsilon(np.random.default_rng([seed, 0])))
    assert check(subject, rng=seed, causes=False).verdict is not Verdict.DISAGREES
    doubled = replace(subject, gradient_at=lambda p: {k: 2 * a for k, a in subject.gradient_at(p).items()})
    assert check(doubled, rng=seed, causes=False).verdict is Verdict.DISAGREES


def test_a_complex_step_that_lacks_a_small_share_condemns_no_right_gradient():
    for seed in some(range(40), 10):  # a Hermitian factorisation drops what the determinant adds
        subject = gaussian_process(np.random.default_rng(seed))
        result = check(subject)
        assert result.verdict is not Verdict.DISAGREES, f"\n{seed}\n{result}"


def test_a_difference_of_large_terms_is_seen_finely_in_code_that_has_only_float64():
    for seed in range(4):
        case = draw_hard(np.random.default_rng([seed, 0]), seed, "difference of large")
        result = judged(replace(case, subject=unsafe(case.subject)))
        assert result.verdict is Verdict.AGREES, f"\n{case.label}\n{result}"


@pytest.mark.skipif(not LONG_DOUBLE, reason="the cases' own rounding hides so small an error in float64")
@pytest.mark.parametrize("kind", ["batch norm", "layer norm"])  # whose terms cancel at any scale
@pytest.mark.parametrize("size", [1e-6, 1e-9])
def test_one_wrong_entry_of_a_normalised_layer_is_caught(kind, size):
    for seed in some(range(24), 8):
        subject = OTHER_KINDS[kind](np.random.default_rng([seed, 5]))
        level = rounding_level(subject.gradient_at, subject.blocks)
        here = subject.gradient(subject.blocks)
        counts = [(k, e) for k, a in here.items() for e in np.flatnonzero(size * np.abs(a) > 10 * level[k])]
        if not counts:
            continue
        name, entry = counts[int(np.random.default_rng(seed).integers(len(counts)))]
        wrong = spoil(subject, name, np.unravel_index(entry, here[name].shape), 1 + size)
        result = check(wrong, rng=seed, causes=False)
        assert result.verdict is Verdict.DISAGREES, f"\n{kind} {seed}: {name} {entry}\n{result}"
