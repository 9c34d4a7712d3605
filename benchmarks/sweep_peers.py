"""The other two of benchmarks/sweep.py: the same LSTM in JAX, and under PyTorch's gradcheck.

``problem`` has a ``setting`` (lstm/copies.py) of the NP cell with the Euclidean loss, and its ``shape``, T, B, D, H.
Nothing heavy is imported before a function is called: the number of threads is set first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

BATCHES = (16, 32, 64, 128, 256)
STEP = 1e-5  # of central differences, on either side


class InJax:
    """The same loss in JAX: gates packed, the input's products taken together, time scanned, everything jitted."""

    def __init__(self, problem: Any) -> None:
        import jax
        import jax.flatten_util
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        self.jax, self.jnp = jax, jnp
        point, H, y = problem.setting.point, problem.shape[3], jnp.asarray(problem.setting.y)
        packed = {
            "Wx": jnp.concatenate([point[f"W_{k}x"] for k in "ifog"]),
            "Wh": jnp.concatenate([point[f"W_{k}h"] for k in "ifog"]),
            "b": jnp.concatenate([point[f"b_{k}"] for k in "ifog"]),
            "x": jnp.asarray(point["x"]),
        }
        self.flat, unpacked = jax.flatten_util.ravel_pytree(packed)
        start = (jnp.asarray(point["h0"]), jnp.asarray(point["s0"]))

        def loss(flat: Any) -> Any:
            p = unpacked(flat)

            def step(carry: Any, given: Any) -> Any:
                h, s = carry
                z = given[0] + h @ p["Wh"].T
                gates, g = jax.nn.sigmoid(z[:, : 3 * H]), jnp.tanh(z[:, 3 * H :])
                s = g * gates[:, :H] + s * gates[:, H : 2 * H]
                h = jnp.tanh(s) * gates[:, 2 * H :]
                return (h, s), ((h - given[1]) ** 2).sum()

            return jax.lax.scan(step, start, (p["x"] @ p["Wx"].T + p["b"], y))[1].sum()

        def central(k: Any) -> Any:
            up, down = loss(self.flat.at[k].add(STEP)), loss(self.flat.at[k].add(-STEP))
            return (up - down) / (2 * STEP)

        def forward(k: Any) -> Any:
            return jax.jvp(loss, (self.flat,), (jnp.zeros_like(self.flat).at[k].set(1.0),))[1]

        self.ways = {"JAX central": central, "JAX forward mode": forward}

    def sweep(self, way: str, batch: int, share: int) -> tuple[Callable[[], float], float]:
        """A sweep, which returns its seconds (of a share, scaled), and the seconds that it took to compile."""
        n = len(self.flat)
        batch = min(batch, n)
        run = self.jax.jit(self.jax.vmap(self.ways[way]))
        batches = [self.jnp.arange(first, first + batch) % n for first in range(0, n, batch)]
        few = batches[:: min(share, len(batches))]
        started = time.perf_counter()
        run(few[0]).block_until_ready()
        compiled = time.perf_counter() - started

        def sweep() -> float:
            started = time.perf_counter()
            for places in few:
                run(places).block_until_ready()
            return (time.perf_counter() - started) * len(batches) / len(few)

        return sweep, compiled

    def best(self, way: str, share: int) -> tuple[Callable[[], float], float, int]:
        """The sweep at the batch size that is fastest, tried on a part."""
        tried = []
        for batch in (*BATCHES, len(self.flat)) if len(self.flat) < 1000 else BATCHES:
            probe, _ = self.sweep(way, batch, 16 * share)
            tried.append((min(probe(), probe()), batch))
        batch = min(tried)[1]
        return *self.sweep(way, batch, share), batch


def gradcheck(problem: Any, *, fused: bool) -> float:
    """Seconds of gradcheck in its slow mode, of torch's own LSTM or of a cell in torch operations."""
    import numpy as np
    import torch

    point, y = problem.setting.point, torch.from_numpy(problem.setting.y)
    packed = [np.concatenate([point[f"{name}{k}{j}"] for k in "ifgo"]) for name, j in (("W_", "x"), ("W_", "h"))]
    bias = np.concatenate([point[f"b_{k}"] for k in "ifgo"])
    tensors = [torch.from_numpy(a.copy()).requires_grad_() for a in (point["x"], *packed, bias)]
    h0, s0 = (torch.from_numpy(point[name]) for name in ("h0", "s0"))

    def own(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        zero = torch.zeros_like(b)
        out = torch.lstm(x, [h0[None], s0[None]], [Wx, Wh, b, zero], True, 1, 0.0, False, False, False)[0]
        return ((out - y) ** 2).sum()

    def written(x: Any, Wx: Any, Wh: Any, b: Any) -> Any:
        h, s, total = h0, s0, 0.0
        for t in range(len(x)):
            i, f, g, o = (x[t] @ Wx.T + h @ Wh.T + b).chunk(4, dim=1)
            s = torch.tanh(g) * torch.sigmoid(i) + s * torch.sigmoid(f)
            h = torch.tanh(s) * torch.sigmoid(o)
            total = total + ((h - y[t]) ** 2).sum()
        return total

    started = time.perf_counter()
    torch.autograd.gradcheck(own if fused else written, tensors, raise_exception=False)
    return time.perf_counter() - started
