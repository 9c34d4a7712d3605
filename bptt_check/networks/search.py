"""From a subject to the network that it is: what its loss or its outputs do when parts of it are switched on.

The output layer is found first: with everything else zero the loss depends on its bias alone, and with its matrix zero
on nothing else. That settles which loss it is, its scale and its targets; then the cells are looked for as a bare cell
is (recognise/roles.py). Inputs and targets that the point does not hold are taken from what the subject's functions can
reach. Names and data are guesses; what is found has to show what the subject shows, at its own point and at two others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bptt_check.budget import Budget
from bptt_check.errors import BpttCheckError
from bptt_check.networks.cells import COMMON, RARE, Cell
from bptt_check.networks.guesses import Guesses, Inputs
from bptt_check.networks.plan import Part, Plan
from bptt_check.networks.reach import arrays_held_meanwhile, arrays_within_reach
from bptt_check.networks.readout import layer_shapes
from bptt_check.networks.record import RecognisedNetwork, taken
from bptt_check.networks.stages import BACKWARD
from bptt_check.networks.tops import NetworkTrials, Top, Tops
from bptt_check.points import Array
from bptt_check.recognise.axes import in_order, orders, stacked
from bptt_check.recognise.cuts import Piece, cuts_of
from bptt_check.recognise.record import Sources
from bptt_check.recognise.roles import Cut, Role, Roles
from bptt_check.recognise.trials import Refused, apart, drawn
from bptt_check.subject import Subject
from bptt_check.watch import undisturbed

EXACT = 1e-9  # how far two computations of one number may be apart in float64, relative to the larger
SINGLE = 1e-3  # and in float32
SINGLE_TRIALS = 1e-4
RANDOM_POINTS = 2
MOST_RUNS = 5_000  # of the subject's loss or outputs, and of ours, after which the search ends,
SECONDS = 12.0  # or of the processor, where a run takes long
MOST_ENTRIES = 500_000  # of the point; a larger one takes too long to be cut into arrays of ours
LAYERS = (2, 3)
Entries = Mapping[str, Array]


def recognise_network(subject: Subject, *, rng: int | np.random.Generator = 0) -> RecognisedNetwork | None:
    """The network that a subject computes: cells of the LSTM family, Elman's or GRUs, with an output layer or without.

    Returns
    -------
    RecognisedNetwork or None
        ``None`` where none that is known shows what the subject shows, where the search has cost what it may, and for
        very large points.
    """
    if sum(array.size for array in subject.point.values()) > MOST_ENTRIES:
        return None
    with undisturbed():
        try:
            return _Search(subject, np.random.default_rng(rng)).found()
        except (Refused, BpttCheckError, MemoryError):
            return None


@dataclass(frozen=True)
class _Network:
    """A plan as the search for roles wants it."""

    trials: NetworkTrials
    plan: Plan
    top: Top
    inputs: Inputs
    states: Mapping[str, Array]
    tolerance: float

    @property
    def dispensable(self) -> frozenset[str]:
        return frozenset()

    @property
    def names(self) -> Mapping[str, tuple[str, ...]]:
        return {kind: tuple(k for k in names if k not in self.states) for kind, names in self.plan.kinds.items()}

    @property
    def outside(self) -> dict[str, Array]:
        """What the point does not hold: x, initial states."""
        return {**self.states, **({} if self.inputs.values is None else {"x": self.inputs.values})}

    @property
    def hidden(self) -> tuple[tuple[str, str], ...]:
        """What a layer hands up shows only once the layer above lets it in."""
        above = () if self.plan.both_ways else self.plan.parts[1:]
        return tuple((part.named("from x"), part.named(part.cell.entry)) for part in above)

    @property
    def given(self) -> tuple[Role, ...]:
        x = () if self.inputs.places is None else (("x", self.inputs.places),)
        return (*x, *self.top.layer.items())

    def response(self, mask: Array) -> Array:
        return self.trials.seen(self.top.output, self.top.order, mask)

    def arrays(self, flat: Array, places: Mapping[str, tuple[Array, ...]]) -> dict[str, Array]:
        return taken(self.plan, flat, places, self.outside)

    def predicted(self, ours: Mapping[str, Array]) -> Array:
        self.trials.budget.spend()
        return self.shown(self.plan.seen(ours))

    def shown(self, seen: Array) -> Array:
        """What our forward pass shows with the three axes of a response."""
        if self.plan.goal is not None:
            return seen[..., None, None, None]
        return seen if "T" in self.top.order else seen[..., -1:, :, :]

    def same(self, ours: Mapping[str, Array], flat: Array, response: Array) -> Array:
        return np.asarray(apart(self.predicted(ours), response) <= self.tolerance)


class _Search:
    """The search for one subject."""

    def __init__(self, subject: Subject, rng: np.random.Generator) -> None:
        self.subject = subject
        point = subject.point
        self.trials = NetworkTrials(subject, drawn(point, rng))
        self.trials.budget = Budget(MOST_RUNS, SECONDS)
        ends = np.cumsum([array.size for array in point.values()])
        parts = np.split(np.arange(ends[-1]), ends[:-1])
        self.entries = {k: part.reshape(a.shape) for (k, a), part in zip(point.items(), parts, strict=True)}
        self.own = np.concatenate([array.reshape(-1).astype(float) for array in point.values()])
        self.points = [self.own, *(drawn(point, rng) for _ in range(RANDOM_POINTS))]
        self.data = self._data()
        self.guesses = Guesses(self.entries, self.data)
        self.cuts: dict[tuple[object, ...], list[Cut]] = {}
        self.at_rest: dict[tuple[object, ...], Array] = {}
        self.arranged: dict[tuple[object, ...], list[tuple[tuple[Part, ...], bool]]] = {}
        kinds = [a.dtype.itemsize <= 4 for a in point.values()]
        self.single = subject.precision == "float32" or any(kinds)
        self.tolerance = EXACT

    def _data(self) -> list[Array]:
        """Arrays that may be inputs or targets: within reach, or there at two points while the loss is computed."""
        near = arrays_within_reach(self.subject.loss_at, self.subject.pair)
        here = arrays_held_meanwhile(partial(self.trials.run, self.own))
        there = arrays_held_meanwhile(partial(self.trials.run, self.trials.values))
        constant = {(a.shape, a.tobytes()) for a in there}
        near += [a for a in here if (a.shape, a.tobytes()) in constant]
        once = {(a.shape, a.dtype.str, a.tobytes()): a for a in reversed(near)}
        return [a for a in reversed(once.values()) if not self._is_held(a)]

    def _is_held(self, array: Array) -> bool:
        return any(a.shape == array.shape and np.array_equal(a, array) for a in self.subject.point.values())

    def found(self) -> RecognisedNetwork | None:
        """The first that holds at all points."""
        for tolerance, in_trials in [(EXACT, EXACT), (SINGLE, SINGLE_TRIALS)][: 1 + self.single]:
            self.tolerance = in_trials
            tops = Tops(self.trials, self.entries, self.data, self.tolerance)
            for above in (tops.found, tops.losses_of_h):
                found = self._beneath(list(above()), tolerance)
                if found is not None:
                    return found
        return None

    def _beneath(self, tops: Sequence[Top], tolerance: float) -> RecognisedNetwork | None:
        """The first that holds beneath one of these; likely inputs come first, whatever stands above."""
        inputs = [(top, *each) for top in tops for each in self.guesses.inputs(top)]
        inputs.sort(key=lambda each: not each[1])
        for cells, several in ((COMMON, False), (COMMON, True), (RARE, False), (RARE, True)):
            for top, _, x in inputs:
                for model in self._models(top, x, cells, several):
                    if self.trials.budget.is_spent:
                        return None
                    found = self._proved(model, tolerance)
                    if found is not None:
                        return found
        return None

    def _proved(self, model: _Network, tolerance: float) -> RecognisedNetwork | None:
        always = np.zeros(len(self.own), bool)
        for _, places in model.given:
            always[places] = True
        if not self._starts_alike(model, always):
            return None
        rest = self._rest(model.top, model.inputs)
        cuts = {name: self._cuts(name, model.plan) for name in rest}
        for roles in Roles(model, always, self.tolerance).search(cuts):
            holds = all(
                apart(
                    model.predicted(model.arrays(flat, roles.places)),
                    self.trials.seen(model.top.output, model.top.order, flat),
                )
                <= tolerance
                for flat in self.points
            )
            if holds:
                return self._recorded(model, roles.places, tolerance)
        return None

    def _starts_alike(self, model: _Network, always: Array) -> bool:
        """Whether both show the same where nothing is on but what is known."""
        plan = model.plan
        key = plan.parts, plan.both_ways, plan.T, plan.B, tuple((k, a.tobytes()) for k, a in model.states.items())
        flat = self.trials.on(always)
        if key not in self.at_rest:  # whatever x is: the matrices are off
            self.trials.budget.spend()
            ours = model.arrays(flat, {name: (places,) for name, places in model.given})
            self.at_rest[key] = plan.run(ours)[1]
        layer = layer_shapes(plan.V, plan.H) if plan.V else {}  # of our arrays no other is on
        ours = {k: flat[model.top.layer[k]] if k in model.top.layer else np.zeros(shape) for k, shape in layer.items()}
        return bool(apart(model.shown(plan.shown(self.at_rest[key], ours)), model.response(always)) <= self.tolerance)

    def _cuts(self, name: str, plan: Plan) -> list[Cut]:
        """The cuts of an array; they are the same for all cells with as many inputs and outputs."""
        key = name, plan.B, tuple((part.label, part.D, part.H) for part in plan.parts)
        if key not in self.cuts:
            self.cuts[key] = _cuts(plan, self.entries[name])
        return self.cuts[key]

    def _recorded(
        self, model: _Network, places: Mapping[str, tuple[Array, ...]], tolerance: float
    ) -> RecognisedNetwork:
        sources = Sources(self.subject.point, places)
        found = RecognisedNetwork(
            model.plan, sources, self.subject.recurrence, model.outside, model.top.output, model.top.order
        )
        if self.trials.by_loss:
            return found
        flat = self.points[-1]
        h = model.plan.run(model.arrays(flat, places))[1]
        repeated, unread = [], []
        shown = stacked(self.trials.run(flat))
        for name, array in shown.items():
            if name == model.top.output or _in_list(name, model.top.output) or "[:]" in name:
                continue
            same = "" if model.plan.V else _same_as(h, array, tolerance)
            (repeated.append((name, same)) if same else unread.append(name))
        return replace(found, repeated=tuple(repeated), unread=tuple(unread))

    def _rest(self, top: Top, inputs: Inputs) -> dict[str, Array]:
        """The arrays of which the cells are to be made."""
        return {k: places for k, places in self.entries.items() if k not in top.names | inputs.names}

    # which cells

    def _models(self, top: Top, inputs: Inputs, cells: Sequence[Cell], several: bool) -> Iterator[_Network]:
        """Networks of one of these cells that have as many entries, of a single part or of several."""
        rest = self._rest(top, inputs)
        size = sum(places.size for places in rest.values())
        T, B, D = inputs.shape
        goal = top.aimed(T, B)
        if goal is not None and len(goal.target) not in (1, T):
            return
        for parts, both_ways in self._arranged(cells, D, top.H, several, B, size):
            plan = Plan(parts, T, B, V=top.V, goal=goal, both_ways=both_ways)
            names = () if several else parts[0].cell.states
            for states in self.guesses.states(names, B, parts[0].H):
                yield _Network(self.trials, plan, top, inputs, states, self.tolerance)

    def _arranged(
        self, cells: Sequence[Cell], D: int, H: int, several: bool, B: int, size: int
    ) -> list[tuple[tuple[Part, ...], bool]]:
        """The arrangements that have ``size`` entries; the same are asked for beneath one top after the other."""
        key = cells, D, H, several, B, size
        if key not in self.arranged:
            kept = self.arranged[key] = []
            for parts, both_ways in (each for cell in cells for each in _arrangements(cell, D, H, several)):
                matrices = sum(part.cell.entries(part.D, part.H) for part in parts)
                if matrices <= size <= matrices + sum(_small(part, B) for part in parts):
                    kept.append((parts, both_ways))
        return self.arranged[key]


def _arrangements(cell: Cell, D: int, H: int, several: bool) -> Iterator[tuple[tuple[Part, ...], bool]]:
    """One cell; or two directions, and several layers of one width."""
    if not several:
        yield (Part("", cell, D, H),), False
        return
    if H % 2 == 0:
        yield (Part("forward", cell, D, H // 2), Part(BACKWARD, cell, D, H // 2)), True
    for n in LAYERS:
        yield tuple(Part(f"layer-{k + 1}", cell, H if k else D, H) for k in range(n)), False


def _small(part: Part, B: int) -> int:
    """How many entries there may be besides the matrices: two biases each, peepholes as matrices, states."""
    diagonal = part.H * part.H * len(part.cell.kinds["diagonal"])
    return 3 * part.H * len(part.cell.kinds["vector"]) + diagonal + B * part.H * len(part.cell.states)


def _cuts(plan: Plan, places: Array) -> list[Cut]:
    """Every way to cut an array into arrays of any part; what two parts cut alike has the readings of both."""
    merged: dict[tuple[bytes, ...], dict[bytes, tuple[Array, list[tuple[str, Array]]]]] = {}
    for part in plan.parts:
        for cut in cuts_of(places, plan.B, part.D, part.H):
            key = tuple(sorted(piece.places.tobytes() for piece in cut))
            pieces = merged.setdefault(key, {})
            for piece in cut:
                held = pieces.setdefault(piece.places.tobytes(), (piece.entries, []))
                held[1].extend((part.named(kind), where) for kind, where in piece.readings)
    cuts = [
        tuple(Piece(entries, tuple(readings)) for entries, readings in pieces.values()) for pieces in merged.values()
    ]
    telling = [cut for cut in cuts if any(piece.readings for piece in cut)]
    return telling or [(Piece(places, ()),)]


def _same_as(h: Array, array: Array, tolerance: float) -> str:
    """The axes of an output that is h of all steps, or of the last one; nothing where it is neither."""
    for order in orders(array.ndim, "TBH"):
        shown = in_order(array, order, "TBH")
        whole = h if "T" in order else h[-1:]
        if shown.shape == whole.shape and apart(shown, whole) <= tolerance:
            return order
    return ""


def _in_list(name: str, whole: str) -> bool:
    head, bracket, tail = whole.partition("[:]")
    return bool(bracket) and name.startswith(f"{head}[") and name.endswith(f"]{tail}")
