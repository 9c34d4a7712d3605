"""Words through an embedding matrix; the words stand outside the parameters, and so does the initial state."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake

WORDS = np.array([[3, 0, 2, 3, 1], [1, 4, 2, 3, 2]])  # (N, T)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def forward(params):
    E, W, U, b = params["embedding"], params["W"], params["U"], params["b"]
    N, T = WORDS.shape
    H = U.shape[0]
    h, c = np.zeros((N, H)), np.zeros((N, H))
    hs, tape = [], []
    for t in range(T):
        x = E[WORDS[:, t]]
        a = x @ W + h @ U + b
        i, f, c_bar, o = np.split(a, 4, axis=1)
        i, f, o, c_bar = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(c_bar)
        c_new = i * c_bar + f * c
        h_new = o * np.tanh(c_new)
        tape.append((x, h, c, i, f, c_bar, o, c_new))
        h, c = h_new, c_new
        hs.append(h)
    return np.stack(hs, axis=1), (tape, params)


def backward(cache, dhs):
    tape, params = cache
    grads = {k: np.zeros_like(v) for k, v in params.items()}
    dh, dc = np.zeros_like(tape[0][1]), np.zeros_like(tape[0][2])
    for t in reversed(range(len(tape))):
        x, h_prev, c_prev, i, f, c_bar, o, c_new = tape[t]
        dh = dh + dhs[:, t]
        tanh_c = np.tanh(c_new)
        dc = dc + dh * o * (1 - tanh_c**2)
        da = np.concatenate(
            [dc * c_bar * i * (1 - i), dc * c_prev * f * (1 - f), dc * i * (1 - c_bar**2), dh * tanh_c * o * (1 - o)],
            axis=1,
        )
        grads["W"] += x.T @ da
        grads["U"] += h_prev.T @ da
        grads["b"] += da.sum(0)
        np.add.at(grads["embedding"], WORDS[:, t], da @ params["W"].T)
        dh = da @ params["U"].T
        dc = dc * f
    return grads


def subject(rng):
    rng = np.random.default_rng(rng)
    D, H = 3, 4
    point = {
        "embedding": rng.normal(size=(5, D)),
        "W": rng.normal(size=(D, 4 * H)) / 2,
        "U": rng.normal(size=(H, 4 * H)) / 2,
        "b": rng.normal(size=4 * H),
    }
    return Subject.from_vjp(forward, backward, point)


MISTAKES = (
    Mistake(
        "words that occur twice",
        'np.add.at(grads["embedding"], WORDS[:, t], da @ params["W"].T)',
        'grads["embedding"][WORDS[:, t]] += da @ params["W"].T',
    ),
    Mistake(
        "the last occurrence of a word alone",
        'np.add.at(grads["embedding"], WORDS[:, t], da @ params["W"].T)',
        'grads["embedding"][WORDS[:, t]] = da @ params["W"].T',
    ),
    Mistake("the new memory in df", "dc * c_prev * f", "dc * c_new * f", ("df-from-s.df",), "B3"),
    Mistake(
        "slope of the candidate forgotten",
        "dc * i * (1 - c_bar**2)",
        "dc * i",
        ("candidate-slope-forgotten.dz_g",),
        "B4",
    ),
)
