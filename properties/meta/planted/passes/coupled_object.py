"""A class that keeps everything in attributes; input and forget gate coupled, squared error against targets."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


class CoupledLSTM:
    def __init__(self, seed=0):
        r = np.random.default_rng(seed)
        self.T, self.B, self.D, self.H = 4, 3, 2, 4
        self.x = r.normal(size=(self.T, self.B, self.D))
        self.y = r.normal(size=(self.T, self.B, self.H))
        self.h_init, self.c_init = r.normal(size=(self.B, self.H)), r.normal(size=(self.B, self.H))
        for k in ("i", "o", "c"):
            setattr(self, "W_" + k, r.normal(size=(self.D, self.H)))
            setattr(self, "R_" + k, r.normal(size=(self.H, self.H)) / 2)
            setattr(self, "b_" + k, r.normal(size=self.H))

    @staticmethod
    def sig(v):
        return 1 / (1 + np.exp(-v))

    def forward(self):
        self.h, self.c = [self.h_init], [self.c_init]
        self.i, self.o, self.a = [None], [None], [None]
        for t in range(1, self.T + 1):
            x, h = self.x[t - 1], self.h[t - 1]
            self.i.append(self.sig(x @ self.W_i + h @ self.R_i + self.b_i))
            self.o.append(self.sig(x @ self.W_o + h @ self.R_o + self.b_o))
            self.a.append(np.tanh(x @ self.W_c + h @ self.R_c + self.b_c))
            self.c.append((1 - self.i[t]) * self.c[t - 1] + self.i[t] * self.a[t])
            self.h.append(self.o[t] * np.tanh(self.c[t]))
        return sum(((self.h[t] - self.y[t - 1]) ** 2).sum() for t in range(1, self.T + 1))

    def backward(self):
        self.grad = {n + k: np.zeros_like(getattr(self, n + k)) for n in ("W_", "R_", "b_") for k in "ioc"}
        self.dx = np.zeros_like(self.x)
        dh, dc = np.zeros_like(self.h_init), np.zeros_like(self.c_init)
        for t in range(self.T, 0, -1):
            dh = dh + 2 * (self.h[t] - self.y[t - 1])
            th = np.tanh(self.c[t])
            dc = dc + dh * self.o[t] * (1 - th**2)
            d = {
                "o": dh * th * self.o[t] * (1 - self.o[t]),
                "i": dc * (self.a[t] - self.c[t - 1]) * self.i[t] * (1 - self.i[t]),
                "c": dc * self.i[t] * (1 - self.a[t] ** 2),
            }
            dh = 0
            for k in "ioc":
                self.grad["W_" + k] += self.x[t - 1].T @ d[k]
                self.grad["R_" + k] += self.h[t - 1].T @ d[k]
                self.grad["b_" + k] += d[k].sum(axis=0)
                self.dx[t - 1] += d[k] @ getattr(self, "W_" + k).T
                dh = dh + d[k] @ getattr(self, "R_" + k).T
            dc = dc * (1 - self.i[t])
        self.dh_init, self.dc_init = dh, dc

    def train(self):
        loss = self.forward()
        self.backward()
        return loss


def subject(rng):
    names = [n + k for n in ("W_", "R_", "b_") for k in "ioc"]
    return Subject.from_object(
        lambda: CoupledLSTM(rng),
        CoupledLSTM.train,
        parameters={**{n: n for n in names}, "x": "x", "h_init": "h_init", "c_init": "c_init"},
        gradients={**{n: f"grad['{n}']" for n in names}, "x": "dx", "h_init": "dh_init", "c_init": "dc_init"},
        loss_of="euclidean",
        targets=CoupledLSTM(rng).y,
    )


MISTAKES = (
    Mistake("the coupling forgotten", "(self.a[t] - self.c[t - 1])", "self.a[t]", ("di-coupled-forgotten.di",), "B3c"),
    Mistake(
        "the coupling's sign",
        "(self.a[t] - self.c[t - 1])",
        "(self.a[t] + self.c[t - 1])",
        ("di-coupled-sign.di",),
        "B3c",
    ),
    Mistake("carry of c by i", "dc = dc * (1 - self.i[t])", "dc = dc * self.i[t]", ("ds-next-from-i.ds_next",), "B8"),
    Mistake("targets one step late", "self.y[t - 1])\n            th", "self.y[t - 2])\n            th"),
)
