"""``bptt-check`` without a command: the built-in cells over random cases."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from bptt_check.commands import arguments, keeping
from bptt_check.commands.ending import ended, rendered, say, verdict_line
from bptt_check.commands.progress import progress

if TYPE_CHECKING:
    from bptt_check.campaign.case import Case
    from bptt_check.campaign.sweep import Sweep

CASES = 300


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the main job, which has no name of its own."""
    parser.set_defaults(run=run)
    option = parser.add_argument
    option("--cases", type=arguments.count, metavar="N", help=f"random cases to verify (default {CASES})")
    option("--jobs", type=arguments.count, metavar="N", help="processes (default: one a core, at most 8)")
    arguments.common(parser, seed=0, reports=Path("reports"), quiet=False)
    keeping.add(parser, save=None, keep=None, compare=None, fail_on=[], runs=None)


def run(options: argparse.Namespace) -> int:
    """Verify the built-in cells, and return the exit code."""
    from bptt_check.campaign import run as campaign
    from bptt_check.campaign.case import random_cases
    from bptt_check.campaign.overview import builtin_overview
    from bptt_check.campaign.sweep import Sweep

    kept = keeping.keeping(options)
    cases = options.cases or CASES
    work: list[Case | Sweep] = [*random_cases(cases, options.seed), Sweep()]
    bar = progress(len(work), quiet=options.quiet)
    with campaign.workers(min(options.jobs or _cores(), len(work))) as executor:
        outcome = campaign.run(
            campaign.run_work,
            work,
            journal=options.reports / "builtin.jsonl",
            title=f"built-in cells, {cases} random cases, seed {options.seed}",
            executor=executor,
            on_record=lambda record: bar.advance() if bar else None,
        )
    if bar:
        bar.close()
    summary = rendered(outcome.journal, kept)
    say(verdict_line(summary) if options.quiet else builtin_overview(summary))
    code = ended(summary, outcome.stopped, outcome.interrupted, outcome.journal, quiet=options.quiet)
    return kept.ended(summary, code, quiet=options.quiet)


def _cores() -> int:
    """How many cores this process may use, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(available or 1, 8)
