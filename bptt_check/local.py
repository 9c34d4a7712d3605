"""Every backward equation on its own: its line against the numerical derivative of the forward line that it mirrors.

A gradient that is wrong at one place is wrong everywhere below it. To ask of each line alone whether it is right, hold
every intermediate at the value it has, and take the derivatives of all others as given. With v running over all
intermediates, F_v being the forward line that computes v, and dv the derivative that the backward pass gives for it,

    Λ = L(held intermediates) + Σ_v ⟨dv, F_v(held intermediates, weights, x, initial states)⟩

has, as its derivative with respect to any one intermediate, weight, input or initial state, exactly what the backward
line of that one should give if the dv that it reads are right: the dv are the multipliers of a constrained optimum
(LeCun 1988, *A theoretical framework for back-propagation*). So two mistakes at once are told apart: each shows at its
own line and nowhere else.

Nothing here knows an LSTM until :func:`lines_of`: any forward pass that hands its intermediates through a tap will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check.differences import ComplexStep, Method
from bptt_check.differences.evaluate import partials
from bptt_check.differences.jointly import all_partials
from bptt_check.equations import Behind as Behind
from bptt_check.equations import behind_each
from bptt_check.lstm.backward import backward as derived_backward
from bptt_check.lstm.problem import Backward, Problem
from bptt_check.results import Block, Verdict

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
Tap = Callable[[str, int, Array], Array]
Tapped = Callable[[Point, Tap], Any]  # the loss at a point, every intermediate handed through tap(name, t, value)
BLOCK_ULPS, LEVEL_ULPS = 512, 64  # what rounding may do to a line: ulps of its largest entry, and of what it reads


@dataclass(frozen=True)
class Line:
    """One backward line at one time step, everything that it reads taken as given.

    ``name`` is the block: ``"f(t)"``, ``"x"``, ``"W_fh"``, ``"h0"``; ``t`` its step, 0 for an initial state, ``None``
    for a weight, which is a sum over all steps. ``equations`` are those that the line stands for, where it is wrong the
    likeliest first. ``error`` and ``resolution`` are relative to the largest entry of the line, or, where all are zero,
    to what it reads; ``ratio`` is in units of what rounding allows.
    """

    name: str
    t: int | None
    equations: tuple[str, ...]
    compared: int
    error: float
    ratio: float
    resolution: float

    @property
    def wrong(self) -> bool:
        """Whether the line is off by more than rounding allows."""
        return not self.ratio <= 1

    def __str__(self) -> str:
        where = "" if self.t is None else f" at t = {self.t}"
        return f"{self.name}{where}: {', '.join(self.equations) or 'no equation of ours'}, off by {self.error:.2g}"


class HeldForward:
    """Λ as a function of named arrays: a forward pass cut at each of its taps."""

    def __init__(self, tapped: Tapped, point: Point, derivatives: Point) -> None:
        self.tapped, self.derivatives = tapped, derivatives
        self.values: dict[tuple[str, int], Array] = {}
        tapped(point, self._record)
        self.order = tuple(dict.fromkeys(name for name, _ in self.values))
        self.T = max((t for _, t in self.values), default=0)
        self.zeros = {
            f"{name}(t)": np.zeros_like(derivatives[f"{name}(t)"]) for name in self.order if self._is_held(name)
        }

    def __call__(self, point: Point) -> Array:
        """Λ at ``point``, which holds a nudge ``"□(t)"`` for each intermediate that is held; leading axes stay."""
        products: list[Array] = []

        def tap(name: str, t: int, value: Array) -> Array:
            if not self._is_held(name):
                return value
            dv = self.derivatives[f"{name}(t)"][t - 1]
            products.append(np.asarray((dv * value).sum(axis=tuple(range(-dv.ndim, 0)))))
            nudge = np.take(point[f"{name}(t)"], t - 1, axis=-1 - dv.ndim)
            return np.asarray(self.values[name, t] + nudge)

        loss = self.tapped(point, tap)
        return np.asarray(sum(products, np.asarray(loss)))

    def is_initial(self, name: str) -> bool:
        """Whether an array of the point is a state of step 0."""
        return name.endswith("0") and not {name[:-1], f"next {name[:-1]}"}.isdisjoint(self.order)

    def levels(self, point: Point) -> dict[int, float]:
        """For each step, the size of the terms that its lines add up: derivatives read, times what multiplies them."""
        values = [*point.values(), *self.values.values()]
        factor = max(1.0, *(float(np.abs(value).max(initial=0)) for value in values))
        largest = dict.fromkeys(range(self.T + 2), 0.0)
        for name in self.zeros:
            for t in range(1, self.T + 1):
                largest[t] = max(largest[t], float(np.abs(self.derivatives[name][t - 1]).max(initial=0)))
        return {t: factor * max(largest[t], largest[t + 1]) for t in range(self.T + 1)}

    def _is_held(self, name: str) -> bool:
        return f"{name}(t)" in self.derivatives

    def _record(self, name: str, t: int, value: Array) -> Array:
        self.values[name, t] = np.array(value)
        return value


def lines(
    tapped: Tapped,
    point: Point,
    derivatives: Point,
    *,
    equations: Mapping[str, Behind],
    method: Method | None = None,
    stacked: bool = False,
) -> tuple[Line, ...]:
    """Compare each line of a backward pass on its own.

    Parameters
    ----------
    tapped: tapped(point, tap) -> loss; it calls ``value = tap(name, t, value)`` for every intermediate, t = 1 … T.
    point: weights, ``"x"`` and initial states (named ``"□0"``) by name.
    derivatives: what the backward pass returned at ``point``, by the same names and ``"□(t)"``, steps first. An
        intermediate that has none is not held: the lines around it are then compared as one.
    equations: the equations behind each block; none for a block that is not named.
    method: the numerical derivative, by default the complex step.
    stacked: ``tapped`` carries leading axes.

    Returns
    -------
    tuple of Line
        in backward order: step T down to 1, within a step the reverse of the forward pass, then the sums over steps.
    """
    held = HeldForward(tapped, point, derivatives)
    everything = {**point, **held.zeros}
    local = _local(method or ComplexStep(), held, everything, [k for k in everything if k in derivatives], stacked)
    levels = held.levels(point)
    found = []

    def compare(name: str, t: int | None, level: float) -> None:
        step = ... if t in (None, 0) else t - 1
        behind = equations.get(name, Behind(()))
        found.append(
            _line(name, t, behind.at(t, held.T), np.asarray(derivatives[name])[step], local[name][step], level)
        )

    for t in range(held.T, 0, -1):
        for name in (*(f"{k}(t)" for k in reversed(held.order)), "x"):
            if name in local:
                compare(name, t, levels[t])
    for name in local:
        if name in point and name != "x":
            compare(name, *((0, levels[0]) if held.is_initial(name) else (None, sum(levels.values()))))
    return tuple(_named_by_their_ends(found, equations, held.T))


def first_wrong(found: Sequence[Line]) -> Line | None:
    """The first line in backward order that is wrong, if any."""
    return next((line for line in found if line.wrong), None)


def wrong_equations(found: Sequence[Line]) -> tuple[str, ...]:
    """The equations of all wrong lines, most likely of each, in backward order, each once."""
    return tuple(dict.fromkeys(line.equations[0] for line in found if line.wrong and line.equations))


def lines_of(problem: Problem, *, backward: Backward = derived_backward) -> tuple[Line, ...]:
    """The lines of a cell of the family at one problem; ``backward`` may be any function of the signature of ours."""
    derivatives = problem.derivatives(problem.gradients(backward=backward))

    def tapped(point: Point, tap: Tap) -> Array:
        at = problem.at(point)
        return at.value(at.trace(tap=tap))

    return lines(tapped, problem.point, derivatives, equations=equations_of(problem), stacked=True)


def equations_of(problem: Problem) -> dict[str, Behind]:
    """Which equations stand behind each block of a cell of the family, its variant's lines included."""
    return behind_each(problem.variant, problem.weights)


def blocks(found: Sequence[Line]) -> dict[str, Block]:
    """One block for each equation: how many entries of its lines were compared, and how closely."""
    named = {}
    for equation in dict.fromkeys(name for line in found for name in line.equations):
        of = [line for line in found if equation in line.equations]
        worst = max(line.ratio for line in of)
        named[equation] = Block(
            name=f"{equation}, locally",
            verdict=Verdict.AGREES if worst <= 1 else Verdict.DISAGREES,
            shape=(sum(line.compared for line in of),),
            equation=equation,
            compared=sum(line.compared for line in of),
            max_relative_error=max(line.error for line in of),
            tolerance_ratio=worst,
            resolution=max(line.resolution for line in of),
        )
    return named


def _local(method: Method, held: HeldForward, point: Point, names: Sequence[str], stacked: bool) -> dict[str, Array]:
    if stacked:
        estimates = all_partials(method, held, point, names, scale=1.0)
    else:
        estimates = {name: partials(method, held, point, name, scale=1.0) for name in names}
    return {name: estimate.value.reshape(np.shape(point[name])) for name, estimate in estimates.items()}


def of_block(method: Method, held: HeldForward, point: Point, name: str) -> Array:
    """What the line of one block should hold, everything that it reads taken as given; in the block's shape."""
    return np.asarray(partials(method, held, point, name, scale=1.0).value).reshape(np.shape(point[name]))


def _line(name: str, t: int | None, equations: tuple[str, ...], analytic: Array, local: Array, level: float) -> Line:
    eps = max(float(np.finfo(side.dtype).eps) for side in (analytic, local))
    largest = float(np.abs(local).max(initial=0))
    off = float(np.abs(analytic - local).max(initial=0))
    tolerance = eps * (BLOCK_ULPS * largest + LEVEL_ULPS * level)
    scale = largest or level or 1.0
    ratio = off / tolerance if tolerance else (np.inf if off else 0.0)
    return Line(name, t, equations, local.size, off / scale, ratio, tolerance / scale)


def _named_by_their_ends(found: Sequence[Line], equations: Mapping[str, Behind], T: int) -> list[Line]:
    """dh(t) adds what the loss gives (B1) and what step t+1 hands back (B7); its two ends show which of them is wrong.

    At t = T nothing is handed back, and to h(0) the loss gives nothing. The same holds for ds(t), with B2 and B8.
    """
    wrong = {(line.name, line.t) for line in found if line.wrong}
    named = []
    for line in found:
        behind, state = equations.get(line.name, Behind(())), line.name.removesuffix("(t)")
        if line.wrong and behind.carried and line.t not in (0, T):
            carry_only = (line.name, T) not in wrong and (f"{state}0", 0) in wrong
            first, second = (behind.carried, behind.own) if carry_only else (behind.own, behind.carried)
            line = replace(line, equations=(*first, *second))
        elif line.wrong and line.t == 0 and T > 1:
            handed_on_right = not any((f"{state[:-1]}(t)", t) in wrong for t in range(1, T))
            first, second = (behind.own, behind.carried) if handed_on_right else (behind.carried, behind.own)
            line = replace(line, equations=(*first, *second))
        named.append(line)
    return named
