"""How much work a search may cost: counted, so that it ends at the same place on every machine, however busy."""

from __future__ import annotations

import time

from bptt_check.errors import BpttCheckError


class Spent(BpttCheckError):
    """A search has cost what it may cost."""


class Budget:
    """Work that may be done.

    Parameters
    ----------
    most: work, in whatever unit is handed to :meth:`spend`.
    seconds: of the processor, a guard for work of which one piece takes very long. It is several times what ``most``
        takes where pieces are small, so that there the count decides and nothing depends on the clock.
    """

    def __init__(self, most: float, seconds: float) -> None:
        self._left, self._until = most, time.process_time() + seconds

    def spend(self, work: float = 1.0) -> None:
        """So much more has been done."""
        self._left -= work

    @property
    def is_spent(self) -> bool:
        """Whether no more may be done."""
        return self._left <= 0 or time.process_time() > self._until
