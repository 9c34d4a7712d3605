"""Forward accumulation for every entry at once: all tangents through one matrix product a step.

A second, exact witness beside the backward pass, laid out for speed; tangent.py is the same to be read. A step is
linear in what changes, so that all of it can be put into one matrix: how (s, h) of step t change with what was seen of
step t−1, the gates in between already multiplied out. Every tangent is one column, which starts where its entry begins
to act.

It shares the slopes of the activations with backward.py: a wrong slope would be wrong in both. No verdict rests on it
alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bptt_check.lstm.activations import LOGISTIC, activation_named
from bptt_check.lstm.copies import CHUNK_BYTES, OnSteps, untold
from bptt_check.lstm.entries import FIRST_TIMED, FROM_MEMORY_NOW, Columns, Layout, columns, in_chunks
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]


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
    layout = Layout(trace.variant, D, H)
    every = columns(layout, trace.T, B, names, owner, within)
    local = _Local(trace, layout)
    kind = np.result_type(local.kind, dl_dh)
    length = max(8, chunk_bytes // ((2 * len(layout.carried) + 2) * H * kind.itemsize))
    result = np.zeros(len(owner), kind)
    one = lambda b, chunk: _through_time(local, b, chunk, dl_dh[:, b].astype(kind), kind)  # noqa: E731
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


class _Local:
    """How the carried states of a step change with everything inside it, cell by cell: ``effect[node][state]``."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        variant, self.layout, self.trace, self.H = trace.variant, layout, trace, layout.H
        s, g, i, f, o = (trace.over_time(k) for k in "sgifo")               # (T, B, H)
        before = np.stack([a + 0 * s[0] for a in trace.s[:-1]])
        output = activation_named(variant.output_activation)
        a = output.function(s)
        slope = {k: LOGISTIC.slope(trace.over_time(f"z_{k}"), trace.over_time(k)) for k in variant.gates}
        slope["g"] = activation_named(variant.input_activation).slope(trace.over_time("z_g"), g)
        self.kind, self.before, self.now = s.dtype, before, s
        coupled = variant.forget_gate is Gate.COUPLED
        o_by_s = slope["o"] * trace.weights["p_o"] if "o" in variant.peepholed else None  # as F6, peephole
        h_by_s = output.slope(s, a) * o + (0 if o_by_s is None else a * o_by_s)           # as F8, and F6 behind it
        on_s = {"s": np.ones_like(s), "g": i, "i": g - before if coupled else g, "f": before, "old s": f}  # as F7, F5
        effect: dict[str, dict[str, Array]] = {node: {"s": e, "h": h_by_s * e} for node, e in on_s.items()}
        effect |= {"h": {"h": np.ones_like(s)}, "o": {"h": a}}                            # as F8
        if variant.gate_recurrence:
            for node, e in on_s.items() if o_by_s is not None else ():
                effect[node]["o"] = o_by_s * e
            for k in ("i", "f", "o"):
                effect[k][k] = np.ones_like(s)
            if coupled:
                effect["i"]["f"] = -np.ones_like(s)                                       # as F5, f = 1 − i
        for k in layout.blocks:                                                           # as F3–F6
            effect[f"z_{k}"] = {out: slope[k] * e for out, e in effect[k].items()}
        self.old: dict[str, Array] = effect["old s"]
        for k in variant.peepholed:                                                       # as F2, peepholes of s(t−1)
            for out, e in effect[f"z_{k}"].items() if k != "o" else ():
                self.old[out] = self.old.get(out, 0) + e * trace.weights[f"p_{k}"]
        self.effect = effect
        rows = layout.at
        self.slab = {k: slice(first, first + self.H) for k, first in rows.items()}
        self.height = max(rows.values()) + self.H
        self.seen_rows = rows["1"]
        self.steps: dict[tuple[int, int], _Step] = {}

    def on(self, node: str, t: int, b: int) -> list[tuple[str, Array]]:
        """The carried states that a node reaches within its step, with the factor of each cell."""
        return [(out, e[t - 1, b]) for out, e in self.effect[node].items()]

    def step(self, t: int, b: int) -> _Step:
        """Step t of sequence b, made once."""
        if (t, b) not in self.steps:
            self.steps[t, b] = _Step(self, t, b)
        return self.steps[t, b]


class _Step:
    """Step t of one sequence as a linear map of columns."""

    def __init__(self, local: _Local, t: int, b: int) -> None:
        layout, weights, self.local, self.t, self.b = local.layout, local.trace.weights, local, t, b
        self.M = np.zeros((local.height, local.seen_rows), local.kind)
        self.by_z = {out: np.zeros(len(layout.blocks) * local.H, local.kind) for out in layout.carried}
        for k in layout.blocks:
            for out, e in local.on(f"z_{k}", t, b):
                self.by_z[out][layout.z[k] : layout.z[k] + local.H] = e
                for j in layout.variant.sees(k):
                    if j != "x":
                        self.M[local.slab[out], local.slab[j]] += e[:, None] * weights[f"W_{k}{j}"]
        self.old = [(local.slab[out], e[t - 1, b][:, None]) for out, e in local.old.items()]
        trace, states = local.trace, np.ones(local.height, local.kind)
        for name in layout.carried:
            states[local.slab[name]] = getattr(trace, name)[t - 1][b]
        self.sight = np.concatenate([trace.x[t][b], states, trace.s[t][b]])  # all that a weight can have seen

    def of_x(self, columns: Array) -> Array:
        """What the inputs of these columns do to the states, (rows, n)."""
        local = self.local
        moved = np.zeros((local.height, len(columns)), local.kind)
        for k in local.layout.blocks:
            for out, e in local.on(f"z_{k}", self.t, self.b):
                moved[local.slab[out]] += e[:, None] * local.trace.weights[f"W_{k}x"][:, columns]
        return moved


def _through_time(local: _Local, b: int, chunk: Columns, dl_dh: Array, kind: Any) -> Array:
    layout, H, N = local.layout, local.H, len(chunk)
    timed, started = chunk.timed(), np.searchsorted(chunk.start, np.arange(local.trace.T + 2), side="right")
    old, new = np.zeros((local.height, N), kind), np.zeros((local.height, N), kind)
    spare, total = np.empty((H, N), kind), np.zeros(N, kind)
    lasting = int(np.searchsorted(chunk.key, FIRST_TIMED))
    z_rows, cell = chunk.row[:lasting], chunk.row[:lasting] % H
    sees = chunk.source[:lasting] + np.where(chunk.key[:lasting] == 0, 0, layout.D)
    now = chunk.key[:lasting] == FROM_MEMORY_NOW
    sees[now] += local.height - layout.at["s"]
    to = {out: (layout.at[out] + cell) * N + np.arange(lasting) for out in layout.carried}
    for node, where in timed.get(1, ()):
        if node.endswith("0"):
            old[layout.at[node[0]] + chunk.row[where], np.arange(where.start, where.stop)] = 1
    for t in range(1, local.trace.T + 1):
        n, step = int(started[t]), local.step(t, b)
        np.matmul(step.M, old[: local.seen_rows, :n], out=new[:, :n])
        memory, part = old[local.slab["s"], :n], spare[:, :n]
        for rows, factor in step.old:
            new[rows, :n] += np.multiply(factor, memory, out=part)
        if lasting:
            seen, flat = step.sight[sees], new.reshape(-1)
            for out in layout.carried:
                flat[to[out]] += step.by_z[out][z_rows] * seen
        for node, where in timed.get(t, ()):
            columns = np.arange(where.start, where.stop)
            if node == "x":
                new[:, where] += step.of_x(chunk.row[where])
            elif not node.endswith("0"):
                for out, e in local.on(node, t, step.b):
                    if out in local.slab:
                        new[layout.at[out] + chunk.row[where], columns] += e[chunk.row[where]]
        if dl_dh[t - 1].any():
            total[:n] += dl_dh[t - 1] @ new[local.slab["h"], :n]
        old, new = new, old
    return total
