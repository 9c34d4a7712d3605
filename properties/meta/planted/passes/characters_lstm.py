"""A character LSTM of one file: one-hot inputs by index, an output layer and softmax, dicts by time step."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

INPUTS, TARGETS = [2, 0, 1, 3, 0, 2], [0, 1, 3, 0, 2, 1]
SIZE, HIDDEN = 4, 5


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def lossFun(p):
    Wf, Wi, Wc, Wo, Wy = p["Wf"], p["Wi"], p["Wc"], p["Wo"], p["Wy"]
    bf, bi, bc, bo, by = p["bf"], p["bi"], p["bc"], p["bo"], p["by"]
    xs, hs, cs, zs, fs, gi, cb, os, ps = {}, {}, {}, {}, {}, {}, {}, {}, {}
    hs[-1], cs[-1] = np.zeros((HIDDEN, 1)), np.zeros((HIDDEN, 1))
    loss = 0
    for t in range(len(INPUTS)):
        xs[t] = np.zeros((SIZE, 1))
        xs[t][INPUTS[t]] = 1
        zs[t] = np.concatenate((hs[t - 1], xs[t]))
        fs[t], gi[t], os[t] = sigmoid(Wf @ zs[t] + bf), sigmoid(Wi @ zs[t] + bi), sigmoid(Wo @ zs[t] + bo)
        cb[t] = np.tanh(Wc @ zs[t] + bc)
        cs[t] = fs[t] * cs[t - 1] + gi[t] * cb[t]
        hs[t] = os[t] * np.tanh(cs[t])
        y = Wy @ hs[t] + by
        ps[t] = np.exp(y) / np.sum(np.exp(y))
        loss -= np.log(ps[t][TARGETS[t], 0])
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dhnext, dcnext = np.zeros_like(hs[0]), np.zeros_like(cs[0])
    for t in reversed(range(len(INPUTS))):
        dy = np.copy(ps[t])
        dy[TARGETS[t]] -= 1
        d["Wy"] += dy @ hs[t].T
        d["by"] += dy
        dh = Wy.T @ dy + dhnext
        do = dh * np.tanh(cs[t]) * os[t] * (1 - os[t])
        dc = dh * os[t] * (1 - np.tanh(cs[t]) ** 2) + dcnext
        df = dc * cs[t - 1] * fs[t] * (1 - fs[t])
        di = dc * cb[t] * gi[t] * (1 - gi[t])
        dcb = dc * gi[t] * (1 - cb[t] ** 2)
        for k, v in (("f", df), ("i", di), ("c", dcb), ("o", do)):
            d["W" + k] += v @ zs[t].T
            d["b" + k] += v
        dz = Wf.T @ df + Wi.T @ di + Wc.T @ dcb + Wo.T @ do
        dhnext = dz[:HIDDEN]
        dcnext = dc * fs[t]
    return loss, d


def subject(rng):
    rng = np.random.default_rng(rng)
    point = {f"W{k}": rng.normal(size=(HIDDEN, HIDDEN + SIZE)) / 2 for k in "fico"} | {
        f"b{k}": rng.normal(size=(HIDDEN, 1)) for k in "fico"
    }
    point |= {"Wy": rng.normal(size=(SIZE, HIDDEN)), "by": rng.normal(size=(SIZE, 1))}
    return Subject.from_value_and_gradient(lossFun, point)


MISTAKES = (
    Mistake("dcnext forgotten", " ** 2) + dcnext", " ** 2)", ("ds-carry-dropped",), "B2"),
    Mistake("new memory in df", "df = dc * cs[t - 1]", "df = dc * cs[t]", ("df-from-s",), "B3"),
    Mistake(
        "all gradients clipped",
        "return loss, d\n",
        "return loss, {k: np.clip(v, -0.5, 0.5) for k, v in d.items()}\n",
        ("clipped",),
    ),
)
