"""A layer without a loss: its backward pass takes derivatives of its outputs, cotangents; the harness brings a loss.

    L = Σ c ⊙ y + ½ Σ q ⊙ y²        ∂L/∂y = c + q ⊙ y

over all outputs y, with random weights of which none is zero, so that no output is left untouched. The quadratic part
makes the cotangent depend on the outputs, as it does under a real loss. The weights are multiples of 1/64, exact in
every floating-point type, so that the loss is the same function in each of them.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed, SubjectWarning
from bptt_check.forms.functions import called
from bptt_check.forms.layout import Arrangement, Layout
from bptt_check.forms.nested import flatten, rebuild
from bptt_check.points import Array, Point, copied, named, pair_of
from bptt_check.recurrence import Recurrence
from bptt_check.subject import Subject
from bptt_check.watch import undisturbed

LOSSES = ("linear", "quadratic", "mixed")


@dataclass(frozen=True)
class OutputLoss:
    """The loss of a layer's outputs. ``linear`` and ``quadratic`` hold c and q by output name; float64."""

    linear: Mapping[str, Array]
    quadratic: Mapping[str, Array]

    def value(self, outputs: Point) -> Any:
        """L, in the type of the outputs."""
        self._same_outputs(outputs)
        return np.asarray(sum(np.sum((c + 0.5 * q * y) * y) for c, q, y in self._rows(outputs)))[()]

    def cotangents(self, outputs: Point) -> dict[str, Array]:
        """∂L/∂y by output name, in the type of the outputs."""
        self._same_outputs(outputs)
        return {name: c + q * y for name, (c, q, y) in zip(outputs, self._rows(outputs), strict=True)}

    def _rows(self, outputs: Point) -> list[tuple[Array, Array, Array]]:
        kinds = {name: np.zeros((), y.dtype).real.dtype for name, y in outputs.items()}
        return [(self.linear[k].astype(kinds[k]), self.quadratic[k].astype(kinds[k]), y) for k, y in outputs.items()]

    def _same_outputs(self, outputs: Point) -> None:
        for name in {**self.linear, **outputs}:
            was = self.linear[name].shape if name in self.linear else None
            now = outputs[name].shape if name in outputs else None
            if was != now:
                raise SubjectError(f"forward returned output {name or 'y'} of shape {now}, at the point it was {was}")


def drawn_loss(shapes: Mapping[str, tuple[int, ...]], kind: str, rng: int | np.random.Generator) -> OutputLoss:
    """A random loss of outputs of these shapes; ``kind`` is one of :data:`LOSSES`.

    Raises
    ------
    SubjectError
        For another ``kind``.
    """
    if kind not in LOSSES:
        raise SubjectError(f"loss={kind!r}: it takes {', '.join(map(repr, LOSSES))}")
    rng = np.random.default_rng(rng)
    drawn = {name: (_weights(rng, shape), _weights(rng, shape)) for name, shape in shapes.items()}
    return OutputLoss(
        {name: c * (kind != "quadratic") for name, (c, _) in drawn.items()},
        {name: q * (kind != "linear") for name, (_, q) in drawn.items()},
    )


def _weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return np.asarray(rng.integers(32, 65, shape) / 64 * rng.choice([-1.0, 1.0], shape))


@dataclass
class Tape:
    """What goes from the forward to the backward pass: the user's cache, and the cotangents in the outputs' form."""

    cache: Any
    outputs: Any
    cotangents: dict[str, Array]


def outputs_by_name(outputs: Any) -> dict[str, Array]:
    """Outputs as arrays by name; a lone array has the name ``""``.

    Raises
    ------
    SubjectError
        Where there are none, or where one is not an array of floats.
    """
    arrays = {name: np.asarray(value) for name, value in flatten(outputs).items()}
    for name, array in arrays.items():
        if array.dtype.kind not in "fc":
            raise SubjectError(
                f"forward must return floating-point outputs; output {name or 'y'} has dtype {array.dtype}"
            )
    if not sum(array.size for array in arrays.values()):
        raise SubjectError("forward returned no outputs: there is nothing to take a loss of")
    return arrays


def subject_of_vjp(
    forward: Callable[[Any], Any],
    backward: Callable[[Any, Any], Any],
    point: Any,
    *,
    loss: str = "mixed",
    rng: int | np.random.Generator = 0,
    layout: Layout | None = None,
    name: str | None = None,
    **fields: Any,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_vjp`. ``fields`` are further ones of :class:`~bptt_check.subject.Subject`."""
    arranged = Arrangement(point, layout)
    label = name or named(forward)
    first = Subject(label, arranged.blocks, lambda _: 0.0, lambda _: {})  # refuses a bad point before it is used

    def run(p: Point) -> tuple[Any, Any, dict[str, Array]]:
        outputs, cache = pair_of(called(arranged, forward, p), label, "(outputs, cache)")
        return outputs, cache, outputs_by_name(outputs)

    def probe(p: Point) -> OutputLoss:
        return drawn_loss({k: y.shape for k, y in run(p)[2].items()}, loss, rng)

    weights: OutputLoss | None = None
    with undisturbed(), contextlib.suppress(SubjectFailed):  # the check that follows runs into it again, and reports it
        weights = first.call(probe, copied(first.point), "the forward pass")

    def forward_at(p: Point) -> tuple[Any, Tape]:
        outputs, cache, arrays = run(p)
        if weights is None:
            raise SubjectError(f"the forward pass of {label} raised when it was first called, and not the next time")
        return weights.value(arrays), Tape(cache, outputs, weights.cotangents(arrays))

    def backward_at(tape: Tape) -> Any:
        handed = copied(tape.cotangents)
        returned = arranged.taken(backward(tape.cache, rebuild(tape.outputs, handed)))
        if any(not np.array_equal(handed[k], d, equal_nan=True) for k, d in tape.cotangents.items()):
            message = "the backward pass changes the cotangents that it is handed; work on a copy"
            warnings.warn(SubjectWarning("changed-cotangents", message), stacklevel=1)
        return returned

    recurrence = None if weights is None else Recurrence(lambda p: run(p)[2], weights.cotangents)
    return Subject(
        label,
        arranged.blocks,
        lambda p: forward_at(p)[0],
        lambda p: backward_at(forward_at(p)[1]),
        pair=(forward_at, backward_at),
        recurrence=recurrence,
        **fields,
    )
