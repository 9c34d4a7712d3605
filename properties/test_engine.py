"""The check itself, on gradients that are right and on gradients that are wrong on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bptt_check import Subject, SubjectError, Verdict, check
from bptt_check.strategies import lstm_cases, variants

POINT = {"w": np.array([0.5, -1.0, 2.0])}


def right(p):
    return {"w": np.cos(p["w"])}


def subject(gradient=right, point=POINT, loss=lambda p: np.sin(p["w"]).sum()):
    return Subject.from_functions(loss, gradient, point)


@given(case=lstm_cases())
def test_the_built_in_cells_agree(case):
    result = check(case.subject())
    assert result.verdict is Verdict.AGREES, f"\n{case}\n{result}"


@given(case=lstm_cases(cells=variants(["post", "NP"])), data=st.data())
def test_one_entry_off_by_a_millionth_is_seen_in_any_block(case, data):
    lstm = case.subject()
    at_point = lstm.gradient(lstm.blocks)
    names = [name for name, a in at_point.items() if a.any()]
    assume(names)
    name = data.draw(st.sampled_from(names))
    index = data.draw(st.sampled_from([tuple(map(int, k)) for k in np.argwhere(at_point[name])]))

    def spoilt(p):
        gradient = lstm.gradient(p)
        gradient[name][index] *= 1 + 1e-6
        return gradient

    result = check(Subject(lstm.name, lstm.point, lstm.loss_at, spoilt, lstm.interventions, stacked=True))
    block = result.blocks[name]
    if abs(at_point[name][index]) > 1e-6 * np.abs(at_point[name]).max():
        assert (result.verdict, block.verdict) == (Verdict.DISAGREES, Verdict.DISAGREES), str(result)
        assert block.index == index, str(result)


def test_a_gradient_that_is_not_returned_makes_the_result_inconclusive_unless_it_is_optional():
    point = {**POINT, "x": np.array([1.0])}
    partial = subject(point=point)
    result = check(partial)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.blocks["x"].verdict is Verdict.NOT_RETURNED
    assert check(partial, optional=["x"]).verdict is Verdict.AGREES


def test_zero_compared_is_never_agreement():
    result = check(subject(lambda p: {}), optional=["w"])
    assert (result.verdict, result.compared) == (Verdict.INCONCLUSIVE, 0)


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda p: {"w": np.cos(p["w"])[:, None]}, r"gradient of w has shape \(3, 1\).*\(3,\)"),
        (lambda p: {"w": 1.0}, r"gradient of w has shape \(\)"),
        (lambda p: {"v": np.cos(p["w"])}, "names v, which the point lacks"),
    ],
)
def test_a_gradient_of_another_shape_or_name_is_refused_by_name(gradient, said):
    with pytest.raises(SubjectError, match=said):
        check(subject(gradient))


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({}, "empty"),
        ({"w": np.zeros(0)}, "empty"),
        ({"w": np.array([1.0, np.nan])}, r"'w'.*not finite at \[1\]"),
        ({"w": np.array([np.inf])}, "not finite"),
        ({"w": np.array([1, 2])}, "integers"),
        ({"w": np.array([1j])}, "complex"),
    ],
)
def test_a_point_that_has_no_derivative_is_refused(point, said):
    with pytest.raises(SubjectError, match=said):
        check(subject(point=point))


def test_an_exception_in_the_users_code_is_a_finding_with_its_traceback():
    def broken(p):
        raise IndexError("no such step")

    result = check(subject(broken))
    (finding,) = result.findings
    assert result.verdict is Verdict.INCONCLUSIVE
    assert finding.kind == "raised"
    assert "no such step" in finding.detail
    assert "in broken" in finding.detail


def test_a_changed_input_a_random_loss_and_an_accumulating_gradient_are_found():
    def changing(p):
        gradient = np.cos(p["w"])
        p["w"] *= 0
        return {"w": gradient}

    total = np.zeros(3)

    def accumulating(p):
        total[...] += np.cos(p["w"])
        return {"w": total.copy()}

    rng = np.random.default_rng(0)
    assert "changed-inputs" in {f.kind for f in check(subject(changing)).findings}
    assert "accumulates" in {f.kind for f in check(subject(accumulating)).findings}
    noisy = subject(loss=lambda p: np.sin(p["w"]).sum() + rng.normal())
    assert check(noisy).verdict is Verdict.INCONCLUSIVE
    assert "random-loss" in {f.kind for f in check(noisy).findings}
