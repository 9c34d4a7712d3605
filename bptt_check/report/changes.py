"""Two runs side by side: what is worse, better, missing or new, and which rules that breaks.

Noise is never called a regression. A block that agrees has no error beyond what rounding explains, however large or
small that happened to be, so two blocks that agree are the same. Only where a gradient was shown to be wrong does the
size of its error count, in units of the resolution, the smallest error that would have been seen. How wrong a wrong one
is, and how sharply it was seen, also depends on the numbers at which one looks: with other ones drawn, two errors or
two resolutions are not held against each other.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from bptt_check.errors import ReportError, UsageError
from bptt_check.report.rows import VERDICTS, Row
from bptt_check.report.saved_lines import SavedRun
from bptt_check.report.text import clean, counted, figure, natural
from bptt_check.results import Verdict

ROUNDING = 2.0**-52  # no resolution is finer than the spacing of double precision
GROWN = 2.0  # factor by which the error of what is wrong anyway must grow to be called worse
SHOWN = 20
RULES = "worse, missing, max_error:10x, resolution:10x (any factor above 1)"


class Kind(Enum):
    """How a block is now, beside how it was."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    MISSING = "missing"
    NEW = "new"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Change:
    """One block of one case in both runs; ``block`` is empty for the case as a whole.

    ``growth`` is the factor by which the error has grown, both in units of the resolution and at least 1; ``blunter``
    the factor by which the resolution has become coarser. Both are 1 where nothing of the kind can be said, as of what
    was wrong before at other numbers.
    """

    name: str
    block: str
    kind: Kind
    old: Row | None
    new: Row | None
    growth: float = 1.0
    blunter: float = 1.0


@dataclass(frozen=True)
class Changes:
    """All blocks of two runs. ``old`` and ``new`` say what the runs were; ``incomplete`` which of them are cut off."""

    old: str
    new: str
    rows: tuple[Change, ...]
    incomplete: tuple[str, ...] = ()

    def of(self, kind: Kind) -> tuple[Change, ...]:
        """The rows of that kind."""
        return tuple(row for row in self.rows if row.kind is kind)

    @property
    def counts(self) -> dict[str, int]:
        """How many rows there are of each kind."""
        found = Counter(row.kind for row in self.rows)
        return {kind.value: found[kind] for kind in Kind}


@dataclass(frozen=True)
class Rule:
    """What may not happen from one run to the next: ``what`` is worse, missing, max_error or resolution."""

    what: str
    factor: float = 1.0

    def __str__(self) -> str:
        return self.what if self.what in ("worse", "missing") else f"{self.what}:{self.factor:g}x"

    def broken_by(self, change: Change) -> bool:
        """Whether this change is one that the rule forbids."""
        if self.what == "worse":
            new_and_wrong = change.old is None and change.new is not None and change.new.verdict is Verdict.DISAGREES
            return change.kind is Kind.WORSE or new_and_wrong
        if self.what == "missing":
            return change.kind is Kind.MISSING
        return (change.growth if self.what == "max_error" else change.blunter) >= self.factor


@dataclass(frozen=True)
class Broken:
    """A rule, and a change that breaks it."""

    rule: Rule
    change: Change

    def __str__(self) -> str:
        return f"{self.rule}: {told(self.change)}"


def parse_rule(text: str) -> Rule:
    """Read ``worse``, ``missing``, ``max_error:10x`` or ``resolution:10x``.

    Raises
    ------
    UsageError
        For anything else.
    """
    if text in ("worse", "missing"):
        return Rule(text)
    match = re.fullmatch(r"(max_error|resolution):(\d{1,15}(?:\.\d{1,15})?)x", text, re.ASCII)
    if not match or float(match[2]) <= 1:
        raise UsageError(f"there is no rule {clean(text, limit=40)!r}; the rules are {RULES}")
    return Rule(match[1], float(match[2]))


def compare(old: SavedRun, new: SavedRun) -> Changes:
    """Hold two runs beside each other, block by block.

    Both have their rows: :func:`bptt_check.report.saved.load` reads them from a file, and
    :func:`bptt_check.report.saved.of` takes them from a summary.

    Raises
    ------
    ReportError
        If one has none.
    """
    if old.rows is None or new.rows is None:
        raise ReportError("a run was to be compared of which only the head was read; load it first")
    before, after = _by_name(old.rows), _by_name(new.rows)
    rows: list[Change] = []
    for name in sorted({*before, *after}, key=natural):
        rows += _case(name, before.get(name), after.get(name))
    incomplete = tuple(run.label for run in (old, new) if not run.complete)
    return Changes(old.label, new.label, tuple(rows), incomplete)


def _by_name(rows: Iterable[Row]) -> dict[str, dict[str, Row]]:
    cases: dict[str, dict[str, Row]] = {}
    for row in rows:
        cases.setdefault(row.name, {})[row.block] = row
    return cases


def _case(name: str, old: dict[str, Row] | None, new: dict[str, Row] | None) -> list[Change]:
    if new is None:
        return [Change(name, "", Kind.MISSING, (old or {}).get(""), None)]
    if old is None:
        return [Change(name, "", Kind.NEW, None, new.get(""))]
    blocks = [_change(name, block, old.get(block), new.get(block)) for block in sorted({*old, *new} - {""})]
    whole = _change(name, "", old.get(""), new.get(""))
    told_already = any(block.kind is whole.kind for block in blocks)
    return [*blocks, *([] if told_already or whole.kind in (Kind.MISSING, Kind.NEW) else [whole])]


def _change(name: str, block: str, old: Row | None, new: Row | None) -> Change:
    was, is_now = _is_there(old), _is_there(new)
    if old is None or new is None or not (was and is_now):
        kind = Kind.MISSING if was else Kind.NEW if is_now else Kind.SAME
        return Change(name, block, kind, old, new)
    growth = _growth(old, new) if block else 1.0
    step = VERDICTS.index(new.verdict) - VERDICTS.index(old.verdict)
    if not step and new.verdict is Verdict.DISAGREES:
        step = (growth >= GROWN) - (growth <= 1 / GROWN)
    kind = Kind.WORSE if step > 0 else Kind.BETTER if step < 0 else Kind.SAME
    return Change(name, block, kind, old, new, growth, _blunter(old, new) if block else 1.0)


def _is_there(row: Row | None) -> bool:
    """A block that is not handed out is not there; one that could not be compared is, if it was not found right."""
    return row is not None and row.verdict is not Verdict.NOT_RETURNED


def _growth(old: Row, new: Row) -> float:
    if old.verdict is new.verdict and not _at_one_point(old, new):
        return 1.0
    before, after = units(old, new)
    return 1.0 if before == after else after / before


def _at_one_point(old: Row, new: Row) -> bool:
    return bool(old.point) and old.point == new.point


def units(old: Row, new: Row) -> tuple[float, float]:
    """Return the errors of both in units of the resolution, of both the coarser one; 1 where none was shown."""
    seen = [row.resolution for row in (old, new) if row.resolution is not None and math.isfinite(row.resolution)]
    level = max([ROUNDING, *seen])
    return _units(old, level), _units(new, level)


def _units(row: Row, level: float) -> float:
    """The error in units of ``level``; what was not shown to be wrong has none to speak of."""
    if row.verdict is not Verdict.DISAGREES:
        return 1.0
    size = row.ratio if row.error is None else row.error / level
    return math.inf if size is None or math.isnan(size) else max(1.0, size)


def _blunter(old: Row, new: Row) -> float:
    if old.resolution is None or new.resolution is None or not math.isfinite(old.resolution):
        return 1.0
    if not _at_one_point(old, new):
        return 1.0
    finest = max(old.resolution, ROUNDING)
    return math.inf if math.isnan(new.resolution) else max(new.resolution, ROUNDING) / finest


def broken(changes: Changes, rules: Iterable[Rule]) -> tuple[Broken, ...]:
    """Return each rule with each change that breaks it, rule by rule."""
    return tuple(Broken(rule, row) for rule in rules for row in changes.rows if rule.broken_by(row))


def told(change: Change) -> str:
    """Return in one line what has changed."""
    where = clean(change.name, limit=120) + (f", {clean(change.block, limit=40)}" if change.block else "")
    old, new = change.old, change.new
    if change.kind is Kind.MISSING:
        return f"{where}: was {old.verdict if old else 'there'}, is missing"
    if change.kind is Kind.NEW or old is None or new is None:
        return f"{where}: {new.verdict if new else 'there'}"
    said = [str(new.verdict) if old.verdict is new.verdict else f"{old.verdict} → {new.verdict}"]
    if Verdict.DISAGREES in (old.verdict, new.verdict) and (old.error, new.error) != (None, None):
        before, after = units(old, new)
        said.append(f"error {figure(old.error)} → {figure(new.error)}")
        said.append(f"in units of the resolution {figure(before)} → {figure(after)}")
    if change.blunter >= GROWN or change.blunter <= 1 / GROWN:
        said.append(f"resolution {figure(old.resolution)} → {figure(new.resolution)}")
    return f"{where}: {', '.join(said)}"


def said(changes: Changes, rules: Sequence[Rule] = ()) -> str:
    """Return in a few lines what has changed from the old run to the new one, and which of ``rules`` are broken."""
    found = changes.counts
    order = (Kind.WORSE, Kind.MISSING, Kind.BETTER, Kind.NEW, Kind.SAME)
    figures = ", ".join(f"{found[kind.value]} {kind}" for kind in order)
    lines = [f"From {clean(changes.old)} to {clean(changes.new)}: {figures}"]
    lines += [
        f"  {clean(which)} is incomplete: what is missing may only not have been run" for which in changes.incomplete
    ]
    for kind in (Kind.WORSE, Kind.MISSING, Kind.BETTER, Kind.NEW):
        rows = sorted(changes.of(kind), key=lambda row: -row.growth)
        lines += [f"  {kind!s:<8}{told(row)}" for row in rows[:SHOWN]]
        if len(rows) > SHOWN:
            lines.append(f"  and {counted(len(rows) - SHOWN, 'more row')}: {kind}")
    for rule in rules:
        against = broken(changes, [rule])
        verdict = f"broken by {counted(len(against), 'row')}, first by {told(against[0].change)}" if against else "kept"
        lines.append(f"  rule {rule}: {verdict}")
    return "\n".join(lines)
