"""The LSTM of the "Simple LSTM" post (N. Jimenez, 2014) as objects that add up derivatives in ``*_diff`` attributes.

One parameter object is shared by all steps; a node is one step of one sequence; a chain is the nodes of one sequence.
The post's cell (no tanh on the output), the post's toy task (four random inputs, squared error of the first cell only)
and the post's size: T = 4, D = 50, H = 100, weights within ±0.1. The writing is our own.

Form: ``Subject.from_object``. ``python examples/post_style.py`` verifies the gradients before, during and after
training.
"""

import copy

import numpy as np

from bptt_check import Subject, check

TARGETS = (-0.5, 0.2, 0.1, -0.5)


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


class Param:
    """Weights of the four gates over x_c = [x, h], their biases, and beside each the derivative added up so far."""

    def __init__(self, D, H, rng, within=0.1):
        self.H = H
        for k in "gifo":
            setattr(self, f"w{k}", rng.uniform(-within, within, (H, D + H)))
            setattr(self, f"b{k}", rng.uniform(-within, within, H))
        self.clear()

    def clear(self):
        for k in "gifo":
            setattr(self, f"w{k}_diff", np.zeros_like(getattr(self, f"w{k}")))
            setattr(self, f"b{k}_diff", np.zeros_like(getattr(self, f"b{k}")))

    def descend(self, rate):
        for k in "gifo":
            setattr(self, f"w{k}", getattr(self, f"w{k}") - rate * getattr(self, f"w{k}_diff"))
            setattr(self, f"b{k}", getattr(self, f"b{k}") - rate * getattr(self, f"b{k}_diff"))
        self.clear()


class Node:
    """One time step."""

    def __init__(self, param):
        self.param = param

    def receive(self, x, h_prev, s_prev):
        p = self.param
        self.s_prev = s_prev
        self.xc = np.concatenate([x, h_prev])
        self.g = np.tanh(p.wg @ self.xc + p.bg)
        self.i = sigmoid(p.wi @ self.xc + p.bi)
        self.f = sigmoid(p.wf @ self.xc + p.bf)
        self.o = sigmoid(p.wo @ self.xc + p.bo)
        self.s = self.g * self.i + s_prev * self.f
        self.h = self.s * self.o

    def hand_back(self, h_diff, s_next_diff):
        """From dL/dh(t), and what step t+1 hands back to s(t), to the derivatives of weights, x, h(t-1), s(t-1)."""
        p = self.param
        s_diff = self.o * h_diff + s_next_diff
        o_diff = self.s * h_diff
        i_diff = self.g * s_diff
        g_diff = self.i * s_diff
        f_diff = self.s_prev * s_diff

        zi_diff = self.i * (1 - self.i) * i_diff
        zf_diff = self.f * (1 - self.f) * f_diff
        zo_diff = self.o * (1 - self.o) * o_diff
        zg_diff = (1 - self.g**2) * g_diff

        p.wi_diff += np.outer(zi_diff, self.xc)
        p.wf_diff += np.outer(zf_diff, self.xc)
        p.wo_diff += np.outer(zo_diff, self.xc)
        p.wg_diff += np.outer(zg_diff, self.xc)
        p.bi_diff += zi_diff
        p.bf_diff += zf_diff
        p.bo_diff += zo_diff
        p.bg_diff += zg_diff

        xc_diff = p.wi.T @ zi_diff + p.wf.T @ zf_diff + p.wo.T @ zo_diff + p.wg.T @ zg_diff
        D = len(self.xc) - p.H
        self.x_diff = xc_diff[:D]
        self.h_prev_diff = xc_diff[D:]
        self.s_prev_diff = s_diff * self.f


class FirstCellLoss:
    """The toy loss: only the first memory cell is looked at."""

    @staticmethod
    def value(h, y):
        return (h[0] - y) ** 2

    @staticmethod
    def h_diff(h, y):
        diff = np.zeros_like(h)
        diff[0] = 2 * (h[0] - y)
        return diff


class Chain:
    """The nodes of one sequence."""

    def __init__(self, param, xs, h0, s0):
        self.nodes = []
        for x in xs:
            node = Node(param)
            node.receive(x, h0, s0)
            h0, s0 = node.h, node.s
            self.nodes.append(node)

    def loss(self, ys):
        """The loss of the sequence; leaves the derivatives in the nodes, and adds to those of the parameters."""
        total, h_next_diff, s_next_diff = 0.0, 0.0, 0.0
        for node, y in zip(reversed(self.nodes), reversed(ys), strict=True):
            total += FirstCellLoss.value(node.h, y)
            node.hand_back(FirstCellLoss.h_diff(node.h, y) + h_next_diff, s_next_diff)
            h_next_diff, s_next_diff = node.h_prev_diff, node.s_prev_diff
        return total


class Task:
    """Parameters and data of one training step: x (B, T, D), y (B, T), first states (B, H)."""

    def __init__(self, param, x, y, h0=None, s0=None):
        self.param, self.x, self.y = param, x, y
        self.h0 = np.zeros((len(x), param.H)) if h0 is None else h0
        self.s0 = np.zeros((len(x), param.H)) if s0 is None else s0

    def loss(self):
        """The loss over all sequences; its derivatives are in ``param`` and in ``x_diff``, ``h0_diff``, ``s0_diff``."""
        self.param.clear()
        chains = [Chain(self.param, *sequence) for sequence in zip(self.x, self.h0, self.s0, strict=True)]
        total = sum(chain.loss(ys) for chain, ys in zip(chains, self.y, strict=True))
        self.x_diff = np.array([[node.x_diff for node in chain.nodes] for chain in chains])
        self.h0_diff = np.array([chain.nodes[0].h_prev_diff for chain in chains])
        self.s0_diff = np.array([chain.nodes[0].s_prev_diff for chain in chains])
        return total


def subject_of(task):
    """A task as it stands, at its weights of the moment."""
    names = [f"{letter}{k}" for letter in "wb" for k in "gifo"]
    return Subject.from_object(
        lambda: copy.deepcopy(task),
        Task.loss,
        parameters={**{name: f"param.{name}" for name in names}, "x": "x", "h0": "h0", "s0": "s0"},
        gradients={**{name: f"param.{name}_diff" for name in names}, "x": "x_diff", "h0": "h0_diff", "s0": "s0_diff"},
        name="post style",
        loss_of="first_cell",
        targets=task.y,
    )


def subject(T=4, B=1, D=50, H=100, rng=0):
    rng = np.random.default_rng(rng)
    param = Param(D, H, rng, within=0.1 if H > 10 else 1.0)
    x, y = rng.uniform(0, 1, (B, T, D)), rng.uniform(-1, 1, (B, T))
    return subject_of(Task(param, x, y, rng.normal(size=(B, H)), rng.normal(size=(B, H))))


def toy_task(rng=0):
    """The post's: one sequence of four random inputs, first states zero."""
    rng = np.random.default_rng(rng)
    return Task(Param(50, 100, rng), rng.uniform(0, 1, (1, 4, 50)), np.array([TARGETS]))


def train(steps, task=None, rate=0.1):
    """Gradient descent; returns the task, its weights trained, and the loss before each step."""
    task = task or toy_task()
    losses = []
    for _ in range(steps):
        losses.append(task.loss())
        task.param.descend(rate)
    return task, losses


if __name__ == "__main__":
    task = toy_task()
    for steps in (0, 50, 50):
        train(steps, task)
        print(f"loss {task.loss():.3g}")
        print(check(subject_of(task)), "\n")
