"""How near a fused pass comes to what NumPy allows: its matrix products, its tanh and its calls, each timed alone.

    python benchmarks/limits.py [--output FILE]

The *products alone* are those that a forward and a backward pass of the fused LSTM cannot do without, in the same
shapes and order: T of (B, H+D) × (H+D, 4H), T of (B, 4H) × (4H, H), and for dW and dx one each over all steps. The
*tanh alone* is that of 5 TBH numbers, five a cell and step. A *call* is one addition of eight numbers into an array
that is there. One thread, float64; each is the fastest of several runs. Writes ``benchmarks/limits.md`` unless
``--output -`` is given.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]
for library in ("OPENBLAS", "OMP", "MKL"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from machine import load, machine, versions  # noqa: E402

from bptt_check import LSTM  # noqa: E402

SHAPES = ((5, 1, 3, 4), (20, 1, 50, 100), (50, 8, 32, 64), (50, 16, 64, 64), (100, 32, 64, 128), (100, 64, 256, 256))
LEAST, CALLS, PEAK = 0.4, 1000, 768


def fastest(run: Callable[[], Any]) -> float:
    """Seconds of the fastest run after a first one, of at least three."""
    run()
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < LEAST:
        start = time.perf_counter()
        run()
        taken.append(time.perf_counter() - start)
    return min(taken)


def products(T: int, B: int, D: int, H: int) -> Callable[[], None]:
    """The matrix products of one pass, nothing else."""
    rng = np.random.default_rng(0)
    seen, W = rng.normal(size=(B, H + D)), rng.normal(size=(H + D, 4 * H))
    dz, W_h = rng.normal(size=(B, 4 * H)), rng.normal(size=(4 * H, H))
    every_dz, every_seen, W_x = (
        rng.normal(size=(T * B, 4 * H)),
        rng.normal(size=(T * B, H + D)),
        W_h[:, :1] * np.ones(D),
    )
    z, dh, dW, dx = np.empty((B, 4 * H)), np.empty((B, H)), np.empty((4 * H, H + D)), np.empty((T * B, D))

    def run() -> None:
        for _ in range(T):
            np.matmul(seen, W, out=z)
        for _ in range(T):
            np.matmul(dz, W_h, out=dh)
        np.matmul(every_dz.T, every_seen, out=dW)
        np.matmul(every_dz, W_x, out=dx)

    return run


def tanh(T: int, B: int, H: int) -> Callable[[], None]:
    """The tanh of one pass, four gates together and the output's by itself, step by step."""
    gates, state = np.random.default_rng(0).normal(size=(4, B, H)), np.random.default_rng(1).normal(size=(B, H))
    gates_out, state_out = np.empty_like(gates), np.empty_like(state)

    def run() -> None:
        for _ in range(T):
            np.tanh(gates, out=gates_out)
            np.tanh(state, out=state_out)

    return run


def one_pass(T: int, B: int, D: int, H: int) -> Callable[[], Any]:
    rng = np.random.default_rng(0)
    cell = LSTM("NP", D=D, H=H)
    weights, x, dl = cell.draw(rng), rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    return lambda: cell.backward(cell.forward(weights, x), dl)


def call_seconds() -> float:
    a, b, out = np.ones(8), np.ones(8), np.empty(8)

    def run() -> None:
        for _ in range(CALLS):
            np.add(a, b, out)

    return fastest(run) / CALLS


def report() -> Iterator[str]:
    """The page."""
    before = load()
    square = np.random.default_rng(0).normal(size=(PEAK, PEAK))
    out = np.empty_like(square)
    peak = 2 * PEAK**3 / fastest(lambda: np.matmul(square, square, out=out)) / 1e9
    call = call_seconds()
    table = []
    for T, B, D, H in SHAPES:
        taken, matrix, curve = (fastest(run) for run in (one_pass(T, B, D, H), products(T, B, D, H), tanh(T, B, H)))
        work = 2 * T * B * 4 * H * (2 * (H + D) + H + D) / 1e9
        rest = taken - matrix - curve
        table.append(
            f"| {T}, {B}, {D}, {H} | {1e3 * taken:.3g} | {work / taken:.3g} | {work / taken / peak:.0%} | "
            f"{matrix / taken:.0%} | {curve / taken:.0%} | {rest / taken:.0%} | {rest / call / T:.0f} |"
        )
    yield "# How near a pass comes to its limits"
    yield ""
    yield "`" + " ".join(["python benchmarks/limits.py", *sys.argv[1:]]) + "`"
    yield ""
    yield f"{machine()}; {versions('numpy')}; one thread; load {before} before and {load()} after."
    yield ""
    yield f"A square product of {PEAK} reaches {peak:.1f} GFLOP/s, the *peak* below; a share above 100 % says that the"
    yield f"load changed in between. A NumPy call on eight numbers takes {1e6 * call:.2g} µs. A pass is one forward and"
    yield "one backward pass of the fused LSTM NP with all gradients."
    yield ""
    yield "| T, B, D, H | a pass, ms | GFLOP/s | of the peak | products alone | tanh alone | rest | in calls a step |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|"
    yield from table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", default=str(Path(__file__).with_suffix(".md")), help="a page, or - for none")
    given = parser.parse_args()
    text = "\n".join(report()) + "\n"
    print(text)
    if given.output != "-":
        Path(given.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
