"""The pictures of scaling.py: time against one size, both axes logarithmic, the law beside each curve."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from draw import standalone

from bptt_check.report.plots import WIDTH, LogAxis, log_axis
from bptt_check.report.svg import Drawing, polyline
from bptt_check.report.text import power

HEIGHT, LEFT, RIGHT, ROW = 300.0, 66.0, 20.0, 20.0


def picture(axis: str, every: Sequence[Any]) -> str:
    """One picture with all series of ``axis``, as a file of its own."""
    top = 34.0 + ROW * len(every)
    bottom = top + HEIGHT
    across = log_axis([n for s in every for n in s.sizes], LEFT, WIDTH - RIGHT)
    upwards = log_axis([t for s in every for t in s.seconds], bottom, top)
    assert across is not None and upwards is not None
    drawing = Drawing(
        f"scaling-{axis}",
        WIDTH,
        bottom + 46,
        title=f"Seconds against {axis}",
        description="; ".join(_said(s) for s in every) + ". The table of benchmarks/scaling.md has the numbers.",
    )
    for exponent in across.ticks:
        x = across.at_power(exponent)
        drawing.line(x, top, x, bottom, "rule")
        drawing.text(x, bottom + 16, power(exponent), "small middle")
    for exponent in range(upwards.low, upwards.high + 1):
        y = upwards.at_power(exponent)
        drawing.line(across.start, y, across.end, y, "rule")
        drawing.text(across.start - 8, y + 4, power(exponent), "small end")
    for place, s in enumerate(every):
        style, y = f"c{place} d{place % 4}", 16 + ROW * place
        drawing.line(across.start, y, across.start + 34, y, f"line {style}")
        drawing.text(across.start + 44, y + 4, _said(s))
        _law(drawing, s, across, upwards)
        points = [(across.at(n), upwards.at(t)) for n, t in zip(s.sizes, s.seconds, strict=True)]
        drawing.path(polyline(points), f"line {style}")
        for x, y in points:
            drawing.dot(x, y, 2.5, f"dot c{place}")
    drawing.text((across.start + across.end) / 2, bottom + 38, f"{axis} (thin dashes: the law)", "muted middle")
    drawing.text(16, (top + bottom) / 2, "seconds", "muted middle", turned=True)
    return standalone(str(drawing))


def _said(s: Any) -> str:
    slope = "" if s.slope is None else f", slope {s.slope:.2f}"
    return f"{s.what}{slope}, law {s.law:g}"


def _law(drawing: Drawing, s: Any, across: LogAxis, upwards: LogAxis) -> None:
    """The line of the law's slope through the last point, as far down as the picture and the series go."""
    last, time = s.sizes[-1], s.seconds[-1]
    lowest = 10.0**upwards.low
    first = max(s.sizes[0], last * (lowest / time) ** (1 / s.law))
    ends = [(n, time * (n / last) ** s.law) for n in (first, last)]
    (x1, y1), (x2, y2) = ((across.at(n), upwards.at(t)) for n, t in ends)
    drawing.line(x1, y1, x2, y2, "mark")
