"""Elman's recurrent network, a layer without a loss: a forward pass, and a backward pass that takes dL/dy.

    h(t) = tanh(x(t) W_xh + h(t-1) W_hh + b),   y(t) = h(t)

Form: ``Subject.from_vjp``. The harness brings losses that touch every output.
"""

import numpy as np

from bptt_check import Subject


def forward(p):
    """p["x"] is (T, B, D); returns all h, (T, B, H), and what the backward pass needs."""
    h, hs = p["h0"], []
    for x in p["x"]:
        h = np.tanh(x @ p["W_xh"] + h @ p["W_hh"] + p["b"])
        hs.append(h)
    return np.stack(hs), (p, hs)


def backward(cache, dy):
    p, hs = cache
    d = {name: np.zeros_like(array) for name, array in p.items()}
    dh_next = np.zeros_like(p["h0"])
    for t in reversed(range(len(hs))):
        h_prev = hs[t - 1] if t > 0 else p["h0"]
        dh = dy[t] + dh_next
        dz = (1 - hs[t] ** 2) * dh
        d["W_xh"] += p["x"][t].T @ dz
        d["W_hh"] += h_prev.T @ dz
        d["b"] += dz.sum(axis=0)
        d["x"][t] = dz @ p["W_xh"].T
        dh_next = dz @ p["W_hh"].T
    d["h0"] = dh_next
    return d


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"x": (T, B, D), "W_xh": (D, H), "W_hh": (H, H), "b": (H,), "h0": (B, H)}
    point = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return Subject.from_vjp(forward, backward, point, name="Elman")
