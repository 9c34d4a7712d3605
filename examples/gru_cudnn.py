"""The GRU as libraries compute it: the reset gate acts after the product with U, which so has a bias of its own, c_n.

    r = σ(x W_r + h U_r + b_r),   z = σ(x W_z + h U_z + b_z)
    n = tanh(x W_n + b_n + r ⊙ (h U_n + c_n)),   h' = (1 - z) ⊙ n + z ⊙ h

Three gates in one matrix, as real code has it. Form: ``Subject.from_forward_backward``; the loss is logistic, at the
last step only.
"""

import numpy as np

from bptt_check import Subject


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def forward(p):
    """Returns the loss of the last h, all labels being 1, and the steps."""
    h, steps = p["h0"], []
    for x in p["x"]:
        from_x = x @ p["W"] + p["b"]  # (B, 3H), in the order r, z, n
        from_h = h @ p["U"] + p["c"]
        (xr, xz, xn), (hr, hz, hn) = np.split(from_x, 3, axis=1), np.split(from_h, 3, axis=1)
        r, z = sigmoid(xr + hr), sigmoid(xz + hz)
        n = np.tanh(xn + r * hn)
        steps.append((x, h, r, z, n, hn))
        h = (1 - z) * n + z * h
    return np.log(1 + np.exp(-h)).sum(), (p, steps, h)


def backward(cache):
    p, steps, h_last = cache
    d = {name: np.zeros_like(array) for name, array in p.items()}
    dh = -sigmoid(-h_last)
    for t in reversed(range(len(steps))):
        x, h, r, z, n, hn = steps[t]
        da_n = (1 - n**2) * (1 - z) * dh
        da_z = z * (1 - z) * (h - n) * dh
        da_r = r * (1 - r) * hn * da_n
        d_from_x = np.hstack([da_r, da_z, da_n])
        d_from_h = np.hstack([da_r, da_z, r * da_n])
        d["W"] += x.T @ d_from_x
        d["U"] += h.T @ d_from_h
        d["b"] += d_from_x.sum(axis=0)
        d["c"] += d_from_h.sum(axis=0)
        d["x"][t] = d_from_x @ p["W"].T
        dh = z * dh + d_from_h @ p["U"].T
    d["h0"] = dh
    return d


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"x": (T, B, D), "W": (D, 3 * H), "U": (H, 3 * H), "b": (3 * H,), "c": (3 * H,), "h0": (B, H)}
    point = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    return Subject.from_forward_backward(forward, backward, point, name="GRU, reset after")
