"""Numerical derivatives: each method keeps the order it declares and says honestly how far off it may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check.differences import Central, ComplexStep, Richardson
from bptt_check.differences.evaluate import along, partials
from bptt_check.differences.ladder import laddered
from bptt_check.differences.noise import noise_at, noise_level, unit
from bptt_check.differences.stairs import step_height

FUNCTIONS = {
    "sin": (np.sin, np.cos),
    "exp": (np.exp, np.exp),
    "tanh": (np.tanh, lambda x: 4 / (np.exp(x) + np.exp(-x)) ** 2),
    "cube": (lambda x: x**3, lambda x: 3 * x**2),
    "logistic loss": (lambda x: np.log1p(np.exp(x)), lambda x: 1 / (1 + np.exp(-x))),
}
functions = st.sampled_from(sorted(FUNCTIONS))
places = st.integers(-24, 24).map(lambda k: k / 8)


def fitted_order(errors, steps):
    return np.polyfit(np.log(steps), np.log(errors), 1)[0]


def test_central_difference_has_order_two():
    steps = 0.1 / 2.0 ** np.arange(5)
    errors = [abs(float(Central(step=h)(np.sin, 1.0).value) - np.cos(1.0)) for h in steps]
    assert fitted_order(errors, steps) == pytest.approx(Central().order, abs=0.1)


def test_complex_step_has_order_two_where_its_step_is_large_enough_to_show():
    steps = 0.1 / 2.0 ** np.arange(5)
    errors = [abs(float(ComplexStep(step=h)(np.sin, 1.0).value) - np.cos(1.0)) for h in steps]
    assert fitted_order(errors, steps) == pytest.approx(ComplexStep().order, abs=0.1)


@pytest.mark.parametrize("levels", [2, 3])
def test_richardson_extrapolation_has_the_order_it_declares(levels):
    steps = 0.4 / 2.0 ** np.arange(4)
    errors = []
    for h in steps:
        tableau = [(np.exp(h / 2**k) - np.exp(-h / 2**k)) / (2 * h / 2**k) for k in range(levels)]
        estimate = Richardson(levels=levels, widest=h)(np.exp, 0.0)
        errors.append(abs(float(estimate.value) - 1.0))
        assert min(abs(value - 1.0) for value in tableau) > errors[-1]
    assert fitted_order(errors, steps) == pytest.approx(Richardson(levels=levels).order, abs=0.25)


@given(function=functions, x=places, method=st.sampled_from([Central(), Richardson(), ComplexStep()]))
def test_the_true_error_lies_within_ten_times_the_estimate(function, x, method):
    value, slope = FUNCTIONS[function]
    estimate = method(value, x)
    ulp = 4 * np.finfo(float).eps * max(1.0, abs(slope(x)))
    assert abs(float(estimate.value) - slope(x)) <= 10 * float(estimate.error) + ulp


@given(x=places)
def test_richardson_is_sharper_than_one_central_difference(x):
    rich, plain = Richardson()(np.exp, x), Central()(np.exp, x)
    assert float(rich.error) <= float(plain.error)


def test_an_estimate_counts_its_evaluations_and_splits_its_error():
    for method in (Central(), Central(step=1e-3), Richardson(), ComplexStep()):
        calls = []

        def counted(x, calls=calls):
            calls.append(x)
            return np.sin(x)

        estimate = method(counted, 0.5)
        assert estimate.evaluations == len(calls)
        assert float(estimate.error) == pytest.approx(float(estimate.roundoff + estimate.truncation))


@given(noise=st.sampled_from([1e-12, 1e-10, 1e-8]), seed=st.integers(0, 1000))
def test_planted_noise_is_measured_within_a_factor_of_ten(noise, seed):
    rng = np.random.default_rng(seed)
    measured = noise_level(lambda t: np.sin(1 + t) + noise * rng.standard_normal(), spacing=1e-13)
    assert noise / 10 < measured < noise * 10


@given(height=st.sampled_from([1e-2, 1e-5, 1e-8]), tread=st.floats(1e-6, 0.1), slope=st.floats(-3, 3))
def test_the_steps_of_a_staircase_are_as_high_as_they_were_built(height, tread, slope):
    def stairs(t):
        return height * np.floor(t / tread + 0.3) + np.sin(slope * t)

    assert step_height(stairs, width=0.25, ulp=1e-17, noise=1e-12) == pytest.approx(height, rel=0.05)


@pytest.mark.parametrize(
    "smooth", [np.exp, np.abs, lambda t: np.sin(1e4 * t), lambda t: np.tanh(1e6 * t), lambda t: float(t > 0.01)]
)
def test_what_is_continuous_has_no_steps_and_a_single_jump_is_no_staircase(smooth):
    assert step_height(smooth, width=0.25, ulp=1e-17, noise=1e-12) == 0


@given(x=places)
def test_stacked_and_single_evaluations_give_the_same_derivative(x):
    point = {"a": np.array([x, 1.0, -2.0]), "b": np.array([[0.5]])}

    def function(p):
        return (np.sin(p["a"]) * p["b"][..., 0]).sum(axis=-1)

    for method in (Central(), Richardson(), ComplexStep()):
        one, many = (partials(method, function, point, "a", stacked=s) for s in (False, True))
        np.testing.assert_array_equal(one.value, many.value)


def test_a_directional_derivative_is_the_gradient_along_the_direction():
    point = {"a": np.array([0.3, 1.0]), "b": np.array([2.0])}
    direction = {"a": np.array([1.0, -2.0]), "b": np.array([0.5])}
    estimate = along(ComplexStep(), lambda p: (p["a"] ** 2).sum() * p["b"][0], point, direction)
    assert float(estimate.value) == pytest.approx(2 * 2.0 * (0.3 - 2.0) + 0.5 * 1.09, rel=1e-14)


def test_wide_steps_that_find_next_to_nothing_do_not_outdo_finer_ones():
    """A bounded function far below its own noise: however wide the step, what it changes by stays the same."""
    noise = np.random.default_rng(0).normal(size=10**5)

    def loss(x):
        return 6.0 + 5e-14 * np.tanh(x) + 1e-15 * noise[int(abs(x) * 1e6) % 10**5]

    found = laddered(lambda method: method(loss, noise=1e-15))
    assert abs(float(found.value) - 5e-14) <= 10 * float(found.error)


@given(exponent=st.integers(-60, 0), seed=st.integers(0, 2**20))
def test_values_that_were_rounded_at_a_coarser_unit_than_their_own_tell_it(exponent, seed):
    whole = np.random.default_rng(seed).integers(2**20, 2**21, 40) | 1
    assert unit(np.ldexp(whole.astype(float), exponent)) == 2.0**exponent
    assert unit(np.ldexp(whole.astype(np.longdouble), exponent)) == 2.0**exponent


def test_a_loss_that_stands_still_between_coarse_steps_is_as_noisy_as_these():
    def loss(p):
        return abs(np.tanh(p["u"])) + p["u"]  # at −1e-7: 25 ulps of the two terms, that stand still nearby

    noise = noise_at(loss, {"u": np.array(-1e-7)}, direction={"u": np.array(0.1)})
    assert noise >= np.spacing(1e-7) / 4


@pytest.mark.parametrize("seed", range(6))
def test_noise_that_many_entries_share_is_seen_from_a_point_in_long_double_too(seed):
    """Code that casts to float64 stands still over many ulps of such a point; then each entry jumps by itself."""
    rng = np.random.default_rng(seed)
    x, w = 10 + rng.normal(size=(3000, 3)), rng.normal(size=3)

    def loss(p):
        x = p["x"].astype(float)
        m = x.mean(axis=0)
        return (np.tanh((x - m) / np.sqrt((x * x).mean(axis=0) - m * m) + w) ** 2).sum()

    direction = {"x": x * rng.choice([-1, 1], x.shape)}
    noise = [noise_at(loss, {"x": x.astype(kind)}, direction=direction) for kind in (float, np.longdouble)]
    assert max(noise) < 10 * min(noise)
    assert min(noise) > 10 * np.finfo(float).eps * loss({"x": x})
