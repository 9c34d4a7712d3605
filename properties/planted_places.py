"""Mistakes that strike some places of a block alone: rows, columns, parts, the diagonal, time steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from planting import Array, Case, Planted, plant


def _placed(kind: str, name: str, mask: Callable[[Case, tuple[int, ...]], Array], **needs: Any) -> None:
    def made(case: Case) -> Planted:
        a = case.computed()
        where = mask(case, a[name].shape)
        how = case.rng.integers(3)
        noise = np.abs(a[name]).max() * (0.1 + case.rng.random(a[name].shape))
        a[name] = np.where(where, [-a[name], 0 * a[name], a[name] + noise][how], a[name])
        only = "is wrong" if kind == "steps-wrong" else "is right but for"
        zero = "is zero" if kind == "steps-wrong" else "where it is zero"  # the same, said from the other side
        says = ["where it is −1 times", zero, only][how]
        return Planted(a, kind, (name,), says, [-1.0, 0.0, None][how])

    plant(f"{kind}: {name}", **needs)(made)


def _rows(case: Case, shape: tuple[int, ...]) -> Array:
    return np.indices(shape)[0] == case.rng.integers(shape[0])


_placed("rows", "V", _rows, H=3)
_placed("rows", "W_fh", _rows, H=5)
_placed("columns", "V", lambda c, s: np.indices(s)[1] >= s[1] - 2, H=3, D=3)
_placed("columns", "W_fh", lambda c, s: np.indices(s)[1] == c.rng.integers(s[1]), H=5)
_placed("part", "V", lambda c, s: np.indices(s)[0] // c.H == c.rng.integers(4), H=2)
_placed("part", "c", lambda c, s: np.indices(s)[0] // c.H == c.rng.integers(4), H=5)
_placed("corner", "V", lambda c, s: (np.indices(s)[0] // c.H == 1) & (np.indices(s)[1] >= c.D), H=3, D=2)
_placed("diagonal", "W_fh", lambda c, s: np.eye(*s) > 0, H=5)
_placed("off-diagonal", "W_fh", lambda c, s: np.eye(*s) == 0, H=5)
_placed("triangle", "W_fh", lambda c, s: np.tril(np.ones(s)) > 0, H=5)
_placed("steps-wrong", "x", lambda c, s: np.indices(s)[0] < c.rng.integers(1, s[0]), T=3, B=2, D=2)
_placed("entries", "c", lambda c, s: np.indices(s)[0] >= s[0] - 5, H=5)
