"""One step at a time, the caller unrolls: a cell with names of its own, which hands out what it computed on the way."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


class Step:
    state = ("y", "c")

    def parameters(self, D, H):
        return {"Wx": (D, 4 * H), "Wy": (H, 4 * H), "bias": (4 * H,)}

    def forward(self, p, x, prev, tap):
        net = x @ p["Wx"] + prev["y"] @ p["Wy"] + p["bias"]
        a, b, w, u = np.split(net, 4, axis=1)
        keep = tap("keep", 1 / (1 + np.exp(-a)))
        write = tap("write", 1 / (1 + np.exp(-b)))
        read = tap("read", 1 / (1 + np.exp(-w)))
        new = tap("new", np.tanh(u))
        c = keep * prev["c"] + write * new
        return {"y": read * np.tanh(c), "c": c}, (x, prev, keep, write, read, new, c)

    def backward(self, p, cache, d):
        x, prev, keep, write, read, new, c = cache
        d_read = np.tanh(c) * d["y"]
        d_c = d["c"] + read * (1 - np.tanh(c) ** 2) * d["y"]
        d_keep = prev["c"] * d_c
        d_write = new * d_c
        d_new = write * d_c
        parts = [keep * (1 - keep) * d_keep, write * (1 - write) * d_write, read * (1 - read) * d_read]
        parts.append((1 - new**2) * d_new)
        net = np.hstack(parts)
        weights = {"Wx": x.T @ net, "Wy": prev["y"].T @ net, "bias": net.sum(axis=0)}
        taps = {"keep": d_keep, "write": d_write, "read": d_read, "new": d_new}
        return weights, net @ p["Wx"].T, {"y": net @ p["Wy"].T, "c": keep * d_c}, taps


def subject(rng):
    return Subject.from_cell(Step, T=3, B=2, D=3, H=2, rng=rng)


MISTAKES = (
    Mistake("new for write", "d_write = new * d_c", "d_write = write * d_c", ("di-from-i",), "B3", "dwrite"),
    Mistake("c for the previous c", 'd_keep = prev["c"] * d_c', "d_keep = c * d_c", ("df-from-s.",), "B3", "dkeep"),
    Mistake("nothing handed back", '"c": keep * d_c}', '"c": 0 * d_c}', ("ds-next-dropped",), "B8", 'dprev["c"]'),
    Mistake("carry not taken", 'd_c = d["c"] + read', "d_c = read", ("ds-carry-dropped",), "B2"),
    Mistake("a slope for all", "(1 - new**2) * d_new", "new * (1 - new) * d_new", ("candidate-slope-logistic",), "B4"),
    Mistake("x for y", 'prev["y"].T @ net', '(keep * prev["y"]).T @ net', (), "", "dWy"),
    Mistake(
        "two mistakes",
        "d_new = write * d_c",
        "d_new = new * d_c; d_read = c * d_read / np.tanh(c)",
        ("dg-from-g", "do-from-s"),
        "B3",
    ),
)
