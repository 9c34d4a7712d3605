"""Group testing: from "this direction disagrees" to the entry, with O(k log n) evaluations.

A few entries are looked at one by one first: where most of those are wrong the disagreement is dense, and the sample
says enough. Otherwise the direction is halved again and again, following the halves that disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
SAMPLE = 6
MOST = 8


def locate(
    size: int,
    *,
    off: Callable[[Array], tuple[float, float]],
    is_wrong: Callable[[int], bool],
    likely: Array,
    rng: np.random.Generator,
    evaluations: int = 80,
) -> tuple[list[int], bool]:
    """Flat indices of wrong entries among ``size``, and whether the fault is dense.

    ``off(entries)`` gives the discrepancy of a group along one fixed direction and the tolerance for it,
    ``is_wrong(entry)`` looks at one entry alone; each call costs one evaluation. The discrepancy of the other half is
    the difference, so that halving costs one evaluation a level. ``likely`` are entries to sample first.
    """
    sample = list(dict.fromkeys([*(int(k) for k in likely), *(int(k) for k in rng.permutation(size)[:SAMPLE])]))[
        :SAMPLE
    ]
    wrong = [k for k in sample if is_wrong(k)]
    if len(wrong) * 2 > len(sample) or size <= len(sample):
        return wrong, len(wrong) * 2 > len(sample)
    found, left = list(wrong), evaluations - len(sample) - 1
    everything = np.setdiff1d(np.arange(size), np.array(sample))
    groups = [(*off(everything), everything)]
    while groups and left > 0 and len(found) < MOST:
        discrepancy, tolerance, group = groups.pop()
        if abs(discrepancy) <= tolerance:
            continue
        left -= 1
        if len(group) == 1:
            found += [int(group[0])] if is_wrong(int(group[0])) else []
            continue
        first, second = np.array_split(group, 2)
        in_first, tolerance_of_first = off(first)
        groups += [(in_first, tolerance_of_first, first), (discrepancy - in_first, tolerance, second)]
        groups.sort(key=lambda item: abs(item[0]))  # the largest discrepancy next
    return found, False
