"""The common LSTM, as two functions of a dict: a loss, and its gradient by hand.

    i, f, o = σ(…),   g = tanh(…),   s' = g ⊙ i + s ⊙ f,   h' = tanh(s') ⊙ o

Form: ``Subject.from_functions``. Squared error against p["y"], at every step.
"""

import numpy as np

from bptt_check import Subject


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def run(p):
    h, s = [p["h0"]], [p["s0"]]
    gates = [None]  # step t is entry t; entry 0 is what comes before the first step
    for x in p["x"]:
        z = x @ p["W"] + h[-1] @ p["U"] + p["b"]
        i, f, o, g = np.split(z, 4, axis=1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        s.append(g * i + s[-1] * f)
        h.append(np.tanh(s[-1]) * o)
        gates.append((i, f, o, g))
    return h, s, gates


def loss(p):
    h, _, _ = run(p)
    return ((np.stack(h[1:]) - p["y"]) ** 2).sum() / 2


def gradient(p):
    h, s, gates = run(p)
    d = {name: np.zeros_like(array) for name, array in p.items()}
    dh_next, ds_next = np.zeros_like(h[0]), np.zeros_like(s[0])
    for t in range(len(p["x"]), 0, -1):
        i, f, o, g = gates[t]
        error = h[t] - p["y"][t - 1]
        dh = error + dh_next
        ds = o * (1 - np.tanh(s[t]) ** 2) * dh + ds_next
        di, df, do, dg = g * ds, s[t - 1] * ds, np.tanh(s[t]) * dh, i * ds
        dz = np.hstack([i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do, (1 - g**2) * dg])
        d["W"] += p["x"][t - 1].T @ dz
        d["U"] += h[t - 1].T @ dz
        d["b"] += dz.sum(axis=0)
        d["x"][t - 1] = dz @ p["W"].T
        d["y"][t - 1] = -error
        dh_next, ds_next = dz @ p["U"].T, ds * f
    d["h0"], d["s0"] = dh_next, ds_next
    return d


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"x": (T, B, D), "y": (T, B, H), "W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,)}
    shapes |= {"h0": (B, H), "s0": (B, H)}
    point = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return Subject.from_functions(loss, gradient, point, name="LSTM", loss_of="euclidean", targets="y")
