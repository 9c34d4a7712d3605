"""Recurrent cells as parts of a network: what they hold, what they compute, and their backward pass as lines.

The cells of the LSTM family as they are; the simple recurrent cell of Elman (*Finding structure in time*, 1990); the
gated recurrent unit, with the reset gate before the matrix product (Cho et al., arXiv:1406.1078) or after it, as cuDNN
and PyTorch have it, and with either reading of the update gate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from math import prod
from typing import Any

import numpy as np

from bptt_check.faults import WAYS, Fault, Way, faults_of
from bptt_check.lstm.activations import logistic
from bptt_check.lstm.forward import turned
from bptt_check.lstm.params import shapes, states
from bptt_check.lstm.variants import NP, VARIANTS, Gate, Variant
from bptt_check.networks.ways_gru import OF_GRU
from bptt_check.networks.ways_simple import OF_SIMPLE
from bptt_check.program import END, SUM, Line, lines_of
from bptt_check.recognise.cuts import roles
from bptt_check.recognise.record import trace_of

Array = np.ndarray[Any, Any]
Steps = dict[str, list[Any]]  # by name, over time, slot 0 the initial state
Shapes = dict[str, tuple[int, ...]]
Ours = Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class Cell:
    """One cell.

    Attributes
    ----------
    shapes: shapes(D, H) of its weights; ``states``: names of its states.
    kinds: its arrays by kind, as :func:`bptt_check.recognise.cuts.roles` has them.
    run: its forward pass, from weights, x (T, …, B, D) and states; arrays may carry leading axes of copies.
    lines: its backward pass. ``ways``: how it goes wrong besides what goes wrong in any.
    entry: the weights through which an input shows first. ``likeness``: a cell of the family that has as many gates.
    constants: what its forward pass adds to an array.
    """

    name: str
    shapes: Callable[[int, int], Shapes]
    states: tuple[str, ...]
    kinds: Mapping[str, tuple[str, ...]]
    run: Callable[[Ours], Steps]
    lines: tuple[Line, ...]
    entry: str
    likeness: Variant
    ways: tuple[Way, ...] = ()
    constants: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """Every mistake of its backward pass that is known."""
        return faults_of((*self.ways, *WAYS), self.lines, self.likeness)

    def entries(self, D: int, H: int) -> int:
        """How many entries its matrices have. It is what most arrangements fail by, and asked for a thousand times."""
        return _entries(self, D, H)


@lru_cache(maxsize=4096)
def _entries(cell: Cell, D: int, H: int) -> int:
    return sum(prod(shape) for name, shape in cell.shapes(D, H).items() if name.startswith("W"))


def of_family(variant: Variant, constants: Mapping[str, float]) -> Cell:
    """A cell of the LSTM family."""

    def run(ours: Ours) -> Steps:
        trace = trace_of(variant, ours)
        steps = {k: getattr(trace, k) for k in ("x", "h", "s", "g", "i", "f", "o")}
        return {**steps, **{f"z_{k}": z for k, z in trace.z.items()}}

    return Cell(
        variant.name,
        lambda D, H: shapes(variant, D, H),
        tuple(states(variant, 1, 1)),
        roles(variant),
        run,
        lines_of(variant),
        "W_gx",
        variant,
        constants=constants,
    )


def _affine(seen: Array, W: Array, b: Array | float = 0.0) -> Array:
    return np.asarray(seen @ turned(W) + (b if isinstance(b, float) else b[..., None, :]))


def _kinds(blocks: str, vectors: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    return {
        "from x": tuple(f"W_{k}x" for k in blocks),
        "recurrent": tuple(f"W_{k}h" for k in blocks),
        "vector": (*(f"b_{k}" for k in blocks), *vectors),
        "diagonal": (),
        "state": ("h0",),
    }


def _shapes(blocks: str, vectors: tuple[str, ...] = ()) -> Callable[[int, int], Shapes]:
    def of(D: int, H: int) -> Shapes:
        matrices = {f"W_{k}{j}": (H, D if j == "x" else H) for k in blocks for j in "xh"}
        return {**matrices, **{f"b_{k}": (H,) for k in blocks}, **dict.fromkeys(vectors, (H,))}

    return of


def _sums(blocks: str) -> list[Line]:
    lines = []
    for k in blocks:
        lines += [Line(f"dW_{k}{j}", f"dz_{k}.T @ {seen}", "B5", SUM) for j, seen in (("x", "x[t]"), ("h", "h[t-1]"))]
        lines.append(Line(f"db_{k}", f"dz_{k}.sum(axis=0)", "B6", SUM))
    return lines


_ARRIVING = Line("dh", "dl[t] + dh_next", "B1")
_HANDED_OUT = Line("dh0", "dh_next", "B9", END)


def simple(activation: str) -> Cell:
    """Elman's cell, with tanh or a rectifier."""

    def run(ours: Ours) -> Steps:
        inputs = np.moveaxis(ours["x"], -3, 0)
        steps: Steps = {"x": [None, *inputs], "h": [ours["h0"]], "z_h": [None]}
        for x in inputs:
            z = _affine(x, ours["W_hx"]) + _affine(steps["h"][-1], ours["W_hh"], ours["b_h"])  # E1
            steps["z_h"].append(z)
            steps["h"].append(np.tanh(z) if activation == "tanh" else np.maximum(z, 0))  # E2
        return steps

    slope = "(1 - h[t]**2)" if activation == "tanh" else "(h[t] > 0)"
    lines = (
        _ARRIVING,
        Line("dz_h", f"{slope} * dh", "E3"),
        Line("dx", "dz_h @ W_hx", "B7"),
        Line("dh_next", "dz_h @ W_hh", "B7"),
        *_sums("h"),
        _HANDED_OUT,
    )
    name = "Elman" if activation == "tanh" else "Elman with a rectifier"
    return Cell(name, _shapes("h"), ("h0",), _kinds("h"), run, lines, "W_hx", _LIKE_ELMAN, OF_SIMPLE)


def gru(reset: str, update: str) -> Cell:
    """The gated recurrent unit: ``reset`` ``"before"`` or ``"after"`` the product, u the share of the ``"old"`` or
    of the ``"new"`` state.
    """
    after = reset == "after"
    vectors = ("c_n",) if after else ()

    def run(ours: Ours) -> Steps:
        names = ("x", "h", "u", "r", "n", "q", "z_u", "z_r", "z_n")
        steps: Steps = {name: [None] for name in names}
        inputs = np.moveaxis(ours["x"], -3, 0)
        steps["x"], steps["h"] = [None, *inputs], [ours["h0"]]
        for x in inputs:
            h = steps["h"][-1]
            z_u = _affine(x, ours["W_ux"]) + _affine(h, ours["W_uh"], ours["b_u"])  # G1
            z_r = _affine(x, ours["W_rx"]) + _affine(h, ours["W_rh"], ours["b_r"])  # G2
            u, r = logistic(z_u), logistic(z_r)
            q = _affine(h, ours["W_nh"], ours["c_n"]) if after else r * h  # G3
            z_n = _affine(x, ours["W_nx"], ours["b_n"]) + (r * q if after else _affine(q, ours["W_nh"]))  # G3
            n = np.tanh(z_n)
            new = u * h + (1 - u) * n if update == "old" else u * n + (1 - u) * h  # G4
            for name, value in zip(names[1:], (new, u, r, n, q, z_u, z_r, z_n), strict=True):
                steps[name].append(value)
        return steps

    old, new, du = ("u[t]", "(1 - u[t])", "(h[t-1] - n[t])")
    if update == "new":
        old, new, du = "(1 - u[t])", "u[t]", "(n[t] - h[t-1])"
    gates = [Line(f"dz_{k}", f"{k}[t] * (1 - {k}[t]) * d{k}", "G6") for k in "ur"]
    if after:
        middle = [Line("dq", "r[t] * dz_n", "G7"), Line("dr", "q[t] * dz_n", "G7")]
        back = "dq @ W_nh"
    else:
        middle = [Line("dq", "dz_n @ W_nh", "G7"), Line("dr", "h[t-1] * dq", "G7")]
        back = "r[t] * dq"
    sums = [*_sums("ur"), Line("dW_nx", "dz_n.T @ x[t]", "B5", SUM), Line("db_n", "dz_n.sum(axis=0)", "B6", SUM)]
    if after:
        sums += [Line("dW_nh", "dq.T @ h[t-1]", "G9", SUM), Line("dc_n", "dq.sum(axis=0)", "G9", SUM)]
    else:
        sums.append(Line("dW_nh", "dz_n.T @ (r[t] * h[t-1])", "G9", SUM))
    lines = (
        _ARRIVING,
        Line("dn", f"{new} * dh", "G5"),
        Line("du", f"{du} * dh", "G5"),
        Line("dz_n", "(1 - n[t]**2) * dn", "G6"),
        *middle,
        *gates,
        Line("dx", "dz_n @ W_nx + dz_u @ W_ux + dz_r @ W_rx", "B7"),
        Line("dh_next", f"{old} * dh + {back} + dz_u @ W_uh + dz_r @ W_rh", "G8"),
        *sums,
        _HANDED_OUT,
    )
    name = f"GRU, reset {reset} the product, u of the {update} state"
    return Cell(name, _shapes("urn", vectors), ("h0",), _kinds("nur", vectors), run, lines, "W_nx", _LIKE_ELMAN, OF_GRU)


_LIKE_ELMAN = replace(
    NP, name="Elman", source="Elman 1990", input_gate=Gate.OPEN, forget_gate=Gate.OPEN, output_gate=Gate.OPEN
)
ELMAN = simple("tanh")
RECTIFIED = simple("relu")
GRUS = tuple(gru(reset, update) for reset in ("before", "after") for update in ("old", "new"))
FAMILY = {variant.name: of_family(variant, {}) for variant in VARIANTS}
FORGETFUL = tuple(of_family(v, {"b_f": 1.0}) for v in VARIANTS if v.forget_gate is Gate.LEARNED)
COMMON = (FAMILY["NP"], ELMAN, *GRUS, FAMILY["V"], FAMILY["post"])
RARE = (RECTIFIED, *FORGETFUL, *(cell for cell in FAMILY.values() if cell not in COMMON))
CELLS = (*COMMON, *RARE)
