"""A stack of two recurrent layers, parameters in a nested dict: {"layers": [{"W", "U", "b", "h0"}, …], "x"}.

The upper layer reads the outputs of the lower one, and hands dL/dx down to it at every step. Form:
``Subject.from_vjp``; the gradients come back in the same nested form.
"""

import numpy as np

from bptt_check import Subject


def layer_forward(layer, xs):
    """(T, B, D) → the h of all steps, h0 first, each (B, H)"""
    hs = [np.broadcast_to(layer["h0"], (xs.shape[1], len(layer["h0"])))]
    for x in xs:
        hs.append(np.tanh(x @ layer["W"] + hs[-1] @ layer["U"] + layer["b"]))
    return hs


def layer_backward(layer, xs, hs, dhs):
    """dL/dh of all steps, (T, B, H) → the gradients of the layer, and dL/dx, (T, B, D)"""
    d = {name: np.zeros_like(array) for name, array in layer.items()}
    dxs, dh_next = np.zeros_like(xs), np.zeros_like(dhs[0])
    for t in range(len(xs), 0, -1):
        dz = (1 - hs[t] ** 2) * (dhs[t - 1] + dh_next)
        d["W"] += xs[t - 1].T @ dz
        d["U"] += hs[t - 1].T @ dz
        d["b"] += dz.sum(axis=0)
        dxs[t - 1] = dz @ layer["W"].T
        dh_next = dz @ layer["U"].T
    d["h0"] = dh_next.sum(axis=0)
    return d, dxs


def forward(p):
    xs, tape = p["x"], []
    for layer in p["layers"]:
        hs = layer_forward(layer, xs)
        tape.append((layer, xs, hs))
        xs = np.stack(hs[1:])
    return xs, tape


def backward(tape, dy):
    dhs, layers = dy, []
    for layer, xs, hs in reversed(tape):
        d, dxs = layer_backward(layer, xs, hs, dhs)
        layers.insert(0, d)
        dhs = dxs
    return {"layers": layers, "x": dhs}


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)

    def layer(D, H):
        shapes = {"W": (D, H), "U": (H, H), "b": (H,), "h0": (H,)}
        return {name: rng.normal(size=shape) for name, shape in shapes.items()}

    point = {"layers": [layer(D, H + 1), layer(H + 1, H)], "x": rng.normal(size=(T, B, D))}
    return Subject.from_vjp(forward, backward, point, name="two layers")
