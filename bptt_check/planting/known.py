"""The catalogue's faults planted in a right subject whose cell is recognised."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bptt_check.faults import Fault, catalogue, of_states_handed_out
from bptt_check.planting.cases import CASES, ULPS
from bptt_check.program import END, Program, lines_of
from bptt_check.recognise import Recognised
from bptt_check.subject import Point, Subject

Array = np.ndarray[Any, Any]


class Known:
    """A right subject that computes a cell of the family, and the faults that its backward pass could have."""

    def __init__(self, subject: Subject, recognised: Recognised) -> None:
        assert subject.recurrence is not None
        recurrence = replace(subject.recurrence, recognised=recognised)  # the forward pass stays what it is
        self.subject = replace(subject, recurrence=recurrence, pair=None, by_step=None, again=None)
        self.recognised = recognised
        self.eps = max(float(np.finfo(np.asarray(a).dtype).eps) for a in subject.point.values())
        if subject.precision is not None:
            self.eps = max(self.eps, float(np.finfo(subject.precision).eps))

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The catalogue of the cell; where the harness unrolls it, without what the harness does and the cell does not.

        That is the sum of what arrives at h(t), and handing out what is left after step 1.
        """
        faults = catalogue(self.recognised.variant)
        if not any(name.startswith("next ") for name in self.subject.interventions):
            return faults
        ends = {line.target for line in lines_of(self.recognised.variant) if line.kind == END}
        return tuple(f for f in faults if all(target != "dh" and target not in ends for target, _ in f.changes))

    def planted(self, fault: Fault) -> Subject:
        """The subject with the gradients that its backward pass would give with that one mistake in it."""
        name = f"{self.subject.name} with {fault.id}"
        return replace(self.subject, name=name, gradient_at=lambda p: self._wrong(p, fault))

    def alike(self, fault: Fault, other: str) -> bool:
        """Whether another fault of the cell, by its id, gives the same at the subject's point, to rounding."""
        cell = self.recognised.variant
        twin = next((f for f in (*catalogue(cell), *of_states_handed_out(cell)) if f.id == other), None)
        if twin is None or twin is fault:
            return twin is fault
        own = self._own({**self.subject.point, **self.subject.interventions})
        program = self._program(self.subject.point)
        with np.errstate(all="ignore"):
            one, two = (self._theirs(program.run(dict(f.changes)), own) for f in (fault, twin))
        return not any(self._apart(one[k], two[k]) for k in one)

    def changing(self, rng: np.random.Generator) -> tuple[tuple[Fault, ...], tuple[Fault, ...], tuple[Fault, ...]]:
        """The faults that change what the subject hands out at its point; those that do elsewhere only; and the rest.

        The rest have been tried at ``CASES`` other points, where weights, inputs and states are drawn anew.
        """
        changed, left = self._changing(self.subject.point, self.faults)
        elsewhere: list[Fault] = []
        still = left
        for _ in range(CASES):
            now, still = self._changing(self._moved(rng), still)
            elsewhere += now
        return tuple(changed), tuple(elsewhere), tuple(still)

    def _changing(self, point: Point, faults: tuple[Fault, ...] | list[Fault]) -> tuple[list[Fault], list[Fault]]:
        own = self._own({**point, **self.subject.interventions})
        program = self._program(point)
        right = self._theirs(program.right, own)
        changed: list[Fault] = []
        same: list[Fault] = []
        for fault in faults:
            try:
                with np.errstate(all="ignore"):
                    wrong = self._theirs(program.run(dict(fault.changes)), own)
            except (ValueError, TypeError, IndexError):
                continue  # shapes that do not fit: nobody's program runs with this mistake here
            (changed if any(self._apart(wrong[k], right[k]) for k in right) else same).append(fault)
        return changed, same

    def _apart(self, a: Array, b: Array) -> bool:
        largest = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
        return not np.abs(a - b).max(initial=0) <= ULPS * self.eps * largest

    def _moved(self, rng: np.random.Generator) -> dict[str, Array]:
        """Another point: every entry that the cell reads drawn anew, all others, such as targets, as they are."""
        sources = self.recognised.sources
        flat = np.concatenate([np.asarray(self.subject.point[k]).reshape(-1) for k in sources.point])
        ours = np.unique(np.concatenate([p.reshape(-1) for each in sources.places.values() for p in each]))
        flat[ours] = rng.normal(size=len(ours))
        parts = np.split(flat, np.cumsum([a.size for a in sources.point.values()])[:-1])
        moved = {k: part.reshape(a.shape) for (k, a), part in zip(sources.point.items(), parts, strict=True)}
        return {k: moved[k].astype(a.dtype) if k in moved else a for k, a in self.subject.point.items()}

    def _program(self, point: Point) -> Program:
        dl, dl_ds, dl_again = self.recognised.arriving(point)
        return Program(self.recognised.trace(point), dl, dl_ds=dl_ds, dl_again=dl_again)

    def _own(self, point: Point) -> dict[str, Array]:
        """What the subject's own backward pass returns: names, types, and all that is none of the cell's."""
        return self.subject.checked_gradient(self.subject.gradient_at(point))

    def _wrong(self, point: Point, fault: Fault) -> dict[str, Array]:
        own = self._own(point)
        with np.errstate(all="ignore"):
            values = self._program(point).run(dict(fault.changes))
        return {**own, **self._theirs(values, own)}

    def _theirs(self, values: Mapping[str, Array], own: Mapping[str, Array]) -> dict[str, Array]:
        """What the lines give, in the names, shapes, packing and types of what the subject returns."""
        sources = self.recognised.sources
        ours = {name: values[f"d{name}"] for name in sources.places if f"d{name}" in values}
        held = sources.held(ours)
        found: dict[str, Array] = {}
        for name, array in self.recognised.theirs(ours).items():
            start = sources.starts[name]
            of_ours = held[start : start + array.size].reshape(array.shape)
            if name in own:
                found[name] = np.where(of_ours, array, own[name])
        for name, ours_name in self.recognised.taps.items():
            step = _of_steps(name, ours_name, values)
            if name in own and step is not None and step.shape == own[name].shape:
                found[name] = step
        return {name: array.astype(own[name].dtype) for name, array in found.items()}


def _of_steps(name: str, ours: str, values: Mapping[str, Array]) -> Array | None:
    """The derivative of an intermediate at all steps. What arrives at ``next s(t)`` is what step t+1 handed back."""
    if not name.startswith("next ") or ours == "h":
        return values.get(f"d{ours}")
    back = values.get(f"d{ours}_next")
    return None if back is None else np.concatenate([back[1:], np.zeros_like(back[:1])])
