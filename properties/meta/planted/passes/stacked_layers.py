"""Two LSTM layers, the last output handed on alone."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigma(z):
    return 1.0 / (1.0 + np.exp(-z))


def layer_forward(xs, W, U, b):
    n = U.shape[1]
    h, c = np.zeros((xs[0].shape[0], n)), np.zeros((xs[0].shape[0], n))
    outs, saved = [], []
    for x in xs:
        z = x @ W.T + h @ U.T + b
        i, f, o, g = sigma(z[:, :n]), sigma(z[:, n : 2 * n]), sigma(z[:, 2 * n : 3 * n]), np.tanh(z[:, 3 * n :])
        c_prev, h_prev = c, h
        c = f * c + i * g
        h = o * np.tanh(c)
        outs.append(h)
        saved.append((x, h_prev, c_prev, c, i, f, o, g))
    return outs, saved


def layer_backward(douts, saved, W, U):
    dW, dU, db = np.zeros_like(W), np.zeros_like(U), np.zeros(W.shape[0])
    dxs = [None] * len(saved)
    dh_carry = np.zeros_like(saved[0][1])
    dc_carry = np.zeros_like(saved[0][2])
    for k in range(len(saved)):
        t = -1 - k
        x, h_prev, c_prev, c, i, f, o, g = saved[t]
        dh = douts[t] + dh_carry
        th = np.tanh(c)
        dc = dc_carry + dh * o * (1 - th * th)
        dz = np.concatenate(
            [dc * g * i * (1 - i), dc * c_prev * f * (1 - f), dh * th * o * (1 - o), dc * i * (1 - g * g)], 1
        )
        dW += dz.T @ x
        dU += dz.T @ h_prev
        db += dz.sum(0)
        dxs[t] = dz @ W
        dh_carry = dz @ U
        dc_carry = dc * f
    return dxs, dW, dU, db


def forward(p):
    low, tape_low = layer_forward(list(p["x"]), p["W1"], p["U1"], p["b1"])
    high, tape_high = layer_forward(low, p["W2"], p["U2"], p["b2"])
    return high[-1], (p, tape_low, tape_high)


def backward(cache, dlast):
    p, tape_low, tape_high = cache
    douts = [np.zeros_like(dlast) for _ in tape_high]
    douts[-1] = dlast
    dlow, dW2, dU2, db2 = layer_backward(douts, tape_high, p["W2"], p["U2"])
    dxs, dW1, dU1, db1 = layer_backward(dlow, tape_low, p["W1"], p["U1"])
    return {"x": np.stack(dxs), "W1": dW1, "U1": dU1, "b1": db1, "W2": dW2, "U2": dU2, "b2": db2}


def subject(rng):
    rng = np.random.default_rng(rng)
    T, B, D, H = 4, 2, 3, 5
    point = {"x": rng.normal(size=(T, B, D))}
    for n, d in ((1, D), (2, H)):
        point |= {
            f"W{n}": rng.normal(size=(4 * H, d)) / 2,
            f"U{n}": rng.normal(size=(4 * H, H)) / 2,
            f"b{n}": rng.normal(size=4 * H),
        }
    return Subject.from_vjp(forward, backward, point)


MISTAKES = (
    Mistake(
        "the lower layer gets the last step alone",
        "dxs, dW1, dU1, db1 = layer_backward(dlow,",
        "dlow = [0 * d for d in dlow[:-1]] + dlow[-1:]\n    dxs, dW1, dU1, db1 = layer_backward(dlow,",
        ("layer-path-last-step-only",),
        "N1",
    ),
    Mistake(
        "last output fed at every step",
        "douts[-1] = dlast",
        "douts = [dlast for _ in tape_high]",
        ("dh-last-loss-everywhere",),
        "B1",
    ),
    Mistake(
        "upper layer's weights on the way to the lower",
        "dxs[t] = dz @ W\n",
        "dxs[t] = dz @ U[:, : W.shape[1]]\n",
        ("columns-of-h-x",),
        "B7",
    ),
)
