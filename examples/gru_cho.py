"""The GRU as it was first published (Cho et al. 2014): the reset gate acts before the product with U.

    r = σ(x W_r + h U_r + b_r),   z = σ(x W_z + h U_z + b_z)
    n = tanh(x W_n + (r ⊙ h) U_n + b_n),   h' = z ⊙ h + (1 - z) ⊙ n

Form: a cell for ``Subject.from_cell``; one step and its backward. The harness unrolls it, and measures the derivative
of every intermediate that is named with ``tap``.
"""

import numpy as np

from bptt_check import Subject


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class GRU:
    state = ("h",)

    def parameters(self, D, H):
        shapes = {}
        for k in "rzn":
            shapes |= {f"W_{k}": (D, H), f"U_{k}": (H, H), f"b_{k}": (H,)}
        return shapes

    def forward(self, p, x, prev, tap):
        h = prev["h"]
        r = tap("r", sigmoid(x @ p["W_r"] + h @ p["U_r"] + p["b_r"]))
        z = tap("z", sigmoid(x @ p["W_z"] + h @ p["U_z"] + p["b_z"]))
        n = tap("n", np.tanh(x @ p["W_n"] + (r * h) @ p["U_n"] + p["b_n"]))
        return {"h": z * h + (1 - z) * n}, (x, h, r, z, n)

    def backward(self, p, cache, d):
        x, h, r, z, n = cache
        dh = d["h"]
        dz = (h - n) * dh
        dn = (1 - z) * dh
        da_n = (1 - n**2) * dn
        drh = da_n @ p["U_n"].T  # of the product r ⊙ h
        dr = h * drh
        da_r = r * (1 - r) * dr
        da_z = z * (1 - z) * dz
        dp = {"U_r": h.T @ da_r, "U_z": h.T @ da_z, "U_n": (r * h).T @ da_n}
        for k, da in (("r", da_r), ("z", da_z), ("n", da_n)):
            dp |= {f"W_{k}": x.T @ da, f"b_{k}": da.sum(axis=0)}
        dx = da_r @ p["W_r"].T + da_z @ p["W_z"].T + da_n @ p["W_n"].T
        dh_prev = z * dh + r * drh + da_r @ p["U_r"].T + da_z @ p["U_z"].T
        return dp, dx, {"h": dh_prev}, {"r": dr, "z": dz, "n": dn}


def subject(T=5, B=3, D=4, H=2, rng=0):
    return Subject.from_cell(GRU, T=T, B=B, D=D, H=H, rng=rng, name="GRU, reset before")
