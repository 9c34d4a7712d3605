"""Where a gradient is wrong, in words for the eye: entries, gate, time steps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bptt_check.compare import is_timed
from bptt_check.patterns.regions import region_of, steps_in_words
from bptt_check.patterns.side import Array, Side, sides
from bptt_check.patterns.steps import counted_wrong, steps_missing

GATED = re.compile(r"(?:[WUVRwurpb]|z)_([gifoc])(?:[xhsgifo])?(?:\(t\))?$|([gifo])\(t\)$")
PARTS = (4, 3, 2)


@dataclass(frozen=True)
class Place:
    """Where one block is wrong.

    ``wrong`` of ``compared`` entries are. ``entries`` is their shape as an index of NumPy (``"[2, :]"``) or in words,
    if they have one. ``part`` is (which, of how many), counted from 0, where they fill one part of H rows or columns
    of a packed block. ``gate`` is the letter that the block's name carries. ``steps`` are the time steps concerned,
    counted from 1: those that are wrong, or, in a sum over time, those that are counted wrong; ``T`` how many there
    are. ``None`` stands for what is not known.
    """

    block: str
    wrong: int
    compared: int
    entries: str | None = None
    part: tuple[int, int] | None = None
    gate: str | None = None
    steps: tuple[int, ...] | None = None
    T: int | None = None
    summed: bool = False

    @property
    def when(self) -> str:
        """The steps in words: ``"wrong from t = 4 down"``; nothing where they are not known."""
        if self.steps is None or self.T is None or self.T == 1:
            return ""
        said = steps_in_words(self.steps, self.T)
        return f"steps counted wrong: {said.removeprefix('at ')}" if self.summed else f"wrong {said}"

    def __str__(self) -> str:
        all_wrong = self.wrong == self.compared
        how_many = "every entry is wrong" if all_wrong else f"{self.wrong} of {self.compared} entries are wrong"
        said = [self.when or how_many]
        if self.entries:
            said.append(f"right but for {self.entries}")
        if self.part:
            said.append(f"part {self.part[0] + 1} of {self.part[1]}")
        if self.gate:
            said.append(f"gate {self.gate}")
        return f"{self.block}: {', '.join(said)}"


@dataclass(frozen=True)
class Where:
    """Where a gradient is wrong: a place for each wrong block, and what they have in common."""

    places: tuple[Place, ...]
    gates: tuple[str, ...] = ()
    right: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self.places))


def where(
    analytic: Mapping[str, Array],
    reference: Mapping[str, Array],
    tolerance: Mapping[str, Array],
    *,
    lengths: Mapping[str, int] | None = None,
    by_step: Mapping[str, Array] | None = None,
    inputs: Mapping[str, int | None] | None = None,
) -> Where:
    """Where each block is wrong. The arguments are those of :func:`bptt_check.patterns.patterns`.

    ``inputs``: of blocks that hold x, which axis is time, or that none is known to be; of the others their names tell.

    ``gates`` of the result are letters that *all* wrong weights share and no block that was compared and is right.
    """
    blocks = sides(analytic, reference, tolerance)
    places = tuple(_place(side, lengths or {}, by_step or {}, inputs or {}) for side in blocks if side.wrong.any())
    right = tuple(side.name for side in blocks if not side.wrong.any() and side.known.any())
    return Where(places, _gates(places, right), right)


def gate_of(name: str) -> str | None:
    """The gate that a name carries (``W_fh``, ``b_i``, ``p_o``, ``f(t)``), if it carries one."""
    match = GATED.match(name)
    return (match[1] or match[2]) if match else None


def _place(
    side: Side, lengths: Mapping[str, int], by_step: Mapping[str, Array], inputs: Mapping[str, int | None]
) -> Place:
    steps: tuple[int, ...] | None = None
    T, summed = None, False
    axis = inputs.get(side.name, 0 if is_timed(side.name) else None)
    if axis is not None and side.a.ndim:
        T = side.a.shape[axis]
        others = tuple(k for k in range(side.a.ndim) if k != axis)
        steps = tuple(int(t) + 1 for t in np.flatnonzero(side.wrong.any(axis=others)))
    elif side.name in by_step:
        T = len(by_step[side.name])
        told = [guess for guess in counted_wrong([side], by_step) if guess.fit().exact]
        kinds = {steps_missing(guess, T) for guess in told}
        steps, summed = (kinds.pop(), True) if len(kinds) == 1 else (None, False)
    region = region_of(side, lengths.get("H"))
    entries = region.text if region and region.kind != "steps-wrong" and not _are_steps(side, axis, steps) else None
    return Place(
        block=side.name,
        wrong=int(np.count_nonzero(side.wrong)),
        compared=int(np.count_nonzero(side.known)),
        entries=entries,
        part=_part(side, lengths.get("H")),
        gate=gate_of(side.name),
        steps=steps,
        T=T,
        summed=summed,
    )


def _are_steps(side: Side, axis: int | None, steps: tuple[int, ...] | None) -> bool:
    """Whether all entries of the wrong steps are wrong, so that the steps say everything."""
    if axis is None or steps is None:
        return False
    return bool(side.wrong.take([t - 1 for t in steps], axis).all())


def _part(side: Side, H: int | None) -> tuple[int, int] | None:
    """Which part of H rows or columns of a packed block holds all its wrong entries."""
    if not H or is_timed(side.name):
        return None
    for axis, n in enumerate(side.a.shape):
        for count in PARTS:
            if n != count * H:
                continue
            others = tuple(k for k in range(side.a.ndim) if k != axis)
            parts = {int(row) // H for row in np.flatnonzero(side.wrong.any(axis=others))}
            compared = {int(row) // H for row in np.flatnonzero(side.known.any(axis=others))}
            if len(parts) == 1 and len(compared) > 1:
                return parts.pop(), count
    return None


def _gates(places: Sequence[Place], right: Sequence[str]) -> tuple[str, ...]:
    letters = {place.gate for place in places if place.gate}
    sound = {gate_of(name) for name in right}
    return tuple(sorted(letters - sound)) if len(letters) < 4 or len(sound) > 1 else ()
