"""An LSTM with a matrix and a row for each gate, arrays over time with a slot 0, softmax and cross entropy on top."""

import numpy as np


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def forward(p, y):
    x = p["x"]
    T, B, D = x.shape  # noqa: RUF059
    H = p["h0"].shape[1]
    shape = (T + 1, B, H)
    g, i, f, o, s, h = (np.zeros(shape, dtype=x.dtype) for _ in range(6))
    h[0], s[0] = p["h0"], p["s0"]
    probabilities, loss = [], 0.0
    for t in range(1, T + 1):
        g[t] = np.tanh(x[t - 1] @ p["Wg"] + h[t - 1] @ p["Ug"] + p["bg"])
        i[t] = sigmoid(x[t - 1] @ p["Wi"] + h[t - 1] @ p["Ui"] + p["bi"])
        f[t] = sigmoid(x[t - 1] @ p["Wf"] + h[t - 1] @ p["Uf"] + p["bf"])
        o[t] = sigmoid(x[t - 1] @ p["Wo"] + h[t - 1] @ p["Uo"] + p["bo"])
        s[t] = g[t] * i[t] + s[t - 1] * f[t]
        h[t] = o[t] * np.tanh(s[t])
        scores = h[t] @ p["Wy"] + p["by"]
        e = np.exp(scores - scores.max(axis=1, keepdims=True))
        q = e / e.sum(axis=1, keepdims=True)
        loss = loss - np.log(q[np.arange(B), y[t - 1]]).sum()
        probabilities.append(q)
    return loss, {"p": p, "y": y, "g": g, "i": i, "f": f, "o": o, "s": s, "h": h, "probabilities": probabilities}


def backward(cache):
    p, y, g, i, f, o, s, h = (cache[k] for k in ("p", "y", "g", "i", "f", "o", "s", "h"))
    x = p["x"]
    T, B, D = x.shape  # noqa: RUF059
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh_next, ds_next = np.zeros_like(h[0]), np.zeros_like(s[0])
    for t in range(T, 0, -1):
        dscores = cache["probabilities"][t - 1].copy()
        dscores[np.arange(B), y[t - 1]] -= 1
        d["Wy"] += h[t].T @ dscores
        d["by"] += dscores.sum(axis=0)
        dh = dscores @ p["Wy"].T + dh_next
        tanh_s = np.tanh(s[t])
        do = tanh_s * dh
        ds = o[t] * (1 - tanh_s**2) * dh + ds_next
        dg, di, df = i[t] * ds, g[t] * ds, s[t - 1] * ds
        dzg = (1 - g[t] * g[t]) * dg
        dzi = i[t] * (1 - i[t]) * di
        dzf = f[t] * (1 - f[t]) * df
        dzo = o[t] * (1 - o[t]) * do
        dh_next = np.zeros_like(dh)
        for k, dz in (("g", dzg), ("i", dzi), ("f", dzf), ("o", dzo)):
            d["W" + k] += x[t - 1].T @ dz
            d["U" + k] += h[t - 1].T @ dz
            d["b" + k] += dz.sum(axis=0)
            d["x"][t - 1] += dz @ p["W" + k].T
            dh_next += dz @ p["U" + k].T
        ds_next = f[t] * ds
    d["h0"], d["s0"] = dh_next, ds_next
    return d
