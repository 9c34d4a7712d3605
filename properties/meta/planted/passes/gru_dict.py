"""A GRU, with a dict of lists for its tape."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sg(v):
    return 1 / (1 + np.exp(-v))


def forward(p):
    tape = {k: [] for k in ("h", "z", "r", "n")}
    h = p["h0"]
    for x in p["x"]:
        z = sg(x @ p["Wz"] + h @ p["Uz"] + p["bz"])
        r = sg(x @ p["Wr"] + h @ p["Ur"] + p["br"])
        n = np.tanh(x @ p["Wn"] + (r * h) @ p["Un"] + p["bn"])
        for k, v in zip("hzrn", (h, z, r, n), strict=False):
            tape[k].append(v)
        h = z * h + (1 - z) * n
    out = np.stack([*tape["h"][1:], h])
    return out, (p, tape)


def backward(cache, dout):
    p, tape = cache
    g = {k: np.zeros_like(w) for k, w in p.items()}
    dh = np.zeros_like(p["h0"])
    for t in range(len(dout) - 1, -1, -1):
        x, h, z, r, n = p["x"][t], *(tape[k][t] for k in "hzrn")
        dh = dh + dout[t]
        dn = dh * (1 - z) * (1 - n**2)
        dz = dh * (h - n) * z * (1 - z)
        drh = dn @ p["Un"].T
        dr = drh * h * r * (1 - r)
        g["Wn"] += x.T @ dn
        g["Wz"] += x.T @ dz
        g["Wr"] += x.T @ dr
        g["Un"] += (r * h).T @ dn
        g["Uz"] += h.T @ dz
        g["Ur"] += h.T @ dr
        g["bn"] += dn.sum(axis=0)
        g["bz"] += dz.sum(axis=0)
        g["br"] += dr.sum(axis=0)
        g["x"][t] = dn @ p["Wn"].T + dz @ p["Wz"].T + dr @ p["Wr"].T
        dh = dh * z + drh * r + dz @ p["Uz"].T + dr @ p["Ur"].T
    g["h0"] = dh
    return g


def subject(rng):
    T, B, D, H = 4, 2, 5, 3
    draw = np.random.default_rng(rng).normal
    shapes = {"x": (T, B, D), "h0": (B, H)}
    for k in "zrn":
        shapes |= {f"W{k}": (D, H), f"U{k}": (H, H), f"b{k}": (H,)}
    return Subject.from_vjp(forward, backward, {k: draw(size=s) for k, s in shapes.items()}, name="GRU")


MISTAKES = (
    Mistake(
        "reset gate left out of the sum",
        'g["Un"] += (r * h).T @ dn',
        'g["Un"] += h.T @ dn',
        ("gru-sum-without-reset",),
        "G9",
    ),
    Mistake("transposed", 'g["Uz"] += h.T @ dz', 'g["Uz"] += dz.T @ h', ("matrix-transposed",), "B5"),
    Mistake("assigned", 'g["Wz"] += x.T @ dz', 'g["Wz"] = x.T @ dz', ("sum-over-time-assigned",), "B5"),
    Mistake("one path of h missing", "drh * r + dz", "dz", ("gru-carry-without-candidate",), "G8"),
    Mistake("x of the reset gate missing", ' + dr @ p["Wr"].T', "", ("gru-back-without-r",), "B7"),
    Mistake("the halves swapped", "dh * (h - n) * z", "dh * (n - h) * z", ("gru-update-sign",), "G5"),
    Mistake("initial state forgotten", 'g["h0"] = dh', "pass", ("initial-forgotten",), "B9"),
    Mistake("mean over the batch", 'g["bz"] += dz.sum(axis=0)', 'g["bz"] += dz.mean(axis=0)', ("bias-as-mean",), "B6"),
)
