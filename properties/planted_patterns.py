"""Mistakes worked on random gradients, for each kind of pattern, and what is expected of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import planted_places as planted_places  # registers its own
from planting import GATES, PLANTS, Array, Blocks, Case, Planted, changed, drawn, found, one_block, plant, simple
from planting import unstructured as unstructured

__all__ = ["PLANTS", "Blocks", "Case", "Planted", "drawn", "found", "unstructured"]

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
_rounded("to float16", lambda m: m.astype(np.float16), -4, -1)
_rounded("to whole numbers", np.rint, 1.5, 5)
_rounded("to 3 decimals", lambda m: np.round(m, 3), -1, 2)
_rounded("to 4 significant digits", lambda m: np.vectorize(lambda v: float(f"{v:.3e}"))(m), -12, 6)

simple("absolute", "the absolute value", np.abs, H=4, names=("W_fh", "V"))
simple("positive-part", "where that is positive", lambda m: np.maximum(m, 0), H=3, names=("W_fh", "V"))
simple("negative-part", "where that is negative", lambda m: np.minimum(m, 0), H=3, names=("W_fh", "V"))
simple("sign", "the sign of the right one", np.sign, H=2)
simple("square", "the square", lambda m: m * m, H=2)
