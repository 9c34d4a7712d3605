"""From a subject to the cell that it is: readings of its shapes, cells of the family, and what the trials say.

Names are never believed; they only decide what is tried first. What is found has to compute the subject's outputs at
its own point and at two random ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np

from bptt_check.errors import BpttCheckError
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.params import shapes, states
from bptt_check.lstm.variants import VARIANTS, Gate, Variant
from bptt_check.points import Array
from bptt_check.recognise.axes import Frame, frames_of_outputs, frames_of_targets, in_order, orders, stacked
from bptt_check.recognise.outside import Cell, frames_outside
from bptt_check.recognise.record import Recognised, Sources, targets_in_order, trace_of
from bptt_check.recognise.roles import Cut, OneCell, Roles, cuts_of_point
from bptt_check.recognise.trials import Refused, Trials, apart, drawn
from bptt_check.recurrence import LOSS
from bptt_check.subject import Subject
from bptt_check.watch import undisturbed

EXACT = 1e-9  # how far two computations of one cell may be apart in float64, relative to the largest output
SINGLE = 1e-3  # and in float32
SINGLE_TRIALS = 1e-4  # the same where only a few arrays are on
RANDOM_POINTS = 2
CELLS: tuple[Cell, ...] = tuple(
    (cell, constants)
    for cell, constants in product(VARIANTS, ({}, {"b_f": 1.0}))
    if not constants or cell.forget_gate is Gate.LEARNED
)


def recognise(subject: Subject, *, rng: int | np.random.Generator = 0) -> Recognised | None:
    """The cell of the built-in family that a subject computes, and where our arrays are in theirs.

    Parameters
    ----------
    subject: with a :class:`~bptt_check.recurrence.Recurrence`; without one nothing can be compared.
    rng: seed or generator of the random points.

    Returns
    -------
    Recognised or None
        ``None`` where no cell of the family agrees at all points, and where the forward pass cannot be run at them.
    """
    if subject.recurrence is None:
        return None
    if subject.recurrence.recognised is not None:
        return subject.recurrence.recognised
    with undisturbed():
        try:
            return _recognised(subject, np.random.default_rng(rng))
        except (Refused, BpttCheckError):
            return None


def _recognised(subject: Subject, rng: np.random.Generator) -> Recognised | None:
    trials = Trials(subject, drawn(subject.point, rng))
    elsewhere = [drawn(subject.point, rng) for _ in range(RANDOM_POINTS)]
    own = np.concatenate([array.reshape(-1).astype(float) for array in subject.point.values()])
    points = [own, *elsewhere]
    single = subject.precision == "float32" or any(a.dtype.itemsize <= 4 for a in subject.point.values())
    for tolerance, in_trials in [(EXACT, EXACT), (SINGLE, SINGLE_TRIALS)][: 1 + single]:
        for candidate in _candidates(trials, in_trials):
            if all(_agrees(trials, candidate, flat, tolerance) for flat in points):
                return _with_outputs(trials, candidate, points, tolerance)
    return None


def _candidates(trials: Trials, tolerance: float) -> Iterator[Recognised]:
    """What the trials leave possible, cell by cell."""
    subject, recurrence = trials.subject, trials.subject.recurrence
    assert recurrence is not None
    if recurrence.variant is not None:
        yield _as_it_is(subject, recurrence.variant)
        return
    ends = np.cumsum([array.size for array in subject.point.values()])
    parts = np.split(np.arange(ends[-1]), ends[:-1])
    entries = {k: part.reshape(a.shape) for (k, a), part in zip(subject.point.items(), parts, strict=True)}
    targets = np.zeros(ends[-1], bool)
    if recurrence.loss is None:
        frames = frames_of_outputs(entries, trials.run(trials.values))
    else:
        y = recurrence.loss.targets_at(subject.point)
        if isinstance(recurrence.loss.targets, str):
            targets[entries.pop(recurrence.loss.targets)] = True
        frames = frames_of_targets(entries, y, LOSS)
    seen, inside = set(), False
    for frame in frames:
        key = (frame.steps, frame.x.tobytes(), frame.output, frame.order)
        if key not in seen and _causal(trials, frame, tolerance):
            found = _cells(trials, frame, CELLS, entries, targets, tolerance)
            inside = inside or (found is not None and "T" in frame.order and min(frame.T, frame.H) > 1)
            yield from found or ()
        seen.add(key)
    if recurrence.loss is None and not inside:
        for frame, cells in frames_outside(trials, entries, CELLS, tolerance):
            yield from _cells(trials, frame, cells, entries, targets, tolerance) or ()


def _cells(
    trials: Trials,
    frame: Frame,
    cells: Sequence[Cell],
    entries: Mapping[str, Array],
    targets: Array,
    tolerance: float,
) -> Iterator[Recognised] | None:
    """What the trials leave possible in one reading of the shapes; ``None`` where it cannot be one of a cell.

    ``targets``: a mask of entries that are always on.
    """
    always = targets.copy()
    always[frame.x] = True
    cuts = cuts_of_point(entries, always, frame)
    if not _could_be(trials, frame, cuts, entries, tolerance):
        return None
    return _searched(trials, frame, cells, always, cuts, tolerance)


def _searched(
    trials: Trials,
    frame: Frame,
    cells: Sequence[Cell],
    always: Array,
    cuts: Mapping[str, list[Cut]],
    tolerance: float,
) -> Iterator[Recognised]:
    subject, recurrence = trials.subject, trials.subject.recurrence
    assert recurrence is not None
    scale = _scale(trials, frame, always)
    held = sum(array.size for array in subject.point.values())
    for variant, added in sorted(cells, key=lambda cell: _entries(cell[0], frame) != held):
        constants = dict(added) if frame.inputs is None else {**added, "x": frame.inputs}
        search = Roles(OneCell(trials, frame, variant, constants, scale, tolerance), always, tolerance)
        for found in search.search(cuts):
            yield Recognised(
                variant, frame.steps, Sources(subject.point, found.places, constants), frame.output, frame.order,
                recurrence, scale=scale, ambiguous=found.ambiguous,
            )  # fmt: skip


def _entries(cell: Variant, frame: Frame) -> int:
    """How many entries a point of a cell has; a subject that has as many is most likely that cell."""
    T, B, D, H = frame.steps
    ours = (*shapes(cell, D, H).values(), *states(cell, B, H).values())
    return T * B * D + sum(int(np.prod(shape)) for shape in ours)


def _as_it_is(subject: Subject, variant: Variant) -> Recognised:
    """A built-in cell, which has our names and shapes."""
    T, B, D = subject.point["x"].shape
    H = subject.point["s0"].shape[-1]
    names = ("x", *shapes(variant, D, H), *states(variant, B, H))
    sources = Sources(subject.point, {})
    starts = sources.starts
    places = {
        name: (starts[name] + np.arange(subject.point[name].size).reshape(subject.point[name].shape),) for name in names
    }
    assert subject.recurrence is not None
    return Recognised(variant, (T, B, D, H), replace(sources, places=places), "h", "TBH", subject.recurrence)


def _scale(trials: Trials, frame: Frame, always: Array) -> float:
    """The subject's loss over the declared one where h is zero: a half, or one over the number of terms."""
    recurrence = trials.subject.recurrence
    assert recurrence is not None
    if recurrence.loss is None:
        return 1.0
    flat = trials.on(always)
    y = targets_in_order(recurrence, trials.point(flat), frame.order)
    declared = float(recurrence.loss.value(np.zeros((frame.T, frame.B, frame.H)), y))
    computed = float(trials.run(flat)[LOSS])
    return computed / declared if declared and computed else 1.0


def _could_be(
    trials: Trials, frame: Frame, cuts: Mapping[str, list[Cut]], entries: Mapping[str, Array], tolerance: float
) -> bool:
    """Whether some array can be weights of x, and every array that matters can be cut into any of ours."""
    kinds = {kind for some in cuts.values() for cut in some for piece in cut for kind, _ in piece.readings}
    if "from x" not in kinds:
        return False
    foreign = [name for name, some in cuts.items() if not any(piece.readings for cut in some for piece in cut)]
    before = trials.response(frame, trials.values)
    for name in foreign:
        flat = trials.values.copy()
        flat[entries[name]] *= 0.5
        if apart(trials.response(frame, flat), before) > 10 * tolerance:
            return False
    return True


def _causal(trials: Trials, frame: Frame, tolerance: float) -> bool:
    """Whether x(t) of one sequence moves the outputs of that sequence only, and none before t."""
    recurrence = trials.subject.recurrence
    if recurrence is None or recurrence.loss is not None:
        return True
    before = trials.response(frame, trials.values)
    for t, b in {(0, 0), (frame.T - 1, frame.B - 1), (0, frame.B - 1)}:
        flat = trials.values.copy()
        flat[frame.x[t, b]] *= 0.5
        moved = np.abs(trials.response(frame, flat) - before).max(axis=-1) > tolerance
        reached = np.zeros_like(moved)
        reached[t if len(moved) == frame.T else 0 :, b] = True
        if (moved & ~reached).any() or not moved.any():
            return False
    return True


def _agrees(trials: Trials, candidate: Recognised, flat: Array, tolerance: float) -> bool:
    """Whether both compute the same outputs at one point."""
    frame = Frame(*candidate.steps, np.zeros(0, int), candidate.output, candidate.order)
    theirs = trials.response(frame, flat, candidate.scale)
    ours = candidate.sources.taken(flat, candidate.variant, candidate.steps)
    predicted = trials.predicted(frame, candidate.variant, ours, flat, frame.T)
    return bool(apart(predicted, theirs) <= tolerance)


def _with_outputs(trials: Trials, found: Recognised, points: list[Array], tolerance: float) -> Recognised:
    """The rest of what it computes: which output is s, and which intermediate is which of ours."""
    recurrence, flat = found.recurrence, points[-1]
    trace = trace_of(found.variant, found.sources.taken(flat, found.variant, found.steps))
    taps = {}
    for name, value in (_tapped(trials, flat) if recurrence.tapped else {}).items():
        same = [k for k in _intermediates(found.variant) if _equal(value, trace.over_time(k), tolerance)]
        if same:
            taps[name] = same[0]
    if recurrence.loss is not None:
        return replace(found, taps=taps)
    read = _read_again(found, trace, stacked(trials.run(flat)), tolerance)
    memory = next(((name, order) for name, order, ours in read if ours == "s"), None)
    repeated = tuple(each for each in read if each[:2] != memory)
    whole = [found.output, *(name for name, _, _ in read)]
    unread = tuple(
        name for name in trials.run(flat) if not any(name == known or _in_list(name, known) for known in whole)
    )
    return replace(found, taps=taps, final_memory=memory, repeated=repeated, unread=unread)


def _read_again(
    found: Recognised, trace: Trace, outputs: Mapping[str, Array], tolerance: float
) -> list[tuple[str, str, str]]:
    """Every further output that holds h or s, of all steps or of the last: its name, its axes, and which of them."""
    read: list[tuple[str, str, str]] = []
    for name in outputs:
        known = [found.output, *(other for other, _, _ in read)]
        if any(name == whole or _in_list(name, whole) for whole in known):
            continue
        for ours, order in product("sh", orders(outputs[name].ndim, "TBH")):
            over_time = trace.over_time(ours)
            array = in_order(outputs[name], order, "TBH")
            if _equal(array, over_time if "T" in order else over_time[-1:], tolerance):
                read.append((name, order, ours))
                break
    return read


def _in_list(name: str, whole: str) -> bool:
    head, bracket, tail = whole.partition("[:]")
    return bool(bracket) and name.startswith(f"{head}[") and name.endswith(f"]{tail}")


def _tapped(trials: Trials, flat: Array) -> Mapping[str, Array]:
    recurrence = trials.subject.recurrence
    assert recurrence is not None and recurrence.tapped is not None
    tapped: Mapping[str, Array] = trials.subject.call(recurrence.tapped, trials.point(flat), "the forward pass")
    return tapped


def _intermediates(variant: Variant) -> tuple[str, ...]:
    gates = [k for k in ("i", "f", "o") if variant.gate(k) is not Gate.OPEN]
    return ("h", "s", "g", *gates, *(f"z_{k}" for k in variant.blocks))


def _equal(a: Array, b: Array, tolerance: float) -> bool:
    return a.shape == b.shape and bool(apart(np.asarray(a, float), b) <= tolerance)
