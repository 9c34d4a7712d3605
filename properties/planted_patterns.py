"""Random gradients with one mistake worked on them, for each kind of pattern, and what is expected of each."""

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


# Multiples


@plant("scaled: one block", T=2, B=2, D=2, H=2)
def _(case: Case) -> Planted:
    T, B, D, H = case.T, case.B, case.D, case.H
    known = {"−1": -1, "2": 2, "½": 0.5, "T": T, "1/T": 1 / T, "B": B, "1/B": 1 / B, "1/(T·B)": 1 / (T * B)}
    known |= {"D": D, "H": H, "1/H": 1 / H, "2/B": 2 / B, "T·B": T * B}
    text = str(case.rng.choice([k for k, v in known.items() if v != 1]))
    block = one_block(case, ("W_fh", "W_ix", "V", "x", "b_f"), 2)
    return Planted(changed(case, {block: lambda m: m * known[text]}), "scaled", (block,), "times", float(known[text]))


@plant("scaled: all blocks")
def _(case: Case) -> Planted:
    factor = float(case.rng.choice([-1, 2, 0.5, -2]))
    made = {name: factor * m for name, m in case.computed().items()}
    return Planted(made, "scaled", tuple(made), "times", factor)


@plant("scaled: no name", H=2)
def _(case: Case) -> Planted:
    factor, block = float(case.rng.uniform(1.1, 1.9)), one_block(case)
    return Planted(changed(case, {block: lambda m: m * factor}), "scaled", (block,), "times", factor)


@plant("scaled: a mean over the batch in some blocks", B=2)
def _(case: Case) -> Planted:
    names = tuple(f"b_{k}" for k in GATES)
    return Planted(changed(case, dict.fromkeys(names, lambda m: m / case.B)), "scaled", names, "times", 1 / case.B)


@plant("learning-rate")
def _(case: Case) -> Planted:
    rate = float(case.rng.choice([0.1, 0.01, 1e-3, 0.05, 3e-4, 1e-4]))
    made = {name: rate * m for name, m in case.computed().items()}
    return Planted(made, "learning-rate", tuple(made), "times", rate)


@plant("clipped-norm: all together", scale=lambda rng: 10 ** rng.uniform(1, 3))
def _(case: Case) -> Planted:
    made, bound = case.computed(), float(case.rng.choice([1, 5, 0.5, 10, 0.25]))
    size = np.sqrt(sum(float((m**2).sum()) for m in made.values()))
    small = 1e-6 * case.rng.integers(2)
    return Planted(
        {k: m * (bound / (size + small)) for k, m in made.items()}, "clipped-norm", tuple(made), f"{bound:g}"
    )


@plant("clipped-norm: each by itself", H=2, scale=lambda rng: 10 ** rng.uniform(1, 3))
def _(case: Case) -> Planted:
    made, bound = case.computed(), float(case.rng.choice([1, 5, 0.5, 10]))
    wrong = tuple(k for k, m in made.items() if np.linalg.norm(m) > bound)
    made = {k: m * min(1, bound / float(np.linalg.norm(m))) for k, m in made.items()}
    return Planted(made, "clipped-norm", wrong, f"{bound:g}, each")


# Nothing there, and what should not be there


@plant("zero")
def _(case: Case) -> Planted:
    names = case.rng.choice([1, 2, 3])
    chosen = [tuple(f"W_{k}h" for k in GATES), ("x",), ("W_fx", "W_fh", "b_f")][names - 1]
    return Planted(changed(case, dict.fromkeys(chosen, np.zeros_like)), "zero", chosen, "zero throughout")


@plant("independent")
def _(case: Case) -> Planted:
    made = case.computed()
    case.right["h0"] = np.zeros_like(case.right["h0"])
    return Planted(made, "independent", ("h0",), "does not depend", whole=True)


@plant("weight-decay")
def _(case: Case) -> Planted:
    share = float(case.rng.choice([0.01, 1e-3, 0.5, 5e-4, 1.0]))
    names = tuple(k for k in case.right if k[0] == "W")
    for k in names:  # a decay that is far below the gradient's rounding cannot be seen by anyone
        case.right[k] *= 10 ** case.rng.uniform(-3, 3) / np.abs(case.right[k]).max()
    made = case.computed()
    made |= {k: made[k] + share * case.point[k] for k in names}
    return Planted(made, "weight-decay", names, "the parameter itself", share)


@plant("weight-decay-l1", H=2, scale=lambda rng: 10 ** rng.uniform(-3, 3))
def _(case: Case) -> Planted:
    share, name = float(case.rng.choice([0.01, 1e-3, 0.5])), one_block(case, ("W_fh", "V"))
    made = changed(case, {name: lambda m: m + share * np.sign(case.point[name])})
    return Planted(made, "weight-decay-l1", (name,), "sign of the parameter", share)


@plant("offset", H=2, scale=lambda rng: 10 ** rng.uniform(-3, 3))
def _(case: Case) -> Planted:
    start, name = float(case.rng.choice([1, -1, 0.25])), one_block(case, ("W_fh", "V", "b_f", "c"), 2)
    return Planted(changed(case, {name: lambda m: m + start}), "offset", (name,), "in every entry", start)


@plant("updated-weight", H=2, scale=lambda rng: 10 ** rng.uniform(-3, 3))
def _(case: Case) -> Planted:
    rate, name = float(case.rng.choice([0.1, 0.01, 1.0])), one_block(case, ("W_fh", "V"))
    made = changed(case, {name: lambda m: case.point[name] - rate * m})
    return Planted(made, "updated-weight", (name,), "is the parameter minus", -rate)


@plant("parameter", H=2)
def _(case: Case) -> Planted:
    name = one_block(case, ("W_fh", "V"))
    return Planted(changed(case, {name: lambda m: case.point[name]}), "parameter", (name,), "parameter itself")


@plant("parameter-product", H=2)
def _(case: Case) -> Planted:
    name = one_block(case, ("W_fh", "V"))
    made = changed(case, {name: lambda m: case.point[name] * m})
    return Planted(made, "parameter-product", (name,), "times the parameter")


# Other blocks


def levelled(case: Case, names: list[str]) -> None:
    """Bring blocks to scales that differ by no more than a million: beside one of 1e18 another is rounding."""
    scale = 10 ** case.rng.uniform(-9, 3)
    for name in names:
        factor = scale * 10 ** case.rng.uniform(-3, 3) / np.abs(case.right[name]).max()
        case.right[name] *= factor
        case.by_step[name] *= factor


@plant("swapped", H=2)
def _(case: Case) -> Planted:
    levelled(case, [name for name in case.by_step if name[0] in "Wb"])
    factor = float(case.rng.choice([1, 1, -1]))
    i, f = case.rng.choice(list(GATES), 2, replace=False)
    made, names = case.computed(), [f"W_{{}}{j}" for j in "xh"] + ["b_{}"]
    for name in names:
        one, two = name.format(i), name.format(f)
        made[one], made[two] = factor * made[two], factor * made[one]
    return Planted(made, "swapped", tuple(n.format(k) for n in names for k in (i, f)), "swapped")


@plant("permuted", H=2)
def _(case: Case) -> Planted:
    levelled(case, [name for name in case.by_step if name[0] in "Wb"])
    order, made = list(case.rng.permutation(list(GATES)))[:3], case.computed()
    names = ["W_{}x", "W_{}h", "b_{}"]
    for name in names:
        one, two, three = (name.format(k) for k in order)
        made[one], made[two], made[three] = made[two], made[three], made[one]
    return Planted(made, "permuted", tuple(n.format(k) for n in names for k in order), "another in turn")


@plant("other-block", H=2)
def _(case: Case) -> Planted:
    levelled(case, ["W_fh", "W_ih"])
    made = case.computed()
    made["W_fh"] = made["W_ih"].T.copy() if case.rng.integers(2) else made["W_ih"]
    return Planted(made, "other-block", ("W_fh",), "the right one of W_ih")


@plant("other-block: a step", T=2, B=2, H=2)
def _(case: Case) -> Planted:
    made = case.computed()
    case.right["h(t)"] = case.rng.normal(size=(case.T, case.B, case.H))
    made["h(t)"] = case.right["h(t)"].copy()
    made["h0"] = made["h(t)"][0]
    return Planted(made, "other-block", ("h0",), "the right one of h(t) at t = 1")


@plant("shared", H=2)
def _(case: Case) -> Planted:
    made = case.computed()
    case.right["W_fh"] *= np.abs(case.right["W_oh"]).max() / np.abs(case.right["W_fh"]).max()
    made["W_fh"] = case.right["W_fh"] + made["W_oh"]
    made["W_oh"] = made["W_fh"].copy()
    return Planted(made, "shared", ("W_fh", "W_oh"), "the sum of the right ones of W_fh and W_oh")


@plant("sum", H=2)
def _(case: Case) -> Planted:
    case.right["W_fh"] *= np.abs(case.right["W_oh"]).max() / np.abs(case.right["W_fh"]).max()
    made = case.computed()
    made["W_fh"] = made["W_fh"] + made["W_oh"]
    return Planted(made, "sum", ("W_fh",), "right one of W_oh added")


# Other places

simple("transposed", "the transpose of the right one", lambda m: m.T, names=("W_fh",), H=2)
simple("reshaped", "", lambda m: m.T.reshape(m.shape), names=("V",), whole=True)
simple("reshaped", "", lambda m: m.reshape(m.shape[::-1]).T, names=("V",), name="reshaped: back", whole=True)
simple("reversed", "reversed in time", lambda m: m[::-1], names=("x",), T=2, B=2, D=2)
simple("rolled", "1 step later in time", lambda m: np.roll(m, 1, 0), names=("x",), T=3, B=2, D=2)
simple("rolled", "1 place earlier along axis 0", lambda m: np.roll(m, -1, 0), names=("V",))
simple("rolled", "1 place later along axis 1", lambda m: np.roll(m, 1, 1), names=("V",), D=3)
simple(
    "shifted", "1 step later in time", lambda m: np.concatenate([0 * m[:1], m[:-1]]), names=("x",), T=3, B=2, D=2
)  # fmt: skip
simple("shifted", "1 step earlier in time", lambda m: np.concatenate([m[1:], m[-1:]]), names=("x",), T=3, B=2, D=2)
simple("accumulated", "later steps", lambda m: np.cumsum(m[::-1], 0)[::-1], names=("x",), whole=True, T=2, B=2, D=2)
simple("accumulated", "earlier steps", lambda m: np.cumsum(m, 0), names=("x",), whole=True, T=2, B=2, D=2)
for _what in ("mean", "sum"):
    simple(
        "spread", f"the {_what} of the right one over axis 0",
        lambda m, w=_what: np.broadcast_to(getattr(m, w)(axis=0), m.shape) + 0.0,
        names=("V", "h0"), whole=True, B=3, H=2,
    )  # fmt: skip


@plant("parts-permuted", H=2)
def _(case: Case) -> Planted:
    name, count = one_block(case, ("V", "c")), int(case.rng.choice([2, 4]))
    order = case.rng.permutation(count)
    while (order == np.arange(count)).all():
        order = case.rng.permutation(count)

    def turned(m: Array) -> Array:
        parts = np.split(m, count, axis=0)
        return np.concatenate([parts[k] for k in order])

    return Planted(changed(case, {name: turned}), "parts-permuted", (name,), "in another order")


@plant("parts-repeated", H=2)
def _(case: Case) -> Planted:
    i, j = case.rng.choice(4, 2, replace=False)

    def repeated(m: Array) -> Array:
        parts = np.split(m, 4, axis=0)
        parts[i] = parts[j]
        return np.concatenate(parts)

    return Planted(changed(case, {"V": repeated}), "parts-repeated", ("V",), "a part twice")


simple("interleaved", "interleaved",
       lambda m: m.reshape(4, len(m) // 4, -1).swapaxes(0, 1).reshape(m.shape), names=("V",), H=3)  # fmt: skip

# Sums over time


def _steps(kind: str, says: str, weights: Callable[[np.random.Generator, int], Any], **needs: Any) -> None:
    def made(case: Case) -> Planted:
        counted = weights(case.rng, case.T)
        names = [tuple(case.by_step), ("V",), ("b_f", "W_fx", "W_fh")][case.rng.integers(3)]
        a = case.computed()
        a |= {k: np.tensordot(counted, case.by_step[k], 1) for k in names}
        return Planted(a, kind, names, says)

    plant(f"{kind}: {says}", **needs)(made)


def _one(t: int, T: int) -> Array:
    return np.eye(T)[t]


_steps("last-step", "last step alone", lambda rng, T: _one(-1, T), H=2, T=3)
_steps("first-step", "first step alone", lambda rng, T: _one(0, T), H=2, T=3)
_steps("all-but-last", "lacks the last", lambda rng, T: 1 - _one(-1, T), H=2, T=3)
_steps("all-but-first", "lacks the first", lambda rng, T: 1 - _one(0, T), H=2, T=3)
_steps("steps", "down alone", lambda rng, T: np.arange(T) < rng.integers(2, T - 1), H=2, T=4)
_steps("steps", "on alone", lambda rng, T: np.arange(T) >= rng.integers(2, T - 1), H=2, T=4)
_steps("step-missing", "lacks the step", lambda rng, T: 1 - _one(rng.integers(1, T - 1), T), H=2, T=3)
_steps("step-twice", "twice", lambda rng, T: 1 + _one(rng.integers(T), T), H=2)
_steps("step-sign", "subtracts", lambda rng, T: 1 - 2 * _one(rng.integers(T), T), H=2)
_steps("step-shifted", "in the place of t = 1", lambda rng, T: 1 - _one(0, T) + _one(1, T), H=2, T=3)

# Entry by entry


@plant("clipped", H=2)
def _(case: Case) -> Planted:
    name = one_block(case)
    size = np.sort(np.abs(case.right[name]).reshape(-1))
    bound = float(size[: max(1, len(size) - 1)][case.rng.integers(len(size) // 2, max(1, len(size) - 1))])
    bound = float(case.rng.choice([bound * 1.0000001, float(f"{bound:.0e}")]))
    if not 0 < bound < size[-2]:
        bound = float(size[-2] * 0.9999)  # one entry alone proves no bound
    return Planted(changed(case, {name: lambda m: np.clip(m, -bound, bound)}), "clipped", (name,), "clipped at", bound)


@plant("clipped: all", scale=lambda rng: 10 ** rng.uniform(0, 2))
def _(case: Case) -> Planted:
    made, bound = case.computed(), float(case.rng.choice([1, 5, 0.5]))
    wrong = tuple(k for k, m in made.items() if np.abs(m).max() > bound * (1 + 1e-12))
    return Planted({k: np.clip(m, -bound, bound) for k, m in made.items()}, "clipped", wrong, f"clipped at ±{bound:g}")


@plant("dead-zone", H=4)
def _(case: Case) -> Planted:
    name = one_block(case, ("W_fh", "V"))
    bound = float(np.quantile(np.abs(case.right[name]), case.rng.uniform(0.35, 0.7)))
    small = 0.05 * np.abs(case.right[name]).max()
    case.right[name] = case.right[name] + np.sign(case.right[name]) * small * 1e-9
    made = changed(case, {name: lambda m: np.where(np.abs(m) < bound, 0, m)})
    return Planted(made, "dead-zone", (name,), "is zero wherever", whole=True)


def _rounded(what: str, function: Callable[[Array], Array], low: float, high: float) -> None:
    def made(case: Case) -> Planted:
        block = one_block(case, ("W_fh", "W_ix", "V"))
        return Planted(changed(case, {block: function}), "rounded", (block,), what)

    plant(f"rounded: {what}", D=3, H=3, scale=lambda rng: 10 ** rng.uniform(low, high))(made)


_rounded("to float32", lambda m: m.astype(np.float32), -12, 6)
_rounded("to float16", lambda m: m.astype(np.float16), -1, 1)
_rounded("to whole numbers", np.rint, 1.5, 5)
_rounded("to 3 decimals", lambda m: np.round(m, 3), -1, 2)
_rounded("to 4 significant digits", lambda m: np.vectorize(lambda v: float(f"{v:.3e}"))(m), -12, 6)

simple("absolute", "the absolute value", np.abs, H=4, names=("W_fh", "V"))
simple("positive-part", "where that is positive", lambda m: np.maximum(m, 0), H=3, names=("W_fh", "V"))
simple("negative-part", "where that is negative", lambda m: np.minimum(m, 0), H=3, names=("W_fh", "V"))
simple("sign", "the sign of the right one", np.sign, H=2)
simple("square", "the square", lambda m: m * m, H=2)

# Places


def _placed(kind: str, name: str, mask: Callable[[Case, tuple[int, ...]], Array], **needs: Any) -> None:
    def made(case: Case) -> Planted:
        a = case.computed()
        where = mask(case, a[name].shape)
        how = case.rng.integers(3)
        noise = np.abs(a[name]).max() * (0.1 + case.rng.random(a[name].shape))
        a[name] = np.where(where, [-a[name], 0 * a[name], a[name] + noise][how], a[name])
        only = "is wrong" if kind == "steps-wrong" else "is right but for"
        zero = "is zero" if kind == "steps-wrong" else "where it is zero"  # the same, said from the other side
        says = ["where it is −1 times", zero, only][how]
        return Planted(a, kind, (name,), says, [-1.0, 0.0, None][how])

    plant(f"{kind}: {name}", **needs)(made)


def _rows(case: Case, shape: tuple[int, ...]) -> Array:
    return np.indices(shape)[0] == case.rng.integers(shape[0])


_placed("rows", "V", _rows, H=3)
_placed("rows", "W_fh", _rows, H=5)
_placed("columns", "V", lambda c, s: np.indices(s)[1] >= s[1] - 2, H=3, D=3)
_placed("columns", "W_fh", lambda c, s: np.indices(s)[1] == c.rng.integers(s[1]), H=5)
_placed("part", "V", lambda c, s: np.indices(s)[0] // c.H == c.rng.integers(4), H=2)
_placed("part", "c", lambda c, s: np.indices(s)[0] // c.H == c.rng.integers(4), H=5)
_placed("corner", "V", lambda c, s: (np.indices(s)[0] // c.H == 1) & (np.indices(s)[1] >= c.D), H=3, D=2)
_placed("diagonal", "W_fh", lambda c, s: np.eye(*s) > 0, H=5)
_placed("off-diagonal", "W_fh", lambda c, s: np.eye(*s) == 0, H=5)
_placed("triangle", "W_fh", lambda c, s: np.tril(np.ones(s)) > 0, H=5)
_placed("steps-wrong", "x", lambda c, s: np.indices(s)[0] < c.rng.integers(1, s[0]), T=3, B=2, D=2)
_placed("entries", "c", lambda c, s: np.indices(s)[0] >= s[0] - 5, H=5)


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
