"""Right gradients of functions that are no LSTMs: smooth ones of every kind, and ones with a kink nearby."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from bptt_check import Subject

Rng = np.random.Generator


def _functions(loss: Any, gradient: Any, point: Any, name: str) -> Subject:
    return Subject.from_functions(loss, gradient, point, name=name)


def quadratic_form(rng: Rng) -> Subject:
    n = int(rng.integers(1, 12))
    A = rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-4, 4, n)
    A = A + A.T
    return _functions(
        lambda p: p["x"] @ A @ p["x"] / 2, lambda p: {"x": A @ p["x"]}, {"x": rng.normal(size=n)}, "quadratic form"
    )


def log_determinant(rng: Rng) -> Subject:
    n = int(rng.integers(2, 6))

    def loss(p: Any) -> Any:
        A = np.array(p["A"])
        total = 0
        for k in range(n):  # LU without pivoting, for a diagonally dominant matrix
            total = total + np.log(A[k, k])
            A[k + 1 :] = A[k + 1 :] - np.outer(A[k + 1 :, k] / A[k, k], A[k])
        return total

    return _functions(
        loss,
        lambda p: {"A": np.linalg.inv(p["A"].astype(float)).T},
        {"A": rng.normal(size=(n, n)) + 3 * n * np.eye(n)},
        "log determinant",
    )


def log_determinant_by_lapack(rng: Rng) -> Subject:
    n = int(rng.integers(2, 6))
    return _functions(
        lambda p: np.linalg.slogdet(p["A"])[1],
        lambda p: {"A": np.linalg.inv(p["A"]).T},
        {"A": rng.normal(size=(n, n)) + 2 * np.eye(n)},
        "slogdet",
    )


def matrix_factorisation(rng: Rng) -> Subject:
    n, m, k = (int(rng.integers(1, 6)) for _ in range(3))
    R = rng.normal(size=(n, m))

    def gradient(p: Any) -> Any:
        E = p["U"] @ p["V"].T - R
        return {"U": 2 * E @ p["V"], "V": 2 * E.T @ p["U"]}

    return _functions(
        lambda p: ((p["U"] @ p["V"].T - R) ** 2).sum(),
        gradient,
        {"U": rng.normal(size=(n, k)), "V": rng.normal(size=(m, k)) * 10.0 ** rng.integers(-6, 7)},
        "matrix factorisation",
    )


def powers(rng: Rng) -> Subject:
    n = int(rng.integers(1, 8))
    e = rng.uniform(-3, 6, n)
    x = 10.0 ** rng.uniform(-3, 3, n)
    return _functions(lambda p: (p["x"] ** e).sum(), lambda p: {"x": e * p["x"] ** (e - 1)}, {"x": x}, "powers")


def one_power(rng: Rng) -> Subject:
    e = float(rng.choice([-2, -1, 0.5, 2, 3, 5]))
    x = 10.0 ** rng.uniform(-8, 8, 3)
    return _functions(
        lambda p: np.prod(p["x"] ** e), lambda p: {"x": e * np.prod(p["x"] ** e) / p["x"]}, {"x": x}, "product"
    )


def perceptron(rng: Rng) -> Subject:
    n, D, H = (int(rng.integers(1, 6)) for _ in range(3))
    X, y = rng.normal(size=(n, D)), rng.normal(size=n)

    def run(p: Any) -> Any:
        a = np.tanh(X @ p["W"] + p["b"])
        return a, a @ p["v"] - y

    def gradient(p: Any) -> Any:
        a, r = run(p)
        dz = np.outer(r, p["v"]) * (1 - a * a)
        return {"W": X.T @ dz, "b": dz.sum(axis=0), "v": a.T @ r}

    point = {"W": rng.normal(size=(D, H)), "b": rng.normal(size=H), "v": rng.normal(size=H)}
    return _functions(lambda p: (run(p)[1] ** 2).sum() / 2, gradient, point, "perceptron")


def softmax_regression(rng: Rng) -> Subject:
    n, D, K = int(rng.integers(1, 8)), int(rng.integers(1, 6)), int(rng.integers(2, 6))
    X, y = rng.normal(size=(n, D)) * 10.0 ** rng.integers(-2, 3), rng.integers(K, size=n)

    def shares(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        z = z - z.max(axis=1, keepdims=True)
        return z, np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)

    def loss(p: Any) -> Any:
        z, _ = shares(p)
        return (np.log(np.exp(z).sum(axis=1)) - z[np.arange(n), y]).mean()

    def gradient(p: Any) -> Any:
        q = shares(p)[1].copy()
        q[np.arange(n), y] -= 1
        return {"W": X.T @ q / n, "b": q.mean(axis=0)}

    return _functions(loss, gradient, {"W": rng.normal(size=(D, K)), "b": rng.normal(size=K)}, "softmax regression")


def rosenbrock(rng: Rng) -> Subject:
    n = int(rng.integers(2, 10))

    def gradient(p: Any) -> Any:
        x = p["x"]
        d = np.zeros_like(x)
        d[:-1] = -400 * x[:-1] * (x[1:] - x[:-1] ** 2) - 2 * (1 - x[:-1])
        d[1:] += 200 * (x[1:] - x[:-1] ** 2)
        return {"x": d}

    x = np.ones(n) if rng.random() < 0.3 else rng.normal(size=n) * 10.0 ** rng.integers(-2, 3)
    return _functions(
        lambda p: (100 * (p["x"][1:] - p["x"][:-1] ** 2) ** 2 + (1 - p["x"][:-1]) ** 2).sum(),
        gradient,
        {"x": x},
        "Rosenbrock",
    )


def likelihood(rng: Rng) -> Subject:
    n = int(rng.integers(2, 20))
    data = rng.normal(size=n) + float(rng.choice([0, 100, 1e4]))

    def gradient(p: Any) -> Any:
        r, v = data - p["m"], np.exp(p["l"])
        return {"m": np.array(-(r / v).sum()), "l": np.array((0.5 - 0.5 * r * r / v).sum())}

    return _functions(
        lambda p: (0.5 * p["l"] + 0.5 * (data - p["m"]) ** 2 / np.exp(p["l"])).sum(),
        gradient,
        {"m": np.array(data.mean() + 0.1), "l": np.array(rng.normal())},
        "Gaussian likelihood",
    )


def oscillating(rng: Rng) -> Subject:
    k = float(rng.choice([1e2, 1e3, 1e4, 1e6]))
    return _functions(
        lambda p: np.sin(k * p["x"]).sum(),
        lambda p: {"x": k * np.cos(k * p["x"])},
        {"x": rng.normal(size=4)},
        "fast oscillation",
    )


def steep(rng: Rng) -> Subject:
    k = float(rng.choice([1e2, 1e4, 1e6]))
    x = rng.normal(size=3) / k
    return _functions(
        lambda p: np.tanh(k * p["x"]).sum() + p["y"] @ p["y"],
        lambda p: {"x": k * (1 - np.tanh(k * p["x"]) ** 2), "y": 2 * p["y"]},
        {"x": x, "y": rng.normal(size=3)},
        "steep step",
    )


def flat_and_steep(rng: Rng) -> Subject:
    a = 10.0 ** rng.uniform(-12, 6, 6)
    return _functions(
        lambda p: (a * np.sin(p["x"])).sum(),
        lambda p: {"x": a * np.cos(p["x"])},
        {"x": rng.normal(size=6)},
        "1e-12 to 1e6",
    )


def flat_and_steep_blocks(rng: Rng) -> Subject:
    a, b = 10.0 ** float(rng.uniform(-12, -6)), 10.0 ** float(rng.uniform(3, 6))
    return _functions(
        lambda p: a * (np.sin(p["u"]) * p["v"]).sum() + b * (p["w"] ** 3).sum(),
        lambda p: {"u": a * np.cos(p["u"]) * p["v"], "v": a * np.sin(p["u"]), "w": 3 * b * p["w"] ** 2},
        {k: rng.normal(size=4) for k in "uvw"},
        "blocks of 1e-12 and 1e6",
    )


def difference_of_large(rng: Rng) -> Subject:
    k = float(rng.choice([1e4, 1e6]))
    return _functions(
        lambda p: ((p["x"] + k) ** 2 - k**2 - 2 * k * p["x"]).sum(),
        lambda p: {"x": 2 * (p["x"] + k) - 2 * k},
        {"x": rng.normal(size=4)},
        "difference of large terms",
    )


def unused_block(rng: Rng) -> Subject:
    return _functions(
        lambda p: (p["x"] ** 2).sum(),
        lambda p: {"x": 2 * p["x"], "unused": np.zeros(5)},
        {"x": rng.normal(size=4), "unused": rng.normal(size=5)},
        "a block that does not matter",
    )


def constant(rng: Rng) -> Subject:
    return _functions(
        lambda p: 3.0 + 0 * p["x"].sum(), lambda p: {"x": 0 * p["x"]}, {"x": rng.normal(size=4)}, "constant loss"
    )


def linear(rng: Rng) -> Subject:
    a = rng.normal(size=7)
    return _functions(lambda p: a @ p["x"], lambda p: {"x": a.copy()}, {"x": rng.normal(size=7)}, "linear loss")


def flat_minimum(rng: Rng) -> Subject:
    e = int(rng.choice([2, 4, 6]))
    return _functions(
        lambda p: (p["x"] ** e).sum(), lambda p: {"x": e * p["x"] ** (e - 1)}, {"x": np.zeros(4)}, "x = 0"
    )


def _place(rng: Rng) -> float:
    return float(rng.choice([0.0, 1e-7, -1e-7, 1e-5, -1e-5]))


def relu_kink(rng: Rng) -> Subject:
    """A layer of ReLUs of which one stands at its kink, or very near it."""
    n, H = int(rng.integers(1, 5)), int(rng.integers(2, 6))
    X, v = rng.normal(size=(1, n)), rng.normal(size=H)
    W = rng.normal(size=(n, H))
    b = rng.normal(size=H)
    place = _place(rng)
    W[:, 0] = 0  # so that the first unit's sum is its bias, exactly
    b[0] = place
    at_kink = float(rng.integers(2))

    def gradient(p: Any) -> Any:
        z = X @ p["W"] + p["b"]
        open_ = np.where(z == 0, at_kink, z > 0)
        r = (np.maximum(z, 0) @ v)[:, None]
        dz = r * v * open_
        return {"W": X.T @ dz, "b": dz.sum(axis=0)}

    return _functions(
        lambda p: (np.maximum(X @ p["W"] + p["b"], 0) @ v + 0).sum() ** 2 / 2, gradient, {"W": W, "b": b},
        f"ReLU {place:g} from its kink",
    )  # fmt: skip


def absolute_kink(rng: Rng) -> Subject:
    n = int(rng.integers(1, 8))
    y, place = rng.normal(size=n), _place(rng)
    h = y + rng.normal(size=n)
    h[0] = y[0] + place
    return _functions(
        lambda p: np.abs(p["h"] - y).sum(),
        lambda p: {"h": np.sign(p["h"] - y)},
        {"h": h},
        f"|h - y| {place:g} from its kink",
    )


def absolute_kink_inside(rng: Rng) -> Subject:
    """|h − y| at 0 where h is computed: tanh of a sum that is exactly 0, or nearly."""
    n, place = int(rng.integers(1, 5)), _place(rng)
    x = rng.normal(size=n)
    w, b = np.zeros(n), np.array(place)

    def gradient(p: Any) -> Any:
        h = np.tanh(p["w"] @ x + p["b"])
        d = np.sign(h) * (1 - h * h) + 1
        return {"w": d * x, "b": np.array(d)}

    return _functions(
        lambda p: np.abs(np.tanh(p["w"] @ x + p["b"])) + p["w"] @ x + p["b"], gradient, {"w": w, "b": b},
        f"|tanh| {place:g} from its kink",
    )  # fmt: skip


def leaky_kink(rng: Rng) -> Subject:
    place = _place(rng)
    x = rng.normal(size=5)
    x[2] = place

    def slope(z: Any) -> Any:
        return np.where(z > 0, 1.0, 0.01)

    return _functions(
        lambda p: (np.where(p["x"] > 0, 1.0, 0.01) * p["x"] * np.arange(1, 6)).sum(),
        lambda p: {"x": slope(p["x"]) * np.arange(1, 6)},
        {"x": x},
        f"leaky ReLU {place:g} from its kink",
    )


def maximum_tie(rng: Rng) -> Subject:
    place = _place(rng)
    x = rng.normal(size=5)
    x[3] = x.max() + 1
    x[1] = x[3] - abs(place)
    return _functions(
        lambda p: 3 * p["x"].max() + (p["x"] ** 2).sum(),
        lambda p: {"x": 3.0 * (np.arange(5) == np.argmax(p["x"])) + 2 * p["x"]},
        {"x": x},
        f"maximum {place:g} from a tie",
    )


def hinge(rng: Rng) -> Subject:
    n, D = int(rng.integers(2, 8)), int(rng.integers(1, 5))
    X, y = rng.normal(size=(n, D)), rng.choice([-1.0, 1.0], n)
    return _functions(
        lambda p: np.maximum(0, 1 - y * (X @ p["w"])).sum(),
        lambda p: {"w": -(X.T @ (y * (y * (X @ p["w"]) < 1)))},
        {"w": rng.normal(size=D)},
        "hinge loss",
    )


def relu_network(rng: Rng) -> Subject:
    """A recurrent network of ReLUs at a random point."""
    T, H = int(rng.integers(1, 8)), int(rng.integers(1, 6))
    x = rng.normal(size=(T, H))

    def run(p: Any) -> Any:
        h, z = [p["h0"]], []
        for t in range(T):
            z.append(p["U"] @ h[t] + x[t])
            h.append(np.maximum(z[t], 0))
        return h, z

    def loss(p: Any) -> Any:
        return sum((h**2).sum() for h in run(p)[0][1:])

    def gradient(p: Any) -> Any:
        h, z = run(p)
        dU, carried = np.zeros_like(p["U"]), np.zeros_like(p["h0"])
        for t in reversed(range(T)):
            dz = (2 * h[t + 1] + carried) * (z[t] > 0)
            dU += np.outer(dz, h[t])
            carried = p["U"].T @ dz
        return {"U": dU, "h0": carried}

    return _functions(loss, gradient, {"U": rng.normal(size=(H, H)), "h0": rng.normal(size=H)}, "ReLU network")


def huber(rng: Rng) -> Subject:
    """Huber's loss, whose slope is continuous: no kink, whatever the residual."""
    y = rng.normal(size=6)
    r = rng.normal(size=6)
    r[0], r[1], r[2] = 1.0, -1.0, 1.0 + 1e-7
    return _functions(
        lambda p: np.where(np.abs(p["h"] - y) <= 1, (p["h"] - y) ** 2 / 2, np.abs(p["h"] - y) - 0.5).sum(),
        lambda p: {"h": np.clip(p["h"] - y, -1, 1)},
        {"h": y + r},
        "Huber at its joint",
    )


def norms(rng: Rng) -> Subject:
    x = rng.normal(size=6) * 10.0 ** float(rng.integers(-8, 9))
    return _functions(
        lambda p: np.sqrt((p["x"] ** 2).sum()), lambda p: {"x": p["x"] / np.sqrt((p["x"] ** 2).sum())}, {"x": x}, "norm"
    )


def norm_by_linalg(rng: Rng) -> Subject:
    x = rng.normal(size=6)
    return _functions(
        lambda p: np.linalg.norm(p["x"]), lambda p: {"x": p["x"] / np.linalg.norm(p["x"])}, {"x": x}, "linalg.norm"
    )


KINDS: dict[str, Callable[[Rng], Subject]] = {
    function.__name__.replace("_", " "): function
    for function in (
        quadratic_form, log_determinant, log_determinant_by_lapack, matrix_factorisation, powers, one_power, perceptron,
        softmax_regression, rosenbrock, likelihood, oscillating, steep, flat_and_steep, flat_and_steep_blocks,
        difference_of_large, unused_block, constant, linear, flat_minimum, relu_kink, absolute_kink,
        absolute_kink_inside, leaky_kink, maximum_tie, hinge, relu_network, huber, norms, norm_by_linalg,
    )
}  # fmt: skip
