"""A GRU layer with the reset gate before the product (Cho et al.), x and h side by side, no loss of its own."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigm(v):
    return 1 / (1 + np.exp(-v))


def forward(p):
    h = np.zeros((p["x"].shape[1], p["bz"].size))
    hs, keep = [], []
    for x in p["x"]:
        xh = np.hstack((x, h))
        z, r = sigm(xh @ p["Wz"] + p["bz"]), sigm(xh @ p["Wr"] + p["br"])
        xrh = np.hstack((x, r * h))
        c = np.tanh(xrh @ p["Wc"] + p["bc"])
        keep.append((xh, xrh, h, z, r, c))
        h = z * h + (1 - z) * c
        hs.append(h)
    return np.array(hs), (p, keep)


def backward(cache, dhs):
    p, keep = cache
    D = p["x"].shape[2]
    g = {k: np.zeros_like(v) for k, v in p.items()}
    dh = np.zeros_like(dhs[0])
    for t in range(len(keep) - 1, -1, -1):
        xh, xrh, h, z, r, c = keep[t]
        dh = dh + dhs[t]
        dac = dh * (1 - z) * (1 - c * c)
        daz = dh * (h - c) * z * (1 - z)
        dxrh = dac @ p["Wc"].T
        dar = dxrh[:, D:] * h * r * (1 - r)
        dxh = daz @ p["Wz"].T + dar @ p["Wr"].T
        g["Wc"] += xrh.T @ dac
        g["Wz"] += xh.T @ daz
        g["Wr"] += xh.T @ dar
        g["bc"] += dac.sum(0)
        g["bz"] += daz.sum(0)
        g["br"] += dar.sum(0)
        g["x"][t] = dxh[:, :D] + dxrh[:, :D]
        dh = dh * z + dxh[:, D:] + dxrh[:, D:] * r
    return g


def subject(rng):
    rng = np.random.default_rng(rng)
    T, B, D, H = 4, 2, 3, 4
    point = {"x": rng.normal(size=(T, B, D))}
    for k in "zrc":
        point |= {f"W{k}": rng.normal(size=(D + H, H)), f"b{k}": rng.normal(size=H)}
    return Subject.from_vjp(forward, backward, point)


MISTAKES = (
    Mistake("candidate's x forgotten", "dxh[:, :D] + dxrh[:, :D]", "dxh[:, :D]", ("gru-back-without-n",), "B7"),
    Mistake(
        "reset gate forgotten on the way back",
        "dxrh[:, D:] * r\n",
        "dxrh[:, D:]\n",
        ("gru-carry-reset-forgotten",),
        "G8",
    ),
    Mistake(
        "weights of c from xh", 'g["Wc"] += xrh.T @ dac', 'g["Wc"] += xh.T @ dac', ("gru-sum-without-reset",), "G9"
    ),
)
