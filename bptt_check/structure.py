"""What a wrong block looks like, as far as its numbers tell: a constant multiple, clipped values, nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.compare import Comparison
from bptt_check.results import Finding

Array = np.ndarray[Any, Any]

PROPORTIONAL = 1e-4  # residual after scaling, as a share of the block, up to which a block is called a multiple
ROUND = 1e-6  # how near a number must lie to one with two digits for a person to have written it


@dataclass(frozen=True)
class Shape:
    """The structure of one wrong block. ``kind``: ``"scaled"``, ``"clipped"``, ``"zero"`` or ``"independent"``."""

    kind: str
    message: str
    factor: float | None = None
    residual: float | None = None


def structure(c: Comparison, lengths: Mapping[str, object]) -> Shape | None:
    """What the disagreement of one block looks like, or ``None``. ``lengths`` may hold T, B, D, H, to name a factor."""
    a, r = c.analytic, c.reference
    usable = np.isfinite(a) & np.isfinite(r)
    a, r, tolerance = a[usable], r[usable], c.tolerance[usable]
    if not len(a) or not (np.abs(a - r) > tolerance).any():
        return None
    if not a.any():
        return Shape("zero", "is zero throughout: a path to it is missing")
    if len(a) == int(np.prod(c.shape)) and not r.any():
        return Shape(
            "independent", "is not zero, but the loss does not depend on it: is a copy kept from the first use?"
        )
    return _scaled(a, r, tolerance, lengths) or _clipped(a, r, tolerance)


def _scaled(a: Array, r: Array, tolerance: Array, lengths: Mapping[str, object]) -> Shape | None:
    if np.count_nonzero(r) < 2 or not r @ r > 0:
        return None
    factor = float(a @ r / (r @ r))
    if not np.isfinite(factor):
        return None
    left = np.abs(a - factor * r)
    residual = float(np.linalg.norm(left) / np.linalg.norm(a))
    unexplained = left > np.maximum(tolerance * max(1.0, abs(factor)), PROPORTIONAL * np.abs(a))
    if residual > min(PROPORTIONAL, abs(factor - 1) / 10) or unexplained.any():
        return None
    return Shape(
        "scaled", f"is {_named(factor, lengths)} times the right one (residual {residual:.1e})", factor, residual
    )


def _clipped(a: Array, r: Array, tolerance: Array) -> Shape | None:
    bound = float(np.abs(a).max())
    at_bound = np.abs(a) == bound
    right_elsewhere = np.abs(a - r)[~at_bound] <= tolerance[~at_bound]
    beyond = (np.abs(r[at_bound]) >= bound) & (np.sign(r[at_bound]) == np.sign(a[at_bound]))
    if np.count_nonzero(at_bound) + (_is_round(bound)) >= 2 and right_elsewhere.all() and beyond.all():
        return Shape("clipped", f"is clipped at ±{bound:.6g}: {np.count_nonzero(at_bound)} entries stand there")
    return None


def _named(factor: float, lengths: Mapping[str, object]) -> str:
    candidates = {"−1": -1.0, "2": 2.0, "½": 0.5, "−2": -2.0, "−½": -0.5}
    for name, value in lengths.items():
        if name in ("T", "B", "D", "H") and isinstance(value, int) and value > 1:
            candidates |= {f"{name} = {value}": float(value), f"1/{name} = {1 / value:.4g}": 1 / value}
    if {"T", "B"} <= set(lengths):
        both = float(lengths["T"]) * float(lengths["B"])  # type: ignore[arg-type]
        candidates |= {f"T·B = {both:.0f}": both, f"1/(T·B) = {1 / both:.4g}": 1 / both}
    for name, value in candidates.items():
        if abs(factor - value) <= ROUND * abs(value):
            return name
    return f"{factor:.6g}"


def _is_round(value: float) -> bool:
    """Whether a person could have typed it: two digits at most."""
    return value > 0 and abs(value - float(f"{value:.1e}")) <= ROUND * value


def findings_of(shapes: Mapping[str, Shape], gradient: Mapping[str, Array]) -> tuple[Finding, ...]:
    """What several blocks have in common: one factor for all, and a norm that somebody clipped to."""
    scaled = {name: shape for name, shape in shapes.items() if shape.kind == "scaled"}
    findings = [Finding(shape.kind, f"the gradient of {name} {shape.message}") for name, shape in shapes.items()]
    factors = [shape.factor for shape in scaled.values() if shape.factor is not None]
    if not factors or max(factors) - min(factors) > PROPORTIONAL * max(map(abs, factors)) or not 0 < factors[0] < 1:
        return tuple(findings)
    for what, names in (
        (f"the gradient of {next(iter(scaled))}", list(scaled)[:1]),
        ("all gradients together", list(gradient)),
    ):
        norm = float(np.sqrt(sum(float(np.sum(gradient[name].astype(float) ** 2)) for name in names)))
        if _is_round(norm):
            findings.append(Finding("clipped-norm", f"{what} have a norm of {norm:.6g}, as if clipped to it"))
    return tuple(findings)
