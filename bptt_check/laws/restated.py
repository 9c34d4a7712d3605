"""F1–F8 written down a second time, as the paper has them, and each line compared with what the forward pass computed.

Here x_c(t) is put together, W_k = [W_kx, W_kh] is one matrix, and the activations are spelt out. Each line starts from
what the forward pass computed for the lines above it, so that a wrong line is found at its own id and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bptt_check.laws.compare import Pair, Sides
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.problem import Backward, Problem
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]
Line = Callable[[Problem, Trace, int], Iterator[tuple[str, Array, Array]]]


def line(restate: Line) -> Sides:
    """The sides of a forward line: what was computed, and what the line says, at every step."""

    def sides(problem: Problem, backward: Backward) -> Iterator[Pair]:
        trace = problem.trace()
        for t in range(1, trace.T + 1):
            for name, computed, expected in restate(problem, trace, t):
                yield Pair(f"{name}({t})", computed, expected)

    return sides


def f1(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """x_c(t) = [x(t), h(t−1)]."""
    if problem.variant.feedback == "h":
        D = problem.x.shape[-1]
        for k in problem.variant.blocks:
            x_c = _x_c(trace, k, t)[..., : D + trace.h[t].shape[-1]]  # F2r sees gates behind these
            yield f"x_c of {k}", x_c, np.concatenate([problem.x[t - 1], trace.h[t - 1]], axis=-1)


def f1_memory(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """The gates see [x(t), s(t−1)], the candidate sees x(t): state feedback."""
    if problem.variant.feedback == "s":
        yield "x_c of g", _x_c(trace, "g", t), problem.x[t - 1]
        for k in problem.variant.gates:
            yield f"x_c of {k}", _x_c(trace, k, t), np.concatenate([problem.x[t - 1], trace.s[t - 1]], axis=-1)


def f2(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """z_k(t) = W_k x_c(t) + b_k."""
    for k in problem.variant.blocks:
        yield f"z_{k}", trace.z[k][t], _affine(trace, k, t) + _peephole(trace, k, t)


def f2_peephole(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """z_i += p_i ⊙ s(t−1), z_f += p_f ⊙ s(t−1), z_o += p_o ⊙ s(t)."""
    for k in problem.variant.peepholed:
        yield f"peephole of z_{k}", trace.z[k][t] - _affine(trace, k, t), _peephole(trace, k, t)


def f2_gates(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """z_k += W_ki i(t−1) + W_kf f(t−1) + W_ko o(t−1): gate recurrence."""
    if problem.variant.gate_recurrence:
        before = {"x": trace.x[t], "h": trace.h[t - 1], "i": trace.i[t - 1], "f": trace.f[t - 1], "o": trace.o[t - 1]}
        for k in problem.variant.gates:
            z = sum(np.einsum("hc,bc->bh", trace.weights[f"W_{k}{j}"], seen) for j, seen in before.items())
            yield f"z_{k}", trace.z[k][t], z + trace.weights[f"b_{k}"] + _peephole(trace, k, t)


def f3(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """g(t) = φ(z_g(t))."""
    z = trace.z["g"][t]
    yield "g", trace.g[t], _tanh(z) if problem.variant.input_activation == "tanh" else z


def gate(k: str) -> Line:
    """k(t) = σ(z_k(t)), for k = i, f, o: F4, F5, F6."""

    def restate(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
        if problem.variant.gate(k) is Gate.LEARNED:
            yield k, getattr(trace, k)[t], 1 / (1 + np.exp(-trace.z[k][t]))

    return restate


def coupled(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """f(t) = 1 − i(t)."""
    if problem.variant.forget_gate is Gate.COUPLED:
        yield "f", trace.f[t], 1 - trace.i[t]


def open_gate(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """k(t) = 1 for a gate that the cell lacks."""
    for k in ("i", "f", "o"):
        if problem.variant.gate(k) is Gate.OPEN:
            yield k, getattr(trace, k)[t], np.ones_like(trace.s[t])


def f7(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """s(t) = g(t) ⊙ i(t) + s(t−1) ⊙ f(t)."""
    terms = np.stack([trace.g[t], trace.s[t - 1]]), np.stack([trace.i[t], trace.f[t]])
    yield "s", trace.s[t], np.einsum("nbh,nbh->bh", *terms)


def f8(problem: Problem, trace: Trace, t: int) -> Iterator[tuple[str, Array, Array]]:
    """h(t) = a(s(t)) ⊙ o(t)."""
    s = trace.s[t]
    yield "h", trace.h[t], trace.o[t] * (_tanh(s) if problem.variant.output_activation == "tanh" else s)


def _x_c(trace: Trace, k: str, t: int) -> Array:
    return np.concatenate([trace.seen(j, t) for j in trace.variant.sees(k)], axis=-1)


def _affine(trace: Trace, k: str, t: int) -> Array:
    W_k = np.concatenate([trace.weights[f"W_{k}{j}"] for j in trace.variant.sees(k)], axis=-1)
    return np.asarray(np.einsum("hc,bc->bh", W_k, _x_c(trace, k, t)) + trace.weights[f"b_{k}"])


def _peephole(trace: Trace, k: str, t: int) -> Array:
    if k not in trace.variant.peepholed:
        return np.zeros_like(trace.s[t])
    return np.asarray(trace.weights[f"p_{k}"] * (trace.s[t] if k == "o" else trace.s[t - 1]))


def _tanh(z: Array) -> Array:
    return np.asarray((np.exp(z) - np.exp(-z)) / (np.exp(z) + np.exp(-z)))
