"""Forward accumulation for every entry at once: all tangents through one matrix product a step.

A second, exact witness beside the backward pass, laid out for speed; tangent.py is the same to be read. A step is
linear in what changes, so that all of it can be put into one matrix: how s(t), and h(t) at a given s(t), change with
what was seen of step t−1, the gates in between already multiplied out. Every tangent is one column, which starts where
its entry begins to act.

It shares the slopes of the activations with backward.py: a wrong slope would be wrong in both. No verdict rests on it
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.lstm.activations import LOGISTIC, activation_named
from bptt_check.lstm.aligned import empty, full, whole_lines
from bptt_check.lstm.copies import CHUNK_BYTES, OnSteps, untold
from bptt_check.lstm.entries import Columns, Layout, columns, in_chunks, layout_of
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.linear import Rules, injections_of, rules_of
from bptt_check.lstm.linear_few import FEW_NUMBERS, through_time
from bptt_check.lstm.products import multiply_columns

Array = np.ndarray[Any, Any]
KEPT_BYTES = 2**26  # steps as matrices that are kept for the next chunk; beyond, each is made anew


def derivatives(
    trace: Trace,
    dl_dh: Array,
    names: Sequence[str],
    owner: Array,
    within: Array,
    *,
    chunk_bytes: int = CHUNK_BYTES,
    jobs: int = 1,
    on_steps: OnSteps = untold,
) -> Array:
    """dL/d(entry) for each n: entry ``within[n]`` (flat) of block ``names[owner[n]]``, forwards.

    Parameters
    ----------
    trace: what :func:`~bptt_check.lstm.forward.forward` returned, without leading axes.
    dl_dh: ∂l(t)/∂h(t), (T, B, H).
    names: blocks: weights, ``"x"``, initial states, ``"□(t)"`` for interventions.
    chunk_bytes, jobs, on_steps: as for :func:`~bptt_check.lstm.copies.losses`.

    Returns
    -------
    Array
        (n,), in the type of the trace.

    Raises
    ------
    KeyError
        For a block that the cell does not have.

    Source: forward accumulation after Griewank & Walther, *Evaluating Derivatives* (2008), chapter 3; for recurrent
    nets Williams & Zipser, *A Learning Algorithm for Continually Running Fully Recurrent Neural Networks* (1989).
    """
    B, D = trace.x[1].shape
    H = trace.s[0].shape[-1]
    layout = layout_of(trace.variant, D, H)
    every = columns(layout, trace.T, B, names, owner, within)
    few = len(owner) * len(layout.blocks) * H * trace.T <= FEW_NUMBERS
    local = rules_at(trace, layout) if few else Local(trace, layout)
    kind = np.result_type(trace.h[1], dl_dh)
    length = whole_lines(chunk_bytes // ((2 * len(layout.carried) + 2) * H * kind.itemsize), kind)
    result = np.zeros(len(owner), kind)

    def one(b: int, chunk: Columns) -> Array:
        dl_b = dl_dh[:, b].astype(kind, copy=False)
        if isinstance(local, Local):
            return _through_time(local, b, chunk, dl_b, kind)
        h = through_time(local, b, chunk)                                    # (T, H, N)
        return np.asarray((dl_b[:, None] @ h).sum(axis=(0, 1)))

    for _, chunk, values in in_chunks(every, one, T=trace.T, B=B, length=length, jobs=jobs, on_steps=on_steps):
        result[chunk.order] += values
    return result


def every_derivative(
    trace: Trace,
    dl_dh: Array,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    chunk_bytes: int = CHUNK_BYTES,
    jobs: int = 1,
    on_steps: OnSteps = untold,
) -> dict[str, Array]:
    """The same for whole blocks, by name: ``shapes`` are theirs."""
    sizes = [int(np.prod(shape)) for shape in shapes.values()]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    within = np.concatenate([np.arange(size) for size in sizes])
    options: dict[str, Any] = {"chunk_bytes": chunk_bytes, "jobs": jobs, "on_steps": on_steps}
    flat = derivatives(trace, dl_dh, tuple(shapes), owner, within, **options)
    parts = np.split(flat, np.cumsum(sizes)[:-1])
    return {name: part.reshape(shape) for part, (name, shape) in zip(parts, shapes.items(), strict=True)}


class Local:
    """How the carried states of a step change with everything inside it, and the steps as linear maps."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        self.rules = rules = rules_at(trace, layout)
        self.layout, self.trace, self.H, self.kind = layout, trace, layout.H, rules.x.dtype
        names = layout.carried
        self.at = {name: place * self.H for place, name in enumerate(names)}  # those seen first, and no row of ones
        self.slab = {name: slice(first, first + self.H) for name, first in self.at.items()}
        self.height, self.seen_rows = len(names) * self.H, len(layout.seen) * self.H
        self.steps: dict[int, Steps] = {}
        numbers = trace.T * rules.x.shape[1] * self.height * (self.seen_rows + layout.D)
        self.kept = numbers * self.kind.itemsize <= KEPT_BYTES

    def on(self, node: str, t: int, b: int) -> list[tuple[str, Array]]:
        """The carried states that a node reaches within its step at a given s(t), with the factor of each cell."""
        return [(out, e[t - 1, b]) for out, e in self.rules.effect[node].items() if out in self.slab]

    def all_steps(self, b: int) -> Steps:
        """All steps of sequence b, kept."""
        if b not in self.steps:
            self.steps[b] = _steps(self, 1, self.trace.T, b)
        return self.steps[b]

    def step(self, t: int, b: int) -> tuple[Steps, int]:
        """Step t of sequence b, and where among those that were made it stands."""
        return (self.all_steps(b), t - 1) if self.kept else (_steps(self, t, t, b), 0)


def rules_at(trace: Trace, layout: Layout) -> Rules:
    """The rules of a trace, with the slopes that backward.py has."""
    variant = trace.variant
    into, out = activation_named(variant.input_activation), activation_named(variant.output_activation)
    states = {name: np.array(getattr(trace, name)) for name in layout.carried}  # (T+1, B, H)
    value = dict(zip("gifo", np.array([getattr(trace, k)[1:] for k in "gifo"]), strict=True))  # (T, B, H)
    s, z_g = states["s"][1:], trace.over_time("z_g")
    value["a"] = out.function(s)
    if into is out:                                                          # both in one operation
        slope = dict(zip("ga", out.slope(np.array([z_g, s]), np.array([value["g"], value["a"]])), strict=True))
    else:
        slope = {"g": into.slope(z_g, value["g"]), "a": out.slope(s, value["a"])}
    if variant.gates:                                                        # all gates in one operation
        z = np.array([trace.z[k][1:] for k in variant.gates])
        slope.update(zip(variant.gates, LOGISTIC.slope(z, z), strict=True))
    return rules_of(layout, trace.weights, np.array(trace.x[1:]), states, value, slope)


@dataclass(frozen=True)
class Steps:
    """Steps of one sequence as linear maps of columns, each array with the steps in front.

    ``M`` (rows of states, rows of what is seen, and D): how the states change with what was seen and with x(t), at a
    given s(t). ``by_z`` (states times rows of z): how each changes with z. ``old``, ``by_s``: what comes straight from
    s(t−1), and what goes through s(t), (H, 1). ``sight``: all that a weight can have seen.
    """

    M: Array
    by_z: Array
    old: Sequence[tuple[slice, Array]]
    by_s: Sequence[tuple[slice, Array]]
    sight: Array


def _steps(local: Local, first: int, last: int, b: int) -> Steps:
    """Steps ``first`` … ``last`` of sequence b, made together."""
    layout, H, rules = local.layout, local.H, local.rules
    count, these = last - first + 1, slice(first - 1, last)
    M = np.zeros((count, local.height, local.seen_rows + layout.D), local.kind)
    by_z = np.zeros((count, len(layout.carried), len(layout.blocks), H), local.kind)
    columns = {**{j: local.slab[j] for j in layout.seen}, "x": slice(local.seen_rows, None)}
    for place, k in enumerate(layout.blocks):
        for out, e in rules.effect[f"z_{k}"].items():
            if out in local.slab:
                by_z[:, layout.carried.index(out), place] = e[these, b]
                for j in layout.variant.sees(k):
                    part = M[:, local.slab[out], columns[j]]
                    part += e[these, b, :, None] * rules.weights[f"W_{k}{j}"]
    straight, through = (
        [(local.slab[out], e[these, b, :, None]) for out, e in way.items() if out in local.slab]
        for way in (rules.old, rules.by_s)
    )
    return Steps(M, by_z.reshape(count, -1), straight, through, rules.sight(b)[these])


def _through_time(local: Local, b: int, chunk: Columns, dl_dh: Array, kind: Any) -> Array:
    H, N, T = local.H, len(chunk), local.trace.T
    timed, started = chunk.timed, np.searchsorted(chunk.start, np.arange(T + 2), side="right")
    old, new = full((local.height, N), 0, kind), full((local.height, N), 0, kind)
    spare, total = empty((H, N), kind), np.zeros(N, kind)
    to, z_rows, sees = injections_of(local.layout, local.rules.effect, chunk)
    put, seen = np.empty((2, len(to)), local.kind)
    initial = False  # whether any column is moved at step 0
    for node, where in timed.get(1, ()):
        if node.endswith("0"):
            initial = True
            old[local.at[node[0]] + chunk.row[where], np.arange(where.start, where.stop)] = 1
    for t in range(1, T + 1):
        n, (step, at) = int(started[t]), local.step(t, b)
        if t > 1 or initial:
            multiply_columns(step.M[at, :, : local.seen_rows], old[: local.seen_rows, :n], new[:, :n])
        memory, now, part = old[local.slab["s"], :n], new[local.slab["s"], :n], spare[:, :n]
        for rows, factor in step.old:
            state = new[rows, :n]
            state += np.multiply(factor[at], memory, out=part)
        step.by_z[at].take(z_rows, out=put, mode="clip")                     # NumPy's fastest way of picking
        step.sight[at].take(sees, out=seen, mode="clip")
        flat = new.reshape(-1)
        flat[to] += np.multiply(put, seen, out=put)
        for node, where in timed.get(t, ()):
            if node == "x":
                new[:, where] += step.M[at][:, local.seen_rows + chunk.row[where]]
            elif not node.endswith("0"):
                row, columns = chunk.row[where], np.arange(where.start, where.stop)
                for out, e in local.on(node, t, b):
                    new[local.at[out] + row, columns] += e[row]
        for rows, factor in step.by_s:
            if rows != local.slab["s"]:
                state = new[rows, :n]
                state += np.multiply(factor[at], now, out=part)
        if dl_dh[t - 1].any():
            counted = total[:n]
            counted += dl_dh[t - 1] @ new[local.slab["h"], :n]
        old, new = new, old
    return total
