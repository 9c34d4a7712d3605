"""A block whose derivative is lost beside the loss, or in rounding, looked at where it is loud.

Beside a constant of 1e8 nothing shows the last digits of a derivative of 1; beside an output layer a thousand times as
large it shows them all. So blocks of the point are scaled, one after the other, as long as that makes the derivative of
the block larger beside the loss, or, where it is large beside it already, larger: what cancels does not any more. The
gradient itself says which scaling does. What agrees there to all digits agrees here as finely as is seen here, and
nothing says that it does not further down; what does not agree there is no proof, since the point is another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from math import inf

import numpy as np

from bptt_check import frugal
from bptt_check.bench import Bench, float_of, scaled
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.subject import Array

FACTORS = (32.0, 2.0, 0.5, 1 / 32)
FLIPPED = (-32.0, -1.0)  # a bias that closes a gate opens it then; but what is beyond a kink is another function
ROUNDS = 10  # of scaling one block more
MOST = 200  # losses and gradients that a search may take
LOUD = 1e-2  # share of the loss beyond which it does not matter how large a block's effect is beside it
BETTER = 1.25  # how many times larger the effect must become for a scaling to count
SEEN = 0.5  # share of the entries asked about that must be seen finely

Score = tuple[float, float]


def agrees(bench: Bench, name: str, entries: Array, resolution: float) -> bool:
    """Whether most of some entries of a block are seen as finely as asked where they are loud, and agree there."""
    unseen = entries
    for factors in chain(_louder(bench, name, entries, FACTORS), _louder(bench, name, entries, (*FACTORS, *FLIPPED))):
        try:
            there = bench.moved(factors)
            found = frugal.look(there, resolution, [name]) if there else None
        except (SubjectFailed, SubjectError):
            continue
        if there is None or found is None or name not in found.blocks:
            continue
        size = np.abs(there.gradient[name].reshape(-1)[unseen])
        unseen = unseen[~(size >= found.cuts[name])]
        if len(unseen) <= (1 - SEEN) * len(entries):
            return True
    return False


def _louder(bench: Bench, name: str, entries: Array, by: Sequence[float]) -> Iterator[Mapping[str, float]]:
    """Factors by block, each louder than those before."""
    factors: dict[str, float] = {}
    best = _score(bench, name, entries, factors)
    tried = 0
    promising = list(bench.point)
    for _ in range(ROUNDS):
        scores: dict[str, tuple[Score, float]] = {}
        for key in promising:
            for factor in by if bench.point[key].any() else ():
                found = _score(bench, name, entries, {**factors, key: factor * factors.get(key, 1.0)})
                tried += 1
                if key not in scores or found > scores[key][0]:
                    scores[key] = found, factor
        promising = sorted(scores, key=lambda key: scores[key], reverse=True)[: max(3, len(scores) // 2)]
        if not promising or not _is_louder(scores[promising[0]][0], best) or tried > MOST:
            return
        best, factor = scores[promising[0]]
        factors = {**factors, promising[0]: factor * factors.get(promising[0], 1.0)}
        yield factors


def _is_louder(one: Score, other: Score) -> bool:
    return one[0] > BETTER * other[0] or (one[0] >= other[0] == LOUD and one[1] > BETTER * other[1])


def _score(bench: Bench, name: str, entries: Array, factors: Mapping[str, float]) -> Score:
    """How loud a block is at a scaled point, beside the loss and by itself: the median over some of its entries."""
    point = scaled(bench.point, factors)
    bench.bill.gradients += 1
    try:
        size = abs(float(float_of(bench.loss(point))))
        a = bench.subject.gradient(point)[name].astype(float).reshape(-1)[entries]
    except (SubjectFailed, SubjectError, KeyError):
        return -inf, -inf
    effect = float(np.median(np.abs(a))) * (float(np.abs(point[name]).max(initial=0)) or 1.0)
    if not (np.isfinite(size) and np.isfinite(effect)):
        return -inf, -inf
    return min(effect / size, LOUD) if size else LOUD, effect
