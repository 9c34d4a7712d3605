"""An LSTM layer with its four gates in one matrix of rows [h, x, 1], in the order input, forget, output, candidate."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sig(v):
    return 1 / (1 + np.exp(-v))


def forward(p):
    X, W, n = p["X"], p["WLSTM"], p["c0"].shape[1]
    T, b, _ = X.shape
    Hin, IFOG = [], []
    C, Ct, Hout = [], [], []
    for t in range(T):
        prevh = Hout[t - 1] if t > 0 else p["h0"]
        prevc = C[t - 1] if t > 0 else p["c0"]
        row = np.concatenate([np.ones((b, 1)), X[t], prevh], axis=1)
        a = row @ W
        gates = np.concatenate([sig(a[:, : 3 * n]), np.tanh(a[:, 3 * n :])], axis=1)
        c = gates[:, :n] * gates[:, 3 * n :] + gates[:, n : 2 * n] * prevc
        Hin.append(row)
        IFOG.append(gates)
        C.append(c)
        Ct.append(np.tanh(c))
        Hout.append(gates[:, 2 * n : 3 * n] * Ct[t])
    return np.stack(Hout), (X, W, p["c0"], Hin, IFOG, C, Ct)


def backward(cache, dHout_in):
    X, W, c0, Hin, IFOG, C, Ct = cache
    T, b, d = X.shape
    n = c0.shape[1]
    dHout = dHout_in.copy()
    dW = np.zeros_like(W)
    dX = np.zeros_like(X)
    dC = np.zeros_like(dHout)
    dh0, dc0 = np.zeros((b, n)), np.zeros((b, n))
    for t in reversed(range(T)):
        f = IFOG[t]
        dgate = np.zeros_like(f)
        tanhCt = Ct[t]
        dgate[:, 2 * n : 3 * n] = tanhCt * dHout[t]
        dC[t] += (1 - tanhCt**2) * (f[:, 2 * n : 3 * n] * dHout[t])
        if t > 0:
            dgate[:, n : 2 * n] = C[t - 1] * dC[t]
            dC[t - 1] += f[:, n : 2 * n] * dC[t]
        else:
            dgate[:, n : 2 * n] = c0 * dC[t]
            dc0 = f[:, n : 2 * n] * dC[t]
        dgate[:, :n] = f[:, 3 * n :] * dC[t]
        dgate[:, 3 * n :] = f[:, :n] * dC[t]
        da = np.zeros_like(f)
        da[:, 3 * n :] = (1 - f[:, 3 * n :] ** 2) * dgate[:, 3 * n :]
        y = f[:, : 3 * n]
        da[:, : 3 * n] = (y * (1.0 - y)) * dgate[:, : 3 * n]
        dW += Hin[t].T @ da
        drow = da @ W.T
        dX[t] = drow[:, 1 : d + 1]
        if t > 0:
            dHout[t - 1] += drow[:, d + 1 :]
        else:
            dh0 += drow[:, d + 1 :]
    return {"X": dX, "WLSTM": dW, "c0": dc0, "h0": dh0}


def subject(rng):
    T, b, d, n = 4, 2, 3, 2
    draw = np.random.default_rng(rng).normal
    shapes = {"X": (T, b, d), "WLSTM": (1 + d + n, 4 * n), "c0": (b, n), "h0": (b, n)}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="packed rows")


MISTAKES = (
    Mistake(
        "hidden carry assigned over the loss",
        "dHout[t - 1] += drow[:, d + 1 :]",
        "dHout[t - 1] = drow[:, d + 1 :]",
        ("dh-loss-at-last-step-only",),
        "B1",
    ),
    Mistake(
        "memory assigned over its carry",
        "dC[t] += (1 - tanhCt**2)",
        "dC[t] = (1 - tanhCt**2)",
        ("ds-carry-dropped", "ds-next-dropped"),
        "B2",
    ),
    Mistake("slope from c", "dC[t] += (1 - tanhCt**2)", "dC[t] += (1 - C[t] ** 2)", ("ds-slope-from-s",), "B2"),
    Mistake("weights assigned", "dW += Hin[t].T @ da", "dW = Hin[t].T @ da", ("sum-over-time-assigned",), "B5"),
    Mistake(
        "memory of this step",
        "dgate[:, n : 2 * n] = C[t - 1] * dC[t]",
        "dgate[:, n : 2 * n] = C[t] * dC[t]",
        ("df-from-s-after-first-step",),
        "B3",
    ),
    Mistake(
        "candidate as a gate",
        "(1 - f[:, 3 * n :] ** 2)",
        "(f[:, 3 * n :] * (1 - f[:, 3 * n :]))",
        ("candidate-slope-logistic",),
        "B4",
    ),
    Mistake("c0 not written", "dc0 = f[:, n : 2 * n] * dC[t]", "pass", ("initial-forgotten",), "B9"),
)
