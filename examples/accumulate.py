"""A layer that *adds* its gradients, in place, to what is there, so that several batches can share a training step.

Whoever trains it clears them between steps. Here a step is two batches, and the layer is in the middle of its training:
its gradients hold those of the step before. Form: ``Subject.from_object``.
"""

import copy

import numpy as np

from bptt_check import Subject


class Parameter:
    def __init__(self, data):
        self.data = data
        self.grad = np.zeros_like(data)


class Layer:
    """h(t) = tanh(x(t) W + h(t-1) U + b), h(0) = 0."""

    def __init__(self, D, H, rng):
        self.W = Parameter(rng.normal(size=(D, H)))
        self.U = Parameter(rng.normal(size=(H, H)))
        self.b = Parameter(rng.normal(size=H))

    def clear(self):
        for parameter in (self.W, self.U, self.b):
            parameter.grad[...] = 0

    def loss(self, xs, y):
        """Squared error of the last h; adds to the gradients."""
        hs = [np.zeros((xs.shape[1], self.b.data.size))]
        for x in xs:
            hs.append(np.tanh(x @ self.W.data + hs[-1] @ self.U.data + self.b.data))
        dh = 2 * (hs[-1] - y)
        for t in reversed(range(len(xs))):
            dz = (1 - hs[t + 1] ** 2) * dh
            self.W.grad[...] += xs[t].T @ dz
            self.U.grad[...] += hs[t].T @ dz
            self.b.grad[...] += dz.sum(axis=0)
            dh = dz @ self.U.data.T
        return ((hs[-1] - y) ** 2).sum()


def subject(T=5, B=3, D=4, H=2, rng=0):
    rng = np.random.default_rng(rng)
    layer = Layer(D, H, rng)
    batches = [(rng.normal(size=(T, B, D)), rng.normal(size=(B, H))) for _ in range(2)]

    def step(layer):
        layer.clear()
        return sum(layer.loss(xs, y) for xs, y in batches)

    step(layer)
    return Subject.from_object(
        lambda: copy.deepcopy(layer),
        step,
        parameters={name: f"{name}.data" for name in "WUb"},
        gradients={name: f"{name}.grad" for name in "WUb"},
        name="accumulating layer",
    )
