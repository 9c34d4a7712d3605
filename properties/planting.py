"""Random gradients for patterns to be planted in, how a planted one is registered, and whether it was found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Blocks = dict[str, Array]

GATES = "gifo"
EPS = float(np.finfo(float).eps)


@dataclass
class Case:
    """A random right gradient, its reference with the rounding of both, and where it was taken.

    No LSTM: numbers of the shapes of one. ``V`` and ``c`` are four gates packed into one block, for [x, h].
    """

    rng: np.random.Generator
    T: int
    B: int
    D: int
    H: int
    scale: float | None = None  # of the entries; by default each block has its own, from 1e-12 to 1e6
    right: Blocks = field(default_factory=dict)
    point: Blocks = field(default_factory=dict)
    by_step: Blocks = field(default_factory=dict)

    def __post_init__(self) -> None:
        spread = self.rng.choice([0.3, 3.0])
        for name, shape in self.shapes().items():
            scale = self.scale or 10 ** self.rng.uniform(-12, 6)
            timed = name[0] in "WbVc"
            values = self.rng.normal(size=(self.T, *shape) if timed else shape)
            values = scale * values * np.exp(spread * self.rng.normal(size=shape))
            self.right[name] = values.sum(axis=0) if timed else values
            if timed:
                self.by_step[name] = values
            self.point[name] = self.rng.normal(size=shape)

    @property
    def lengths(self) -> dict[str, int]:
        return {"T": self.T, "B": self.B, "D": self.D, "H": self.H}

    def shapes(self) -> dict[str, tuple[int, ...]]:
        T, B, D, H = self.T, self.B, self.D, self.H
        weights = {f"W_{k}{j}": (H, D if j == "x" else H) for k in GATES for j in "xh"}
        biases = {f"b_{k}": (H,) for k in GATES}
        return {**weights, **biases, "V": (4 * H, D + H), "c": (4 * H,), "x": (T, B, D), "h0": (B, H)}

    def computed(self) -> Blocks:
        """The right gradient as somebody may have computed it: a few ulps off."""
        return {k: v * (1 + 2 * EPS * self.rng.uniform(-1, 1, v.shape)) for k, v in self.right.items()}

    def reference(self, hide: bool = False) -> Blocks:
        """The reference derivative, an ulp off; some entries of large blocks were never looked at where ``hide``."""
        found = {k: v * (1 + EPS * self.rng.uniform(-1, 1, v.shape)) for k, v in self.right.items()}
        for values in found.values() if hide else ():
            if values.size >= 40:
                values[self.rng.random(values.shape) < 0.3] = np.nan
        return found

    def tolerance(self, analytic: Blocks) -> Blocks:
        found = {}
        for name, r in self.right.items():
            with np.errstate(all="ignore"):
                a = np.where(np.isfinite(analytic[name]), np.abs(analytic[name]), 0.0)
            level = np.maximum(a, np.abs(r))
            found[name] = 32 * EPS * (level + 0.05 * level.max())
        return found


@dataclass(frozen=True)
class Planted:
    """What was planted: the wrong gradient, and the pattern that is to be found. ``says`` is a part of its message."""

    analytic: Blocks
    kind: str
    blocks: tuple[str, ...]
    says: str = ""
    factor: float | None = None
    whole: bool = False  # needs every entry of the reference
    right: Blocks | None = None  # where the right gradient itself had to be made for it


Plant = Callable[[Case], Planted]
PLANTS: dict[str, tuple[Plant, dict[str, Any]]] = {}


def plant(name: str, **needs: Any) -> Callable[[Plant], Plant]:
    """Register a way to plant; ``needs`` are lower bounds on lengths, and ``scale``."""

    def register(function: Plant) -> Plant:
        PLANTS[name] = function, needs
        return function

    return register


def drawn(name: str, seed: int) -> tuple[Case, Planted]:
    """One case of one kind."""
    rng = np.random.default_rng([seed, sum(map(ord, name))])
    needs = PLANTS[name][1]
    T, B, D, H = (int(rng.integers(needs.get(k, low), 7)) for k, low in (("T", 2), ("B", 1), ("D", 1), ("H", 1)))
    case = Case(rng, T, B, D, H, needs["scale"](rng) if "scale" in needs else None)
    return case, PLANTS[name][0](case)


def one_block(case: Case, names: str | tuple[str, ...] = ("W_fh", "W_ix", "V", "x"), least: int = 4) -> str:
    """One of these blocks that has some entries."""
    fit = [name for name in (names if isinstance(names, tuple) else (names,)) if case.right[name].size >= least]
    return str(case.rng.choice(fit))


def changed(case: Case, change: dict[str, Callable[[Array], Array]]) -> Blocks:
    made = case.computed()
    for name, function in change.items():
        made[name] = function(made[name])
    return made


def simple(
    kind: str,
    says: str,
    function: Callable[[Array], Array],
    *,
    name: str | None = None,
    names: tuple[str, ...] = ("W_fh", "W_ix", "V", "x"),
    whole: bool = False,
    **needs: Any,
) -> None:
    """A mistake worked on one block."""

    def made(case: Case) -> Planted:
        block = one_block(case, names)
        return Planted(changed(case, {block: function}), kind, (block,), says, whole=whole)

    plant(name or f"{kind}: {says}", **needs)(made)


def unstructured(seed: int) -> tuple[Case, Blocks]:
    """A right gradient with errors that have no shape, in some blocks, in all entries or some."""
    rng = np.random.default_rng([seed, 1])
    T, B, D, H = (int(k) for k in rng.integers(1, 7, size=4))
    case = Case(rng, T, B, D, H)
    made = case.computed()
    for name in made:
        if rng.random() < 0.4:
            m = made[name]
            hit = rng.random(m.shape) < rng.choice([1.0, 0.5, 0.2])
            relative = 10 ** rng.uniform(-8, 0) * rng.normal(size=m.shape)
            made[name] = np.where(hit, m * (1 + relative) if rng.integers(2) else m + relative * np.abs(m).max(), m)
    return case, made


def found(case: Case, planted: Planted, patterns: Any) -> Iterator[str]:
    """What is amiss with the patterns that were found, in words; nothing if the planted one is among them."""
    blocks = set(planted.blocks)
    fitting = [p for p in patterns if set(p.blocks) == blocks and p.exact]
    if not fitting:
        yield f"{planted.kind} in {sorted(blocks)}: found {[str(p) for p in patterns]}"
        return
    if not any(planted.says in said for p in fitting for said in (p.message, *p.also)):
        yield f"{planted.kind}, {planted.says!r}: found {[str(p) for p in fitting]}"
    own = [p for p in fitting if p.kind == planted.kind]
    if own and planted.factor is not None and not np.isclose(own[0].factor, planted.factor, rtol=1e-6):
        yield f"{planted.kind}: the factor is {own[0].factor}, not {planted.factor}"
