"""How a tiny change goes through a step, cell by cell: the product rule on F3–F8, with slopes of the activations given.

Used by tangents.py, and by imaginary.py where columns are few; each brings slopes of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from bptt_check.lstm.entries import FIRST_TIMED, FROM_MEMORY_NOW, FROM_X, Columns, Layout
from bptt_check.lstm.variants import Gate

Array = np.ndarray[Any, Any]
Factors = Mapping[str, Array]  # by state, (T, B, H)
Injections = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Rules:
    """The factors by which a change is multiplied on its way through the steps.

    ``weights``, ``x`` (T, B, D) and ``states``, (T+1, B, H) each, from step 0 on: the cell, and what weights see.
    ``effect[node][state]``: which states a change of an intermediate reaches within its step at a given s(t). ``old``:
    what comes straight from s(t−1); ``by_s``: what goes through s(t).
    """

    layout: Layout
    weights: Mapping[str, Array]
    x: Array
    states: Factors
    effect: Mapping[str, Factors]
    old: Factors
    by_s: Factors

    @cached_property
    def matrices(self) -> Array:
        """What each z_k changes by with the carried states of t−1 and with x(t): (blocks, H, rows of states and D)."""
        layout = self.layout
        made = np.zeros((len(layout.blocks), layout.H, len(layout.carried) * layout.H + layout.D), self.x.dtype)
        for k, columns, name in layout.matrix_places:
            made[k, :, columns] = self.weights[name]
        return made

    def sight(self, b: int) -> Array:
        """All that a weight can have seen at each step, one beside the other: x(t), states of t−1, 1, and s(t)."""
        D, H, at = self.layout.D, self.layout.H, self.layout.at
        sight = np.ones((len(self.x), D + max(at.values()) + 2 * H), self.x.dtype)
        sight[:, :D], sight[:, -H:] = self.x[:, b], self.states["s"][1:, b]
        for name in self.layout.carried:
            sight[:, D + at[name] : D + at[name] + H] = self.states[name][:-1, b]
        return sight


def rules_of(
    layout: Layout, weights: Mapping[str, Array], x: Array, states: Factors, value: Factors, slope: Factors
) -> Rules:
    """The rules at ``value``, of g, i, f, o and a = a(s), with the slopes of g, of the gates and of a; (T, B, H)."""
    variant, before = layout.variant, states["s"][:-1]
    g, i, f, o, a = (value[k] for k in "gifoa")
    one = np.ones_like(g)
    coupled = variant.forget_gate is Gate.COUPLED
    effect: dict[str, dict[str, Array]] = {
        "g": {"s": i}, "i": {"s": g - before if coupled else g}, "f": {"s": before}, "s": {"s": one},  # as F7, F5
        "o": {"h": a}, "h": {"h": one},                                      # as F8
    }
    by_s = {"h": slope["a"] * o}                                             # as F8
    if variant.gate_recurrence:
        effect |= {k: {**effect[k], k: one} for k in ("i", "f", "o")}
        effect["i"] |= {"f": -one} if coupled else {}                        # as F5, f = 1 − i
    if "o" in variant.peepholed:                                             # as F6, peephole of s(t)
        for out, e in effect["o"].items():
            by_s[out] = by_s.get(out, 0) + e * slope["o"] * weights["p_o"]
    for k in layout.blocks:                                                  # as F3–F6
        effect[f"z_{k}"] = {out: slope[k] * e for out, e in effect[k].items()}
    old: dict[str, Array] = {"s": f}                                         # as F7
    for k in variant.peepholed:                                              # as F2, peepholes of s(t−1)
        for out, e in effect[f"z_{k}"].items() if k != "o" else ():
            old[out] = old.get(out, 0) + e * weights[f"p_{k}"]
    return Rules(layout, weights, x, states, effect, old, by_s)


def seen_by(layout: Layout, lasting: Columns) -> Array:
    """Where in such a row of all that can be seen each weight's own input stands."""
    sees = lasting.source + np.where(lasting.key == FROM_X, 0, layout.D)
    now = lasting.key == FROM_MEMORY_NOW
    sees[now] += max(layout.at.values()) + layout.H - layout.at["s"]
    return sees


def injections_of(layout: Layout, effect: Mapping[str, Factors], chunk: Columns) -> Injections:
    """Where weights act on the states (flat), through which of the factors of z, and what their columns see.

    The states stand below each other, without the row of ones; the factors too, for each state those of all z. Kept
    with the chunk.
    """
    if (found := chunk.worked_out.get("injections")) is None:
        weights = chunk[: int(np.searchsorted(chunk.key, FIRST_TIMED))]
        sees, block, cell = seen_by(layout, weights), *np.divmod(weights.row, layout.H)
        parts = []
        for place, out in enumerate(layout.carried):
            through = [layout.z[k] // layout.H for k in layout.blocks if out in effect[f"z_{k}"]]
            mine = np.flatnonzero(np.isin(block, through))
            to = (place * layout.H + cell[mine]) * len(chunk) + mine
            parts.append((to, place * len(layout.blocks) * layout.H + weights.row[mine], sees[mine]))
        found = chunk.worked_out["injections"] = tuple(map(np.concatenate, zip(*parts, strict=True)))
    return found
