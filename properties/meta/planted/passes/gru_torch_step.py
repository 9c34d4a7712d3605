"""One step of a GRU with the reset gate after the product, as cuDNN has it; some intermediates are named."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sg(v):
    return 1 / (1 + np.exp(-v))


class GRU:
    state = ("h",)

    def parameters(self, D, H):
        return {"Wi": (3 * H, D), "Wh": (3 * H, H), "bi": (3 * H,), "bh": (3 * H,)}

    def forward(self, p, x, prev, tap):
        h = prev["h"]
        H = h.shape[1]
        a, b = x @ p["Wi"].T + p["bi"], h @ p["Wh"].T + p["bh"]
        r, z = tap("r", sg(a[:, :H] + b[:, :H])), tap("z", sg(a[:, H : 2 * H] + b[:, H : 2 * H]))
        n = tap("n", np.tanh(a[:, 2 * H :] + r * b[:, 2 * H :]))
        return {"h": (1 - z) * n + z * h}, (x, h, r, z, n, b[:, 2 * H :])

    def backward(self, p, cache, d):
        x, h, r, z, n, hn = cache
        dh = d["h"]
        dz = dh * (h - n)
        dn = dh * (1 - z)
        da_n = dn * (1 - n**2)
        dr = da_n * hn
        da_z = dz * z * (1 - z)
        da_r = dr * r * (1 - r)
        da = np.hstack([da_r, da_z, da_n])
        db = np.hstack([da_r, da_z, da_n * r])
        dprev = dh * z + db @ p["Wh"]
        dp = {"Wi": da.T @ x, "Wh": db.T @ h, "bi": da.sum(0), "bh": db.sum(0)}
        return dp, da @ p["Wi"], {"h": dprev}, {"r": dr, "z": dz, "n": dn}


def subject(rng):
    return Subject.from_cell(GRU, T=4, B=2, D=3, H=4, rng=rng)


MISTAKES = (
    Mistake(
        "the direct path of h forgotten",
        'dprev = dh * z + db @ p["Wh"]',
        'dprev = db @ p["Wh"]',
        ("gru-carry-without-state",),
        "G8",
    ),
    Mistake("reset gate missing in db", "da_n * r])", "da_n])", ("gru-inner-reset-forgotten",), "G7"),
    Mistake("sign of dz", "dz = dh * (h - n)", "dz = dh * (n - h)", ("gru-update-sign",), "G5"),
    Mistake("slope of n at its derivative's place twice", "dr = da_n * hn", "dr = da_n * (1 - n**2) * hn", ("line",)),
)
