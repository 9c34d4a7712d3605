"""The families: each draws a case from a seed. ``draw("structural", 7)`` is always the same case."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check import Subject, check
from planted import calls, hard, other_faults
from planted.case import ABOVE_ROUNDING, Planted, effect, rounding_level
from planted.faults import STRUCTURAL, VALUE_DEPENDENT, Fault
from planted.programs_of import Spec, make, right_gradient, spoil, unsafe

STRUCTURAL_SIZE = 1e-6  # relative change of an entry at which a structural fault counts
VALUE_SIZE = 1e-9
ENTRY_SIZES = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10, 1e-12)
TRIES = 20
WIDEST = 0.1  # steps of real differences, in units of a block's size, at which the loss's own noise is reckoned

Draw = Callable[[np.random.Generator, int], Planted | None]


def options(case: Planted) -> dict[str, Any]:
    """The options of ``check`` that a case asks for, as far as it has them."""
    known = inspect.signature(check).parameters
    return {"repeats": case.repeats} if case.repeats and "repeats" in known else {}


def draw(family: str, seed: int) -> Planted:
    """The case of that family and seed. Equivalent faults, which change nothing that counts here, are drawn again."""
    for again in range(TRIES):
        case = FAMILIES[family](np.random.default_rng([seed, again]), seed)
        if case is not None:
            return case
    raise RuntimeError(f"{family}:{seed}: no fault that counts in {TRIES} tries")


def plain(rng: np.random.Generator, program: str, needs: str = "", **others: Any) -> Spec:
    """A random plain problem of shapes that a fault needs."""
    T, B, D, H = (int(rng.integers(1, most + 1)) for most in (6, 4, 5, 5))
    name, _, least = needs.partition(">")
    if name == "T":
        T = max(T, int(least) + 1)
    elif name == "B":
        B = max(B, int(least) + 1)
    elif name == "H":
        H = max(H, int(least) + 1)
    elif needs == "D=H":
        D = H = max(2, H)
    elif needs == "H=3":
        H = 3
    form = str(rng.choice(["functions", "forward_backward", "value_and_gradient"]))
    loss = str(rng.choice(["euclidean", "softmax_cross_entropy", "logistic", "huber", "last_step"]))
    spec = Spec(program, T, B, D, H, int(rng.integers(2**31)), form=form, loss=loss)
    return replace(spec, **others)


def _faulty(family: str, faults: tuple[Fault, ...], size: float, **others: Any) -> Draw:
    def drawn(rng: np.random.Generator, seed: int) -> Planted | None:
        fault = faults[int(rng.integers(len(faults)))]
        spec = plain(rng, fault.program, fault.needs, scale=fault.scale or float(rng.choice([0.5, 1.0, 2.0])), **others)
        wrong = make(spec, fault.edits)
        strength = effect(wrong.gradient_at, right_gradient(spec), wrong.blocks, size=size)
        if not strength > 1:
            return None
        named = ("raised",) if _raises(wrong) else ()
        return Planted(
            family, seed, fault.program, wrong, fault.name, named=named, effect=strength, facts={"spec": spec}
        )

    return drawn


def _raises(subject: Subject) -> bool:
    try:
        subject.gradient(subject.blocks)
    except Exception:
        return True
    return False


def _one_entry(family: str, size: float, program: str | None = None, unsafe_too: bool = False, **others: Any) -> Draw:
    def drawn(rng: np.random.Generator, seed: int) -> Planted | None:
        spec = plain(rng, program or str(rng.choice(["stacked", "gates", "peephole"])), **others)
        right = make(spec)
        noise = 0.0
        subject = unsafe(right) if unsafe_too else right
        level = rounding_level(right.gradient_at, right.blocks)
        here = right.gradient(right.blocks)
        name = str(rng.choice(list(here)))
        size_of = np.abs(here[name]).reshape(-1)
        if unsafe_too:  # what real differences could see at all: the loss's own noise over a step
            scale = float(np.abs(right.blocks[name]).max()) or 1.0
            noise = 10 * np.finfo(float).eps * abs(float(right.loss(right.blocks))) / (WIDEST * scale)
        counts = np.flatnonzero(size * size_of > ABOVE_ROUNDING * level[name].reshape(-1) + noise)
        if not len(counts):
            return None
        ordered = counts[np.argsort(size_of[counts])]
        place = {"small": 0, "large": -1, "any": int(rng.integers(len(ordered)))}[
            which := str(rng.choice(["small", "large", "any"]))
        ]
        index = tuple(int(k) for k in np.unravel_index(int(ordered[place]), here[name].shape))
        factor = 1 + size * float(rng.choice([-1.0, 1.0]))
        spoilt = spoil(subject, name, index, factor)
        return Planted(
            family, seed, f"{spec.program}, {which} entry", spoilt, f"one entry times 1 {factor - 1:+.0e}", name, index,
            effect=size * float(size_of[ordered[place]]) / (ABOVE_ROUNDING * float(level[name][index]) + noise),
            facts={"spec": spec, "entry": float(here[name][index]), "largest": float(size_of.max())},
        )  # fmt: skip

    return drawn


FAMILIES: dict[str, Draw] = {
    "structural": _faulty("structural", STRUCTURAL, STRUCTURAL_SIZE),
    "value-dependent": _faulty("value-dependent", VALUE_DEPENDENT, VALUE_SIZE),
    **{f"one entry {size:.0e}": _one_entry(f"one entry {size:.0e}", size) for size in ENTRY_SIZES},
    **{
        f"{name}, loss times {factor:.0e}": drawn
        for factor in (1e-6, 1e-12)
        for name, drawn in {
            "structural": _faulty(
                f"structural, loss times {factor:.0e}", STRUCTURAL, STRUCTURAL_SIZE, loss_factor=factor
            ),
            "value-dependent": _faulty(
                f"value-dependent, loss times {factor:.0e}", VALUE_DEPENDENT, VALUE_SIZE, loss_factor=factor
            ),
            "one entry 1e-06": _one_entry(f"one entry 1e-06, loss times {factor:.0e}", 1e-6, loss_factor=factor),
            "one entry 1e-10": _one_entry(f"one entry 1e-10, loss times {factor:.0e}", 1e-10, loss_factor=factor),
        }.items()
    },
    "calls": calls.draw,
    "calls, one in ten": calls.draw_rare,
    "not complex-safe, one entry 1e-06": _one_entry("not complex-safe, one entry 1e-06", 1e-6, unsafe_too=True),
    "of other kinds": other_faults.draw,
    "right": hard.draw_plain,
    "right but hard": hard.draw,
    "right, of other kinds": hard.draw_other,
}
