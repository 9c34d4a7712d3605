"""A cell at random numbers, each fault made there, and which faults give the same gradient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import numpy as np

from bptt_check.faults import Fault
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import Variant
from bptt_check.program import END, SUM, Program

Array = np.ndarray[Any, Any]
LARGE = {"T": 6, "B": 3, "D": 4, "H": 5}  # where two mistakes seldom give the same: all lengths differ
SEED = 20
CASES = 3  # random cases at which a fault changes nothing before it is said to
NEAR = 1e-6  # how near two gradients lie, in one number, before they are compared
ULPS = 2.0**16  # of the largest entry of a block: what two ways to compute the same may differ by


def program_at(cell: Variant, *, T: int, B: int, D: int, H: int, seed: int, scale: float = 1.0) -> Program:
    """The backward pass of a cell at a random point with a loss at every step; ``scale`` multiplies its derivatives."""
    problem = Problem.draw(cell, T=T, B=B, D=D, H=H, rng=np.random.default_rng(seed))
    trace = problem.trace()
    return Program(trace, scale * problem.slope(trace))


def handed_out(program: Program, values: Mapping[str, Array]) -> dict[str, Array]:
    """What a backward pass hands out: the gradients of weights, inputs and initial states, by target."""
    return {x.target: values[x.target] for x in program.lines if x.kind in (SUM, END) or x.target == "dx"}


def made(program: Program, fault: Fault) -> dict[str, Array] | None:
    """What is handed out with one fault made; ``None`` where its lines do not run, for shapes that do not fit."""
    try:
        with np.errstate(all="ignore"):
            return handed_out(program, program.run(dict(fault.changes)))
    except (ValueError, TypeError, IndexError):
        return None


def same(a: Mapping[str, Array], b: Mapping[str, Array], *, eps: float = float(np.finfo(float).eps)) -> bool:
    """Whether two gradients are equal to rounding, each block relative to its largest entry."""
    return all(a[k].shape == b[k].shape and _close(a[k], b[k], eps) for k in b)


def _close(a: Array, b: Array, eps: float) -> bool:
    largest = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return bool(np.abs(a - b).max(initial=0) <= ULPS * eps * largest)


def classes(cell: Variant, faults: Iterable[Fault]) -> tuple[tuple[tuple[Fault, ...], ...], tuple[Fault, ...]]:
    """The faults in groups that hand out the same gradient at a large random case, and those that change nothing.

    What a fault does to intermediates that are not handed out does not tell it from another. Those that change nothing
    do so at ``CASES`` random cases; one that changes something at any of them is left in its group.
    """
    faults = tuple(faults)
    order = {fault.id: n for n, fault in enumerate(faults)}
    program = program_at(cell, **LARGE, seed=SEED)
    right = handed_out(program, program.right)
    along = {k: np.random.default_rng(SEED).normal(size=a.shape) for k, a in right.items()}
    groups: list[_Group] = []
    outcomes = [(_sum(along, wrong), fault, wrong) for fault in faults if (wrong := made(program, fault)) is not None]
    for where, fault, wrong in sorted(outcomes, key=lambda one: one[0]):  # two that are the same are near each other
        near = takewhile(lambda group, at=where: at - group.where <= NEAR * (1 + abs(at)), reversed(groups))  # type: ignore[misc]
        alike = next((group for group in near if same(wrong, group.gradient)), None)
        if alike is None:
            groups.append(_Group(where, wrong, [fault]))
        else:
            alike.faults.append(fault)
    found = [tuple(sorted(group.faults, key=lambda fault: order[fault.id])) for group in groups]
    still: tuple[Fault, ...] = ()
    for group in groups:
        if same(group.gradient, right):
            still = changing_nothing(cell, group.faults)
    left = [tuple(fault for fault in group if fault not in still) for group in found]
    return tuple(sorted(filter(None, left), key=lambda group: order[group[0].id])), still


def changing_nothing(cell: Variant, faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """The faults that leave all that is handed out as it is, at each of ``CASES`` random cases."""
    left = tuple(faults)
    for seed in range(CASES):
        program = program_at(cell, **LARGE, seed=SEED + seed)
        right = handed_out(program, program.right)
        left = tuple(f for f in left if (wrong := made(program, f)) is not None and same(wrong, right))
    return left


@dataclass
class _Group:
    where: float
    gradient: dict[str, Array]
    faults: list[Fault]


def _sum(along: Mapping[str, Any], gradient: Mapping[str, Array]) -> float:
    """One number of a gradient, by which those that are the same are found near each other."""
    return sum(float((along[k] * a).sum()) for k, a in gradient.items() if a.shape == along[k].shape)
