"""What the default check of the built-in LSTM costs, in evaluations and in passes of the fused LSTM.

    python benchmarks/default_check.py [--largest] [--output FILE]

A pass is one forward and one backward pass of the fused LSTM (``bptt_check.LSTM``) with the gradients of all weights,
x, h0 and s0, at the same shape. The time of a check is shared out by a profile of a second one, which is slower by what
profiling costs; only its shares are used. ``--largest`` adds the largest shape, beside
``torch.autograd.gradcheck(fast_mode=True)`` of ``torch.nn.LSTM`` in float64 where PyTorch is installed, all in turns.
Writes ``benchmarks/default_check.md`` unless ``--output -`` is given.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "benchmarks"), str(ROOT)]

import numpy as np  # noqa: E402
from machine import load, machine, versions  # noqa: E402

from bptt_check import LSTM, Subject, check  # noqa: E402

SHAPES, LARGEST = ((5, 2, 3, 4), (20, 3, 8, 16), (50, 16, 64, 64)), (100, 64, 256, 256)
TARGET = 8  # passes that a check should cost at most
TURNS = 4  # of a pass, a check, a pass and a peer's check at the largest shape
PLACES = {  # function: where its share of the time is told; none of them runs within another but as the text says
    ("reference.py", "choose"): "choosing the reference",
    ("protocol.py", "observe"): "how it behaves when called",
    ("rounding.py", "measure"): "rounding of the gradient",
    ("reference.py", "proved_elsewhere"): "choosing the reference, at a second point",
    ("looking.py", "from_afar"): "directions through all blocks",
    ("looking.py", "along_directions"): "directions",
    ("looking.py", "entry_by_entry"): "every entry",
    ("looking.py", "at_a_glance"): "all at a glance",
    ("looking.py", "later_elsewhere"): "a second point",
}
CALLS = {("forward.py", "forward"): "readable forward", ("backward.py", "backward"): "readable backward"}


@dataclass
class Row:
    """One shape: seconds of a pass and of a check, what the check evaluated, and where its time went."""

    shape: tuple[int, ...]
    entries: int
    one_pass: float
    taken: float
    losses: int
    gradients: int
    verdict: str
    method: str
    peak: float
    arrays: float
    shares: dict[str, float]


@dataclass
class Turns:
    """CPU seconds at the largest shape, turn by turn: a pass, the check in units of the two passes around it, peers."""

    one_pass: list[float]
    ratios: list[float]
    peer: list[float]
    result: Any


def in_turns(shape: tuple[int, ...]) -> Turns:
    """The check between two passes, again and again; each turn ends with the peer's check, where there is one."""
    T, B, D, H = shape
    subject = Subject.from_variant("NP", T=T, B=B, D=D, H=H)
    forward_and_backward, peer = a_pass(shape), torch_gradcheck(shape)
    forward_and_backward()
    passes, ratios, peers, result = [], [], [], None
    for _ in range(TURNS):
        before = cpu_seconds(forward_and_backward)
        start = time.process_time()
        result = check(subject)
        taken = time.process_time() - start
        after = cpu_seconds(forward_and_backward)
        passes += [before, after]
        ratios.append(2 * taken / (before + after))
        if peer:
            peers.append(cpu_seconds(peer))
    return Turns(passes, ratios, peers, result)


def cpu_seconds(function: Callable[[], Any]) -> float:
    start = time.process_time()
    function()
    return time.process_time() - start


def torch_gradcheck(shape: tuple[int, ...]) -> Callable[[], Any] | None:
    """``gradcheck(fast_mode=True)`` of all weights, x and initial states; ``None`` without PyTorch."""
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    T, B, D, H = shape
    torch.manual_seed(0)
    module = torch.nn.LSTM(D, H, dtype=torch.float64)
    names = [name for name, _ in module.named_parameters()]
    weights = [p.detach().clone().requires_grad_() for p in module.parameters()]
    given = [torch.randn(*size, dtype=torch.float64, requires_grad=True) for size in ((T, B, D), (1, B, H), (1, B, H))]
    y = torch.randn(T, B, H, dtype=torch.float64)

    def loss(x: Any, h0: Any, s0: Any, *weights: Any) -> Any:
        h, _ = torch.func.functional_call(module, dict(zip(names, weights, strict=True)), (x, (h0, s0)))
        return ((h - y) ** 2).sum()

    return lambda: torch.autograd.gradcheck(loss, (*given, *weights), fast_mode=True, raise_exception=False)


def a_pass(shape: tuple[int, ...]) -> Callable[[], Any]:
    """One forward and one backward pass of the fused LSTM."""
    T, B, D, H = shape
    rng = np.random.default_rng(0)
    cell = LSTM("NP", D=D, H=H)
    weights, x, dl = cell.draw(rng), rng.normal(size=(T, B, D)), rng.normal(size=(T, B, H))
    return lambda: cell.backward(cell.forward(weights, x), dl)


def pass_seconds(shape: tuple[int, ...]) -> float:
    """The median of some passes of the fused LSTM."""
    one, taken, begun = a_pass(shape), [], time.perf_counter()
    while len(taken) < 4 or time.perf_counter() - begun < 0.5:
        start = time.perf_counter()
        one()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def shares(run: Callable[[], Any]) -> dict[str, float]:
    """The share of the time that each of the places takes, with what it calls."""
    profile = cProfile.Profile()
    profile.runcall(run)
    stats = pstats.Stats(profile)
    whole, found = stats.total_tt, {}  # type: ignore[attr-defined]
    for (file, _, name), (_, _, _, within, _) in stats.stats.items():  # type: ignore[attr-defined]
        place = (Path(file).name, name)
        if place in PLACES or place in CALLS:
            found[(PLACES | CALLS)[place]] = within / whole
    return found


def measured(shape: tuple[int, ...]) -> Row:
    """Everything at one shape."""
    T, B, D, H = shape
    subject = Subject.from_variant("NP", T=T, B=B, D=D, H=H)
    blocks = subject.blocks.values()
    if shape == SHAPES[0]:
        check(subject)  # what is loaded on first use is not counted
    one, start = pass_seconds(shape), time.perf_counter()
    result = check(subject)
    taken = time.perf_counter() - start
    where = shares(lambda: check(subject))
    tracemalloc.start()
    check(subject)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return Row(
        shape,
        sum(a.size for a in blocks),
        one,
        taken,
        result.evaluations,
        result.gradient_evaluations,
        result.verdict.value,
        result.method,
        peak,
        float(sum(a.nbytes for a in blocks)),
        where,
    )


def told_of(turns: Turns) -> Iterator[str]:
    """The lines about the largest shape."""
    ratios, result = sorted(turns.ratios), turns.result
    middle, worst = float(np.median(ratios)), max(block.resolution or 0.0 for block in result.blocks.values())
    yield (
        f"Measured, {len(ratios)} turns of pass, check and pass, by CPU time on one thread: {middle:.1f} passes "
        f"({ratios[0]:.1f} to {ratios[-1]:.1f}); this {'meets it' if middle <= TARGET else 'falls short'}. A "
        f"pass is {1e3 * float(np.median(turns.one_pass)):.0f} ms. Verdict {result.verdict}, every block seen to "
        f"{worst:.1e} or better, chance of a miss {result.miss_probability or 0:.0e}; {result.evaluations} losses and "
        f"{result.gradient_evaluations} gradients."
    )
    if turns.peer:
        check_seconds = middle * float(np.median(turns.one_pass))
        peer = sorted(seconds / check_seconds for seconds in turns.peer)
        yield ""
        yield (
            f"`torch.autograd.gradcheck(fast_mode=True)` of `torch.nn.LSTM` at the same shape, in the same turns, "
            f"takes {float(np.median(peer)):.2f} times as long as this check ({peer[0]:.2f} to {peer[-1]:.2f}); "
            "its relative tolerance is 1e-3."
        )


def report(rows: list[Row], turns: Turns | None, before: str) -> Iterator[str]:
    """The page."""
    yield "# What the default check costs"
    yield ""
    yield "`" + " ".join(["python benchmarks/default_check.py", *sys.argv[1:]]) + "`"
    yield ""
    yield f"{machine()}; {versions('numpy')}; load {before} before and {load()} after."
    yield ""
    yield "The built-in cell NP, Euclidean loss, float64. *A pass*: forward and backward pass of the fused LSTM with"
    yield "all gradients, at the same shape. *Memory*: the most that was allocated at once, beside the arrays compared."
    yield ""
    yield f"Wanted: at most {TARGET} passes at T, B, D, H = {', '.join(map(str, LARGEST))}."
    if turns is None:
        at = ", ".join(map(str, rows[-1].shape))
        yield f"Not measured in this run (`--largest`); at {at} it is {passes(rows[-1])}."
    else:
        yield from told_of(turns)
    yield ""
    heads = ("T, B, D, H", "entries", "verdict", "method", "a pass, ms", "the check, s", "passes", "losses")
    yield f"| {' | '.join((*heads, 'gradients', 'memory'))} |"
    yield "|---|--:|---|---|--:|--:|--:|--:|--:|--:|"
    for r in rows:
        memory = f"{r.peak / 2**20:.1f} of {r.arrays / 2**20:.2g} MiB" if r.peak else "–"
        figures = f"{1e3 * r.one_pass:.3g} | {r.taken:.3g} | {ratio(r):.0f} | {r.losses} | {r.gradients} | {memory}"
        yield f"| {', '.join(map(str, r.shape))} | {r.entries:,} | {r.verdict} | {r.method} | {figures} |"
    yield ""
    yield "Share of the time of a check, by what it is for; the last two are calls that happen within the others."
    yield ""
    names = [n for n in (*PLACES.values(), *CALLS.values()) if any(n in r.shares for r in rows)]
    yield f"| T, B, D, H | {' | '.join(names)} |"
    yield "|---|" + "--:|" * len(names)
    for r in rows:
        if r.shares:
            cells = [f"{r.shares[n]:.0%}" if n in r.shares else "–" for n in names]
            yield f"| {', '.join(map(str, r.shape))} | {' | '.join(cells)} |"


def ratio(row: Row) -> float:
    return row.taken / row.one_pass


def passes(row: Row) -> str:
    return f"{ratio(row):.0f} passes"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--largest", action="store_true", help=f"{LARGEST} as well, which takes minutes")
    parser.add_argument("--output", default=str(Path(__file__).with_suffix(".md")), help="a page, or - for none")
    given = parser.parse_args()
    before = load()
    turns = in_turns(LARGEST) if given.largest else None
    rows = [measured(shape) for shape in (*SHAPES, *((LARGEST,) if given.largest else ()))]
    text = "\n".join(report(rows, turns, before)) + "\n"
    print(text)
    if given.output != "-":
        Path(given.output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
