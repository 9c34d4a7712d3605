"""The laws, each on every cell of the family, and each with a violation that it catches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from bptt_check.laws import of_the_gradient
from bptt_check.laws.compare import compare
from bptt_check.laws.directions import woven
from bptt_check.laws.of_the_gradient import truncated
from bptt_check.laws.table import FALSE_READINGS, LAWS, examined, law_named, result_of
from bptt_check.lstm import problem as problem_module
from bptt_check.lstm.activations import LOGISTIC, TANH, logistic
from bptt_check.lstm.backward import backward
from bptt_check.lstm.forward import forward
from bptt_check.lstm.losses import EUCLIDEAN, Loss
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.tangent import loss_tangent, tangent
from bptt_check.lstm.variants import NP, VARIANTS
from bptt_check.results import Verdict
from bptt_check.strategies import LstmCase, lstm_cases

# The cells that a law says something about, where it is not all of them.
CELLS = {
    "F1": [v for v in VARIANTS if v.feedback == "h"],
    "F1s": [v for v in VARIANTS if v.feedback == "s"],
    "F2p": [v for v in VARIANTS if v.peepholed],
    "F2r": [v for v in VARIANTS if v.gate_recurrence],
    "F4": [v for v in VARIANTS if "i" in v.gates],
    "F4o": [v for v in VARIANTS if v.name in ("NIG", "NFG", "NOG")],
    "F5": [v for v in VARIANTS if "f" in v.gates],
    "F5c": [v for v in VARIANTS if v.name == "CIFG"],
    "F6": [v for v in VARIANTS if "o" in v.gates],
}


def problem_of(case: LstmCase) -> Problem:
    problem = Problem.around(case.variant, case.point, loss=case.loss, rng=np.random.default_rng(case.seed))
    return problem.astype(np.longdouble)


def pinned(variant, *, T=4, B=2, D=5, H=3, loss="euclidean", kind=np.longdouble):
    return Problem.draw(variant, T=T, B=B, D=D, H=H, loss=loss, rng=np.random.default_rng(7)).astype(kind)


def cases_of(name):
    return lstm_cases(cells=st.sampled_from(CELLS.get(name, VARIANTS)), T=st.integers(2, 4))


@pytest.mark.parametrize("name", [law.id for law in LAWS])
@given(data=st.data())
def test_the_two_sides_agree(name, record, data):
    case = data.draw(cases_of(name))
    problem = problem_of(case)
    block = compare(law_named(name), problem, backward=backward)
    record(result_of(problem, {name: block}, case={"seed": case.seed}))
    assert block.verdict is Verdict.AGREES, block


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("loss", ["euclidean", "unequal_lengths:logistic"])
def test_every_law_that_speaks_of_a_cell_holds_in_it(variant, loss):
    result = examined(pinned(variant, loss=loss))
    silent = {law.id for law in LAWS if variant not in CELLS.get(law.id, VARIANTS)}
    compared = {block.equation for block in result.blocks.values()}
    assert silent.isdisjoint(compared) and {law.id for law in LAWS} <= compared | silent
    assert {f"B{n}" for n in range(1, 10)} <= compared
    assert result.verdict is Verdict.AGREES, result


def test_a_law_that_compares_nothing_is_never_agreed_with():
    block = compare(law_named("P2"), pinned(VARIANTS[0], T=1))
    assert block.verdict is Verdict.INCONCLUSIVE and block.compared == 0


# --- the tangent, on which P6 rests


@given(case=lstm_cases(T=st.integers(1, 4)))
def test_the_tangent_of_everything_is_its_complex_step(case):
    problem = problem_of(case)
    trace, point = problem.trace(), problem.point
    along = {name: woven(array.shape, array, k) for k, (name, array) in enumerate(point.items())}
    moved = problem.at({name: array + 1e-20j * along[name] for name, array in point.items()}).trace()
    tangents = tangent(trace, along)
    for name in problem.intermediates:
        expected = moved.over_time(name).imag / np.longdouble(1e-20)
        scale = max(np.abs(expected).max(), 1)
        assert np.abs(tangents.over_time(name) - expected).max() <= 1e3 * np.finfo(expected.dtype).eps * scale, name
    change = loss_tangent(tangents, problem.slope(trace))
    assert change == pytest.approx(sum((problem.derivatives(problem.gradients())[k] * along[k]).sum() for k in point))


def test_a_tangent_of_what_the_cell_lacks_is_refused_by_name():
    with pytest.raises(KeyError, match=r"given for W_gs; the cell post has W_fh, W_fx"):
        tangent(pinned(VARIANTS[0]).trace(), {"W_gs": np.ones((3, 3))})


# --- planted violations


def scaled(gradients, factor, name="b_g"):
    weights = {key: array * factor if key == name else array for key, array in gradients.weights.items()}
    return replace(gradients, weights=Parameters(weights))


def steps_in_the_wrong_order(trace, dl, **options):
    gradients = backward(trace, dl, **options)
    by_step = gradients.weights_by_step and Parameters({k: a[::-1] for k, a in gradients.weights_by_step.items()})
    return replace(gradients, weights_by_step=by_step)


def half_precision_where_single(trace, dl, **options):
    coarse = dl.dtype == np.float32
    return backward(trace, dl.astype(np.float16).astype(np.float32) if coarse else dl, **options)


def adds_rubbish(trace, dl, **options):
    gradients = backward(trace, dl, **options)
    return replace(gradients, x=gradients.x + 1e-300)


PLANTED = {
    "L3": lambda trace, dl, **options: backward(trace, np.cumsum(dl, axis=-3), **options),
    "L6c": lambda trace, dl, **options: scaled(backward(trace, dl, **options), 1 + 1e-9),
    "L6d": lambda trace, dl, **options: scaled(backward(trace, dl, **options), 1 + 1e-9),
    "P1": steps_in_the_wrong_order,
    "P2": lambda trace, dl, **options: backward(trace, dl, **{**options, "ds_next": 0}),
    "P3": lambda trace, dl, **options: backward(trace, dl / dl.shape[-2], **options),  # mean over the batch
    "P4": lambda trace, dl, **options: backward(trace, np.clip(dl, -0.1, 0.1), **options),
    "P5": lambda trace, dl, **options: backward(trace, dl * (np.arange(dl.shape[-1]) > 0), **options),
    "P6": lambda trace, dl, **options: scaled(backward(trace, dl, **options), 1 + 1e-9),
    "P7": lambda trace, dl, **options: backward(trace, dl, **{"dh_next": 1e-9, **options}),
    "P8": adds_rubbish,
    "P9": lambda trace, dl, **options: scaled(backward(trace, dl, **options), 1 + 1e-9),
    "P10": lambda trace, dl, **options: scaled(backward(trace, dl, **options), 1 + 1e-9),
    "P11": lambda trace, dl, **options: backward(trace, dl / dl.shape[-3], **options),  # mean over time
    "P12": half_precision_where_single,
}


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_seen(name, variant):
    assert compare(law_named(name), pinned(variant), backward=PLANTED[name]).verdict is Verdict.DISAGREES


class MeanOverTime(Loss):
    def value(self, h, y):
        return super().value(h, y) / h.shape[-3]


WRONG_LOSSES = {
    "L1": replace(EUCLIDEAN, slope=lambda h, y: h - y),  # the forgotten 2
    "L2": MeanOverTime("mean", EUCLIDEAN.terms, EUCLIDEAN.slope),
    "L4": MeanOverTime("mean", EUCLIDEAN.terms, EUCLIDEAN.slope),
}


@pytest.mark.parametrize("name", WRONG_LOSSES)
def test_a_wrong_loss_is_seen(name):
    assert compare(law_named(name), replace(pinned(VARIANTS[0]), loss=WRONG_LOSSES[name])).verdict is Verdict.DISAGREES


def test_an_output_that_knows_the_future_is_seen(monkeypatch):
    """L5 with a forward pass that subtracts the mean over the whole sequence from its outputs."""

    def centred(*args, **options):
        trace = forward(*args, **options)
        return replace(trace, h=[trace.h[0], *(h - np.mean(trace.h[1:], axis=0) for h in trace.h[1:])])

    monkeypatch.setattr(problem_module, "forward", centred)
    assert compare(law_named("L5"), pinned(VARIANTS[0])).verdict is Verdict.DISAGREES


# --- the readings of L6, truncation, precision


@pytest.mark.parametrize("name", [law.id for law in FALSE_READINGS])
def test_a_false_reading_is_not_the_gradient(name):
    """In every cell that feeds its output back; where it does not, the total derivative overcounts nothing (L6a)."""
    for variant in VARIANTS:
        block = compare(law_named(name), pinned(variant))
        if variant.feedback == "h" or name == "L6b":
            assert block.verdict is Verdict.DISAGREES and block.max_relative_error > 0.01, variant.name
        else:
            assert block.verdict is Verdict.AGREES, variant.name


def test_the_readings_of_one_weight_are_those_in_the_docs():
    """docs/equations.md, the sum over steps: W_fh[0, 0] of the common cell."""
    problem = Problem.draw(NP, T=3, B=1, D=1, H=2, rng=np.random.default_rng(0))
    for name, number in (("L6a", "0.078752"), ("L6b", "0.011818"), ("L6c", "0.042478"), ("L6d", "0.042478")):
        (pair,) = (pair for pair in law_named(name).sides(problem, backward) if pair.name == "W_fh")
        assert f"{pair.right[0, 0]:.6f}" == number and f"{pair.left[0, 0]:.6f}" == "0.042478"


@pytest.mark.parametrize("name", ["L6a", "L6b"])
def test_with_a_single_step_every_reading_is_the_gradient(name):
    assert compare(law_named(name), pinned(VARIANTS[0], T=1)).verdict is Verdict.AGREES


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_truncation_is_the_full_gradient_only_where_nothing_is_cut(variant):
    problem = pinned(variant, T=4)
    full = problem.derivatives(problem.gradients())
    for k in range(1, 6):
        off = [name for name, gradient in truncated(problem, k).items() if np.abs(gradient - full[name]).max() > 1e-12]
        assert bool(off) == (k < 4), f"k = {k}: {off}"


def test_a_slope_that_saturates_is_seen(monkeypatch):
    """P13 with k (1 − k) in the place of σ(z) σ(−z)."""
    plain = replace(LOGISTIC, slope=lambda z, k: k * (1 - k))
    monkeypatch.setattr(of_the_gradient, "LOGISTIC", plain)
    assert compare(law_named("P13"), pinned(VARIANTS[0])).verdict is Verdict.DISAGREES


def test_the_logistic_function_agrees_with_an_independent_one():
    z = np.linspace(-700, 700, 14001)
    eps = np.finfo(float).eps
    np.testing.assert_allclose(logistic(z), scipy.special.expit(z), rtol=4 * eps)
    log_slope = scipy.special.log_expit(z) + scipy.special.log_expit(-z)
    kept = log_slope > np.log(np.finfo(float).tiny)
    np.testing.assert_allclose(LOGISTIC.slope(z, logistic(z))[kept], np.exp(log_slope[kept]), rtol=1e-12)


def test_a_saturated_gate_keeps_its_relative_accuracy():
    """Every entry to a few ulps of itself, against long double; the plain forms lose everything at these points."""
    if np.finfo(np.longdouble).eps >= np.finfo(float).eps:
        pytest.skip("long double is no wider than double here: there is nothing to compare with")
    for variant in VARIANTS:
        problem = pinned(variant, T=3, kind=np.float64)
        candidate = 0 if variant.name == "CIFG" else 0.5  # there g − s(t−1) cancels where both are saturated
        shift = {k: np.array([40.0, -40.0, 25.0]) * s for k, s in (("i", 1), ("f", -1), ("o", 1), ("g", candidate))}
        biases = {f"b_{k}": problem.weights[f"b_{k}"] + shift[k] for k in variant.blocks}
        far = problem.at(biases)
        gradients = far.derivatives(far.gradients())
        exact = far.astype(np.longdouble)
        expected = exact.derivatives(exact.gradients())
        for k in variant.blocks:
            dz, wanted = gradients[f"z_{k}(t)"], expected[f"z_{k}(t)"]
            np.testing.assert_allclose(dz, wanted.astype(float), rtol=1e-11, err_msg=f"{variant.name}, dz_{k}")


@pytest.mark.parametrize("z", [-40.0, -30.0, 30.0, 40.0])
def test_the_plain_forms_lose_what_ours_keep(z):
    exact = np.exp(-abs(np.longdouble(z)))  # σ′ ≈ e^−|z|, and tanh′ ≈ 4 e^−2|z|
    k, g = np.array(logistic(np.array(z))), np.tanh(np.array(z))
    plain = 0.5 * (1 + np.tanh(z / 2))
    assert abs(LOGISTIC.slope(np.array(z), k) / exact - 1) < 1e-12
    assert abs(TANH.slope(np.array(z), g) / (4 * exact**2) - 1) < 1e-12
    assert abs(plain * (1 - plain) / exact - 1) > 1e-5
    assert g**2 == 1
