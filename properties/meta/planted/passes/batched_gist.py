"""A batched LSTM on arrays reserved ahead: the bias is a column of ones before [x, h]; last h and c handed out too."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def forward(p):
    X, W, c0, h0 = p["X"], p["W"], p["c0"], p["h0"]
    n, b, width = X.shape
    d = W.shape[1] // 4
    inner = np.zeros((n, b, W.shape[0]), X.dtype)
    out, C, Ct = (np.zeros((n, b, d), X.dtype) for _ in range(3))
    gates = np.zeros((n, b, 4 * d), X.dtype)
    for t in range(n):
        inner[t, :, 0] = 1
        inner[t, :, 1 : width + 1] = X[t]
        inner[t, :, width + 1 :] = out[t - 1] if t > 0 else h0
        z = inner[t].dot(W)
        gates[t, :, : 3 * d] = 1.0 / (1.0 + np.exp(-z[:, : 3 * d]))
        gates[t, :, 3 * d :] = np.tanh(z[:, 3 * d :])
        before = C[t - 1] if t > 0 else c0
        C[t] = gates[t, :, :d] * gates[t, :, 3 * d :] + gates[t, :, d : 2 * d] * before
        Ct[t] = np.tanh(C[t])
        out[t] = gates[t, :, 2 * d : 3 * d] * Ct[t]
    return {"out": out, "cn": C[-1], "hn": out[-1]}, (W, inner, gates, C, Ct, c0)


def backward(cache, given):
    W, inner, gates, C, Ct, c0 = cache
    n, b, d = C.shape
    width = W.shape[0] - d - 1
    dW, dC, dG = np.zeros_like(W), np.zeros_like(C), np.zeros_like(gates)
    dX, dh0, dc0 = np.zeros((n, b, width)), np.zeros((b, d)), np.zeros((b, d))
    dout = given["out"].copy()
    dC[n - 1] += given["cn"]
    dout[n - 1] += given["hn"]
    for t in reversed(range(n)):
        dG[t, :, 2 * d : 3 * d] = Ct[t] * dout[t]
        dC[t] += (1 - Ct[t] ** 2) * (gates[t, :, 2 * d : 3 * d] * dout[t])
        dG[t, :, d : 2 * d] = (C[t - 1] if t > 0 else c0) * dC[t]
        back = gates[t, :, d : 2 * d] * dC[t]
        if t > 0:
            dC[t - 1] += back
        else:
            dc0 = back
        dG[t, :, :d] = gates[t, :, 3 * d :] * dC[t]
        dG[t, :, 3 * d :] = gates[t, :, :d] * dC[t]
        y, g = gates[t, :, : 3 * d], gates[t, :, 3 * d :]
        dz = np.hstack([y * (1.0 - y) * dG[t, :, : 3 * d], (1 - g**2) * dG[t, :, 3 * d :]])
        dW += inner[t].T.dot(dz)
        dinner = dz.dot(W.T)
        dX[t] = dinner[:, 1 : width + 1]
        if t > 0:
            dout[t - 1] += dinner[:, width + 1 :]
        else:
            dh0 += dinner[:, width + 1 :]
    return {"X": dX, "W": dW, "c0": dc0, "h0": dh0}


def subject(rng):
    draw = np.random.default_rng(rng).normal
    T, B, D, H = 5, 3, 4, 2
    shapes = {"X": (T, B, D), "W": (1 + D + H, 4 * H), "c0": (B, H), "h0": (B, H)}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, rng=rng)


MISTAKES = (
    Mistake("last c not taken", 'dC[n - 1] += given["cn"]', "pass", ("ds-final-ignored",), "B2"),
    Mistake("dout assigned", "dout[t - 1] += dinner", "dout[t - 1] = dinner", ("dh-loss-at-last-step-only",), "B1"),
    Mistake("c(t-1) wraps", "(C[t - 1] if t > 0 else c0) * dC[t]", "C[t - 1] * dC[t]", ("df-from-s-wrapping",), "B3"),
    Mistake("half a slope", "y * (1.0 - y) * dG", "(1.0 - y) * dG", ("slope-half",), "B4"),
    Mistake("square of 1 - g", "(1 - g**2) * dG", "(1 - g) ** 2 * dG", ("square-outside",), "B4"),
    Mistake("dC handed on as it is too", "back = gates", "back = dC[t] + gates", ("term-too-many.ds_next",), "B8"),
)
