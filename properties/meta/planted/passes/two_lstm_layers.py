"""Two LSTM layers that share one step, characters in a closure, the mean of the cross-entropy over time."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

T, V, H = 20, 12, 16
r = np.random.default_rng(2)
ids = r.integers(V, size=T)
nxt = r.integers(V, size=T)


def sg(a):
    return 1 / (1 + np.exp(-a))


p0 = {
    "W1": r.normal(size=(4 * H, V + H)) * 0.3,
    "b1": r.normal(size=4 * H) * 0.3,
    "W2": r.normal(size=(4 * H, 2 * H)) * 0.3,
    "b2": r.normal(size=4 * H) * 0.3,
    "Wy": r.normal(size=(V, H)) * 0.5,
    "by": r.normal(size=V) * 0.3,
}


def step(W, b, x, h, c):
    z = np.concatenate([x, h])
    a = W @ z + b
    i, f, o, g = sg(a[:H]), sg(a[H : 2 * H]), sg(a[2 * H : 3 * H]), np.tanh(a[3 * H :])
    cn = f * c + i * g
    tc = np.tanh(cn)
    return o * tc, cn, (z, c, i, f, o, g, tc)


def fwd(p):
    h1 = c1 = h2 = c2 = np.zeros(H)
    L = 0
    tape = []
    for t in range(T):
        x = np.eye(V)[ids[t]]
        h1, c1, k1 = step(p["W1"], p["b1"], x, h1, c1)
        h2, c2, k2 = step(p["W2"], p["b2"], h1, h2, c2)
        y = p["Wy"] @ h2 + p["by"]
        y = y - y.real.max()
        q = np.exp(y) / np.exp(y).sum()
        L = L - np.log(q[nxt[t]]) / T
        tape.append((k1, k2, h2, q))
    return L, (p, tape)


def back(W, k, dh, dc):
    z, cp, i, f, o, g, tc = k
    dc = dc + dh * o * (1 - tc**2)
    da = np.concatenate([dc * g * i * (1 - i), dc * cp * f * (1 - f), dh * tc * o * (1 - o), dc * i * (1 - g**2)])
    dz = W.T @ da
    return np.outer(da, z), da, dz, dc * f


def bwd(cache):
    p, tape = cache
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dh1 = dc1 = dh2 = dc2 = np.zeros(H)
    for t in range(T - 1, -1, -1):
        k1, k2, h2, q = tape[t]
        dy = q.copy()
        dy[nxt[t]] -= 1
        dy = dy / T
        d["Wy"] += np.outer(dy, h2)
        d["by"] += dy
        dW2, db2, dz2, dc2 = back(p["W2"], k2, p["Wy"].T @ dy + dh2, dc2)
        dh2 = dz2[H:]
        dW1, db1, dz1, dc1 = back(p["W1"], k1, dz2[:H] + dh1, dc1)
        dh1 = dz1[V:]
        d["W1"] += dW1
        d["b1"] += db1
        d["W2"] += dW2
        d["b2"] += db2
    return d


def subject(rng):
    return Subject.from_forward_backward(fwd, bwd, p0)


MISTAKES = (
    Mistake("dx between layers forgotten", "dz2[:H] + dh1", "dh1", ("layer-path-forgotten",), "N1"),
    Mistake("upper df", "dc * cp * f * (1 - f)", "dc * cp * (1 - f)", ("slope-half",), "B4"),
    Mistake("lower carry", "dh1 = dz1[V:]", "pass", ("dh-carry-dropped",), "B1"),
    Mistake("recurrent and input swapped", "dz2[:H] + dh1", "dz2[H:] + dh1", ("layer-path-of-carry",), "N1"),
)
