"""P1–P13: what a right backward pass cannot help doing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check.laws.compare import Pair
from bptt_check.laws.directions import STEP, complex_step, each_block, each_entry, woven
from bptt_check.lstm.activations import LOGISTIC, TANH
from bptt_check.lstm.backward import backward as derived_backward
from bptt_check.lstm.params import Parameters
from bptt_check.lstm.problem import Backward, Problem
from bptt_check.lstm.tangent import tangent

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]


def additive_over_time(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P1: dW = Σ_t dW(t), each dW(t) the derivative with W changed at step t alone."""
    grads = problem.gradients(backward=backward, by_step=True)
    by_step = grads.weights_by_step or Parameters({})
    for name, total in grads.weights.items():
        yield Pair(name, total, by_step[name].sum(axis=0))
        copies = np.stack([problem.weights[name]] * problem.shape[0])
        each = complex_step(lambda p: _stepwise(problem, p), {name: copies}, {name: each_entry(copies.shape, copies)})
        yield Pair(f"{name} by step", by_step[name], each.reshape(copies.shape))


def _stepwise(problem: Problem, by_step: Arrays) -> Array:
    """The loss with weights that may differ from step to step, (…, T, *shape)."""
    outputs, now = [], problem
    for t in range(1, problem.shape[0] + 1):
        weights = {name: np.moveaxis(W, -1 - problem.weights[name].ndim, 0)[t - 1] for name, W in by_step.items()}
        trace = replace(now.at(weights), x=problem.x[t - 1 : t]).trace()
        outputs.append(trace.h[1])
        now = now.at({name: getattr(trace, name[0])[1] for name in now.initial})
    return problem.loss.value(np.stack(np.broadcast_arrays(*outputs), axis=-3), problem.y)


def splitting(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P2: cut the sequence anywhere, hand back what the later part gives for its initial state: the same gradients."""
    trace, T = problem.trace(), problem.shape[0]
    whole = problem.derivatives(backward(trace, problem.slope(trace)))
    for cut in range(1, T):
        early, late = problem.between(1, cut), problem.between(cut + 1, T, before=trace)
        after = late.gradients(backward=backward)
        handed: dict[str, Any] = {"dh_next": after.h0, "ds_next": after.s0}
        if problem.variant.gate_recurrence:
            handed["gates_next"] = {k: after.initial[f"{k}0"] for k in ("i", "f", "o")}
        first = early.trace()
        a = early.derivatives(backward(first, early.slope(first), **handed))
        b = late.derivatives(after)
        for name, expected in whole.items():
            if name in problem.weights:
                joined = a[name] + b[name]
            else:
                joined = a[name] if name in problem.initial else np.concatenate([a[name], b[name]])
            yield Pair(f"{name}, cut after {cut}", expected, joined)


def additive_over_the_batch(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P3: the weight gradients of a batch are the sums of those of its rows; all others are theirs, side by side."""
    whole = problem.derivatives(problem.gradients(backward=backward))
    alone = [problem.row(b) for b in range(problem.shape[1])]
    rows = [row.derivatives(row.gradients(backward=backward)) for row in alone]
    for name, expected in whole.items():
        parts = [row[name] for row in rows]
        yield Pair(name, expected, np.sum(parts, axis=0) if name in problem.weights else np.concatenate(parts, axis=-2))


def linear(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P4: linear in the derivatives that come from the loss."""
    trace = problem.trace()
    u = problem.slope(trace)
    v = woven(u.shape, u)
    of_u, of_v, of_both = (problem.derivatives(backward(trace, dl)) for dl in (u, v, 3 * u - v / 2))
    for name, both in of_both.items():
        yield Pair(name, both, 3 * of_u[name] - of_v[name] / 2)


def permutation(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P5: renumber the memory cells, and every gradient is renumbered with them."""
    order = np.roll(np.arange(problem.shape[3]), 1)  # leaves no memory cell in its place
    renumbered = problem.at({name: _renumbered(problem, name, array, order) for name, array in problem.point.items()})
    trace, moved = problem.trace(), renumbered.trace()
    u = problem.slope(trace)
    right = problem.derivatives(backward(moved, u[..., order]))
    for name, gradient in problem.derivatives(backward(trace, u)).items():
        yield Pair(name, _renumbered(problem, name, gradient, order), right[name])


def _renumbered(problem: Problem, name: str, array: Array, order: Array) -> Array:
    """The memory cells in another order: the rows of W_kx, rows and columns of the square matrices, all states."""
    if name in problem.weights:
        array = array[order]
        return array if name.endswith("x") or array.ndim == 1 else array[:, order]
    return array if name == "x" else array[..., order]


def adjoint(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P6: ⟨u, J v⟩ = ⟨Jᵀu, v⟩ for v in each block on its own; u covers h at every step and the states handed on."""
    trace = problem.trace()
    like = trace.h[-1]
    u, uh, us = woven(trace.over_time("h").shape, like), woven(like.shape, like, 1), woven(like.shape, like, 2)
    transposed = problem.derivatives(backward(trace, u, dh_next=uh, ds_next=us))
    v = each_block(transposed)
    moved = tangent(trace, v)
    forwards = (u * moved.over_time("h")).sum(axis=(-3, -2, -1))
    forwards = forwards + (uh * moved.h[-1] + us * moved.s[-1]).sum(axis=(-2, -1))
    for k, (name, gradient) in enumerate(transposed.items()):
        yield Pair(name, forwards[k], np.asarray((gradient * v[name][k]).sum()))


def boundary(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P7: with T = 1, and so at the last step of any sequence, dh is what the loss gives and nothing else."""
    for T in range(1, problem.shape[0] + 1):
        alone = problem.between(1, T)
        trace = alone.trace()
        dl = alone.slope(trace)
        yield Pair(f"dh(T), T = {T}", backward(trace, dl).steps["h"][-1], dl[-1])


def nothing_in_nothing_out(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P8: a zero loss derivative gives gradients that are exactly zero."""
    trace = problem.trace()
    for name, gradient in problem.derivatives(backward(trace, np.zeros_like(problem.slope(trace)))).items():
        yield Pair(name, gradient, np.zeros_like(gradient))


def conservative(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P9: the Jacobian of the gradient is symmetric: ⟨a, dG·b⟩ = ⟨b, dG·a⟩, a and b each a direction of one block."""
    point = problem.point
    stack = each_block(point)
    moved = problem.at({name: array + 1j * STEP * stack[name] for name, array in point.items()})
    changes = moved.derivatives(moved.gradients(backward=backward))
    rows = []
    for k, name in enumerate(point):
        rows.append((changes[name].imag / STEP * stack[name][k]).reshape(len(point), -1).sum(axis=1))
    yield Pair("Jacobian", np.stack(rows), np.stack(rows).T)


def truncated_is_held(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P10: truncation after k steps is the derivative with the state held where the sequence is cut."""
    trace, T, point = problem.trace(), problem.shape[0], problem.point
    stack = each_block(point)
    for k in range(1, T):

        def held(p: Arrays, k: int = k) -> Array:
            at = problem.at(p)
            parts = [at.between(*part, before=trace if part[0] > 1 else None) for part in _parts(T, k)]
            return np.asarray(sum((part.value(part.trace()) for part in parts), np.zeros(())))

        along = np.broadcast_to(complex_step(held, point, stack), (len(point),))
        gradients = truncated(problem, k, backward=backward)
        for n, name in enumerate(point):
            yield Pair(f"{name}, k = {k}", np.asarray((gradients[name] * stack[name][n]).sum()), along[n])


def truncated(problem: Problem, k: int, *, backward: Backward = derived_backward) -> dict[str, Array]:
    """The gradients of truncated BPTT, which forgets at the end of every k steps what a later step hands back."""
    trace, T = problem.trace(), problem.shape[0]
    parts = [problem.between(*part, before=trace) for part in _parts(T, k)]
    found = [part.derivatives(part.gradients(backward=backward)) for part in parts]
    weights = {name: np.sum([part[name] for part in found], axis=0) for name in problem.weights}
    initial = {name: found[0][name] for name in problem.initial}
    return {**weights, "x": np.concatenate([part["x"] for part in found]), **initial}


def _parts(T: int, k: int) -> list[tuple[int, int]]:
    return [(t, min(t + k - 1, T)) for t in range(1, T + 1, k)]


def masked_is_cut(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P11: masking trailing steps equals cutting them off, and what is masked gets a gradient of zero."""
    T, B = problem.shape[:2]
    for length in range(1, T):
        masked = replace(problem, loss=problem.loss.masked(np.full(B, length), T))
        whole = masked.derivatives(masked.gradients(backward=backward))
        short = problem.between(1, length)
        for name, expected in short.derivatives(short.gradients(backward=backward)).items():
            timed = name == "x" or name.endswith("(t)")
            yield Pair(f"{name}, {length} steps", whole[name][:length] if timed else whole[name], expected)
            if timed:
                yield Pair(f"{name}, after {length}", whole[name][length:], np.zeros_like(whole[name][length:]))


def saturated(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P13: σ′ and tanh′ at forty times the pre-activations, entry by entry, against e^−|z| / (1 + e^−|z|)²."""
    trace = problem.trace()
    for k in problem.variant.blocks:
        z = 40 * trace.over_time(f"z_{k}")
        for row, width in ((LOGISTIC, 1), (TANH, 2)):
            decay = np.exp(-width * np.abs(z.astype(np.longdouble)))
            exact = (width * width * decay / (1 + decay) ** 2).astype(z.dtype)
            slope = row.slope(z, row.function(z))
            tiny = (
                exact < np.finfo(z.dtype).tiny / np.finfo(z.dtype).eps
            )  # beside underflow there are no digits to keep
            yield Pair(f"{row.name}′(z_{k})", np.where(tiny, 1, slope / np.where(tiny, 1, exact)), np.ones_like(z))


def single_and_double(problem: Problem, backward: Backward) -> Iterator[Pair]:
    """P12: at a point that both can hold, float32 differs from float64 by its own rounding."""
    single = problem.astype(np.float32)
    double = single.astype(np.float64)
    eps = float(np.finfo(np.float32).eps)
    coarse = single.derivatives(single.gradients(backward=backward))
    for name, expected in double.derivatives(double.gradients(backward=backward)).items():
        yield Pair(
            name, coarse[name], expected, eps / 16
        )  # 256 ulps of an array's largest entry, 16 of the largest of all
