"""The diagnosis on trial: one planted mistake, what was said about it, and how much of that is true.

Every case is drawn from a seed; ``properties/meta/test_diagnosis_on_trial.py`` tries a few, ``benchmarks/diagnosis.py``
as many as it is told.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from zlib import crc32

import numpy as np

from bptt_check import Result, Subject, Verdict, check
from bptt_check.faults import Fault, catalogue
from bptt_check.lstm.variants import VARIANTS, Variant
from bptt_check.patterns import steps_in_words
from bptt_check.program import Program
from planted.spoilt import (
    LAYOUTS,
    TAPS,
    Array,
    Arrays,
    cell_subject,
    counts,
    drawn,
    faults_of,
    functions,
    layer,
    layout_named,
    run,
    spoilt,
)  # fmt: skip

Steps = tuple[int, int, int, int]
TRIES = 50
SHOWS = 1e-9  # relative difference from which an entry is wrong for certain


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
        """Whether something is called exact that is no part of what was planted and cannot be mistaken for it here."""
        planted = {fault.id for fault in self.trial.faults}
        changed = {change for fault in self.trial.faults for change in fault.changes}
        parts = {fault.id for fault in catalogue(self.trial.cell) if set(fault.changes) <= changed}
        return any(cause.exact and not (planted | parts) & {cause.fault, *cause.also} for cause in self.result.causes)


def shapes_of(rng: np.random.Generator) -> Steps:
    """T, B, D and H as users have them in tests: small, not all alike."""
    T, B, D, H = int(rng.integers(3, 7)), int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(2, 5))
    return T, B, D, H + (H == D)


def planted(form: str, seed: int, cell: Variant | None = None, faults: int = 1) -> Trial:
    """A case of ``form``: ``"layer, "`` and a layout, or ``"cell, "`` and which intermediates it taps."""
    kind, _, how = form.partition(", ")
    for again in range(TRIES):
        rng = np.random.default_rng([seed, again, faults, crc32(form.encode())])  # other mistakes in every form
        chosen = cell or VARIANTS[int(rng.integers(len(VARIANTS)))]
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
            if not all(_counts_in_a_step(chosen, fault, steps, seed) for fault in picked):
                continue
        return Trial(chosen, form, picked, steps, seed, subject)
    raise RuntimeError(f"{form}, seed {seed}: no mistake that counts in {TRIES} tries")


def _counts_in_a_step(cell: Variant, fault: Fault, steps: Steps, seed: int) -> bool:
    """Whether a cell that the harness unrolls returns another gradient with the mistake than without it.

    Some mistakes are about other steps, and a step that knows only itself is right all the same.
    """
    wrong = cell_subject(cell, dict(fault.changes), taps="none", steps=steps, seed=seed)
    sound = cell_subject(cell, {}, taps="none", steps=steps, seed=seed)
    returned, due = wrong.gradient(wrong.blocks), sound.gradient(sound.blocks)
    return any(_off(due[name], returned[name]).any() for name in due)


def right(form: str, seed: int, cell: Variant | None = None) -> Trial:
    """The same with nothing wrong."""
    kind, _, how = form.partition(", ")
    rng = np.random.default_rng([seed, crc32(form.encode())])
    chosen = cell or VARIANTS[int(rng.integers(len(VARIANTS)))]
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


def named_both(said: Said) -> bool:
    """Whether the equations of all planted faults are among those of the causes, ties counted."""
    told = {e for cause in said.result.causes for e in (cause.equation, *cause.equations) if cause.explains}
    return {fault.equation for fault in said.trial.faults} <= told


def misplaced(said: Said) -> list[str]:
    """What the places of a result say wrongly, or fail to say, of gates and time steps."""
    trial = said.trial
    T, B, _, H = trial.steps
    kind, _, how = trial.form.partition(", ")
    subject = trial.subject
    if kind == "layer":
        turned = layout_named(how, trial.cell)
        point = turned.ours(subject.point)
        assert subject.recurrence is not None
        outputs = subject.recurrence.outputs(subject.point)
        slopes = subject.recurrence.cotangents(outputs)
        dl = slopes["h"] if turned.time_first else slopes["h"].swapaxes(0, 1)
        dl_ds = None
        if "last_memory" in slopes:
            dl_ds = np.zeros((T, B, H))
            dl_ds[-1] = slopes["last_memory"]
        right = turned.theirs(spoilt(Program(run(trial.cell, point), dl, dl_ds=dl_ds), {}))
        wrong = subject.gradient(subject.blocks)
        return [*_gates_missed(said, right, wrong), *_steps_missed(said, right, wrong, turned.time_first)]
    return []


def _off(right: Array, wrong: Array) -> Array:
    return np.asarray(np.abs(wrong - right) > SHOWS * max(np.abs(right).max(initial=0), np.abs(wrong).max(initial=0)))


def _gates_missed(said: Said, right: Arrays, wrong: Arrays) -> Iterator[str]:
    trial = said.trial
    if not trial.form.endswith(("packed", "transposed", "batch first")):
        return
    turned = layout_named(trial.form.partition(", ")[2], trial.cell)
    for name in right:
        block = said.result.blocks.get(name)
        if not name.startswith(("from_", "bias", "peep")) or block is None or not _off(right[name], wrong[name]).any():
            continue
        marked = {k: np.zeros_like(v) for k, v in right.items()}
        marked[name] = _off(right[name], wrong[name]).astype(float)
        ours = turned.ours(marked)
        held = {
            k[2] for k, v in turned.ours({k: np.full_like(v, k == name) for k, v in right.items()}).items() if v.any()
        }
        gates = {k[2] for k, v in ours.items() if v.any() and k[:2] in ("W_", "b_", "p_")}
        match = re.search(r"of gate ([gifo](?:, [gifo])*) alone", block.where)
        told = set(match[1].split(", ")) if match else held
        if gates != told:
            yield f"{name}: gates {sorted(gates)} are wrong, {block.where!r}"


def _steps_missed(said: Said, right: Arrays, wrong: Arrays, time_first: bool) -> Iterator[str]:
    name = "x" if "x" in right else "inputs"
    if not time_first or name != "x":  # without a name that says so, which axis is time is not claimed
        return
    T = len(right[name])
    largest = max(np.abs(right[name]).max(), np.abs(wrong[name]).max())
    off = np.abs(right[name] - wrong[name]).reshape(T, -1).max(axis=1) > SHOWS * largest
    steps = [int(t) + 1 for t in np.flatnonzero(off)]
    if steps and T > 1 and f"wrong {steps_in_words(steps, T)}" not in said.result.blocks[name].where:
        yield f"{name}: wrong {steps_in_words(steps, T)}, {said.result.blocks[name].where!r}"


READS_DS = {"df", "di", "dg", 'dprev["s"]'}


def misled(said: Said) -> str:
    """What the finding about the first wrong line says wrongly, where a cell taps all its intermediates."""
    lines: set[str] = set()
    for fault in said.trial.faults:
        for target, _ in fault.changes:
            if target == "ds":  # no intermediate of its own: what reads it shows it
                lines |= READS_DS
            ends = {f"d{k}0": f"d{k}_next" for k in "hsifo"}
            lines.add(re.sub(r"^d([hsifo])_next$", r'dprev["\1"]', ends.get(target, target)))
    found = [finding.message for finding in said.result.findings if finding.kind == "first-wrong-line"]
    first = re.split(r" (?:at t|is the first)", found[0])[0] if found else "nothing"
    return "" if first in lines else f"{first} is called the first wrong line, not {', '.join(sorted(lines))}"


Change = Callable[[dict[str, Array], Arrays], dict[str, Array]]


@dataclass(frozen=True)
class Structural:
    """A mistake that shows in the numbers of a gradient by themselves. ``kinds``: what it may be called."""

    name: str
    kinds: tuple[str, ...]
    change: Callable[[np.random.Generator, Mapping[str, Array]], tuple[Change, tuple[str, ...]]]


def _times(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    factor = float(rng.choice([2.0, -1.0, 0.5, 1 / len(point["x"]), 0.1]))
    blocks = tuple(str(k) for k in rng.choice(sorted(point), int(rng.integers(1, len(point))), replace=False))
    return (lambda g, p: {k: factor * v if k in blocks else v for k, v in g.items()}), blocks


def _square(point: Mapping[str, Array]) -> list[str]:
    return [k for k, v in point.items() if v.ndim == 2 and v.shape[0] == v.shape[1] > 1]


def _transposed(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    name = str(rng.choice(_square(point)))
    return (lambda g, p: {k: v.T if k == name else v for k, v in g.items()}), (name,)


def _swapped(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    pairs = [(a, b) for a in point for b in point if a < b and point[a].shape == point[b].shape]
    a, b = pairs[int(rng.integers(len(pairs)))]
    return (lambda g, p: {**g, a: g[b], b: g[a]}), (a, b)


def _missing(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    name = str(rng.choice(sorted(point)))
    return (lambda g, p: {k: 0 * v if k == name else v for k, v in g.items()}), (name,)


def _one_step_only(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    t = int(rng.choice([0, len(point["x"]) - 1]))

    def change(g: dict[str, Array], p: Arrays) -> dict[str, Array]:
        kept = np.zeros_like(g["x"])
        kept[t] = g["x"][t]
        return {**g, "x": kept}

    return change, ("x",)


def _clipped(rng: np.random.Generator, point: Mapping[str, Array]) -> tuple[Change, tuple[str, ...]]:
    name = str(rng.choice([k for k, v in point.items() if v.size >= 6]))

    def change(g: dict[str, Array], p: Arrays) -> dict[str, Array]:
        bound = float(np.round(np.quantile(np.abs(g[name]), 0.6), 3)) or 0.001
        return {**g, name: np.clip(g[name], -bound, bound)}

    return change, (name,)


STRUCTURAL = (
    Structural("factor", ("scaled", "learning-rate"), _times),
    Structural("transpose", ("transposed",), _transposed),
    Structural("swap", ("swapped",), _swapped),
    Structural("missing", ("zero",), _missing),
    Structural("one step only", ("first-step", "last-step", "steps", "one-step"), _one_step_only),
    Structural("clipped", ("clipped",), _clipped),
)


def structural(kind: Structural, seed: int) -> tuple[Subject, tuple[str, ...]]:
    """A subject of two functions with that mistake, and the blocks that it strikes."""
    for again in range(TRIES):
        rng = np.random.default_rng([seed, again])
        cell = VARIANTS[int(rng.integers(len(VARIANTS)))]
        steps = shapes_of(rng)
        point = drawn(cell, *steps, seed)
        change, blocks = kind.change(rng, point)
        subject, right = functions(cell, change, steps=steps, seed=seed)
        wrong = subject.gradient(subject.blocks)
        if all(_off(right[name], wrong[name]).any() for name in blocks):  # h0 has no effect under state feedback
            return subject, blocks
    raise RuntimeError(f"{kind.name}, seed {seed}: no case that counts in {TRIES} tries")


def rightly_structural(kind: Structural, blocks: tuple[str, ...], result: Result) -> bool:
    """Whether the first cause is of that kind, exact, and of those blocks."""
    if not result.causes:
        return False
    cause = result.causes[0]
    return cause.fault in kind.kinds and cause.exact and set(cause.explains) == set(blocks)
