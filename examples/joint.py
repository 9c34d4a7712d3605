"""One function that returns loss and gradient together: an Elman network that labels a sequence by its last state.

Softmax cross-entropy, averaged over the batch. Form: ``Subject.from_value_and_gradient``.
"""

import numpy as np

from bptt_check import Subject

CLASSES = 3


def loss_and_gradient(p, labels):
    """p["x"] (T, B, D), labels (B,) → the mean loss, and {name: gradient} of everything in p."""
    hs = [p["h0"]]
    for x in p["x"]:
        hs.append(np.tanh(x @ p["Wx"] + hs[-1] @ p["Wh"] + p["b"]))
    scores = hs[-1] @ p["Wy"] + p["by"]
    T, B = len(p["x"]), len(labels)
    scores = scores - scores.real.max(axis=1, keepdims=True)
    share = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    loss = -np.log(share[np.arange(B), labels]).mean()

    dscores = share.copy()
    dscores[np.arange(B), labels] -= 1
    dscores /= B
    d = {"Wy": hs[-1].T @ dscores, "by": dscores.sum(axis=0)}
    d |= {name: np.zeros_like(p[name]) for name in ("Wx", "Wh", "b", "x")}
    dh = dscores @ p["Wy"].T
    for t in reversed(range(T)):
        dz = (1 - hs[t + 1] ** 2) * dh
        d["Wx"] += p["x"][t].T @ dz
        d["Wh"] += hs[t].T @ dz
        d["b"] += dz.sum(axis=0)
        d["x"][t] = dz @ p["Wx"].T
        dh = dz @ p["Wh"].T
    return loss, {**d, "h0": dh}


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"x": (T, B, D), "Wx": (D, H), "Wh": (H, H), "b": (H,), "Wy": (H, CLASSES), "by": (CLASSES,), "h0": (B, H)}
    point = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    labels = rng.integers(CLASSES, size=B)
    return Subject.from_value_and_gradient(lambda p: loss_and_gradient(p, labels), point, name="labelling")
