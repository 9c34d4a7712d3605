"""What a verdict costs where the case is small: verdicts a second, the engine's own share, the time to import.

    python benchmarks/small.py [--rounds N]

Times are CPU times of one process with one thread, so that what else the machine does counts less; those of starting
a process are by the clock. Of each the median and the middle half are given. Writes ``benchmarks/small.md`` unless
``--output -`` is given.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from bptt_check import Subject, check  # noqa: E402
from bptt_check.starting import RIGHT_LINE, WRONG_LINE, text  # noqa: E402

SHAPE = {"T": 5, "B": 2, "D": 3, "H": 4}
LARGER = {"T": 20, "B": 3, "D": 8, "H": 16}
COST = 1e-3  # seconds that an evaluation is made to take where the engine's own share is measured
SHARE_ROUNDS = 20


def timed(
    action: Callable[[], Any], rounds: int, clock: Callable[[], float] = time.process_time
) -> np.ndarray[Any, Any]:
    """Seconds of each of ``rounds`` runs, one run before them not counted."""
    action()
    seconds = []
    for _ in range(rounds):
        started = clock()
        action()
        seconds.append(clock() - started)
    return np.array(seconds)


def spread(values: np.ndarray[Any, Any], digits: int = 3) -> str:
    """Median and the middle half."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.{digits}g} ({low:.{digits}g} … {high:.{digits}g})"


def cell(wrong: bool, shape: dict[str, int]) -> Subject:
    """The cell that `bptt-check init` writes, as it is or with one wrong line."""
    module: dict[str, Any] = {}
    exec(text("cell").replace(RIGHT_LINE, WRONG_LINE if wrong else RIGHT_LINE), module)
    return Subject.from_cell(module["Cell"], **shape)


class Spent:
    """Seconds that a subject's own functions take: the rest of a check is the engine's."""

    def __init__(self, subject: Subject) -> None:
        self.seconds = 0.0
        pair = subject.pair and tuple(self.timed(function) for function in subject.pair)
        self.subject = replace(
            subject, loss_at=self.timed(subject.loss_at), gradient_at=self.timed(subject.gradient_at), pair=pair
        )

    def timed(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def call(argument: Any) -> Any:
            started = time.process_time()
            try:
                return function(argument)
            finally:
                self.seconds += time.process_time() - started

        return call

    def of(self, action: Callable[[], Any], rounds: int) -> np.ndarray[Any, Any]:
        """Milliseconds in each of ``rounds`` runs."""
        found = []
        for _ in range(rounds):
            self.seconds = 0.0
            action()
            found.append(1e3 * self.seconds)
        return np.array(found)


def verdict_lines(rounds: int) -> list[str]:
    """Verdicts a second of tiny cases, the milliseconds of one, and how many of them its own functions take."""
    built_in, loss = Subject.from_variant("NP", **SHAPE), Subject.from_variant("NP", **SHAPE).loss
    at = built_in.blocks
    cases: list[tuple[str, Subject, dict[str, Any]]] = [
        ("built-in cell NP", built_in, {}),
        ("built-in cell NP, `protocol=False`", built_in, {"protocol": False}),
        ('built-in cell NP, `entries="all"`', built_in, {"entries": "all"}),
        ("the cell that `init` writes", cell(False, SHAPE), {}),
        ("the cell that `init` writes, `protocol=False`", cell(False, SHAPE), {"protocol": False}),
        ("the same with one wrong line", cell(True, SHAPE), {}),
        ("the same with one wrong line, `causes=False`", cell(True, SHAPE), {"causes": False}),
        ("the same, larger", cell(False, LARGER), {}),
        ("the same, larger, with one wrong line", cell(True, LARGER), {}),
    ]
    forward = timed(lambda: loss(at), 10 * rounds)
    lines = [f"One forward pass of the built-in cell: {spread(1e3 * forward)} ms.", ""]
    lines += [
        "| case | shape | verdict | losses | gradients | ms | of these in its own functions | verdicts a second |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for name, subject, options in cases:
        result = check(subject, **options)
        slow = result.evaluations > 100 or subject.case["T"] > SHAPE["T"]
        runs = max(3, rounds // 20) if slow else rounds
        seconds = timed(lambda s=subject, o=options: check(s, **o), runs)
        spent = Spent(subject)
        own = spent.of(lambda s=spent.subject, o=options: check(s, **o), runs)
        shape = " ".join(f"{k}={subject.case[k]}" for k in "TBDH")
        figures = (
            f"{result.evaluations} | {result.gradient_evaluations} | {spread(1e3 * seconds)} | {np.median(own):.3g} | "
            f"{spread(1 / seconds)}"
        )
        lines.append(f"| {name} | {shape} | {result.verdict} | {figures} |")
    return lines


def share_lines() -> list[str]:
    """What the engine adds to a user's evaluations, where one of them takes a millisecond, or what it really takes."""
    spent = 0.0

    def counted(function: Callable[[Any], Any], cost: float) -> Callable[[Any], Any]:
        def call(point: Any) -> Any:
            nonlocal spent
            started = time.process_time()
            value = function(point)
            while time.process_time() - started < cost:
                pass
            spent += time.process_time() - started
            return value

        return call

    lines = ["| a user's functions, one call takes | entries | engine, ms | evaluations, ms | engine's share on top |"]
    lines.append("|---|--:|--:|--:|--:|")
    for blocks, n in ((2, 12), (6, 20), (17, 24)):
        rng = np.random.default_rng(0)
        point = {f"w{k}": rng.normal(size=n) for k in range(blocks)}
        subject = Subject.from_functions(
            counted(lambda p: sum((np.tanh(a) ** 2).sum() for a in p.values()), COST),
            counted(lambda p: {k: 2 * np.tanh(a) * (1 - np.tanh(a) ** 2) for k, a in p.items()}, COST),
            point,
        )
        engine, calls = [], []
        for _ in range(SHARE_ROUNDS):
            spent, started = 0.0, time.process_time()
            check(subject)
            engine.append(time.process_time() - started - spent)
            calls.append(spent)
        own, theirs = 1e3 * np.array(engine), 1e3 * np.array(calls)
        share = 100 * np.median(own / theirs)
        lines.append(
            f"| {1e3 * COST:g} ms, {blocks} blocks | {n * blocks} | {spread(own)} | {spread(theirs)} | {share:.1f} % |"
        )
    return lines


def start_lines(rounds: int) -> list[str]:
    """Processes: Python alone, importing the package, asking for help."""

    def run(*arguments: str) -> Callable[[], Any]:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return lambda: subprocess.run(
            [sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL
        )

    bare = 1e3 * timed(run("-c", "pass"), rounds, time.perf_counter)
    lines = ["| process | ms | above Python alone, medians |", "|---|--:|--:|", f"| Python alone | {spread(bare)} | |"]
    for name, arguments in (
        ("`import bptt_check`", ("-c", "import bptt_check")),
        ("`bptt-check --help`", ("-m", "bptt_check", "--help")),
    ):
        taken = 1e3 * timed(run(*arguments), rounds, time.perf_counter)
        lines.append(f"| {name} | {spread(taken)} | {np.median(taken) - np.median(bare):.1f} |")
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=100, metavar="N", help="runs of each (100)")
    parser.add_argument(
        "--output", default=str(ROOT / "benchmarks" / "small.md"), help="a Markdown file, or - for none"
    )
    args = parser.parse_args()
    load = " ".join(f"{value:.1f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    lines = [
        "# What a small case costs",
        "",
        f"`python benchmarks/small.py {' '.join(sys.argv[1:])}`".replace(" `", "`"),
        "",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"numpy {np.__version__}; load of the machine at the start: {load}. Medians and middle halves of CPU times.",
    ]
    for title, table in (
        ("Verdicts", verdict_lines(args.rounds)),
        ("The engine's own share", share_lines()),
        ("To start", start_lines(max(5, args.rounds // 5))),
    ):
        lines += ["", f"## {title}", "", *table]
    output = "\n".join(lines) + "\n"
    print(output)
    if args.output != "-":
        Path(args.output).write_text(output, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
