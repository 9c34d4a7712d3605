"""Runs of the user's forward pass at points of our choosing, in which some entries are on and all others are zero."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bptt_check.errors import BpttCheckError
from bptt_check.lstm.variants import Variant
from bptt_check.points import Array
from bptt_check.recognise.axes import Frame, in_order, stacked
from bptt_check.recognise.record import targets_in_order, trace_of
from bptt_check.recurrence import LOSS
from bptt_check.subject import Subject


class Refused(BpttCheckError):
    """The user's forward pass cannot be run at such a point."""


def drawn(point: Mapping[str, Array], rng: np.random.Generator) -> Array:
    """All entries of a random point, one behind the other; none is small, and none so large that gates saturate."""
    parts = []
    for array in point.values():
        narrow = min((n for n in array.shape if n > 1), default=1)
        values = rng.uniform(0.3, 0.9, array.size) * rng.choice([-1.0, 1.0], array.size)
        parts.append(values / np.sqrt(max(1.0, narrow / 4)))
    return np.concatenate(parts)


@dataclass
class Trials:
    """A subject's forward pass as a function of all its entries; what was run once is kept."""

    subject: Subject
    values: Array
    kept: dict[bytes, Mapping[str, Array]] = field(default_factory=dict)

    def point(self, flat: Array) -> dict[str, Array]:
        """Arrays by name from all entries."""
        ends = np.cumsum([array.size for array in self.subject.point.values()])
        parts = np.split(flat, ends[:-1])
        return {k: part.reshape(a.shape) for (k, a), part in zip(self.subject.point.items(), parts, strict=True)}

    def run(self, flat: Array) -> Mapping[str, Array]:
        """The outputs by name. Raises :class:`Refused` where the user's code raises, or computes no finite numbers."""
        return self._run(hashlib.blake2b(flat.tobytes()).digest(), flat)

    def run_on(self, mask: Array) -> Mapping[str, Array]:
        """The outputs with all entries outside the mask zero."""
        return self._run(np.packbits(mask).tobytes(), mask)

    def _run(self, key: bytes, flat_or_mask: Array) -> Mapping[str, Array]:
        if key not in self.kept:
            flat = self.on(flat_or_mask) if flat_or_mask.dtype == bool else flat_or_mask
            try:
                outputs = self.shown(self.point(flat.copy()))
            except BpttCheckError as error:
                raise Refused(str(error)) from error
            outputs = {name: np.asarray(value) for name, value in outputs.items()}
            if not all(np.isfinite(value).all() for value in outputs.values()):
                raise Refused("the forward pass returns numbers that are not finite")
            self.kept[key] = outputs
        return self.kept[key]

    def shown(self, point: Mapping[str, Array]) -> Mapping[str, Array]:
        """What the subject shows at a point: the outputs of its forward pass."""
        recurrence = self.subject.recurrence
        assert recurrence is not None
        outputs: Mapping[str, Array] = self.subject.call(recurrence.outputs, point, "the forward pass")
        return outputs

    def on(self, mask: Array) -> Array:
        """All entries, those outside the mask zero."""
        return np.where(mask, self.values, 0.0)

    def response(self, frame: Frame, flat_or_mask: Array, scale: float = 1.0) -> Array:
        """h of the subject, (T, B, H), or (1, B, H) of the last step, or its loss over ``scale``, (1, 1, 1)."""
        outputs = self.run_on(flat_or_mask) if flat_or_mask.dtype == bool else self.run(flat_or_mask)
        recurrence = self.subject.recurrence
        if recurrence is not None and recurrence.loss is not None:
            return outputs[LOSS].reshape(1, 1, 1) / scale
        return in_order(stacked(outputs)[frame.output], frame.order, "TBH")

    def predicted(self, frame: Frame, variant: Variant, ours: Mapping[str, Array], flat: Array, first: int) -> Array:
        """The same from our forward pass, (…, T, B, H), of the first steps if that will do."""
        recurrence = self.subject.recurrence
        assert recurrence is not None
        whole = recurrence.loss is not None or "T" not in frame.order
        x = ours["x"] if whole else ours["x"][:first]
        h = trace_of(variant, {**ours, "x": x}).over_time("h")
        if recurrence.loss is not None:
            y = targets_in_order(recurrence, self.point(flat), frame.order)
            return recurrence.loss.value(h, y)[..., None, None, None]
        return h if "T" in frame.order or frame.T == 1 else h[..., -1:, :, :]


def apart(a: Array, b: Array) -> Array:
    """The largest difference relative to the largest value, over the last three axes."""
    size = np.maximum(np.abs(a).max(axis=(-3, -2, -1)), np.abs(b).max(axis=(-3, -2, -1)))
    return np.asarray(np.abs(a - b).max(axis=(-3, -2, -1)) / np.where(size > 0, size, 1))
