"""Several blocks that are gravely off, looked at again all at once, so that a wrong line costs no second look a block.

A second look asks whether it is the gradient that is off or the measurement. One direction that runs through all of
what is off, each block with a random weight, answers for all: a difference quotient along it either finds the sum of
what was found block by block, and no kink, or it does not. Only where it does not is each block looked at on its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY
from bptt_check.differences import Method, Richardson
from bptt_check.differences.estimate import Estimate
from bptt_check.differences.evaluate import along
from bptt_check.differences.ladder import laddered
from bptt_check.sides import one_sided
from bptt_check.stairs import climbs
from bptt_check.subject import Array

GRAVE = 1e3  # how far beyond all that rounding inside could do, so that rounding need not be looked at
SHARE = 0.05  # of what one block is off by, within which the quotient must find the sum of all
LEAST = 0.25  # of what one block is off by, that the sum of all is at least
FEWEST = 2  # blocks: one alone is looked at on its own


def settled(bench: Bench, off: Mapping[str, tuple[Array, float]]) -> frozenset[str]:
    """The names in ``off`` whose discrepancy is borne out; none of them where one quotient cannot say so.

    ``off`` has, by block, a direction in it and the reference's derivative along it less the gradient's prediction.
    """
    usable = {name: (v, gap) for name, (v, gap) in off.items() if np.isfinite(gap) and gap != 0}
    if len(usable) < FEWEST:
        return frozenset()
    weights = bench.rng.uniform(0.5, 1.5, len(usable))
    signs = bench.rng.choice([-1.0, 1.0], len(usable))
    while abs(weights @ signs) < LEAST:  # a kink that the blocks have in common would stand still
        signs = bench.rng.choice([-1.0, 1.0], len(usable))
    v = {name: w * s * part / gap for (name, (part, gap)), w, s in zip(usable.items(), weights, signs, strict=True)}
    expected = float(weights @ signs)
    norm = bench.norm(v)
    point = bench.reference.point
    kind = np.result_type(*point.values())
    unit = {name: part.astype(kind) / norm for name, part in v.items()}

    def by(method: Method) -> Estimate:
        return along(method, bench.loss, point, unit, noise=bench.reference.noise, stacked=bench.subject.stacked)

    quotient = by(Richardson()) if bench.reference.exact else laddered(by)
    predicted = sum(np.sum(part * bench.gradient[name]) for name, part in v.items())
    found = float(quotient.value * norm - predicted)
    unsure = REFERENCE_SAFETY * float(quotient.error) * norm
    if not abs(found - expected) + unsure <= SHARE:
        return frozenset()
    left, right, blurred = one_sided(bench, v)
    kinked = not abs(right - left) + blurred <= SHARE * min(1.0, abs(expected))
    if kinked or (not bench.reference.exact and climbs(bench, v)):
        return frozenset()
    return frozenset(usable)
