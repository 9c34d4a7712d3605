"""``bptt-check faults``, ``explain`` and ``mutate``: the known mistakes, and what comes of making them."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

from bptt_check.commands import arguments
from bptt_check.commands.ending import AGREES, DISAGREES, INCONCLUSIVE, INTERRUPTED, say
from bptt_check.commands.progress import progress

if TYPE_CHECKING:
    from bptt_check.campaign.negative import Controlled
    from bptt_check.report.terminal import Progress

SAMPLE = 60  # faults that are planted unless it is said otherwise: some thirty seconds


def add(commands: Any) -> None:
    """Declare the commands among the others."""
    faults = commands.add_parser("faults", help="list the known mistakes of such backward passes", allow_abbrev=False)
    faults.set_defaults(run=run_faults)
    faults.add_argument("--cell", default="", metavar="NAME", help="those of one cell, such as NP or V")
    faults.add_argument("--equation", default="", metavar="ID", help="those that spoil one equation, such as B3")
    faults.add_argument("--common", action="store_true", help="those that are met most")
    form = faults.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument("--markdown", action="store_true", help="print the page docs/faults.md")
    explain = commands.add_parser("explain", help="explain one of them, with numbers", allow_abbrev=False)
    explain.set_defaults(run=run_explain)
    explain.add_argument(
        "fault", metavar="FAULT", help="a name as verify and faults print it, such as ds-carry-dropped"
    )
    explain.add_argument("--cell", default="", metavar="NAME", help="the cell to show it in")
    mutate = commands.add_parser(
        "mutate",
        help="plant mistakes in a right backward pass of yours, and see each of them caught",
        epilog="exit codes: 0 all caught, 1 not all caught or the backward pass is wrong to begin with, 2 wrong usage, "
        "3 inconclusive, 130 interrupted",
        allow_abbrev=False,
    )
    mutate.set_defaults(run=run_mutate)
    mutate.add_argument("target", metavar="TARGET", help="FILE.py, FILE.py:name or package.module:name, as for verify")
    many = mutate.add_mutually_exclusive_group()
    many.add_argument(
        "--sample",
        type=arguments.count,
        default=SAMPLE,
        metavar="N",
        help=f"how many faults, drawn at random, one of each equation first (default {SAMPLE})",
    )
    many.add_argument("--all", action="store_true", help="plant all that the catalogue has for the cell")
    mutate.add_argument("--shape", default="", metavar='"T=6,B=3,D=4,H=5"', help="the shape to do it at")
    mutate.add_argument(
        "--time",
        type=arguments.seconds,
        default=60.0,
        metavar="SECONDS",
        help="time limit of each fault (default 60)",
    )
    arguments.common(mutate)


def run_faults(options: argparse.Namespace) -> int:
    """List the catalogue."""
    from bptt_check.networks.listing import markdown as of_networks
    from bptt_check.planting import listing

    shown = listing.rows(options.cell, options.equation, options.common)
    if options.markdown:
        whole = not (options.cell or options.equation or options.common)
        say((listing.markdown(shown) + of_networks() * whole).rstrip("\n"))
        return AGREES
    counted = listing.counts(shown, options.cell)
    if options.json:
        say(json.dumps({**counted, "faults": [row.as_json() for row in shown]}, indent=1, ensure_ascii=False))
    else:
        say(listing.table(shown, counted, equation=options.equation))
    return AGREES


def run_explain(options: argparse.Namespace) -> int:
    """Explain one fault."""
    from bptt_check.planting.explained import explanation

    say(explanation(options.fault, options.cell))
    return AGREES


def run_mutate(options: argparse.Namespace) -> int:
    """Plant faults in what the target defines, and return the exit code."""
    from bptt_check.campaign.negative import control, overview
    from bptt_check.campaign.shapes import parse_shapes
    from bptt_check.errors import UsageError

    shapes = parse_shapes(options.shape) if options.shape else ()
    if len(shapes) > 1:
        raise UsageError(f"--shape takes one shape; {options.shape!r} has {len(shapes)}")
    bars: list[Progress] = []

    def on_fault(done: int, planned: int) -> None:
        if not bars and (bar := progress(planned, quiet=options.quiet)):
            bars.append(bar)
        for bar in bars:
            bar.advance()

    controlled = control(
        options.target,
        shape=shapes[0] if shapes else None,
        sample=None if options.all else options.sample,
        seed=options.seed,
        limit=options.time,
        on_fault=on_fault,
    )
    for bar in bars:
        bar.close()
    say(overview(controlled, quiet=options.quiet))
    return _exit_code(controlled)


def _exit_code(controlled: Controlled) -> int:
    if controlled.interrupted:
        return INTERRUPTED
    if controlled.verdict == "DISAGREES" or any(not outcome.caught for outcome in controlled.outcomes):
        return DISAGREES
    return AGREES if controlled.complete else INCONCLUSIVE
