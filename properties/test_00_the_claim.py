"""The claim this project makes, in one property. Everything cleverer stands beside it, in the other files.

Hypothesis draws the cell, T, B, D, H, the loss and all numbers. The gradients that were derived by hand, of the
weights, of dh(t), ds(t) and every other intermediate at each step, of x, h0 and s0, are compared with central
differences of the forward pass, and the case is recorded in reports/.
"""

from __future__ import annotations

from hypothesis import assume, event, given, target

from bptt_check import Verdict
from bptt_check.checking import NEAR_A_KINK
from bptt_check.compare import plainly, result_of
from bptt_check.differences import Central
from bptt_check.differences.evaluate import partials
from bptt_check.differences.noise import noise_at
from bptt_check.strategies import lstm_cases


@given(case=lstm_cases())
def test_the_gradients_derived_by_hand_equal_central_differences(case, record):
    lstm = case.subject()
    assume(lstm.kink_distance > NEAR_A_KINK)  # |h − y| has no derivative at its kink, and differences straddle it
    analytic = lstm.gradient(lstm.blocks)  # B1–B9
    noise = noise_at(lstm.loss, lstm.blocks, direction=lstm.point)  # of the loss: what ε/h is made of
    blocks = []
    for name in lstm.blocks:  # W_gx, W_gh, b_g, …, x, h0, s0, and h(t), s(t), z_f(t), … at every step
        # (L(p + h) − L(p − h)) / 2h
        numerical = partials(Central(), lstm.loss, lstm.blocks, name, noise=noise, stacked=True)
        blocks.append(plainly(name, analytic[name], numerical, equation=lstm.equations[name]))
    result = result_of(lstm.name, blocks, method="central difference", case={**lstm.case, "seed": case.seed})
    record(result)
    assert result.verdict is Verdict.AGREES, f"\n{case}\n{result}"
    event(f"T = 1: {case.T == 1}, B = 1: {case.B == 1}, D = H: {case.D == case.H}")
    target(result.worst.tolerance_ratio, label="error in units of what is allowed")
