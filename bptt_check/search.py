"""Group testing: from "this direction disagrees" to the entry, with O(k log n) evaluations.

A few entries are looked at one by one first: where most of those are wrong the disagreement is dense, and the sample says
enough. Otherwise the direction is halved again and again, following the halves that disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Discrepancy = Callable[[Array], float]

SAMPLE = 6
MOST = 8


def locate(
    size: int,
    *,
    disagrees: Callable[[Array], bool],
    is_wrong: Callable[[int], bool],
    likely: Array,
    rng: np.random.Generator,
    evaluations: int = 120,
) -> tuple[list[int], bool]:
    """Flat indices of wrong entries among ``size``, most convincing halves first, and whether the fault is dense.

    ``disagrees(entries)`` tests a group along its direction, ``is_wrong(entry)`` one entry alone; each call costs one
    evaluation. ``likely`` are entries to sample first.
    """
    sample = list(dict.fromkeys([*(int(k) for k in likely), *(int(k) for k in rng.permutation(size)[:SAMPLE])]))[
        :SAMPLE
    ]
    wrong = [k for k in sample if is_wrong(k)]
    if len(wrong) * 2 > len(sample) or size <= len(sample):
        return wrong, len(wrong) * 2 > len(sample)
    left = evaluations - len(sample)
    found = list(wrong)
    groups = [np.setdiff1d(np.arange(size), np.array(sample))]
    while groups and left > 0 and len(found) < MOST:
        group = groups.pop()
        left -= 1
        if not disagrees(group):
            continue
        if len(group) == 1:
            found += [int(group[0])] if is_wrong(int(group[0])) else []
            continue
        middle = len(group) // 2
        groups += [group[middle:], group[:middle]]
    return found, False
