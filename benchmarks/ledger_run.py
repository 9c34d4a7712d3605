"""The ledger over many random cases: every equation of every cell, with its count and its largest error.

    python benchmarks/ledger_run.py --cases 10000 --jobs 1

Each case is one of the eleven cells with a loss, a shape and random numbers. Its analytic gradient, in float64, is
compared entry by entry with the complex step in long double, whose own error is some thousand times smaller. Each
backward line is compared on its own as well, and in every tenth case all laws. The journal goes to
reports/ledger.jsonl, the figures to benchmarks/ledger_run.md; bptt-check report makes the pages of the journal.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
for library in ("OPENBLAS", "OMP", "MKL"):  # tiny matrices: threads would only wait for each other
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

import numpy as np  # noqa: E402

from bptt_check import check, local, rounding  # noqa: E402
from bptt_check.campaign.case import MASKED, Case, failed  # noqa: E402
from bptt_check.campaign.run import run, workers  # noqa: E402
from bptt_check.compare import Comparison, judge  # noqa: E402
from bptt_check.differences import ComplexStep  # noqa: E402
from bptt_check.differences.jointly import all_partials  # noqa: E402
from bptt_check.laws.table import examined  # noqa: E402
from bptt_check.lstm.losses import LOSS_NAMES  # noqa: E402
from bptt_check.lstm.problem import Problem  # noqa: E402
from bptt_check.lstm.variants import VARIANTS, variant_named  # noqa: E402
from bptt_check.report.record import Record, record_of  # noqa: E402
from bptt_check.results import Block, Result, Verdict  # noqa: E402
from bptt_check.subject import Subject  # noqa: E402
from bptt_check.tally import Figures, Tally, Way  # noqa: E402

RESOLUTION = 1e-6
LAWS_EVERY = 10
PAGE = Path(__file__).with_suffix(".md")
KINDS = (  # gradients of one kind share a line of the table
    ("weights W_kj", r"W_.*"),
    ("biases b_k", r"b_.*"),
    ("peephole weights p_k", r"p_.*"),
    ("inputs x", r"x"),
    ("initial states", r"[hsifo]0"),
    ("outputs h(t)", r"h\(t\)"),
    ("memory s(t)", r"s\(t\)"),
    ("candidate and gates g, i, f, o(t)", r"[gifo]\(t\)"),
    ("pre-activations z_k(t)", r"z_.*"),
)


@dataclass(frozen=True)
class Drawn:
    """One case, and whether the laws are looked at too."""

    case: Case
    laws: bool


def drawn_cases(n: int, seed: int) -> list[Drawn]:
    """``n`` cases; each cell and each loss comes up about equally often, every pair of them sooner or later."""
    rng = random.Random(seed)
    cells, losses = [v.name for v in VARIANTS], [*LOSS_NAMES, *MASKED]
    pairs = [(cell, loss) for cell in cells for loss in losses]
    found: list[Drawn] = []
    while len(found) < n:
        for cell, loss in rng.sample(pairs, len(pairs)):
            T, B = rng.choice((1, 2, 3, 3, 4, 5, 6, 8)), rng.choice((1, 1, 2, 3))
            D, H = rng.randint(1, 4), rng.randint(1, 4)
            laws = len(found) % LAWS_EVERY == 0
            T = max(T, 2) if laws else T  # some laws say nothing about a single step
            found.append(Drawn(Case(cell, loss, T=T, B=B, D=D, H=H, seed=rng.getrandbits(31)), laws))
    return found[:n]


def run_drawn(drawn: Drawn) -> Record:
    """Compare one case in every way. Never raises."""
    case = drawn.case
    started = time.perf_counter()
    try:
        blocks, relative = gradient_blocks(case)
        problem = problem_of(case)
        blocks |= examined(problem).blocks if drawn.laws else local.blocks(local.lines_of(problem))
    except Exception as error:
        return failed(case.name, case.as_json(), error)
    blocks = {block.name: replace(block, by_step=None) for block in blocks.values()}
    verdicts = {block.verdict for block in blocks.values()}
    order = (Verdict.DISAGREES, Verdict.INCONCLUSIVE, Verdict.AGREES)
    verdict = next(each for each in order if each in verdicts)
    result = Result(case.name, verdict, blocks, method="complex step in long double", case=case.as_json())
    result = replace(result, seconds=time.perf_counter() - started)
    return replace(record_of(result), data={"relative": relative})


def problem_of(case: Case) -> Problem:
    """The same cell, shape and seed, for lines and laws, in long double."""
    rng, shape = np.random.default_rng(case.seed), {"T": case.T, "B": case.B, "D": case.D, "H": case.H}
    return Problem.draw(variant_named(case.cell), **shape, loss=case.loss, rng=rng).astype(np.longdouble)


def gradient_blocks(case: Case) -> tuple[dict[str, Block], dict[str, list[float]]]:
    """Every entry of every gradient against the complex step: blocks, and the relative differences by block."""
    subject = case.subject()
    analytic = subject.gradient(subject.blocks)
    exact = {name: array.astype(np.longdouble) for name, array in subject.blocks.items()}
    estimates = all_partials(ComplexStep(), subject.loss_at, exact, list(exact))
    eps = float(np.finfo(float).eps)
    rng = np.random.default_rng(case.seed)
    level = rounding.measure(subject.gradient, subject.blocks, analytic, eps=eps, rng=rng)
    blocks, relative = {}, {}
    for name, a in analytic.items():
        reference = estimates[name].value
        relative[name] = differences(a.reshape(-1), reference)
        c = comparison(name, a, reference.astype(float), level)
        blocks[name] = judge(c, resolution=RESOLUTION, equation=subject.equations[name])
    if any(block.verdict is not Verdict.AGREES for block in blocks.values()):
        blocks = confirmed(subject, blocks)
    return blocks, relative


def comparison(name: str, analytic: Any, reference: Any, level: rounding.Rounding) -> Comparison:
    nothing = np.zeros(analytic.size)
    return Comparison(
        name=name,
        shape=analytic.shape,
        entries=np.arange(analytic.size),
        analytic=analytic.reshape(-1),
        reference=reference,
        level=level.level[name].reshape(-1),
        rounding_floor=level.floor[name].reshape(-1),
        error=nothing,
        noise=nothing,
        sensitivity=level.sensitivity[name],
        eps=level.eps,
    )


def confirmed(subject: Subject, blocks: dict[str, Block]) -> dict[str, Block]:
    """What does not agree at first sight is looked at by the whole check, as any user's gradient is."""
    again = check(subject, entries="all").blocks
    return {name: block if block.verdict is Verdict.AGREES else again[name] for name, block in blocks.items()}


def differences(analytic: Any, reference: Any) -> list[float]:
    """The largest |analytic − reference| over the entry's own size, and over the largest entry of its block."""
    off, size = np.abs(analytic - reference), np.maximum(np.abs(analytic), np.abs(reference))
    largest = size.max(initial=0)
    own = np.divide(off, size, out=np.zeros_like(off), where=size > 0)
    return [float(f"{own.max(initial=0):.3g}"), float(f"{off.max(initial=0) / largest if largest else 0:.3g}")]


@dataclass
class Totals:
    """What the run has found so far, by kind of gradient: cases, entries, and the two largest differences."""

    tally: Tally = field(default_factory=Tally)
    verdicts: dict[str, int] = field(default_factory=dict)
    cells: set[tuple[str, str]] = field(default_factory=set)
    entries: dict[str, int] = field(default_factory=dict)
    cases: dict[str, int] = field(default_factory=dict)
    own: dict[str, tuple[float, str]] = field(default_factory=dict)
    block: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        """Count one record."""
        self.tally.add(record)
        self.verdicts[record.verdict] = self.verdicts.get(record.verdict, 0) + 1
        self.cells.add((record.case["cell"], record.case["loss"]))
        compared = {block["name"]: block["compared"] for block in record.blocks}
        seen = set()
        for name, (own, of_block) in record.data.get("relative", {}).items():
            kind = next(label for label, pattern in KINDS if re.fullmatch(pattern, name))
            self.entries[kind] = self.entries.get(kind, 0) + compared[name]
            self.cases[kind] = self.cases.get(kind, 0) + (kind not in seen)
            seen.add(kind)
            self.own[kind] = max(self.own.get(kind, (-1.0, "")), (own, f"{name} of {record.name}"))
            self.block[kind] = max(self.block.get(kind, (-1.0, "")), (of_block, f"{name} of {record.name}"))


def page(totals: Totals, options: argparse.Namespace, seconds: float) -> str:
    """The figures as Markdown."""
    figures = totals.tally.figures()
    own, block = max(totals.own.values()), max(totals.block.values())
    found = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(totals.verdicts.items()))
    cells, losses = ({pair[place] for pair in totals.cells} for place in (0, 1))
    compared = sum(bool(each.compared) for each in figures)
    return f"""\
# The ledger over many random cases

`python benchmarks/ledger_run.py --cases {options.cases} --seed {options.seed} --jobs {options.jobs}`, on
{platform.machine()}, Python {platform.python_version()}, NumPy {np.__version__}: {seconds / 60:.1f} minutes.

{options.cases:,} cases: {len(cells)} cells, {len(losses)} losses, {len(totals.cells)} pairs of the two, T = 1 … 8,
B = 1 … 3, D and H = 1 … 4. {found}. {compared} of the ledger's {len(figures)} entries compared.

## The analytic gradient beside the complex step

{sum(totals.entries.values()):,} gradient entries, each compared on its own: the analytic gradient in float64 with the
complex step in long double, so that the difference is the rounding of the analytic gradient.

- Relative to the larger of the two values of that very entry the largest difference is **{own[0]:.1e}**
  ({own[1]}). An entry that is a small difference of large terms carries the rounding of those terms.
- Relative to the largest entry of the same array it is **{block[0]:.1e}**
  ({block[1]}).

{gradient_table(totals)}

## Equations and laws

For whole gradients errors are relative to the entry's own size, or, where that is smaller, to the size at which
{RESOLUTION:g} of it could still be seen; for lines and laws to the largest entry of the array. The resolution is the
coarsest of all cases. `bptt-check equations` says what each entry is; `bptt-check equations {options.journal}`
fills it from the journal of this run.

{ledger_table(figures)}
"""


def gradient_table(totals: Totals) -> str:
    rows = [
        f"| {kind} | {totals.cases[kind]:,} | {totals.entries[kind]:,} | {totals.own[kind][0]:.1e} | "
        f"{totals.block[kind][0]:.1e} |"
        for kind, _ in KINDS
        if kind in totals.entries
    ]
    head = "| gradient | cases | entries | difference ÷ entry | difference ÷ largest entry of its array |"
    return "\n".join([head, "| --- | ---: | ---: | ---: | ---: |", *rows])


def ledger_table(figures: Iterable[Figures]) -> str:
    rows = []
    for each in figures:
        for place, way in enumerate(each.ways or (Way("not compared", 0, 0),)):
            head = f"| {each.entry.id} {each.entry.title}" if place == 0 else "|"
            rows.append(f"{head} | {way.name} | {way.cases:,} | {way.compared:,} | {measured(way)} | {each.verdict} |")
    head = "| entry | looked at | cases | entries | largest error | ÷ tolerance | resolution | verdict |"
    return "\n".join([head, "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- |", *rows])


def measured(way: Way) -> str:
    values = (way.max_relative_error, way.tolerance_ratio, way.resolution)
    return " | ".join("–" if value is None else f"{value:.1e}" for value in values)


def show_progress(cases: int) -> Callable[[], None]:
    done, started = [0], time.perf_counter()

    def advance() -> None:
        done[0] += 1
        if done[0] % max(1, math.ceil(cases / 20)) == 0:
            spent = time.perf_counter() - started
            print(
                f"{done[0]:>6} of {cases}, {spent:.0f} s, {1e3 * spent / done[0]:.0f} ms each",
                file=sys.stderr,
                flush=True,
            )

    return advance


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--journal", type=Path, default=Path("reports/ledger.jsonl"))
    parser.add_argument("--page", type=Path, default=PAGE, help="where the figures go")
    options = parser.parse_args()
    totals, advance = Totals(), show_progress(options.cases)

    def on_record(record: Record) -> None:
        totals.add(record)
        advance()

    started = time.perf_counter()
    with workers(options.jobs) as executor:
        title = f"the ledger over {options.cases} random cases, seed {options.seed}"
        work = drawn_cases(options.cases, options.seed)
        outcome = run(run_drawn, work, journal=options.journal, title=title, executor=executor, on_record=on_record)
    text = page(totals, options, time.perf_counter() - started)
    options.page.write_text(text, encoding="utf-8")
    print(text)
    if outcome.stopped:
        print(f"Incomplete: {outcome.stopped}")
    return 0 if set(totals.verdicts) == {"AGREES"} and not outcome.stopped else 1


if __name__ == "__main__":
    raise SystemExit(main())
