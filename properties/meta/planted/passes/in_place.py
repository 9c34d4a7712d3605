"""Everything preallocated, filled in place, without a slot for the initial state; parameters of all gates in arrays."""

import numpy as np
from planted.passes import Mistake

from bptt_check import Subject

I, F, O, G = range(4)


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
            acts[t, k] = np.tanh(net) if k == G else 1 / (1 + np.exp(-net))
        cs[t] = acts[t, F] * cp + acts[t, I] * acts[t, G]
        hs[t] = acts[t, O] * np.tanh(cs[t])
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
        dc += dh * acts[t, O] * (1 - tc * tc)
        dnet[I] = dc * acts[t, G]
        dnet[F] = dc * cp
        dnet[O] = dh * tc
        dnet[:3] *= acts[t, :3] * (1 - acts[t, :3])
        dnet[G] = dc * acts[t, I] * (1 - acts[t, G] ** 2)
        dh[...] = 0
        for k in range(4):
            dW[k] += dnet[k].T @ x[t]
            dR[k] += dnet[k].T @ hp
            db[k] += dnet[k].sum(axis=0)
            dx[t] += dnet[k] @ W[k]
            dh += dnet[k] @ R[k]
        dc *= acts[t, F]
    return {"x": dx, "W": dW, "R": dR, "b": db}


def subject(rng):
    T, N, D, H = 4, 3, 2, 3
    draw = np.random.default_rng(rng).normal
    shapes = {"x": (T, N, D), "W": (4, H, D), "R": (4, H, H), "b": (4, H)}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="in place")


MISTAKES = (
    Mistake("wraps at the first step", "dnet[F] = dc * cp", "dnet[F] = dc * cs[t - 1]", ("df-from-s-wrapping",), "B3"),
    Mistake("wraps in the weights", "dR[k] += dnet[k].T @ hp", "dR[k] += dnet[k].T @ hs[t - 1]", ("state-wrapping",),
            "B5"),
    Mistake("rows for columns", "dR[k] += dnet[k].T @ hp", "dR[k] += hp.T @ dnet[k]", ("matrix-transposed",), "B5"),
    Mistake("carry not cleared", "dh[...] = 0", "pass", ("dh-next-of-dh",), "B7"),
    Mistake("carry of the memory set", "dc += dh * acts[t, O]", "dc = dh * acts[t, O]",
            ("ds-carry-dropped", "ds-next-dropped"), "B2"),
    Mistake("slope over all four", "dnet[G] = dc * acts[t, I] * (1 - acts[t, G] ** 2)",
            "dnet[G] = dc * acts[t, I] * acts[t, G] * (1 - acts[t, G])", ("candidate-slope-logistic",), "B4"),
    Mistake("input of the step before", "dW[k] += dnet[k].T @ x[t]", "dW[k] += dnet[k].T @ x[t - 1]",
            ("input-of-step-before-wrapping",), "B5"),
)  # fmt: skip
