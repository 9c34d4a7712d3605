"""A network that hands out no gradient: ``learn`` runs forward and backward and changes the weights itself.

Form: ``Subject.from_update``; the gradient is (before - after) / learning rate. The harness is told where the rate is.
"""

import numpy as np

from bptt_check import Subject


class Network:
    """h(t) = tanh(x(t) W + h(t-1) U + b), one number v·h(T) for each sequence."""

    def __init__(self, D, H, rng, rate=0.01):
        self.rate = rate
        self.W, self.U, self.b = rng.normal(size=(D, H)), rng.normal(size=(H, H)), rng.normal(size=H)
        self.v = rng.normal(size=H)

    def learn(self, xs, y):
        """One step of gradient descent; returns the loss before it."""
        hs = [np.zeros((xs.shape[1], self.b.size))]
        for x in xs:
            hs.append(np.tanh(x @ self.W + hs[-1] @ self.U + self.b))
        error = hs[-1] @ self.v - y
        dW, dU, db = np.zeros_like(self.W), np.zeros_like(self.U), np.zeros_like(self.b)
        dv = hs[-1].T @ error
        dh = error[:, None] * self.v
        for t in reversed(range(len(xs))):
            dz = (1 - hs[t + 1] ** 2) * dh
            dW += xs[t].T @ dz
            dU += hs[t].T @ dz
            db += dz.sum(axis=0)
            dh = dz @ self.U.T
        self.W = self.W - self.rate * dW
        self.U = self.U - self.rate * dU
        self.b = self.b - self.rate * db
        self.v = self.v - self.rate * dv
        return (error**2).sum() / 2


def subject(T=5, B=3, D=4, H=2, rng=0):
    seed = np.random.default_rng(rng).integers(2**32)
    data = np.random.default_rng([int(seed), 1])
    xs, y = data.normal(size=(T, B, D)), 3 * data.normal(size=B)
    return Subject.from_update(
        lambda: Network(D, H, np.random.default_rng(seed)),
        lambda network: network.learn(xs, y),
        parameters={name: name for name in ("W", "U", "b", "v")},
        learning_rate="rate",
    )
