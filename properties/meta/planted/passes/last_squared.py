"""An LSTM whose last state goes through a linear layer into a squared error over the batch, with a ½ in front."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

T, B, D, H, O = 8, 3, 4, 5, 2
r = np.random.default_rng(1)
data = r.normal(size=(B, T, D))
label = r.normal(size=(B, O))


def sig(a):
    return 1 / (1 + np.exp(-a))


p0 = {f"{m}{k}": r.normal(size=s) * 0.4 for k in "ifog" for m, s in (("Wx", (D, H)), ("Wh", (H, H)), ("b", (H,)))}
p0 |= {"V": r.normal(size=(H, O)), "c": r.normal(size=O)}


def run(p):
    h = np.zeros((B, H))
    c = np.zeros((B, H))
    tape = []
    for t in range(T):
        x = data[:, t]
        a = {k: x @ p["Wx" + k] + h @ p["Wh" + k] + p["b" + k] for k in "ifog"}
        i, f, o, g = sig(a["i"]), sig(a["f"]), sig(a["o"]), np.tanh(a["g"])
        cn = f * c + i * g
        hn = o * np.tanh(cn)
        tape.append((x, h, c, i, f, o, g, cn))
        h, c = hn, cn
    out = h @ p["V"] + p["c"]
    return out, h, tape


def loss(p):
    out, _, _ = run(p)
    return ((out - label) ** 2).sum() / (2 * B)


def grad(p):
    out, h, tape = run(p)
    d = {k: np.zeros_like(v) for k, v in p.items()}
    dout = (out - label) / B
    d["V"] = h.T @ dout
    d["c"] = dout.sum(0)
    dh = dout @ p["V"].T
    dc = np.zeros((B, H))
    for x, hp, cp, i, f, o, g, cn in reversed(tape):
        dc = dc + dh * o * (1 - np.tanh(cn) ** 2)
        da = {
            "o": dh * np.tanh(cn) * o * (1 - o),
            "i": dc * g * i * (1 - i),
            "f": dc * cp * f * (1 - f),
            "g": dc * i * (1 - g**2),
        }
        for k in "ifog":
            d["Wx" + k] += x.T @ da[k]
            d["Wh" + k] += hp.T @ da[k]
            d["b" + k] += da[k].sum(0)
        dh = sum(da[k] @ p["Wh" + k].T for k in "ifog")
        dc = dc * f
    return d


def subject(rng):
    return Subject.from_functions(loss, grad, p0)


MISTAKES = (
    Mistake(
        "factor 2", "dout = (out - label) / B", "dout = 2 * (out - label) / B", ("output-derivative-doubled",), "B10"
    ),
    Mistake(
        "mean forgotten", "dout = (out - label) / B", "dout = out - label", ("output-derivative-without-scale",), "B10"
    ),
    Mistake(
        "fed every step",
        'dh = sum(da[k] @ p["Wh" + k].T for k in "ifog")',
        'dh = dout @ p["V"].T + sum(da[k] @ p["Wh" + k].T for k in "ifog")',
        ("dh-last-loss-everywhere",),
        "B1",
    ),
)
