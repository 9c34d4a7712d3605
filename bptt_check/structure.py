"""What one wrong block looks like while it is compared: a constant multiple, clipped, nothing at all.

The same guesses as in ``patterns``, of a block that may be known in a few entries only; there all blocks are looked at
together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.compare import Comparison
from bptt_check.patterns.factors import PROPORTIONAL, clipped_norm, multiples, nearly_multiples
from bptt_check.patterns.ranking import merged, near
from bptt_check.patterns.side import Side
from bptt_check.patterns.values import clipped, missing
from bptt_check.results import Finding

Array = np.ndarray[Any, Any]

KINDS = ("zero", "independent", "scaled", "learning-rate", "clipped")


@dataclass(frozen=True)
class Shape:
    """The structure of one wrong block. ``kind``: ``"scaled"``, ``"clipped"``, ``"zero"`` or ``"independent"``."""

    kind: str
    message: str
    factor: float | None = None
    residual: float | None = None


def structure(c: Comparison, lengths: Mapping[str, object]) -> Shape | None:
    """What the disagreement of one block looks like, or ``None``. ``lengths`` may hold T, B, D, H, to name a factor."""
    usable = np.isfinite(c.analytic) & np.isfinite(c.reference)
    kind = np.result_type(c.analytic, c.reference, np.float64)
    side = Side(
        c.name, c.analytic[usable].astype(kind), c.reference[usable].astype(kind), c.tolerance[usable].astype(kind)
    )
    if not side.wrong.any():
        return None
    whole = side.a.size == int(np.prod(c.shape))
    with np.errstate(all="ignore"):
        guesses = [
            *(guess for guess in missing([side]) if whole or guess.kind == "zero"),
            *(multiples([side], lengths) if side.a.any() else ()),
            *clipped([side]),
        ]
        found = [p for p in merged(guesses, [c.name]) if p.kind in KINDS]
        found = found or list(near(nearly_multiples([side], lengths)))
    if not found:
        return None
    first = min(found, key=lambda p: KINDS.index(p.kind))
    if first.kind not in ("scaled", "learning-rate"):
        return Shape(first.kind, first.message)
    return Shape("scaled", f"{first.message} (residual {first.residual:.1e})", first.factor, first.residual)


def findings_of(shapes: Mapping[str, Shape], gradient: Mapping[str, Array]) -> tuple[Finding, ...]:
    """What several blocks have in common: one factor for all, and a norm that somebody clipped to."""
    scaled = {name: shape for name, shape in shapes.items() if shape.kind == "scaled"}
    findings = [Finding(shape.kind, f"the gradient of {name} {shape.message}") for name, shape in shapes.items()]
    factors = [shape.factor for shape in scaled.values() if shape.factor is not None]
    if not factors or max(factors) - min(factors) > PROPORTIONAL * max(map(abs, factors)):
        return tuple(findings)
    for what, names in (
        (f"the gradient of {next(iter(scaled))}", list(scaled)[:1]),
        ("all gradients together", list(gradient)),
    ):
        bound = clipped_norm([gradient[name].astype(float) for name in names], factors[0])
        if bound:
            findings.append(Finding("clipped-norm", f"{what} have a norm of {bound:.6g}, as if clipped to it"))
    return tuple(findings)
