"""Many to one: the loss sees the last h alone; x (B, T, D) in the point, squared error; lists from the front."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

TARGET = np.random.default_rng(5).normal(size=(2, 4))


def logistic(v):
    return 1 / (1 + np.exp(-v))


def run(p):
    h, c = p["h0"], p["c0"]
    H = h.shape[1]
    tape = []
    for t in range(p["x"].shape[1]):
        v = np.concatenate((h, p["x"][:, t], np.ones((len(h), 1))), axis=1)
        a = v @ p["W"]
        i, f, o = (logistic(a[:, k * H : (k + 1) * H]) for k in range(3))
        g = np.tanh(a[:, 3 * H :])
        tape.append((v, h, c, i, f, o, g))
        c = i * g + f * c
        h = o * np.tanh(c)
    return h, c, tape


def loss(p):
    h, _, _ = run(p)
    return 0.5 * ((h - TARGET) ** 2).sum()


def gradient(p):
    h, c, tape = run(p)
    _, T, D = p["x"].shape
    H = h.shape[1]
    dW, dx = np.zeros_like(p["W"]), np.zeros_like(p["x"])
    dh, dc = h - TARGET, np.zeros_like(c)
    c_after = c
    for t in range(T - 1, -1, -1):
        v, _, c_before, i, f, o, g = tape[t]
        dc = dc + dh * o * (1 - np.tanh(c_after) ** 2)
        do = dh * np.tanh(c_after)
        da = np.concatenate(
            [dc * g * i * (1 - i), dc * c_before * f * (1 - f), do * o * (1 - o), dc * i * (1 - g * g)], axis=1
        )
        dW += v.T @ da
        dv = da @ p["W"].T
        dx[:, t] = dv[:, H : H + D]
        dh = dv[:, :H]
        dc = dc * f
        c_after = c_before
    return {"x": dx, "W": dW, "h0": dh, "c0": dc}


def subject(rng):
    rng = np.random.default_rng(rng)
    B, T, D, H = 2, 5, 3, 4
    point = {
        "x": rng.normal(size=(B, T, D)),
        "W": rng.normal(size=(H + D + 1, 4 * H)) / 2,
        "h0": rng.normal(size=(B, H)),
        "c0": rng.normal(size=(B, H)),
    }
    targets = np.zeros((T, B, H))
    targets[-1] = TARGET
    return Subject.from_functions(loss, gradient, point, loss_of="last_step:euclidean", targets=targets)


MISTAKES = (
    Mistake(
        "the error at every step",
        "dh = dv[:, :H]",
        "dh = dv[:, :H] + h - TARGET",
        ("dh-last-loss-everywhere.dh",),
        "B1",
    ),
    Mistake(
        "the carry dropped after the first", "dh = dv[:, :H]", "dh = 0 * dv[:, :H]", ("dh-next-dropped.dh_next",), "B7"
    ),
    Mistake("c_after never moved", "c_after = c_before", "c_after = c_after", ("s-of-last-step.all",), "B2"),
    Mistake(
        "x from the wrong columns", "dx[:, t] = dv[:, H : H + D]", "dx[:, t] = dv[:, :D]", ("columns-of-h-x.dx",), "B7"
    ),
)
