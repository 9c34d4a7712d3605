"""An LSTM with peepholes, coupled by a helper that differentiates one step; namedtuples and keyword arguments."""

from collections import namedtuple

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

Step = namedtuple("Step", "x h c i f o u c1")


def sigma(v):
    return 1 / (1 + np.exp(-v))


def forward(p):
    h, c, steps, ys = p["h0"], p["c0"], [], []
    for x in p["x"]:
        i = sigma(x @ p["Wi"] + h @ p["Ri"] + c * p["pi"] + p["bi"])
        f = sigma(x @ p["Wf"] + h @ p["Rf"] + c * p["pf"] + p["bf"])
        u = np.tanh(x @ p["Wu"] + h @ p["Ru"] + p["bu"])
        c1 = f * c + i * u
        o = sigma(x @ p["Wo"] + h @ p["Ro"] + c1 * p["po"] + p["bo"])
        steps.append(Step(x=x, h=h, c=c, i=i, f=f, o=o, u=u, c1=c1))
        h, c = o * np.tanh(c1), c1
        ys.append(h)
    return {"ys": np.stack(ys), "last": c}, (p, steps)


def step_back(p, s, dh, dc, g):
    th = np.tanh(s.c1)
    zo = dh * th * s.o * (1 - s.o)
    dc = dc + dh * s.o * (1 - th**2) + zo * p["po"]
    zi = dc * s.u * s.i * (1 - s.i)
    zf = dc * s.c * s.f * (1 - s.f)
    zu = dc * s.i * (1 - s.u**2)
    dx = dh0 = 0.0
    for k, z in {"i": zi, "f": zf, "u": zu, "o": zo}.items():
        g[f"W{k}"] += s.x.T @ z
        g[f"R{k}"] += s.h.T @ z
        g[f"b{k}"] += z.sum(axis=0)
        dx = dx + z @ p[f"W{k}"].T
        dh0 = dh0 + z @ p[f"R{k}"].T
    g["pi"] += (zi * s.c).sum(axis=0)
    g["pf"] += (zf * s.c).sum(axis=0)
    g["po"] += (zo * s.c1).sum(axis=0)
    return dx, dh0, dc * s.f + zi * p["pi"] + zf * p["pf"]


def backward(cache, d):
    p, steps = cache
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dh, dc = np.zeros_like(p["h0"]), d["last"].copy()
    for t in range(len(steps))[::-1]:
        g["x"][t], dh, dc = step_back(p, steps[t], dh + d["ys"][t], dc, g)
    g["h0"], g["c0"] = dh, dc
    return g


def subject(rng):
    T, B, D, H = 4, 2, 2, 3
    draw = np.random.default_rng(rng).normal
    shapes = {"x": (T, B, D), "h0": (B, H), "c0": (B, H)}
    for k in "ifuo":
        shapes |= {f"W{k}": (D, H), f"R{k}": (H, H), f"b{k}": (H,)} | ({f"p{k}": (H,)} if k != "u" else {})
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="peepholes")


MISTAKES = (
    Mistake("no path through the output peephole", ' + zo * p["po"]', "", ("ds-peephole-forgotten",), "B2p"),
    Mistake(
        "peepholes back through time forgotten",
        'return dx, dh0, dc * s.f + zi * p["pi"] + zf * p["pf"]',
        "return dx, dh0, dc * s.f",
        ("ds-next-peepholes-forgotten",),
        "B8p",
    ),
    Mistake(
        "output peephole sees the old memory",
        "(zo * s.c1).sum",
        "(zo * s.c).sum",
        ("peephole-weight-step-of-o",),
        "B5p",
    ),
    Mistake(
        "the last memory's derivative ignored",
        'd["last"].copy()',
        'np.zeros_like(d["last"])',
        ("ds-final-ignored",),
        "B2",
    ),
    Mistake("o after i", "zo = dh * th * s.o * (1 - s.o)", "zo = dh * s.c1 * s.o * (1 - s.o)", ("do-from-s",), "B3"),
    Mistake(
        "the batch averaged",
        'g[f"W{k}"] += s.x.T @ z',
        'g[f"W{k}"] += s.x.T @ z / len(z)',
        ("sum-as-mean-over-batch",),
        "B5",
    ),
)
