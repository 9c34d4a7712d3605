"""``bptt-check verify``: a backward pass of the user's own."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt_check.commands import arguments, keeping
from bptt_check.commands.ending import EXIT_CODES, ended, program, rendered, say, verdict_line
from bptt_check.commands.progress import progress

if TYPE_CHECKING:
    from bptt_check.campaign.wanted import Wanted
    from bptt_check.report.terminal import Progress

EXCLUDING = (("shapes", "cases"), ("case", "shapes"), ("case", "cases"), ("case", "losses"), ("case", "point"))


def add(commands: Any) -> None:
    """Declare the command among the others."""
    parser = commands.add_parser(
        "verify", help="verify a backward pass of yours", epilog=EXIT_CODES, allow_abbrev=False
    )
    parser.set_defaults(run=run)
    option = parser.add_argument
    option(
        "target",
        metavar="TARGET",
        help="FILE.py, FILE.py:name or package.module:name; it defines a function subject(T, B, D, H, rng), a Subject, "
        "or a cell with state, parameters, forward and backward",
    )
    option(
        "--shapes",
        default="",
        metavar='"T=1,B=1,D=2,H=3;…"',
        help="the shapes to try, in the place of the standard ones",
    )
    option(
        "--losses",
        type=arguments.names,
        default=(),
        metavar="NAMES",
        help="for a cell: losses to try, separated by commas",
    )
    option(
        "--cases",
        type=arguments.count,
        default=argparse.SUPPRESS,
        metavar="N",
        help="how many shapes to try (default 10)",
    )
    option(
        "--time",
        type=arguments.seconds,
        default=60.0,
        metavar="SECONDS",
        help="time limit of each case (default 60)",
    )
    option(
        "--entries",
        choices=("auto", "all", "directions"),
        default="auto",
        help="compare every entry, or along directions",
    )
    option(
        "--optional",
        type=arguments.names,
        default=(),
        metavar="NAMES",
        help="gradients that need not be returned, separated by commas",
    )
    option("--resolution", type=arguments.fraction, metavar="X", help="smallest relative error that must be visible")
    option("--point", type=arguments.existing, metavar="FILE.npz", help="arrays that replace those drawn, by name")
    option("--case", type=arguments.existing, metavar="FILE.json", help="run the one case that this file holds")
    arguments.common(parser)
    keeping.add(parser)


def run(options: argparse.Namespace) -> int:
    """Verify what the target defines, and return the exit code."""
    from bptt_check.campaign.overview import reproducing, user_overview
    from bptt_check.campaign.user import verify

    wanted = _wanted(options)
    kept = keeping.keeping(options)
    bars: list[Progress] = []

    def on_case(done: int, planned: int) -> None:
        bar = progress(planned, quiet=options.quiet) if not bars else None
        bars.extend([bar] if bar else [])
        if bars:
            bars[0].advance()

    verified = verify(wanted, on_case=on_case)
    for bar in bars:
        bar.close()
    summary = rendered(verified.journal, kept)
    if options.quiet:
        say("\n".join([verdict_line(summary), *reproducing(verified, wanted)]))
    else:
        say(user_overview(summary, verified, wanted))
    code = ended(summary, verified.stopped, verified.interrupted, verified.journal, quiet=options.quiet)
    return kept.ended(summary, code, quiet=options.quiet)


def _wanted(options: argparse.Namespace) -> Wanted:
    from bptt_check.campaign.held import read_case
    from bptt_check.campaign.shapes import parse_shapes
    from bptt_check.campaign.wanted import Wanted, stem_of
    from bptt_check.errors import UsageError

    target: str = options.target
    file = target.rpartition(".py:")[0] + ".py" if ".py:" in target else target
    if file.endswith(".py") and not Path(file).is_file():
        raise UsageError(f"there is no file {file}; bptt-check init {file} writes one to start from")
    if not file.endswith(".py") and not Path(file).is_file() and ":" not in target:
        raise UsageError(f"{target!r} is neither a file nor package.module:name; give one of them")
    for given, other in EXCLUDING:
        if getattr(options, given) and getattr(options, other):
            raise UsageError(f"--{given} and --{other} exclude each other; leave one out")
    return Wanted(
        target=target,
        stem=stem_of(target) + ("-case" if options.case else ""),  # the reports of the run that found it stay
        reports=options.reports,
        shapes=parse_shapes(options.shapes) if options.shapes else (),
        losses=options.losses,
        cases=options.cases,
        seed=options.seed,
        limit=options.time,
        entries=options.entries,
        optional=options.optional,
        resolution=options.resolution,
        point=options.point,
        held=read_case(Path(options.case)) if options.case else None,
        case_file=options.case,
        program=program(),
    )
