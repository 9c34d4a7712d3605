"""The pictures of a report. They show the numbers of the summary and hold none of their own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bptt_check.report.model import Curve, Spread, StepErrors, Summary, Sweep
from bptt_check.report.svg import Drawing, coordinate, polyline
from bptt_check.report.text import counted, derivative, figure, power, shorten
from bptt_check.results import Verdict

WIDTH = 760.0
ROWS = 48  # of the rows and columns of one picture; the tables go on
MACHINE_EPSILON = 2.0**-52


@dataclass(frozen=True)
class LogAxis:
    """A logarithmic axis over whole decades, from pixel ``start`` to pixel ``end``."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the pixel of ``value``; what lies off the axis is drawn at its end."""
        return self.at_power(math.log10(value) if value > 0 else -math.inf)

    def at_power(self, exponent: float) -> float:
        """Return the pixel of 10^exponent, which need not itself be a double."""
        share = (min(max(exponent, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> range:
        """The decades that are labelled: at most about one in sixty pixels."""
        room = max(1, int(abs(self.end - self.start) / 60))
        return range(self.low, self.high + 1, max(1, math.ceil((self.high - self.low) / room)))


def log_axis(values: Iterable[float | None], start: float, end: float, *, decades: int = 30) -> LogAxis | None:
    """Return an axis that holds the positive finite ``values``, at most ``decades`` below the largest."""
    sizes = [math.log10(value) for value in values if value is not None and 0 < value < math.inf]
    if not sizes:
        return None
    low, high = math.floor(min(sizes)), math.ceil(max(sizes))
    high = max(high, low + 1)
    return LogAxis(max(low, high - decades), high, start, end)


def errors_picture(summary: Summary) -> str:
    """Draw the errors of all cases by gradient on a log axis, the resolution marked beside them."""
    rows = summary.spreads[:ROWS]
    left, right, top, pitch = 140.0, WIDTH - 16, 34.0, 26.0
    sizes = [value for row in rows for value in (row.worst, row.resolution)]
    lowest = [10 ** (row.bins[0][0] / 5) for row in rows if row.bins]
    axis = log_axis([*sizes, *lowest], left + 36, right - 16)
    if axis is None:
        return ""
    bottom = top + pitch * len(rows)
    worst = f"the worst is {figure(summary.worst_error)}, in {summary.worst_gradient}"
    drawing = Drawing(
        "errors",
        WIDTH,
        bottom + 44,
        title="Relative errors over all cases, by gradient",
        description=f"A histogram for each of {counted(len(rows), 'gradient')} on a logarithmic axis; {worst}. "
        f"The coarsest resolution is {figure(summary.resolution)}. The table by gradient has the numbers.",
    )
    _frame(drawing, axis, top, bottom)
    if axis.low < math.log10(MACHINE_EPSILON) < axis.high:
        x = axis.at(MACHINE_EPSILON)
        drawing.line(x, top - 4, x, bottom, "mark")
        drawing.text(x, top - 22, "2⁻⁵²", "muted small middle")
    if any(row.exact for row in rows):
        drawing.text(left - 10, top - 8, "exact", "muted small middle")
    for place, row in enumerate(rows):
        _spread(drawing, row, axis, top + pitch * (place + 0.5), left)
    drawing.text((left + right) / 2, bottom + 38, "largest relative error of a case", "muted middle")
    return str(drawing)


def _frame(drawing: Drawing, axis: LogAxis, top: float, bottom: float) -> None:
    for exponent in range(axis.low, axis.high + 1):
        x = axis.at_power(exponent)
        drawing.line(x, top - 2, x, bottom, "rule" if exponent in axis.ticks else "faint")
    for exponent in axis.ticks:
        x = axis.at_power(exponent)
        drawing.text(x, bottom + 16, power(exponent), "small middle")
        drawing.text(x, top - 8, power(exponent), "muted small middle")


def _spread(drawing: Drawing, row: Spread, axis: LogAxis, y: float, left: float) -> None:
    drawing.text(left - 34, y + 4, shorten(row.name, 16), "end")
    if row.exact:
        drawing.text(left - 10, y + 4, str(row.exact), "muted small middle")
    most = max((number for _, number in row.bins), default=1)
    bars = "".join(_bar(axis, place, number / most, y) for place, number in row.bins)
    number = sum(number for _, number in row.bins) + row.exact + row.not_finite
    hint = f"{row.name}: {counted(number, 'case')}, {row.exact} exact; worst {figure(row.worst)}"
    if bars:
        drawing.path(bars, "bar", hint=hint)
    if row.resolution is not None and 0 < row.resolution < math.inf:
        x = axis.at(row.resolution)
        drawing.line(x, y - 8, x, y + 8, "resolution")
    if row.not_finite:
        drawing.cross(axis.end + 10, y, 5, "wrong", hint=f"{row.name}: {row.not_finite} not finite")
    elif row.worst:
        _worst(drawing, row.verdict, axis.at(row.worst), y, hint)


def _bar(axis: LogAxis, place: int, share: float, y: float) -> str:
    """One bar of a histogram that stands on both sides of its line; its height grows with the root of the count."""
    place = max(place, 5 * axis.low)
    x1, x2 = axis.at_power(place / 5), axis.at_power((place + 1) / 5)
    half = 1.5 + 9 * math.sqrt(share)
    width = coordinate(max(x2 - x1 - 0.6, 0.8))
    return f"M{coordinate(x1)} {coordinate(y - half)}h{width}v{coordinate(2 * half)}h-{width}z"


def _worst(drawing: Drawing, verdict: Verdict, x: float, y: float, hint: str) -> None:
    if verdict is Verdict.DISAGREES:
        drawing.cross(x, y, 5, "wrong", hint=hint)
    else:
        drawing.dot(x, y, 4, "ok" if verdict is Verdict.AGREES else "unsure", hint=hint)


def sweep_picture(sweep: Sweep, ident: str) -> str:
    """Draw error against step size of each method, both axes logarithmic, with the fitted slopes."""
    curves = sweep.curves[:5]
    top = 30.0 + 20 * len(curves)
    bottom = top + 300
    errors = [error for curve in curves for error in curve.errors]
    across = log_axis(sweep.steps, 66, WIDTH - 20, decades=60)
    upwards = log_axis(errors, bottom, top, decades=40)
    if across is None or upwards is None:
        return ""
    said = "; ".join(_method(curve) for curve in curves)
    drawing = Drawing(
        ident,
        WIDTH,
        bottom + 46,
        title=f"Error against step size for {sweep.gradient}",
        description=f"Relative error of {said}; "
        f"step sizes from {figure(min(sweep.steps))} to {figure(max(sweep.steps))}.",
    )
    for exponent in across.ticks:
        x = across.at_power(exponent)
        drawing.line(x, top, x, bottom, "rule")
        drawing.text(x, bottom + 16, power(exponent), "small middle")
    for exponent in range(upwards.low, upwards.high + 1, max(1, math.ceil((upwards.high - upwards.low) / 9))):
        y = upwards.at_power(exponent)
        drawing.line(across.start, y, across.end, y, "rule")
        drawing.text(across.start - 8, y + 4, power(exponent), "small end")
    for place, curve in enumerate(curves):
        style = f"c{place} d{place % 4}"
        drawing.line(across.start, 16 + 20 * place, across.start + 34, 16 + 20 * place, f"line {style}")
        drawing.text(across.start + 44, 20 + 20 * place, _method(curve))
        _curve(drawing, sweep, curve, across, upwards, place)
    drawing.text((across.start + across.end) / 2, bottom + 38, "step size h", "muted middle")
    drawing.text(16, (top + bottom) / 2, "relative error", "muted middle", turned=True)
    return str(drawing)


def _method(curve: Curve) -> str:
    return shorten(curve.name, 40) + ("" if curve.slope is None else f", slope {figure(curve.slope, 3)}")


def _curve(drawing: Drawing, sweep: Sweep, curve: Curve, across: LogAxis, upwards: LogAxis, place: int) -> None:
    pairs = sorted(zip(sweep.steps, curve.errors, strict=True), key=lambda pair: pair[0])
    points = [
        (across.at(step), upwards.at(error)) for step, error in pairs if error is not None and 0 <= error < math.inf
    ]
    if not points:
        return
    drawing.path(polyline(points), f"line c{place} d{place % 4}")
    if len(points) <= 80:
        for x, y in points:
            drawing.dot(x, y, 2.5, f"dot c{place}")


def steps_picture(summary: Summary) -> str:
    """Draw the worst error of each intermediate derivative by time step t as a heat map."""
    rows = summary.steps[:ROWS]
    errors = [error for row in rows for error in row.errors]
    scale = log_axis(errors, 0.04, 0.5)  # as opacity: text on it stays readable, light and dark
    if not rows or scale is None:
        return ""
    length = max(len(row.errors) for row in rows)
    group = math.ceil(length / ROWS)
    columns = math.ceil(length / group)
    left, top, pitch = 90.0, 30.0, 28.0
    cell = min(64.0, (WIDTH - left - 10) / columns)
    drawing = Drawing(
        "steps",
        WIDTH,
        top + pitch * len(rows) + 46,
        title="Worst relative error by time step",
        description=f"A heat map of {counted(len(rows), 'intermediate derivative')} by {counted(length, 'time step')}; "
        f"the stronger the colour, the larger, from 1e{scale.low} to 1e{scale.high}.",
    )
    labelled = max(1, math.ceil(26 / cell))
    for column in range(0, columns, labelled):
        drawing.text(left + cell * (column + 0.5), top - 8, str(column * group + 1), "muted small middle")
    drawing.text(left - 10, top - 8, "t =", "muted small end")
    for place, row in enumerate(rows):
        y = top + pitch * place
        drawing.text(left - 10, y + pitch / 2 + 3, derivative(shorten(row.name, 12)), "end")
        _heat_row(drawing, row, scale, group=group, left=left, y=y, cell=cell, height=pitch - 2)
    _heat_scale(drawing, scale, left, top + pitch * len(rows) + 14)
    return str(drawing)


def _heat_row(
    drawing: Drawing,
    row: StepErrors,
    scale: LogAxis,
    *,
    group: int,
    left: float,
    y: float,
    cell: float,
    height: float,
) -> None:
    for column in range(math.ceil(len(row.errors) / group)):
        step = column * group
        value = _largest(row.errors[step : step + group])
        x = left + cell * column
        if value is None:
            drawing.rectangle(x, y, cell - 2, height, "void")
            continue
        finite = math.isfinite(value)
        shade = scale.at(value) if value > 0 else 0.02
        reached = counted(max(row.cases[step : step + group]), "case")
        hint = f"{derivative(row.name)}, t = {step + 1}: {figure(value)}, {reached}"
        drawing.rectangle(
            x, y, cell - 2, height, "heat" if finite else "bad", opacity=shade if finite else 1, hint=hint
        )
        if cell >= 44:
            style = "small middle" if finite else "small middle over"
            drawing.text(x + cell / 2 - 1, y + height / 2 + 4, figure(value), style)


def _largest(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return next((value for value in known if math.isnan(value)), max(known, default=None))


def _heat_scale(drawing: Drawing, scale: LogAxis, left: float, y: float) -> None:
    drawing.text(left - 10, y + 11, "scale", "muted small end")
    decades = range(scale.low, scale.high + 1, max(1, math.ceil((scale.high - scale.low) / 8)))
    for place, exponent in enumerate(decades):
        drawing.rectangle(left + 76 * place, y, 24, 14, "heat", opacity=scale.at_power(exponent))
        drawing.text(left + 76 * place + 30, y + 11, power(exponent), "small")
