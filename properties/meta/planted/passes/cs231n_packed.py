"""Batch first, weights (D, 4H) and (H, 4H) with the gates in the order i, f, o, g, one step a function."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b):
    H = prev_h.shape[1]
    a = x @ Wx + prev_h @ Wh + b
    i, f, o = sigmoid(a[:, :H]), sigmoid(a[:, H : 2 * H]), sigmoid(a[:, 2 * H : 3 * H])
    g = np.tanh(a[:, 3 * H :])
    next_c = f * prev_c + i * g
    next_h = o * np.tanh(next_c)
    return next_h, next_c, (x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c)


def lstm_step_backward(dnext_h, dnext_c, cache):
    x, prev_h, prev_c, Wx, Wh, i, f, o, g, next_c = cache
    tc = np.tanh(next_c)
    do = dnext_h * tc
    dc = dnext_c + dnext_h * o * (1 - tc**2)
    df = dc * prev_c
    dprev_c = dc * f
    di = dc * g
    dg = dc * i
    da = np.hstack([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
    dx = da @ Wx.T
    dprev_h = da @ Wh.T
    return dx, dprev_h, dprev_c, x.T @ da, prev_h.T @ da, da.sum(axis=0)


def lstm_forward(p):
    x, h0, Wx, Wh, b = p["x"], p["h0"], p["Wx"], p["Wh"], p["b"]
    N, T, _ = x.shape
    h = np.zeros((N, T, h0.shape[1]), np.result_type(*p.values()))
    prev_h, prev_c = h0, np.zeros_like(h0)
    caches = []
    for t in range(T):
        prev_h, prev_c, cache = lstm_step_forward(x[:, t], prev_h, prev_c, Wx, Wh, b)
        h[:, t] = prev_h
        caches.append(cache)
    return h, caches


def lstm_backward(caches, dh):
    N, T, H = dh.shape
    D = caches[0][0].shape[1]
    dx, dWx, dWh, db = np.zeros((N, T, D)), np.zeros((D, 4 * H)), np.zeros((H, 4 * H)), np.zeros(4 * H)
    dprev_h, dprev_c = np.zeros((N, H)), np.zeros((N, H))
    for t in range(T - 1, -1, -1):
        dx_t, dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm_step_backward(dh[:, t] + dprev_h, dprev_c, caches[t])
        dx[:, t] = dx_t
        dWx += dWx_t
        dWh += dWh_t
        db += db_t
    return {"x": dx, "h0": dprev_h, "Wx": dWx, "Wh": dWh, "b": db}


def subject(rng):
    rng = np.random.default_rng(rng)
    N, T, D, H = 2, 4, 5, 3
    point = {
        "x": rng.normal(size=(N, T, D)),
        "h0": rng.normal(size=(N, H)),
        "Wx": rng.normal(size=(D, 4 * H)) / 2,
        "Wh": rng.normal(size=(H, 4 * H)) / 2,
        "b": rng.normal(size=4 * H),
    }
    return Subject.from_vjp(lstm_forward, lstm_backward, point)


MISTAKES = (
    Mistake(
        "the memory's carry gets lost",
        "dx_t, dprev_h, dprev_c, dWx_t, dWh_t, db_t = lstm",
        "dx_t, dprev_h, _, dWx_t, dWh_t, db_t = lstm",
        ("ds-carry-dropped.ds",),
        "B2",
    ),
    Mistake("weights of x assigned", "dWx += dWx_t", "dWx = dWx_t", ("sum-over-time-assigned.from-x",), "B5"),
    Mistake(
        "gates packed in the forward's other order",
        "np.hstack([di * i * (1 - i), df * f * (1 - f), do",
        "np.hstack([df * f * (1 - f), di * i * (1 - i), do",
        ("dz-i-and-f-swapped.all",),
        "B4",
    ),
    Mistake(
        "tanh of the new memory taken of the old",
        "tc = np.tanh(next_c)",
        "tc = np.tanh(prev_c)",
        ("do-from-tanh-s-before.do",),
        "B3",
    ),
    Mistake("mean over the batch", "da.sum(axis=0)", "da.mean(axis=0)", ("bias-as-mean.all",), "B6"),
)
