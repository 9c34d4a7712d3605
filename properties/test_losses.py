"""Losses: a mask changes what counts, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from bptt_check import Subject
from bptt_check.lstm.losses import EUCLIDEAN, LOSS_NAMES

MASKED = ("unequal_lengths:logistic", "last_step:softmax_cross_entropy")


class Sum:
    """h(t) = tanh(w ⊙ x(t) + h(t−1)), its intermediate tapped."""

    state = ("h",)

    def parameters(self, D, H):
        return {"w": (H,)}

    def forward(self, p, x, prev, tap):
        z = tap("z", p["w"] * x + prev["h"])
        return {"h": np.tanh(z)}, (x, np.tanh(z))

    def backward(self, p, cache, d):
        x, h = cache
        dz = (1 - h**2) * d["h"]
        return {"w": (dz * x).sum(axis=0)}, p["w"] * dz, {"h": dz}, {"z": dz}


def in_precision(make, kind):
    drawn = make(None)
    return make({name: array.astype(kind) for name, array in drawn.point.items()})


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("loss", [*LOSS_NAMES, *MASKED])
@pytest.mark.parametrize("form", ["variant", "cell"])
def test_loss_and_gradients_have_the_precision_of_the_point(form, loss, kind):
    def make(point):
        options = {"T": 3, "B": 2, "D": 2, "H": 2, "loss": loss, "point": point}
        return Subject.from_variant("V", **options) if form == "variant" else Subject.from_cell(Sum, **options)

    subject = in_precision(make, kind)
    assert np.asarray(subject.loss(subject.blocks)).dtype == kind
    gradient = subject.gradient(subject.blocks)
    assert {name: array.dtype for name, array in gradient.items() if array.dtype != kind} == {}
    assert {array.dtype for array in subject.interventions.values()} == {np.dtype(kind)}


def test_a_mask_carries_a_complex_step():
    rng = np.random.default_rng(0)
    masked = EUCLIDEAN.masked(np.array([1, 3]), 3)
    h, y = rng.normal(size=(3, 2, 4)), rng.normal(size=(3, 2, 4))
    moved = masked.value(h + 1e-20j, y).imag / 1e-20
    assert moved == pytest.approx(masked.derivative(h, y).sum())
    assert not masked.derivative(h, y)[1:, 0].any()
