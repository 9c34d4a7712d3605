"""Richardson extrapolation on several ladders of steps, for functions whose length of change is not known.

A ladder that is too wide jumps over what matters and converges to something else; one that is too fine drowns in noise.
So they are tried from fine to wide, and a wider one counts only where it confirms the finer ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bptt_check.differences.estimate import Estimate, Method, chosen
from bptt_check.differences.richardson import CONTRADICTED, Richardson

LADDERS = (-24, -16, -10, -6, -3, -1, 3)  # widest step of each, as a power of two of the scale
FAR = (6, 9, 12, 15)  # further ones, for entries that the others see to some digits and not to all: sums of large terms
DIGITS = 0.01  # relative error at which an entry has digits enough for a ladder that wide to be held against them
NO_DIGIT = 0.5  # relative error beyond which an estimate only says that a derivative is small
SHARP = 1e-9  # relative error with which nothing wider is asked for
USUAL = 0.2  # share of its error estimate that a difference quotient is usually off by


def laddered(by: Callable[[Method], Estimate], *, first: Estimate | None = None) -> Estimate:
    """Real differences on one ladder of steps after the other, from tiny to wide.

    ``first``, where given, is an estimate on steps finer than those of all ladders.
    """
    best = first
    for power in LADDERS:
        wider = by(Richardson(widest=2.0**power))
        best = wider if best is None else confirmed(best, wider)
    assert best is not None
    for power in FAR:
        size = np.abs(best.value)
        worth = (best.error < DIGITS * size) & (best.error > SHARP * size)
        if not worth.any():
            break
        wider = by(Richardson(widest=2.0**power))
        worth &= np.abs(wider.value - best.value) <= best.error
        wider = confirmed(best, wider)
        best = replace(chosen(worth, wider, best), evaluations=wider.evaluations)
    return best


def confirmed(finer: Estimate, wider: Estimate) -> Estimate:
    """Entry by entry the sharper of two estimates, but the wider steps only where the finer do not contradict them.

    Choosing the sharpest of several favours those that flatter themselves; so where two differ by more than the blunter
    one's error is likely to explain, what they differ by stays in the error, and what the finer may be off by. And what
    has not a digit then is no better: of a function that is bounded any step that is wide enough finds next to nothing.
    """
    apart = np.abs(wider.value - finer.value)
    unexplained = np.where(apart > USUAL * finer.error, (apart + finer.error) / CONTRADICTED, 0.0)
    wider = replace(wider, truncation=np.maximum(wider.truncation, unexplained))
    wins = (apart <= CONTRADICTED * (finer.error + wider.error)) & (wider.error < finer.error)
    wins &= (apart <= USUAL * finer.error) | (wider.error <= NO_DIGIT * np.abs(wider.value))
    wins &= wider.step != finer.step  # ladders overlap: the same values once more confirm nothing
    return replace(chosen(wins, wider, finer), evaluations=finer.evaluations + wider.evaluations)
