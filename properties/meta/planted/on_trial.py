"""The diagnosis on trial: one planted mistake, what was said about it, and how much of that is true.

Every case is drawn from a seed; ``properties/meta/test_diagnosis_on_trial.py`` tries a few, ``benchmarks/diagnosis.py``
as many as it is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bptt_check import Result, Subject, Verdict, check
from bptt_check.faults import Fault
from bptt_check.lstm.variants import VARIANTS, Variant
from planted.spoilt import LAYOUTS, TAPS, cell_subject, counts, faults_of, layer

Steps = tuple[int, int, int, int]
TRIES = 50


@dataclass(frozen=True)
class Trial:
    """One planted case: which cell in which form, what is wrong with it, where, and the subject."""

    cell: Variant
    form: str
    faults: tuple[Fault, ...]
    steps: Steps
    seed: int
    subject: Subject

    @property
    def label(self) -> str:
        named = " + ".join(fault.id for fault in self.faults) or "right"
        return f"{self.cell.name}, {self.form}, {named}, T B D H = {self.steps}, seed {self.seed}"


@dataclass(frozen=True)
class Said:
    """What came of a trial. ``alike``: the planted fault is the first that is named, or said to look the same here."""

    trial: Trial
    result: Result
    seconds: float

    @property
    def detected(self) -> bool:
        return self.result.verdict is Verdict.DISAGREES

    @property
    def named(self) -> str:
        """What was named first."""
        return self.result.causes[0].fault if self.result.causes else "nothing"

    @property
    def first(self) -> bool:
        return self.named == self.trial.faults[0].id

    @property
    def alike(self) -> bool:
        causes = self.result.causes
        return bool(causes) and causes[0].exact and self.trial.faults[0].id in (causes[0].fault, *causes[0].also)

    @property
    def equation(self) -> str:
        causes = self.result.causes
        return (causes[0].equation or "none") if causes else "nothing"

    @property
    def right_equation(self) -> bool:
        return self.equation == self.trial.faults[0].equation

    @property
    def falsely_exact(self) -> bool:
        """Whether something is called exact that is not what was planted and cannot be mistaken for it here."""
        planted = {fault.id for fault in self.trial.faults}
        return any(cause.exact and not planted & {cause.fault, *cause.also} for cause in self.result.causes)


def shapes_of(rng: np.random.Generator) -> Steps:
    """T, B, D and H as users have them in tests: small, not all alike."""
    T, B, D, H = int(rng.integers(3, 7)), int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    return T, B, D, H + (H == D)


def planted(form: str, seed: int, cell: Variant | None = None, faults: int = 1) -> Trial:
    """A case of ``form``: ``"layer, "`` and a layout, or ``"cell, "`` and which intermediates it taps."""
    kind, _, how = form.partition(", ")
    for again in range(TRIES):
        rng = np.random.default_rng([seed, again, faults])
        cells = [v for v in VARIANTS if kind == "layer" or not v.gate_recurrence]
        chosen = cell or cells[int(rng.integers(len(cells)))]
        steps = shapes_of(rng)
        catalogue = faults_of(chosen, one_step=kind == "cell")
        picked = tuple(catalogue[int(k)] for k in rng.choice(len(catalogue), faults, replace=False))
        changes = [change for fault in picked for change in fault.changes]
        if len(dict(changes)) < len(changes) or not all(counts(chosen, fault, steps, seed) for fault in picked):
            continue
        if kind == "layer":
            subject = layer(chosen, dict(changes), layout=how, steps=steps, seed=seed, memory_out=bool(seed % 2))
        else:
            subject = cell_subject(chosen, dict(changes), taps=how, steps=steps, seed=seed)
        return Trial(chosen, form, picked, steps, seed, subject)
    raise RuntimeError(f"{form}, seed {seed}: no mistake that counts in {TRIES} tries")


def right(form: str, seed: int, cell: Variant | None = None) -> Trial:
    """The same with nothing wrong."""
    kind, _, how = form.partition(", ")
    rng = np.random.default_rng(seed)
    cells = [v for v in VARIANTS if kind == "layer" or not v.gate_recurrence]
    chosen = cell or cells[int(rng.integers(len(cells)))]
    steps = shapes_of(rng)
    make = layer(chosen, {}, layout=how, steps=steps, seed=seed, memory_out=bool(seed % 2)) if kind == "layer" else None
    return Trial(chosen, form, (), steps, seed, make or cell_subject(chosen, {}, taps=how, steps=steps, seed=seed))


FORMS = (*(f"layer, {layout}" for layout in LAYOUTS), *(f"cell, {taps}" for taps in TAPS))


def tried(trial: Trial) -> Said:
    """The case, checked."""
    start = time.perf_counter()
    result = check(trial.subject)
    return Said(trial, result, time.perf_counter() - start)


def singly(form: str, seeds: range) -> Iterator[Said]:
    """Mistakes planted singly."""
    for seed in seeds:
        yield tried(planted(form, seed))


def in_pairs(form: str, seeds: range) -> Iterator[Said]:
    """Mistakes planted two at once."""
    for seed in seeds:
        yield tried(planted(form, seed, faults=2))
