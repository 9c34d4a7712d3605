"""Backward passes of every cell of the family with known mistakes in them, in the forms and layouts that users have.

The mistakes are those of the catalogue: the lines of a cell (program.py) are run with some of them changed. The layouts
are other people's: packed gates, transposed matrices, the batch in front, other names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check import Subject
from bptt_check.faults import Fault, catalogue
from bptt_check.forms.vjp import drawn_loss
from bptt_check.lstm.forward import Trace, forward
from bptt_check.lstm.params import Parameters, shapes, signed, states
from bptt_check.lstm.variants import Variant
from bptt_check.program import STEP, Program, lines_of

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
LAYOUTS = ("ours", "packed", "transposed", "batch first")
TAPS = ("all", "gates", "none")
COUNTS = 1e-7  # relative change of a block's largest entry at which a mistake counts as one at a point
GATES = "gifo"


def drawn(cell: Variant, T: int, B: int, D: int, H: int, seed: int) -> dict[str, Array]:
    """A random point of a cell by our names."""
    rng = np.random.default_rng(seed)
    arrays = {"x": rng.normal(size=(T, B, D))}
    return arrays | {k: signed(rng, shape) for k, shape in {**shapes(cell, D, H), **states(cell, B, H)}.items()}


def run(cell: Variant, ours: Arrays) -> Trace:
    """Our forward pass."""
    gates0 = {k: ours[f"{k}0"] for k in "ifo" if f"{k}0" in ours}
    weights = Parameters({name: ours[name] for name in shapes(cell, 1, 1)})
    return forward(weights, ours["x"], ours["h0"], ours["s0"], variant=cell, gates0=gates0)


def spoilt(program: Program, changes: Mapping[str, str]) -> dict[str, Array]:
    """Gradients by our names, the lines changed as stated."""
    with np.errstate(all="ignore"):
        values = program.run(changes) if changes else program.right
    named = {f"d{name}" for name in ("h", "s", *GATES)} | {f"d{k}_next" for k in "hsifo"}
    return {k[1:]: v for k, v in values.items() if k not in named and not k.startswith("dz_")}


@dataclass(frozen=True)
class Layout:
    """How somebody else keeps our arrays: ``theirs`` of them, and ``ours`` back; both only move entries."""

    theirs: Callable[[Arrays], dict[str, Array]]
    ours: Callable[[Arrays], dict[str, Array]]
    time_first: bool = True


def layout_named(name: str, cell: Variant) -> Layout:
    """One of :data:`LAYOUTS` for a cell."""
    if name == "ours":
        return Layout(dict, dict)
    order = [k for k in ("i", "f", "g", "o") if k in cell.blocks]
    across = 0 if name == "packed" else 1
    kinds = {"from_x": "W_{}x", "bias": "b_{}", "peep": "p_{}"}
    kinds |= {f"from_{j}": f"W_{{}}{j}" for j in "hsifo"}
    given = shapes(cell, 1, 1)
    members = {theirs: [ours.format(k) for k in order if ours.format(k) in given] for theirs, ours in kinds.items()}
    members = {theirs: ours for theirs, ours in members.items() if ours}

    def theirs(ours: Arrays) -> dict[str, Array]:
        found = {}
        for into, of in members.items():
            parts = [ours[k].T if across and ours[k].ndim == 2 else ours[k] for k in of]
            found[into] = np.concatenate(parts, axis=-1 if across else 0)
        rest = {k: v for k, v in ours.items() if k not in given}
        if name == "batch first":
            rest["x"] = rest["x"].swapaxes(0, 1)
        return {**{f"{k}_start" if k != "x" else "inputs": v for k, v in rest.items()}, **found}

    def ours(theirs: Arrays) -> dict[str, Array]:
        found = {}
        for into, of in members.items():
            for k, part in zip(of, np.split(theirs[into], len(of), axis=-1 if across else 0), strict=True):
                found[k] = part.T if across and part.ndim == 2 else part
        rest = {"x" if k == "inputs" else k.removesuffix("_start"): v for k, v in theirs.items() if k not in members}
        if name == "batch first":
            rest["x"] = rest["x"].swapaxes(0, 1)
        return {**rest, **found}

    return Layout(theirs, ours, time_first=name != "batch first")


def layer(
    cell: Variant,
    changes: Mapping[str, str],
    *,
    layout: str = "ours",
    steps: tuple[int, int, int, int] = (4, 2, 3, 4),
    seed: int = 0,
    memory_out: bool = False,
    kind: Any = float,
    left_out: Iterable[str] = (),
) -> Subject:
    """A layer of all steps, ``Subject.from_vjp``. ``left_out``: gradients, by their names, that it does not return."""
    turned = layout_named(layout, cell)
    point = {k: v.astype(kind) for k, v in turned.theirs(drawn(cell, *steps, seed)).items()}

    def out(h: Array) -> Array:
        return h if turned.time_first else np.swapaxes(h, -3, -2)

    def forwards(p: Arrays) -> tuple[Any, Any]:
        trace = run(cell, turned.ours(p))
        outputs = {"h": out(trace.over_time("h"))}
        if memory_out:
            outputs["last_memory"] = trace.s[-1]
        return outputs, trace

    def backwards(trace: Trace, d: Arrays) -> dict[str, Array]:
        dl_ds = None
        if memory_out:
            dl_ds = np.zeros((trace.T, *d["last_memory"].shape), d["last_memory"].dtype)
            dl_ds[-1] = d["last_memory"]
        gradient = turned.theirs(spoilt(Program(trace, out(d["h"]), dl_ds=dl_ds), changes))
        return {k: v for k, v in gradient.items() if k not in left_out}

    return Subject.from_vjp(forwards, backwards, point, name=f"{cell.name}, {layout}", rng=seed)


def functions(
    cell: Variant,
    change: Callable[[dict[str, Array], Arrays], dict[str, Array]],
    *,
    steps: tuple[int, int, int, int] = (4, 2, 3, 4),
    seed: int = 0,
) -> tuple[Subject, dict[str, Array]]:
    """Two functions of numbers, ``Subject.from_functions``, nothing declared; and the right gradient.

    ``change``: what is made of the right gradient, from it and the point.
    """
    point = drawn(cell, *steps, seed)
    weights = drawn_loss({"h": (steps[0], steps[1], steps[3])}, "mixed", seed)

    def loss(p: Arrays) -> Any:
        return weights.value({"h": run(cell, p).over_time("h")})

    def right(p: Arrays) -> dict[str, Array]:
        trace = run(cell, p)
        return spoilt(Program(trace, weights.cotangents({"h": trace.over_time("h")})["h"]), {})

    subject = Subject.from_functions(loss, lambda p: change(right(p), p), point, name=f"{cell.name}, numbers")
    return subject, right(point)


class OneStep:
    """One step of a cell, ``Subject.from_cell``; backwards it runs the lines of one step, some of them changed.

    ``taps``: ``"all"`` intermediates, the ``"gates"`` and candidate alone, or ``"none"``. Where gates are seen by the
    next step, they are states that are carried too.
    """

    def __init__(self, cell: Variant, changes: Mapping[str, str], taps: str = "all") -> None:
        self.cell, self.changes, self.taps = cell, dict(changes), taps
        self.carried = ("i", "f", "o") if cell.gate_recurrence else ()
        self.state = ("h", "s", *self.carried)
        self.tapped = {"all": ("g", "i", "f", "o", "z_g", "z_i", "z_f", "z_o"), "gates": tuple(GATES), "none": ()}[taps]

    def parameters(self, D: int, H: int) -> dict[str, tuple[int, ...]]:
        return dict(shapes(self.cell, D, H))

    def forward(self, p: Arrays, x: Array, prev: Arrays, tap: Any) -> tuple[dict[str, Array], Trace]:
        def at(name: str, t: int, value: Array) -> Array:
            return tap(name, value) if name in self.tapped else value

        gates0 = {k: prev[k] for k in self.carried}
        trace = forward(Parameters(p), x[None], prev["h"], prev["s"], variant=self.cell, gates0=gates0, tap=at)
        return {k: getattr(trace, k)[1] for k in self.state}, trace

    def backward(self, p: Arrays, trace: Trace, d: Arrays) -> tuple[Any, ...]:
        program = Program(trace, d["h"][None])
        program.start |= {f"d{k}_next": d[k] for k in self.state if k != "h"}
        with np.errstate(all="ignore"):
            values = program.run(self.changes)
        weights = {k: values[f"d{k}"] for k in p}
        previous = {k: values[f"d{k}0"] for k in self.state}
        known = {f"d{k}": k for k in self.tapped}
        return weights, values["dx"][0], previous, {k: values[d][0] for d, k in known.items() if d in values}


def of_one_step(fault: Fault, cell: Variant) -> bool:
    """Whether a mistake can be made within one step: not where it is about t, other steps, or what is carried.

    The harness brings the loss, adds ∂l(t)/∂h(t) to what is carried, and sums weights over time; a cell that it
    unrolls cannot get these wrong. What a step starts from, ``ds_next``, it may still use wrongly.
    """
    kinds = {line.target: line.kind for line in lines_of(cell)}
    for target, code in fault.changes:
        if target == "dh" or (kinds[target] not in (STEP, "sum")):
            return False
        if any(word in code for word in ("_later", "dl[", "(t ", "if t", "t+1", "T", "t-2", "max(t", "or T", "[0]")):
            return False
        if target.endswith("_next") and f"+ {target}" in code:
            return False
    return True


def counts(cell: Variant, fault: Fault, steps: tuple[int, int, int, int], seed: int) -> bool:
    """Whether a mistake changes any returned gradient there, beyond rounding."""
    trace = run(cell, drawn(cell, *steps, seed))
    rng = np.random.default_rng(seed)
    program = Program(trace, rng.uniform(0.5, 1.5, (steps[0], steps[1], steps[3])))
    right = spoilt(program, {})
    try:
        wrong = spoilt(program, dict(fault.changes))
    except (ValueError, TypeError, IndexError):
        return False
    return all(np.shape(wrong[k]) == np.shape(right[k]) for k in right) and any(
        float(np.abs(wrong[k] - right[k]).max(initial=0)) > COUNTS * float(np.abs(right[k]).max(initial=0))
        for k in right
    )


def cell_subject(
    cell: Variant,
    changes: Mapping[str, str],
    *,
    taps: str = "all",
    steps: tuple[int, int, int, int] = (4, 2, 3, 4),
    seed: int = 0,
) -> Subject:
    """A cell that the harness unrolls."""
    T, B, D, H = steps
    return Subject.from_cell(OneStep(cell, changes, taps), T=T, B=B, D=D, H=H, rng=seed, name=f"{cell.name}, one step")


def faults_of(cell: Variant, *, one_step: bool = False) -> tuple[Fault, ...]:
    """The catalogue of a cell, or that part of it which a single step can hold."""
    return tuple(f for f in catalogue(cell) if not one_step or of_one_step(f, cell))
