"""One sequence in node objects, walked back by an index: the post's cell, h = s ⊙ o, weights over [x, h]."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigmoid(a):
    return 1.0 / (1 + np.exp(-a))


class Node:
    def __init__(self, p, x, s_prev, h_prev):
        self.p, self.s_prev, self.xc = p, s_prev, np.hstack((x, h_prev))
        self.g = np.tanh(p["wg"] @ self.xc + p["bg"])
        self.i, self.f, self.o = (sigmoid(p["w" + k] @ self.xc + p["b" + k]) for k in "ifo")
        self.s = self.g * self.i + s_prev * self.f
        self.h = self.s * self.o

    def back(self, dh, ds, d):
        p, width = self.p, len(self.xc) - len(self.h)
        ds = self.o * dh + ds
        do, di, dg, df = self.s * dh, self.g * ds, self.i * ds, self.s_prev * ds
        dz = {k: a * (1 - a) * da for k, a, da in (("i", self.i, di), ("f", self.f, df), ("o", self.o, do))}
        dz["g"] = (1 - self.g**2) * dg
        for k, v in dz.items():
            d["w" + k] += np.outer(v, self.xc)
            d["b" + k] += v
        dxc = sum(p["w" + k].T @ v for k, v in dz.items())
        self.ds_back = ds * self.f
        self.dx, self.dh_back = dxc[:width], dxc[width:]


def forward(p):
    s = h = np.zeros(len(p["bg"]))
    nodes = []
    for x in p["x"]:
        nodes.append(Node(p, x, s, h))
        s, h = nodes[-1].s, nodes[-1].h
    return np.array([node.h for node in nodes]), (p, nodes)


def backward(cache, dhs):
    p, nodes = cache
    d = {k: np.zeros_like(v) for k, v in p.items()}
    idx = len(nodes) - 1
    nodes[idx].back(dhs[idx], 0 * dhs[idx], d)
    d["x"][idx] = nodes[idx].dx
    while idx > 0:
        idx -= 1
        nodes[idx].back(dhs[idx] + nodes[idx + 1].dh_back, nodes[idx + 1].ds_back, d)
        d["x"][idx] = nodes[idx].dx
    return d


def subject(rng):
    draw = np.random.default_rng(rng).normal
    D, H = 3, 4
    shapes = {"x": (6, D)} | {"w" + k: (H, D + H) for k in "gifo"} | {"b" + k: (H,) for k in "gifo"}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, rng=rng)


MISTAKES = (
    Mistake("ends before step 0", "while idx > 0", "while idx > 1", ("loop-without-first-step",), "B5"),
    Mistake("dh too in what is handed back", "ds * self.f", "ds * self.f + dh", ("term-too-many.ds_next.dh",), "B8"),
    Mistake("a tanh that is not there", "self.o * dh + ds", "(1 - np.tanh(self.s) ** 2) * self.o * dh + ds",
            ("ds-slope-not-there",), "B2"),
    Mistake("the gates' slope mixed", '("f", self.f, df)', '("f", (self.f + self.i) / 2, df)'),
    Mistake("o where f belongs", "ds * self.f", "ds * self.o", ("ds-next-from-o",), "B8"),
)  # fmt: skip
