"""The built-in LSTM family as subjects, with an intervention on every intermediate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check.equations import behind_each
from bptt_check.errors import SubjectError, SubjectWarning
from bptt_check.forms.copies import CellCopies
from bptt_check.forms.fused import FusedCell
from bptt_check.lstm.backward import backward
from bptt_check.lstm.forward import Trace, forward, untapped
from bptt_check.lstm.losses import Loss, loss_named
from bptt_check.lstm.params import Parameters, draw, shapes, signed, states
from bptt_check.lstm.variants import Gate, Variant, variant_named
from bptt_check.recurrence import Recurrence
from bptt_check.subject import Array, Point, Subject, Tap

MOST_INTERMEDIATE = 2**20  # entries of all intermediates up to which they are compared where nothing else is said
WIDE = 4.0  # what a sum of all that a gate sees is kept to: weights are smaller where it sees more than 16 numbers
STEP_EQUATIONS = {"h": "B1", "s": "B2", "g": "B3", "i": "B3", "f": "B3", "o": "B3"}


def checked_shape(**lengths: int) -> None:
    """Raise ``SubjectError`` unless each of T, B, D, H is a whole number of at least 1."""
    for name, length in lengths.items():
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1:
            raise SubjectError(f"{name} must be a whole number of at least 1; it is {length!r}")


def chosen_loss(loss: str | Loss, *, T: int, B: int, rng: np.random.Generator) -> Loss:
    """A loss by name or as it is. Raises ``SubjectError`` for an unknown name or anything else."""
    if isinstance(loss, Loss):
        return loss
    try:
        return loss_named(loss, T=T, B=B, rng=rng)
    except (ValueError, AttributeError) as error:
        raise SubjectError(
            str(error) if isinstance(loss, str) else f"loss must be a name or a Loss, not {loss!r}"
        ) from None


def replace_arrays(drawn: Mapping[str, Array], replaced: Point | None) -> dict[str, Array]:
    """The arrays drawn, some replaced by name. Raises ``SubjectError`` for an unknown name or another shape."""
    arrays = dict(drawn)
    for name, value in (replaced or {}).items():
        if name not in arrays:
            raise SubjectError(f"point= names {name}, which this subject lacks; it has {', '.join(arrays)}")
        if np.shape(value) != arrays[name].shape:
            raise SubjectError(f"point[{name!r}] has shape {np.shape(value)}; here it must be {arrays[name].shape}")
        arrays[name] = np.asarray(value)
    return arrays


def intermediates_of(variant: Variant) -> tuple[str, ...]:
    """The intermediates that the cell has, in forward order: z_k, g, gates, s, h; a gate that is 1 is none."""
    gates = [k for k in ("i", "f", "o") if variant.gate(k) is not Gate.OPEN]
    return (*(f"z_{k}" for k in variant.blocks), "g", *gates, "s", "h")


def equations_of(variant: Variant) -> dict[str, str]:
    """Which backward equation each block of the cell compares."""
    equations = {}
    for name in shapes(variant, 1, 1):
        equations[name] = "B6" if name.startswith("b_") else "B5"
    equations |= {"x": "B7", "h0": "B9", "s0": "B9", "i0": "B9", "f0": "B9", "o0": "B9"}
    for name in intermediates_of(variant):
        equations[f"{name}(t)"] = "B4" if name.startswith("z_") else STEP_EQUATIONS[name]
    return equations


def subject_of_variant(
    variant: str | Variant,
    *,
    T: int,
    B: int,
    D: int,
    H: int,
    loss: str | Loss,
    rng: int | np.random.Generator,
    replaced: Point | None = None,
    targets: Array | None = None,
    intermediates: bool | None = None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_variant`."""
    checked_shape(T=T, B=B, D=D, H=H)
    try:
        cell = variant_named(variant) if isinstance(variant, str) else variant
    except ValueError as error:
        raise SubjectError(str(error)) from None
    seed = rng if isinstance(rng, (int, np.integer)) else None
    rng = np.random.default_rng(rng)
    weights = draw(cell, D, H, rng=rng, size=min(1.0, WIDE / (D + H) ** 0.5))
    initial = {name: signed(rng, shape) for name, shape in states(cell, B, H).items()}
    point = replace_arrays({**weights, "x": rng.normal(size=(T, B, D)), **initial}, replaced)
    kind = np.result_type(*point.values())
    loss = chosen_loss(loss, T=T, B=B, rng=rng)
    y = loss.targets(rng, (T, B, H)) if targets is None else np.asarray(targets)
    y = y.astype(kind)
    tapped = intermediates_of(cell)
    compared = T * B * H * len(tapped) <= MOST_INTERMEDIATE if intermediates is None else intermediates
    nudged_by = {name: f"{name}(t)" for name in tapped} if compared else {}
    interventions = {block: np.zeros((T, B, H), kind) for block in nudged_by.values()}

    def run(p: Point, tap: Tap | None = None) -> Trace:
        gates0 = {name[0]: p[name] for name in initial if name not in ("h0", "s0")}
        parameters = Parameters({name: p[name] for name in weights})
        return forward(parameters, p["x"], p["h0"], p["s0"], variant=cell, gates0=gates0, tap=tap or nudging(p))

    def nudging(p: Point) -> Tap:
        nudges = {name: p[block] for name, block in nudged_by.items() if block in p}
        nudges = {name: nudge for name, nudge in nudges.items() if np.count_nonzero(nudge)}  # most points move none

        def nudged(name: str, t: int, value: Array) -> Array:
            return value + nudges[name][..., t - 1, :, :] if name in nudges else value

        return nudged if nudges else untapped

    def forward_at(p: Point, tap: Tap | None = None) -> tuple[Any, Trace]:
        trace = run(p, tap)
        return loss.value(trace.over_time("h"), y), trace

    def backward_at(trace: Trace) -> Mapping[str, Any]:
        grads = backward(trace, loss.derivative(trace.over_time("h"), y))
        by_step = {f"{name}(t)": grads.steps[name] for name in tapped if compared}
        return {**grads.weights, "x": grads.x, **grads.initial, **by_step}

    def over_time(p: Point) -> dict[str, Array]:
        trace = run(p)
        return {f"{name}(t)": trace.over_time(name) for name in tapped}

    def by_step(p: Point) -> Mapping[str, Any]:
        trace = run(p)
        each = backward(trace, loss.derivative(trace.over_time("h"), y), by_step=True).weights_by_step
        assert each is not None
        return each

    def again(*, T: int, B: int, D: int, H: int, rng: int | np.random.Generator) -> Subject:
        return subject_of_variant(cell, T=T, B=B, D=D, H=H, loss=loss.name, rng=rng, intermediates=intermediates)

    recurrence = Recurrence(
        outputs=lambda p: {"h": run(p).over_time("h")},
        cotangents=lambda outputs: {"h": loss.derivative(outputs["h"], y)},
        variant=cell,
        tapped=over_time,
    )
    case = {"cell": cell.name, "loss": loss.name, "T": T, "B": B, "D": D, "H": H}
    subject = Subject(
        name=f"{cell.name} cell, {loss.name} loss",
        point=point,
        loss_at=lambda p: forward_at(p)[0],
        gradient_at=lambda p: backward_at(forward_at(p)[1]),
        interventions=interventions,
        pair=(forward_at, backward_at),
        equations=equations_of(cell),
        stacked=True,
        case=case if seed is None else {**case, "seed": int(seed)},
        kink_distance=loss.kink_distance(run(point).over_time("h"), y),
        tapped=lambda p, tap: forward_at(p, tap)[0],
        behind=behind_each(cell, weights),
        recurrence=recurrence,
        again=None if targets is not None else again,
        by_step=by_step,
        copies=CellCopies(cell, loss, y),
        remarks=() if compared else (_left_out(cell, tapped),),
    )
    return subject if compared or cell.gate_recurrence else _by_the_fused_pass(subject, cell, loss, y)


def _by_the_fused_pass(subject: Subject, cell: Variant, loss: Loss, y: Array) -> Subject:
    """The same subject with loss and gradient of the fused pass."""
    fused = FusedCell(cell, loss, y, readable=subject.loss_at)
    return replace(
        subject,
        name=f"{cell.name} cell by the fused pass, {loss.name} loss",
        loss_at=fused.value,
        gradient_at=fused.gradient,
        pair=(fused.forward, fused.backward),
        stacked=False,
        rays=fused.along,
        tapped=None,
        by_step=None,
        copies=None,
    )


def _left_out(cell: Variant, names: tuple[str, ...]) -> SubjectWarning:
    """What is said where intermediates are not compared."""
    which = "the readable pass" if cell.gate_recurrence else "the fused pass, bptt_check.LSTM"
    named = ", ".join(f"{name}(t)" for name in names)
    message = f"not compared: {named} (intermediates=True compares them); the gradient is that of {which}"
    return SubjectWarning("intermediates-left-out", message)
