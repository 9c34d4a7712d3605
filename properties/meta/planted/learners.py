"""Right gradients of layers and losses that people write by hand and that are no LSTMs.

Each function draws a subject from a generator; sizes and scales are drawn wide, because that is where rounding hides.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bptt_check import Subject

Rng = np.random.Generator
Array = np.ndarray[Any, Any]


def functions(loss: Any, gradient: Any, point: Any, name: str) -> Subject:
    """A subject of two functions."""
    return Subject.from_functions(loss, gradient, point, name=name)


def _sizes(rng: Rng, *most: int) -> list[int]:
    return [int(rng.integers(1, m + 1)) for m in most]


def _sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def gru(rng: Rng) -> Subject:
    """A gated recurrent unit, the reset gate before the product, a loss at every step or at the last."""
    T, B, D, H = _sizes(rng, 12, 3, 4, 5)
    x, y = rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    weight = np.ones(T) if rng.random() < 0.5 else (np.arange(T) == T - 1).astype(float)
    scale = float(rng.choice([0.3, 1.0, 3.0, 10.0]))
    point = {f"W{k}": scale * rng.normal(size=(D, H)) / np.sqrt(D) for k in "zrn"}
    point |= {f"U{k}": scale * rng.normal(size=(H, H)) / np.sqrt(H) for k in "zrn"}
    point |= {f"b{k}": rng.normal(size=H) for k in "zrn"} | {"h0": rng.normal(size=(B, H))}

    def run(p: Any) -> Any:
        h, kept = [p["h0"]], []
        for t in range(T):
            z = _sigmoid(x[t] @ p["Wz"] + h[t] @ p["Uz"] + p["bz"])
            r = _sigmoid(x[t] @ p["Wr"] + h[t] @ p["Ur"] + p["br"])
            n = np.tanh(x[t] @ p["Wn"] + (r * h[t]) @ p["Un"] + p["bn"])
            h.append((1 - z) * n + z * h[t])
            kept.append((z, r, n))
        return h, kept

    def loss(p: Any) -> Any:
        h, _ = run(p)
        return sum(w * ((h[t + 1] - y[t]) ** 2).sum() for t, w in enumerate(weight)) / 2

    def gradient(p: Any) -> Any:
        h, kept = run(p)
        d = {k: np.zeros_like(a) for k, a in p.items()}
        carried = np.zeros_like(p["h0"])
        for t in reversed(range(T)):
            z, r, n = kept[t]
            dh = carried + weight[t] * (h[t + 1] - y[t])
            dn = dh * (1 - z) * (1 - n * n)
            dz = dh * (h[t] - n) * z * (1 - z)
            back = dn @ p["Un"].T
            dr = back * h[t] * r * (1 - r)
            for k, a in (("z", dz), ("r", dr), ("n", dn)):
                d[f"W{k}"] += x[t].T @ a
                d[f"b{k}"] += a.sum(axis=0)
            d["Uz"] += h[t].T @ dz
            d["Ur"] += h[t].T @ dr
            d["Un"] += (r * h[t]).T @ dn
            carried = dh * z + back * r + dz @ p["Uz"].T + dr @ p["Ur"].T
        d["h0"] = carried
        return d

    return functions(loss, gradient, point, f"GRU of T = {T}, scale {scale:g}")


def elman(rng: Rng) -> Subject:
    """A plain recurrent network over many steps: gradients vanish or explode by themselves."""
    T, H = int(rng.choice([20, 60, 200])), int(rng.integers(1, 6))
    x, target = rng.normal(size=(T, H)), rng.normal(size=H)
    U = rng.normal(size=(H, H)) * float(rng.choice([0.3, 1.0, 2.0])) / np.sqrt(H)

    def run(p: Any) -> Any:
        h = [p["h0"]]
        for t in range(T):
            h.append(np.tanh(p["U"] @ h[t] + x[t] + p["b"]))
        return h

    def gradient(p: Any) -> Any:
        h = run(p)
        d = {k: np.zeros_like(a) for k, a in p.items()}
        carried = h[-1] - target
        for t in reversed(range(T)):
            dz = carried * (1 - h[t + 1] ** 2)
            d["U"] += np.outer(dz, h[t])
            d["b"] += dz
            carried = p["U"].T @ dz
        d["h0"] = carried
        return d

    point = {"U": U, "b": rng.normal(size=H) / 4, "h0": rng.normal(size=H)}
    return functions(lambda p: ((run(p)[-1] - target) ** 2).sum() / 2, gradient, point, f"Elman network of T = {T}")


def attention(rng: Rng) -> Subject:
    """Dot-product attention of one head, causally masked by -1e9 or by minus infinity, and a readout."""
    n, D = int(rng.integers(2, 7)), int(rng.integers(1, 5))
    X, Y = rng.normal(size=(n, D)), rng.normal(size=(n, D))
    masked = np.triu(np.ones((n, n), bool), 1) if rng.random() < 0.6 else np.zeros((n, n), bool)
    nothing = float(rng.choice([-1e9, -np.inf]))
    scale = float(rng.choice([0.3, 1.0, 3.0, 10.0]))

    def run(p: Any) -> Any:
        q, k, v = X @ p["Wq"], X @ p["Wk"], X @ p["Wv"]
        s = np.where(masked, nothing, q @ k.T / np.sqrt(D))
        e = np.exp(s - s.real.max(axis=1, keepdims=True))
        a = e / e.sum(axis=1, keepdims=True)
        return q, k, v, a, a @ v

    def gradient(p: Any) -> Any:
        q, k, v, a, o = run(p)
        do = o @ p["Wo"] - Y
        dWo = o.T @ do
        do = do @ p["Wo"].T
        da = do @ v.T
        ds = a * (da - (a * da).sum(axis=1, keepdims=True)) / np.sqrt(D)
        return {"Wq": X.T @ (ds @ k), "Wk": X.T @ (ds.T @ q), "Wv": X.T @ (a.T @ do), "Wo": dWo}

    point = {k: scale * rng.normal(size=(D, D)) / np.sqrt(D) for k in ("Wq", "Wk", "Wv", "Wo")}
    return functions(
        lambda p: ((run(p)[-1] @ p["Wo"] - Y) ** 2).sum() / 2, gradient, point, f"attention, scale {scale:g}"
    )


def layer_norm(rng: Rng) -> Subject:
    """Normalised rows with gain and bias; a large mean makes their variance a difference of large terms."""
    n, D = int(rng.integers(1, 5)), int(rng.integers(2, 7))
    eps = float(rng.choice([1e-5, 1e-12]))
    naive = bool(rng.random() < 0.4)
    y = rng.normal(size=(n, D))

    def run(p: Any) -> Any:
        m = p["x"].mean(axis=1, keepdims=True)
        c = p["x"] - m
        v = (p["x"] ** 2).mean(axis=1, keepdims=True) - m**2 if naive else (c**2).mean(axis=1, keepdims=True)
        s = 1 / np.sqrt(v + eps)
        return c * s, s

    def loss(p: Any) -> Any:
        return ((p["g"] * run(p)[0] + p["b"] - y) ** 2).sum() / 2

    def gradient(p: Any) -> Any:
        u, s = run(p)
        do = p["g"] * u + p["b"] - y
        du = do * p["g"]
        dx = s * (du - du.mean(axis=1, keepdims=True) - u * (du * u).mean(axis=1, keepdims=True))
        return {"x": dx, "g": (do * u).sum(axis=0), "b": do.sum(axis=0)}

    mean = float(rng.choice([0.0, 1.0, 100.0]))
    point = {"x": mean + rng.normal(size=(n, D)), "g": rng.normal(size=D), "b": rng.normal(size=D)}
    return functions(loss, gradient, point, f"layer norm, mean {mean:g}{', naive variance' * naive}")


def batch_norm(rng: Rng) -> Subject:
    """Two layers with batch normalisation between: the bias before it has a gradient of nothing but rounding."""
    n, D, H = int(rng.integers(2, 20)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    X, y = rng.normal(size=(n, D)), rng.normal(size=n)

    def run(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        c = z - z.mean(axis=0)
        s = 1 / np.sqrt((c**2).mean(axis=0) + 1e-5)
        u = c * s
        a = np.tanh(p["g"] * u)
        return u, s, a, a @ p["v"] - y

    def gradient(p: Any) -> Any:
        u, s, a, r = run(p)
        da = np.outer(r, p["v"]) * (1 - a * a) / n
        du = da * p["g"]
        dz = s * (du - du.mean(axis=0) - u * (du * u).mean(axis=0))
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "g": (da * u).sum(axis=0), "v": a.T @ r / n}

    point = {"W": rng.normal(size=(D, H)), "b": rng.normal(size=H), "g": rng.normal(size=H), "v": rng.normal(size=H)}
    return functions(lambda p: (run(p)[-1] ** 2).mean() / 2, gradient, point, "batch norm")


def embedding(rng: Rng) -> Subject:
    """Rows of a table looked up by number, the table tied to the output: rows that nobody asks for have gradient 0."""
    V, D, n = int(rng.integers(3, 12)), int(rng.integers(1, 5)), int(rng.integers(1, 8))
    ids, labels = rng.integers(V, size=n), rng.integers(V, size=n)
    tied = bool(rng.random() < 0.5)

    def run(p: Any) -> Any:
        h = np.tanh(p["E"][ids] @ p["W"])
        z = h @ (p["E"] if tied else p["O"]).T
        z = z - z.real.max(axis=1, keepdims=True)
        return h, z, np.exp(z)

    def loss(p: Any) -> Any:
        _, z, e = run(p)
        return (np.log(e.sum(axis=1)) - z[np.arange(n), labels]).mean()

    def gradient(p: Any) -> Any:
        h, _, e = run(p)
        q = e / e.sum(axis=1, keepdims=True)
        q[np.arange(n), labels] -= 1
        q /= n
        out = p["E"] if tied else p["O"]
        dz = (q @ out) * (1 - h * h)
        dE = np.zeros_like(p["E"])
        np.add.at(dE, ids, dz @ p["W"].T)
        d = {"E": dE + q.T @ h if tied else dE, "W": p["E"][ids].T @ dz}
        return d if tied else d | {"O": q.T @ h}

    point = {"E": rng.normal(size=(V, D)), "W": rng.normal(size=(D, D))}
    if not tied:
        point["O"] = rng.normal(size=(V, D)) * float(rng.choice([1.0, 10.0]))
    return functions(loss, gradient, point, "tied embedding" if tied else "embedding")


def forward_algorithm(rng: Rng) -> Subject:
    """Likelihood of a hidden Markov chain by a recursion in log space, with logits as parameters."""
    T, K, M = int(rng.choice([1, 5, 30, 100])), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    seen = rng.integers(M, size=T)
    scale = float(rng.choice([0.3, 1.0, 5.0]))

    def lse(a: Any, axis: int) -> Any:
        m = a.real.max(axis=axis, keepdims=True)
        return (np.log(np.exp(a - m).sum(axis=axis, keepdims=True)) + m).squeeze(axis)

    def logs(a: Any) -> Any:
        return a - lse(a, -1)[..., None]

    def run(p: Any) -> Any:
        A, E, pi = logs(p["A"]), logs(p["E"]), logs(p["pi"])
        alpha = [pi + E[:, seen[0]]]
        for t in range(1, T):
            alpha.append(lse(alpha[-1][:, None] + A, 0) + E[:, seen[t]])
        return A, E, pi, alpha

    def gradient(p: Any) -> Any:
        A, E, pi, alpha = run(p)
        total = lse(alpha[-1], 0)
        beta = [np.zeros_like(pi)]
        for t in range(T - 1, 0, -1):
            beta.insert(0, lse(A + E[:, seen[t]] + beta[0], 1))
        dA, dE = np.zeros_like(A), np.zeros_like(E)
        for t in range(T):
            dE[:, seen[t]] += np.exp(alpha[t] + beta[t] - total)
            if t:
                dA += np.exp(alpha[t - 1][:, None] + A + E[:, seen[t]] + beta[t] - total)
        first = np.exp(alpha[0] + beta[0] - total)
        raw = {"A": dA, "E": dE, "pi": first}
        return {
            k: -(raw[k] - np.exp(a) * raw[k].sum(axis=-1, keepdims=True)) for k, a in (("A", A), ("E", E), ("pi", pi))
        }

    point = {"A": scale * rng.normal(size=(K, K)), "E": scale * rng.normal(size=(K, M)), "pi": rng.normal(size=K)}
    return functions(lambda p: -lse(run(p)[3][-1], 0), gradient, point, f"forward algorithm, T = {T}")


def masked(rng: Rng) -> Subject:
    """Sequences of different lengths padded with rubbish, a mask in the loss and a dropout mask that is held."""
    T, B, D = int(rng.integers(2, 8)), int(rng.integers(1, 5)), int(rng.integers(1, 5))
    lengths = rng.integers(1, T + 1, size=B)
    mask = (np.arange(T)[:, None] < lengths).astype(float)
    keep = (rng.random((T, B, D)) > 0.5) * 2.0
    y = rng.normal(size=(T, B))
    rubbish = float(rng.choice([0.0, 1e6]))
    x = rng.normal(size=(T, B, D)) + rubbish * (1 - mask)[..., None]

    def run(p: Any) -> Any:
        a = np.tanh(p["x"] * p["s"]) * keep
        return a, (a @ p["w"] - y) * mask

    def gradient(p: Any) -> Any:
        a, r = run(p)
        r = 2 * r * mask / mask.sum()
        t = np.tanh(p["x"] * p["s"])
        da = r[..., None] * p["w"] * keep * (1 - t * t)
        return {"x": da * p["s"], "s": (da * p["x"]).sum(axis=(0, 1)), "w": (a * r[..., None]).sum(axis=(0, 1))}

    return functions(
        lambda p: (run(p)[1] ** 2).sum() / mask.sum(), gradient,
        {"x": x, "s": rng.normal(size=D), "w": rng.normal(size=D)}, "masked sequences",
    )  # fmt: skip


def probabilities_with_an_epsilon(rng: Rng) -> Subject:
    """Logistic regression whose loss adds a little to each probability, or clips it, before the logarithm."""
    n, D = int(rng.integers(1, 20)), int(rng.integers(1, 5))
    X, y = rng.normal(size=(n, D)) * float(rng.choice([0.1, 1.0, 10.0])), rng.integers(2, size=n)
    eps = float(rng.choice([1e-12, 1e-8]))
    clips = bool(rng.random() < 0.5)

    def loss(p: Any) -> Any:
        q = _sigmoid(X @ p["w"] + p["b"])
        if clips:
            q = np.clip(q, eps, 1 - eps)
            return -(y * np.log(q) + (1 - y) * np.log(1 - q)).mean()
        return -(y * np.log(q + eps) + (1 - y) * np.log(1 - q + eps)).mean()

    def gradient(p: Any) -> Any:
        q = _sigmoid(X @ p["w"] + p["b"])
        if clips:
            inside = (q > eps) & (q < 1 - eps)
            dz = np.where(inside, q - y, 0.0) / n
        else:
            dz = (-y / (q + eps) + (1 - y) / (1 - q + eps)) * q * (1 - q) / n
        return {"w": X.T @ dz, "b": dz.sum()}

    point = {"w": rng.normal(size=D), "b": np.array(rng.normal())}
    return functions(loss, gradient, point, f"logistic, {'clipped at' if clips else 'plus'} {eps:g}")


def naive_logarithms(rng: Rng) -> Subject:
    """log(1 + exp(z)), -log σ(z), log cosh z as they stand in a book."""
    z = rng.normal(size=5) * float(rng.choice([1.0, 10.0, 30.0]))
    which = str(rng.choice(["softplus", "minus log sigmoid", "log cosh"]))
    f, df = {
        "softplus": (lambda z: np.log(1 + np.exp(z)), lambda z: 1 / (1 + np.exp(-z))),
        "minus log sigmoid": (lambda z: -np.log(1 / (1 + np.exp(-z))), lambda z: -1 / (1 + np.exp(z))),
        "log cosh": (lambda z: np.log(np.cosh(z)), np.tanh),
    }[which]
    return functions(lambda p: f(p["z"]).sum(), lambda p: {"z": df(p["z"])}, {"z": z}, which)


def mixture(rng: Rng) -> Subject:
    """A mixture of Gaussians; far components have responsibilities of 1e-50 and less."""
    n, K = int(rng.integers(1, 15)), int(rng.integers(1, 5))
    data = rng.normal(size=n) * float(rng.choice([1.0, 10.0]))

    def run(p: Any) -> Any:
        w = p["w"] - np.log(np.exp(p["w"]).sum())
        e = w - p["s"] - 0.5 * (data[:, None] - p["m"]) ** 2 * np.exp(-2 * p["s"])
        m = e.real.max(axis=1, keepdims=True)
        total = np.log(np.exp(e - m).sum(axis=1, keepdims=True)) + m
        return w, e, total

    def gradient(p: Any) -> Any:
        w, e, total = run(p)
        r = np.exp(e - total)
        off, v = data[:, None] - p["m"], np.exp(-2 * p["s"])
        return {
            "w": -(r.sum(axis=0) - n * np.exp(w)),
            "m": -(r * off * v).sum(axis=0),
            "s": -(r * (off**2 * v - 1)).sum(axis=0),
        }

    point = {"w": rng.normal(size=K), "m": 3 * rng.normal(size=K), "s": rng.normal(size=K) / 2}
    return functions(lambda p: -run(p)[2].sum(), gradient, point, "mixture of Gaussians")


def big_batch(rng: Rng) -> Subject:
    """The mean over ten thousand samples: what is summed cancels to its hundredth."""
    n, D = 10_000, int(rng.integers(1, 5))
    X = rng.normal(size=(n, D))
    y = X @ rng.normal(size=D) + rng.normal(size=n) * float(rng.choice([1.0, 100.0]))

    def gradient(p: Any) -> Any:
        r = X @ p["w"] + p["b"] - y
        return {"w": 2 * X.T @ r / n, "b": 2 * r.mean()}

    return functions(
        lambda p: ((X @ p["w"] + p["b"] - y) ** 2).mean(), gradient,
        {"w": rng.normal(size=D), "b": np.array(0.1)}, "a batch of ten thousand",
    )  # fmt: skip


def fitted(rng: Rng) -> Subject:
    """Regression at its least squares, exactly solved, with or without noise in the data: the gradient is rounding."""
    n, D = int(rng.integers(3, 30)), int(rng.integers(1, 5))
    X = rng.normal(size=(n, D)) * 10.0 ** rng.uniform(-2, 2, D)
    w = rng.normal(size=D)
    y = X @ w + float(rng.choice([0.0, 1e-3, 1.0])) * rng.normal(size=n)
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    return functions(
        lambda p: ((X @ p["w"] - y) ** 2).sum() / 2, lambda p: {"w": X.T @ (X @ p["w"] - y)}, {"w": best}, "fitted"
    )


def trained(rng: Rng) -> Subject:
    """A small network after some hundred steps of descent: gradients are small beside what they are summed from."""
    n, D, H = 12, int(rng.integers(1, 4)), int(rng.integers(2, 6))
    X = rng.normal(size=(n, D))
    y = np.sin(X.sum(axis=1))

    def run(p: Any) -> Any:
        a = np.tanh(X @ p["W"] + p["b"])
        return a, a @ p["v"] - y

    def gradient(p: Any) -> Any:
        a, r = run(p)
        dz = np.outer(r, p["v"]) * (1 - a * a) / n
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "v": a.T @ r / n}

    p = {"W": rng.normal(size=(D, H)), "b": rng.normal(size=H), "v": rng.normal(size=H)}
    for _ in range(int(rng.choice([100, 1000]))):
        p = {k: a - 0.3 * d for (k, a), d in zip(p.items(), gradient(p).values(), strict=True)}
    return functions(lambda p: (run(p)[1] ** 2).mean() / 2, gradient, p, "trained network")


def convolution(rng: Rng) -> Subject:
    """A convolution with ReLU and maximum pooling: as many kinks as there are numbers, none of them here."""
    L, K, C = int(rng.integers(4, 12)), int(rng.integers(1, 4)), int(rng.integers(1, 4))
    x, y = rng.normal(size=L + K), float(rng.normal())
    windows = np.stack([x[k : k + K] for k in range(L)])

    def gradient(p: Any) -> Any:
        z = windows @ p["F"] + p["b"]
        a = np.maximum(z, 0)
        top = a.argmax(axis=0)
        r = a.max(axis=0) @ p["v"] - y
        open_ = z[top, np.arange(C)] > 0
        dz = r * p["v"] * open_
        return {"F": windows[top].T * dz, "b": dz, "v": r * a.max(axis=0)}

    return functions(
        lambda p: (np.maximum(windows @ p["F"] + p["b"], 0).max(axis=0) @ p["v"] - y) ** 2 / 2, gradient,
        {"F": rng.normal(size=(K, C)), "b": rng.normal(size=C), "v": rng.normal(size=C)}, "convolution and pooling",
    )  # fmt: skip


def lasso(rng: Rng) -> Subject:
    """Least squares with |w| added, most of w exactly 0: each of those sits on a kink, and np.sign gives 0 there."""
    n, D = 12, int(rng.integers(2, 10))
    X, y = rng.normal(size=(n, D)), rng.normal(size=n)
    w = rng.normal(size=D) * (rng.random(D) < 0.5)
    lam = float(rng.choice([1e-3, 0.1, 10.0]))
    return functions(
        lambda p: ((X @ p["w"] - y) ** 2).sum() / 2 + lam * np.abs(p["w"]).sum(),
        lambda p: {"w": X.T @ (X @ p["w"] - y) + lam * np.sign(p["w"])},
        {"w": w},
        f"lasso, {lam:g}",
    )


def dead_units(rng: Rng) -> Subject:
    """A network of ReLUs some of whose units, by their biases, are closed for every sample."""
    n, D, H = int(rng.integers(1, 9)), int(rng.integers(1, 4)), int(rng.integers(2, 7))
    X, y = rng.normal(size=(n, D)), rng.normal(size=n)
    slope = float(rng.choice([0.0, 0.01]))

    def run(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        a = np.where(z > 0, z, slope * z)
        return z, a, a @ p["v"] - y

    def gradient(p: Any) -> Any:
        z, a, r = run(p)
        dz = np.outer(r, p["v"]) * np.where(z > 0, 1.0, slope)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "v": a.T @ r}

    b = np.where(rng.random(H) < 0.5, -10.0, rng.normal(size=H))
    return functions(
        lambda p: (run(p)[2] ** 2).sum() / 2, gradient, {"W": rng.normal(size=(D, H)), "b": b, "v": rng.normal(size=H)},
        f"closed units, slope {slope:g}",
    )  # fmt: skip


def all_at_the_kink(rng: Rng) -> Subject:
    """A network of ReLUs fed with zeros and started with biases of zero: every unit stands at its kink."""
    n, D, H = int(rng.integers(1, 4)), int(rng.integers(1, 4)), int(rng.integers(1, 5))
    X, y = np.zeros((n, D)), rng.normal(size=n)
    open_ = bool(rng.random() < 0.5)

    def gradient(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        a = np.maximum(z, 0)
        r = a @ p["v"] + p["c"] - y
        dz = np.outer(r, p["v"]) * (z >= 0 if open_ else z > 0)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "v": a.T @ r, "c": r.sum()}

    def loss(p: Any) -> Any:
        return ((np.maximum(X @ p["W"] + p["b"], 0) @ p["v"] + p["c"] - y) ** 2).sum() / 2

    point = {"W": rng.normal(size=(D, H)), "b": np.zeros(H), "v": rng.normal(size=H), "c": np.array(0.5)}
    return functions(loss, gradient, point, "every unit at its kink")


def deep(rng: Rng) -> Subject:
    """Twenty layers of tanh, GELU or softplus with weights drawn too small or too large."""
    depth, H = int(rng.choice([5, 20])), int(rng.integers(1, 5))
    scale = float(rng.choice([0.1, 0.5, 1.0, 2.0]))
    x, y = rng.normal(size=H), rng.normal(size=H)
    f, df = {
        "tanh": (np.tanh, lambda z: 1 - np.tanh(z) ** 2),
        "softplus": (lambda z: np.where(z.real > 0, z, 0) + np.log1p(np.exp(np.where(z.real > 0, -z, z))), _sigmoid),
        "swish": (lambda z: z * _sigmoid(z), lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z)))),
    }[name := str(rng.choice(["tanh", "softplus", "swish"]))]

    def run(p: Any) -> Any:
        a, z = [x], []
        for k in range(depth):
            z.append(p["W"][k] @ a[k] + p["b"][k])
            a.append(f(z[k]))
        return a, z

    def gradient(p: Any) -> Any:
        a, z = run(p)
        d = {k: np.zeros_like(v) for k, v in p.items()}
        carried = a[-1] - y
        for k in reversed(range(depth)):
            dz = carried * df(z[k])
            d["W"][k], d["b"][k] = np.outer(dz, a[k]), dz
            carried = p["W"][k].T @ dz
        return d

    point = {"W": scale * rng.normal(size=(depth, H, H)), "b": scale * rng.normal(size=(depth, H)) / 4}
    return functions(
        lambda p: ((run(p)[0][-1] - y) ** 2).sum() / 2, gradient, point, f"{depth} layers of {name}, scale {scale:g}"
    )


KINDS: dict[str, Callable[[Rng], Subject]] = {
    "GRU": gru,
    "Elman network": elman,
    "attention": attention,
    "layer norm": layer_norm,
    "batch norm": batch_norm,
    "embedding": embedding,
    "forward algorithm": forward_algorithm,
    "masked sequences": masked,
    "logarithm with an epsilon": probabilities_with_an_epsilon,
    "naive logarithms": naive_logarithms,
    "mixture": mixture,
    "big batch": big_batch,
    "fitted regression": fitted,
    "trained network": trained,
    "convolution and pooling": convolution,
    "lasso": lasso,
    "closed units": dead_units,
    "all at the kink": all_at_the_kink,
    "deep": deep,
}
