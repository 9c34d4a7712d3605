"""The names and the layout of torch.nn.LSTM: weight_ih_l0 (4H, D), two biases, gates i, f, g, o; output, h_n, c_n."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(p):
    h, c = p["h_0"], p["c_0"]
    outputs, ctx = [], []
    for x_t in p["input"]:
        gates = x_t @ p["weight_ih_l0"].T + p["bias_ih_l0"] + h @ p["weight_hh_l0"].T + p["bias_hh_l0"]
        i, f, g, o = np.split(gates, 4, axis=-1)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c_next = f * c + i * g
        h_next = o * np.tanh(c_next)
        ctx.append((x_t, h, c, i, f, g, o, c_next))
        h, c = h_next, c_next
        outputs.append(h)
    return {"output": np.stack(outputs), "h_n": h, "c_n": c}, (ctx, p)


def backward(cache, grad):
    ctx, p = cache
    g_h, g_c = grad["h_n"], grad["c_n"]
    out = {name: np.zeros_like(p[name]) for name in p}
    for step in range(len(ctx))[::-1]:
        x_t, h, c, i, f, g, o, c_next = ctx[step]
        g_h = g_h + grad["output"][step]
        tanh_c = np.tanh(c_next)
        g_c = g_c + g_h * o * (1 - tanh_c**2)
        chunks = (g_c * g * i * (1 - i), g_c * c * f * (1 - f), g_c * i * (1 - g**2), g_h * tanh_c * o * (1 - o))
        d = np.concatenate(chunks, axis=-1)
        out["weight_ih_l0"] += d.T @ x_t
        out["weight_hh_l0"] += d.T @ h
        out["bias_ih_l0"] += d.sum(0)
        out["bias_hh_l0"] += d.sum(0)
        out["input"][step] = d @ p["weight_ih_l0"]
        g_h = d @ p["weight_hh_l0"]
        g_c = g_c * f
    out["h_0"], out["c_0"] = g_h, g_c
    return out


def subject(rng):
    rng = np.random.default_rng(rng)
    T, B, D, H = 5, 2, 3, 4
    point = {
        "input": rng.normal(size=(T, B, D)),
        "h_0": rng.normal(size=(B, H)),
        "c_0": rng.normal(size=(B, H)),
        "weight_ih_l0": rng.normal(size=(4 * H, D)) / 2,
        "weight_hh_l0": rng.normal(size=(4 * H, H)) / 2,
        "bias_ih_l0": rng.normal(size=4 * H),
        "bias_hh_l0": rng.normal(size=4 * H),
    }
    return Subject.from_vjp(forward, backward, point)


MISTAKES = (
    Mistake(
        "c_n of the loss forgotten",
        'g_h, g_c = grad["h_n"], grad["c_n"]',
        'g_h, g_c = grad["h_n"], 0 * grad["c_n"]',
        ("ds-final-ignored.ds",),
        "B2",
    ),
    Mistake(
        "h_n forgotten",
        'g_h, g_c = grad["h_n"], grad["c_n"]',
        'g_h, g_c = 0 * grad["h_n"], grad["c_n"]',
        ("dh-final-ignored.dh",),
        "B1",
    ),
    Mistake(
        "one bias twice, the other not", 'out["bias_hh_l0"] += d.sum(0)', 'out["bias_ih_l0"] += d.sum(0)', ("zero",)
    ),
    Mistake(
        "input gradient by the recurrent weights' slice",
        'out["input"][step] = d @ p["weight_ih_l0"]',
        'out["input"][step] = (d @ p["weight_hh_l0"])[:, : x_t.shape[1]]',
        ("columns-of-h-x.dx",),
        "B7",
    ),
    Mistake(
        "last step's output derivative at all steps",
        'grad["output"][step]',
        'grad["output"][-1]',
        ("dh-last-loss-everywhere.dh",),
        "B1",
    ),
)
