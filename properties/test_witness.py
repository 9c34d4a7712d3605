"""An independent witness: automatic differentiation by PyTorch and JAX, where they are installed.

PyTorch has the common cell, NP, as ``torch.nn.LSTM``: its own forward pass and its own autograd. For every cell, the
forward pass is transcribed into JAX straight from docs/equations.md and differentiated by ``jax.grad``.
"""

from __future__ import annotations

import importlib.util
import os

import numpy as np
import pytest

from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import NP, VARIANTS

ROUNDING = 64 * np.finfo(float).eps  # of the largest entry of a block, or a hundredth of the largest of all


def needs(library):
    reason = f"{library} is not installed; pip install bptt-check[{library}] brings this witness"
    return pytest.mark.skipif(importlib.util.find_spec(library) is None, reason=reason)


def drawn(variant, *, T=5, B=3, D=4, H=2, loss="euclidean", seed=0):
    return Problem.draw(variant, T=T, B=B, D=D, H=H, loss=loss, rng=np.random.default_rng(seed))


def assert_same(ours, theirs):
    assert set(ours) == set(theirs)
    largest = max(np.abs(a).max() for a in ours.values())
    for name, a in ours.items():
        b = np.asarray(theirs[name])
        assert a.shape == b.shape, name
        scale = max(np.abs(a).max(), 1e-2 * largest)
        assert np.abs(a - b).max() <= ROUNDING * scale, f"{name}: off by {np.abs(a - b).max() / scale:.1e}"


# --- PyTorch: torch.nn.LSTM is the common cell


def torch_lstm(problem):
    """``torch.nn.LSTM`` with the problem's weights; torch stacks the blocks in the order i, f, g, o."""
    import torch

    D, H = problem.shape[2:]
    lstm = torch.nn.LSTM(D, H, dtype=torch.float64)
    stacked = {
        name: np.concatenate([problem.weights[f"{letter}_{k}{part}"] for k in "ifgo"])
        for name, letter, part in (("weight_ih_l0", "W", "x"), ("weight_hh_l0", "W", "h"), ("bias_ih_l0", "b", ""))
    }
    with torch.no_grad():
        for name, value in {**stacked, "bias_hh_l0": np.zeros(4 * H)}.items():
            getattr(lstm, name).copy_(torch.from_numpy(value))
    return lstm


def torch_gradients(problem, loss_of, *, lengths=None):
    """Value and gradients by autograd, named as ours; ``lengths`` packs sequences of unequal length."""
    import torch

    lstm = torch_lstm(problem)
    x, h0, s0 = (torch.tensor(a, requires_grad=True) for a in (problem.x, problem.initial["h0"], problem.initial["s0"]))
    inputs = x if lengths is None else torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
    output, _ = lstm(inputs, (h0[None], s0[None]))
    if lengths is not None:
        output, _ = torch.nn.utils.rnn.pad_packed_sequence(output, total_length=problem.shape[0])
    loss = loss_of(output)
    loss.backward()
    parts = {"W_{}x": lstm.weight_ih_l0.grad, "W_{}h": lstm.weight_hh_l0.grad, "b_{}": lstm.bias_ih_l0.grad}
    weights = {name.format(k): a for name, g in parts.items() for k, a in zip("ifgo", g.chunk(4), strict=True)}
    found = {**weights, "x": x.grad, "h0": h0.grad, "s0": s0.grad}
    return loss.item(), {name: gradient.numpy() for name, gradient in found.items()}


def of_the_point(problem):
    gradients = problem.derivatives(problem.gradients())
    return {name: gradients[name] for name in problem.point}


@needs("torch")
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 2, 4), (5, 3, 4, 2), (7, 1, 3, 5), (20, 2, 6, 8)])
def test_the_common_cell_is_that_of_torch(shape):
    import torch

    problem = drawn(NP, **dict(zip("TBDH", shape, strict=True)))
    y = torch.from_numpy(problem.y)
    value, gradients = torch_gradients(problem, lambda h: ((h - y) ** 2).sum())
    assert value == pytest.approx(problem.value(problem.trace()).item(), rel=1e-14)
    assert_same(of_the_point(problem), gradients)


@needs("torch")
def test_a_packed_batch_of_unequal_lengths_is_a_masked_one():
    import torch

    problem = drawn(NP, T=6, B=4, loss="unequal_lengths", seed=3)
    lengths = problem.loss.weights.sum(axis=0).astype(int)
    assert len(set(lengths)) > 1
    y, mask = torch.from_numpy(problem.y), torch.from_numpy(problem.loss.weights)[..., None]
    value, gradients = torch_gradients(problem, lambda h: (mask * (h - y) ** 2).sum(), lengths=lengths)
    assert value == pytest.approx(problem.value(problem.trace()).item(), rel=1e-14)
    assert_same(of_the_point(problem), gradients)


@needs("torch")
def test_losses_are_those_of_torch():
    import torch

    functional = torch.nn.functional
    theirs = {
        "softmax_cross_entropy": lambda h, y: -(y * functional.log_softmax(h, dim=-1)).sum(),
        "logistic": lambda h, y: functional.binary_cross_entropy_with_logits(h, y, reduction="sum"),
        "huber": lambda h, y: functional.huber_loss(h, y, delta=0.5, reduction="sum"),
        "absolute": lambda h, y: functional.l1_loss(h, y, reduction="sum"),
    }
    for name, loss in theirs.items():
        problem = drawn(NP, loss=name, seed=4)
        y = torch.from_numpy(problem.y)
        value, gradients = torch_gradients(problem, lambda h, loss=loss, y=y: loss(h, y))
        assert value == pytest.approx(problem.value(problem.trace()).item(), rel=1e-14), name
        assert_same(of_the_point(problem), gradients)


# --- JAX: every cell transcribed


def transcribed(variant, p, nudges, T):
    """h(t) for t = 1 … T, (T, B, H), from the equations and nothing else. ``nudges`` are added to the intermediates."""
    import jax.numpy as jnp

    def sigma(z):
        return 0.5 * (1 + jnp.tanh(z / 2))

    def nudge(name, t, value):
        return value + nudges[f"{name}(t)"][t] if f"{name}(t)" in nudges else value

    name = variant.name
    peepholes = name not in ("NP", "post", "state_feedback")
    phi = (lambda z: z) if name == "NIAF" else jnp.tanh
    a = (lambda s: s) if name in ("NOAF", "post") else jnp.tanh
    h, s = p["h0"], p["s0"]
    i, f, o = (p.get(k, 0) for k in ("i0", "f0", "o0"))
    outputs = []
    for t in range(T):
        x = p["x"][t]

        def z(k, peephole, t=t, x=x, h=h, s=s, i=i, f=f, o=o):
            value = x @ p[f"W_{k}x"].T + p[f"b_{k}"]
            if name == "state_feedback":
                value += s @ p[f"W_{k}s"].T if k != "g" else 0
            else:
                value += h @ p[f"W_{k}h"].T
            if name == "FGR" and k != "g":
                value += i @ p[f"W_{k}i"].T + f @ p[f"W_{k}f"].T + o @ p[f"W_{k}o"].T
            if peepholes and k != "g":
                value += p[f"p_{k}"] * peephole
            return nudge(f"z_{k}", t, value)

        ones = jnp.ones_like(s)
        g = nudge("g", t, phi(z("g", None)))
        i_now = ones if name == "NIG" else nudge("i", t, sigma(z("i", s)))
        if name == "NFG":
            f_now = ones
        else:
            f_now = nudge("f", t, 1 - i_now if name == "CIFG" else sigma(z("f", s)))
        s_now = nudge("s", t, g * i_now + s * f_now)
        o_now = ones if name == "NOG" else nudge("o", t, sigma(z("o", s_now)))
        h, s, i, f, o = nudge("h", t, a(s_now) * o_now), s_now, i_now, f_now, o_now
        outputs.append(h)
    return jnp.stack(outputs)


def jax_gradients(problem):
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax

    jax.config.update("jax_enable_x64", True)
    T, B, _, H = problem.shape
    point = {**problem.point, **{f"{name}(t)": np.zeros((T, B, H)) for name in problem.intermediates}}
    weights = 1.0 if problem.loss.weights is None else problem.loss.weights[..., None]

    def loss(p):
        nudges = {name: array for name, array in p.items() if name.endswith("(t)")}
        return (weights * (transcribed(problem.variant, p, nudges, T) - problem.y) ** 2).sum()

    value, gradients = jax.value_and_grad(loss)(point)
    return float(value), {name: np.asarray(gradient) for name, gradient in gradients.items()}


@needs("jax")
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize(
    ("shape", "loss"), [((5, 3, 4, 2), "euclidean"), ((1, 2, 3, 1), "euclidean"), ((4, 3, 2, 3), "unequal_lengths")]
)
def test_every_cell_agrees_with_its_transcription_differentiated_by_jax(variant, shape, loss):
    """Weights, inputs, initial states, and d□(t) of every intermediate at every step."""
    problem = drawn(variant, **dict(zip("TBDH", shape, strict=True)), loss=loss, seed=5)
    value, gradients = jax_gradients(problem)
    assert value == pytest.approx(problem.value(problem.trace()).item(), rel=1e-14)
    assert_same(problem.derivatives(problem.gradients()), gradients)


@needs("jax")
def test_the_witness_contradicts_a_wrong_gradient():
    problem = drawn(VARIANTS[0], seed=6)
    _, gradients = jax_gradients(problem)
    ours = problem.derivatives(problem.gradients())
    wrong = {**ours, "W_fh": ours["W_fh"] * (1 + 1e-9)}
    with pytest.raises(AssertionError, match="W_fh"):
        assert_same(wrong, gradients)
