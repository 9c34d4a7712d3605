"""Ways to go wrong, and the faults that they make of the lines of a cell: the records."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from bptt_check.lstm.variants import Variant

Edit = Callable[[str, "Names"], str | None]
LINE, SOURCE, GATE, ALL = "line", "source", "gate", "all"  # how many lines a way strikes at once


@dataclass(frozen=True)
class Names:
    """What the name of a target says: gate ``k`` and source ``j`` of ``dW_kj``, or none; and the cell."""

    target: str
    k: str
    j: str
    cell: Variant


@dataclass(frozen=True)
class Way:
    """One way to go wrong.

    Attributes
    ----------
    id: short name, unique.
    targets: a regular expression; the lines whose target it matches whole are struck.
    edit: from the text of a line to the wrong text, or ``None`` where the way does not apply to it.
    says: what is wrong, in a few words; ``{target}``, ``{k}``, ``{j}`` are filled in.
    why: how people come to write it.
    at_once: whether it strikes lines singly (``"line"``), all of one source or gate, or all of them.
    equation: the equation it spoils, where that is not the line's own.
    common: whether it is among those that are met most; of two that no case can tell apart it is named first.
    """

    id: str
    targets: str
    edit: Edit
    says: str
    why: str
    at_once: tuple[str, ...] = (LINE,)
    equation: str = ""
    common: bool = False


@dataclass(frozen=True)
class Fault:
    """One mistake in one cell: the lines that it changes, with what is written and what belongs there."""

    id: str
    way: str
    equation: str
    says: str
    why: str
    changes: tuple[tuple[str, str], ...]
    right: tuple[str, ...]
    common: bool = False

    @property
    def code(self) -> tuple[str, ...]:
        """The wrong lines as they look in code."""
        return tuple(f"{target} {_assigned(target)} {code}" for target, code in self.changes)

    @property
    def remedy(self) -> str:
        """The lines as they should be."""
        return "; ".join(self.right[:2]) + (f" (and {len(self.right) - 2} more lines alike)" * (len(self.right) > 2))

    def __str__(self) -> str:
        return f"{self.id} ({self.equation}): {self.says}"


def _assigned(target: str) -> str:
    return "+=" if re.match("d[Wbp]_", target) else "="
