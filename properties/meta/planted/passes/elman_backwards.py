"""An Elman network with negative indices from the end, forward and backward pass with a cache between."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

SEQUENCE = np.random.default_rng(3).normal(size=(6, 3))
LABELS = np.array([1, 0, 2, 2, 1, 0])


def forward(p):
    hs = [np.zeros(p["b"].shape)]
    probabilities, loss = [], 0
    for x, label in zip(SEQUENCE, LABELS, strict=True):
        hs.append(np.tanh(p["W"] @ x + p["U"] @ hs[-1] + p["b"]))
        scores = p["V"] @ hs[-1] + p["c"]
        e = np.exp(scores - scores.max())
        probabilities.append(e / e.sum())
        loss = loss - np.log(probabilities[-1][label])
    return loss, (p, hs, probabilities)


def backward(cache):
    p, hs, probabilities = cache
    d = {k: np.zeros_like(v) for k, v in p.items()}
    carry = np.zeros_like(hs[0])
    for n in range(1, len(SEQUENCE) + 1):
        dscores = probabilities[-n].copy()
        dscores[LABELS[-n]] -= 1
        d["V"] += np.outer(dscores, hs[-n])
        d["c"] += dscores
        da = (p["V"].T @ dscores + carry) * (1 - hs[-n] ** 2)
        d["W"] += np.outer(da, SEQUENCE[-n])
        d["U"] += np.outer(da, hs[-n - 1])
        d["b"] += da
        carry = p["U"].T @ da
    return d


def subject(rng):
    rng = np.random.default_rng(rng)
    point = {
        "W": rng.normal(size=(4, 3)),
        "U": rng.normal(size=(4, 4)) / 2,
        "b": rng.normal(size=4),
        "V": rng.normal(size=(3, 4)),
        "c": rng.normal(size=3),
    }
    return Subject.from_forward_backward(forward, backward, point)


MISTAKES = (
    Mistake("h of the step itself", "np.outer(da, hs[-n - 1])", "np.outer(da, hs[-n])", ("state-of-this-step",), "B5"),
    Mistake(
        "mean over time",
        "return d\n",
        "return {k: v / len(SEQUENCE) for k, v in d.items()}\n",
        ("output-derivative-over-time",),
        "B10",
    ),
    Mistake("V assigned", 'd["V"] += np', 'd["V"] = np', ("sum-over-time-assigned",), "B11"),
    Mistake("starts with ones", "carry = np.zeros_like(hs[0])", "carry = np.ones_like(hs[0])"),
    Mistake("clipped at the end", "return d\n", "return {k: np.clip(v, -1, 1) for k, v in d.items()}\n", ("clipped",)),
)
