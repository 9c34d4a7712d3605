"""A network as a plan: which cell stands where, and what its arrays are called.

One cell, several above each other, or two of which one runs backwards in time; with an output layer and a loss, or
without. Of several parts ``W_gx@layer-2`` is W_gx of the second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from bptt_check.faults import WAYS, Fault, faults_of
from bptt_check.lstm.forward import over_time
from bptt_check.networks.cells import Cell, Steps
from bptt_check.networks.readout import LAYER, READ_OFF, Goal, layer_shapes, outputs
from bptt_check.networks.stages import BACKWARD, Chain, Stage
from bptt_check.networks.ways_between import OF_DIRECTIONS, OF_LAYERS
from bptt_check.networks.ways_output import OF_LOSS, OF_READOUT
from bptt_check.program import STEP, Line, Lines

Array = np.ndarray[Any, Any]
BOTH_WAYS = (
    Line("dl_forward", "dl[t][:, :H]", "N2", STEP),
    Line("dl_backward", "dl[T+1-t][:, H:]", "N2", STEP),
)
ARRIVING = (Line("dl", "c[t]", "B1", STEP),)
HANDED_TWICE = (Line("dl", "c[t] + again[t]", "B1", STEP),)
INTO_BOTH = (Line("dx", "dx_forward[t] + dx_backward[T+1-t]", "N3", STEP),)
INTO_LOWEST = (Line("dx", "dx_lowest[t]", "B7", STEP),)
BELOW = (Line("dl_below", "dx[t]", "N1", STEP),)


@dataclass(frozen=True)
class Part:
    """A cell with D inputs and H outputs; ``label`` is empty where there is only one."""

    label: str
    cell: Cell
    D: int
    H: int

    def named(self, name: str) -> str:
        """The name of one of its arrays, or targets, in the network."""
        return f"{name}@{self.label}" if self.label else name


@dataclass(frozen=True)
class Plan:
    """Which network it is.

    Attributes
    ----------
    parts: the lowest first; where ``both_ways`` is set, the direction that runs forwards, then the other one.
    T, B: steps and sequences.
    V: number of outputs of the output layer; 0 where there is none.
    goal: the loss, where the subject has it inside; without an output layer it is one of h.
    """

    parts: tuple[Part, ...]
    T: int
    B: int
    V: int = 0
    goal: Goal | None = None
    both_ways: bool = False

    def __str__(self) -> str:
        cell = self.parts[0].cell.name
        layers = f"{len(self.parts)} layers of {cell}" if len(self.parts) > 1 else cell
        said = f"{cell} in both directions" if self.both_ways else layers
        said += " with an output layer" if self.V else ""
        ended = "" if self.goal is None else f", {self.goal.ending.name}{'' if self.V else ' of h'}"
        return said + ended

    @property
    def H(self) -> int:
        """How many numbers the hidden states at the top are."""
        return sum(part.H for part in self.parts) if self.both_ways else self.parts[-1].H

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """All arrays but x, by name."""
        found: dict[str, tuple[int, ...]] = layer_shapes(self.V, self.H) if self.V else {}
        for part in self.parts:
            states = dict.fromkeys(part.cell.states, (self.B, part.H))
            found |= {part.named(k): shape for k, shape in {**part.cell.shapes(part.D, part.H), **states}.items()}
        return found

    @cached_property
    def kinds(self) -> dict[str, tuple[str, ...]]:
        """The arrays of the cells by kind, ``"vector"``, or ``"vector@layer-2"``."""
        return {
            part.named(kind): tuple(part.named(name) for name in names)
            for part in self.parts
            for kind, names in part.cell.kinds.items()
        }

    @cached_property
    def constants(self) -> dict[str, float]:
        """What the forward pass adds to an array."""
        return {part.named(k): value for part in self.parts for k, value in part.cell.constants.items()}

    def run(self, ours: Mapping[str, Array]) -> tuple[dict[str, Steps], Array]:
        """The forward pass: the steps of each part, in its own order of time, and h at the top, (…, T, B, H)."""
        found: dict[str, Steps] = {}
        tops = []
        x = ours["x"]
        for part in self.parts:
            arrays = {k: ours[part.named(k)] for k in (*part.cell.shapes(part.D, part.H), *part.cell.states)}
            backwards = part.label == BACKWARD
            steps = part.cell.run({**arrays, "x": x[..., ::-1, :, :] if backwards else x})
            found[part.label] = steps
            if self.both_ways:
                tops.append(steps["h"][:0:-1] if backwards else steps["h"][1:])
            else:
                x = over_time(steps["h"][1:])
        if self.both_ways:
            forwards, other = (over_time(top) for top in tops)
            lead = np.broadcast_shapes(forwards.shape[:-3], other.shape[:-3])
            both = [np.broadcast_to(a, (*lead, *a.shape[-3:])) for a in (forwards, other)]
            return found, np.concatenate(both, axis=-1)
        return found, x

    def seen(self, ours: Mapping[str, Array]) -> Array:
        """What can be seen from outside: the loss, (…), or the outputs, (…, T, B, V or H)."""
        return self.shown(self.run(ours)[1], ours)

    def shown(self, h: Array, ours: Mapping[str, Array]) -> Array:
        """The same from h at the top, (…, T, B, H)."""
        y = outputs(h, ours["W_yh"], ours["b_y"]) if self.V else h
        return y if self.goal is None else self.goal.value(y)

    def chain(self, ours: Mapping[str, Array], arriving: Array | None, again: Array | None = None) -> Chain:
        """The backward pass as lines.

        ``arriving``: ∂L/∂ of the outputs, (T, B, …), where there is no loss inside; ``again``: what reaches them
        besides, because some are handed out twice.
        """
        steps, h = self.run(ours)
        stages: list[Stage] = []
        T, B = self.T, self.B
        if self.V:
            y = outputs(h, ours["W_yh"], ours["b_y"])
            if self.goal is not None:
                stages.append(Stage("loss", self.goal.program(y)))
            else:
                assert arriving is not None
                stages.append(Stage("loss", Lines((Line("dy", "c[t]", "B10"),), {"c": _slotted(arriving), "B": B}, T)))
            start: dict[str, Any] = {
                "h": [np.zeros_like(h[0]), *h],
                "dy": None,
                **{k: ours[k] for k in ("W_yh", "b_y")},
            }
            start |= {"B": B, "H": h.shape[-1], "V": self.V}
            stages.append(Stage("output", Lines(LAYER, start, T), {"dy": ("loss", "dy")}))
        elif self.goal is not None:
            stages.append(Stage("loss", self.goal.program(h)))
            stages.append(Stage("output", Lines(READ_OFF, {"dy": None}, T), {"dy": ("loss", "dy")}))
        else:
            assert arriving is not None
            lists = {"c": _slotted(arriving), **({} if again is None else {"again": _slotted(again)})}
            stages.append(Stage("output", Lines(ARRIVING if again is None else HANDED_TWICE, {**lists, "B": B}, T)))
        top = ("output", "dl")
        if self.both_ways:
            stages.append(Stage("apart", Lines(BOTH_WAYS, {"H": self.parts[0].H, "dl": None}, T), {"dl": top}))
        for n, part in reversed(list(enumerate(self.parts))):
            if self.both_ways:
                top = ("apart", f"dl_{part.label}")
            elif n < len(self.parts) - 1:
                above = self.parts[n + 1].label
                given = {k: (above, k) for k in ("dx", "dh_next", "dh", "dl")}
                given["dl"] = top
                stages.append(Stage(f"below-{above}", Lines(BELOW, dict.fromkeys(given), T), given))
                top = (f"below-{above}", "dl_below")
            stages.append(Stage(part.label, _lines(part, steps[part.label], ours, B), {"dl": top}))
        if len(self.parts) > 1:
            given = {f"dx_{part.label}" if self.both_ways else "dx_lowest": (part.label, "dx") for part in self._lowest}
            lines = Lines(INTO_BOTH if self.both_ways else INTO_LOWEST, dict.fromkeys(given), T)
            stages.append(Stage("inputs", lines, given))
        return Chain(stages, T)

    @property
    def _lowest(self) -> tuple[Part, ...]:
        """The parts that see x."""
        return self.parts if self.both_ways else self.parts[:1]

    @cached_property
    def faults(self) -> tuple[Fault, ...]:
        """Every mistake that is known of such a network, those first that its arrangement brings."""
        found: list[Fault] = []
        likeness = self.parts[0].cell.likeness
        if self.both_ways:
            found += faults_of(OF_DIRECTIONS, (*BOTH_WAYS, *INTO_BOTH), likeness)
        for part in self.parts[1:] if not self.both_ways else ():
            found += [_in_part(fault, f"below-{part.label}") for fault in faults_of(OF_LAYERS, BELOW, likeness)]
        if self.V:
            lines = self.goal.lines(self.T) if self.goal else ()
            found += faults_of((*OF_LOSS, *OF_READOUT, *WAYS), (*lines, *LAYER), likeness)
        elif self.goal is not None:
            found += faults_of(OF_LOSS, self.goal.lines(self.T), likeness)
        cells = self.parts[0].cell.faults
        if len(self.parts) == 1:
            found += cells
        else:  # the parts may share the code of their cell
            found += [_in_all(fault, [part.label for part in self.parts], self.both_ways) for fault in cells]
            found += [_in_part(fault, part.label) for fault in cells for part in self.parts]
        return tuple(sorted(found, key=lambda fault: not fault.common))


def _slotted(arriving: Array) -> list[Any]:
    return [np.zeros_like(arriving[0]), *arriving]


def _lines(part: Part, steps: Steps, ours: Mapping[str, Array], B: int) -> Lines:
    """The lines of one part; what reaches its h(t) is given later."""
    T = len(steps["h"]) - 1
    slot = np.zeros((B, part.H))
    start: dict[str, Any] = {
        **{k: np.asarray(ours[part.named(k)]) for k in part.cell.shapes(part.D, part.H)},
        **steps,
        "B": B,
        "D": part.D,
        "H": part.H,
        "dl": None,
        **dict.fromkeys(("dh_next", "di_next", "df_next", "do_next", "ds_next"), slot),
    }
    passed = [line.target for line in part.cell.lines if line.target.startswith("dz_")]
    start |= dict.fromkeys([f"{name}_later" for name in passed], slot)
    return Lines(part.cell.lines, start, T, later=passed)


def _in_part(fault: Fault, label: str) -> Fault:
    """A fault of a cell as one of a part of a network; of what is handed from one to the next, as it is."""
    says = fault.says if label.startswith("below") else f"in {_WHERE.get(label, label.replace('-', ' '))}: {fault.says}"
    changes = tuple((f"{target}@{label}", code) for target, code in fault.changes)
    return replace(fault, id=f"{fault.id}@{label}", says=says, changes=changes)


def _in_all(fault: Fault, labels: list[str], both_ways: bool) -> Fault:
    """The same fault in all parts at once."""
    where = "both-directions" if both_ways else "every-layer"
    changes = tuple((f"{target}@{label}", code) for label in labels for target, code in fault.changes)
    says = f"in {where.replace('-', ' ')}: {fault.says}"
    return replace(fault, id=f"{fault.id}@{where}", says=says, changes=changes)


_WHERE = {"forward": "the forward direction", "backward": "the backward direction"}
