"""The mistakes that networks bring, as a list: each way at one place where it strikes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np

from bptt_check.equations import ENTRIES
from bptt_check.faults import Fault, Way, faults_of
from bptt_check.lstm.variants import NP
from bptt_check.networks.cells import ELMAN, GRUS, RECTIFIED
from bptt_check.networks.equations import NETWORK_ENTRIES
from bptt_check.networks.plan import BELOW, BOTH_WAYS, HANDED_TWICE, INTO_BOTH
from bptt_check.networks.readout import ENDINGS, LAYER, Goal
from bptt_check.networks.ways_between import OF_DIRECTIONS, OF_LAYERS, OF_OUTPUTS
from bptt_check.networks.ways_gru import OF_GRU
from bptt_check.networks.ways_output import OF_LOSS, OF_READOUT
from bptt_check.networks.ways_simple import OF_SIMPLE
from bptt_check.program import Line

NETWORK_WAYS: tuple[Way, ...] = (*OF_LOSS, *OF_READOUT, *OF_SIMPLE, *OF_GRU, *OF_LAYERS, *OF_DIRECTIONS, *OF_OUTPUTS)
HEADING = """
# Networks

An output layer with its loss, Elman's cell, gated recurrent units, layers above each other, two directions: where the
network is recognised, these are tried beside those of its cells. In a part of a network a fault is called by that part,
`df-from-s.df@layer-2`, `@every-layer` where all of them share the mistake. In the lines, `y[t]` are the outputs, `p[t]`
what the loss makes of them (softmax, the logistic function), `u`, `r`, `n` the gates and the candidate of a GRU.
"""


def _lines() -> Iterator[tuple[tuple[Way, ...], tuple[Line, ...]]]:
    """The tables, each with the lines that it strikes."""
    T, target = 5, np.zeros((5, 3, 4))
    for ending in ENDINGS:
        for shown, scale in ((target, 1.0), (target[-1:], 1 / 3)):
            yield OF_LOSS, Goal(ending, shown, scale).lines(T)
    yield OF_READOUT, LAYER
    yield from ((OF_SIMPLE, cell.lines) for cell in (ELMAN, RECTIFIED))
    yield from ((OF_GRU, cell.lines) for cell in GRUS)
    yield OF_LAYERS, BELOW
    yield OF_OUTPUTS, HANDED_TWICE
    yield OF_DIRECTIONS, (*BOTH_WAYS, *INTO_BOTH)


@cache
def network_faults() -> dict[str, tuple[Fault, ...]]:
    """The faults of each way, by its id, the first standing for all."""
    found: dict[str, dict[str, Fault]] = {way.id: {} for way in NETWORK_WAYS}
    for ways, lines in _lines():
        for fault in faults_of(ways, lines, NP):
            found[fault.way].setdefault(fault.id, fault)
    return {way: tuple(faults.values()) for way, faults in found.items()}


def network_fault(name: str) -> Fault | None:
    """The fault, or the first of the way, of that id; ``@layer-2`` and its like do not count."""
    bare = name.partition("@")[0]
    faults = network_faults()
    if bare in faults:
        return next(iter(faults[bare]), None)
    return next((fault for each in faults.values() for fault in each if fault.id == bare), None)


def markdown() -> str:
    """The list as the second half of the page docs/faults.md."""
    faults = network_faults()
    parts = [HEADING]
    for entry in (*ENTRIES, *NETWORK_ENTRIES):
        rows = [(way, faults[way.id][0]) for way in NETWORK_WAYS if faults[way.id][0].equation == entry.id]
        if rows:
            parts.append(f"\n## {entry.id}: {entry.title}\n\n{entry.formula}\n")
            parts.append("| fault | what is wrong | written | belongs there | why |\n| --- | --- | --- | --- | --- |")
            parts += [_row(way, fault) for way, fault in rows]
    return "\n".join(parts) + "\n"


def _row(way: Way, fault: Fault) -> str:
    written, right = ("<br>".join(f"`{line}`" for line in lines[:2]) for lines in (fault.code, fault.right))
    return f"| {way.id}{' •' * way.common} | {fault.says} | {written} | {right} | {way.why} |"
