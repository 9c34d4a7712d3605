"""Several backward passes in lines, one behind the other: what one of them gives at each step, the next one reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bptt_check.program import Lines

Array = np.ndarray[Any, Any]
BACKWARD = "backward"  # the part whose own time runs the other way
UNNAMED = ("", "loss", "output", "apart", "inputs")  # stages of which there is one: their targets need no label


@dataclass(frozen=True)
class Stage:
    """Lines, and where each list that they read comes from: {name: (label of a stage before, its target)}."""

    label: str
    lines: Lines
    given: Mapping[str, tuple[str, str]] = field(default_factory=dict)


class Chain:
    """The stages of a network, run like the lines of one cell; targets are ``target@label`` where there is a label.

    ``T``, ``lines``, ``evaluated``, ``right``, ``run`` and ``late`` are those of :class:`bptt_check.program.Lines`.
    """

    def __init__(self, stages: Sequence[Stage], T: int) -> None:
        self.T = T
        self.stages: list[Stage] = []
        self._values: dict[str, dict[str, Array]] = {}
        for stage in stages:  # once the lists of a stage are known, it can be run as it is
            stage.lines.start.update(self._given(stage, self._values))
            self._values[stage.label] = stage.lines.right
            self.stages.append(stage)
        self.lines = tuple(
            replace(line, target=_named(line.target, stage.label)) for stage in stages for line in stage.lines.lines
        )
        self.labels = {_named(line.target, s.label): (s.label, line.target) for s in stages for line in s.lines.lines}

    @property
    def evaluated(self) -> float:
        """How many lines have been evaluated so far, at one step each."""
        return sum(stage.lines.evaluated for stage in self.stages)

    @property
    def right(self) -> dict[str, Array]:
        """What all lines give as they are."""
        return self._together(self._values)

    def run(self, changes: Mapping[str, str]) -> dict[str, Array]:
        """The same with some lines changed. Only what comes behind them is run again."""
        per_stage: dict[str, dict[str, str]] = {}
        for target, code in changes.items():
            label, own = self.labels[target]
            per_stage.setdefault(label, {})[own] = code
        values = dict(self._values)
        for stage in self.stages:
            other = any(values[x][target] is not self._values[x][target] for x, target in stage.given.values())
            if stage.label in per_stage or other:
                given = self._given(stage, values) if other else None
                try:
                    values[stage.label] = stage.lines.run(per_stage.get(stage.label, {}), given)
                except NameError as error:  # a mistake that needs what this part does not have
                    raise ValueError(str(error)) from error
        return self._together(values)

    def late(self, changes: Mapping[str, str], steps: int) -> dict[str, Array]:
        """The last ``steps`` of what the lines of a step give."""
        return {name: value[-steps:] for name, value in self.run(changes).items() if len(value) == self.T}

    def contributions(self) -> dict[str, Array]:
        """What each step adds to each sum, (T, …); a part that runs backwards in time is turned round."""
        return {
            _named(target, stage.label): array[::-1] if stage.label == BACKWARD else array
            for stage in self.stages
            for target, array in stage.lines.contributions().items()
        }

    def _given(self, stage: Stage, values: Mapping[str, Mapping[str, Array]]) -> dict[str, Any]:
        lists = {name: values[label][target] for name, (label, target) in stage.given.items()}
        return {name: [np.zeros_like(array[0]), *array] for name, array in lists.items()}

    def _together(self, values: Mapping[str, Mapping[str, Array]]) -> dict[str, Array]:
        return {_named(target, label): array for label, own in values.items() for target, array in own.items()}


def _named(target: str, label: str) -> str:
    return target if label in UNNAMED else f"{target}@{label}"
