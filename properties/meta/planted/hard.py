"""Right gradients that are hard to see right: large offsets, saturated gates, kinks, single precision, sizes, sums.

Each kind is a function from a generator to a right subject. Where a kind is written as edits of a program, the edits
keep it right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check import Subject
from planted import learners, numerics, others
from planted.case import Planted
from planted.programs_of import Edit, Spec, make, run, unsafe

Rng = np.random.Generator
Kind = Callable[[Rng], Subject]

SIGMOIDS: dict[str, tuple[Edit, ...]] = {
    "naive sigmoid": (),
    "sigmoid by tanh": (("return 1 / (1 + np.exp(-z))", "return 0.5 * (1 + np.tanh(z / 2))"),),
    "scipy's expit": (("return 1 / (1 + np.exp(-z))", "from scipy.special import expit; return expit(z)"),),
    "clipped exponent": (("return 1 / (1 + np.exp(-z))", "return 1 / (1 + np.exp(-np.clip(z, -60, 60)))"),),
    "sigmoid in two branches": (
        (
            "return 1 / (1 + np.exp(-z))",
            "e = np.exp(np.where(z > 0, -z, z)); return np.where(z > 0, 1 / (1 + e), e / (1 + e))",
        ),
    ),
}  # fmt: skip
LAST_STEP: tuple[Edit, ...] = (
    ("r.append(h[t + 1] @ V.T + c - y[t])", "r.append((h[t + 1] @ V.T + c - y[t]) * (t == T - 1))"),
)
REAL_BUFFERS: tuple[Edit, ...] = (("np.zeros(shape, dtype=x.dtype)", "np.zeros(shape)"),)


def spec_of(rng: Rng, program: str = "stacked", **fixed: Any) -> Spec:
    T, B, D, H = (int(rng.integers(1, most + 1)) for most in (6, 4, 5, 5))
    spec = Spec(program, T, B, D, H, int(rng.integers(2**31)), form=str(rng.choice(["functions", "forward_backward"])))
    return replace(spec, **fixed)


def _sigmoid(rng: Rng) -> tuple[Edit, ...]:
    return SIGMOIDS[str(rng.choice(list(SIGMOIDS)))]


def offset(rng: Rng) -> Subject:
    return make(spec_of(rng, loss_offset=float(rng.choice([1e4, 1e6, 1e8])) * float(rng.choice([-1, 1]))))


def large_inputs(rng: Rng) -> Subject:
    return make(spec_of(rng, inputs=1e4), _sigmoid(rng))


def exploding(rng: Rng) -> Subject:
    return make(spec_of(rng, T=int(rng.integers(10, 31)), scale=4.0, loss_factor=float(rng.choice([1.0, 1e3, 1e6]))))


def vanishing(rng: Rng) -> Subject:
    spec = spec_of(rng, T=int(rng.integers(15, 41)), scale=0.7, B=2, D=2, H=2)
    return make(spec, LAST_STEP)


def vanished_by_factor(rng: Rng) -> Subject:
    return make(spec_of(rng, loss_factor=float(rng.choice([1e-6, 1e-12, 1e-18]))))


def saturated(rng: Rng) -> Subject:
    return make(spec_of(rng, scale=float(rng.choice([10.0, 20.0, 30.0]))), _sigmoid(rng))


def saturated_by_bias(rng: Rng) -> Subject:
    spec = spec_of(rng)
    point, _ = spec.draw()
    size = float(rng.choice([10.0, 20.0, 30.0]))
    b = point["b"] + size * np.repeat(rng.choice([-1.0, 0.0, 1.0], 4), spec.H)
    return make(replace(spec, replaced={"b": b}), _sigmoid(rng))


def saturated_softmax(rng: Rng) -> Subject:
    return make(spec_of(rng, "gates", scale=float(rng.choice([5.0, 15.0, 30.0]))))


def saturated_cell(rng: Rng) -> Subject:
    spec = spec_of(rng, "peephole")
    subject = make(spec)
    size = float(rng.choice([5.0, 10.0, 20.0]))
    point = {k: size * a if k[0] in "Wbp" else a for k, a in subject.point.items()}
    return replace(subject, point=point)


def other_sigmoids(rng: Rng) -> Subject:
    return make(spec_of(rng, scale=float(rng.choice([0.5, 1, 3]))), _sigmoid(rng))


def real_buffers(rng: Rng) -> Subject:
    return make(spec_of(rng, "gates", scale=float(rng.choice([0.5, 1, 3]))), REAL_BUFFERS)


def compiled(rng: Rng) -> Subject:
    program = str(rng.choice(["stacked", "gates", "peephole"]))
    return unsafe(make(spec_of(rng, program, scale=float(rng.choice([0.5, 1, 3])))))


def long_sequence(rng: Rng) -> Subject:
    H = int(rng.integers(2, 9))
    return make(spec_of(rng, T=200, B=1, D=2, H=H, scale=float(rng.choice([0.5, 1.0, 2.0]))))


def wide(rng: Rng) -> Subject:
    D, H = (int(rng.choice([32, 64, 128, 256])) for _ in range(2))
    return make(spec_of(rng, str(rng.choice(["stacked", "gates"])), T=2, B=2, D=D, H=H))


def batch_only(rng: Rng) -> Subject:
    return make(spec_of(rng, str(rng.choice(["stacked", "gates", "peephole"])), T=1, B=int(rng.integers(2, 6))))


def one_of_each(rng: Rng) -> Subject:
    return make(spec_of(rng, str(rng.choice(["stacked", "gates", "peephole"])), T=1, B=1, D=1, H=1))


def zeros(rng: Rng) -> Subject:
    which = [
        ("W",),
        ("V",),
        ("W", "b", "V", "c"),
        ("h0", "s0"),
        ("x",),
        ("x", "h0", "s0"),
        ("W", "b", "V", "c", "h0", "s0"),
    ]
    return make(spec_of(rng, zero=which[int(rng.integers(len(which)))]))


def at_its_minimum(rng: Rng) -> Subject:
    """Targets that the network hits: every residual is 0, or rounding, or small beside what it was made of."""
    spec = spec_of(rng)
    residual = float(rng.choice([0.0, 1e-16, 1e-12, 1e-6]))
    outputs = _outputs(spec)
    return _with_targets(spec, outputs + residual * rng.normal(size=outputs.shape))


def _outputs(spec: Spec) -> Any:
    """What the stacked program's readout gives at the point, (T, B, outputs)."""
    point, y = spec.draw()
    return np.stack(run(spec.program)["forward"](point, y)[1]["r"]) + y


def _with_targets(spec: Spec, y: Any) -> Subject:
    """The stacked program with other targets."""
    module, (point, _) = run(spec.program), spec.draw()
    return Subject.from_forward_backward(
        lambda p: module["forward"](p, y), module["backward"], point, name="stacked, fitted"
    )


def unequal_blocks(rng: Rng) -> Subject:
    """The same network in other units: inputs of 1e-9 with weights of 1e9, and outputs the other way round."""
    spec = spec_of(rng)
    point, _ = spec.draw()
    unit = float(rng.choice([1e-9, 1e-6, 1e6, 1e9]))
    W = point["W"].copy()
    W[:, : spec.D] /= unit
    return make(replace(spec, replaced={"W": W, "x": point["x"] * unit}))


def cancelling_batch(rng: Rng) -> Subject:
    """Pairs of equal sequences with opposite residuals: what the batch sums is nothing but rounding."""
    spec = spec_of(rng, B=2)
    point, _ = spec.draw()
    twice = {k: np.repeat(point[k][..., :1, :], 2, axis=-2) for k in ("x", "h0", "s0")}
    spec = replace(spec, replaced=twice)
    outputs = _outputs(spec)
    away = rng.normal(size=outputs[:, :1].shape)
    return _with_targets(spec, outputs + np.concatenate([away, -away], axis=1))


def varying_order(rng: Rng) -> Subject:
    """Sequences of the batch in another order at each call: sums over the batch differ by rounding."""
    order = np.random.default_rng(int(rng.integers(2**31)))
    spec = spec_of(rng, B=int(rng.integers(3, 9)))
    module, (point, y) = run(spec.program), spec.draw()

    def both(p: Any) -> Any:
        rows = order.permutation(spec.B)
        mixed = {k: a[..., rows, :] if k in ("x", "h0", "s0") else a for k, a in p.items()}
        loss, cache = module["forward"](mixed, y[:, rows])
        back = np.argsort(rows)
        gradient = {k: a[..., back, :] if k in ("x", "h0", "s0") else a for k, a in module["backward"](cache).items()}
        return loss, gradient

    return Subject.from_value_and_gradient(both, point, name="sequences in any order")


def varying_loss(rng: Rng) -> Subject:
    """A loss of many terms, summed in another order at each call."""
    order = np.random.default_rng(int(rng.integers(2**31)))
    weights = rng.normal(size=64)
    w = rng.normal(size=(64, 3))

    def loss(p: Any) -> Any:
        terms = weights * np.sin(p["a"] * w).sum(axis=1)
        total = 0
        for k in order.permutation(64):
            total = total + terms[k]
        return total

    def gradient(p: Any) -> Any:
        rows = order.permutation(64)
        return {"a": sum(weights[k] * np.cos(p["a"] * w[k]) * w[k] for k in rows)}

    return Subject.from_functions(loss, gradient, {"a": rng.normal(size=3)}, name="sums in any order")


def single(rng: Rng) -> Subject:
    program = str(rng.choice(["stacked", "gates"]))
    factor = float(rng.choice([1.0, 1.0, 1e-6, 1e3]))
    return make(spec_of(rng, program, kind=np.float32, scale=float(rng.choice([0.5, 1, 2])), loss_factor=factor))


def single_long(rng: Rng) -> Subject:
    return make(spec_of(rng, kind=np.float32, T=int(rng.integers(20, 61)), B=2, D=3, H=int(rng.integers(2, 9))))


def single_saturated(rng: Rng) -> Subject:
    return make(spec_of(rng, kind=np.float32, scale=float(rng.choice([5.0, 10.0, 20.0]))), _sigmoid(rng))


def single_casting(rng: Rng) -> Subject:
    """A float32 subject that casts all it is given to float32: the reference has nothing finer to go by."""
    subject = make(spec_of(rng, kind=np.float32, scale=float(rng.choice([0.5, 1, 2]))))

    def cast(p: Any) -> Any:
        if any(np.iscomplexobj(a) for a in p.values()):
            raise TypeError("cannot cast complex to float")
        return {k: np.asarray(a, np.float32) for k, a in p.items()}

    return replace(
        subject,
        loss_at=lambda p: subject.loss_at(cast(p)),
        gradient_at=lambda p: subject.gradient_at(cast(p)),
        pair=None,
    )


def single_buffers(rng: Rng) -> Subject:
    return make(
        spec_of(rng, "gates", kind=np.float32), (("np.zeros(shape, dtype=x.dtype)", "np.zeros(shape, np.float32)"),)
    )


KINDS: dict[str, Kind] = {
    "offset": offset,
    "large inputs": large_inputs,
    "exploding": exploding,
    "vanishing": vanishing,
    "vanished by a factor": vanished_by_factor,
    "saturated": saturated,
    "saturated by bias": saturated_by_bias,
    "saturated softmax": saturated_softmax,
    "saturated cell": saturated_cell,
    "other sigmoids": other_sigmoids,
    "real buffers": real_buffers,
    "float64 only": compiled,
    "T = 200": long_sequence,
    "D, H up to 256": wide,
    "T = 1": batch_only,
    "T = B = D = H = 1": one_of_each,
    "zeros": zeros,
    "at its minimum": at_its_minimum,
    "unequal blocks": unequal_blocks,
    "cancelling batch": cancelling_batch,
    "varying order": varying_order,
    "varying order of the loss": varying_loss,
    "float32": single,
    "float32, long": single_long,
    "float32, saturated": single_saturated,
    "float32, casting": single_casting,
    "float32, real buffers": single_buffers,
    **others.KINDS,
}
RARELY = {"T = 200": 0.1, "D, H up to 256": 0.05}  # what takes seconds is drawn less often
ALSO_AS_FLOAT64_ONLY = 0.2
AS_THEY_ARE = ("float64 only", "flat and steep blocks")  # real differences cannot see 1e-12 beside a loss of 1e6


def draw(rng: Rng, seed: int, kind: str | None = None) -> Planted:
    """A right but hard case, of a random kind unless one is named."""
    if kind is None:
        names = list(KINDS)
        weights = np.array([RARELY.get(name, 1.0) for name in names])
        kind = str(rng.choice(names, p=weights / weights.sum()))
    subject = KINDS[kind](rng)
    as_it_is = "float32" in kind or kind in RARELY or kind in AS_THEY_ARE
    if not as_it_is and rng.random() < ALSO_AS_FLOAT64_ONLY:
        subject, kind = unsafe(subject), f"{kind} (float64 only)"
    return Planted("right but hard", seed, kind, subject)


OTHER_KINDS: dict[str, Kind] = {**learners.KINDS, **numerics.KINDS}


def draw_other(rng: Rng, seed: int, kind: str | None = None) -> Planted:
    """A right gradient of code of another kind, one in five of them in code that has only float64."""
    drawn = str(
        rng.choice(list(OTHER_KINDS))
    )  # drawn in any case: a kind that is named gets the numbers that it got then
    kind = kind or drawn
    subject = OTHER_KINDS[kind](rng)
    if "float32" not in kind and rng.random() < ALSO_AS_FLOAT64_ONLY:
        subject, kind = unsafe(subject), f"{kind} (float64 only)"
    return Planted("right, of other kinds", seed, kind, subject)


def draw_plain(rng: Rng, seed: int) -> Planted:
    """A right and easy case."""
    program = str(rng.choice(["stacked", "gates", "peephole"]))
    return Planted("right", seed, program, make(spec_of(rng, program)))
