"""Two functions over nested lists of matrices; batch first; the forward pass is run again inside the gradient."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def logistic(v):
    return 0.5 * (1 + np.tanh(v / 2))


def run(p):
    (Wi, Wf, Wo, Wg), (Ui, Uf, Uo, Ug), (bi, bf, bo, bg) = p["W"], p["U"], p["b"]
    h, c = [p["h"]], [p["c"]]
    i, f, o, g = [], [], [], []
    for t in range(p["x"].shape[1]):
        x = p["x"][:, t, :]
        i.append(logistic(x @ Wi + h[t] @ Ui + bi))
        f.append(logistic(x @ Wf + h[t] @ Uf + bf))
        o.append(logistic(x @ Wo + h[t] @ Uo + bo))
        g.append(np.tanh(x @ Wg + h[t] @ Ug + bg))
        c.append(f[t] * c[t] + i[t] * g[t])
        h.append(o[t] * np.tanh(c[t + 1]))
    return h, c, i, f, o, g


def outputs(p):
    tape = run(p)
    return np.stack(tape[0][1:], axis=1), (p, tape)


def gradient(cache, dout):
    p, (h, c, i, f, o, g) = cache
    T = len(i)
    dW = [np.zeros_like(w) for w in p["W"]]
    dU = [np.zeros_like(w) for w in p["U"]]
    db = [np.zeros_like(w) for w in p["b"]]
    dx = np.zeros_like(p["x"])
    dh = [None] * (T + 1)
    dc = [None] * (T + 1)
    dh[T], dc[T] = dout[:, T - 1], 0.0
    for t in range(T - 1, -1, -1):
        th = np.tanh(c[t + 1])
        dc[t + 1] = dc[t + 1] + dh[t + 1] * o[t] * (1 - th**2)
        d = [
            dc[t + 1] * g[t] * i[t] * (1 - i[t]),
            dc[t + 1] * c[t] * f[t] * (1 - f[t]),
            dh[t + 1] * th * o[t] * (1 - o[t]),
            dc[t + 1] * i[t] * (1 - g[t] ** 2),
        ]
        x = p["x"][:, t, :]
        for k in range(4):
            dW[k] += x.T @ d[k]
            dU[k] += h[t].T @ d[k]
            db[k] += d[k].sum(0)
        dx[:, t, :] = sum(d[k] @ p["W"][k].T for k in range(4))
        dh[t] = sum(d[k] @ p["U"][k].T for k in range(4))
        if t > 0:
            dh[t] = dh[t] + dout[:, t - 1]
        dc[t] = dc[t + 1] * f[t]
    return {"W": dW, "U": dU, "b": db, "x": dx, "h": dh[0], "c": dc[0]}


def subject(rng):
    T, b, d, n = 5, 3, 2, 4
    draw = np.random.default_rng(rng).normal
    point = {
        "W": [draw(size=(d, n)) for _ in range(4)],
        "U": [draw(size=(n, n)) for _ in range(4)],
        "b": [draw(size=n) for _ in range(4)],
        "x": draw(size=(b, T, d)),
        "h": draw(size=(b, n)),
        "c": draw(size=(b, n)),
    }
    return Subject.from_vjp(outputs, gradient, point, name="step lists")


MISTAKES = (
    Mistake(
        "three gates of four",
        'dh[t] = sum(d[k] @ p["U"][k].T for k in range(4))',
        'dh[t] = sum(d[k] @ p["U"][k].T for k in range(3))',
        ("back-without-g",),
        "B7",
    ),
    Mistake(
        "last index wraps",
        "dh[t] = dh[t] + dout[:, t - 1]",
        "dh[t] = dh[t] + dout[:, t - 2]",
        ("dh-loss-joins-late",),
        "B1",
    ),
    Mistake(
        "loss at t = 0 too",
        "        if t > 0:\n            dh[t]",
        "        if True:\n            dh[t]",
        ("initial-of-last-loss",),
        "B9",
    ),
    Mistake(
        "carry of the memory without f", "dc[t] = dc[t + 1] * f[t]", "dc[t] = dc[t + 1]", ("ds-next-without-f",), "B8"
    ),
    Mistake(
        "forget gate of the step before",
        "dc[t] = dc[t + 1] * f[t]",
        "dc[t] = dc[t + 1] * f[t - 1]",
        ("ds-next-from-f-before-wrapping",),
        "B8",
    ),
    Mistake("bias of the last sequence", "db[k] += d[k].sum(0)", "db[k] += d[k][-1]", ("sum-of-last-sequence",), "B6"),
    Mistake(
        "slope of the gate forgotten",
        "dc[t + 1] * g[t] * i[t] * (1 - i[t])",
        "dc[t + 1] * g[t]",
        ("slope-forgotten.dz_i",),
        "B4",
    ),
    Mistake(
        "dx of one gate",
        'dx[:, t, :] = sum(d[k] @ p["W"][k].T for k in range(4))',
        'dx[:, t, :] = d[3] @ p["W"][3].T',
        ("back-of-g-alone.dx",),
        "B7",
    ),
)
