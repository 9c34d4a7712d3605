"""What a check has found: verdicts, blocks, findings, results. Records only; nothing here computes a derivative."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from bptt_check.errors import GradientDisagrees, GradientInconclusive

WIDTH = 100  # columns of a printed table
CAUSES = 4  # that are printed
ALIKE = 3  # findings of one kind that are printed
RARE = 0.1  # share of calls that a rare fault strikes, for stating what repeated calls could have missed


class Verdict(Enum):
    """The outcome of a comparison, with what to do about it."""

    AGREES = "AGREES"
    DISAGREES = "DISAGREES"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RETURNED = "NOT_RETURNED"  # of a single block only

    def __str__(self) -> str:
        return self.value

    @property
    def advice(self) -> str:
        """One sentence that says what the reader of this outcome should do next."""
        return _ADVICE[self]


_ADVICE = {
    Verdict.AGREES: "Nothing to do: an error as large as the stated resolution would have been seen.",
    Verdict.DISAGREES: "The gradient is wrong here. "
    "Start with the intermediate that is wrong at the latest time step, if any are named.",
    Verdict.INCONCLUSIVE: "Not proved right and not proved wrong; the findings say what would decide it.",
    Verdict.NOT_RETURNED: "The backward pass hands out no such gradient; return it, or name it in optional=.",
}


@dataclass(frozen=True)
class Finding:
    """Something worth knowing beside the comparison itself.

    ``kind`` is a stable, hyphenated name (``changed-inputs``, ``raised``, ``near-a-kink`` …); ``message`` is one
    sentence for a person; ``detail`` may hold a traceback or numbers; ``fault`` says whether it alone makes the
    backward pass wrong.
    """

    kind: str
    message: str
    detail: str = ""
    fault: bool = False

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


@dataclass(frozen=True)
class Cause:
    """A probable cause of a disagreement; :mod:`bptt_check.diagnose` finds them.

    ``fault`` is an id of the catalogue (``bptt-check faults``) or the kind of a pattern; ``equation`` what it spoils.
    ``exact``: made on purpose, it gives the gradient under test to rounding, wherever that is wrong. ``residual`` is
    what is left then, relative to the largest entry of each block; of a cause that matches nothing, the share of the
    disagreement that it does not explain. ``also`` are faults that no case tried can tell from it, ``equations`` what
    they spoil where that is another one. ``explains`` are the blocks that it accounts for, empty for one that is only
    near. Several exact causes are several mistakes at once, which together give the gradient.
    """

    fault: str
    equation: str | None
    exact: bool
    residual: float
    explanation: str
    remedy: str = ""
    also: tuple[str, ...] = ()
    why: str = ""
    code: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()
    equations: tuple[str, ...] = ()

    def __str__(self) -> str:
        equation = f" → {' or '.join((self.equation, *self.equations))}" if self.equation else ""
        close = f"agrees to {self.residual:.0e}" if self.residual else "agrees to the last bit"
        if self.exact:
            return f"looks exactly like: {self.explanation}{equation} ({close})"
        if self.explains:
            named = ", ".join(self.explains[:6]) + ", …" * (len(self.explains) > 6)
            return f"accounts for {named}: {self.explanation}{equation} ({close})"
        return f"no known mistake matches; nearest: {self.explanation}{equation} ({self.residual:.0%} unexplained)"


@dataclass(frozen=True)
class Block:
    """One named gradient compared with its reference derivative.

    ``max_relative_error`` is max |analytic − reference| / scale over the compared entries, where an entry's scale is
    the larger of |analytic| and |reference|, but at least the size at which the asked-for resolution can still be
    seen there; ``index``, ``analytic`` and ``reference`` are those of that worst entry (``None`` where nothing was
    compared entry by entry). ``resolution`` is the smallest relative error of one entry that would have been seen;
    ``tolerance_ratio`` is the largest error in units of what rounding allows. ``where`` says which time steps, rows,
    columns and gates are concerned where it is wrong. ``by_step`` gives the largest relative
    error at each time step t = 1 … T for blocks that have one, ``norms`` the norm of the analytic and of the reference
    derivative there (``None``: not measured). ``compared`` counts entries of ``size``.
    """

    name: str
    verdict: Verdict
    shape: tuple[int, ...]
    equation: str | None = None
    compared: int = 0
    max_relative_error: float | None = None
    tolerance_ratio: float | None = None
    index: tuple[int, ...] | None = None
    analytic: float | None = None
    reference: float | None = None
    resolution: float | None = None
    by_step: tuple[float, ...] | None = None
    norms: tuple[tuple[float, float | None], ...] | None = None
    note: str = ""
    where: str = ""

    @property
    def size(self) -> int:
        """Number of entries of the block."""
        size = 1
        for length in self.shape:
            size *= length
        return size


@dataclass(frozen=True)
class Result:
    """Everything that :func:`bptt_check.check` has to say about one subject at one point."""

    subject: str
    verdict: Verdict
    blocks: Mapping[str, Block]
    findings: tuple[Finding, ...] = ()
    causes: tuple[Cause, ...] = ()
    method: str = ""
    reason: str = ""
    evaluations: int = 0
    gradient_evaluations: int = 0
    seconds: float = 0.0
    miss_probability: float | None = None
    miss_size: float | None = None
    repeats: int = 0
    case: Mapping[str, object] = field(default_factory=dict)

    @property
    def compared(self) -> int:
        """Number of gradient entries that were compared, over all blocks."""
        return sum(block.compared for block in self.blocks.values())

    @property
    def worst(self) -> Block | None:
        """The block that is furthest from its reference in units of its tolerance, if any was compared."""
        rated = [block for block in self.blocks.values() if block.tolerance_ratio is not None]
        return max(rated, key=lambda block: block.tolerance_ratio or 0.0, default=None)

    def raise_unless_agrees(self) -> None:
        """Raise :class:`GradientDisagrees` or :class:`GradientInconclusive`, the whole table being the message."""
        if self.verdict is Verdict.DISAGREES:
            raise GradientDisagrees(f"\n{self}")
        if self.verdict is not Verdict.AGREES:
            raise GradientInconclusive(f"\n{self}")

    def __str__(self) -> str:
        return _table(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from bptt_check.report.html_result import result_html

        return result_html(self)


def _figure(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}g}"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False)


def _table(result: Result) -> str:
    """The result as a table that fits a terminal of 100 columns."""
    lines = [f"{result.verdict}  {result.subject}".rstrip()]
    heading = (
        f"  {'gradient':<14} {'verdict':<13} {'rel. error':>10} {'resolution':>10}  {'at':<14} analytic / reference"
    )
    lines.append(heading)
    for block in result.blocks.values():
        where = "" if block.index is None else "[" + ", ".join(map(str, block.index)) + "]"
        values = "" if block.analytic is None else f"{block.analytic:.9g} / {_figure(block.reference, 9)}"
        row = (
            f"  {block.name:<14} {block.verdict!s:<13} {_figure(block.max_relative_error):>10} "
            f"{_figure(block.resolution):>10}  {where:<14} {values}"
        )
        lines.append(row.rstrip())
        said = "; ".join(filter(None, (block.where, block.note)))
        if said:
            lines += [f"    {line}" for line in _wrapped(said)]
    compared = f"{result.compared} entries compared by {result.method or 'nothing'}"
    if result.reason:
        compared += f" ({result.reason})"
    compared += f"; {result.evaluations} loss and {result.gradient_evaluations} gradient evaluations"
    lines += _wrapped(compared)
    if result.verdict is Verdict.AGREES and result.miss_probability is not None and result.miss_size is not None:
        chance = f"{result.miss_probability:.1e}" if result.miss_probability else "none"
        lines += _wrapped(
            f"chance that an error of {result.miss_size:.0e} of itself in one entry went unseen: {chance}"
        )
    if result.verdict is Verdict.AGREES and result.repeats > 2:
        missed = (1 - RARE) ** result.repeats
        lines += _wrapped(
            f"chance that a fault in one call of {1 / RARE:.0f} went unseen in {result.repeats}: {missed:.1e}"
        )
    lines += _findings(result.findings)
    lines += _causes(result.causes)
    if result.causes and all(cause.exact for cause in result.causes):
        lines += _wrapped("The gradient is wrong here, and what is named above explains all of it.")
    elif result.verdict is not Verdict.AGREES:
        missing = [block.name for block in result.blocks.values() if block.verdict is Verdict.NOT_RETURNED]
        lines += _wrapped(f"{', '.join(missing)}: {Verdict.NOT_RETURNED.advice}") if missing else []
        lines += [] if missing and result.verdict is Verdict.INCONCLUSIVE else _wrapped(result.verdict.advice)
    return "\n".join(lines)


def _findings(findings: tuple[Finding, ...]) -> list[str]:
    """The findings; of many of one kind the first few."""
    lines: list[str] = []
    counted: dict[str, int] = {}
    for finding in findings:
        counted[finding.kind] = counted.get(finding.kind, 0) + 1
        if counted[finding.kind] <= ALIKE:
            lines += _wrapped(f"finding: {finding}")
    more = [f"{count - ALIKE} more of the kind {kind}" for kind, count in counted.items() if count > ALIKE]
    return lines + (_wrapped(f"finding: and {', '.join(more)}") if more else [])


def _causes(causes: tuple[Cause, ...]) -> list[str]:
    """What a disagreement looks like, and what to write instead."""
    lines: list[str] = []
    several = len(causes) > 1 and all(cause.exact for cause in causes)
    if several:
        lines += _wrapped(f"{len(causes)} mistakes at once; together they give this gradient:")
    for cause in causes[:CAUSES]:
        lines += _wrapped(str(cause))
        if cause.also:
            same = ", ".join(cause.also[:4]) + ", …" * (len(cause.also) > 4)
            lines += _wrapped(f"  cannot be told from it here: {same}")
        if cause.remedy:
            lines += _wrapped(f"mend: {cause.remedy}")
    if len(causes) > CAUSES:
        lines += _wrapped(f"and {len(causes) - CAUSES} more, of {', '.join(c.fault for c in causes[CAUSES:][:4])} …")
    return lines
