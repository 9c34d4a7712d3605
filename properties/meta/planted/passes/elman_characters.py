"""A plain recurrent network over characters: one-hot columns, softmax on an output layer; inputs in a closure."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def make(inputs, targets, size):
    def loss(p):
        return run(p)[0]

    def run(p):
        xs, hs, ps, value = {}, {-1: p["hprev"]}, {}, 0.0
        for t in range(len(inputs)):
            xs[t] = np.zeros((size, 1))
            xs[t][inputs[t]] = 1
            hs[t] = np.tanh(p["Wxh"] @ xs[t] + p["Whh"] @ hs[t - 1] + p["bh"])
            ys = p["Why"] @ hs[t] + p["by"]
            ps[t] = np.exp(ys) / np.sum(np.exp(ys))
            value = value - np.log(ps[t][targets[t], 0])
        return value, xs, hs, ps

    def gradient(p):
        _, xs, hs, ps = run(p)
        d = {k: np.zeros_like(v) for k, v in p.items()}
        dhnext = np.zeros_like(hs[0])
        for t in reversed(range(len(inputs))):
            dy = np.copy(ps[t])
            dy[targets[t]] -= 1
            d["Why"] += np.dot(dy, hs[t].T)
            d["by"] += dy
            dh = np.dot(p["Why"].T, dy) + dhnext
            dhraw = (1 - hs[t] * hs[t]) * dh
            d["bh"] += dhraw
            d["Wxh"] += np.dot(dhraw, xs[t].T)
            d["Whh"] += np.dot(dhraw, hs[t - 1].T)
            dhnext = np.dot(p["Whh"].T, dhraw)
        d["hprev"] = dhnext
        return d

    return loss, gradient


def subject(rng):
    size, H = 4, 3
    draw = np.random.default_rng(rng)
    inputs, targets = draw.integers(size, size=6), draw.integers(size, size=6)
    shapes = {"Wxh": (H, size), "Whh": (H, H), "Why": (size, H), "bh": (H, 1), "by": (size, 1), "hprev": (H, 1)}
    loss, gradient = make(inputs, targets, size)
    point = {k: draw.normal(size=s) for k, s in shapes.items()}
    return Subject.from_functions(loss, gradient, point, name="characters")


MISTAKES = (
    Mistake(
        "clipped inside",
        'd["hprev"] = dhnext',
        'd["hprev"] = dhnext; d = {k: np.clip(v, -0.3, 0.3) for k, v in d.items()}',
        ("clipped",),
    ),
    Mistake("slope at z", "(1 - hs[t] * hs[t])", "(1 - np.tanh(hs[t]) ** 2)", ("simple-slope-of-tanh-twice",), "E3"),
    Mistake("not transposed", 'np.dot(p["Whh"].T, dhraw)', 'np.dot(p["Whh"], dhraw)', ("back-transposed",), "B7"),
    Mistake("carry dropped", ".T, dy) + dhnext", ".T, dy)", ("dh-carry-dropped",), "B1"),
    Mistake(
        "divided by the number of steps",
        'd["hprev"] = dhnext',
        'd["hprev"] = dhnext; d = {k: v / len(inputs) for k, v in d.items()}',
        ("output-derivative-over-time",),
        "B10",
    ),
    Mistake("descent", "return d\n", "return {k: -v for k, v in d.items()}\n", ("output-derivative-sign",), "B10"),
    Mistake("rubbish to start with", "np.zeros_like(v) for", "np.full_like(v, 0.5) for", ("offset",)),
)
