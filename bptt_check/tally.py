"""What runs have found about each entry of the ledger, added up from report rows. Needs no NumPy.

A backward equation is looked at in two ways. *In the whole gradient*: a derivative that runs through its line, and
through all lines before it, against the numerical derivative of the loss. *On its own line*: that line against the
numerical derivative of the forward line that it mirrors (local.py). Forward lines, losses and laws have two sides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bptt_check.equations import ENTRIES, Entry
from bptt_check.lstm.variants import Gate, Variant, variant_named

NO_ROUNDING = 1e-6  # a relative error that no rounding explains
WHOLE, ALONE, SIDES = "in the whole gradient", "on its own line", "two sides"
_ID = r"[FLBP]\d+[a-z]?"
_OF_THE_LEDGER = re.compile(rf"law (?P<law>{_ID})|(?P<line>{_ID}), locally")


@dataclass(frozen=True)
class Way:
    """The figures of one way of looking at an entry; ``worst_case`` names the record of the largest error."""

    name: str
    cases: int
    compared: int
    max_relative_error: float | None = None
    tolerance_ratio: float | None = None
    resolution: float | None = None
    worst_case: str = ""


@dataclass(frozen=True)
class Figures:
    """What runs have found about one entry, over all ways of looking at it, and by way.

    ``max_relative_error`` is the largest of all comparisons, ``tolerance_ratio`` the largest in units of what rounding
    allows, ``resolution`` the coarsest. ``verdict``: DISAGREES if any comparison does, else INCONCLUSIVE if any is,
    AGREES, or NOT_COMPARED; for what is kept because it is false, DIFFERS once it was seen to.
    """

    entry: Entry
    cases: int = 0
    compared: int = 0
    max_relative_error: float | None = None
    tolerance_ratio: float | None = None
    resolution: float | None = None
    verdict: str = "NOT_COMPARED"
    ways: tuple[Way, ...] = ()


class Tally:
    """Running figures of all entries: hand it records one by one, none of which it keeps."""

    def __init__(self) -> None:
        self._sums = {item.id: _Sum(item) for item in ENTRIES}

    def add(self, record: Any) -> None:
        """Count a :class:`~bptt_check.report.record.Record`, or its JSON.

        Each block counts towards the equations that it names, and towards the lines of its cell's variant that it
        passes through.
        """
        case, blocks = _field(record, "case") or {}, _field(record, "blocks") or ()
        cell, name = _variant(case.get("cell")), str(_field(record, "name") or "")
        seen: set[tuple[str, str]] = set()
        for block in blocks:
            way = way_of(block)
            for equation in equations_of(block, cell):
                if equation in self._sums:
                    self._sums[equation].add(block, way, name, seen)

    def figures(self) -> tuple[Figures, ...]:
        """The figures of every entry, in the ledger's order."""
        return tuple(each.figures() for each in self._sums.values())


def fill(records: Iterable[Any]) -> tuple[Figures, ...]:
    """What report rows say about each entry, in the ledger's order; see :meth:`Tally.add`."""
    tally = Tally()
    for record in records:
        tally.add(record)
    return tally.figures()


def way_of(block: Mapping[str, Any]) -> str:
    """In which way a block looks at the equations that it names."""
    match = _OF_THE_LEDGER.fullmatch(str(block.get("name", "")))
    if not match or block.get("equation") != (match["law"] or match["line"]):
        return WHOLE
    return SIDES if match["law"] else ALONE


def is_of_the_ledger(block: Mapping[str, Any]) -> bool:
    """Whether a block is a law or a line on its own, and so no gradient."""
    return way_of(block) != WHOLE


def equations_of(block: Mapping[str, Any], cell: Variant | None = None) -> tuple[str, ...]:
    """The ids that a block's comparison is about: those it names, and those its cell's gradient runs through."""
    named = re.findall(_ID, str(block.get("equation") or ""))
    name = str(block.get("name", ""))
    if cell is None or not named or is_of_the_ledger(block):
        return tuple(dict.fromkeys(named))
    if name.startswith("p_"):
        return ("B5p",)
    peepholes, memory = bool(cell.peepholed), cell.feedback == "s"
    carried_to_s = ["B8", *["B8p"] * peepholes, *["B8s"] * memory]
    further = {
        "h(t)": ["B8s" if memory else "B7"],
        "h0": ["B8s" if memory else "B7"],
        "s(t)": [*["B2p"] * ("o" in cell.peepholed), *carried_to_s],
        "s0": carried_to_s,
        "i(t)": ["B3c"] * (cell.forget_gate is Gate.COUPLED),
    }
    recurrent = cell.gate_recurrence and re.fullmatch(r"[ifo](\(t\)|0)", name)
    return tuple(dict.fromkeys([*named, *further.get(name, []), *["B7r"] * bool(recurrent)]))


class _Sum:
    """Running figures of one entry."""

    def __init__(self, item: Entry) -> None:
        self.item, self.cases = item, 0
        self.ways: dict[str, _Running] = {}
        self.verdicts: set[str] = set()

    def add(self, block: Mapping[str, Any], way: str, record: str, seen: set[tuple[str, str]]) -> None:
        verdict = str(block.get("verdict", ""))
        if verdict == "NOT_RETURNED":
            return
        self.verdicts.add(verdict)
        self.cases += (self.item.id, "") not in seen
        running = self.ways.setdefault(way, _Running())
        running.cases += (self.item.id, way) not in seen
        seen |= {(self.item.id, ""), (self.item.id, way)}
        running.add(block, record)

    def figures(self) -> Figures:
        verdict = next((v for v in ("DISAGREES", "INCONCLUSIVE", "AGREES") if v in self.verdicts), "NOT_COMPARED")
        ways = [self.ways[name] for name in (WHOLE, ALONE, SIDES) if name in self.ways]
        compared = sum(way.compared for way in ways)
        largest = {key: _largest(way.largest[key] for way in ways) for key in _FIGURES}
        if verdict == "AGREES" and not compared:
            verdict = "NOT_COMPARED"
        if not self.item.holds and compared:
            verdict = "DIFFERS" if (largest["max_relative_error"] or 0) > NO_ROUNDING else "INCONCLUSIVE"
        found = tuple(self.ways[name].way(name) for name in (WHOLE, ALONE, SIDES) if name in self.ways)
        return Figures(self.item, self.cases, compared, **largest, verdict=verdict, ways=found)


_FIGURES = ("max_relative_error", "tolerance_ratio", "resolution")


class _Running:
    """Running figures of one way of looking at one entry."""

    def __init__(self) -> None:
        self.cases, self.compared, self.worst_case = 0, 0, ""
        self.largest: dict[str, float | None] = dict.fromkeys(_FIGURES)

    def add(self, block: Mapping[str, Any], record: str) -> None:
        self.compared += int(block.get("compared") or 0)
        for key, before in self.largest.items():
            value = block.get(key)
            if value is None:
                continue
            self.largest[key] = _larger(before, float(value))
            if key == "max_relative_error" and self.largest[key] != before:
                self.worst_case = record

    def way(self, name: str) -> Way:
        return Way(name, self.cases, self.compared, **self.largest, worst_case=self.worst_case)


def _largest(values: Iterable[float | None]) -> float | None:
    largest: float | None = None
    for value in values:
        largest = largest if value is None else _larger(largest, value)
    return largest


def _larger(a: float | None, b: float) -> float:
    """The larger, where NaN is larger than anything."""
    return b if a is None or not b <= a else a


def _field(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name)


def _variant(name: Any) -> Variant | None:
    try:
        return variant_named(str(name))
    except ValueError:
        return None
