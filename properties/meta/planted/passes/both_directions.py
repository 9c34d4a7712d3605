"""One LSTM forwards, one backwards in time, their outputs side by side."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def s(z):
    return 1 / (1 + np.exp(-z))


class Direction:
    def __init__(self, W, b):
        self.W, self.b = W, b
        self.H = b.shape[0] // 4

    def run(self, xs):
        B, H = xs.shape[1], self.H
        h = c = np.zeros((B, H))
        self.memo, out = [], []
        for x in xs:
            v = np.hstack([x, h])
            a = v @ self.W + self.b
            f, i, o, u = s(a[:, :H]), s(a[:, H : 2 * H]), s(a[:, 2 * H : 3 * H]), np.tanh(a[:, 3 * H :])
            old, c = c, f * c + i * u
            h = o * np.tanh(c)
            self.memo.append((v, old, c, f, i, o, u))
            out.append(h)
        return np.array(out)

    def back(self, dout):
        self.dW, self.db = np.zeros_like(self.W), np.zeros_like(self.b)
        dxs, H = [], self.H
        dh = dc = 0
        for (v, old, c, f, i, o, u), d in zip(self.memo[::-1], dout[::-1], strict=True):
            dh = dh + d
            dc = dc + dh * o * (1 - np.tanh(c) ** 2)
            da = np.hstack(
                [dc * old * f * (1 - f), dc * u * i * (1 - i), dh * np.tanh(c) * o * (1 - o), dc * i * (1 - u**2)]
            )
            self.dW += v.T @ da
            self.db += da.sum(0)
            dv = da @ self.W.T
            dxs.append(dv[:, :-H])
            dh, dc = dv[:, -H:], dc * f
        return np.array(dxs[::-1])


def forward(p):
    there, back = Direction(p["Wf"], p["bf"]), Direction(p["Wb"], p["bb"])
    y = np.concatenate([there.run(p["x"]), back.run(p["x"][::-1])[::-1]], axis=2)
    return y, (there, back)


def backward(cache, dy):
    there, back = cache
    H = there.H
    dx = there.back(dy[:, :, :H]) + back.back(dy[::-1, :, H:])[::-1]
    return {"x": dx, "Wf": there.dW, "bf": there.db, "Wb": back.dW, "bb": back.db}


def subject(rng):
    rng = np.random.default_rng(rng)
    T, B, D, H = 4, 2, 3, 4
    point = {"x": rng.normal(size=(T, B, D))}
    for k in "fb":
        point |= {f"W{k}": rng.normal(size=(D + H, 4 * H)) / 2, f"b{k}": rng.normal(size=4 * H)}
    return Subject.from_vjp(forward, backward, point)


MISTAKES = (
    Mistake(
        "the way back is not turned round again",
        "back.back(dy[::-1, :, H:])[::-1]",
        "back.back(dy[::-1, :, H:])",
        ("direction-inputs-not-reversed",),
        "N3",
    ),
    Mistake(
        "dy of the backward direction not turned",
        "back.back(dy[::-1, :, H:])[::-1]",
        "back.back(dy[:, :, H:])[::-1]",
        ("direction-not-reversed",),
        "N2",
    ),
    Mistake("memory's carry dropped", "dc = dc + dh * o", "dc = dh * o", ("ds-carry-dropped",), "B2"),
)
