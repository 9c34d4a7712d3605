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
from bptt_check.lstm.entries import FIRST_TIMED, FROM_MEMORY_NOW, Columns, Layout, columns, in_chunks, layout_of
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.products import multiply_columns
from bptt_check.lstm.variants import Gate

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
    local = _Local(trace, layout)
    kind = np.result_type(local.kind, dl_dh)
    length = whole_lines(chunk_bytes // ((2 * len(layout.carried) + 2) * H * kind.itemsize), kind)
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
    """How the carried states of a step change with everything inside it, cell by cell.

    ``effect[node][state]`` (T, B, H) is what is reached at a given s(t); what goes through s(t), ``by_s``, comes after.
    """

    def __init__(self, trace: Trace, layout: Layout) -> None:
        variant, self.layout, self.trace, self.H = trace.variant, layout, trace, layout.H
        s, g, i, f, o = (trace.over_time(k) for k in "sgifo")               # (T, B, H)
        before = np.concatenate([(trace.s[0] + 0 * s[0])[None], s[:-1]])
        output = activation_named(variant.output_activation)
        a, one = output.function(s), np.ones_like(s)
        slope = {k: LOGISTIC.slope(trace.over_time(f"z_{k}"), trace.over_time(k)) for k in variant.gates}
        slope["g"] = activation_named(variant.input_activation).slope(trace.over_time("z_g"), g)
        coupled = variant.forget_gate is Gate.COUPLED
        effect: dict[str, dict[str, Array]] = {
            "g": {"s": i}, "i": {"s": g - before if coupled else g}, "f": {"s": before}, "s": {"s": one},  # as F7, F5
            "o": {"h": a}, "h": {"h": one},                                  # as F8
        }
        self.by_s = {"h": output.slope(s, a) * o}                            # as F8
        if variant.gate_recurrence:
            effect |= {k: {**effect[k], k: one} for k in ("i", "f", "o")}
            effect["i"] |= {"f": -one} if coupled else {}                    # as F5, f = 1 − i
        if "o" in variant.peepholed:                                         # as F6, peephole of s(t)
            for out, e in effect["o"].items():
                self.by_s[out] = self.by_s.get(out, 0) + e * slope["o"] * trace.weights["p_o"]
        for k in layout.blocks:                                              # as F3–F6
            effect[f"z_{k}"] = {out: slope[k] * e for out, e in effect[k].items()}
        self.old: dict[str, Array] = {"s": f}                                # as F7
        for k in variant.peepholed:                                          # as F2, peepholes of s(t−1)
            for out, e in effect[f"z_{k}"].items() if k != "o" else ():
                self.old[out] = self.old.get(out, 0) + e * trace.weights[f"p_{k}"]
        self.effect, self.kind = effect, s.dtype
        names = layout.carried
        self.at = {name: place * self.H for place, name in enumerate(names)}  # those seen first, and no row of ones
        self.slab = {name: slice(first, first + self.H) for name, first in self.at.items()}
        self.height, self.seen_rows = len(names) * self.H, len(layout.seen) * self.H
        self.x = np.array(trace.x[1:])
        self.states = {name: np.array(getattr(trace, name)) for name in names}  # of step 0 too
        self.steps: dict[int, list[_Step]] = {}
        numbers = trace.T * s.shape[1] * self.height * (self.seen_rows + layout.D)
        self.kept = numbers * s.itemsize <= KEPT_BYTES

    def on(self, node: str, t: int, b: int) -> list[tuple[str, Array]]:
        """The carried states that a node reaches within its step at a given s(t), with the factor of each cell."""
        return [(out, e[t - 1, b]) for out, e in self.effect[node].items() if out in self.slab]

    def step(self, t: int, b: int) -> _Step:
        """Step t of sequence b."""
        if not self.kept:
            return _steps(self, t, t, b)[0]
        if b not in self.steps:
            self.steps[b] = _steps(self, 1, self.trace.T, b)
        return self.steps[b][t - 1]


@dataclass(frozen=True)
class _Step:
    """A step of one sequence as a linear map of columns.

    ``M`` (rows of states, rows of what is seen) and ``of_x`` (rows of states, D): how the states change with what was
    seen and with x(t), at a given s(t). ``by_z``: how each changes with z. ``old``, ``by_s``: what comes straight from
    s(t−1), and what goes through s(t). ``sight``: all that a weight can have seen.
    """

    M: Array
    of_x: Array
    by_z: Mapping[str, Array]
    old: Sequence[tuple[slice, Array]]
    by_s: Sequence[tuple[slice, Array]]
    sight: Array


def _steps(local: _Local, first: int, last: int, b: int) -> list[_Step]:
    """Steps ``first`` … ``last`` of sequence b, made together."""
    layout, H, D, weights = local.layout, local.H, local.layout.D, local.trace.weights
    count, these = last - first + 1, slice(first - 1, last)
    M = np.zeros((count, local.height, local.seen_rows + D), local.kind)
    by_z = {out: np.zeros((count, len(layout.blocks) * H), local.kind) for out in layout.carried}
    columns = {**{j: local.slab[j] for j in layout.seen}, "x": slice(local.seen_rows, None)}
    for k in layout.blocks:
        for out, e in local.effect[f"z_{k}"].items():
            if out in local.slab:
                by_z[out][:, layout.z[k] : layout.z[k] + H] = e[these, b]
                for j in layout.variant.sees(k):
                    M[:, local.slab[out], columns[j]] += e[these, b, :, None] * weights[f"W_{k}{j}"]
    sight = np.ones((count, D + max(layout.at.values()) + 2 * H), local.kind)
    sight[:, :D], sight[:, -H:] = local.x[these, b], local.states["s"][first : last + 1, b]
    for name in layout.carried:
        start = D + layout.at[name]
        sight[:, start : start + H] = local.states[name][these, b]
    straight, through = (
        [(local.slab[out], e[these, b, :, None]) for out, e in way.items()] for way in (local.old, local.by_s)
    )
    return [
        _Step(
            M[n, :, : local.seen_rows],
            M[n, :, local.seen_rows :],
            {out: of_z[n] for out, of_z in by_z.items()},
            [(rows, e[n]) for rows, e in straight],
            [(rows, e[n]) for rows, e in through],
            sight[n],
        )
        for n in range(count)
    ]


def _through_time(local: _Local, b: int, chunk: Columns, dl_dh: Array, kind: Any) -> Array:
    H, N, T = local.H, len(chunk), local.trace.T
    timed, started = chunk.timed, np.searchsorted(chunk.start, np.arange(T + 2), side="right")
    old, new = full((local.height, N), 0, kind), full((local.height, N), 0, kind)
    spare, total = empty((H, N), kind), np.zeros(N, kind)
    if (injections := chunk.worked_out.get("injections")) is None:
        lasting = chunk[: int(np.searchsorted(chunk.key, FIRST_TIMED))]
        injections = chunk.worked_out["injections"] = _injections(local, lasting, N)
    for node, where in timed.get(1, ()):
        if node.endswith("0"):
            old[local.at[node[0]] + chunk.row[where], np.arange(where.start, where.stop)] = 1
    for t in range(1, T + 1):
        n, step = int(started[t]), local.step(t, b)
        multiply_columns(step.M, old[: local.seen_rows, :n], new[:, :n])
        memory, now, part = old[local.slab["s"], :n], new[local.slab["s"], :n], spare[:, :n]
        for rows, factor in step.old:
            new[rows, :n] += np.multiply(factor, memory, out=part)
        flat = new.reshape(-1)
        for out, to, z_rows, sees in injections:
            flat[to] += step.by_z[out][z_rows] * step.sight[sees]
        for node, where in timed.get(t, ()):
            if node == "x":
                new[:, where] += step.of_x[:, chunk.row[where]]
            elif not node.endswith("0"):
                row, columns = chunk.row[where], np.arange(where.start, where.stop)
                for out, e in local.on(node, t, b):
                    new[local.at[out] + row, columns] += e[row]
        for rows, factor in step.by_s:
            if rows != local.slab["s"]:
                new[rows, :n] += np.multiply(factor, now, out=part)
        if dl_dh[t - 1].any():
            total[:n] += dl_dh[t - 1] @ new[local.slab["h"], :n]
        old, new = new, old
    return total


def _injections(local: _Local, lasting: Columns, N: int) -> list[tuple[str, Array, Array, Array]]:
    """For each state that weights act on: where in it (flat), through which row of z, and what their columns see."""
    layout, found = local.layout, []
    sees = lasting.source + np.where(lasting.key == 0, 0, layout.D)
    now = lasting.key == FROM_MEMORY_NOW
    sees[now] += max(layout.at.values()) + local.H - layout.at["s"]
    for out in layout.carried:
        through = [layout.z[k] // local.H for k in layout.blocks if out in local.effect[f"z_{k}"]]
        mine = np.flatnonzero(np.isin(lasting.row // local.H, through))
        if len(mine):
            row = lasting.row[mine]
            found.append((out, (local.at[out] + row % local.H) * N + mine, row, sees[mine]))
    return found
