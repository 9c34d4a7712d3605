"""Forward and backward values worked out by hand, with a pencil: no line of the engine is on the right-hand sides.

A harness that takes both sides from one forward pass cannot see that one being wrong. One sequence, one input, one
memory cell (B = D = H = 1), with pre-activations at which everything is a fraction:

    σ(0) = 1/2    σ(ln 3) = 3/4    σ(−ln 3) = 1/4    tanh(ln 2) = 3/5    tanh(½ ln 2) = 1/3    tanh(ln 3) = 4/5
"""

from __future__ import annotations

from fractions import Fraction
from math import log

import numpy as np
import pytest

from bptt_check.lstm.losses import EUCLIDEAN
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import NP, POST

LN2, LN3 = log(2), log(3)
F = Fraction
X1, X2, H0 = 1.0, 2.0, 0.5  # x(1), x(2), h(0)
W_H = {"g": 1, "i": 2, "f": -1, "o": 3}  # W_kh


def scalars(value):
    return np.full((1, 1), float(value))


def two_steps(variant, *, z1, z2, s0, h1, y):
    """The cell with T = 2 whose pre-activations are z1 at t = 1 and z2 at t = 2, given what h(1) will be.

    z1 = W_kx x(1) + W_kh h(0) + b_k and z2 = W_kx x(2) + W_kh h(1) + b_k, solved for W_kx and b_k.
    """
    weights = {}
    for k, W_kh in W_H.items():
        W_kx = (z2[k] - z1[k] - W_kh * (float(h1) - H0)) / (X2 - X1)
        weights[f"W_{k}x"], weights[f"W_{k}h"] = scalars(W_kx), scalars(W_kh)
        weights[f"b_{k}"] = np.array([z1[k] - W_kx * X1 - W_kh * H0])
    x, targets = np.array([[[X1]], [[X2]]]), np.array([[[float(y[0])]], [[float(y[1])]]])
    return Problem(variant, Parameters(weights), x, {"h0": scalars(H0), "s0": scalars(s0)}, EUCLIDEAN, targets)


def assert_steps(computed, **expected):
    """Each of ``expected`` holds the values at t = 1 and t = 2."""
    for name, values in expected.items():
        found = computed(name)[:, 0, 0]
        np.testing.assert_allclose(found, [float(v) for v in values], rtol=1e-13, atol=1e-15, err_msg=name)


def assert_gradients(problem, dz, dh0, ds0, *, h1):
    """What B5–B9 make of the dz_k(t): dW_kx = Σ dz x, dW_kh = Σ dz h(t−1), db = Σ dz, dx(t) = Σ_k dz_k W_kx."""
    gradients = problem.gradients()
    for k, (first, second) in dz.items():
        expected = {
            f"W_{k}x": first * X1 + second * X2,
            f"W_{k}h": first * H0 + second * float(h1),
            f"b_{k}": first + second,
        }
        for name, value in expected.items():
            assert gradients.weights[name].item() == pytest.approx(value, rel=1e-13), name
    dx = [sum(dz[k][t] * problem.weights[f"W_{k}x"].item() for k in dz) for t in (0, 1)]
    np.testing.assert_allclose(gradients.x[:, 0, 0], dx, rtol=1e-13)
    assert gradients.h0.item() == pytest.approx(float(dh0), rel=1e-13)
    assert gradients.s0.item() == pytest.approx(float(ds0), rel=1e-13)


def test_a_cell_without_weights_halves_its_memory_and_shows_half_of_it():
    """T = 1, all weights zero: g = tanh 0 = 0, every gate 1/2, so s(1) = s(0)/2 and h(1) = s(0)/4 in the post's cell.

    With s(0) = 1 and y = −1/4, l = (1/4 + 1/4)² = 1/4 and ∂l/∂h = 1. Then
    do = s(1) = 1/2, ds = o = 1/2, df = s(0) ds = 1/2, di = g ds = 0, dg = i ds = 1/4;
    dz_o = do/4 = 1/8, dz_f = df/4 = 1/8, dz_i = 0, dz_g = dg = 1/4; ds0 = ds f = 1/4, and dh0 = 0, all W being zero.
    """
    weights = {name: np.zeros((1, 1)) for k in "gifo" for name in (f"W_{k}x", f"W_{k}h")}
    weights |= {f"b_{k}": np.zeros(1) for k in "gifo"}
    x, y, initial = np.full((1, 1, 1), 3.0), np.full((1, 1, 1), -0.25), {"h0": scalars(0.75), "s0": scalars(1)}
    problem = Problem(POST, Parameters(weights), x, initial, EUCLIDEAN, y)
    trace, gradients = problem.trace(), problem.gradients()
    assert (trace.g[1].item(), trace.s[1].item(), trace.h[1].item()) == (0, 0.5, 0.25)
    assert problem.value(trace).item() == 0.25
    steps = {name: gradients.steps[name].item() for name in ("h", "o", "s", "f", "i", "g", "z_o", "z_f", "z_i", "z_g")}
    assert steps == {
        "h": 1, "o": 0.5, "s": 0.5, "f": 0.5, "i": 0, "g": 0.25, "z_o": 0.125, "z_f": 0.125, "z_i": 0, "z_g": 0.25,
    }  # fmt: skip
    assert {k: gradients.weights[f"W_{k}x"].item() for k in "gifo"} == {"g": 0.75, "i": 0, "f": 0.375, "o": 0.375}
    assert {k: gradients.weights[f"W_{k}h"].item() for k in "gifo"} == {"g": 0.1875, "i": 0, "f": 0.09375, "o": 0.09375}
    assert (gradients.s0.item(), gradients.h0.item(), gradients.x.item()) == (0.25, 0, 0)


def test_one_step_of_the_common_cell_squashes_its_memory():
    """The same cell with a = tanh and s(0) = 2 ln 2: s(1) = ln 2, tanh s(1) = 3/5, a′ = 16/25, h(1) = 3/10.

    With y = −1/5, ∂l/∂h = 2 (3/10 + 1/5) = 1: do = 3/5, ds = 1/2 · 16/25 = 8/25, ds0 = ds/2 = 4/25, df = 16/25 ln 2.
    """
    weights = {name: np.zeros((1, 1)) for k in "gifo" for name in (f"W_{k}x", f"W_{k}h")}
    weights |= {f"b_{k}": np.zeros(1) for k in "gifo"}
    x, y, initial = np.zeros((1, 1, 1)), np.full((1, 1, 1), -0.2), {"h0": scalars(0.75), "s0": scalars(2 * LN2)}
    problem = Problem(NP, Parameters(weights), x, initial, EUCLIDEAN, y)
    gradients = problem.gradients()
    assert problem.trace().h[1].item() == pytest.approx(0.3, rel=1e-15)
    found = [gradients.steps[name].item() for name in ("h", "o", "s", "f")] + [gradients.s0.item()]
    assert found == pytest.approx([1, 0.6, 8 / 25, 16 / 25 * LN2, 4 / 25], rel=1e-14)


def test_two_steps_of_the_post_cell_are_those_worked_out_by_hand():
    """Post's cell, a(s) = s.

    t = 1: g = 3/5, i = 1/2, f = 3/4, o = 1/4;  s(0) = 2/5, so s = 3/10 + 3/10 = 3/5, h = 3/20
    t = 2: g = −4/5, i = 3/4, f = 1/2, o = 3/4;  s = −3/5 + 3/10 = −3/10, h = −9/40
    y(1) = −7/20 and y(2) = −49/40, so h − y = 1/2 and 1: L = 1/4 + 1 = 5/4, ∂l/∂h = 1 and 2.

    t = 2: dh = 2;  do = s dh = −3/5;  ds = o dh = 3/2;  df = s(1) ds = 9/10;  di = g ds = −6/5;  dg = i ds = 9/8
           dz_o = 3/16 · −3/5 = −9/80;  dz_f = 1/4 · 9/10 = 9/40;  dz_i = 3/16 · −6/5 = −9/40;
           dz_g = (1 − 16/25) · 9/8 = 81/200
           dh_next = 1 · 81/200 + 2 · −9/40 − 1 · 9/40 + 3 · −9/80 = −243/400;  ds_next = 3/2 · 1/2 = 3/4
    t = 1: dh = 1 − 243/400 = 157/400;  do = 3/5 dh = 471/2000;  ds = 1/4 dh + 3/4 = 1357/1600
           df = 2/5 ds = 1357/4000;  di = 3/5 ds = 4071/8000;  dg = 1/2 ds = 1357/3200
           dz_o = 3/16 do = 1413/32000;  dz_f = 3/16 df = 4071/64000;  dz_i = 1/4 di = 4071/32000;
           dz_g = 16/25 dg = 1357/5000
           ds0 = 3/4 ds = 4071/6400;  dh0 = dz_g + 2 dz_i − dz_f + 3 dz_o = 190303/320000
    """
    problem = two_steps(
        POST,
        z1={"g": LN2, "i": 0, "f": LN3, "o": -LN3},
        z2={"g": -LN3, "i": LN3, "f": 0, "o": LN3},
        s0=F(2, 5),
        h1=F(3, 20),
        y=(F(-7, 20), F(-49, 40)),
    )
    trace = problem.trace()
    assert_steps(
        trace.over_time,
        g=(F(3, 5), F(-4, 5)), i=(F(1, 2), F(3, 4)), f=(F(3, 4), F(1, 2)), o=(F(1, 4), F(3, 4)),
        s=(F(3, 5), F(-3, 10)), h=(F(3, 20), F(-9, 40)),
    )  # fmt: skip
    assert problem.value(trace).item() == pytest.approx(1.25, rel=1e-14)
    assert_steps(
        problem.gradients().steps.__getitem__,
        h=(F(157, 400), 2), o=(F(471, 2000), F(-3, 5)), s=(F(1357, 1600), F(3, 2)), f=(F(1357, 4000), F(9, 10)),
        i=(F(4071, 8000), F(-6, 5)), g=(F(1357, 3200), F(9, 8)), z_o=(F(1413, 32000), F(-9, 80)),
        z_f=(F(4071, 64000), F(9, 40)), z_i=(F(4071, 32000), F(-9, 40)), z_g=(F(1357, 5000), F(81, 200)),
    )  # fmt: skip
    dz = {
        "g": (1357 / 5000, 81 / 200),
        "i": (4071 / 32000, -9 / 40),
        "f": (4071 / 64000, 9 / 40),
        "o": (1413 / 32000, -9 / 80),
    }
    assert_gradients(problem, dz, F(190303, 320000), F(4071, 6400), h1=F(3, 20))


def test_two_steps_of_the_common_cell_are_those_worked_out_by_hand():
    """Common cell, a = tanh; λ = ln 2.

    t = 1: g = 3/5, i = 1/2, f = 3/4, o = 1/4;  s(0) = 4λ/3 − 2/5, so s = 3/10 + λ − 3/10 = λ, tanh s = 3/5, h = 3/20
    t = 2: g = 0, i = 3/4, f = 1/2, o = 3/4;  s = λ/2, tanh s = 1/3, h = 1/4
    y(1) = −7/20 and y(2) = −3/4, so h − y = 1/2 and 1: L = 5/4, ∂l/∂h = 1 and 2.  a′ = 16/25 and 8/9.

    t = 2: dh = 2;  do = 2/3;  ds = 3/4 · 8/9 · 2 = 4/3;  df = s(1) ds = 4λ/3;  di = 0;  dg = 3/4 · 4/3 = 1
           dz_o = 3/16 · 2/3 = 1/8;  dz_f = λ/3;  dz_i = 0;  dz_g = 1
           dh_next = 1 − λ/3 + 3/8 = 11/8 − λ/3;  ds_next = 4/3 · 1/2 = 2/3
    t = 1: dh = 19/8 − λ/3;  do = 3/5 dh = 57/40 − λ/5;  ds = 1/4 · 16/25 dh + 2/3 = 157/150 − 4λ/75
           df = s(0) ds;  di = 3/5 ds = 157/250 − 4λ/125;  dg = 1/2 ds = 157/300 − 2λ/75
           dz_o = 3/16 do = 171/640 − 3λ/80;  dz_f = 3/16 s(0) ds = (λ/4 − 3/40) ds;
           dz_i = 1/4 di = 157/1000 − λ/125;  dz_g = 16/25 dg = 628/1875 − 32λ/1875
           ds0 = 3/4 ds = 157/200 − λ/25;  dh0 = dz_g + 2 dz_i − dz_f + 3 dz_o
    """
    problem = two_steps(
        NP,
        z1={"g": LN2, "i": 0, "f": LN3, "o": -LN3},
        z2={"g": 0, "i": LN3, "f": 0, "o": LN3},
        s0=4 * LN2 / 3 - 2 / 5,
        h1=F(3, 20),
        y=(F(-7, 20), F(-3, 4)),
    )
    trace = problem.trace()
    assert_steps(
        trace.over_time,
        g=(F(3, 5), 0), i=(F(1, 2), F(3, 4)), f=(F(3, 4), F(1, 2)), o=(F(1, 4), F(3, 4)),
        s=(LN2, LN2 / 2), h=(F(3, 20), F(1, 4)),
    )  # fmt: skip
    assert problem.value(trace).item() == pytest.approx(1.25, rel=1e-14)
    ds = 157 / 150 - 4 * LN2 / 75
    dz = {
        "g": (628 / 1875 - 32 * LN2 / 1875, 1.0),
        "i": (157 / 1000 - LN2 / 125, 0.0),
        "f": ((LN2 / 4 - 3 / 40) * ds, LN2 / 3),
        "o": (171 / 640 - 3 * LN2 / 80, 1 / 8),
    }
    assert_steps(
        problem.gradients().steps.__getitem__,
        h=(19 / 8 - LN2 / 3, 2), o=(57 / 40 - LN2 / 5, F(2, 3)), s=(ds, F(4, 3)),
        f=((4 * LN2 / 3 - 2 / 5) * ds, 4 * LN2 / 3), i=(157 / 250 - 4 * LN2 / 125, 0), g=(157 / 300 - 2 * LN2 / 75, 1),
        z_o=dz["o"], z_f=dz["f"], z_i=dz["i"], z_g=dz["g"],
    )  # fmt: skip
    dh0 = dz["g"][0] + 2 * dz["i"][0] - dz["f"][0] + 3 * dz["o"][0]
    assert_gradients(problem, dz, dh0, 157 / 200 - LN2 / 25, h1=F(3, 20))
