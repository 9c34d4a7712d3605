"""A character-level LSTM language model with a backward pass by hand, trained on the Zen of Python.

Each line of the text is a sequence; a batch holds lines of unequal length, padded, and a mask says what counts.
Character → embedding → LSTM → softmax over the next character. The first state is learned, one for all lines.

Form: ``Subject.from_forward_backward``. ``python examples/characters.py`` trains and verifies.
"""

import contextlib
import io

import numpy as np

from bptt_check import Subject, check

END = "\n"


def zen():
    """The text that ``import this`` prints, without the printing."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return "".join(this.d.get(letter, letter) for letter in this.s)


LINES = [line + END for line in zen().splitlines() if line]
ALPHABET = sorted(set("".join(LINES)))
V = len(ALPHABET)


def batch(lines):
    """(T, B) whole numbers: the characters, those that follow them, and a mask of those that count."""
    T = max(len(line) for line in lines)
    codes = np.zeros((T + 1, len(lines)), dtype=int)
    mask = np.zeros((T, len(lines)))
    for b, line in enumerate(lines):
        codes[: len(line) + 1, b] = [ALPHABET.index(letter) for letter in END + line]
        mask[: len(line), b] = 1
    return codes[:-1], codes[1:], mask


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def new_parameters(D, H, rng, size=0.3):
    shapes = {"E": (V, D), "W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,), "Wy": (H, V), "by": (V,)}
    shapes |= {"h0": (H,), "s0": (H,)}
    return {name: size * rng.normal(size=shape) for name, shape in shapes.items()}


def forward(p, codes, following, mask):
    """The mean negative log-likelihood of a character, and what the backward pass needs."""
    T, B = codes.shape
    h, s = np.tile(p["h0"], (B, 1)), np.tile(p["s0"], (B, 1))
    loss, steps = 0.0, []
    for t in range(T):
        x = p["E"][codes[t]]
        i, f, o, g = np.split(x @ p["W"] + h @ p["U"] + p["b"], 4, axis=1)
        i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
        h_prev, s_prev = h, s
        s = g * i + s_prev * f
        h = np.tanh(s) * o
        scores = h @ p["Wy"] + p["by"]
        e = np.exp(scores - scores.real.max(axis=1, keepdims=True))
        share = e / e.sum(axis=1, keepdims=True)
        loss -= (mask[t] * np.log(share[np.arange(B), following[t]])).sum()
        steps.append((x, i, f, o, g, h_prev, s_prev, s, h, share))
    return loss / mask.sum(), (p, steps, codes, following, mask)


def backward(cache):
    p, steps, codes, following, mask = cache
    T, B = codes.shape
    d = {name: np.zeros_like(array) for name, array in p.items()}
    dh_next, ds_next = 0.0, 0.0
    for t in reversed(range(T)):
        x, i, f, o, g, h_prev, s_prev, s, h, share = steps[t]
        dscores = share.copy()
        dscores[np.arange(B), following[t]] -= 1
        dscores *= mask[t][:, None] / mask.sum()
        d["Wy"] += h.T @ dscores
        d["by"] += dscores.sum(axis=0)
        dh = dscores @ p["Wy"].T + dh_next
        ds = o * (1 - np.tanh(s) ** 2) * dh + ds_next
        di, df, do, dg = g * ds, s_prev * ds, np.tanh(s) * dh, i * ds
        dz = np.hstack([i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do, (1 - g**2) * dg])
        d["W"] += x.T @ dz
        d["U"] += h_prev.T @ dz
        d["b"] += dz.sum(axis=0)
        np.add.at(d["E"], codes[t], dz @ p["W"].T)
        dh_next, ds_next = dz @ p["U"].T, ds * f
    d["h0"], d["s0"] = dh_next.sum(axis=0), ds_next.sum(axis=0)
    return d


def train(steps, D=8, H=24, rng=0, rate=0.02, lines_a_batch=6):
    """Train with Adam for some steps; returns the parameters and the loss before each step."""
    rng = np.random.default_rng(rng)
    p = new_parameters(D, H, rng)
    mean, square = ({k: np.zeros_like(a) for k, a in p.items()} for _ in range(2))
    losses = []
    for n in range(1, steps + 1):
        lines = rng.choice(LINES, lines_a_batch, replace=False)
        loss, cache = forward(p, *batch(lines))
        losses.append(loss)
        for k, gradient in backward(cache).items():
            mean[k] = 0.9 * mean[k] + 0.1 * gradient
            square[k] = 0.999 * square[k] + 0.001 * gradient**2
            p[k] = p[k] - rate * (mean[k] / (1 - 0.9**n)) / (np.sqrt(square[k] / (1 - 0.999**n)) + 1e-8)
    return p, losses


def subject_of(p, lines):
    """The model with parameters ``p`` on some lines."""
    data = batch(lines)
    return Subject.from_forward_backward(lambda q: forward(q, *data), backward, p, name="characters")


def subject(T=5, B=3, D=4, H=2, rng=0):
    """Untrained, on B pieces of the text of T characters or, in the end, fewer."""
    rng = np.random.default_rng(rng)
    lines = [rng.choice(LINES)[: T - b % T] for b in range(B)]
    return subject_of(new_parameters(D, H, rng), lines)


if __name__ == "__main__":
    p, losses = train(150)
    print(f"{V} different characters; loss before training {losses[0]:.3g}, after {losses[-1]:.3g}")
    print(check(subject_of(p, LINES[:4])))
