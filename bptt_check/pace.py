"""How far a long computation is and how long it has still to go, told to a callable of the user's."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable

Told = Callable[[float, float], None]
LONG = 2.0  # seconds that the whole must be expected to take before anything is told
APART = 0.1  # seconds between two tellings


class Pace:
    """Work done against the clock.

    ``told(share, left)`` gets the share of the work that is done, which never falls, and the seconds left if the rest
    goes at the pace so far; ``None`` to tell nobody. It is called at most ten times a second, and not at all while the
    whole is expected to take under two seconds. What it raises ends the computation.
    """

    def __init__(self, told: Told | None, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._told, self._clock = told, clock
        self._started, self._last, self._share, self._open = clock(), float("-inf"), 0.0, False

    def at(self, share: float) -> None:
        """This share of the work is done."""
        self._share = min(1.0, max(self._share, share))
        if self._told is None or not self._share:
            return
        now = self._clock()
        elapsed = now - self._started
        whole = elapsed / self._share
        ended = self._open and self._share == 1.0
        if ended or (now - self._last >= APART and whole > LONG and self._share < 1.0):
            self._last, self._open = now, not ended
            self._told(self._share, whole - elapsed)


def audible(told: Told | None) -> Told | None:
    """The same, printing to where standard output leads now: inside a check, what is printed is caught."""
    if told is None:
        return None
    stream = sys.stdout

    def heard(share: float, left: float) -> None:
        with contextlib.redirect_stdout(stream):
            told(share, left)

    return heard
