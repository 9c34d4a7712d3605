"""One sequence, column vectors, a dict a step, and a loss over y = V h + c, softmax: the LSTM of many a blog.

Of the cell nothing shows but the loss behind an output layer, and its targets are made while it is computed."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigmoid(u):
    return 1.0 / (1.0 + np.exp(-u))


def lossfun(p):
    xs, labels = p["xs"], np.arange(p["xs"].shape[0]) % p["V"].shape[0]
    hprev, cprev = p["h_init"], p["c_init"]
    tape, loss = [], 0.0
    for t in range(len(xs)):
        z = np.vstack([hprev, xs[t]])
        ff = sigmoid(p["Wf"] @ z + p["bf"])
        ii = sigmoid(p["Wi"] @ z + p["bi"])
        cc = np.tanh(p["Wc"] @ z + p["bc"])
        oo = sigmoid(p["Wo"] @ z + p["bo"])
        c = ff * cprev + ii * cc
        h = oo * np.tanh(c)
        y = p["V"] @ h + p["c"]
        e = np.exp(y)
        prob = e / e.sum()
        loss = loss - np.log(prob[labels[t], 0])
        tape.append({"z": z, "f": ff, "i": ii, "g": cc, "o": oo, "c": c, "cprev": cprev, "h": h, "prob": prob})
        hprev, cprev = h, c
    grads = {name: np.zeros_like(w) for name, w in p.items()}
    dhnext, dcnext = np.zeros_like(hprev), np.zeros_like(cprev)
    n = len(hprev)
    for t in reversed(range(len(xs))):
        s = tape[t]
        dy = s["prob"].copy()
        dy[labels[t]] -= 1
        grads["V"] += dy @ s["h"].T
        grads["c"] += dy
        dh = p["V"].T @ dy + dhnext
        do = dh * np.tanh(s["c"]) * s["o"] * (1 - s["o"])
        dc = dcnext + dh * s["o"] * (1 - np.tanh(s["c"]) ** 2)
        dg = dc * s["i"] * (1 - s["g"] ** 2)
        di = dc * s["g"] * s["i"] * (1 - s["i"])
        df = dc * s["cprev"] * s["f"] * (1 - s["f"])
        for name, d in (("f", df), ("i", di), ("c", dg), ("o", do)):
            grads["W" + name] += d @ s["z"].T
            grads["b" + name] += d
        dz = p["Wf"].T @ df + p["Wi"].T @ di + p["Wc"].T @ dg + p["Wo"].T @ do
        dhnext = dz[:n]
        grads["xs"][t] = dz[n:]
        dcnext = s["f"] * dc
    grads["h_init"] = dhnext
    grads["c_init"] = dcnext
    return loss, grads


def subject(rng):
    T, d, n, k = 5, 3, 4, 3
    draw = np.random.default_rng(rng).normal
    shapes = {f"W{g}": (n, n + d) for g in "fico"} | {f"b{g}": (n, 1) for g in "fico"}
    shapes |= {"V": (k, n), "c": (k, 1), "xs": (T, d, 1), "h_init": (n, 1), "c_init": (n, 1)}
    return Subject.from_value_and_gradient(lossfun, {name: draw(size=s) for name, s in shapes.items()}, name="columns")


MISTAKES = (
    Mistake("no carry of the memory", "dc = dcnext + dh *", "dc = dh *", ("ds-carry-dropped",), "B2"),
    Mistake("no carry of the output", ".T @ dy + dhnext", ".T @ dy", ("dh-carry-dropped",), "B1"),
    Mistake("c(t) for c(t-1)", 'df = dc * s["cprev"]', 'df = dc * s["c"]', ("df-from-s",), "B3"),
    Mistake(
        "slope at tanh twice",
        '(1 - np.tanh(s["c"]) ** 2)',
        '(1 - np.tanh(np.tanh(s["c"])) ** 2)',
        ("ds-slope-of-tanh-twice",),
        "B2",
    ),
    Mistake("output layer assigned", 'grads["V"] += dy', 'grads["V"] = dy', ("sum-over-time-assigned",), "B11"),
    Mistake("a gate left out", ' + p["Wi"].T @ di', "", ("back-without-i",), "B7"),
    Mistake("dh clipped inside", "dhnext = dz[:n]", "dhnext = np.clip(dz[:n], -0.05, 0.05)", (), ""),
)
