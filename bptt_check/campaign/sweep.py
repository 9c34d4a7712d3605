"""Error against step size: one gradient entry of the post's cell, by each numerical method, over all step sizes.

It is the picture that every text on numerical differentiation draws, made from this run's own cell: truncation falls
with the step, round-off rises, and the complex step alone does not have to choose.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bptt_check.campaign.case import failed
from bptt_check.report.record import Record

DIFFERENCE_STEPS = tuple(10 ** (-k / 2) for k in range(2, 27))  # 1e-1 … 1e-13
COMPLEX_STEPS = (*DIFFERENCE_STEPS, *(10.0**-k for k in range(14, 31)))
ROUNDING = 1e-11  # an error below this share is rounding, not truncation, at these step sizes


@dataclass(frozen=True)
class Sweep:
    """Which gradient to study, at which point."""

    gradient: str = "W_fh"
    T: int = 5
    B: int = 3
    D: int = 4
    H: int = 2
    seed: int = 0

    @property
    def name(self) -> str:
        """What reports call it."""
        return f"error against step size, {self.gradient} of the post's cell, T={self.T}"


def run_sweep(sweep: Sweep) -> Record:
    """Measure the curves and fit their slopes. Never raises: what fails inside is a record that says so."""
    case = {"cell": "post", "T": sweep.T, "B": sweep.B, "D": sweep.D, "H": sweep.H, "seed": sweep.seed}
    started = time.perf_counter()
    try:
        data = _curves(sweep)
    except Exception as error:
        return failed(sweep.name, case, error)
    return Record(name=sweep.name, kind="sweep", case=case, data=data, seconds=time.perf_counter() - started)


def _curves(sweep: Sweep) -> dict[str, Any]:
    import numpy as np

    from bptt_check.differences import Central, ComplexStep, Richardson
    from bptt_check.subject import Subject

    subject = Subject.from_variant("post", T=sweep.T, B=sweep.B, D=sweep.D, H=sweep.H, rng=sweep.seed)
    at = int(np.abs(subject.gradient(subject.point)[sweep.gradient]).argmax())

    def along(kind: Any) -> Callable[[Any], Any]:
        block = np.array(subject.point[sweep.gradient], dtype=kind)
        unit = np.zeros(block.size, kind)
        unit[at] = 1
        return lambda offset: subject.loss(
            {**subject.point, sweep.gradient: block + offset * unit.reshape(block.shape)}
        )

    exact = float(ComplexStep()(along(np.longdouble)).value)
    loss = along(np.float64)

    def errors(method: Callable[[float], Any], steps: Sequence[float]) -> list[float | None]:
        known: list[float | None] = [abs(float(method(step)(loss).value) - exact) / abs(exact) for step in steps]
        return known + [None] * (len(COMPLEX_STEPS) - len(known))

    curves = {
        "central difference": errors(lambda h: Central(step=h), DIFFERENCE_STEPS),
        "complex step": errors(lambda h: ComplexStep(step=h), COMPLEX_STEPS),
        "Richardson extrapolation": errors(lambda h: Richardson(widest=h), DIFFERENCE_STEPS),
    }
    slopes = {name: slope(COMPLEX_STEPS, curve) for name, curve in curves.items()}
    return {
        "steps": list(COMPLEX_STEPS),
        "curves": curves,
        "slopes": {name: value for name, value in slopes.items() if value is not None},
        "gradient": sweep.gradient,
        "entry": at,
        "derivative": exact,
    }


def slope(steps: Sequence[float], errors: Sequence[float | None]) -> float | None:
    """The slope of log error against log step over the leading run in which one power of the step rules.

    ``None`` where that run is shorter than three steps: there is nothing to fit. ``steps`` must fall.
    """
    points: list[tuple[float, float]] = []
    for step, error in zip(steps, errors, strict=True):
        if error is None or error <= ROUNDING:
            break
        point = (math.log(step), math.log(error))
        if len(points) > 1 and not 0.5 < _rise(points[-1], point) / _rise(points[0], points[1]) < 2:
            break  # round-off begins to show
        points.append(point)
    if len(points) < 3:
        return None
    across = sum(x for x, _ in points) / len(points)
    up = sum(y for _, y in points) / len(points)
    return sum((x - across) * (y - up) for x, y in points) / sum((x - across) ** 2 for x, _ in points)


def _rise(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0]) or math.inf
