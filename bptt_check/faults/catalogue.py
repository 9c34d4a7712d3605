"""The ways applied to the lines of a cell: every fault that it can have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from bptt_check.faults.carousel import CAROUSEL
from bptt_check.faults.fault import ALL, GATE, LINE, SOURCE, Fault, Names, Way
from bptt_check.faults.gates import GATES
from bptt_check.faults.leftover import LEFTOVER
from bptt_check.faults.loops import LOOPS
from bptt_check.faults.memory import HANDED_OUT, MEMORY
from bptt_check.faults.output import CARRIES, LOSS
from bptt_check.faults.seen import ENDS, SEEN
from bptt_check.faults.slopes import SLOPES
from bptt_check.faults.sources import SOURCES
from bptt_check.faults.sums import OF_BIASES, OF_WEIGHTS, SUMS
from bptt_check.lstm.variants import Variant
from bptt_check.program import Line, lines_of

PLURAL = {
    "is": "are",
    "has": "have",
    "uses": "use",
    "lacks": "lack",
    "holds": "hold",
    "takes": "take",
    "starts": "start",
    "stays": "stay",
    "counts": "count",
}
WAYS: tuple[Way, ...] = (
    *LOSS,
    *CARRIES,
    *MEMORY,
    *GATES,
    *SLOPES,
    *SUMS,
    *SOURCES,
    *OF_WEIGHTS,
    *OF_BIASES,
    *SEEN,
    *CAROUSEL,
    *ENDS,
    *LOOPS,
    *LEFTOVER,
)


@cache
def catalogue(cell: Variant) -> tuple[Fault, ...]:
    """Every fault of a cell of the family, the common ones first."""
    return faults_of(WAYS, lines_of(cell), cell)


def faults_of(ways: Iterable[Way], lines: Iterable[Line], cell: Variant) -> tuple[Fault, ...]:
    """Every fault that ``ways`` make of ``lines``, the common ones first; of two that write the same, the first."""
    lines = tuple(lines)
    found: dict[tuple[tuple[str, str], ...], Fault] = {}
    for way in ways:
        for fault in _faults(way, lines, cell):
            found.setdefault(fault.changes, fault)
    return tuple(sorted(found.values(), key=lambda fault: not fault.common))


@cache
def of_states_handed_out(cell: Variant) -> tuple[Fault, ...]:
    """What can go wrong besides where the last states are handed out too, and the loss reaches them there."""
    return tuple(fault for way in HANDED_OUT for fault in _faults(way, lines_of(cell), cell))


def all_ways() -> tuple[Way, ...]:
    """The ways themselves, in the order of the equations they spoil."""
    return WAYS


def _faults(way: Way, lines: Iterable[Line], cell: Variant) -> Iterator[Fault]:
    struck: list[tuple[Line, Names, str]] = []
    for line in lines:
        if not re.fullmatch(way.targets, line.target):
            continue
        names = _names(line.target, cell)
        code = way.edit(line.code, names)
        if code is not None and code != line.code:
            struck.append((line, names, code))
    for scope in way.at_once:
        for part, label, called in _grouped(scope, struck):
            line, names, _ = part[0]
            yield Fault(
                id=".".join(filter(None, (way.id, label))),
                way=way.id,
                equation=way.equation or line.equation,
                says=said(way.says, called, k=names.k, j=names.j, several=len(part) > 1),
                why=way.why,
                changes=tuple((x.target, code) for x, _, code in part),
                right=tuple(str(x) for x, _, _ in part),
                common=way.common and scope in (ALL, way.at_once[0]),
            )


def _grouped(
    scope: str, struck: list[tuple[Line, Names, str]]
) -> Iterator[tuple[list[tuple[Line, Names, str]], str, str]]:
    """The lines struck at once, with the label of the group and what it is called."""
    if scope == LINE:
        for each in struck:
            yield [each], each[0].target, each[0].target
        return
    groups: dict[str, list[tuple[Line, Names, str]]] = {}
    for each in struck:
        key = {SOURCE: each[1].j, GATE: each[1].k, ALL: "all"}[scope]
        if key:
            groups.setdefault(key, []).append(each)
    for key, part in groups.items():
        if len(part) < 2 or (scope in (SOURCE, GATE) and len(part) == len(struck)):
            continue
        called = ", ".join(x.target for x, _, _ in part)
        if len(part) > 4:
            called = f"all of {part[0][0].target} … {part[-1][0].target}"
        yield part, "all" if scope == ALL else f"{'from' if scope == SOURCE else 'gate'}-{key}", called


def _names(target: str, cell: Variant) -> Names:
    matrix = re.fullmatch(r"dW_(.)(.)", target)
    if matrix:
        return Names(target, matrix[1], matrix[2], cell)
    single = re.fullmatch(r"d(?:[zbp]_([a-z])|([gifo])(?:_next|0)?)", target)
    return Names(target, (single[1] or single[2]) if single else "", "", cell)


def said(says: str, called: str, *, k: str, j: str, several: bool) -> str:
    """The sentence of a way with its names filled in; of several lines, its verb in the plural."""
    if several:
        says = re.sub(r"^\{target\} (\w+)", lambda verb: f"{{target}} {PLURAL.get(verb[1], verb[1])}", says)
    return says.format(target=called, k=k, j=j)
