"""Other gradient checkers behind one interface: a subject in, True (it accepts the gradient) or False out.

Each sees the same NumPy loss and gradient. PyTorch's and JAX's checkers get them as a custom rule of their own
(``torch.autograd.Function``; ``jax.custom_vjp`` over ``pure_callback``), so that what decides is their own code.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from bptt_check import Subject

Peer = Callable[[Subject], bool]
LARGEST = 3000  # entries; most peers evaluate the loss for every one of them


def central_difference(subject: Subject) -> bool:
    """Each entry by (L(x + h) − L(x − h)) / 2h, h = 1e-5; relative error at most 1e-7 (the CS231n course's rule)."""
    point, gradient = subject.blocks, subject.gradient(subject.blocks)
    for name, array in point.items():
        analytic = np.asarray(gradient.get(name, np.full(array.shape, np.nan)), float)
        for index in np.ndindex(array.shape):
            values = []
            for h in (1e-5, -1e-5):
                moved = array.copy()
                moved[index] += h
                values.append(float(subject.loss({**point, name: moved})))
            numeric = (values[0] - values[1]) / 2e-5
            scale = max(abs(numeric), abs(analytic[index]))
            if scale and not abs(numeric - analytic[index]) <= 1e-7 * scale:
                return False
    return True


def scipy_check_grad(subject: Subject) -> bool:
    """``scipy.optimize.check_grad`` with its default step; it returns a norm, accepted up to √ε √n max(1, |L|, ‖g‖)."""
    from scipy.optimize import check_grad

    point = subject.blocks
    ends = np.cumsum([a.size for a in point.values()])

    def unpacked(flat: Any) -> dict[str, Any]:
        parts = np.split(flat, ends[:-1])
        return {k: part.reshape(a.shape).astype(a.dtype) for part, (k, a) in zip(parts, point.items(), strict=True)}

    def gradient(flat: Any) -> Any:
        g = subject.gradient(unpacked(flat))
        return np.concatenate([np.asarray(g.get(k, np.zeros(a.shape)), float).ravel() for k, a in point.items()])

    flat = np.concatenate([a.ravel() for a in point.values()]).astype(float)
    off = check_grad(lambda v: float(subject.loss(unpacked(v))), gradient, flat)
    limit = (
        np.sqrt(np.finfo(float).eps)
        * np.sqrt(flat.size)
        * max(1.0, abs(float(subject.loss(point))), float(np.linalg.norm(gradient(flat))))
    )
    return bool(off <= limit)


def _torch_gradcheck(subject: Subject, *, fast: bool) -> bool:
    import torch

    point = subject.blocks

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *tensors: Any) -> Any:
            ctx.arrays = {k: t.detach().numpy().copy() for k, t in zip(point, tensors, strict=True)}
            return torch.tensor(float(subject.loss(ctx.arrays)), dtype=tensors[0].dtype)

        @staticmethod
        def backward(ctx: Any, upstream: Any) -> Any:
            gradient = subject.gradient(ctx.arrays)
            return tuple(
                None if k not in gradient else upstream * torch.from_numpy(np.array(gradient[k])) for k in point
            )

    tensors = [torch.from_numpy(np.array(a)).requires_grad_() for a in point.values()]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(torch.autograd.gradcheck(Rule.apply, tensors, fast_mode=fast))
    except torch.autograd.gradcheck.GradcheckError:
        return False


def torch_slow(subject: Subject) -> bool:
    """``torch.autograd.gradcheck`` with its defaults."""
    return _torch_gradcheck(subject, fast=False)


def torch_fast(subject: Subject) -> bool:
    """``torch.autograd.gradcheck(fast_mode=True)``."""
    return _torch_gradcheck(subject, fast=True)


def jax_check_grads(subject: Subject) -> bool:
    """``jax.test_util.check_grads(order=1, modes=["rev"])`` with its defaults, in 64 bits."""
    import jax
    from jax.test_util import check_grads

    jax.config.update("jax_enable_x64", True)
    point = subject.blocks
    kinds = {k: jax.ShapeDtypeStruct(a.shape, a.dtype) for k, a in point.items()}
    kind = np.result_type(*point.values())

    def loss(p: Any) -> Any:
        return np.asarray(subject.loss({k: np.array(a) for k, a in p.items()}), kind)

    def gradient(p: Any) -> Any:
        g = subject.gradient({k: np.array(a) for k, a in p.items()})
        return {k: np.asarray(g.get(k, np.zeros(a.shape)), a.dtype) for k, a in point.items()}

    @jax.custom_vjp
    def rule(p: Any) -> Any:
        return jax.pure_callback(loss, jax.ShapeDtypeStruct((), kind), p)

    rule.defvjp(
        lambda p: (rule(p), p),
        lambda p, up: (jax.tree.map(lambda a: up * a, jax.pure_callback(gradient, kinds, p)),),
    )
    try:
        check_grads(rule, ({k: jax.numpy.asarray(a) for k, a in point.items()},), order=1, modes=["rev"])
    except AssertionError:
        return False
    return True


ALL: dict[str, tuple[Peer, str]] = {
    "gradcheck": (torch_slow, "torch"),
    "gradcheck, fast": (torch_fast, "torch"),
    "check_grads": (jax_check_grads, "jax"),
    "check_grad": (scipy_check_grad, "scipy"),
    "central, 1e-7": (central_difference, "numpy"),
}
MEANING = {
    "gradcheck": "`torch.autograd.gradcheck`, defaults",
    "gradcheck, fast": "the same with `fast_mode=True`",
    "check_grads": '`jax.test_util.check_grads(order=1, modes=["rev"])`, 64 bits',
    "check_grad": "`scipy.optimize.check_grad`, accepted up to √ε √n max(1, |L|, ‖g‖); it has no threshold",
    "central, 1e-7": "central difference with h = 1e-5, every entry within a relative 1e-7",
}
