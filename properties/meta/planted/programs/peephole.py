"""One step of an LSTM with peepholes, and its backward: the harness unrolls it."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Cell:
    state = ("h", "s")

    def parameters(self, D, H):
        shapes = {"pi": (H,), "pf": (H,), "po": (H,)}
        for k in "gifo":
            shapes |= {f"W{k}": (H, D + H), f"b{k}": (H,)}
        return shapes

    def forward(self, p, x, prev, tap):
        h_prev, s_prev = prev["h"], prev["s"]
        xc = np.concatenate([x, h_prev], axis=1)
        g = np.tanh(tap("zg", xc @ p["Wg"].T + p["bg"]))
        i = sigmoid(tap("zi", xc @ p["Wi"].T + p["pi"] * s_prev + p["bi"]))
        f = sigmoid(tap("zf", xc @ p["Wf"].T + p["pf"] * s_prev + p["bf"]))
        s = g * i + s_prev * f
        o = sigmoid(tap("zo", xc @ p["Wo"].T + p["po"] * s + p["bo"]))
        h = np.tanh(s) * o
        return {"h": h, "s": s}, (xc, s_prev, g, i, f, s, o)

    def backward(self, p, cache, d):
        xc, s_prev, g, i, f, s, o = cache
        D = xc.shape[1] - s.shape[1]
        a = np.tanh(s)
        dh = d["h"]
        dzo = o * (1 - o) * a * dh
        ds = d["s"] + (1 - a * a) * o * dh + p["po"] * dzo
        dzf = f * (1 - f) * s_prev * ds
        dzi = i * (1 - i) * g * ds
        dzg = (1 - g * g) * i * ds
        dxc = dzg @ p["Wg"] + dzi @ p["Wi"] + dzf @ p["Wf"] + dzo @ p["Wo"]
        ds_prev = f * ds + p["pi"] * dzi + p["pf"] * dzf
        dp = {
            "Wg": dzg.T @ xc, "Wi": dzi.T @ xc, "Wf": dzf.T @ xc, "Wo": dzo.T @ xc,
            "bg": dzg.sum(axis=0), "bi": dzi.sum(axis=0), "bf": dzf.sum(axis=0), "bo": dzo.sum(axis=0),
            "pi": (dzi * s_prev).sum(axis=0), "pf": (dzf * s_prev).sum(axis=0), "po": (dzo * s).sum(axis=0),
        }  # fmt: skip
        taps = {"zg": dzg, "zi": dzi, "zf": dzf, "zo": dzo}
        return dp, dxc[:, :D], {"h": dxc[:, D:], "s": ds_prev}, taps
