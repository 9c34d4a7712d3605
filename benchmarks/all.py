"""Runs benchmarks and writes ``benchmarks/README.md``: of each its target, its result in a line, its command, its page.

    python benchmarks/all.py [NAME ...] [--full] [--none]

Without a name the quick ones run, which together take some five minutes; ``--full`` runs all, which takes hours;
``--none`` runs nothing and reads the pages that are there. Each runs in a process of its own, one after the other, with
this interpreter. The results are read from the pages, so that a line of the README says what its page says.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from machine import load, machine, versions  # noqa: E402

PACKAGES = ("numpy", "scipy", "torch", "jax")
Page = list[list[str]]


@dataclass(frozen=True)
class Benchmark:
    """One benchmark. ``arguments``: how its page is made. ``result``: the page's cells to a line, where it can be read.

    ``quick``: run when nothing is named. ``by_hand``: its page is put together from several runs, which it names.
    """

    name: str
    asks: str
    target: str
    result: Callable[[str, Page], str]
    arguments: str = ""
    quick: bool = False
    by_hand: bool = False

    @property
    def page(self) -> Path:
        return HERE / f"{self.name}.md"

    @property
    def command(self) -> str:
        return f"python benchmarks/{self.name}.py {self.arguments}".strip()

    def read(self) -> str:
        """The result in a line; says so where there is no page, or one that is laid out in another way."""
        if not self.page.exists():
            return "not run yet"
        text = self.page.read_text(encoding="utf-8")
        try:
            return self.result(text, rows(text))
        except (LookupError, ValueError, TypeError):
            return "the page is laid out in another way than `all.py` reads it"


def rows(text: str) -> Page:
    """The rows of all tables of a page, as cells."""
    lines = (line.strip() for line in text.splitlines())
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def row(page: Page, *start: str) -> list[str]:
    """The first row whose first cells are these. Raises ``LookupError`` where there is none."""
    found = [cells for cells in page if cells[: len(start)] == list(start)]
    if not found:
        raise LookupError(start)
    return found[0]


def column(page: Page, name: str) -> int:
    """The place of a column by its heading. Raises ``LookupError`` where no table has one."""
    for cells in page:
        if name in cells:
            return cells.index(name)
    raise LookupError(name)


def number(cell: str) -> float:
    """The first number of a cell. Raises ``TypeError`` where there is none."""
    return float(re.search(r"-?\d[\d,]*(\.\d+)?(e[-+]?\d+)?", cell)[0].replace(",", ""))  # type: ignore[index]


def core(text: str, page: Page) -> str:
    cells = row(page, "100, 64, 256, 256", "float64")
    others = [heading for heading in next(p for p in page if "ours, ms" in p) if heading.startswith("ours ÷ ")]
    said = [f"{cells[column(page, name)]} {name}" for name in others]
    return f"{cells[2]} ms at T, B, D, H = 100, 64, 256, 256, float64, 1 thread; {'; '.join(said)}"


def scaling(text: str, page: Page) -> str:
    slopes = [(cells[0], cells[5], cells[6]) for cells in page if len(cells) == 7 and "pass" in cells[0]]
    if not slopes:
        raise LookupError("pass")
    fused, readable = ([f"{s} ({law})" for what, s, law in slopes if kind in what] for kind in ("fused", "readable"))
    return f"slopes (law) for T, B, D, H, entries: fused pass {', '.join(fused)}; readable pass {', '.join(readable)}"


def limits(text: str, page: Page) -> str:
    said = [f"{cells[3]} of the peak at {cells[0]}" for cells in page if len(cells) == 8 and cells[3].endswith("%")]
    if not said:
        raise LookupError("of the peak")
    return "; ".join(said[-2:])


def default_check(text: str, page: Page) -> str:
    said = [f"{cells[6]} passes at {cells[0]}" for cells in page if len(cells) == 10 and cells[6].isdigit()]
    if not said:
        raise LookupError("passes")
    return "; ".join(said)


def small(text: str, page: Page) -> str:
    at = column(page, "verdicts a second")
    cells = row(page, "built-in cell NP")
    helped = row(page, "`import bptt_check`")
    return f"{cells[at]} verdicts a second at {cells[1]}; importing takes {helped[2]} ms more than Python alone"


def plugin(text: str, page: Page) -> str:
    few, many = (cells for cells in page if cells[0].isdigit() and len(cells) == 5)
    return f"instructions beyond an empty plugin's: {few[4]} with {few[0]} test, {many[4]} with {many[0]}"


def sweep(text: str, page: Page) -> str:
    complex_step = row(page, "50, 1, 32, 64")[5]
    forward, checked = (cells for cells in page if cells[0] == "26,432")
    return (
        f"at 26,432 entries: complex step ÷ central difference {complex_step}; JAX's forward mode ÷ ours {forward[2]}; "
        f"`gradcheck` ÷ our tangents {checked[5].partition(' / ')[0]}"
    )


def constants(text: str, page: Page) -> str:
    worst = max(number(cells[-1]) for cells in page if cells[0] in ("right", "right but hard"))
    return f"the worst right gradient uses {worst:g} of its tolerance"


def detection(text: str, page: Page) -> str:
    first = text.split("## This engine alone")[0]
    shares = [cells for cells in rows(first) if len(cells) > 7 and cells[1].isdigit() and cells[3].endswith("%")]
    least = [min(float(cells[k].rstrip(" %")) for cells in shares) for k in (3, 4)]
    alarms = [(row(rows(first), f"**all: {kind}**"), kind) for kind in ("right", "right but hard")]
    said = ", ".join(f"{cells[2]} of {cells[1]} {kind}" for cells, kind in alarms)
    caught = f"of {len(shares)} kinds of fault the least caught: {least[0]:g} % (gradcheck {least[1]:g} %)"
    return f"{caught}; DISAGREES: {said}"


def diagnosis(text: str, page: Page) -> str:
    cells = row(page, "**all**")
    return f"of {cells[1]} mistakes: detected {cells[2]}; named, or what looks the same {cells[3]}; equation {cells[4]}"


def patterns(text: str, page: Page) -> str:
    shares = [float(cells[2].rstrip("%")) for cells in page if len(cells) == 4 and cells[2].endswith("%")]
    return (
        f"found in {min(shares):g} % of the cases at least, of {len(shares)} kinds; not planted: {page[-1][3]} claimed"
    )


def ledger_run(text: str, page: Page) -> str:
    agrees = re.search(r"([\d,]+) AGREES", text)
    worst = re.search(r"larger of the two values.*?\*\*(.*?)\*\*", text, re.DOTALL)
    return f"{agrees[1]} cases AGREE; largest relative difference of an entry {worst[1]}"  # type: ignore[index]


BENCHMARKS = (
    Benchmark(
        "core",
        "the fused LSTM beside PyTorch, JAX and a matrix a gate",
        "no slower than `torch.nn.LSTM`: at most 1",
        core,
    ),
    Benchmark("scaling", "time against each size", "no slope above its law", scaling, quick=True),
    Benchmark("limits", "how near a pass comes to its limits", "peak of a large product: 100%", limits, quick=True),
    Benchmark(
        "default_check",
        "what one check costs, in passes of the fused LSTM",
        "at most 8 at 100, 64, 256, 256",
        default_check,
        quick=True,
    ),
    Benchmark("small", "verdicts of tiny cases, start of a process", "100 verdicts a second", small, quick=True),
    Benchmark(
        "plugin", "the pytest plugin where it is not used", "not to be noticed: within noise", plugin, quick=True
    ),
    Benchmark(
        "sweep",
        "every entry of an LSTM, beside JAX and `gradcheck`",
        "complex step at most 1; the others slower than we are: above 1",
        sweep,
    ),
    Benchmark("constants", "margins of the comparison's constants", "below 1", constants, "--cases 60"),
    Benchmark(
        "detection",
        "planted faults caught, false alarms, beside other checkers",
        "all caught, no alarm",
        detection,
        by_hand=True,
    ),
    Benchmark("diagnosis", "planted mistakes named", "all", diagnosis),
    Benchmark(
        "patterns", "patterns found where they are planted", "all, none claimed elsewhere", patterns, "--cases 200"
    ),
    Benchmark("ledger_run", "every equation over random cases", "all AGREE", ledger_run, "--cases 10000 --jobs 1"),
)


def report() -> Iterator[str]:
    """The page."""
    yield "# Benchmarks"
    yield ""
    yield "Written by `python benchmarks/all.py`, which runs the quick ones, marked ◦; with `--full` it runs all"
    yield "but those whose page is put together from several runs (‡). Each line is read from its page, which says with"
    yield "which arguments, versions and load it was made; a target that is missed is not hidden."
    yield ""
    yield f"Here and now: {machine()}; {versions(*PACKAGES)}; load {load()}."
    yield ""
    yield "| benchmark | asks | target | result | page |"
    yield "|---|---|---|---|---|"
    for b in BENCHMARKS:
        mark = " ◦" if b.quick else " ‡" if b.by_hand else ""
        page = f"[{b.page.name}]({b.page.name})" if b.page.exists() else "–"
        yield f"| `{b.command}`{mark} | {b.asks} | {b.target} | {b.read()} | {page} |"
    yield ""
    yield "[docs/performance.md](../docs/performance.md) says where the time goes, and what falls short. `peers.py`,"
    yield "`sweep_peers.py`, `scaling_picture.py` and `machine.py` are parts of the others."


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(b.name for b in BENCHMARKS))
    parser.add_argument("--full", action="store_true", help="all that can be run, which takes hours")
    parser.add_argument("--none", action="store_true", help="run nothing, read the pages")
    given = parser.parse_args()
    unknown = set(given.names) - {b.name for b in BENCHMARKS}
    if unknown:
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}")
    if given.names:
        wanted = [b for b in BENCHMARKS if b.name in given.names]
    else:
        wanted = [b for b in BENCHMARKS if not given.none and not b.by_hand and (b.quick or given.full)]
    failed = []
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])}
    for b in wanted:
        print(f"{b.command} …", flush=True)
        start = time.perf_counter()
        command = [sys.executable, str(HERE / f"{b.name}.py"), *b.arguments.split()]
        ended = subprocess.run(command, stdout=subprocess.DEVNULL, env=environment, check=False).returncode
        failed += [b.name] if ended else []
        print(f"  {time.perf_counter() - start:.0f} s: {b.read() if not ended else f'ended with {ended}'}", flush=True)
    (HERE / "README.md").write_text("\n".join(report()) + "\n", encoding="utf-8")
    if failed:
        print(f"failed: {', '.join(failed)}; their lines are those of earlier runs", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
