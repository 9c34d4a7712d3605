"""A fault by its name."""

from __future__ import annotations

from bptt_check.errors import UsageError
from bptt_check.faults.catalogue import catalogue
from bptt_check.faults.fault import Fault
from bptt_check.faults.slips import slips
from bptt_check.lstm.variants import VARIANTS, Variant


def fault_named(name: str, cell: Variant | None = None) -> tuple[Fault, Variant]:
    """The fault or slip of that id, and the first cell that has it.

    Raises
    ------
    UsageError
        Where there is none; the message names those that are near.
    """
    from difflib import get_close_matches

    known: dict[str, tuple[Fault, Variant]] = {}
    cells = (cell,) if cell else _familiar()
    for each in cells:
        for fault in catalogue(each):
            known.setdefault(fault.id, (fault, each))
    if name in known:
        return known[name]
    slip = next(((f, each) for each in cells for f in slips(each) if f.id == name), None)
    if slip is not None:
        return slip
    near = [key for key in known if key.startswith(f"{name}.")] or get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near[:4])}?" if near else ""
    raise UsageError(f"no fault is called {name!r}{hint} (bptt-check faults lists them)")


def _familiar() -> tuple[Variant, ...]:
    """The cells of the family, those that most people write first."""
    first = ("NP", "V", "post")
    return tuple(sorted(VARIANTS, key=lambda v: first.index(v.name) if v.name in first else len(first)))
