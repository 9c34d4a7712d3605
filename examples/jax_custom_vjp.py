"""An LSTM over a whole sequence in JAX, with ``jax.custom_vjp`` and a backward pass by hand.

Form: ``bptt_check.adapters.jax``; needs JAX.
"""

import jax
import jax.numpy as jnp
import numpy as np

from bptt_check.adapters.jax import from_function


def step(p, x, h, s):
    g, i, f, o = jnp.split(x @ p["W"] + h @ p["U"] + p["b"], 4, axis=1)
    g, i, f, o = jnp.tanh(g), jax.nn.sigmoid(i), jax.nn.sigmoid(f), jax.nn.sigmoid(o)
    s_new = g * i + s * f
    return jnp.tanh(s_new) * o, s_new, (x, h, s, g, i, f, o, s_new)


def run(p):
    h, s, hs, steps = p["h0"], p["s0"], [], []
    for x in p["x"]:
        h, s, saved = step(p, x, h, s)
        hs.append(h)
        steps.append(saved)
    return jnp.stack(hs), (p, steps)


@jax.custom_vjp
def lstm(p):
    """{"x": (T, B, D), "W", "U", "b", "h0", "s0"} → all h, (T, B, H)."""
    return run(p)[0]


def backward(saved, dy):
    p, steps = saved
    d = {name: jnp.zeros_like(p[name]) for name in ("W", "U", "b")}
    dh_next, ds_next, dxs = jnp.zeros_like(p["h0"]), jnp.zeros_like(p["s0"]), []
    for t in reversed(range(len(steps))):
        x, h, s, g, i, f, o, s_new = steps[t]
        dh = dy[t] + dh_next
        ds = o * (1 - jnp.tanh(s_new) ** 2) * dh + ds_next
        dg, di, df, do = i * ds, g * ds, s * ds, jnp.tanh(s_new) * dh
        dz = jnp.hstack([(1 - g**2) * dg, i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do])
        d["W"] += x.T @ dz
        d["U"] += h.T @ dz
        d["b"] += dz.sum(axis=0)
        dxs.append(dz @ p["W"].T)
        dh_next = dz @ p["U"].T
        ds_next = ds * f
    return ({**d, "x": jnp.stack(dxs[::-1]), "h0": dh_next, "s0": ds_next},)


lstm.defvjp(run, backward)


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    shapes = {"x": (T, B, D), "W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,), "h0": (B, H), "s0": (B, H)}
    return from_function(lstm, {name: rng.normal(size=shape) for name, shape in shapes.items()})
