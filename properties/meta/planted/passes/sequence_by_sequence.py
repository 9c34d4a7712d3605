"""Loops over sequences and over time, vectors throughout, caches in a dict by (sequence, step); no initial states."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sq(v):
    return 1 / (1 + np.exp(-v))


def forward(p):
    cache, out = {"p": p}, np.zeros((p["data"].shape[0], p["data"].shape[1], len(p["a_bias"])), p["data"].dtype)
    for n, seq in enumerate(p["data"]):
        h, s = np.zeros(out.shape[2]), np.zeros(out.shape[2])
        for t, x in enumerate(seq):
            v = np.concatenate([x, h])
            a = np.tanh(p["a_w"] @ v + p["a_bias"])
            i = sq(p["i_w"] @ v + p["i_bias"])
            f = sq(p["f_w"] @ v + p["f_bias"])
            o = sq(p["o_w"] @ v + p["o_bias"])
            cache[n, t] = (v, h, s, a, i, f, o)
            s = i * a + f * s
            h = o * s
            cache[n, t, "s"] = s
            out[n, t] = h
    return out, cache


def backward(cache, dout):
    p = cache["p"]
    g = {k: np.zeros_like(w) for k, w in p.items()}
    D = p["data"].shape[2]
    for n in range(dout.shape[0]):
        dh, ds = 0.0, 0.0
        for t in range(dout.shape[1] - 1, -1, -1):
            v, _h, s, a, i, f, o = cache[n, t]
            dh = dh + dout[n, t]
            ds = ds + o * dh
            do = cache[n, t, "s"] * dh * o * (1 - o)
            di = ds * a * i * (1 - i)
            df = ds * s * f * (1 - f)
            da = ds * i * (1 - a**2)
            for k, d in zip("aifo", (da, di, df, do), strict=False):
                g[k + "_w"] += np.outer(d, v)
                g[k + "_bias"] += d
            dv = p["a_w"].T @ da + p["i_w"].T @ di + p["f_w"].T @ df + p["o_w"].T @ do
            g["data"][n, t] = dv[:D]
            dh = dv[D:]
            ds = ds * f
    return g


def subject(rng):
    N, T, D, H = 2, 4, 3, 2
    draw = np.random.default_rng(rng).normal
    shapes = {"data": (N, T, D)} | {f"{k}_w": (H, D + H) for k in "aifo"} | {f"{k}_bias": (H,) for k in "aifo"}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="by sequence")


MISTAKES = (
    Mistake(
        "weights assigned",
        'g[k + "_w"] += np.outer(d, v)',
        'g[k + "_w"] = np.outer(d, v)',
        ("sum-assigned-throughout-of-weights",),
        "B5",
    ),
    Mistake("biases assigned", 'g[k + "_bias"] += d', 'g[k + "_bias"] = d', ("sum-assigned-throughout",), "B6"),
    Mistake("memory before the step", 'do = cache[n, t, "s"] * dh', "do = s * dh", ("do-from-s-before",), "B3"),
    Mistake(
        "tanh slope that is not there",
        "ds = ds + o * dh",
        'ds = ds + o * dh * (1 - np.tanh(cache[n, t, "s"]) ** 2)',
        ("ds-slope-not-there",),
        "B2",
    ),
    Mistake("memory carried by i", "ds = ds * f", "ds = ds * i", ("ds-next-from-i",), "B8"),
    Mistake("gates from dh", "di = ds * a", "di = dh * a", ("gate-from-dh.di",), "B3"),
    Mistake("states carried across sequences", "dh, ds = 0.0, 0.0", "dh, ds = (0.0, 0.0) if n == 0 else (dh, ds)", ()),
)
