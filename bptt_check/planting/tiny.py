"""The smallest example in which a fault shows, in numbers short enough to follow with a pencil."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from bptt_check.faults import Fault
from bptt_check.lstm.forward import forward
from bptt_check.lstm.params import Parameters, shapes, states
from bptt_check.lstm.variants import Variant
from bptt_check.planting.cases import handed_out, made, same
from bptt_check.program import STEP, Program

Array = np.ndarray[Any, Any]
SHAPES = (
    (2, 1, 1, 1),
    (3, 1, 1, 1),
    (2, 2, 1, 1),
    (2, 1, 1, 2),
    (4, 1, 1, 1),
    (5, 1, 1, 1),
    (3, 2, 1, 2),
)  # T, B, D, H
SCALES = (1.0, 16.0)  # of the loss derivatives: what clips only large numbers needs large ones
SEEDS = (1, 2, 3)  # short numbers make symmetric matrices now and then, in which no transpose shows
SHORT = (-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0)
_WRITTEN = {0.25: "¼", 0.5: "½", 0.75: "¾"}


@dataclass(frozen=True)
class Line:
    """One derivative, right and wrong. ``t``: its step, or ``None`` for a gradient that is handed out."""

    target: str
    t: int | None
    right: Array
    wrong: Array


@dataclass(frozen=True)
class Example:
    """A fault in numbers. ``lines``: what changes. Empty where nothing does in any of the shapes tried."""

    shape: tuple[int, int, int, int]
    point: Mapping[str, Array]
    dl: Array
    lines: tuple[Line, ...]


def example(fault: Fault, cell: Variant) -> Example:
    """The first of a few small shapes in which the fault changes what is handed out."""
    for scale, seed, shape in product(SCALES, SEEDS, SHAPES):
        point, dl = _drawn(cell, shape, scale, seed)
        program = _program(cell, point, dl)
        right = handed_out(program, program.right)
        wrong = made(program, fault)
        if wrong is not None and not same(wrong, right):
            return Example(shape, point, dl, _changed(program, fault))
    return Example(SHAPES[0], *_drawn(cell, SHAPES[0], 1.0, SEEDS[0]), lines=())


def _drawn(cell: Variant, shape: tuple[int, int, int, int], scale: float, seed: int) -> tuple[dict[str, Array], Array]:
    T, B, D, H = shape
    rng = np.random.default_rng(seed)
    named = {**shapes(cell, D, H), "x": (T, B, D), **states(cell, B, H)}
    return {name: rng.choice(SHORT, shape) for name, shape in named.items()}, scale * rng.choice(SHORT, (T, B, H))


def _program(cell: Variant, point: Mapping[str, Array], dl: Array) -> Program:
    weights = Parameters({name: a for name, a in point.items() if name[:2] in ("W_", "b_", "p_")})
    gates0 = {name[0]: a for name, a in point.items() if name in ("i0", "f0", "o0")}
    return Program(forward(weights, point["x"], point["h0"], point["s0"], variant=cell, gates0=gates0), dl)


def _changed(program: Program, fault: Fault) -> tuple[Line, ...]:
    """The derivatives of each step in the order in which they are computed, then the gradients."""
    right, wrong = program.right, program.run(dict(fault.changes))
    steps = [line.target for line in program.lines if line.kind == STEP]
    ends = [line.target for line in program.lines if line.kind != STEP]
    lines = [Line(k, t, right[k][t - 1], wrong[k][t - 1]) for t in range(program.T, 0, -1) for k in steps]
    lines += [Line(k, None, right[k], wrong[k]) for k in ends]
    return tuple(line for line in lines if not same({"": line.wrong}, {"": line.right}))


def short(value: float) -> str:
    """A number as it is written with a pencil: ½, −¼; four decimals where it is none of those."""
    sign, size = "−" if value < 0 else "", abs(value)
    whole, rest = divmod(size, 1)
    if rest == 0 or rest in _WRITTEN:
        return sign + (f"{whole:.0f}" if whole or not rest else "") + _WRITTEN.get(rest, "")
    return sign + (f"{size:.4f}" if size >= 0.001 else f"{size:.1e}")


def written(array: Array) -> str:
    """An array on one line: a number, [a b], or [a b; c d]."""
    if array.size == 1:
        return short(float(array.reshape(())))
    rows = array.reshape(-1, array.shape[-1])
    return "[" + "; ".join(" ".join(short(float(v)) for v in row) for row in rows) + "]"
