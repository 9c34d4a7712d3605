"""Right gradients of numerical code: linear algebra, special functions, transforms, chaos, odd points and odd types."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from bptt_check import Subject
from planted.learners import functions

Rng = np.random.Generator


def _definite(rng: Rng, n: int, spread: float) -> Any:
    Q, _ = np.linalg.qr(rng.normal(size=(n, n)))
    return Q @ np.diag(10.0 ** np.linspace(0, spread, n)) @ Q.T


def gaussian_by_cholesky(rng: Rng) -> Subject:
    """½ log det A + ½ yᵀA⁻¹y by Cholesky, which takes a complex matrix for a Hermitian one."""
    n = int(rng.integers(1, 6))
    y, A = rng.normal(size=n), _definite(rng, n, float(rng.choice([0, 2, 4])))

    def loss(p: Any) -> Any:
        L = np.linalg.cholesky((p["A"] + p["A"].T) / 2)
        u = np.linalg.solve(L, y)
        return np.log(np.diag(L)).sum() + u @ u / 2

    def gradient(p: Any) -> Any:
        inverse = np.linalg.inv((p["A"] + p["A"].T) / 2)
        w = inverse @ y
        return {"A": (inverse - np.outer(w, w)) / 2}

    return functions(loss, gradient, {"A": (A + A.T) / 2}, "Gaussian by Cholesky")


def gaussian_process(rng: Rng) -> Subject:
    """The likelihood of two hyperparameters: beside little noise the determinant, which Cholesky makes real, is a share
    of 1e-6 or less of the derivative.
    """
    n, noise = int(rng.integers(2, 9)), -float(rng.choice([1, 3, 6, 8]))
    x, y = np.sort(rng.normal(size=n)), rng.normal(size=n)
    squares = (x[:, None] - x) ** 2

    def covariance(p: Any) -> Any:
        smooth = np.exp(-squares / (2 * np.exp(2 * p["length"])))
        return smooth, smooth + np.exp(2 * p["noise"]) * np.eye(n)

    def loss(p: Any) -> Any:
        K = covariance(p)[1]
        return y @ np.linalg.solve(K, y) / 2 + np.log(np.diag(np.linalg.cholesky(K))).sum()

    def gradient(p: Any) -> Any:
        smooth, K = covariance(p)
        inverse = np.linalg.inv(K)
        w = inverse @ y
        dK = (inverse - np.outer(w, w)) / 2
        longer = (dK * smooth * squares).sum() / np.exp(2 * p["length"])
        return {"length": np.asarray(longer), "noise": np.asarray(2 * np.exp(2 * p["noise"]) * np.trace(dK))}

    point = {"length": np.array(0.3 * rng.normal()), "noise": np.array(noise)}
    return functions(loss, gradient, point, f"Gaussian process, noise exp({noise:g})")


def solved(rng: Rng) -> Subject:
    """A quadratic of the solution of a linear system, well or badly conditioned."""
    n = int(rng.integers(1, 6))
    spread = float(rng.choice([0, 3, 6]))
    U, V = (np.linalg.qr(rng.normal(size=(n, n)))[0] for _ in range(2))
    A = U @ np.diag(10.0 ** np.linspace(0, spread, n)) @ V

    def gradient(p: Any) -> Any:
        x = np.linalg.solve(p["A"], p["b"])
        w = np.linalg.solve(p["A"].T, x)
        return {"A": -np.outer(w, x), "b": w}

    return functions(
        lambda p: (np.linalg.solve(p["A"], p["b"]) ** 2).sum() / 2, gradient, {"A": A, "b": rng.normal(size=n)},
        f"solve, condition 1e{spread:g}",
    )  # fmt: skip


def eigenvalues(rng: Rng) -> Subject:
    """A function of the eigenvalues of a symmetric matrix by eigvalsh, which is Hermitian for complex numbers."""
    n = int(rng.integers(2, 6))
    A = rng.normal(size=(n, n))
    weights = rng.normal(size=n)

    def gradient(p: Any) -> Any:
        _, v = np.linalg.eigh((p["A"] + p["A"].T) / 2)
        return {"A": (v * weights) @ v.T}

    return functions(lambda p: weights @ np.linalg.eigvalsh((p["A"] + p["A"].T) / 2), gradient, {"A": A}, "eigenvalues")


def nuclear_norm(rng: Rng) -> Subject:
    A = rng.normal(size=(int(rng.integers(1, 5)), int(rng.integers(1, 5))))

    def gradient(p: Any) -> Any:
        U, _, V = np.linalg.svd(p["A"], full_matrices=False)
        return {"A": U @ V}

    return functions(lambda p: np.linalg.svd(p["A"], compute_uv=False).sum(), gradient, {"A": A}, "nuclear norm")


def power_spectrum(rng: Rng) -> Subject:
    """|FFT|² against a target: np.abs makes a complex step silently wrong."""
    n = int(rng.integers(2, 12))
    target = rng.random(n // 2 + 1) * n
    by_abs = bool(rng.random() < 0.5)

    def loss(p: Any) -> Any:
        F = np.fft.fft(p["x"])[: n // 2 + 1] if by_abs else np.fft.rfft(p["x"])
        return ((np.abs(F) ** 2 - target) ** 2).sum() / 2

    def gradient(p: Any) -> Any:
        F = np.fft.rfft(p["x"])
        c = 2 * (np.abs(F) ** 2 - target) * F
        padded = np.zeros(n, complex)
        padded[: n // 2 + 1] = np.conj(c)
        return {"x": np.fft.fft(padded).real}

    return functions(loss, gradient, {"x": rng.normal(size=n)}, "power spectrum")


def special_functions(rng: Rng) -> Subject:
    from scipy import special

    n = int(rng.integers(1, 7))
    name = str(rng.choice(["gammaln", "erf", "expit", "logsumexp", "log_softmax", "xlogy", "gelu", "log_ndtr"]))
    x = rng.normal(size=n) * float(rng.choice([1.0, 3.0, 10.0]))
    x = np.abs(x) + 0.1 if name in ("gammaln", "xlogy") else x
    y = int(rng.integers(n))

    def density(x: Any) -> Any:
        return np.exp(-x * x / 2) / np.sqrt(2 * np.pi)

    def of(x: Any) -> Any:
        return {
            "gammaln": lambda: special.gammaln(x).sum(),
            "erf": lambda: special.erf(x).sum(),
            "expit": lambda: special.expit(x).sum(),
            "logsumexp": lambda: special.logsumexp(x),
            "log_softmax": lambda: -special.log_softmax(x)[y],
            "xlogy": lambda: special.xlogy(x, x).sum(),
            "gelu": lambda: (x * special.ndtr(x)).sum(),
            "log_ndtr": lambda: special.log_ndtr(x).sum(),
        }[name]()

    def slope(x: Any) -> Any:
        return {
            "gammaln": lambda: special.digamma(x),
            "erf": lambda: 2 / np.sqrt(np.pi) * np.exp(-x * x),
            "expit": lambda: special.expit(x) * special.expit(-x),
            "logsumexp": lambda: special.softmax(x),
            "log_softmax": lambda: special.softmax(x) - (np.arange(n) == y),
            "xlogy": lambda: np.log(x) + 1,
            "gelu": lambda: special.ndtr(x) + x * density(x),
            "log_ndtr": lambda: np.exp(-x * x / 2 - np.log(2 * np.pi) / 2 - special.log_ndtr(x)),
        }[name]()

    return functions(lambda p: of(p["x"]), lambda p: {"x": slope(p["x"])}, {"x": x}, f"scipy's {name}")


def bilinear_by_einsum(rng: Rng) -> Subject:
    i, j, k = (int(rng.integers(1, 5)) for _ in range(3))
    y = rng.normal(size=(i, k))

    def gradient(p: Any) -> Any:
        r = np.einsum("ij,ijk,j->ik", p["a"], p["M"], p["c"]) - y
        return {
            "a": np.einsum("ik,ijk,j->ij", r, p["M"], p["c"]),
            "M": np.einsum("ik,ij,j->ijk", r, p["a"], p["c"]),
            "c": np.einsum("ik,ij,ijk->j", r, p["a"], p["M"]),
        }

    return functions(
        lambda p: ((np.einsum("ij,ijk,j->ik", p["a"], p["M"], p["c"]) - y) ** 2).sum() / 2, gradient,
        {"a": rng.normal(size=(i, j)), "M": rng.normal(size=(i, j, k)), "c": rng.normal(size=j)}, "bilinear form",
    )  # fmt: skip


def chaos(rng: Rng) -> Subject:
    """The logistic map iterated: each step doubles what rounding did, and the gradient with it."""
    T = int(rng.choice([5, 15, 30]))
    r = float(rng.choice([3.7, 3.9]))

    def run(p: Any) -> Any:
        x = [p["x"]]
        for _ in range(T):
            x.append(p["r"] * x[-1] * (1 - x[-1]))
        return x

    def gradient(p: Any) -> Any:
        x = run(p)
        d, dr = np.ones_like(p["x"]), 0.0
        for t in reversed(range(T)):
            dr = dr + (d * x[t] * (1 - x[t])).sum()
            d = d * p["r"] * (1 - 2 * x[t])
        return {"x": d, "r": np.asarray(dr)}

    return functions(
        lambda p: run(p)[-1].sum(), gradient, {"x": rng.uniform(0.2, 0.8, 3), "r": np.array(r - 1e-3)},
        f"logistic map, {T} steps",
    )  # fmt: skip


def runge_kutta(rng: Rng) -> Subject:
    """A damped pendulum by Heun's method and its discrete adjoint."""
    T, h = int(rng.choice([5, 50])), 0.1
    target = rng.normal(size=2)

    def f(u: Any, p: Any) -> Any:
        return np.stack([u[1], -p["k"] * np.sin(u[0]) - p["c"] * u[1]])

    def run(p: Any) -> Any:
        u = [p["u"]]
        for _ in range(T):
            a = f(u[-1], p)
            u.append(u[-1] + h / 2 * (a + f(u[-1] + h * a, p)))
        return u

    def pulled(u: Any, w: Any, p: Any) -> Any:
        du = np.stack([-p["k"] * np.cos(u[0]) * w[1], w[0] - p["c"] * w[1]])
        return du, -np.sin(u[0]) * w[1], -u[1] * w[1]

    def gradient(p: Any) -> Any:
        u = run(p)
        w, dk, dc = u[-1] - target, 0.0, 0.0
        for t in reversed(range(T)):
            a = f(u[t], p)
            d2, k2, c2 = pulled(u[t] + h * a, h / 2 * w, p)
            d1, k1, c1 = pulled(u[t], h / 2 * w + h * d2, p)
            w, dk, dc = w + d2 + d1, dk + k1 + k2, dc + c1 + c2
        return {"u": w, "k": np.asarray(dk), "c": np.asarray(dc)}

    return functions(
        lambda p: ((run(p)[-1] - target) ** 2).sum() / 2, gradient,
        {"u": rng.normal(size=2), "k": np.array(2.0), "c": np.array(0.3)}, f"pendulum, {T} steps",
    )  # fmt: skip


def sorted_values(rng: Rng) -> Subject:
    """Order statistics: np.sort and np.median order complex numbers by their real parts."""
    n = int(rng.integers(2, 8))
    weights = rng.normal(size=n)
    how = str(rng.choice(["sort", "median", "maximum"]))

    def loss(p: Any) -> Any:
        s = np.sort(p["x"])
        return {"sort": lambda: weights @ s**2, "median": lambda: np.median(p["x"]) ** 2,
                "maximum": lambda: np.max(p["x"]) ** 3}[how]()  # fmt: skip

    def gradient(p: Any) -> Any:
        x = p["x"]
        order = np.argsort(x)
        g = np.zeros_like(x)
        if how == "sort":
            g[order] = 2 * weights * x[order]
        elif how == "maximum":
            g[order[-1]] = 3 * x[order[-1]] ** 2
        else:
            middle = order[(n - 1) // 2 : n // 2 + 1]
            g[middle] = 2 * x[middle].mean() / len(middle)
        return {"x": g}

    return functions(loss, gradient, {"x": rng.normal(size=n)}, how)


def pythons_own_mathematics(rng: Rng) -> Subject:
    """A loop over Python floats with math.exp, which refuses complex numbers, and a float() around the result."""
    n = int(rng.integers(1, 8))
    w = rng.normal(size=n).tolist()

    def loss(p: Any) -> Any:
        total = 0.0
        for a, x in zip(w, p["x"], strict=True):
            total += a * math.exp(math.sin(x))
        return float(total)

    def gradient(p: Any) -> Any:
        return {"x": np.array([a * math.exp(math.sin(x)) * math.cos(x) for a, x in zip(w, p["x"], strict=True)])}

    return functions(loss, gradient, {"x": rng.normal(size=n)}, "Python's own mathematics")


def silently_real(rng: Rng) -> Subject:
    """A forward pass through a buffer of float64: the imaginary part is dropped with a warning, or only in a part."""
    n, T = int(rng.integers(1, 5)), int(rng.integers(1, 6))
    x = rng.normal(size=(T, n))
    wholly = bool(rng.random() < 0.5)

    def run(p: Any) -> Any:
        h = np.zeros((T + 1, n))
        h[0] = np.real(p["h0"]) if wholly else p["h0"]
        for t in range(T):
            h[t + 1] = np.real(np.tanh(np.real(p["U"]) @ h[t] + x[t]))
        return h

    def loss(p: Any) -> Any:
        h = run(p)
        return (h[1:] ** 2).sum() / 2 + (0 if wholly else (p["b"] ** 2).sum())

    def gradient(p: Any) -> Any:
        h = run(p)
        dU, carried = np.zeros((n, n)), np.zeros(n)
        for t in reversed(range(T)):
            dz = (h[t + 1] + carried) * (1 - h[t + 1] ** 2)
            dU += np.outer(dz, h[t])
            carried = p["U"].T @ dz
        return {"U": dU, "h0": carried} | ({} if wholly else {"b": 2 * p["b"]})

    point = {"U": rng.normal(size=(n, n)), "h0": rng.normal(size=n)}
    return functions(loss, gradient, point if wholly else point | {"b": rng.normal(size=3)}, "real buffers, silently")


def piecewise_constant(rng: Rng) -> Subject:
    """A bucket by floor, whose derivative is 0, times something smooth."""
    n = int(rng.integers(1, 7))

    def bucket(x: Any) -> Any:
        return np.floor(np.real(x) * 2) / 2

    return functions(
        lambda p: (bucket(p["x"]) * p["y"] ** 2 + np.sin(p["x"])).sum(),
        lambda p: {"x": np.cos(p["x"]), "y": 2 * bucket(p["x"]) * p["y"]},
        {"x": rng.normal(size=n), "y": rng.normal(size=n)},
        "buckets",
    )


def offsets(rng: Rng) -> Subject:
    """A huge constant, and something small whose derivative is asked for."""
    c = float(rng.choice([1e6, 1e8, 1e10])) * float(rng.choice([-1, 1]))
    s = float(rng.choice([1.0, 1e-3]))
    return functions(
        lambda p: c + s * (np.tanh(p["x"]) * p["y"]).sum(),
        lambda p: {"x": s * (1 - np.tanh(p["x"]) ** 2) * p["y"], "y": s * np.tanh(p["x"])},
        {"x": rng.normal(size=4), "y": rng.normal(size=4)},
        f"{c:g} plus something of {s:g}",
    )


def loss_of_any_size(rng: Rng) -> Subject:
    c = 10.0 ** float(rng.integers(-14, 15))
    return functions(
        lambda p: c * (np.exp(np.sin(p["x"])) @ p["y"]),
        lambda p: {"x": c * np.exp(np.sin(p["x"])) * np.cos(p["x"]) * p["y"], "y": c * np.exp(np.sin(p["x"]))},
        {"x": rng.normal(size=5), "y": rng.normal(size=5)},
        f"a loss times {c:g}",
    )


def alternating_sum(rng: Rng) -> Subject:
    """exp(−x) by its series, whose terms are far larger than their sum."""
    x = rng.uniform(1, 12, 3)
    terms = 60

    def loss(p: Any) -> Any:
        total, term = 0 * p["x"], 1 + 0 * p["x"]
        for k in range(terms):
            total = total + term
            term = -term * p["x"] / (k + 1)
        return total.sum()

    return functions(loss, lambda p: {"x": -np.exp(-p["x"])}, {"x": x}, "alternating series")


def constants_that_cancel(rng: Rng) -> Subject:
    """Two terms whose weights are alike but for a small share: their difference is rounded, whatever the point is."""
    factor = float(rng.choice([1e3, 3e5, 7e6]))
    weights = rng.normal(size=5)
    others = weights * (1 - float(rng.choice([1e-4, 1e-6, 1e-8])))
    spread = bool(rng.integers(2))

    def gradient(p: Any) -> Any:
        slope = 1 - np.tanh(p["x"]) ** 2
        if spread:
            return {"x": factor * weights * slope - factor * others * slope}
        return {"x": (factor * weights - factor * others) * slope}

    return functions(
        lambda p: factor * (weights @ np.tanh(p["x"])) - factor * (others @ np.tanh(p["x"])),
        gradient,
        {"x": rng.normal(size=5)},
        "constants that cancel",
    )


def odd_points(rng: Rng) -> Subject:
    """A smooth loss at zeros, at subnormal numbers, at huge and tiny entries side by side."""
    n = int(rng.integers(2, 8))
    x = {
        "zeros": np.zeros(n),
        "subnormal": rng.normal(size=n) * 1e-310,
        "tiny": rng.normal(size=n) * 1e-200,
        "mixed": rng.normal(size=n) * 10.0 ** rng.uniform(-12, 3, n),
        "some zeros": rng.normal(size=n) * (rng.random(n) < 0.5),
    }[name := str(rng.choice(["zeros", "subnormal", "tiny", "mixed", "some zeros"]))]
    A = rng.normal(size=(n, n))

    def gradient(p: Any) -> Any:
        c = 1 - np.tanh(A @ p["x"] + p["b"]) ** 2
        return {"x": A.T @ c, "b": c}

    return functions(
        lambda p: np.tanh(A @ p["x"] + p["b"]).sum(), gradient, {"x": x, "b": rng.normal(size=n)}, f"point of {name}"
    )


def inputs_of_ten_thousand(rng: Rng) -> Subject:
    n, D = int(rng.integers(1, 10)), int(rng.integers(1, 5))
    X = rng.normal(size=(n, D)) * 10.0 ** rng.uniform(0, 4, D)

    def gradient(p: Any) -> Any:
        h = np.tanh(X @ p["w"] + p["b"])
        d = h * (1 - h * h)
        return {"w": X.T @ d, "b": d.sum()}

    return functions(
        lambda p: (np.tanh(X @ p["w"] + p["b"]) ** 2).sum() / 2, gradient,
        {"w": rng.normal(size=D), "b": np.array(0.3)}, "inputs of 1 to 1e4",
    )  # fmt: skip


def single_network(rng: Rng) -> Subject:
    """A perceptron in float32; its targets and inputs float32 or, as it happens, float64."""
    n, D, H = (int(rng.integers(1, 8)) for _ in range(3))
    mixed = bool(rng.random() < 0.3)
    kind = np.float64 if mixed else np.float32
    X, y = rng.normal(size=(n, D)).astype(kind), rng.normal(size=n).astype(kind)

    def run(p: Any) -> Any:
        a = np.tanh(X @ p["W"] + p["b"])
        return a, a @ p["v"] - y

    def gradient(p: Any) -> Any:
        a, r = run(p)
        dz = np.outer(r, p["v"]) * (1 - a * a)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "v": a.T @ r}

    scale = float(rng.choice([1.0, 5.0]))
    point = {"W": scale * rng.normal(size=(D, H)), "b": rng.normal(size=H), "v": rng.normal(size=H)}
    point = {k: a.astype(np.float32) for k, a in point.items()}
    return functions(lambda p: (run(p)[1] ** 2).sum() / 2, gradient, point, f"float32 perceptron{', mixed' * mixed}")


def single_that_casts(rng: Rng) -> Subject:
    """Code that makes float32 of all it gets, called with float32 arrays: what can be seen is what float32 shows."""
    n, D = int(rng.integers(1, 30)), int(rng.integers(1, 6))
    X, y = rng.normal(size=(n, D)).astype(np.float32), rng.integers(2, size=n).astype(np.float32)

    def single(a: Any) -> Any:
        return np.ascontiguousarray(a, dtype=np.float32)

    def loss(p: Any) -> Any:
        z = X @ single(p["w"]) + single(p["b"])
        return np.mean(np.logaddexp(np.float32(0), z) - y * z)

    def gradient(p: Any) -> Any:
        z = X @ single(p["w"]) + single(p["b"])
        dz = (1 / (1 + np.exp(-z)) - y) / np.float32(n)
        return {"w": X.T @ dz, "b": dz.sum()}

    point = {"w": rng.normal(size=D).astype(np.float32), "b": np.array(0.1, np.float32)}
    return functions(loss, gradient, point, "float32 that casts")


KINDS: dict[str, Callable[[Rng], Subject]] = {
    "Gaussian by Cholesky": gaussian_by_cholesky,
    "Gaussian process": gaussian_process,
    "linear system": solved,
    "eigenvalues": eigenvalues,
    "nuclear norm": nuclear_norm,
    "power spectrum": power_spectrum,
    "special functions": special_functions,
    "bilinear form": bilinear_by_einsum,
    "logistic map": chaos,
    "pendulum": runge_kutta,
    "order statistics": sorted_values,
    "Python's own mathematics": pythons_own_mathematics,
    "real buffers, silently": silently_real,
    "buckets": piecewise_constant,
    "huge constants": offsets,
    "loss of any size": loss_of_any_size,
    "alternating series": alternating_sum,
    "constants that cancel": constants_that_cancel,
    "odd points": odd_points,
    "inputs of 1 to 1e4": inputs_of_ten_thousand,
    "float32 network": single_network,
    "float32 that casts": single_that_casts,
}
