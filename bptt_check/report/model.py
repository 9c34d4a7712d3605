"""What a report says, as plain frozen records: the renderers print these and decide nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bptt_check.report.record import Record
from bptt_check.results import Verdict


@dataclass(frozen=True)
class Line:
    """What was found for one gradient, or for one equation, over all cases.

    ``cases`` counts the cases in which entries of it were compared, ``entries`` those entries; ``resolution`` is the
    coarsest of all cases; ``worst_case`` names the case of ``worst_error``. ``related`` lists the equations of a
    gradient, or the gradients that an equation was tested by.
    """

    name: str
    verdict: Verdict
    cases: int
    entries: int
    worst_error: float | None
    worst_ratio: float | None
    resolution: float | None
    worst_case: str
    verdicts: Mapping[str, int]
    related: tuple[str, ...]


@dataclass(frozen=True)
class LookedAt:
    """One way in which the run looked at an entry of the ledger, and what it found; fields as in ``Line``."""

    name: str
    cases: int
    entries: int
    worst_error: float | None
    worst_ratio: float | None
    resolution: float | None
    worst_case: str


@dataclass(frozen=True)
class LedgerLine:
    """One equation or law: what it says, where it stands in the code, what checks it, what the run found.

    ``group`` is the part of the ledger that it belongs to, ``mirrors`` lists the forward lines that it differentiates.
    ``verdict`` is also NOT_COMPARED, or, for what is kept because it is no equation, DIFFERS.
    """

    id: str
    group: str
    title: str
    formula: str
    source: str
    mirrors: tuple[str, ...]
    places: tuple[str, ...]
    properties: tuple[str, ...]
    verdict: str
    cases: int
    entries: int
    ways: tuple[LookedAt, ...]


@dataclass(frozen=True)
class Grid:
    """A table of numbers by two names; ``None`` where the two never met."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]


@dataclass(frozen=True)
class Region:
    """How many cases fell into one region of the case space."""

    name: str
    cases: int


@dataclass(frozen=True)
class Spread:
    """The errors of one gradient over all cases, by fifths of a decade.

    A pair (k, n) of ``bins`` says that n errors lie from 10^(k/5) up to 10^((k+1)/5). Errors that are exactly zero
    and errors that are not finite are counted apart.
    """

    name: str
    verdict: Verdict
    worst: float | None
    resolution: float | None
    exact: int
    not_finite: int
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class StepErrors:
    """The worst error of one intermediate derivative at each time step t = 1, 2, …, and in how many cases."""

    name: str
    errors: tuple[float | None, ...]
    cases: tuple[int, ...]


@dataclass(frozen=True)
class Norms:
    """Euclidean norms of one intermediate derivative at each step t = 1, 2, …: as derived by hand, and numerically.

    ``factor`` is the mean factor from one step to the one before it: below 1 the derivative vanishes, above it grows.
    """

    name: str
    analytic: tuple[float | None, ...]
    reference: tuple[float | None, ...]
    factor: float | None


@dataclass(frozen=True)
class CaseNorms:
    """The norms over time in one case."""

    case: str
    verdict: Verdict
    norms: tuple[Norms, ...]


@dataclass(frozen=True)
class FindingCount:
    """One kind of finding: how often, in how many cases, and an example."""

    kind: str
    fault: bool
    count: int
    cases: int
    example: str
    example_case: str


@dataclass(frozen=True)
class Wrong:
    """One block of a case that does not agree, with its worst entry."""

    gradient: str
    verdict: Verdict
    equation: str
    index: tuple[int, ...] | None
    analytic: float | None
    reference: float | None
    error: float | None
    resolution: float | None
    note: str


@dataclass(frozen=True)
class Cause:
    """What a disagreement looks like, as far as it is known.

    ``exact`` says that the explanation accounts for the whole of it, ``residual`` what is left unexplained, relative to
    it; ``code`` are the lines that would give this gradient, ``why`` how people come to write them, ``remedy`` is what
    belongs there, ``also`` what would look the same.
    """

    fault: str
    equation: str
    exact: bool
    residual: float | None
    explanation: str
    remedy: str
    also: tuple[str, ...]
    code: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Failure:
    """One case that does not agree, what it looks like, how to make it again, and which test it comes from, if one.

    ``size`` is T·B·D·H where known. ``reproduce`` is a line for a shell, ``example`` the case as code where that is
    known: what checks it by itself, or the arguments that Hypothesis found. ``sought``: the smallest case, which was
    looked for after the others and is counted nowhere.
    """

    name: str
    test: str
    verdict: Verdict
    case: str
    size: int | None
    method: str
    reason: str
    causes: tuple[Cause, ...]
    blocks: tuple[Wrong, ...]
    findings: tuple[str, ...]
    reproduce: str
    example: str
    sought: bool = False


@dataclass(frozen=True)
class Curve:
    """The error of one method at each step size of a sweep, and the slope that was fitted to it."""

    name: str
    errors: tuple[float | None, ...]
    slope: float | None


@dataclass(frozen=True)
class Sweep:
    """A study of error against step size."""

    name: str
    gradient: str
    steps: tuple[float, ...]
    curves: tuple[Curve, ...]


@dataclass(frozen=True)
class Unfinished:
    """A test that was selected and owes a result: which one, and what became of it."""

    test: str
    why: str


@dataclass(frozen=True)
class FromTests:
    """What a run of tests set out to do: tests selected, ended, skipped, and those that left nothing.

    ``examples`` counts the cases that Hypothesis drew, those that it tried while it shrank a failure among them.
    """

    selected: int
    ended: int
    skipped: int
    examples: int
    unfinished: tuple[Unfinished, ...]


@dataclass(frozen=True)
class Summary:
    """Everything that a report shows of a run. ``timing`` and ``environment`` hold all that differs between runs."""

    title: str
    verdict: Verdict
    complete: bool
    ended: bool
    planned: int | None
    recorded: int
    problems: tuple[str, ...]
    tests: FromTests | None
    cases: int
    compared: int
    verdicts: Mapping[str, int]
    worst_error: float | None
    worst_gradient: str
    worst_ratio: float | None
    resolution: float | None
    miss_probability: float | None
    miss_size: float | None
    evaluations: int
    gradient_evaluations: int
    gradients: tuple[Line, ...]
    equations: tuple[Line, ...]
    ledger: tuple[LedgerLine, ...]
    by_loss: Grid
    cells_and_losses: Grid
    regions: tuple[Region, ...]
    spreads: tuple[Spread, ...]
    steps: tuple[StepErrors, ...]
    norms: tuple[CaseNorms, ...]
    findings: tuple[FindingCount, ...]
    disagreements: tuple[Failure, ...]
    inconclusives: tuple[Failure, ...]
    sweeps: tuple[Sweep, ...]
    records: tuple[Record, ...]
    environment: Mapping[str, Any]
    timing: Mapping[str, Any]

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from bptt_check.report.html_result import summary_html

        return summary_html(self)
