"""From a disagreement to its causes and places, and how they read."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from planted.spoilt import cell_subject, counts, functions, layer

from bptt_check import Subject, check
from bptt_check.diagnose import diagnose
from bptt_check.faults import slips
from bptt_check.lstm.variants import VARIANTS, variant_named
from bptt_check.results import Verdict

NP = variant_named("NP")
WRONG_DF = {"df": "s[t] * ds"}


def diagnosed(subject):
    return diagnose(subject, subject.gradient(subject.blocks))


def test_the_printed_cause_names_the_mistake_its_equation_and_the_line_to_mend():
    printed = str(check(layer(NP, WRONG_DF)))
    assert "looks exactly like: df uses s(t) where s(t−1) belongs → B3 (agrees to" in printed
    assert "mend: df = s[t-1] * ds" in printed
    assert "what is named above explains all of it" in printed


@pytest.mark.parametrize(
    ("change", "block", "said"),
    [
        (WRONG_DF, "W_fh", "dz_f wrong, dg and di right → B3"),
        ({"dz_i": "i[t] * di"}, "W_ih", "dz_i wrong, di right → B4"),
        ({"dW_oh": "dz_o.T @ h[t]"}, "W_oh", "dz_o right → B5"),
        ({"do": "s[t] * dh"}, "b_o", "dz_o wrong, dh right → B3"),
    ],
)
def test_the_place_of_a_weight_says_which_derivative_on_the_way_to_it_goes_wrong(change, block, said):
    assert said in diagnosed(cell_subject(NP, change, taps="all")).where[block]


class ForFew:
    """A wrong cell whose code refuses the larger case at which mistakes are told apart."""

    state = ("h",)

    def parameters(self, D, H):
        assert H < 4, "at most three"
        return {"W": (H, D + H)}

    def forward(self, p, x, prev, tap):
        xh = np.hstack([x, prev["h"]])
        h = np.tanh(xh @ p["W"].T)
        return {"h": h}, (xh, h)

    def backward(self, p, cache, d):
        xh, h = cache
        dz = (1 - h**2) * d["h"]
        dx, dh = np.hsplit(dz @ p["W"], [xh.shape[1] - h.shape[1]])
        return {"W": -dz.T @ xh}, dx, {"h": dh}


def test_a_cell_that_refuses_larger_shapes_is_told_about_at_its_own():
    result = check(Subject.from_cell(ForFew, T=2, B=2, D=1, H=2, rng=0))
    assert result.verdict is Verdict.DISAGREES and "wrong sign" in result.causes[0].explanation


def test_several_mistakes_are_said_to_be_several():
    printed = str(check(cell_subject(NP, {**WRONG_DF, "dg": "g[t] * ds"})))
    assert "2 mistakes at once; together they give this gradient:" in printed


def test_what_cannot_be_told_apart_is_named_with_its_equation():
    causes = diagnosed(layer(NP, {"di": "-(g[t] * ds)"})).causes
    assert {causes[0].equation, *causes[0].equations} >= {"B3", "B4"}
    assert " or " in str(causes[0])


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_mistake_is_named_in_either_precision(kind):
    causes = diagnosed(layer(NP, WRONG_DF, kind=kind)).causes
    assert [(cause.fault, cause.exact) for cause in causes] == [("df-from-s.df", True)]


def test_gradients_that_are_not_returned_do_not_hide_the_cause():
    causes = diagnosed(layer(NP, WRONG_DF, left_out=("x", "h0", "s0"))).causes
    assert [(cause.fault, cause.exact) for cause in causes] == [("df-from-s.df", True)]


def test_beside_numbers_that_are_not_finite_nothing_is_called_exact():
    causes = diagnosed(layer(NP, {**WRONG_DF, "db_o": "dz_o.sum(axis=0) + float('nan')"})).causes
    assert causes
    assert not any(cause.exact for cause in causes)


def test_a_pattern_of_some_wrong_blocks_is_exact_only_where_it_explains_all():
    def half(gradient, point):
        return {**gradient, "b_f": gradient["b_f"] / 2, "W_gx": gradient["W_gx"] ** 3}

    causes = check(functions(NP, half)[0]).causes
    assert causes
    assert not any(cause.exact for cause in causes)


def test_a_right_gradient_has_no_cause_and_no_place():
    found = diagnosed(layer(NP, {}))
    assert not found.causes
    assert not found.where


def test_with_one_step_alone_no_step_is_named():
    result = check(layer(NP, WRONG_DF, steps=(1, 2, 3, 4)))
    assert not any("step" in block.where for block in result.blocks.values())


def test_last_steps_and_zeros_before_them_are_seen_in_numbers_alone():
    def change(gradient, point):
        dx = np.zeros_like(gradient["x"])
        dx[-1] = gradient["x"][-1]
        return {**gradient, "x": dx}

    cause = check(functions(NP, change)[0]).causes[0]
    assert (cause.fault, cause.exact, cause.explains) == ("last-step", True, ("x",))
    assert "zero but for the last step" in cause.explanation


@pytest.mark.parametrize("seed", range(6))
def test_a_slip_of_the_pen_is_named_exactly_and_with_its_equation(seed):
    rng = np.random.default_rng(seed)
    cells = [cell for cell in VARIANTS if not cell.gate_recurrence]  # whose catalogue alone takes its time
    cell = cells[int(rng.integers(len(cells)))]
    every = slips(cell)
    drawn = (every[k] for k in rng.permutation(len(every)))
    slip = next(s for s in drawn if s.changes[0][0] != "dh" and counts(cell, s, (6, 2, 3, 4), seed))
    causes = diagnosed(layer(cell, dict(slip.changes), layout="packed", steps=(6, 2, 3, 4), seed=seed)).causes
    assert causes[0].exact, causes[:1]  # by another name where a fault of the catalogue comes to the same
    assert slip.equation in (causes[0].equation, *causes[0].equations)


def test_of_inputs_whose_time_axis_nobody_named_no_errors_by_step_are_shown():
    assert check(layer(NP, WRONG_DF)).blocks["x"].by_step is None


def test_of_a_cell_that_the_harness_unrolls_errors_of_the_inputs_are_shown_by_step():
    assert len(check(cell_subject(NP, WRONG_DF)).blocks["x"].by_step) == 4
