"""Both sides of one block, and what it is worth that its numbers are those which some mistake would have made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

TELLING = 32  # entries looked at first
ULPS = 4.0  # how far a right number may be off once a mistake has been worked on it: one more operation
REST = 0.01  # residual that no tolerance excuses: a block lost in it would be anything one likes
BITS = 50.0  # the most that one entry can tell
COVERED = 0.3  # share of the wrong entries that a mistake must say something about


@dataclass(frozen=True, eq=False)
class Side:
    """One block: the analytic gradient ``a``, the reference derivative ``r`` and their tolerance, of one shape.

    ``r`` is NaN where nothing was compared.
    """

    name: str
    a: Array
    r: Array
    tolerance: Array

    @cached_property
    def known(self) -> Array:
        """Entries that were compared."""
        return np.isfinite(self.r) & np.isfinite(self.tolerance)

    @cached_property
    def difference(self) -> Array:
        """|a − r|, infinite where ``a`` is not finite, zero where nothing was compared."""
        with np.errstate(all="ignore"):
            off = np.where(np.isfinite(self.a), np.abs(self.a - self.r), np.inf)
        return np.where(self.known, off, 0.0)

    @cached_property
    def wrong(self) -> Array:
        """Entries that disagree."""
        return self.known & (self.difference > np.where(self.known, self.tolerance, 0.0))

    @cached_property
    def slack(self) -> Array:
        """The tolerance, at least a few ulps of either side, and never zero."""
        with np.errstate(all="ignore"):
            least = np.fmax(self.ulps, ULPS * self.eps * np.abs(self.r))
            return np.asarray(np.fmax(self.tolerance, least))

    @cached_property
    def ulps(self) -> Array:
        """What the last operation alone has rounded, never zero."""
        return np.asarray(ULPS * self.eps * np.abs(self.a) + np.finfo(self.a.dtype).tiny)

    @property
    def eps(self) -> float:
        """Relative spacing of the numbers of both sides."""
        return float(np.finfo(self.a.dtype).eps)

    def part(self, index: Any) -> Side:
        """The same for some entries."""
        return Side(self.name, self.a[index], self.r[index], self.tolerance[index])

    @cached_property
    def telling(self) -> tuple[tuple[Array, ...], Array, Array]:
        """The entries that are off by most in units of their tolerance: where, what is there, and the slack there.

        Whatever explains the block explains them.
        """
        with np.errstate(all="ignore"):
            ratio = np.where(self.wrong, np.nan_to_num(self.difference / self.slack), -1.0).reshape(-1)
        few = np.argpartition(-ratio, min(TELLING, ratio.size - 1))[:TELLING]
        at = np.unravel_index(few[ratio[few] > 0], self.a.shape)
        return at, self.a[at], self.slack[at]

    def fit(self, predicted: Array, spread: Array | None = None) -> Fit:
        """How well the block is what a mistake would have made of it.

        ``predicted`` is NaN where the mistake says nothing; ``spread`` is what rounding does to the prediction, where
        that is more than the tolerance.
        """
        if self.a.ndim:
            at, a, slack = self.telling
            with np.errstate(all="ignore"):
                p = predicted[at]
                slack = np.maximum(slack, ULPS * self.eps * np.abs(p))
                slack = slack if spread is None else np.fmax(slack, spread[at])
                if (~(np.abs(a - p) <= slack) & np.isfinite(p)).any():
                    return CONTRADICTED
        return self._fit(predicted, spread)

    def _fit(self, predicted: Array, spread: Array | None) -> Fit:
        with np.errstate(all="ignore"):
            slack = self.slack if spread is None else np.fmax(self.slack, spread)
            slack = np.fmax(slack, ULPS * self.eps * np.abs(predicted))
            known = self.known & np.isfinite(predicted)
            off = np.where(known, np.where(np.isfinite(self.a), np.abs(self.a - predicted), np.inf), 0.0)
            told = known & (np.abs(predicted - self.r) > slack)
            each = np.clip(np.log2(self.difference[told] / slack[told]), 0.0, BITS)
            size = norm(self.a[known])
            residual = norm(off) / size if size else float(bool(off.any()))
        covered = np.count_nonzero(self.wrong & known) >= COVERED * np.count_nonzero(self.wrong)
        exact = bool(covered and told.any() and not (off[known] > slack[known]).any())
        exact = exact and (residual <= REST or not predicted[known].any())
        return Fit(exact, float(each.sum()), float(each.max(initial=0.0)), int(told.sum()), residual)


@dataclass(frozen=True)
class Fit:
    """How well one block agrees with a prediction.

    ``exact``: to rounding, in every entry. ``bits``: how unlikely that is by chance, from the size of the error that
    is explained in units of its tolerance; ``most`` those of the entry that tells most; ``entries`` how many tell
    anything. ``residual`` is ‖a − prediction‖ / ‖a‖.
    """

    exact: bool
    bits: float
    most: float
    entries: int
    residual: float


CONTRADICTED = Fit(False, 0.0, 0.0, 0, float("inf"))  # an entry is not as predicted; the others were not looked at


def norm(values: Array) -> float:
    """The Euclidean norm, without overflow; infinite where an entry is."""
    largest = float(np.abs(values).max(initial=0))
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.sqrt(np.sum((values / largest) ** 2)))


def sides(analytic: Mapping[str, Array], reference: Mapping[str, Array], tolerance: Mapping[str, Array]) -> list[Side]:
    """All blocks of which both sides are there and of one shape; complex and empty ones are left out."""
    found = []
    for name, values in analytic.items():
        if name not in reference or name not in tolerance or np.iscomplexobj(values) or not np.size(values):
            continue
        kind = np.result_type(values, reference[name], np.float64)
        a, r = np.asarray(values).astype(kind), np.asarray(reference[name]).astype(kind)
        if a.shape == r.shape:
            allowed = np.broadcast_to(np.asarray(tolerance[name], kind), a.shape)
            found.append(Side(name, a, r, allowed))
    return found
