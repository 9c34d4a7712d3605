"""Networks at random numbers, and mistakes planted in their backward passes: names and layout tell nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check import Subject
from bptt_check.networks.cells import COMMON, ELMAN, FAMILY, GRUS
from bptt_check.networks.plan import Part, Plan
from bptt_check.networks.readout import AIMLESS, ENDINGS, WEIGHTED, Goal

SOFTMAX, SQUARED = ENDINGS[:2]
KEPT = ("h0", "s0")  # what a loss of h finds in its closure, where these are not zero
CELLS = {"LSTM": (FAMILY["NP"], FAMILY["V"], FAMILY["post"]), "Elman": (ELMAN,), "GRU": GRUS}
FORMS = (
    *(f"{cell}, output layer" for cell in CELLS),
    "two layers",
    "both directions",
    "GRU alone",
    "Elman alone",
    "loss of h",
)


@dataclass(frozen=True)
class Case:
    """A plan with arrays of ours: weights, states and x."""

    plan: Plan
    ours: dict[str, Any]
    arriving: Any = None

    def right(self) -> dict[str, Any]:
        return self.chain().right

    def chain(self) -> Any:
        return self.plan.chain(self.ours, self.arriving)


def case(form: str, seed: int, steps: tuple[int, int, int, int] | None = None) -> Case:
    """A network of that form with random lengths and numbers."""
    rng = np.random.default_rng(seed)
    T, B, D, H = steps or (int(rng.integers(5, 8)), int(rng.integers(1, 4)), int(rng.integers(2, 5)), 0)
    H = H or int(rng.choice([n for n in (3, 4, 5) if n != D]))
    cells = CELLS.get(form.partition(",")[0].removesuffix(" alone"), COMMON)
    cell = cells[rng.integers(len(cells))]
    bare = form.endswith("alone") or form == "loss of h"
    V = 0 if bare else int(rng.integers(2, 5))
    parts: tuple[Part, ...] = (Part("", cell, D, H),)
    if form == "two layers":
        parts = (Part("layer-1", cell, D, H), Part("layer-2", cell, H, H))
    elif form == "both directions":
        parts = (Part("forward", cell, D, H), Part("backward", cell, D, H))
    goal = _goal(rng, T, B, V) if V else None
    if form == "loss of h":
        goal = _goal_of_h(rng, T, B, H)
    plan = Plan(parts, T, B, V=V, goal=goal, both_ways=form == "both directions")
    ours = {k: rng.uniform(0.3, 1.0, shape) * rng.choice([-1, 1], shape) for k, shape in plan.shapes.items()}
    ours["x"] = rng.normal(size=(T, B, D))
    return Case(plan, ours, None if goal else rng.normal(size=(T, B, H)))


def _goal_of_h(rng: np.random.Generator, T: int, B: int, H: int) -> Goal:
    T = 1 if rng.random() < 0.3 else T
    ending = (WEIGHTED, SQUARED, *AIMLESS)[rng.integers(4)]
    target = np.zeros((T, B, H)) if ending in AIMLESS else rng.normal(size=(T, B, H))
    return Goal(ending, target, float(rng.choice([1.0, 1 / target.size])))


def _goal(rng: np.random.Generator, T: int, B: int, V: int) -> Goal:
    T = 1 if rng.random() < 0.3 else T
    scale = float(rng.choice([1.0, 0.5, 1 / B, 1 / (T * B)]))
    if rng.random() < 0.5:
        return Goal(SOFTMAX, np.eye(V)[rng.integers(V, size=(T, B))], scale)
    return Goal(SQUARED, rng.normal(size=(T, B, V)), scale)


def subject_of(found: Case, changes: dict[str, str] | None = None) -> Subject:
    """The network as two functions of nameless arrays, or as a layer; its gradient that of the lines as changed."""
    names = [k for k in found.ours if not k.startswith(("h0", "s0")) and (k != "x" or found.plan.goal is None)]
    mine = {k: f"array {n}" for n, k in enumerate(names)}
    zero = {
        k: a if k in KEPT and found.plan.goal and not found.plan.V else np.zeros_like(a) for k, a in found.ours.items()
    }
    if found.plan.goal is not None:
        zero["x"] = found.ours["x"]

    def ours(point: Any) -> dict[str, Any]:
        return {**zero, **{k: point[name] for k, name in mine.items()}}

    def gradient(point: Any, arriving: Any = None) -> dict[str, Any]:
        chain = found.plan.chain({k: np.asarray(a, float) for k, a in ours(point).items()}, arriving)
        values = chain.run(changes) if changes else chain.right
        return {name: np.array(values[f"d{k}"]) for k, name in mine.items()}

    point = {name: found.ours[k] for k, name in mine.items()}
    if found.plan.goal is None:
        return Subject.from_vjp(lambda p: (found.plan.seen(ours(p)), p), gradient, point, name=str(found.plan))
    return Subject.from_functions(lambda p: found.plan.seen(ours(p))[()], gradient, point, name=str(found.plan))


def planted(form: str, seed: int) -> tuple[Any, Subject]:
    """One mistake that changes what is handed out, and the subject with it."""
    found = case(form, seed)
    rng = np.random.default_rng((seed, 1))
    keeps = form == "loss of h" and seed % 2
    zeroed = {k: a if keeps or not k.startswith(("h0", "s0")) else 0 * a for k, a in found.ours.items()}
    found = Case(found.plan, zeroed, found.arriving)
    chain, faults = found.chain(), found.plan.faults
    returned = [f"d{k}" for k in found.ours if not k.startswith(("h0", "s0")) and (k != "x" or not found.plan.goal)]
    for n in rng.permutation(len(faults)):
        try:
            with np.errstate(all="ignore"):
                wrong = chain.run(dict(faults[n].changes))
        except (ValueError, TypeError, IndexError):
            continue
        largest = {k: np.abs(chain.right[k]).max() for k in returned}
        if not all(np.isfinite(wrong[k]).all() and wrong[k].shape == chain.right[k].shape for k in returned):
            continue
        if any(np.abs(wrong[k] - chain.right[k]).max() > 1e-6 * (largest[k] or 1.0) for k in returned):
            return faults[n], subject_of(found, dict(faults[n].changes))
    raise ValueError(f"no fault changes {form}, seed {seed}")
