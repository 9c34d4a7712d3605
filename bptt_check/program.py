"""The backward pass of a cell as a list of lines of text, so that one of them can be replaced by a mistake and run.

Every line is what people write: ``df = s[t-1] * ds``. The lines of a cell are those of lstm/backward.py, unrolled gate
by gate; without a change they give the same gradients. With one changed they give what somebody gets who makes that
mistake (faults.py).

Three kinds of line: of a *step*, evaluated for t = T … 1 in order; of a *sum*, whose values are added up over all
steps; of the *end*, evaluated once after t = 1. A line reads whatever was computed before it; ``dh_next`` and its like
are what step t+1 left, and ``dz_k_later`` is dz_k of step t+1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any, Protocol

import numpy as np

from bptt_check.lstm.activations import logistic
from bptt_check.lstm.forward import Trace
from bptt_check.lstm.variants import Gate, Variant

Array = np.ndarray[Any, Any]
STEP, SUM, END = "step", "sum", "end"
LARGE = 4096  # entries of the largest array, which make a line cost about twice what the smallest costs
TOOLS = {"tanh": np.tanh, "logistic": logistic, "clip": np.clip, "hstack": np.hstack}


@dataclass(frozen=True)
class Line:
    """``target = code``, or ``target += code`` for a sum; ``equation`` is its id in docs/equations.md."""

    target: str
    code: str
    equation: str
    kind: str = STEP

    def __str__(self) -> str:
        return f"{self.target} {'+=' if self.kind == SUM else '='} {self.code}"


@cache
def lines_of(cell: Variant) -> tuple[Line, ...]:
    """The backward pass of a cell of the family, line by line."""
    learned, output = cell.gates, "s[t]" if cell.output_activation == "identity" else "tanh(s[t])"
    slope = "" if cell.output_activation == "identity" else "(1 - tanh(s[t])**2) * "
    later = "{} + d{}_next" if cell.gate_recurrence else "{}"
    memory = cell.feedback == "s"
    into = f"{'o[t] * ' if 'o' in learned else ''}{slope}dh + ds_next"
    gate_o = [Line("do", later.format(f"{output} * dh", "o"), "B3")] * ("o" in learned)
    slope_o = [Line("dz_o", "o[t] * (1 - o[t]) * do", "B4")] * ("o" in learned)
    peephole = "o" in cell.peepholed  # then o is passed before s, else with the other gates
    steps = [Line("dh", "dl[t]" if memory else "dl[t] + dh_next", "B1")]
    steps += gate_o + slope_o if peephole else []
    steps.append(Line("ds", into + " + p_o * dz_o" * peephole, "B2"))
    steps += [] if peephole else gate_o
    if cell.forget_gate is not Gate.OPEN:
        steps.append(Line("df", later.format("s[t-1] * ds", "f"), "B3"))
    if "i" in learned:
        minus = " - df" if cell.forget_gate is Gate.COUPLED else ""
        steps.append(Line("di", later.format("g[t] * ds", "i") + minus, "B3c" if minus else "B3"))
    steps.append(Line("dg", "i[t] * ds" if "i" in learned else "ds", "B3"))
    steps += [Line(f"dz_{k}", f"{k}[t] * (1 - {k}[t]) * d{k}", "B4") for k in ("f", "i") if k in learned]
    steps.append(Line("dz_g", "dg" if cell.input_activation == "identity" else "(1 - g[t]**2) * dg", "B4"))
    steps += [] if peephole else slope_o

    def back(j: str) -> str:
        return " + ".join(f"dz_{k} @ W_{k}{j}" for k in cell.blocks if j in cell.sees(k))

    carousel = "ds" if cell.forget_gate is Gate.OPEN else "ds * f[t]"
    carousel += "".join(f" + p_{k} * dz_{k}" for k in cell.peepholed if k != "o")
    steps.append(Line("dx", back("x"), "B7"))
    if memory:
        carousel = f"{carousel} + {back('s')}"
    else:
        steps.append(Line("dh_next", back("h"), "B7"))
    steps.append(Line("ds_next", carousel, "B8"))
    recurrent = ("i", "f", "o") if cell.gate_recurrence else ()
    steps += [Line(f"d{j}_next", back(j), "B7r") for j in recurrent]
    seen = {"x": "x[t]", **{j: f"{j}[t-1]" for j in "hsifo"}}
    sums = []
    for k in cell.blocks:
        sums += [Line(f"dW_{k}{j}", f"dz_{k}.T @ {seen[j]}", "B5", SUM) for j in cell.sees(k)]
        sums.append(Line(f"db_{k}", f"dz_{k}.sum(axis=0)", "B6", SUM))
        if k in cell.peepholed:
            sums.append(Line(f"dp_{k}", f"(dz_{k} * s[{'t' if k == 'o' else 't-1'}]).sum(axis=0)", "B5p", SUM))
    ends = [Line("dh0", "0 * dh" if memory else "dh_next", "B9", END), Line("ds0", "ds_next", "B9", END)]
    return (*steps, *sums, *ends, *(Line(f"d{k}0", f"d{k}_next", "B9", END) for k in recurrent))


class Runnable(Protocol):
    """Lines, of one backward pass or of several behind each other, that can be run with some of them changed."""

    T: int
    lines: tuple[Line, ...]

    @property
    def evaluated(self) -> float:
        """How many lines have been evaluated so far, at one step each; one of large arrays counts for several."""

    @property
    def right(self) -> dict[str, Array]:
        """What they give as they are."""

    def run(self, changes: Mapping[str, str]) -> dict[str, Array]:
        """The same with some changed."""

    def late(self, changes: Mapping[str, str], steps: int) -> dict[str, Array]:
        """The last ``steps`` of what the lines of a step give."""

    def contributions(self) -> dict[str, Array]:
        """What each step adds to each sum."""


class Lines:
    """Lines of text ready to run, with some of them changed.

    Parameters
    ----------
    lines: in the order in which they are evaluated.
    start: everything that they read, by name: arrays, and lists over time with T+1 slots.
    T: number of steps.
    joining: what comes to a carry at each step besides, (T, …).
    later: names whose value at step t+1 a line may read as ``name_later``.
    held: for targets of a step, (T, …) each, values that take the place of what the line computes once it is computed,
        ``held["ds"][t-1]`` at step t. Each line is then judged by what it was given, and two mistakes do not hide each
        other.
    """

    def __init__(
        self,
        lines: tuple[Line, ...],
        start: Mapping[str, Any],
        T: int,
        *,
        joining: Mapping[str, Array] | None = None,
        later: Iterable[str] = (),
        held: Mapping[str, Array] | None = None,
    ) -> None:
        self.lines, self.T, self.start = lines, T, {**TOOLS, "T": T, **start}
        self.joining, self.later, self.held = dict(joining or {}), tuple(later), dict(held or {})
        self._after: list[dict[str, Any]] | None = None
        self._right: dict[str, Array] | None = None
        self.evaluated = 0.0
        self._each = 1 + max((np.size(a) for a in start.values() if isinstance(a, np.ndarray)), default=0) / LARGE

    @property
    def right(self) -> dict[str, Array]:
        """What the lines give as they are; each step's target (T, B, …), each sum and end in its own shape."""
        if self._right is None:
            self._right, self._after = self._stepped({})
            self._right |= self._summed({}, self._after)
        return self._right

    def run(self, changes: Mapping[str, str], given: Mapping[str, Any] | None = None) -> dict[str, Array]:
        """The same with some lines changed: {target: code}. Raises what the code raises.

        ``given``: names that the lines read, with other values than from the start.
        """
        right = self.right
        if not given and not any(line.target in changes for line in self.lines if line.kind == STEP):
            assert self._after is not None
            return {**right, **self._summed(changes, self._after, only=frozenset(changes))}
        values, after = self._stepped(changes, given=given)
        return values | self._summed(changes, after)

    def late(self, changes: Mapping[str, str], steps: int) -> dict[str, Array]:
        """What the lines of a step give with some changed, for the last ``steps`` of T alone: all that they need."""
        return self._stepped(changes, self.T - steps)[0]

    def contributions(self) -> dict[str, Array]:
        """What each step adds to each sum, (T, …) each, as the lines are."""
        assert self.right
        assert self._after is not None
        sums = [line for line in self.lines if line.kind == SUM]
        return {x.target: np.array([eval(_compiled(x.code), env) for env in self._after]) for x in sums}

    def _stepped(
        self, changes: Mapping[str, str], down_to: int = 0, given: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Array], list[dict[str, Any]]]:
        lines = [
            (x.target, _compiled(changes.get(x.target, x.code)), self.held.get(x.target))
            for x in self.lines
            if x.kind == STEP
        ]
        env, after = {**self.start, **(given or {})}, []
        self.evaluated += len(lines) * (self.T - down_to) * self._each
        found: dict[str, list[Array]] = {target: [] for target, _, _ in lines}
        for t in range(self.T, down_to, -1):
            env["t"] = t
            for carry, array in self.joining.items():
                env[carry] = env[carry] + array[t - 1]
            for target, code, held in lines:
                value = eval(code, env)
                found[target].append(value)
                env[target] = value if held is None else held[t - 1]
            after.append(dict(env))
            for name in self.later:
                env[f"{name}_later"] = env[name]
        return {target: np.array(values[::-1]) for target, values in found.items()}, after[::-1]

    def _summed(
        self, changes: Mapping[str, str], after: list[dict[str, Any]], *, only: frozenset[str] = frozenset()
    ) -> dict[str, Array]:
        found: dict[str, Array] = {}
        for line in self.lines:
            if line.kind == STEP or (only and line.target not in only):
                continue
            code = _compiled(changes.get(line.target, line.code))
            over = reversed(after) if line.kind == SUM else after[:1]
            values = [eval(code, env) for env in over]
            self.evaluated += len(values) * self._each
            found[line.target] = np.asarray(sum(values[1:], values[0]))
        return found


class Program(Lines):
    """The lines of a cell of the family at one forward pass.

    Parameters
    ----------
    trace: the forward pass, in the precision to work in.
    dl, dl_ds: ∂l(t)/∂h(t), and where the loss sees the memory too, ∂l(t)/∂s(t); each (T, B, H).
    dl_again: what reaches h(t) besides, because it is handed out twice; it joins the carry, as h of the last step does.
    held: see :class:`Lines`.
    """

    def __init__(
        self,
        trace: Trace,
        dl: Array,
        *,
        dl_ds: Array | None = None,
        dl_again: Array | None = None,
        held: Mapping[str, Array] | None = None,
    ) -> None:
        arriving = {"ds_next": dl_ds, "dh_next": dl_again}
        joining = {carry: array for carry, array in arriving.items() if array is not None and array.any()}
        if trace.variant.feedback == "s" and "dh_next" in joining:  # no line reads that carry
            dl = dl + joining.pop("dh_next")
        slot = np.zeros_like(dl[0])
        start: dict[str, Any] = {
            **{name: np.asarray(weight) for name, weight in trace.weights.items()},
            **{k: getattr(trace, k) for k in ("x", "h", "s", "g", "i", "f", "o")},
            **{f"z_{k}": z for k, z in trace.z.items()},
            "B": dl.shape[1],
            "D": trace.x[1].shape[-1],
            "H": dl.shape[2],
            "dl": [slot, *dl],
            **dict.fromkeys(("dh_next", "di_next", "df_next", "do_next", "ds_next"), slot),
            **{f"dz_{k}_later": slot for k in trace.variant.blocks},
        }
        later = [f"dz_{k}" for k in trace.variant.blocks]
        super().__init__(lines_of(trace.variant), start, trace.T, joining=joining, later=later, held=held)


@cache
def _compiled(code: str) -> CodeType:
    return compile(code, f"<{code}>", "eval")
