"""Trains itself: no gradient is handed out, the weights are moved inside, one packed matrix; the last loss counts."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


class Trainer:
    def __init__(self, rng):
        draw = np.random.default_rng(rng).normal
        self.rate = 0.01
        self.T, self.N, self.D, self.H = 4, 2, 3, 2
        self.M = draw(size=(4 * self.H, self.D + self.H + 1))
        self.xs, self.goal = draw(size=(self.T, self.N, self.D)), draw(size=(self.N, self.H))

    def step(self):
        H, N = self.H, self.N
        h, c, tape = np.zeros((N, H)), np.zeros((N, H)), []
        for x in self.xs:
            v = np.hstack([x, h, np.ones((N, 1))])
            a = v @ self.M.T
            f, i, o = (1 / (1 + np.exp(-a[:, k * H : (k + 1) * H])) for k in range(3))
            g = np.tanh(a[:, 3 * H :])
            tape.append((v, c, f, i, o, g))
            c = f * c + i * g
            h = o * np.tanh(c)
        loss = 0.5 * ((h - self.goal) ** 2).sum()
        dh, dc, dM = h - self.goal, np.zeros((N, H)), np.zeros_like(self.M)
        for v, before, f, i, o, g in tape[::-1]:
            after = np.tanh(f * before + i * g)
            dc = dc + dh * o * (1 - after**2)
            da = np.hstack(
                [dc * before * f * (1 - f), dc * g * i * (1 - i), dh * after * o * (1 - o), dc * i * (1 - g**2)]
            )
            dM += da.T @ v
            dh = (da @ self.M)[:, self.D : -1]
            dc = dc * f
        self.M -= self.rate * dM
        return loss


def subject(rng):
    return Subject.from_update(lambda: Trainer(rng), Trainer.step, parameters={"M": "M"}, learning_rate="rate")


MISTAKES = (
    Mistake(
        "decay of the weights",
        "self.M -= self.rate * dM",
        "self.M -= self.rate * (dM + 0.1 * self.M)",
        ("weight-decay",),
    ),
    Mistake("carry dropped", "dc = dc * f\n", "dc = 0 * f\n"),
    Mistake(
        "clipped norm",
        "self.M -= self.rate * dM",
        "self.M -= self.rate * dM / max(1.0, np.linalg.norm(dM) / 0.1)",
        ("clipped-norm", "scaled"),
    ),
)
