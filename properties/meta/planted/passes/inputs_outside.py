"""Columns, x and h stacked one above the other; the inputs stand outside the parameters, initial states are zero."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

D, H, T = 3, 4, 5
XS = [np.random.default_rng(11).normal(size=(D, 1)) for _ in range(T)]
XS = [x * (1 + 0.2 * n) + 0.1 * n for n, x in enumerate(XS)]


def sig(a):
    return 1 / (1 + np.exp(-a))


def fwd(p):
    cs, hs, steps = {-1: np.zeros((H, 1))}, {-1: np.zeros((H, 1))}, {}
    for t in range(len(XS)):
        z = np.vstack((hs[t - 1], XS[t]))
        f, i = sig(p["Wf"] @ z + p["bf"]), sig(p["Wi"] @ z + p["bi"])
        c_bar, o = np.tanh(p["WC"] @ z + p["bC"]), sig(p["Wo"] @ z + p["bo"])
        cs[t] = f * cs[t - 1] + i * c_bar
        hs[t] = o * np.tanh(cs[t])
        steps[t] = z, f, i, c_bar, o
    return [hs[t] for t in range(len(XS))], (p, cs, steps)


def bwd(cache, dhs):
    p, cs, steps = cache
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dh_next, dc_next = np.zeros((H, 1)), np.zeros((H, 1))
    for t in range(len(XS) - 1, -1, -1):
        z, f, i, c_bar, o = steps[t]
        dh = dhs[t] + dh_next
        do = dh * np.tanh(cs[t]) * o * (1 - o)
        dc = dc_next + dh * o * (1 - np.tanh(cs[t]) ** 2)
        dc_bar = dc * i * (1 - c_bar**2)
        di = dc * c_bar * i * (1 - i)
        df = dc * cs[t - 1] * f * (1 - f)
        for k, d in (("f", df), ("i", di), ("C", dc_bar), ("o", do)):
            g["W" + k] += d @ z.T
            g["b" + k] += d
        dz = p["Wf"].T @ df + p["Wi"].T @ di + p["WC"].T @ dc_bar + p["Wo"].T @ do
        dh_next = dz[:H]
        dc_next = f * dc
    return g


def subject(rng):
    rng = np.random.default_rng(rng)
    point = {f"W{k}": rng.normal(size=(H, H + D)) / 2 for k in "fiCo"}
    point |= {f"b{k}": rng.normal(size=(H, 1)) for k in "fiCo"}
    return Subject.from_vjp(fwd, bwd, point)


MISTAKES = (
    Mistake("the other part of dz", "dh_next = dz[:H]", "dh_next = dz[-H:]", ("columns-of-h-x.dh_next",), "B7"),
    Mistake("memory at the wrong step", "df = dc * cs[t - 1] *", "df = dc * cs[t] *", ("df-from-s.df",), "B3"),
    Mistake(
        "clipped on the way",
        "dh = dhs[t] + dh_next",
        "dh = np.clip(dhs[t] + dh_next, -0.5, 0.5)",
        ("dh-clipped-in-loop-0.5.dh",),
        "B1",
    ),
    Mistake(
        "tanh's slope at tanh's value",
        "(1 - np.tanh(cs[t]) ** 2)",
        "(1 - np.tanh(np.tanh(cs[t])) ** 2)",
        ("ds-slope-of-tanh-twice.ds",),
        "B2",
    ),
)
