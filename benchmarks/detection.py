"""How many planted faults are caught, and how many right gradients are rejected: by this project and by others.

    python benchmarks/detection.py [--cases N] [--family NAME ...] [--peers] [--no-long-double] [--seed S] [--jobs J]

The faults and hard cases are those of ``properties/meta/planted``; a case is a family and a seed, so every line that is
printed can be repeated. Writes ``benchmarks/detection.md`` unless ``--output -`` is given.

With ``--store FILE --seconds S`` trials go on for S seconds where those in FILE ended, a line of JSON each, and the
tables are of all that FILE holds: a campaign in slices, which may be broken off at any time.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import os
import platform
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "properties" / "meta"), str(ROOT / "benchmarks"), str(ROOT)]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
import peers  # noqa: E402
from planted import FAMILIES, caught, draw, options  # noqa: E402

from bptt_check import Subject, Verdict, check, reference  # noqa: E402

RIGHT = ("right", "right but hard", "right, of other kinds")
MILLION = 1_000_000


@dataclass(frozen=True)
class Trial:
    """What one case came to. ``peers``: whether each accepts the gradient, ``None`` where the case is too large."""

    family: str
    seed: int
    label: str = ""
    kind: str = ""
    verdict: str = ""
    caught: bool = False
    cost: int = 0
    seconds: float = 0.0
    peers: dict[str, bool | None] = field(default_factory=dict)


def tried(job: tuple[str, int, tuple[str, ...], bool]) -> Trial:
    """Draw a case and check it; a top-level function, so that it can run in another process."""
    family, seed, names, long_double = job
    if not long_double:
        reference._has_long_double = lambda: False
    with np.errstate(all="ignore"):
        try:
            case = draw(family, seed)
        except RuntimeError:
            return Trial(family, seed)  # no fault of that size can count here
        try:
            result = check(case.subject, rng=seed, causes=False, **options(case))  # why is not asked here
        except Exception as error:  # a check that raises has failed the trial, and the trial goes on
            return Trial(family, seed, f"{case.label}: {error!r}", case.kind, "RAISED")
        accepted = {name: _accepts(name, family, seed) for name in names}
    cost = result.evaluations + 3 * result.gradient_evaluations
    hit = caught(case, result)
    return Trial(family, seed, case.label, case.kind, result.verdict.value, hit, cost, result.seconds, accepted)


def _accepts(name: str, family: str, seed: int) -> bool | None:
    subject = draw(family, seed).subject  # afresh: a case may have a state that the check before has used up
    if sum(a.size for a in subject.blocks.values()) > peers.LARGEST:
        return None
    try:
        return peers.ALL[name][0](subject)
    except Exception:  # a checker that gives up has not accepted
        return False


def trials(families: Iterable[str], args: argparse.Namespace, names: tuple[str, ...]) -> Iterator[Trial]:
    """All trials, in a fixed order whatever the number of processes."""
    jobs = [
        (family, args.seed + k, names, not args.no_long_double)
        for family in families
        for k in range(args.cases * (args.more_right if family in RIGHT else 1))
    ]
    if args.jobs == 1:
        yield from map(tried, jobs)
        return
    with ProcessPoolExecutor(args.jobs) as pool:
        yield from pool.map(tried, jobs, chunksize=8)


def in_slices(families: list[str], args: argparse.Namespace, names: tuple[str, ...], store: Path) -> Iterator[Trial]:
    """What the store holds of these families, then new trials until the time is up, each stored as it is done."""
    lines = store.read_text(encoding="utf-8").splitlines(keepends=True) if store.exists() else []
    done = [Trial(**json.loads(line)) for line in lines if line.endswith("}\n")]  # the last may have been broken off
    done = [trial for trial in done if trial.family in families]
    yield from done
    had = {(trial.family, trial.seed) for trial in done}
    until = time.perf_counter() + args.seconds
    jobs = (
        (family, seed, names, not args.no_long_double)
        for seed in itertools.count(args.seed)
        for family in families
        if (family, seed) not in had
    )
    with store.open("a", encoding="utf-8") as kept, ProcessPoolExecutor(args.jobs) as pool:
        if lines and not lines[-1].endswith("\n"):
            kept.write("\n")
        while time.perf_counter() < until:
            some = list(itertools.islice(jobs, 8 * args.jobs))
            for trial in pool.map(tried, some) if args.jobs > 1 else map(tried, some):
                kept.write(json.dumps(asdict(trial)) + "\n")
                kept.flush()
                yield trial


def _share(part: int, whole: int) -> str:
    return "–" if not whole else f"{100 * part / whole:.1f} %" if part != whole else "100 %"


def detection_table(rows: dict[str, list[Trial]], names: tuple[str, ...]) -> list[str]:
    """Detection by family."""
    lines = ["| faults | cases | caught | bptt-check | " + "".join(f"{name} | " for name in names)]
    lines.append("|---|--:|--:|--:|" + "--:|" * len(names))
    for family, done in rows.items():
        if family in RIGHT:
            continue
        done = [t for t in done if t.verdict]
        hits = sum(t.caught for t in done)
        others = [_share(*_counts([t.peers.get(name) for t in done])) for name in names]
        lines.append(
            f"| {family} | {len(done)} | {hits} | {_share(hits, len(done))} |" + "".join(f" {o} |" for o in others)
        )
    return lines


def _counts(accepted: list[bool | None]) -> tuple[int, int]:
    asked = [a for a in accepted if a is not None]
    return sum(not a for a in asked), len(asked)


def alarm_table(rows: dict[str, list[Trial]], names: tuple[str, ...]) -> list[str]:
    """False alarms by kind of right case."""
    lines = [
        "| right gradients | cases | DISAGREES | INCONCLUSIVE | raised | " + "".join(f"{n} rejects | " for n in names)
    ]
    lines.append("|---|--:|--:|--:|--:|" + "--:|" * len(names))
    for family in RIGHT:
        kinds: dict[str, list[Trial]] = defaultdict(list)
        for trial in rows.get(family, []):
            kinds[trial.kind].append(trial)
        whole = [("**all: " + family + "**", rows[family])] if rows.get(family) else []
        for kind, done in [*whole, *sorted(kinds.items())]:
            count = Counter(t.verdict for t in done)
            others = [_share(*_counts([t.peers.get(name) for t in done])) for name in names]
            figures = f"{count['DISAGREES']} | {count['INCONCLUSIVE']} | {count['RAISED']}"
            lines.append(f"| {kind} | {len(done)} | {figures} |" + "".join(f" {o} |" for o in others))
    return lines


def cost_lines(rows: dict[str, list[Trial]]) -> list[str]:
    """What a verdict costs where all is right."""
    lines = [
        "| right gradients | loss evaluations: least, median, most | within 60 | seconds: median, most |",
        "|---|--:|--:|--:|",
    ]
    for family in RIGHT:
        done = [t for t in rows.get(family, []) if t.verdict == "AGREES"]
        if done:
            costs, seconds = [t.cost for t in done], [t.seconds for t in done]
            figures = f"{min(costs)}, {int(np.median(costs))}, {max(costs)}"
            within = _share(sum(c <= 60 for c in costs), len(costs))
            lines.append(f"| {family} | {figures} | {within} | {np.median(seconds):.3f}, {max(seconds):.1f} |")
    return lines


def million(seed: int) -> tuple[Subject, tuple[str, tuple[int, ...]]]:
    """A complex-safe subject of a million entries with one typical entry wrong by 1e-8, and which."""
    rng = np.random.default_rng(seed)
    shape = (500, MILLION // 1000)
    point = {"a": rng.normal(size=shape), "b": rng.normal(size=shape)}
    name, index = str(rng.choice(["a", "b"])), tuple(int(rng.integers(n)) for n in shape)

    def gradient(p: Any) -> dict[str, Any]:
        a = np.tanh(p["a"])
        returned = {"a": (1 - a * a) * p["b"], "b": a}
        returned[name][index] *= 1 + 1e-8
        return returned

    subject = Subject.from_functions(lambda p: (np.tanh(p["a"]) * p["b"]).sum(), gradient, point, name="a million")
    size = np.abs(subject.gradient(point)[name])
    typical = np.argwhere((size > 0.5 * np.median(size)) & (size < 2 * np.median(size)))
    index = tuple(int(k) for k in typical[rng.integers(len(typical))])
    return subject, (name, index)


def million_lines(count: int, seed: int) -> list[str]:
    """One wrong entry among a million: found, located, at what cost."""
    lines = ["| seed | verdict | located | loss evaluations | gradients | seconds |", "|--:|---|---|--:|--:|--:|"]
    for k in range(seed, seed + count):
        subject, (name, index) = million(k)
        result = check(subject, rng=k)
        block = result.blocks[name]
        located = "yes" if block.verdict is Verdict.DISAGREES and block.index == index else f"no ({block.index})"
        figures = f"{result.evaluations} | {result.gradient_evaluations} | {result.seconds:.1f}"
        lines.append(f"| {k} | {result.verdict} | {located} | {figures} |")
    return lines


def heading(args: argparse.Namespace, names: tuple[str, ...], seconds: float, count: int) -> list[str]:
    """Machine, versions, command."""
    versions = [f"Python {platform.python_version()}"]
    for package in (
        "numpy",
        "scipy",
        *dict.fromkeys(peers.ALL[n][1] for n in names if peers.ALL[n][1] not in ("numpy", "scipy")),
    ):
        versions.append(f"{package} {importlib.metadata.version(package)}")
    digits = np.finfo(np.longdouble).precision if not args.no_long_double else "disabled"
    return [
        "# Detection and false alarms",
        "",
        f"`python benchmarks/detection.py {' '.join(sys.argv[1:])}`",
        "",
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {', '.join(versions)}; "
        f"digits of long double: {digits}; {count} cases in {seconds:.0f} s.",
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--cases", type=int, default=200, metavar="N", help="cases of each family (200)")
    parser.add_argument("--more-right", type=int, default=5, metavar="N", help="N times as many right cases (5)")
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="only this family; may be repeated")
    parser.add_argument("--peers", action="store_true", help="run other checkers on the same cases")
    parser.add_argument("--no-long-double", action="store_true", help="as on platforms that have none")
    parser.add_argument("--million", type=int, default=3, metavar="N", help="how often to search a million entries (3)")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--store", type=Path, metavar="FILE", help="go on where the trials in this file ended")
    parser.add_argument("--seconds", type=float, default=500, metavar="S", help="how long to go on with --store (500)")
    parser.add_argument("--jobs", type=int, default=1, metavar="J", help="processes (1)")
    parser.add_argument(
        "--output", default=str(ROOT / "benchmarks" / "detection.md"), help="a Markdown file, or - for none"
    )
    args = parser.parse_args()
    names = tuple(available()) if args.peers else ()
    started = time.perf_counter()
    rows: dict[str, list[Trial]] = defaultdict(list)
    families = args.family or list(FAMILIES)
    for trial in in_slices(families, args, names, args.store) if args.store else trials(families, args, names):
        rows[trial.family].append(trial)
        wrong = (
            trial.verdict in ("DISAGREES", "RAISED")
            if trial.family in RIGHT
            else bool(trial.verdict) and not trial.caught
        )
        if wrong:
            print(f"{'false alarm' if trial.family in RIGHT else 'missed'}: {trial.label}: {trial.verdict}", flush=True)
    tables = [detection_table(rows, names), alarm_table(rows, names), cost_lines(rows)]
    titles = ["Caught", "False alarms", "Cost of AGREES"]
    if args.million:
        tables.append(million_lines(args.million, args.seed))
        titles.append(f"One typical entry of {MILLION:,} wrong by 1e-8")
    count = sum(len(done) for done in rows.values())
    lines = heading(args, names, time.perf_counter() - started, count)
    if names:
        lines += ["", "Peers: " + "; ".join(f"*{n}*: {peers.MEANING[n]}" for n in names) + "."]
        lines += [f"They see cases of up to {peers.LARGEST} entries; one that raises has rejected."]
    for title, table in zip(titles, tables, strict=True):
        if len(table) > 2:
            lines += ["", f"## {title}", "", *(line.rstrip() for line in table)]
    text = "\n".join(lines) + "\n"
    print(text)
    if args.output != "-":
        Path(args.output).write_text(text, encoding="utf-8")
    return 0


def available() -> Iterator[str]:
    """The peers whose packages are installed; says which are not."""
    for name, (_, package) in peers.ALL.items():
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            print(f"{name} is left out: {package} is not installed")
            continue
        yield name


if __name__ == "__main__":
    sys.exit(main())
