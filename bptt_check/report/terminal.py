"""What a run says on a terminal: how far it is, and at the end a table that fits 100 columns. Plain ASCII frames."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self, TextIO

from bptt_check.report.model import Grid, Line, Summary
from bptt_check.report.saved_lines import SavedRun
from bptt_check.report.tables import incomplete, verdict_advice
from bptt_check.report.tables_beside import causes_said
from bptt_check.report.text import MISSING, clean, count, counted, figure, shorten

_NAME = 14
_CELL = 10
_SHOWN = 60
_REDRAW = 0.1  # seconds; a terminal that is written to more often only flickers


def table(summary: Summary, *, width: int = 100) -> str:
    """Return the worst error of each gradient, over all cases and under each loss, no line wider than ``width``.

    Losses that do not fit beside each other follow below.
    """
    lines = [line for text in _head(summary) for line in textwrap.wrap(text, width, subsequent_indent="    ")]
    shown = summary.gradients[:_SHOWN]
    if shown:
        lines += ["", *_overall(shown)]
        for panel in _panels(summary.by_loss, width):
            lines += ["", *_panel(summary.by_loss, panel)]
    left = len(summary.gradients) - len(shown)
    if left > 0:
        lines.append(f"  and {counted(left, 'more gradient')}, in the report")
    for failure in (*summary.disagreements, *summary.inconclusives)[:5]:
        lines += ["", f"{failure.verdict}  {clean(failure.name, limit=width - 14)}"]
        lines += [f"  {clean(failure.case, limit=width - 2)}"] if failure.case else []
        for said in causes_said(failure.causes):
            lines += textwrap.wrap(said.looks, width, initial_indent="  ", subsequent_indent="    ")
            lines += [f"    mend: {shorten(said.remedy, width - 10)}"] if said.remedy else []
        lines += [f"  {clean(failure.reproduce, limit=1000)}"] if failure.reproduce else []
    return "\n".join(line.rstrip() for line in lines)


def runs_table(runs: Sequence[SavedRun], *, shown: int) -> str:
    """Return the saved runs as a table of the last ``shown``, no line wider than 100 columns."""
    if not runs:
        return "No run has been saved; --save NAME keeps one."
    left = len(runs) - shown
    lines = [f"and {counted(left, 'earlier run')}"] if left > 0 else []
    head = f"{'run':>5} {'name':<16} {'saved (UTC)':<16} {'commit':<9} {'verdict':<12} {'cases':>6} {'worst error':>11}"
    lines.append(f"{head} {'resolution':>10}")
    for run in runs[-shown:]:
        if run.problem:
            problem = run.problem.replace(clean(run.path), run.path.name) if run.path else run.problem
            lines.append(shorten(f"{run.number:>5} {problem}", 100))
            continue
        when = f"{run.saved:%Y-%m-%d %H:%M}" if run.saved else MISSING
        verdict = str(run.verdict) if run.complete else "INCOMPLETE"
        lines.append(
            f"{run.number:>5} {clean(run.name, limit=16) or MISSING:<16} {when:<16} "
            f"{clean(run.commit, limit=100)[:9] or MISSING:<9} {verdict:<12} {count(run.cases):>6} "
            f"{figure(run.worst_error):>11} {figure(run.resolution):>10}"
        )
    return "\n".join(lines)


def _head(summary: Summary) -> list[str]:
    missing = incomplete(summary)
    found = ", ".join(f"{count(number)} {name}" for name, number in summary.verdicts.items()) or "no case"
    compared = f"  {counted(summary.compared, 'gradient entry', 'gradient entries')} compared; {found}"
    worst = f"  worst relative error {figure(summary.worst_error)}"
    if summary.worst_gradient:
        worst += f" in {clean(summary.worst_gradient, limit=24)}"
    worst += f"; an error of {figure(summary.resolution)} would have been seen everywhere" if summary.resolution else ""
    head = [missing] if missing else []
    return [*head, f"{summary.verdict}  {clean(summary.title)}", f"  {verdict_advice(summary)}", compared, worst]


def _overall(lines: Sequence[Line]) -> list[str]:
    """Worst error, tolerance and resolution of each gradient."""
    head = f"  {'gradient':<{_NAME}} {'verdict':<13}{'cases':>9}{'entries':>12}{'worst':>{_CELL}}"
    rows = [f"{head}{'/tolerance':>12}{'resolution':>12}"]
    rows += [
        f"  {clean(line.name, limit=_NAME):<{_NAME}} {line.verdict!s:<13}{count(line.cases):>9}"
        f"{count(line.entries):>12}{figure(line.worst_error):>{_CELL}}{figure(line.worst_ratio):>12}{figure(line.resolution):>12}"
        for line in lines
    ]
    return rows


def _panels(grid: Grid, width: int) -> list[range]:
    """Return the columns that fit beside each other, panel by panel."""
    fit = max(1, (width - 2 - _NAME) // (_CELL + 1))
    return [range(first, min(first + fit, len(grid.columns))) for first in range(0, len(grid.columns), fit)]


def _panel(grid: Grid, columns: range) -> list[str]:
    heads = [_folded(clean(grid.columns[column], limit=3 * _CELL)) for column in columns]
    height = max(map(len, heads))
    corner = ["worst error", "by loss"]
    lines = []
    for row in range(max(height, len(corner))):
        label = corner[row] if row < len(corner) else ""
        lines.append(
            f"  {label:<{_NAME}}" + "".join(f" {head[row] if row < len(head) else '':>{_CELL}}" for head in heads)
        )
    for name, values in list(zip(grid.rows, grid.values, strict=True))[:_SHOWN]:
        cells = "".join(f" {figure(values[column]):>{_CELL}}" for column in columns)
        lines.append(f"  {clean(name, limit=_NAME):<{_NAME}}{cells}")
    return lines


def _folded(name: str) -> list[str]:
    """Break a name at its underscores into pieces no wider than a column."""
    pieces: list[str] = []
    for word in name.replace("_", "_ ").split() or [MISSING]:
        if pieces and len(pieces[-1]) + len(word) <= _CELL:
            pieces[-1] += word
        else:
            pieces.append(word)
    return [piece[place : place + _CELL] for piece in pieces for place in range(0, len(piece), _CELL)]


class Progress:
    """One line that says how far a run is; on anything but a terminal, a plain line at every tenth of it.

    Parameters
    ----------
    total
        How many steps there will be.
    stream
        Where to write. If it goes away, the run goes on without it.
    clock
        Returns seconds that never run backwards.
    """

    def __init__(self, total: int, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = max(0, total)
        self.done = 0
        self._stream = stream
        self._clock = clock
        self._started = clock()
        self._drawn = float("-inf")
        self._tenths = 0
        self._width = 0
        self._noted = False
        try:
            self._live = bool(stream.isatty())
        except (OSError, ValueError):
            self._live = False

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count ``steps`` more, and show it with ``note`` if it is time to."""
        self.done += steps
        now = self._clock()
        if self._live:
            if now - self._drawn >= _REDRAW or self.done >= self.total:
                self._drawn = now
                self._draw(self.line(note))
            return
        tenths = 10 * self.done // max(self.total, 1)
        if tenths > self._tenths:
            self._tenths = tenths
            self._put(self.line(note) + "\n")

    def follow(self, done: int, note: str) -> None:
        """Show that so many are done, with a note that says how long is left."""
        self._noted = True
        if done < self.done:  # a sweep of its own begins
            self.done, self._tenths = 0, 0
        self.advance(done - self.done, note)
        if self.done >= self.total:
            self.close()

    def line(self, note: str = "") -> str:
        """Return the line as it stands: a bar, the count, the share, and an estimate of the time left."""
        share = min(1.0, self.done / self.total) if self.total else 1.0
        bar = "#" * int(24 * share)
        text = f"[{bar:.<24}] {count(self.done)}/{count(self.total)}  {int(100 * share):3d} %"
        if 0 < self.done < self.total and not self._noted:
            elapsed = max(0.0, self._clock() - self._started)
            text += f"  about {_duration(elapsed / self.done * (self.total - self.done))} left"
        return shorten(f"{text}  {clean(note)}".rstrip(), 99)

    def close(self) -> None:
        """Leave the line as it stands and go to the next."""
        if self._live and self._width:
            self._draw(self.line())
            self._put("\n")
            self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _draw(self, text: str) -> None:
        self._put("\r" + text.ljust(self._width))
        self._width = len(text)

    def _put(self, text: str) -> None:
        with suppress(OSError, ValueError):  # a closed pipe must not end the run; UnicodeEncodeError is a ValueError
            self._stream.write(text)
            self._stream.flush()


def bar(stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> Callable[[float, float], None]:
    """A line that follows one long check: ``check(subject, entries="all", progress=bar(sys.stderr))``.

    Drawn anew on a terminal, written at every tenth elsewhere; ends with a new line once all is done.
    """
    steps = 1000
    progress = Progress(steps, stream, clock=clock)

    def follow(share: float, left: float) -> None:
        note = f"of the entries; about {_duration(left)} left" if share < 1 else "of the entries"
        progress.follow(round(steps * share), note)

    return follow


def _duration(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole} s" if whole < 100 else f"{round(whole / 60)} min"
