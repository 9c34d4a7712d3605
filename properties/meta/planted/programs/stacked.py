"""An LSTM layer with one matrix for all four gates, and a linear readout: plain NumPy, lists over time, a cache."""

import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(p, y):
    W, b, V, c, x = p["W"], p["b"], p["V"], p["c"], p["x"]
    T = len(x)
    H = p["h0"].shape[1]
    h, s = [p["h0"]], [p["s0"]]
    xc, g, i, f, o, a, r = [], [], [], [], [], [], []
    loss = 0
    for t in range(T):
        xc.append(np.concatenate([x[t], h[t]], axis=1))
        z = xc[t] @ W.T + b
        g.append(np.tanh(z[:, :H]))
        i.append(sigmoid(z[:, H : 2 * H]))
        f.append(sigmoid(z[:, 2 * H : 3 * H]))
        o.append(sigmoid(z[:, 3 * H :]))
        s.append(g[t] * i[t] + s[t] * f[t])
        a.append(np.tanh(s[t + 1]))
        h.append(a[t] * o[t])
        r.append(h[t + 1] @ V.T + c - y[t])
        loss = loss + (r[t] * r[t]).sum() / 2
    cache = {"p": p, "y": y, "xc": xc, "g": g, "i": i, "f": f, "o": o, "a": a, "r": r, "h": h, "s": s}
    return loss, cache


def backward(cache):
    p, xc, r, h, s = cache["p"], cache["xc"], cache["r"], cache["h"], cache["s"]
    g, i, f, o, a = cache["g"], cache["i"], cache["f"], cache["o"], cache["a"]
    W, V, x = p["W"], p["V"], p["x"]
    T, B, D = x.shape  # noqa: RUF059
    dW, db, dV, dc, dx = (np.zeros_like(p[k]) for k in ("W", "b", "V", "c", "x"))
    dh_next = np.zeros_like(p["h0"])
    ds_next = np.zeros_like(p["s0"])
    for t in reversed(range(T)):
        dr = r[t]
        dV += dr.T @ h[t + 1]
        dc += dr.sum(axis=0)
        dh = dr @ V + dh_next
        do = a[t] * dh
        ds = o[t] * (1 - a[t] ** 2) * dh + ds_next
        dg = i[t] * ds
        di = g[t] * ds
        df = s[t] * ds
        dz_g = (1 - g[t] ** 2) * dg
        dz_i = i[t] * (1 - i[t]) * di
        dz_f = f[t] * (1 - f[t]) * df
        dz_o = o[t] * (1 - o[t]) * do
        dz = np.concatenate([dz_g, dz_i, dz_f, dz_o], axis=1)
        dW += dz.T @ xc[t]
        db += dz.sum(axis=0)
        dxc = dz @ W
        dx[t] = dxc[:, :D]
        dh_next = dxc[:, D:]
        ds_next = ds * f[t]
    return {"W": dW, "b": db, "V": dV, "c": dc, "x": dx, "h0": dh_next, "s0": ds_next}
