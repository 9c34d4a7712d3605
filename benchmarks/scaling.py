"""Time against T, B, D, H and the number of entries, beside the law that it should follow.

    python benchmarks/scaling.py [--longest S] [--output FILE]

One size at a time grows from 1 to 1000, the others stay; for the number of entries D = H grows. Four things are timed:
forward and backward pass of the fused and of the readable LSTM, the default check, and the check of every entry. A
series ends before a point that would take more than ``--longest`` seconds, as its last two points foretell. The slope
is fitted to the largest sizes of a series, one decade, in the log of both; the law is that of the arithmetic alone, so
that a slope below it says that calls still cost more than their numbers. Writes ``benchmarks/scaling.md`` and
``docs/pictures/scaling-*.svg`` unless ``--output -`` is given.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT / "docs" / "pictures"), str(ROOT)]
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from machine import load, machine, versions  # noqa: E402
from scaling_picture import picture  # noqa: E402

from bptt_check import LSTM, Subject, check  # noqa: E402
from bptt_check.lstm.backward import backward  # noqa: E402
from bptt_check.lstm.forward import forward  # noqa: E402
from bptt_check.lstm.variants import NP  # noqa: E402

SIZES = (1, 3, 10, 30, 100, 300, 1000)
PASS, CHECK = {"T": 20, "B": 8, "D": 32, "H": 32}, {"T": 5, "B": 2, "D": 8, "H": 8}
PASSES, CHECKS = ("fused pass", "readable pass"), ("default check", "every entry")
LAWS = {  # of the arithmetic, at the largest sizes: passes, default check, every entry
    "T": (1, 1, 2),  # every entry: x and the intermediates have T times as many, and a copy runs over T steps
    "B": (1, 1, 1),  # a copy runs over the sequence that its entry acts on; a weight over all
    "D": (1, 1, 1),
    "H": (2, 2, 4),  # H² entries, each copy multiplied by H × H at every step
    "entries": (1, 1, 2),  # D = H: N is 8 H², and so it is N copies times H²
}
LEAST, LONG = 0.1, 1.0  # seconds over which a run is repeated, the fastest counts; beyond which it runs once
DECADE = 10.5  # the slope is that of the sizes down to the largest divided by this


@dataclass
class Series:
    """One curve: what is timed, against which size, and the power that it should grow with."""

    what: str
    axis: str
    law: float
    sizes: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    shapes: list[dict[str, int]] = field(default_factory=list)

    @property
    def slope(self) -> float | None:
        """The fitted power over the last decade; ``None`` with fewer than two points there."""
        pairs = [(n, s) for n, s in zip(self.sizes, self.seconds, strict=True) if n * DECADE >= self.sizes[-1]]
        if len(pairs) < 2:
            return None
        return float(np.polyfit(*np.log(np.array(pairs)).T, 1)[0])

    def foretold(self, size: float) -> float:
        """Seconds of the next point: the larger of the power between the last two points and half that of the law."""
        if not self.sizes:
            return 0.0
        grown = math.log(size / self.sizes[-1])
        power = 0.5 * self.law
        if len(self.sizes) > 1:
            gone = math.log(self.sizes[-1] / self.sizes[-2])
            power = max(math.log(self.seconds[-1] / self.seconds[-2]) / gone, 0.5 * self.law)
        return self.seconds[-1] * math.exp(power * grown)


def fastest(run: Callable[[], Any]) -> float:
    """The fastest of the runs that fit into ``LEAST`` seconds, at least two; only one of a run longer than ``LONG``."""
    taken: list[float] = []
    while len(taken) < 2 or sum(taken) < LEAST:
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
        if taken[-1] > LONG:
            break
    return min(taken)


def made(what: str, shape: dict[str, int]) -> tuple[Callable[[], Any], int]:
    """What is timed at one shape, and how many entries it has."""
    T, B, D, H = (shape[k] for k in "TBDH")
    if what in CHECKS:
        subject = Subject.from_variant("NP", **shape)
        entries = sum(array.size for array in subject.blocks.values())
        return lambda: check(subject, entries="all" if what == "every entry" else "auto"), entries
    rng = np.random.default_rng(0)
    cell = LSTM("NP", D=D, H=H)
    weights, x, dl = cell.draw(rng), rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    h0, s0 = (rng.normal(size=(B, H)) for _ in range(2))
    entries = sum(array.size for array in (*weights.values(), x, h0, s0))
    if what == "fused pass":
        return lambda: cell.backward(cell.forward(weights, x, h0, s0), dl), entries
    return lambda: backward(forward(weights, x, h0, s0, variant=NP), dl), entries


def shapes_along(axis: str, base: dict[str, int]) -> Iterator[dict[str, int]]:
    """The shapes of one series."""
    if axis != "entries":
        yield from ({**base, axis: size} for size in SIZES)
        return
    for size in (3, 5, 9, 16, 28, 50, 90, 160, 280):
        yield {"T": base["T"], "B": 1, "D": size, "H": size}


def measured(what: str, axis: str, longest: float) -> Series:
    """One series, up to the point that would take too long."""
    law = LAWS[axis][0 if what in PASSES else 1 + CHECKS.index(what)]
    series = Series(what, axis, law)
    for shape in shapes_along(axis, CHECK if what in CHECKS else PASS):
        rough = shape[axis] if axis in shape else 8 * shape["H"] ** 2
        if series.foretold(rough) > longest:
            break
        run, entries = made(what, shape)
        series.seconds.append(fastest(run))
        series.sizes.append(entries if axis == "entries" else rough)
        series.shapes.append(shape)
    return series


def seconds(value: float) -> str:
    """A time in µs, ms or s with three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def report(found: dict[str, list[Series]], took: float, before: str, command: str) -> Iterator[str]:
    """The page."""
    yield "# How time grows"
    yield ""
    yield f"`{command}`"
    yield ""
    yield f"{machine()}; {versions('numpy')}; one thread; load {before} before and {load()} after; {took:.0f} s in all."
    yield ""
    yield "The cell is NP, the common LSTM, in float64; the fastest run of each. *Slope*: the power of the size with"
    yield "which time grows over the last decade of a series. *Law*: the power of the arithmetic alone, which the slope"
    yield "approaches from below where calls cost less and less of the time. A check's series ends where its next point"
    yield "would take too long."
    for axis, every in found.items():
        fixed = "D = H grows" if axis == "entries" else ""
        shown = {
            kind: ", ".join(f"{k} = {v}" for k, v in base.items() if k != axis)
            for kind, base in (("passes", PASS), ("checks", CHECK))
        }
        said = fixed or f"passes at {shown['passes']}; checks at {shown['checks']}"
        yield f"\n## {axis}\n\n{said}.\n\n![time against {axis}](../docs/pictures/scaling-{axis}.svg)\n"
        yield "| what is timed | from | to | time, smallest | time, largest | slope | law |"
        yield "|---|--:|--:|--:|--:|--:|--:|"
        for s in every:
            slope = "–" if s.slope is None else f"{s.slope:.2f}"
            ends = f"{s.sizes[0]:,.0f} | {s.sizes[-1]:,.0f} | {seconds(s.seconds[0])} | {seconds(s.seconds[-1])}"
            yield f"| {s.what} | {ends} | {slope} | {s.law:g} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--longest", type=float, default=4.0, metavar="S", help="seconds of one point at most (4)")
    parser.add_argument("--output", default=str(ROOT / "benchmarks" / "scaling.md"), help="a page, or - for none")
    given = parser.parse_args()
    before, start = load(), time.perf_counter()
    found: dict[str, list[Series]] = {}
    for axis in LAWS:
        found[axis] = [measured(what, axis, given.longest) for what in (*PASSES, *CHECKS)]
        for s in found[axis]:
            print(axis, s.what, *(seconds(v) for v in s.seconds), f"slope {s.slope}", file=sys.stderr, flush=True)
    command = f"python benchmarks/scaling.py {' '.join(sys.argv[1:])}".strip()
    text = "\n".join(report(found, time.perf_counter() - start, before, command)) + "\n"
    print(text)
    if given.output != "-":
        Path(given.output).write_text(text, encoding="utf-8")
        for axis, every in found.items():
            path = ROOT / "docs" / "pictures" / f"scaling-{axis}.svg"
            path.write_text(picture(axis, every), encoding="utf-8")


if __name__ == "__main__":
    main()
