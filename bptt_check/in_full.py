"""Wrong blocks of which a few entries were looked at, shown in full once a diagnosis knows the right gradient.

That a block is gravely wrong a few evaluations tell. Which of its entries is most wrong, at which steps, and whether
all of it is a multiple of what it should be takes the right value of each entry, which a diagnosis has measured for
the sake of its causes. They count only where they give what was measured here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bptt_check.alone import beside, judged
from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY, Comparison
from bptt_check.confirm import Confirmed
from bptt_check.looking import Looked, found_in
from bptt_check.results import Verdict
from bptt_check.subject import Array


def in_full(
    bench: Bench, looked: Looked, right: Mapping[str, Array], tolerance: Mapping[str, Array], resolution: float
) -> Looked:
    """What was looked at, the blocks that were shown by a few entries taken from ``right`` where that has them all.

    ``right`` and ``tolerance`` are by block, and NaN where an entry is not known.
    """
    blocks, confirmed = dict(looked.blocks), dict(looked.confirmed)
    names = looked.few & right.keys()
    if not names:
        return looked
    for name in names:
        whole = _whole(bench, looked.confirmed[name].comparison, right[name], tolerance[name])
        if whole is None:
            continue
        found = judged(bench, Confirmed(whole), resolution)
        if found.verdict is Verdict.DISAGREES:
            blocks[name], confirmed[name] = found, Confirmed(whole)
    return replace(looked, blocks=blocks, findings=found_in(bench, confirmed), confirmed=confirmed)


def _whole(bench: Bench, measured: Comparison, right: Array, tolerance: Array) -> Comparison | None:
    """All entries of a block beside the right ones; ``None`` where these are not what was measured."""
    values, off = right.reshape(-1), tolerance.reshape(-1)
    if values.size != np.prod(measured.shape) or not np.isfinite(values).all():
        return None
    differ = np.abs(values[measured.entries] - measured.reference)
    if not (differ <= off[measured.entries] + REFERENCE_SAFETY * measured.error).all():
        return None
    return beside(bench, measured.name, right, tolerance)
