"""The built-in cells by the fused pass, for sizes at which intermediates are not compared.

What is under test is then the pass that users of :class:`bptt_check.LSTM` run. Losses along a direction, with a tiny
imaginary step, are had from one real forward pass (:mod:`bptt_check.lstm.fused_imaginary`); any other complex point
goes through the readable equations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bptt_check.lstm.fused import LSTM, Tape
from bptt_check.lstm.fused_imaginary import TINY, imaginary_outputs
from bptt_check.lstm.losses import Loss
from bptt_check.lstm.variants import Variant
from bptt_check.subject import Array, Point


@dataclass(frozen=True)
class FusedCell:
    """Loss and gradient of one cell by the fused pass. ``y`` are the targets, (T, B, H).

    ``readable`` is the loss by the readable equations, which carry every type. ``latest`` holds the two real points
    that were asked for last, each with its tape, in case losses along directions are asked for there; no loss and no
    gradient is taken from it.
    """

    variant: Variant
    loss: Loss
    y: Array
    readable: Callable[[Point], Any]
    cells: dict[str, LSTM] = field(default_factory=dict)
    latest: list[tuple[Point, Tape]] = field(default_factory=list)

    def forward(self, point: Point) -> tuple[Any, Tape]:
        """The loss of a real point, and the tape."""
        known = self._known(point)
        if known is None:
            del self.latest[:-1]  # before another tape is made
        value, tape = self._run(point)
        if known is None:
            self.latest.append((dict(point), tape))
        return value, tape

    def _run(self, point: Point) -> tuple[Any, Tape]:
        kind = np.result_type(*point.values())
        if kind.name not in self.cells:
            D, H = point["x"].shape[-1], point["s0"].shape[-1]
            self.cells[kind.name] = LSTM(self.variant, D=D, H=H, dtype=kind)
        tape = self.cells[kind.name].forward(point, point["x"], point["h0"], point["s0"])
        return self.loss.value(tape.h, self.y), tape

    def backward(self, tape: Tape) -> Mapping[str, Array]:
        """Gradients from the tape."""
        cell = self.cells[tape.h.dtype.name]
        grads = cell.backward(tape, self.loss.derivative(tape.h, self.y))
        return {**grads.weights, "x": grads.x, **grads.initial}

    def gradient(self, point: Point) -> Mapping[str, Array]:
        """Forward and backward pass."""
        return self.backward(self._run(point)[1])

    def value(self, point: Point) -> Any:
        """The loss, of a real point or of one moved by i times something tiny."""
        if not any(np.iscomplexobj(a) for a in point.values()):
            return self._run(point)[0]
        if not all(_is_tiny(a) for a in point.values()):
            return self.readable(point)
        moved = {name: a.imag for name, a in point.items() if a.imag.any()}
        return self.along({name: a.real for name, a in point.items()}, [moved], 1j)[0]

    def along(self, point: Point, directions: Sequence[Point], offset: complex) -> Array:
        """The losses at ``point`` + ``offset`` × each direction, ``offset`` imaginary and tiny; see Subject.rays."""
        tape = self._tape_of(point)
        moved = imaginary_outputs(tape, directions)
        h = np.empty(tape.h.shape, np.result_type(tape.h.dtype, np.complex64))
        losses = []
        for part in moved:
            h.real, h.imag = tape.h, part
            h.imag *= offset.imag
            losses.append(self.loss.value(h, self.y))
        return np.array(losses)

    def _tape_of(self, point: Point) -> Tape:
        """The forward pass at a point: one of the latest, if it was of these very numbers."""
        known = self._known(point)
        return self.forward(point)[1] if known is None else known

    def _known(self, point: Point) -> Tape | None:
        for before, tape in self.latest:
            alike = before.keys() == point.keys() and all(np.array_equal(before[k], a) for k, a in point.items())
            if alike and tape.h.dtype == np.result_type(*point.values()):
                return tape
        return None


def _is_tiny(array: Array) -> bool:
    """Whether an imaginary part is so small that its square is nothing beside the real part."""
    if not np.iscomplexobj(array):
        return True
    largest = float(np.abs(array.imag).max(initial=0.0))
    return largest <= TINY * float(np.abs(array.real).max(initial=0.0)) or largest <= TINY
