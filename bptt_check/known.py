"""A subject of which it is known what it computes: its lines, its gradient, the right one in its own names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Protocol

import numpy as np

from bptt_check.faults import Fault, catalogue, of_states_handed_out, slips
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.variants import Gate
from bptt_check.matching import Matched, Matching
from bptt_check.program import Program, Runnable
from bptt_check.recognise import Recognised
from bptt_check.recognise.record import Sources
from bptt_check.subject import Array, Subject

ULPS = 2.0**16  # of a block's largest entry: what a gradient may differ from the right one and still show a pattern
_SUMS = {"W": "B5", "b": "B6", "p": "B5p"}  # the equations of the sums over time
STEP_ENTRIES = 4_000_000  # of all steps' contributions to all weights, up to which they are kept


class Identified(Protocol):
    """What a subject was recognised as: see :class:`~bptt_check.recognise.Recognised`."""

    @property
    def name(self) -> str:
        """What it is, in words."""

    @property
    def sources(self) -> Sources:
        """Where our arrays come from."""

    @property
    def taps(self) -> Mapping[str, str]:
        """Their intermediates by ours."""

    def theirs(self, ours: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients in their names from gradients in ours."""

    def gradients_in_ours(self, theirs: Mapping[str, Array]) -> dict[str, Array]:
        """The gradients of our arrays that theirs determine."""


class Known(ABC):
    """A subject of which it is known what it computes, in the terms of that."""

    def __init__(self, subject: Subject, recognised: Identified, gradient: Mapping[str, Array]) -> None:
        self.subject, self.recognised, self.gradient = subject, recognised, gradient
        kinds = [np.asarray(a).dtype for a in (*subject.point.values(), *gradient.values())]
        self.eps = max(float(np.finfo(kind).eps) for kind in [*kinds, np.dtype(subject.precision or float)])
        self.theirs = {name: np.asarray(gradient[name], dtype=float) for name in gradient}
        self.ends = recognised.gradients_in_ours(self.theirs)
        self.matching = self._seen()
        self.program = self.matching.program

    @abstractmethod
    def _seen(self) -> Matching:
        """What was returned, beside the lines of what was recognised."""

    @abstractmethod
    def _lines(self) -> Runnable:
        """Those lines, each given what the lines before it compute."""

    @property
    @abstractmethod
    def faults(self) -> tuple[Fault, ...]:
        """The catalogue, but for what a cell that is unrolled by the harness cannot get wrong."""

    def _slips(self) -> tuple[Fault, ...]:
        """Every slip in one line, for where the catalogue has nothing."""
        return ()

    def _of_theirs(self, faults: tuple[Fault, ...]) -> tuple[Fault, ...]:
        if not any(name.startswith("next ") for name in self.subject.interventions):
            return faults
        return tuple(f for f in faults if all(target != "dh" for target, _ in f.changes))

    def matched(self) -> Matched:
        """The gradient held against the catalogue, and where that has nothing against every slip in one line."""
        return self.matching.against(self.faults, slips=self._slips)

    def unlike(self, matched: Matched) -> frozenset[str]:
        """The user's arrays that do not hold what the lines give with all mistakes made that were found.

        The arrays of ours may leave one out: of two biases that are added up either may be wrong by itself.
        """
        changes = dict(change for match in matched.matches for change in match.faults[0].changes)
        values = self.program.run(changes)
        ours = {name: values[f"d{name}"] for name in self.recognised.sources.places if f"d{name}" in values}
        held, starts = self.recognised.sources.held(ours), self.recognised.sources.starts
        unlike = set()
        for name, predicted in self.recognised.theirs(ours).items():
            if name in self.theirs:
                there = held[starts[name] : starts[name] + predicted.size].reshape(predicted.shape)
                off = np.abs(self.theirs[name] - predicted)[there]
                largest = max(np.abs(predicted).max(initial=0), np.abs(self.theirs[name]).max(initial=0))
                if not off.max(initial=0) <= self.matching.tolerance * largest:
                    unlike.add(name)
        return frozenset(unlike)

    def reference(self) -> tuple[dict[str, Array], dict[str, Array]]:
        """The right gradient by the equations of the cell, in the subject's names, and what it may be off by."""
        right = self._lines().right
        ours = {name: right[f"d{name}"] for name in self.recognised.sources.places if f"d{name}" in right}
        theirs = self.recognised.theirs(ours) | self.arriving_at(right)
        off = {name: np.full(a.shape, ULPS * self.eps * float(np.abs(a).max(initial=0))) for name, a in theirs.items()}
        return theirs, off

    def arriving_at(self, right: Mapping[str, Array]) -> dict[str, Array]:
        """The same of intermediates, by their names."""
        return {}

    @property
    def steps(self) -> dict[str, Array]:
        """What each step contributes to the right gradient of each weight, (T, …), in the subject's names.

        Nothing where that would be more than ``STEP_ENTRIES`` numbers.
        """
        if self.program.T * sum(a.size for a in self.subject.point.values()) > STEP_ENTRIES:
            return {}
        by_step = self._lines().contributions()
        T = self.program.T
        each = [self.recognised.theirs({k[1:]: steps[t] for k, steps in by_step.items()}) for t in range(T)]
        timed = {name for name, a in self.theirs.items() if a.shape[:1] == (T,) and name == "x"}
        return {name: np.stack([one[name] for one in each]) for name in each[0] if name not in timed}

    @property
    def time_axes(self) -> dict[str, int]:
        """Which axis of an array of theirs that holds x is time."""
        found = {}
        for places in self.recognised.sources.places.get("x", ()):
            for name, start in self.recognised.sources.starts.items():
                shape = self.recognised.sources.point[name].shape
                if places.shape[0] > 1 and places.size == np.prod(shape) and places.min() == start:
                    first, second = (np.unravel_index(places[t].min() - start, shape) for t in (0, 1))
                    found[name] = int(np.flatnonzero(np.array(first) != np.array(second))[0])
        return found

    def gates(self, name: str, off: Array) -> tuple[str, ...]:
        """The gates whose rows or columns of a packed array are wrong, where they are not all that it holds."""
        start = self.recognised.sources.starts.get(name)
        if start is None:
            return ()
        wrong = start + np.flatnonzero(off)
        held: dict[str, bool] = {}
        for ours, everything in self.recognised.sources.places.items():
            if ours[:2] not in ("W_", "b_", "p_"):
                continue
            for places in everything:
                if ((places >= start) & (places < start + off.size)).any():
                    held[ours[2]] = held.get(ours[2], False) or bool(np.isin(wrong, places).any())
        gates = tuple(gate for gate, is_wrong in held.items() if is_wrong)
        return gates if len(gates) < len(held) else ()

    def chain(self, name: str, wrong_at: Mapping[str, tuple[int, ...]]) -> str:
        """Which derivatives on the way to a weight are wrong at its latest wrong step, where that is returned."""
        return ""

    def named(self, targets: tuple[str, ...]) -> tuple[str, ...]:
        """Targets of the program by the subject's own names, where it has them."""
        back = {f"d{ours}": theirs for theirs, ours in self.recognised.taps.items() if theirs in self.theirs}
        whose: dict[str, str] = {}
        for name, start in self.recognised.sources.starts.items():
            stop = start + self.recognised.sources.point[name].size
            for ours, everything in self.recognised.sources.places.items():
                if any(((places >= start) & (places < stop)).any() for places in everything):
                    whose.setdefault(f"d{ours}", name)
        return tuple(dict.fromkeys(whose.get(target, back.get(target, target)) for target in targets))


class KnownCell(Known):
    """A subject whose cell is known, in the terms of that cell."""

    recognised: Recognised

    def _seen(self) -> Matching:
        """What was returned, beside the lines of the cell."""
        self.trace: Trace = self.recognised.trace(self.subject.point)
        self.arriving = self.recognised.arriving(self.subject.point)
        held = _intermediates(self.recognised, self.theirs, self.ends)
        observed = {f"d{name}": array for name, array in self.ends.items()} | held
        return Matching(self._lines(held), observed, eps=self.eps)

    def _lines(self, held: Mapping[str, Array] | None = None) -> Program:
        dl, dl_ds, dl_again = self.arriving
        return Program(self.trace, dl, dl_ds=dl_ds, dl_again=dl_again, held=held)

    @property
    def faults(self) -> tuple[Fault, ...]:
        """The catalogue of the cell, but for what a cell that is unrolled by the harness cannot get wrong."""
        faults = catalogue(self.recognised.variant)
        if self.arriving.dl_ds.any() or self.arriving.dl_again.any():
            faults = (*of_states_handed_out(self.recognised.variant), *faults)
        return self._of_theirs(faults)

    def _slips(self) -> tuple[Fault, ...]:
        return self._of_theirs(slips(self.recognised.variant))

    def arriving_at(self, right: Mapping[str, Array]) -> dict[str, Array]:
        """The same of intermediates, by their names; at a ``next □(t)`` arrives what step t+1 hands back."""
        found = {}
        for name, ours in self.recognised.taps.items():
            if name in self.theirs and (ours == "h" or not name.startswith("next ")):
                found[name] = right.get(f"d{ours}")
            elif name in self.theirs and f"d{ours}_next" in right:
                handed = right[f"d{ours}_next"]
                joins = self.arriving.dl_ds * (ours == "s")
                found[name] = np.concatenate([handed[1:], np.zeros_like(handed[:1])]) + joins
        return {name: array for name, array in found.items() if array is not None}

    def chain(self, name: str, wrong_at: Mapping[str, tuple[int, ...]]) -> str:
        """Which derivatives on the way to a weight are wrong at its latest wrong step: ``"dz_f wrong, ds right → B3"``.

        ``wrong_at``: the wrong steps of each block over time that is wrong. Nothing where too little is returned to
        tell, or where the array holds weights of several gates.
        """
        kinds = {(ours[0], ours[2]) for ours in self._held_in(name)}
        kind, k = kinds.pop() if len(kinds) == 1 else ("", "")
        theirs = {ours: block for block, ours in self.recognised.taps.items() if block in self.theirs}
        theirs = {ours: block for ours, block in theirs.items() if ours == "h" or not block.startswith("next ")}
        if not kind or f"z_{k}" not in theirs:
            return ""
        label = {ours: f"d{block.removeprefix('next ').removesuffix('(t)')}" for ours, block in theirs.items()}
        steps = {ours: wrong_at.get(block, ()) for ours, block in theirs.items()}
        z = f"z_{k}"
        if not steps[z]:
            return f"{label[z]} right → {_SUMS[kind]}"
        latest = max(steps[z])
        if k in theirs and latest not in steps[k]:
            return f"{label[z]} wrong, {label[k]} right → B4"
        before = "h" if k == "o" else "s"
        beside = [j for j in "gif" if k != "o" and j != k and j in theirs]  # they are computed from ds too
        told = [before] if before in theirs else beside
        right = [ours for ours in told if latest not in steps[ours]]
        if not right:
            verb = "is" if len(told) == 1 else "are"
            return f"{label[z]} wrong, as {verb} {' and '.join(label[ours] for ours in told)}" if told else ""
        equation = "B3c" if k == "i" and self.recognised.variant.forget_gate is Gate.COUPLED else "B3"
        equation += "" if k in theirs else " or B4"
        pointed = "" if self.recognised.variant.gate_recurrence and k != "g" else f" → {equation}"
        return f"{label[z]} wrong, {' and '.join(label[ours] for ours in right)} right{pointed}"

    def _held_in(self, name: str) -> list[str]:
        """Our weights that an array of theirs holds."""
        start = self.recognised.sources.starts.get(name)
        if start is None:
            return []
        stop = start + self.recognised.sources.point[name].size
        return [
            ours
            for ours, everything in self.recognised.sources.places.items()
            if ours[:2] in ("W_", "b_", "p_") and any(((p >= start) & (p < stop)).any() for p in everything)
        ]


def _intermediates(recognised: Recognised, theirs: Mapping[str, Array], ends: Mapping[str, Array]) -> dict[str, Array]:
    """What was returned for intermediates, by target of the program.

    A cell's ``next s(t)`` is what step t+1 handed back to s(t); so it is what the line of ds_next gave at step t+1, and
    what it gave at step 1 is the derivative of s(0).
    """
    T, B, _, H = recognised.steps
    found: dict[str, Array] = {}
    for name, ours in recognised.taps.items():
        array = theirs.get(name)
        if array is None or array.shape != (T, B, H):
            continue
        if not name.startswith("next ") or ours == "h":
            found[f"d{ours}"] = array
        elif f"{ours}0" in ends:
            found[f"d{ours}_next"] = np.concatenate([ends[f"{ours}0"][None], array[:-1]])
    return found
