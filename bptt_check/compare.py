"""A gradient against its reference derivative: verdict and resolution. The rule, whole, and its constants.

For each entry, with a the analytic and r the reference derivative:

    tolerance = ROUNDING_SAFETY × rounding level (rounding.py) + REFERENCE_SAFETY × error estimate of r
    DISAGREES where |a − r| > tolerance

Nothing in it is for the user to guess. docs/verdicts.md shows the distributions from which the constants were taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.differences.estimate import Estimate
from bptt_check.results import Block, Result, Verdict

Array = np.ndarray[Any, Any]

ROUNDING_SAFETY = 32.0
REFERENCE_SAFETY = 10.0
FLOOR_SAFETY = 50.0  # how far above the best that a method can do an entry's floor lies


ZERO = 64.0  # ulps of the largest sensitivity up to which a gradient may be nothing but rounding
NO_DIGIT = 0.5  # share of the largest entry that the largest difference is where nothing is common to both


@dataclass(frozen=True)
class Comparison:
    """Some entries of one block, side by side. All arrays are one-dimensional and of one length.

    ``entries`` are flat indices into the block; ``level`` the rounding level; ``error`` the reference's error estimate;
    ``noise`` the part of it that no better step could remove (zero for a complex step). ``sensitivity`` is the largest
    derivative, in this block's units, that the loss has with respect to anything; ``eps`` the subject's precision.
    ``step`` is that of each reference, where it is a difference.
    ``own`` is the gradient as the subject hands it out, where ``analytic`` is one evaluated in a higher precision:
    verdicts come from ``analytic``, the error that is shown from ``own``.
    """

    name: str
    shape: tuple[int, ...]
    entries: Array
    analytic: Array
    reference: Array
    level: Array
    rounding_floor: Array
    error: Array
    noise: Array
    sensitivity: float = 0.0
    eps: float = float(np.finfo(float).eps)
    own: Array | None = None
    step: Array | None = None

    @property
    def tolerance(self) -> Array:
        """What |analytic − reference| may be without anything being wrong."""
        return np.asarray(ROUNDING_SAFETY * self.level + REFERENCE_SAFETY * self.error + self.underflow)

    @property
    def underflow(self) -> float:
        """The smallest number that the subject's own precision holds with all its digits: what is less may be 0."""
        kind = next((kind for kind in (np.float64, np.float32) if self.eps <= np.finfo(kind).eps), np.float16)
        return float(np.finfo(kind).tiny)

    @property
    def difference(self) -> Array:
        """|analytic − reference|; infinite where the analytic gradient is not finite."""
        off = np.abs(self.analytic - self.reference)
        return np.where(np.isfinite(self.analytic), off, np.inf)

    @property
    def wrong(self) -> Array:
        """Which entries disagree."""
        return np.asarray(self.difference > self.tolerance)

    @property
    def size(self) -> Array:
        """The larger of |analytic| and |reference|; 0 where both may have underflown."""
        size = np.maximum(np.where(np.isfinite(self.analytic), np.abs(self.analytic), 0), np.abs(self.reference))
        return np.where(size < self.underflow, 0, size)

    def floor(self, resolution: float) -> Array:
        """Size below which no method could show a relative error of ``resolution`` in an entry."""
        below = (ROUNDING_SAFETY * self.rounding_floor + FLOOR_SAFETY * self.noise) / resolution
        if self.analytic.any():
            return np.asarray(below)
        return np.maximum(below, ZERO * self.eps * self.sensitivity)  # a block of zeros: rounding of the reference

    def seen(self, resolution: float) -> Array:
        """The smallest relative error that would have been seen in each entry; 0 for entries below their floor."""
        size = self.size
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((size >= self.floor(resolution)) & (size > 0), self.tolerance / size, 0.0)

    def hidden(self, resolution: float) -> bool:
        """Whether the whole block lies below its floor, so that nothing of it was really seen.

        A gradient of zero (exactly, or but for rounding) has no relative error; there it must be seen that nothing of
        the share ``resolution`` of the largest sensitivity is missing.
        """
        nothing = not self.size.any() and not (self.size.size and self.sensitivity)
        if nothing or (self.size >= self.floor(resolution)).any():
            return False
        if self.is_nothing:
            return bool(self.tolerance.max() > resolution * self.sensitivity)
        return bool((self.tolerance > resolution * self.size).all())

    @property
    def is_nothing(self) -> bool:
        """Whether the gradient is zero, exactly or but for rounding; ``False`` of no entries."""
        return bool(self.analytic.size and np.abs(self.analytic).max() <= ZERO * self.eps * self.sensitivity)


def judge(comparison: Comparison, *, resolution: float, equation: str | None = None, timed: bool = False) -> Block:
    """Verdict, worst entry and resolution of one block. ``resolution`` is the one asked for."""
    c = comparison
    scale = np.maximum(np.maximum(c.size, c.floor(resolution)), c.underflow)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        shown = c.analytic if c.own is None else c.own
        off = np.where(np.isfinite(shown), np.abs(shown - c.reference), np.inf)
        relative = np.where(off > 0, off / scale, 0.0)
        ratio = np.where(c.difference > 0, c.difference / c.tolerance, 0.0)
    seen = c.seen(resolution)
    wrong = c.wrong
    hidden = c.hidden(resolution)
    undecided = hidden or bool((~np.isfinite(c.reference)).any() or (seen > resolution).any())
    ranking = np.where(wrong, relative, -1.0) if wrong.any() else relative
    worst = int(np.nanargmax(ranking)) if len(ranking) and not np.isnan(ranking).all() else None
    undecided = undecided or (worst is None and 0 not in c.shape)  # where there is no entry, none is left open
    verdict = Verdict.DISAGREES if wrong.any() else Verdict.INCONCLUSIVE if undecided else Verdict.AGREES
    return Block(
        name=c.name,
        verdict=verdict,
        shape=c.shape,
        equation=equation,
        compared=len(c.entries),
        max_relative_error=None if worst is None else float(relative[worst]),
        tolerance_ratio=None if worst is None else float(np.nanmax(ratio)),
        index=None if worst is None else tuple(int(k) for k in np.unravel_index(int(c.entries[worst]), c.shape)),
        analytic=None if worst is None else float(shown[worst]),
        reference=None if worst is None else float(c.reference[worst]),
        resolution=None if _has_no_digit(c) and not seen.any() else _resolution(seen, c, resolution),
        by_step=_by_step(relative, c) if timed else None,
        norms=_norms(shown, c) if timed else None,
        note=_how_many(wrong) or ("too small to be seen beside the noise" if hidden else ""),
    )


def _has_no_digit(c: Comparison) -> bool:
    """Whether a gradient is zero but for rounding, and its derivative as well: no digit of it is one of the other's."""
    return c.is_nothing and bool(c.difference.max() >= NO_DIGIT * c.size.max())


def plainly(
    name: str, analytic: Array, estimate: Estimate, *, resolution: float = 1e-6, equation: str | None = None
) -> Block:
    """A whole block against a numerical derivative by its error estimate alone: the rule without its refinements.

    ``analytic`` is shaped as the block, ``estimate`` has one value an entry. The rounding of the gradient is taken to
    be an ulp of each entry and of the block's largest.
    """
    a, eps = analytic.reshape(-1), float(np.finfo(analytic.dtype).eps)
    floor = np.full(a.shape, eps * np.abs(a).max(initial=0.0))
    level, entries = floor + eps * np.abs(a), np.arange(a.size)
    c = Comparison(
        name, analytic.shape, entries, a, estimate.value, level, floor, estimate.error, estimate.roundoff
    )  # fmt: skip
    return judge(c, resolution=resolution, equation=equation, timed=is_timed(name))


def is_timed(name: str) -> bool:
    """Whether the first axis of a block is time: inputs and intermediates."""
    return name == "x" or name.endswith("(t)")


def _resolution(seen: Array, c: Comparison, asked: float) -> float | None:
    """The coarsest over the entries above their floor, and over those below it that are seen as finely as asked.

    Of the largest entry where all are below it and too blunt.
    """
    tolerance, size = c.tolerance, c.size
    fine = (tolerance <= asked * size) & (size > 0)
    if seen.any() or fine.any():
        return float(np.maximum(seen, np.divide(tolerance, size, out=np.zeros(len(size)), where=fine)).max())
    largest = float(size.max(initial=0.0))
    return float(tolerance[int(size.argmax())] / largest) if largest else None


def _by_step(relative: Array, c: Comparison) -> tuple[float, ...] | None:
    if len(c.entries) != int(np.prod(c.shape)):
        return None
    return tuple(float(step) for step in relative.reshape(c.shape[0], -1).max(axis=1))


def _norms(shown: Array, c: Comparison) -> tuple[tuple[float, float], ...] | None:
    """Of the analytic and of the reference derivative at each step."""
    if len(c.entries) != int(np.prod(c.shape)):
        return None
    return tuple(zip(*(norms_by_step(side.reshape(c.shape)) for side in (shown, c.reference)), strict=True))


def norms_by_step(derivative: Array) -> list[float]:
    """Euclidean norms of a derivative, (T, …), at each step; nothing is lost to a square too small or too large."""
    steps = np.abs(derivative).reshape(len(derivative), -1)
    largest = steps.max(axis=1, initial=0.0)
    with np.errstate(invalid="ignore"):
        unit = np.where(np.isfinite(largest) & (largest > 0), largest, 1)
        return [float(norm) for norm in unit * np.sqrt(((steps / unit[:, None]) ** 2).sum(axis=1))]


def _how_many(wrong: Array) -> str:
    count = int(wrong.sum())
    return f"{count} of {len(wrong)} entries disagree" if count else ""


def overall(blocks: list[Block], *, optional: frozenset[str], faulty: bool) -> Verdict:
    """The verdict on the whole subject; zero compared is never AGREES."""
    verdicts = {b.verdict for b in blocks if not (b.verdict is Verdict.NOT_RETURNED and b.name in optional)}
    if faulty or Verdict.DISAGREES in verdicts:
        return Verdict.DISAGREES
    if verdicts - {Verdict.AGREES} or not any(b.compared for b in blocks):
        return Verdict.INCONCLUSIVE
    return Verdict.AGREES


def result_of(subject: str, blocks: list[Block], *, method: str, case: Mapping[str, Any]) -> Result:
    """Blocks compared by :func:`plainly`, as one result."""
    verdict = overall(blocks, optional=frozenset(), faulty=False)
    return Result(subject, verdict, {block.name: block for block in blocks}, method=method, case=case)
