"""Pictures over time: the norms of derivatives from step to step, and the errors of a job from run to run."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bptt_check.report.model import CaseNorms, Norms, Summary
from bptt_check.report.plots import MACHINE_EPSILON, WIDTH, LogAxis, log_axis
from bptt_check.report.saved_lines import SavedRun
from bptt_check.report.svg import Drawing, polyline
from bptt_check.report.text import clean, counted, derivative, figure, power
from bptt_check.results import Verdict

HEIGHT = 240.0
LEFT = 66.0


def norms_picture(case: CaseNorms, ident: str) -> str:
    """Draw the norms of one case by time step: lines as derived by hand, rings as found numerically."""
    steps = max((len(norms.analytic) for norms in case.norms), default=0)
    top = 20.0 + 20 * len(case.norms)
    bottom = top + HEIGHT
    both = [value for norms in case.norms for value in (*norms.analytic, *norms.reference)]
    upwards = log_axis(both, bottom, top, decades=40)
    if steps < 2 or upwards is None:
        return ""
    drawing = Drawing(
        ident,
        WIDTH,
        bottom + 46,
        title=f"Norms of derivatives by time step in {case.case}",
        description="; ".join(map(_course, case.norms)) + ". Lines are as derived by hand, rings as found numerically.",
    )
    _upwards(drawing, upwards, "norm")
    pitch = (WIDTH - 20 - LEFT) / (steps - 1)
    for step in range(0, steps, max(1, math.ceil(steps * 30 / (WIDTH - LEFT)))):
        x = LEFT + pitch * step
        drawing.line(x, bottom, x, bottom + 4, "rule")
        drawing.text(x, bottom + 18, str(step + 1), "small middle")
    drawing.text((LEFT + WIDTH - 20) / 2, bottom + 38, "time step t (backwards: from right to left)", "muted middle")
    for place, norms in enumerate(case.norms):
        style = f"c{place} d{place % 4}"
        drawing.line(LEFT, 12 + 20 * place, LEFT + 34, 12 + 20 * place, f"line {style}")
        drawing.dot(LEFT + 17, 12 + 20 * place, 3, f"dot c{place}")
        drawing.text(LEFT + 44, 16 + 20 * place, _legend(norms))
        for run in _runs(norms.analytic):
            drawing.path(polyline([(LEFT + pitch * t, upwards.at(value)) for t, value in run]), f"line {style}")
        for t, value in (pair for run in _runs(norms.reference) for pair in run):
            by_hand = figure(norms.analytic[t], 4)
            hint = f"{derivative(norms.name)}, t = {t + 1}: by hand {by_hand}, numerically {figure(value, 4)}"
            drawing.dot(LEFT + pitch * t, upwards.at(value), 3, f"dot c{place}", hint=hint)
    return str(drawing)


def _runs(values: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """Stretches of steps whose norms a logarithmic axis can show; zeros are gaps between them."""
    runs: list[list[tuple[int, float]]] = [[]]
    for t, value in enumerate(values):
        if value is not None and 0 < value < math.inf:
            runs[-1].append((t, value))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _legend(norms: Norms) -> str:
    name = derivative(clean(norms.name, limit=30))
    return name if norms.factor is None else f"{name}, × {figure(norms.factor, 3)} a step backwards"


def _course(norms: Norms) -> str:
    found = norms.analytic if None in norms.reference else norms.reference
    first, last, steps = found[0], found[-1], len(found)
    return (
        f"{derivative(clean(norms.name, limit=30))} goes from {figure(last)} at t = {steps} to {figure(first)} at t = 1"
    )


def _upwards(drawing: Drawing, axis: LogAxis, label: str) -> None:
    for exponent in range(axis.low, axis.high + 1, max(1, math.ceil((axis.high - axis.low) / 8))):
        y = axis.at_power(exponent)
        drawing.line(LEFT, y, WIDTH - 20, y, "rule")
        drawing.text(LEFT - 8, y + 4, power(exponent), "small end")
    drawing.text(16, (axis.start + axis.end) / 2, label, "muted middle", turned=True)


def history_picture(history: Sequence[SavedRun], summary: Summary) -> str:
    """Draw the worst error of each saved run of a job, and of this one, the coarsest resolution beside it."""
    points = [(f"run {run.number}", run.worst_error, run.resolution, run.verdict) for run in history]
    points.append(("this run", summary.worst_error, summary.resolution, summary.verdict))
    top, bottom = 16.0, 16.0 + HEIGHT
    sizes = [value for _, error, resolution, _ in points for value in (error, resolution)]
    upwards = log_axis([*sizes, MACHINE_EPSILON], bottom, top)
    if len(points) < 2 or upwards is None:
        return ""
    drawing = Drawing(
        "history",
        WIDTH,
        bottom + 46,
        title="Worst relative error from run to run",
        description=f"{counted(len(history), 'saved run')} and this one; the worst error was {figure(points[0][1])} in "
        f"the first of them and is {figure(points[-1][1])} now. The table has the numbers.",
    )
    _upwards(drawing, upwards, "relative error")
    pitch = (WIDTH - 90 - LEFT) / (len(points) - 1)
    every = max(1, math.ceil(60 / max(pitch, 1)))
    line = [
        (LEFT + 30 + pitch * k, upwards.at(error))
        for k, (_, error, _, _) in enumerate(points)
        if error is not None and math.isfinite(error)
    ]
    if line:
        drawing.path(polyline(line), "line c0")
    for k, (name, error, resolution, verdict) in enumerate(points):
        x = LEFT + 30 + pitch * k
        if (k % every == 0 and len(points) - 1 - k >= every) or k == len(points) - 1:
            drawing.text(x, bottom + 18, name, "small middle")
        if resolution is not None and 0 < resolution < math.inf:
            drawing.line(x - 8, upwards.at(resolution), x + 8, upwards.at(resolution), "resolution")
        _point(drawing, x, error, verdict, upwards, f"{name}: {verdict}, worst error {figure(error)}")
    drawing.text((LEFT + WIDTH - 20) / 2, bottom + 38, "runs of this job that were saved", "muted middle")
    return str(drawing)


def _point(drawing: Drawing, x: float, error: float | None, verdict: Verdict, axis: LogAxis, hint: str) -> None:
    if error is None:
        return
    y = axis.at(error) if math.isfinite(error) else axis.end
    if verdict is Verdict.DISAGREES or not math.isfinite(error):
        drawing.cross(x, y, 5, "wrong", hint=hint)
    else:
        drawing.dot(x, y, 4, "ok" if verdict is Verdict.AGREES else "unsure", hint=hint)
