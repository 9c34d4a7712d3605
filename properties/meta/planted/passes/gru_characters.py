"""A GRU over characters with column vectors, loss and gradient together, as many a notebook has it."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

V, H, T = 12, 16, 20
r = np.random.default_rng(6)
inp = r.integers(V, size=T)
tgt = r.integers(V, size=T)
p0 = {}
for k in "zrh":
    p0["W" + k] = r.normal(size=(H, V)) * 0.4
    p0["U" + k] = r.normal(size=(H, H)) * 0.3
    p0["b" + k] = r.normal(size=(H, 1)) * 0.3
p0["Wy"] = r.normal(size=(V, H)) * 0.5
p0["by"] = r.normal(size=(V, 1)) * 0.3


def s(a):
    return 1 / (1 + np.exp(-a))


def fb(p):
    h = {-1: np.zeros((H, 1))}
    z, rr, hh, y, pr, x = {}, {}, {}, {}, {}, {}
    L = 0
    for t in range(T):
        x[t] = np.zeros((V, 1))
        x[t][inp[t]] = 1
        z[t] = s(p["Wz"] @ x[t] + p["Uz"] @ h[t - 1] + p["bz"])
        rr[t] = s(p["Wr"] @ x[t] + p["Ur"] @ h[t - 1] + p["br"])
        hh[t] = np.tanh(p["Wh"] @ x[t] + p["Uh"] @ (rr[t] * h[t - 1]) + p["bh"])
        h[t] = z[t] * h[t - 1] + (1 - z[t]) * hh[t]
        y[t] = p["Wy"] @ h[t] + p["by"]
        pr[t] = np.exp(y[t]) / np.exp(y[t]).sum()
        L -= np.log(pr[t][tgt[t], 0])
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dhn = np.zeros((H, 1))
    for t in reversed(range(T)):
        dy = pr[t].copy()
        dy[tgt[t]] -= 1
        g["Wy"] += dy @ h[t].T
        g["by"] += dy
        dh = p["Wy"].T @ dy + dhn
        dhh = dh * (1 - z[t])
        dhl = dhh * (1 - hh[t] ** 2)
        g["Wh"] += dhl @ x[t].T
        g["Uh"] += dhl @ (rr[t] * h[t - 1]).T
        g["bh"] += dhl
        drhp = p["Uh"].T @ dhl
        dr = drhp * h[t - 1]
        drl = dr * rr[t] * (1 - rr[t])
        g["Wr"] += drl @ x[t].T
        g["Ur"] += drl @ h[t - 1].T
        g["br"] += drl
        dz = dh * (h[t - 1] - hh[t])
        dzl = dz * z[t] * (1 - z[t])
        g["Wz"] += dzl @ x[t].T
        g["Uz"] += dzl @ h[t - 1].T
        g["bz"] += dzl
        dhn = p["Uz"].T @ dzl + dh * z[t] + drhp * rr[t] + p["Ur"].T @ drl
    return L, g


def subject(rng):
    return Subject.from_value_and_gradient(fb, p0)


MISTAKES = (
    Mistake("h-part of z forgotten", " + dh * z[t] + ", " + ", ("gru-carry-without-state",), "G8"),
    Mistake("dz sign", "dh * (h[t - 1] - hh[t])", "dh * (hh[t] - h[t - 1])", ("gru-update-sign",), "G5"),
    Mistake(
        "reset forgotten in dUh", "dhl @ (rr[t] * h[t - 1]).T", "dhl @ h[t - 1].T", ("gru-sum-without-reset",), "G9"
    ),
    Mistake("reset path forgotten", "drhp * rr[t]", "drhp", ("gru-carry-reset-forgotten",), "G8"),
)
