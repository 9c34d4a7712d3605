"""Columns that go through the steps linearly, where there are so few that NumPy's calls cost more than their numbers.

What tangents.py and imaginary.py do for few columns. All steps are laid out at once: how the states change with those
of the step before, and what the entries put into them. A step is one product and one sum then.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bptt_check.lstm.entries import Columns
from bptt_check.lstm.linear import Rules, injections_of

Array = np.ndarray[Any, Any]
FEW_NUMBERS = 2**16  # of z of all columns and steps; up to so many, columns are few


def through_time(rules: Rules, b: int, chunk: Columns, amount: Array | None = None) -> Array:
    """The changes of h(t), (T, H, N), with the entry of each column of sequence b changed by its ``amount`` (N,), or 1.

    ``change``: how the states of each step change with those before; ``put``: what the entries put into them.
    """
    layout, T, N, kind = rules.layout, len(rules.x), len(chunk), rules.x.dtype
    H, carried, height = layout.H, layout.carried, len(layout.carried) * layout.H
    slab = {out: slice(place * H, place * H + H) for place, out in enumerate(carried)}
    s = slab["s"]
    by_z = np.zeros((T, len(carried), len(layout.blocks), H), kind)
    for at_k, k in enumerate(layout.blocks):
        for out, e in rules.effect[f"z_{k}"].items():
            if out in slab:
                by_z[:, carried.index(out), at_k] = e[:, b]
    change = (by_z[..., None] * rules.matrices).sum(axis=2)                  # as F3–F8
    change = change.reshape(T, height, height + layout.D)                    # with the states, and with x(t)
    for out, e in rules.old.items():
        if out in slab:                                                      # cell by cell: along a diagonal
            start, row = slab[out].start * (height + layout.D) + s.start, height + layout.D + 1
            along = change.reshape(T, -1)[:, start : start + H * row : row]
            along += e[:, b]                                                 # as F7
    put = np.zeros((T + 1, height, N), kind)
    to, rows, sees = injections_of(layout, rules.effect, chunk)
    put.reshape(T + 1, -1)[1:, to] = by_z.reshape(T, -1).take(rows, axis=1) * rules.sight(b).take(sees, axis=1)
    for node, mine in chunk.once.items():
        t, row_of = chunk.start[mine], chunk.row[mine]
        if node == "x":
            put[t, :, mine] = change[t - 1, :, height + row_of]
        elif node.endswith("0"):
            put[0, slab[node[0]].start + row_of, mine] = 1
        else:
            for out, e in rules.effect[node].items():
                if out in slab:
                    put[t, slab[out].start + row_of, mine] = e[t - 1, b, row_of]
    if amount is not None:
        put *= amount
    for out, e in rules.by_s.items():
        if out in slab:
            of_s, change_out, put_out = e[:, b, :, None], change[:, slab[out]], put[1:, slab[out]]
            change_out += of_s * change[:, s]                                # as F8
            put_out += of_s * put[1:, s]
    of_states = np.empty_like(put[0])
    for of_t, before, now in zip(change[:, :, :height], put, put[1:], strict=False):
        now += np.matmul(of_t, before, out=of_states)
    return np.asarray(put[1:, slab["h"]])
