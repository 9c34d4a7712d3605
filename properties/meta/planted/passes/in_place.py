"""Everything preallocated, filled in place, without a slot for the initial state; parameters of all gates in arrays."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

IN, KEEP, OUT, NEW = range(4)


def forward(p):
    x, W, R, b = p["x"], p["W"], p["R"], p["b"]  # W (4, H, D), R (4, H, H), b (4, H)
    T, N, H = x.shape[0], x.shape[1], b.shape[1]
    acts = np.zeros((T, 4, N, H), x.dtype)
    cs, hs = np.zeros((T, N, H), x.dtype), np.zeros((T, N, H), x.dtype)
    for t in range(T):
        hp = hs[t - 1] if t else np.zeros((N, H))
        cp = cs[t - 1] if t else np.zeros((N, H))
        for k in range(4):
            net = x[t] @ W[k].T + hp @ R[k].T + b[k]
            acts[t, k] = np.tanh(net) if k == NEW else 1 / (1 + np.exp(-net))
        cs[t] = acts[t, KEEP] * cp + acts[t, IN] * acts[t, NEW]
        hs[t] = acts[t, OUT] * np.tanh(cs[t])
    return hs, (p, acts, cs, hs)


def backward(cache, dhs):
    p, acts, cs, hs = cache
    x, W, R = p["x"], p["W"], p["R"]
    T, N, H = hs.shape
    dW, dR, db = np.zeros_like(W), np.zeros_like(R), np.zeros_like(p["b"])
    dx = np.zeros_like(x)
    dh, dc = np.zeros((N, H)), np.zeros((N, H))
    dnet = np.zeros((4, N, H))
    for t in range(T - 1, -1, -1):
        hp = hs[t - 1] if t else np.zeros((N, H))
        cp = cs[t - 1] if t else np.zeros((N, H))
        dh += dhs[t]
        tc = np.tanh(cs[t])
        dc += dh * acts[t, OUT] * (1 - tc * tc)
        dnet[IN] = dc * acts[t, NEW]
        dnet[KEEP] = dc * cp
        dnet[OUT] = dh * tc
        dnet[:3] *= acts[t, :3] * (1 - acts[t, :3])
        dnet[NEW] = dc * acts[t, IN] * (1 - acts[t, NEW] ** 2)
        dh[...] = 0
        for k in range(4):
            dW[k] += dnet[k].T @ x[t]
            dR[k] += dnet[k].T @ hp
            db[k] += dnet[k].sum(axis=0)
            dx[t] += dnet[k] @ W[k]
            dh += dnet[k] @ R[k]
        dc *= acts[t, KEEP]
    return {"x": dx, "W": dW, "R": dR, "b": db}


def subject(rng):
    T, N, D, H = 4, 3, 2, 3
    draw = np.random.default_rng(rng).normal
    shapes = {"x": (T, N, D), "W": (4, H, D), "R": (4, H, H), "b": (4, H)}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="in place")


MISTAKES = (
    Mistake(
        "wraps at the first step", "dnet[KEEP] = dc * cp", "dnet[KEEP] = dc * cs[t - 1]", ("df-from-s-wrapping",), "B3"
    ),
    Mistake(
        "wraps in the weights", "dR[k] += dnet[k].T @ hp", "dR[k] += dnet[k].T @ hs[t - 1]", ("state-wrapping",), "B5"
    ),
    Mistake("rows for columns", "dR[k] += dnet[k].T @ hp", "dR[k] += hp.T @ dnet[k]", ("matrix-transposed",), "B5"),
    Mistake("carry not cleared", "dh[...] = 0", "pass", ("dh-next-of-dh",), "B7"),
    Mistake(
        "carry of the memory set",
        "dc += dh * acts[t, OUT]",
        "dc = dh * acts[t, OUT]",
        ("ds-carry-dropped", "ds-next-dropped"),
        "B2",
    ),
    Mistake(
        "slope over all four",
        "dnet[NEW] = dc * acts[t, IN] * (1 - acts[t, NEW] ** 2)",
        "dnet[NEW] = dc * acts[t, IN] * acts[t, NEW] * (1 - acts[t, NEW])",
        ("candidate-slope-logistic",),
        "B4",
    ),
    Mistake(
        "input of the step before",
        "dW[k] += dnet[k].T @ x[t]",
        "dW[k] += dnet[k].T @ x[t - 1]",
        ("input-of-step-before-wrapping",),
        "B5",
    ),
)
