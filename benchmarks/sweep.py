"""The derivative by every weight and input of an LSTM: by this project, by JAX, by PyTorch's gradcheck.

    python benchmarks/sweep.py [--cores N] [--repeats K] [--shapes T,B,D,H ...] [--complete] [--output FILE]

All in one process on N cores, one after the other, over and over; times are medians, and the spread is that of the
ratios. JAX is jitted, at the best of several batch sizes, and its compile time is told apart. ``--complete`` lets
gradcheck finish where there are more than 30,000 entries (half an hour and more); without it no figure is given there.
Writes ``benchmarks/sweep.md``, or ``sweep-N-cores.md`` for more than one.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]

from sweep_peers import STEP, InJax, gradcheck  # noqa: E402


def settle_on(cores: int) -> None:
    """Bind this process to so many cores, before any library starts its threads."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # chunks are shared out among threads, products are not
    if cores == 1:
        os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"


SHAPES = ((3, 1, 1, 5), (10, 1, 8, 16), (20, 1, 16, 32), (50, 1, 32, 64), (100, 1, 64, 128))
WHOLE = 30_000  # entries up to which everything runs to its end
SHARE = 40  # of one so much of a sweep is timed beyond, and scaled; never of a tangent sweep or of gradcheck


@dataclass
class Row:
    """One shape: seconds of each way, one for each repeat; compile seconds; which are scaled from a share."""

    shape: tuple[int, ...]
    entries: int
    seconds: dict[str, list[float]] = field(default_factory=dict)
    compiled: dict[str, float] = field(default_factory=dict)
    batch: dict[str, int] = field(default_factory=dict)
    off: dict[str, float] = field(default_factory=dict)


def both_signs(owner: Any, within: Any) -> tuple[Any, Any, Any]:
    """The copies of central differences: each entry moved up, then each down."""
    import numpy as np

    return np.tile(owner, 2), np.tile(within, 2), np.repeat([STEP, -STEP], len(owner))


class Problem:
    """An NP cell (PyTorch's LSTM) with the Euclidean loss, all weights and x to be differentiated."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        import numpy as np

        from bptt_check.lstm.copies import Setting
        from bptt_check.lstm.losses import EUCLIDEAN
        from bptt_check.lstm.params import draw, signed
        from bptt_check.lstm.variants import NP

        T, B, D, H = self.shape = shape
        rng = np.random.default_rng(0)
        weights = draw(NP, D, H, rng=rng, size=H**-0.5)
        point = {**weights, "x": rng.normal(size=(T, B, D)), "h0": signed(rng, (B, H)), "s0": signed(rng, (B, H))}
        self.setting = Setting(NP, point, EUCLIDEAN, rng.normal(size=(T, B, H)))
        self.names = (*weights, "x")
        sizes = [point[name].size for name in self.names]
        self.owner = np.repeat(np.arange(len(sizes)), sizes)
        self.within = np.concatenate([np.arange(size) for size in sizes])
        self.entries = len(self.owner)
        self.twice = both_signs(self.owner, self.within)  # known before a sweep, as JAX's batches are

    def backward(self) -> Any:
        """The gradient under test, by the readable backward pass, flat; with the trace that it came from."""
        import numpy as np

        from bptt_check.lstm.backward import backward
        from bptt_check.lstm.imaginary import trace_of

        trace = trace_of(self.setting, np.dtype(float))
        slope = self.setting.loss.derivative(trace.over_time("h"), self.setting.y)
        grads = backward(trace, slope)
        arrays = {**grads.weights, "x": grads.x}
        return np.concatenate([arrays[name].reshape(-1) for name in self.names]), trace, slope

    def central(self, jobs: int, some: slice = slice(None)) -> Any:
        from bptt_check.lstm.copies import losses

        moved = self.twice if some == slice(None) else both_signs(self.owner[some], self.within[some])
        up, down = losses(self.setting, self.names, *moved, jobs=jobs).reshape(2, -1)
        return (up - down) / (2 * STEP)

    def complex_step(self, jobs: int, some: slice = slice(None)) -> Any:
        import numpy as np

        from bptt_check.lstm.imaginary import complex_losses

        owner, within = self.owner[some], self.within[some]
        steps = np.full(len(owner), 1e-20j)
        return complex_losses(self.setting, self.names, owner, within, steps, jobs=jobs).imag / 1e-20

    def segmented(self, jobs: int) -> Any:
        import numpy as np

        from bptt_check.lstm.segmented import segmented

        found = segmented(self.setting, step=STEP, jobs=jobs)
        return np.concatenate([found[name].reshape(-1) for name in self.names])

    def tangents(self, jobs: int, trace: Any, slope: Any) -> Any:
        from bptt_check.lstm.tangents import derivatives

        return derivatives(trace, slope, self.names, self.owner, self.within, jobs=jobs)


def timed(run: Callable[[], Any]) -> tuple[float, Any]:
    started = time.perf_counter()
    value = run()
    return time.perf_counter() - started, value


def measured(shape: tuple[int, ...], args: argparse.Namespace) -> Row:
    """All ways for one shape, interleaved."""
    import numpy as np

    problem = Problem(shape)
    row, jobs = Row(shape, problem.entries), args.cores
    share = 1 if problem.entries <= WHOLE else SHARE
    some = slice(None, None, share)
    exact, trace, slope = problem.backward()
    scale = np.abs(exact).max()
    repeats = max(args.repeats, 20) if problem.entries < 1000 else args.repeats if problem.entries < 10_000 else 3
    jaxed: dict[str, Callable[[], float]] = {}
    if "jax" in args.peers:
        peer = InJax(problem)
        for way in peer.ways:
            jaxed[way], row.compiled[way], row.batch[way] = peer.best(way, share)

    def end_to_end() -> Any:
        gradient, trace, slope = problem.backward()
        return np.abs(problem.tangents(jobs, trace, slope) - gradient).max()

    def end_to_end_central() -> Any:
        return np.abs(problem.central(jobs, some) - problem.backward()[0][some]).max()

    ours: dict[str, Callable[[], Any]] = {
        "central": lambda: problem.central(jobs, some) - exact[some],
        "complex": lambda: problem.complex_step(jobs, some) - exact[some],
        "segmented": lambda: problem.segmented(jobs) - exact,
        "tangents": lambda: problem.tangents(jobs, trace, slope) - exact,
        "tangents, end to end": end_to_end,
    }
    if share == 1:
        ours["central, end to end"] = end_to_end_central
    for _ in range(repeats if share == 1 else 1):
        for name, run in ours.items():
            seconds, off = timed(run)
            scaled = seconds * (share if name in ("central", "complex") else 1)
            row.seconds.setdefault(name, []).append(scaled)
            row.off[name] = float(np.abs(off).max() / scale)
        for name, sweep in jaxed.items():
            row.seconds.setdefault(name, []).append(sweep())
    if "torch" in args.peers and (share == 1 or args.complete):
        for name, fused in (("gradcheck", True), ("gradcheck, cell", False)):
            if fused or problem.entries < 10_000:
                row.seconds[name] = [gradcheck(problem, fused=fused)]
    return row


def middle(row: Row, name: str) -> float | None:
    return statistics.median(row.seconds[name]) if name in row.seconds else None


def seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{1e3 * value:.2g} ms" if value < 0.1 else f"{value:.2f} s" if value < 10 else f"{value:.0f} s"


def ratio(row: Row, peer: str, own: str) -> str:
    """How many times as long the peer takes; its spread over the repeats in brackets."""
    if peer not in row.seconds or own not in row.seconds:
        return "–"
    middles = middle(row, peer) / middle(row, own)  # type: ignore[operator]
    each = [a / b for a, b in zip(row.seconds[peer], row.seconds[own], strict=False)]
    spread = f" ({min(each):.2g}–{max(each):.2g})" if len(each) > 1 else ""
    return f"{middles:.3g}{spread}"


def report(rows: list[Row], args: argparse.Namespace) -> Iterator[str]:
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("numpy", *args.peers))
    yield f"# Every entry of an LSTM, {args.cores} core{'s' if args.cores > 1 else ''}"
    yield ""
    yield f"Written by `python benchmarks/sweep.py{' --cores ' + str(args.cores) if args.cores > 1 else ''}`."
    yield f"{processor()}; Python {platform.python_version()}, {versions}; load at the start {args.load:.1f}."
    yield ""
    yield "All weights and x of an LSTM without peepholes (PyTorch's), Euclidean loss, float64. Medians; in brackets"
    yield "the spread of the ratio over the repeats, which are interleaved. JAX: jitted, vmapped, the best of several"
    yield "batch sizes, compile time left out of the sweep and told apart."
    yield ""
    yield "## Sweeps"
    yield ""
    head = (
        "central",
        "complex step",
        "tangents",
        "complex / central",
        "central / segmented",
        "JAX central",
        "JAX forward",
    )
    yield f"| T, B, D, H | entries | {' | '.join(head)} |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        cells = [seconds(middle(row, k)) for k in ("central", "complex", "tangents")]
        cells += [ratio(row, "complex", "central"), ratio(row, "central", "segmented")]
        cells += [seconds(middle(row, k)) for k in ("JAX central", "JAX forward mode")]
        yield f"| {', '.join(map(str, row.shape))} | {row.entries:,} | {' | '.join(cells)} |"
    yield ""
    yield "*Segmented*: central differences by the pre-activations of each step alone, the weights and x summed up from"
    yield "them (lstm/segmented.py); B5, B6, B5p and B7 are taken for granted there."
    yield ""
    yield "How many times as long the other takes:"
    yield ""
    yield "| entries | JAX central / central | JAX forward mode / tangents | JAX compile, central | forward |"
    yield "|--:|--:|--:|--:|--:|"
    for row in rows:
        compiled = [seconds(row.compiled.get(k)) for k in ("JAX central", "JAX forward mode")]
        pairs = [ratio(row, "JAX central", "central"), ratio(row, "JAX forward mode", "tangents")]
        yield f"| {row.entries:,} | {' | '.join(pairs + compiled)} |"
    if any(row.entries > WHOLE for row in rows):
        yield ""
        yield f"Above {WHOLE:,} entries central differences, complex steps and JAX run on every {SHARE}th entry or"
        yield "batch, and their times are scaled; tangent sweeps and gradcheck always run to their end."
    yield ""
    yield "## End to end"
    yield ""
    yield "Ours: forward and backward pass (the readable ones), the sweep, the comparison. `torch.autograd.gradcheck`:"
    yield "slow mode, complete runs only, of torch's fused LSTM and of a cell written in torch operations. JAX's first"
    yield "check includes its compile time."
    yield ""
    head = ("tangents", "central", "first JAX central", "gradcheck, fused / cell", "gradcheck / tangents", "/ central")
    yield f"| entries | {' | '.join(head)} |"
    yield "|--:|--:|--:|--:|--:|--:|--:|"
    for row in rows:
        first = middle(row, "JAX central")
        first = None if first is None else first + row.compiled["JAX central"]
        checks = f"{seconds(middle(row, 'gradcheck'))} / {seconds(middle(row, 'gradcheck, cell'))}"
        cells = [seconds(middle(row, "tangents, end to end")), seconds(middle(row, "central, end to end"))]
        cells += [seconds(first), checks]
        for own in ("tangents, end to end", "central, end to end"):
            cells.append(f"{ratio(row, 'gradcheck', own)} / {ratio(row, 'gradcheck, cell', own)}")
        yield f"| {row.entries:,} | {' | '.join(cells)} |"
    yield ""
    yield "Largest difference from the backward pass, in units of its largest entry:"
    for row in rows:
        said = ", ".join(f"{name} {row.off[name]:.0e}" for name in ("central", "complex", "segmented", "tangents"))
        yield f"{row.entries:,} entries: {said}."


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--shapes", nargs="*", default=None, metavar="T,B,D,H")
    parser.add_argument("--complete", action="store_true", help="let gradcheck finish on the largest shapes")
    parser.add_argument("--output", default=None, help="a file, or - for the terminal only")
    args = parser.parse_args()
    settle_on(args.cores)
    args.load = os.getloadavg()[0]
    args.peers = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
    for missing in {"torch", "jax"} - set(args.peers):
        print(f"{missing} is not installed: its columns stay empty", file=sys.stderr)
    if "torch" in args.peers:
        import torch

        torch.set_num_threads(args.cores)
        gradcheck(Problem((1, 1, 1, 1)), fused=True)  # what PyTorch loads on first use is not counted
    shapes = [tuple(int(k) for k in text.split(",")) for text in args.shapes] if args.shapes else list(SHAPES)
    rows: list[Row] = []
    for shape in shapes:
        rows.append(measured(shape, args))
        said = {name: f"{statistics.median(each):.4g}" for name, each in rows[-1].seconds.items()}
        print(shape, rows[-1].entries, said, rows[-1].batch, file=sys.stderr, flush=True)
    text = "\n".join(report(rows, args)) + "\n"
    print(text)
    name = "sweep.md" if args.cores == 1 else f"sweep-{args.cores}-cores.md"
    if args.output != "-":
        Path(args.output or ROOT / "benchmarks" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
