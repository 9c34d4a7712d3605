"""How often each kind of planted pattern is found, and how often one is seen where there is none.

    python benchmarks/patterns.py [--cases N] [--seed S]

The mistakes are those of ``properties/planted_patterns.py``, worked on random gradients with entries from 1e-12 to 1e6.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "properties"), str(ROOT)]

import planted_patterns as planting  # noqa: E402

from bptt_check.patterns import patterns  # noqa: E402


def looked_at(case: planting.Case, analytic: planting.Blocks, *, hide: bool = False):
    reference, tolerance = case.reference(hide), case.tolerance(analytic)
    return patterns(analytic, reference, tolerance, point=case.point, lengths=case.lengths, by_step=case.by_step)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--cases", type=int, default=100)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--verbose", action="store_true")
    given = options.parse_args()
    print("| planted | found | of | first |\n| --- | --- | --- | --- |")
    start, looks = time.perf_counter(), 0
    for name in planting.PLANTS:
        hits = first = 0
        for seed in range(given.seed, given.seed + given.cases):
            case, planted = planting.drawn(name, seed)
            seen = looked_at(case, planted.analytic, hide=not planted.whole and seed % 3 == 0)
            amiss = list(planting.found(case, planted, seen))
            hits += not amiss
            first += not amiss and seen[0].kind == planted.kind
            looks += 1
            if amiss and given.verbose:
                print(f"  seed {seed}: {amiss}")
        print(f"| {name} | {hits} | {given.cases} | {first} |", flush=True)
    for what in ("right", "unstructured errors"):
        seen = []
        for seed in range(given.seed, given.seed + 10 * given.cases):
            case, wrong = planting.unstructured(seed)
            seen.append(looked_at(case, case.computed() if what == "right" else wrong, hide=seed % 3 == 0))
        claimed = [p for found in seen for p in found if p.exact or what == "right"]
        print(f"| {what} | {len(claimed)} claimed | {len(seen)} | |")
        if given.verbose:
            print("\n".join(f"  {p.kind}: {p}" for p in claimed))
    print(f"\n{(time.perf_counter() - start) / max(looks, 1) * 1e3:.0f} ms a planted case, all told")


if __name__ == "__main__":
    main()
