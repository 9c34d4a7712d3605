"""A class with an embedding, a batch of sentences, and the mean over all words."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


class Model:
    def __init__(self, V=11, D=6, H=9, seed=0):
        r = np.random.default_rng(seed)
        self.p = {
            "E": r.normal(size=(V, D)),
            "Wx": r.normal(size=(D, 4 * H)) * 0.4,
            "Wh": r.normal(size=(H, 4 * H)) * 0.4,
            "b": r.normal(size=4 * H) * 0.3,
            "Wy": r.normal(size=(H, V)) * 0.5,
            "by": r.normal(size=V) * 0.2,
        }
        self.H = H
        self.words = r.integers(V, size=(3, 8))
        self.labels = r.integers(V, size=(3, 8))

    def forward(self, p):
        N, T = self.words.shape
        H = self.H
        h = np.zeros((N, H))
        c = np.zeros((N, H))
        tape = []
        loss = 0
        for t in range(T):
            x = p["E"][self.words[:, t]]
            a = x @ p["Wx"] + h @ p["Wh"] + p["b"]
            i, f, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
            g = np.tanh(a[:, 3 * H :])
            cn = f * c + i * g
            hn = o * np.tanh(cn)
            s = hn @ p["Wy"] + p["by"]
            s = s - s.max(1, keepdims=True)
            q = np.exp(s)
            q = q / q.sum(1, keepdims=True)
            loss = loss - np.log(q[np.arange(N), self.labels[:, t]]).sum() / (N * T)
            tape.append((x, h, c, i, f, o, g, cn, hn, q))
            h, c = hn, cn
        return loss, (p, tape)

    def backward(self, cache):
        p, tape = cache
        N, T = self.words.shape
        d = {k: np.zeros_like(v) for k, v in p.items()}
        dh = dc = np.zeros((N, self.H))
        for t in range(T - 1, -1, -1):
            x, hp, cp, i, f, o, g, cn, hn, q = tape[t]
            ds = q.copy()
            ds[np.arange(N), self.labels[:, t]] -= 1
            ds /= N * T
            d["Wy"] += hn.T @ ds
            d["by"] += ds.sum(0)
            dh = dh + ds @ p["Wy"].T
            tc = np.tanh(cn)
            dc = dc + dh * o * (1 - tc**2)
            da = np.hstack([dc * g * i * (1 - i), dc * cp * f * (1 - f), dh * tc * o * (1 - o), dc * i * (1 - g**2)])
            d["Wx"] += x.T @ da
            d["Wh"] += hp.T @ da
            d["b"] += da.sum(0)
            np.add.at(d["E"], self.words[:, t], da @ p["Wx"].T)
            dh = da @ p["Wh"].T
            dc = dc * f
        return d


m = Model()


def subject(rng):
    return Subject.from_forward_backward(m.forward, m.backward, m.p)


MISTAKES = (
    Mistake("f slope", "dc * cp * f * (1 - f)", "dc * cp * f", ("slope-other-half",), "B4"),
    Mistake("mean lost", "ds /= N * T", "ds /= N", ("output-derivative-over-batch",), "B10"),
    Mistake("carry", 'dh = da @ p["Wh"].T', "dh = np.zeros_like(dh)", ("dh-carry-dropped",), "B1"),
)
