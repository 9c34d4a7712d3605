"""What of a user's to verify, and how: the options of the command, and the cases that they come to."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bptt_check.campaign.held import Trial
from bptt_check.campaign.shapes import LETTERS, Shape, shape_of, shapes_to_try, sorted_shapes
from bptt_check.errors import UsageError
from bptt_check.report.text import clean

LOSSES = ("euclidean", "softmax_cross_entropy", "last_step", "unequal_lengths")
TIME_LIMIT = 60.0


@dataclass(frozen=True)
class Wanted:
    """What to verify and how: the options of the command, checked. ``stem`` names the reports."""

    target: str
    stem: str
    reports: Path
    shapes: tuple[Shape, ...] = ()
    losses: tuple[str, ...] = ()
    cases: int | None = None
    seed: int = 0
    limit: float = TIME_LIMIT
    entries: str = "auto"
    optional: tuple[str, ...] = ()
    resolution: float | None = None
    point: str | None = None
    held: Trial | None = None
    case_file: str | None = None
    program: str = "bptt-check"

    def line(self, trial: Trial) -> str:
        """The shell line that runs ``trial`` alone."""
        words = [*shlex.split(self.program), "verify", self.target]
        if self.case_file:
            words += ["--case", self.case_file]
        else:
            words += ["--shapes", str(trial.shape)] if trial.shape else []
            words += ["--losses", trial.loss] if trial.loss else []
            words += ["--seed", str(trial.seed)]
            words += ["--point", self.point] if self.point else []
        return shlex.join(words + self._options())

    def held_line(self, path: Path) -> str:
        """The shell line that runs the case held in ``path``, all its numbers included."""
        words = [*shlex.split(self.program), "verify", self.target, "--case", str(path)]
        return shlex.join(words + self._options())

    def _options(self) -> list[str]:
        """The options that a single case needs as well."""
        words = ["--entries", self.entries] if self.entries != "auto" else []
        words += ["--optional", ",".join(self.optional)] if self.optional else []
        words += ["--resolution", f"{self.resolution:g}"] if self.resolution else []
        words += ["--time", f"{self.limit:g}"] if self.limit != TIME_LIMIT else []
        return words


def trials_for(wanted: Wanted, loaded: Mapping[str, Any]) -> tuple[Trial, ...]:
    """The cases to run, smallest first, for a target of this kind.

    Raises
    ------
    UsageError
        Where an option does not fit the target.
    """
    if wanted.held:
        if loaded["takes"] and wanted.held.shape is None:
            raise UsageError(f"--case {wanted.case_file} holds no shape, and {loaded['name']} takes one")
        return (wanted.held,)
    if not loaded["takes"]:
        if wanted.shapes:
            raise UsageError(f"--shapes does not fit: {loaded['name']} takes none of T, B, D, H")
        return tuple(Trial(wanted.seed + k) for k in range(1 if loaded["kind"] == "subject" else wanted.cases or 1))
    shapes = sorted_shapes(taken(shape, loaded["takes"]) for shape in _shapes(wanted, loaded))
    names: tuple[str | None, ...] = (None,)
    if loaded["kind"] == "cell":
        names = wanted.losses or ((None,) if loaded["own_loss"] else LOSSES)
    return tuple(Trial(wanted.seed, shape, loss) for shape in shapes for loss in names)


def _shapes(wanted: Wanted, loaded: Mapping[str, Any]) -> tuple[Shape, ...]:
    if wanted.shapes:
        return wanted.shapes
    if not wanted.point:
        return shapes_to_try(wanted.cases, wanted.seed)
    arrays: Mapping[str, list[int]] = loaded["point"]
    initial = next((shape for name, shape in arrays.items() if name.endswith("0") and len(shape) == 2), None)
    x = arrays.get("x")
    if x is None or len(x) != 3 or initial is None:
        raise UsageError(
            f"--point {wanted.point} does not hold both x (T, B, D) and an initial state such as h0 (B, H), from which "
            'the shape is read; say it with --shapes "T=…,B=…,D=…,H=…"'
        )
    return (shape_of({"T": x[0], "B": x[1], "D": x[2], "H": initial[1]}),)


def taken(shape: Shape, takes: tuple[str, ...] | list[str]) -> Shape:
    """The shape with 1 for what the target does not take, so that no case is run twice."""
    return replace(shape, **{letter: 1 for letter in LETTERS if letter not in takes})


def stem_of(target: str) -> str:
    """What the reports of ``target`` are called: the file's stem, or the dotted name."""
    place, _, name = target.rpartition(".py:") if ".py:" in target else (target.removesuffix(".py"), "", "")
    stem = Path(place).name.replace(":", ".") + (f".{name}" if name else "")
    safe = "".join(sign if sign.isalnum() or sign in "._-" else "_" for sign in stem).strip(".")
    if not safe:
        raise UsageError(f"{clean(target)!r} names nothing to verify; give FILE.py or package.module:name")
    return safe
