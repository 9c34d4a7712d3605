"""One time step and its backward, unrolled over time by the harness.

A cell says how one step is computed and how derivatives go back through that one step. The harness brings the
sequence, the loss, and the carrying of derivatives from step to step (L4, B1): what it tests is the step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import numpy as np

from bptt_check.equations import Behind
from bptt_check.errors import SubjectError
from bptt_check.forms.builtin import checked_shape, chosen_loss, equations_of, replace_arrays
from bptt_check.lstm.losses import LOSS_NAMES, Loss
from bptt_check.lstm.params import signed
from bptt_check.lstm.variants import V
from bptt_check.recurrence import Recurrence
from bptt_check.subject import Array, Point, Subject, Tap

TapOne = Callable[[str, Array], Array]


class Cell(Protocol):
    """What :meth:`bptt_check.Subject.from_cell` takes.

    ``state``: names of the carried arrays, each (B, H), such as ``("h", "s")``; the first is the output the loss sees.

    A smallest one, h(t) = w ⊙ x(t) + h(t−1):

    >>> class Sum:
    ...     state = ("h",)
    ...     def parameters(self, D, H):
    ...         return {"w": (H,)}
    ...     def forward(self, p, x, prev, tap):
    ...         a = tap("a", p["w"] * x)
    ...         return {"h": a + prev["h"]}, x
    ...     def backward(self, p, cache, d):
    ...         x, da = cache, d["h"]
    ...         return {"w": (da * x).sum(axis=0)}, p["w"] * da, {"h": d["h"]}, {"a": da}
    >>> from bptt_check import Subject, check
    >>> check(Subject.from_cell(Sum, T=3, B=2, D=2, H=2)).verdict.value
    'AGREES'
    """

    state: tuple[str, ...]

    def parameters(self, D: int, H: int) -> Mapping[str, tuple[int, ...]]:
        """Name and shape of every weight."""

    def forward(
        self, p: Mapping[str, Array], x: Array, prev: Mapping[str, Array], tap: TapOne
    ) -> tuple[Mapping[str, Array], Any]:
        """One step. p {name: array}, x (B, D), prev {state: (B, H)} → ({state: (B, H)}, cache).

        ``i = tap("i", i)`` names an intermediate and hands it back, perhaps nudged.
        """

    def backward(self, p: Mapping[str, Array], cache: Any, d: Mapping[str, Array]) -> tuple[Any, ...]:
        """One step back. d {state: dL/d(next state)} → ({name: dL/dp of this step}, dx, {state: dL/d(prev state)}).

        A fourth item may give the derivatives of tapped intermediates, {intermediate: derivative}. ``None`` in the
        place of dx, or a name left out of the first, means not returned.
        """


def subject_of_cell(
    cell: Any,
    *,
    T: int,
    B: int,
    D: int,
    H: int,
    loss: str | Loss,
    rng: int | np.random.Generator,
    name: str | None = None,
    replaced: Point | None = None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_cell`."""
    checked_shape(T=T, B=B, D=D, H=H)
    cell = cell() if isinstance(cell, type) else cell
    state = _states_of(cell)
    seed = rng if isinstance(rng, (int, np.integer)) else None
    rng = np.random.default_rng(rng)
    label = name or type(cell).__name__
    parameters = {k: tuple(shape) for k, shape in cell.parameters(D, H).items()}
    drawn = {k: signed(rng, shape) for k, shape in parameters.items()}
    initial = [f"{k}0" for k in state]
    clash = sorted(set(parameters) & {"x", *initial})
    if clash:
        raise SubjectError(
            f"{label} names a parameter {', '.join(clash)}; the harness uses that name for its own array"
        )
    drawn |= {"x": rng.normal(size=(T, B, D)), **{k: signed(rng, (B, H)) for k in initial}}
    point = replace_arrays(drawn, replaced)
    loss = chosen_loss(loss, T=T, B=B, rng=rng)
    y = loss.targets(rng, (T, B, H)).astype(np.result_type(*point.values()))
    unrolled = _Unrolled(cell, label, state, tuple(parameters), loss, y)
    interventions, distance = unrolled.probe(point)

    def again(*, T: int, B: int, D: int, H: int, rng: int | np.random.Generator) -> Subject:
        return subject_of_cell(cell, T=T, B=B, D=D, H=H, loss=loss.name, rng=rng, name=name)

    case = {"cell": label, "loss": loss.name, "T": T, "B": B, "D": D, "H": H}
    family, blocks = equations_of(V), (*point, *interventions)
    equations = {k: family[k.removeprefix("next ")] for k in blocks if k.removeprefix("next ") in family}
    return Subject(
        name=f"{label}, {loss.name} loss",
        point=point,
        loss_at=lambda p: unrolled.forward(p)[0],
        gradient_at=lambda p: unrolled.backward(unrolled.forward(p)[1]),
        interventions=interventions,
        pair=(unrolled.forward, unrolled.backward),
        equations=equations,
        case=case if seed is None else {**case, "seed": int(seed)},
        kink_distance=distance,
        tapped=lambda p, tap: unrolled.forward(p, tap)[0],
        behind=_behind(blocks, equations),
        recurrence=Recurrence(unrolled.outputs, unrolled.cotangents, tapped=unrolled.tapped),
        again=again if loss.name in LOSS_NAMES else None,
        by_step=lambda p: unrolled.by_step(unrolled.forward(p)[1]),
    )


def _states_of(cell: Any) -> tuple[str, ...]:
    for attribute in ("state", "parameters", "forward", "backward"):
        if not hasattr(cell, attribute):
            raise SubjectError(
                f"{type(cell).__name__} has no {attribute}; a cell needs state, parameters, forward, backward"
            )
    state = cell.state
    if isinstance(state, str) or not state or not all(isinstance(name, str) for name in state):
        raise SubjectError(f"state must be a tuple of names such as ('h', 's'); it is {state!r}")
    return tuple(state)


class _Unrolled:
    """A cell over a sequence: forward(point) -> (loss, tape), backward(tape) -> gradients. Keeps nothing between calls.

    ``tap`` gets every intermediate that the cell taps, and each state as ``"next □"``, with its step; where it is not
    given, an intermediate is moved by the point's array ``"□(t)"``, if there is one.
    """

    def __init__(
        self, cell: Any, label: str, state: tuple[str, ...], parameters: tuple[str, ...], loss: Loss, y: Array
    ) -> None:
        self.cell, self.label, self.state, self.parameters, self.loss, self.y = cell, label, state, parameters, loss, y

    def probe(self, point: Point) -> tuple[dict[str, Array], float | None]:
        """Interventions on all intermediates whose derivative the cell returns, and how near a kink of the loss is.

        A cell that raises has none here; the check that follows will run into the same exception and report it.
        """
        try:
            with np.errstate(all="ignore"):
                _, tape = self.forward(point)
                names = self.backward(tape)
        except SubjectError:
            raise
        except Exception:
            return {}, None
        shapes, kind = tape["shapes"], np.result_type(*point.values())
        zeros = {k: np.zeros(shapes[k], kind) for k in names if k not in point and k in shapes}
        return zeros, self.loss.kink_distance(tape["h"], self.y)

    def forward(self, p: Point, tap: Tap | None = None) -> tuple[Any, dict[str, Any]]:
        T = len(p["x"])
        tap = tap or _nudging(p)
        weights = {k: p[k] for k in self.parameters}
        prev: dict[str, Array] = {k: p[f"{k}0"] for k in self.state}
        of_one_step: dict[str, tuple[int, ...]] = {}
        caches, outputs = [], []
        for t in range(1, T + 1):
            one, tapped = self._tap(tap, t)
            after, cache = self._pair(self.cell.forward(weights, p["x"][t - 1], dict(prev), one))
            for k in self.state:
                if k not in after or _shape(after[k]) != prev[k].shape:
                    got = f"shape {np.shape(after[k])}" if k in after else "nothing"
                    raise SubjectError(
                        f"{self.label}.forward must return state {k} of shape {prev[k].shape}; it returned {got}"
                    )
            prev = {k: tap(f"next {k}", t, np.array(after[k])) for k in self.state}
            of_one_step |= tapped
            caches.append(cache)
            outputs.append(prev[self.state[0]])
        of_one_step |= {f"next {k}": np.shape(prev[k]) for k in self.state}
        shapes = {f"{k}(t)": (T, *shape) for k, shape in of_one_step.items()}
        h = np.array(outputs)
        tape = {"weights": weights, "caches": caches, "h": h, "x": p["x"], "shapes": shapes}
        return self.loss.value(h, self.y)[()], tape

    def outputs(self, p: Point) -> dict[str, Array]:
        """The first state over all steps, (T, B, H), by its name."""
        return {self.state[0]: self.forward(p)[1]["h"]}

    def cotangents(self, outputs: Mapping[str, Array]) -> dict[str, Array]:
        """∂L/∂ of the first state at each step, (T, B, H), by its name."""
        return {self.state[0]: self.loss.derivative(outputs[self.state[0]], self.y)}

    def tapped(self, p: Point) -> dict[str, Array]:
        """Every intermediate, by "name(t)", and each state as "next □(t)", over all steps that have it."""
        seen: dict[str, list[Array]] = {}
        nudge = _nudging(p)

        def keep(name: str, t: int, value: Array) -> Array:
            moved = nudge(name, t, value)
            seen.setdefault(f"{name}(t)", []).append(np.array(moved))
            return moved

        self.forward(p, keep)
        return {name: np.stack(values) for name, values in seen.items() if len(values) == len(p["x"])}

    def by_step(self, tape: dict[str, Any]) -> dict[str, Array]:
        """What each step returns for each weight, (T, …)."""
        added: dict[str, list[Array]] = {}
        self.backward(tape, added)
        T = len(tape["caches"])
        return {k: np.stack(values[::-1]) for k, values in added.items() if len(values) == T}

    def backward(self, tape: dict[str, Any], added: dict[str, list[Array]] | None = None) -> dict[str, Array]:
        """Gradients by name; ``added`` collects what each step returns for each weight, the last step first."""
        slope = self.loss.derivative(tape["h"], self.y)
        T = len(slope)
        carried: dict[str, Array] = {k: np.zeros_like(slope[0]) for k in self.state}
        dp: dict[str, Array] = {}
        arriving = {k: f"next {k}(t)" for k in self.state}
        steps: dict[str, list[Array]] = {"x": [], **{name: [] for name in arriving.values()}}
        over_time = {name.removesuffix("(t)"): name for name in tape["shapes"]}
        for t in range(T, 0, -1):
            d = {k: carried[k] + slope[t - 1] if k == self.state[0] else carried[k] for k in self.state}
            returned = self.cell.backward(
                tape["weights"], tape["caches"][t - 1], {k: np.array(v) for k, v in d.items()}
            )
            if not isinstance(returned, tuple) or len(returned) not in (3, 4):
                raise SubjectError(
                    f"{self.label}.backward must return (dp, dx, dprev), or a fourth item with intermediates"
                )
            dp_t, dx, dprev, *taps = returned
            for k, value in dp_t.items():
                if value is not None:
                    self._same_shape(k, value, tape["weights"].get(k))
                    dp[k] = dp[k] + np.asarray(value) if k in dp else np.array(value)
                    if added is not None:
                        added.setdefault(k, []).append(np.array(value))
            missing = [k for k in self.state if k not in dprev]
            if missing:
                raise SubjectError(
                    f"{self.label}.backward returns no derivative of the previous {missing[0]}; it is what is carried"
                )
            for k in self.state:
                self._same_shape(k, dprev[k], d[k])
            carried = {k: np.array(dprev[k]) for k in self.state}
            if dx is not None:
                steps["x"].append(np.array(dx))
            for k, name in arriving.items():
                steps[name].append(d[k])
            for k, value in (taps[0] if taps else {}).items():
                if k not in over_time:
                    raise SubjectError(f"{self.label}.backward returns a derivative of {k}, which forward never tapped")
                steps.setdefault(over_time[k], []).append(np.array(value))
        gradients = {**dp, **{f"{k}0": carried[k] for k in self.state}}
        gradients |= {k: np.array(values[::-1]) for k, values in steps.items() if len(values) == T}
        return gradients

    def _same_shape(self, name: str, value: Any, like: Any) -> None:
        if like is None:
            raise SubjectError(f"{self.label}.backward returns a gradient of {name}, which parameters does not name")
        if _shape(value) != _shape(like):
            raise SubjectError(
                f"{self.label}.backward: the gradient of {name} has shape {np.shape(value)}, not {np.shape(like)}"
            )

    def _pair(self, returned: Any) -> tuple[Mapping[str, Array], Any]:
        if not isinstance(returned, tuple) or len(returned) != 2 or not isinstance(returned[0], Mapping):
            raise SubjectError(f"{self.label}.forward must return ({{state: array}}, cache)")
        return returned[0], returned[1]

    def _tap(self, tap: Tap, t: int) -> tuple[TapOne, dict[str, tuple[int, ...]]]:
        tapped: dict[str, tuple[int, ...]] = {}

        def one(name: str, value: Array) -> Array:
            if name in tapped:
                raise SubjectError(f"{self.label}.forward taps {name} twice in one step; give each its own name")
            tapped[name] = _shape(value)
            return tap(name, t, value)

        return one, tapped


def _shape(value: Any) -> tuple[int, ...]:
    return value.shape if isinstance(value, np.ndarray) else np.shape(value)


def _nudging(p: Point) -> Tap:
    nudges = {name.removesuffix("(t)"): array for name, array in p.items() if name.endswith("(t)")}

    def tap(name: str, t: int, value: Array) -> Array:
        return np.asarray(value + nudges[name][t - 1]) if name in nudges else value

    return tap


def _behind(blocks: Iterable[str], equations: Mapping[str, str]) -> dict[str, Behind]:
    """The equations behind each line: what arrives at a state is what the step after hands back, and nothing else."""
    handed_back = {"B1": "B7", "B2": "B8"}
    behind = {}
    for name in blocks:
        equation = equations.get(name, "")
        if name.startswith("next ") and equation in handed_back:
            behind[name] = Behind((), (handed_back[equation],))
        elif name in ("h0", "s0") and equation:
            behind[name] = Behind((equation,), ("B7" if name == "h0" else "B8",))
        elif equation:
            behind[name] = Behind((equation,))
    return behind
