"""The catalogue of faults as a list: for a terminal, for a machine, and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from textwrap import wrap
from typing import Any

from bptt_check.equations import ENTRIES
from bptt_check.errors import UsageError
from bptt_check.faults import WAYS, Fault, Way, catalogue
from bptt_check.faults.catalogue import said
from bptt_check.lstm.variants import NP, VARIANTS, Variant, variant_named
from bptt_check.results import WIDTH

ID, COUNTS = 39, 11  # columns of a way's name, and of its two counts
PAGE = """# The catalogue of faults

What goes wrong in backward passes through time that are derived by hand: {ways} ways, {places} places in the {cells}
cells of the family. Where `bptt-check` recognises the cell that it checks, it makes each of them and names the one that
gives the gradient under test. `bptt-check explain NAME` works one out in numbers; `bptt-check mutate FILE.py` plants
them in a backward pass of yours. This page is what `bptt-check faults --markdown` prints.

Each way is shown at one place; it strikes others alike. The equations are those of [equations.md](equations.md). In the
lines, `h[t]` and `s[t]` are h(t) and s(t), slot 0 holds the initial state; `dl[t]` is ∂l(t)/∂h(t); `dh_next` and
`ds_next` are what step t+1 hands back, and `dz_k_later` is dz_k of step t+1. Those marked • are met most.

Where none of them fits, every slip of the pen is tried besides: in any one line one name taken for another, a factor or
a term left out, doubled or too many, a sign, a square or a 1 − gone astray. They are called by what they are and where,
such as `name-for-another.dz_f.4-i`, and `bptt-check explain` knows them too.
"""


@dataclass(frozen=True)
class Row:
    """A way with its places: every fault that it makes, by cell."""

    way: Way
    faults: Mapping[str, tuple[Fault, ...]]

    @property
    def first(self) -> Fault:
        """The fault that stands for all: of the cell that most people write, with the fewest lines."""
        return min(next(iter(self.faults.values())), key=lambda fault: len(fault.changes))

    @property
    def equations(self) -> tuple[str, ...]:
        """What it spoils, most often first."""
        found = [fault.equation for faults in self.faults.values() for fault in faults]
        return tuple(sorted(dict.fromkeys(found), key=lambda equation: -found.count(equation)))

    @property
    def places(self) -> tuple[str, ...]:
        """The ids of its faults, each once."""
        return tuple(dict.fromkeys(fault.id for faults in self.faults.values() for fault in faults))

    @property
    def says(self) -> str:
        """What is wrong, for all places at once."""
        targets = [target for faults in self.faults.values() for fault in faults for target, _ in fault.changes]
        kinds = tuple(dict.fromkeys(_kind(target) for target in targets))
        several = len(kinds) > 1 or (len(set(targets)) > 1 and kinds[0] in ("dh_next", "ds_next"))
        return said(self.way.says, ", ".join(kinds), k="k", j="j", several=several)

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "id": self.way.id,
            "equations": list(self.equations),
            "says": self.says,
            "why": self.way.why,
            "common": self.way.common,
            "written": list(self.first.code),
            "right": list(self.first.right),
            "places": list(self.places),
            "cells": list(self.faults),
        }


def _kind(target: str) -> str:
    """A target and all like it: ``dW_gx`` is ``dW_kj``."""
    for pattern, kind in (("dW_..", "dW_kj"), ("d([bp])_.", r"d\1_k"), ("dz_.", "dz_k"), ("d[gifo]", "dk")):
        if re.fullmatch(pattern, target):
            return re.sub(pattern, kind, target)
    return re.sub("d[ifo](_next|0)", r"dk\1", target)


@cache
def rows(cell: str = "", equation: str = "", common: bool = False) -> tuple[Row, ...]:
    """The ways of the catalogue, in the order of the equations they spoil.

    Raises
    ------
    UsageError
        For a cell or an equation that is not there; the message lists those that are.
    """
    chosen = (_cell(cell),) if cell else (NP, *(v for v in VARIANTS if v is not NP))
    found: dict[str, dict[str, tuple[Fault, ...]]] = {way.id: {} for way in WAYS}
    for each in chosen:
        for fault in catalogue(each):
            found[fault.way][each.name] = (*found[fault.way].get(each.name, ()), fault)
    all_rows = [Row(way, found[way.id]) for way in WAYS if found[way.id]]
    known = tuple(e.id for e in ENTRIES if any(e.id in row.equations for row in all_rows))
    if equation and equation not in known:
        raise UsageError(f"no fault spoils {equation!r}; the equations with faults are {', '.join(known)}")
    wanted = [r for r in all_rows if (not equation or equation in r.equations) and (r.way.common or not common)]
    return tuple(sorted(wanted, key=lambda row: known.index(equation or row.equations[0])))


def _cell(name: str) -> Variant:
    try:
        return variant_named(name)
    except ValueError as error:
        raise UsageError(str(error)) from None


def counts(shown: Sequence[Row], cell: str = "") -> dict[str, Any]:
    """How many ways, faults and cells there are, and in one cell how many gradients the faults can be told apart by."""
    from bptt_check.planting.cases import classes

    one = _cell(cell) if cell else NP
    faults = [fault for row in shown for fault in row.faults.get(one.name, ())]
    told, still = classes(one, faults)
    return {
        "ways": len(shown),
        "places": len({place for row in shown for place in row.places}),
        "faults": sum(len(faults) for row in shown for faults in row.faults.values()),
        "cells": len({name for row in shown for name in row.faults}),
        "cell": one.name,
        "faults_of_cell": len(faults),
        "classes_of_cell": len(told),
        "unchanged_of_cell": [fault.id for fault in still],
    }


def table(shown: Sequence[Row], counted: Mapping[str, Any], *, equation: str = "") -> str:
    """The list for a terminal of 100 columns: for each way its name, in how many places and cells, what it says."""
    lines, heading = [f"{'fault':<{ID}}{'places':>6}{'in':>3}  what is wrong"], ""
    for row in shown:
        if (now := equation or row.equations[0]) != heading:
            heading = now
            entry = next(e for e in ENTRIES if e.id == now)
            lines += ["", *wrap(f"{now}  {entry.title}: {entry.formula}", WIDTH, subsequent_indent="    ")]
        text = wrap(row.says, WIDTH - ID - COUNTS)
        mark = "•" if row.way.common else " "
        lines.append(f"{mark} {row.way.id:<{ID - 2}}{len(row.places):>6}{len(row.faults):>3}  {text[0]}")
        lines += [" " * (ID + COUNTS) + more for more in text[1:]]
    still = len(counted["unchanged_of_cell"])
    nothing = f"; {still} change nothing at random cases" if still else ""
    summary = (
        f"{_number(counted['ways'], 'way')}; {_number(counted['places'], 'place')} by name, {counted['faults']} in all "
        f'over {_number(counted["cells"], "cell")} (column "in"). Cell {counted["cell"]} has '
        f"{_number(counted['faults_of_cell'], 'fault')}, told apart by "
        f"{_number(counted['classes_of_cell'], 'gradient')} at a random case{nothing}. • is met most."
    )
    return "\n".join([*lines, "", *wrap(summary, WIDTH)])


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"


def markdown(shown: Iterable[Row]) -> str:
    """The list as a page: equation by equation, each way with a wrong line, the right one, and why it is written."""
    shown = tuple(shown)
    places = sum(len(faults) for row in shown for faults in row.faults.values())
    parts = [PAGE.format(ways=len(shown), places=places, cells=len({name for row in shown for name in row.faults}))]
    for entry in ENTRIES:
        own = [row for row in shown if row.equations[0] == entry.id]
        if own:
            parts.append(f"\n## {entry.id}: {entry.title}\n\n{entry.formula}\n")
            parts.append("| fault | what is wrong | written | belongs there | why |\n| --- | --- | --- | --- | --- |")
            parts += [_markdown_row(row) for row in own]
    return "\n".join(parts) + "\n"


def _markdown_row(row: Row) -> str:
    mark, fault = " •" * row.way.common, row.first
    written, right = ("<br>".join(f"`{line}`" for line in lines[:2]) for lines in (fault.code, fault.right))
    return f"| {row.way.id}{mark} | {row.says} | {written} | {right} | {row.way.why} |"
