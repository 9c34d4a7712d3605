"""The distributions behind the constants of the verdict, on right gradients and on derivatives that are known.

    python benchmarks/constants.py [--cases N] [--seed S]

Cases are those of ``properties/meta/planted``. Prints two tables and writes them to ``benchmarks/constants.md``.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "properties" / "meta"), str(ROOT)]
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np  # noqa: E402
from planted import draw, unsafe  # noqa: E402

from bptt_check import check, reference  # noqa: E402
from bptt_check.differences import Central, ComplexStep, Richardson  # noqa: E402
from bptt_check.differences.evaluate import partials  # noqa: E402
from bptt_check.differences.noise import noise_at  # noqa: E402

QUANTILES = (0.5, 0.9, 0.99, 1.0)


def worst_ratio(family: str, seed: int, *, entries: str, float64_only: bool = False) -> float | None:
    """The largest discrepancy of a right gradient in units of its tolerance; ``None`` where the case cannot be used."""
    try:
        subject = draw(family, seed).subject
        result = check(unsafe(subject) if float64_only else subject, rng=seed, entries=entries, causes=False)
    except Exception:  # a case that cannot be drawn or that the subject itself refuses
        return None
    ratios = [b.tolerance_ratio for b in result.blocks.values() if b.tolerance_ratio is not None]
    return max((ratio for ratio in ratios if np.isfinite(ratio)), default=None)


def true_and_claimed(family: str, seed: int, method: object) -> list[tuple[float, float]]:
    """(true error, claimed error) of a method on four entries of each block, beside a complex step in long double."""
    subject = draw(family, seed).subject
    rng = np.random.default_rng(seed)
    double = {name: array.astype(float) for name, array in subject.point.items()}
    extended = {name: array.astype(np.longdouble) for name, array in subject.point.items()}
    try:
        noise = noise_at(subject.loss, double, direction=double)
        pairs = []
        for name, array in double.items():
            some = rng.permutation(array.size)[:4]
            exact = partials(ComplexStep(), subject.loss, extended, name, entries=some)
            if exact.value.dtype != np.longdouble:
                return []
            estimate = partials(method, subject.loss, double, name, entries=some, noise=noise)
            error = np.abs(estimate.value - exact.value).astype(float)
            pairs += [(float(e), float(c)) for e, c in zip(error, estimate.error, strict=True) if np.isfinite(e)]
    except Exception:
        return []
    return pairs


def ratios_table(cases: int, seed: int) -> list[str]:
    """How near right gradients come to being called wrong."""
    lines = ["| right gradients | long double | entries | cases | " + " | ".join(f"{q:.0%}" for q in QUANTILES) + " |"]
    lines.append("|---" * (4 + len(QUANTILES)) + "|")
    has = reference._has_long_double
    for family in ("right", "right but hard"):
        for long_double in (True, False):
            reference._has_long_double = has if long_double else lambda: False
            for entries in ("all", "auto"):
                found = [worst_ratio(family, seed + k, entries=entries) for k in range(cases)]
                values = [ratio for ratio in found if ratio is not None]
                figures = " | ".join(f"{np.quantile(values, q):.2g}" for q in QUANTILES)
                lines.append(f"| {family} | {'yes' if long_double else 'no'} | {entries} | {len(values)} | {figures} |")
                print(lines[-1], flush=True)
    reference._has_long_double = has
    for family in ("right", "right but hard"):
        found = [worst_ratio(family, seed + k, entries="auto", float64_only=True) for k in range(cases)]
        values = [ratio for ratio in found if ratio is not None]
        figures = " | ".join(f"{np.quantile(values, q):.2g}" for q in QUANTILES)
        lines.append(f"| {family}, loss in float64 only | | auto | {len(values)} | {figures} |")
        print(lines[-1], flush=True)
    return lines


def coverage_table(cases: int, seed: int) -> list[str]:
    """How honest, and how sharp, the error estimates of real differences are."""
    lines = [
        "| method | entries | true errors inside | inside ten times | bar ÷ true error, median |",
        "|---|---|---|---|---|",
    ]
    for name, method in (("central difference", Central()), ("Richardson extrapolation", Richardson())):
        pairs = [pair for k in range(cases) for pair in true_and_claimed("right", seed + k, method)]
        true, claimed = np.array(pairs).T
        sharp = np.median(claimed) / np.median(true)
        inside, ten = np.mean(true <= claimed), np.mean(true <= 10 * claimed)
        lines.append(f"| {name} | {len(true)} | {inside:.3%} | {ten:.3%} | {sharp:.1f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    with np.errstate(all="ignore"):
        coverage, ratios = coverage_table(given.cases, given.seed), ratios_table(given.cases, given.seed)
    page = [
        "# Distributions behind the constants",
        "",
        f"Written by `python benchmarks/constants.py --cases {given.cases} --seed {given.seed}`.",
        "",
        "Largest discrepancy of a right gradient in units of its tolerance (above 1: called wrong), after the second",
        "look, by quantile over the cases:",
        "",
        *ratios,
        "",
        "Error estimates of real differences in float64, beside a complex step in long double:",
        "",
        *coverage,
        "",
    ]
    (ROOT / "benchmarks" / "constants.md").write_text("\n".join(page), encoding="utf-8")


if __name__ == "__main__":
    main()
