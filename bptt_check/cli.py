"""The command ``bptt-check``. Imports are made where they are needed, so that ``--help`` answers at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt_check import __version__
from bptt_check.errors import BpttCheckError

if TYPE_CHECKING:
    from bptt_check.campaign.user import Wanted
    from bptt_check.report.model import Summary
    from bptt_check.report.terminal import Progress

AGREES, DISAGREES, USAGE, INCONCLUSIVE, INTERRUPTED = 0, 1, 2, 3, 130
CASES = 300
STYLES = ("functions", "cell", "object", "vjp", "update", "torch", "jax", "c")
EXIT_CODES = "exit codes: 0 agrees, 1 disagrees, 2 wrong usage, 3 inconclusive or incomplete, 130 interrupted"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (those of the process where not given) and return its exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except KeyboardInterrupt:
        print(f"\n{_program()}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BpttCheckError as error:
        print(f"{_program()}: {error}", file=sys.stderr)
        return USAGE


def _say(text: str) -> None:
    """Print ``text``; a reader that has had enough, such as ``head``, does not change what the run found."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _program() -> str:
    return "python -m bptt_check" if Path(sys.argv[0]).parts[-2:] == ("bptt_check", "__main__.py") else "bptt-check"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_program(),
        description="Prove, or disprove, a backward pass that you derived by hand. "
        "Without a command: verify the built-in LSTM cells over random cases, and write the reports.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bptt-check {__version__}")
    parser.set_defaults(run=_builtin)
    add = parser.add_argument
    add("--cases", type=_count, default=None, metavar="N", help=f"random cases to verify (default {CASES})")
    add("--jobs", type=_count, default=None, metavar="N", help="processes (default: one a core, at most 8)")
    _common(parser, seed=0, reports=Path("reports"), quiet=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    _verify_parser(
        commands.add_parser("verify", help="verify a backward pass of yours", epilog=EXIT_CODES, allow_abbrev=False)
    )
    report = commands.add_parser("report", help="write the reports of a journal again", allow_abbrev=False)
    report.add_argument("journal", metavar="JOURNAL.jsonl", help="what a run has left; it may be torn")
    report.set_defaults(run=_report)
    equations = commands.add_parser(
        "equations", help="list the equations, and where each is tested", allow_abbrev=False
    )
    equations.add_argument(
        "journal",
        metavar="JOURNAL.jsonl",
        nargs="?",
        help="what a run has left; adds what it has found about each equation",
    )
    equations.set_defaults(run=_equations)
    init = commands.add_parser("init", help="write a small running file to start from", allow_abbrev=False)
    init.add_argument("file", metavar="FILE.py")
    init.add_argument("--style", choices=STYLES, default="cell", help="how your backward pass looks (default cell)")
    init.set_defaults(run=_init)
    commands.add_parser("demo", help="show a planted mistake being found", allow_abbrev=False).set_defaults(run=_demo)
    return parser


def _common(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Options that may stand on either side of ``verify``; behind it they have no default that could undo the first."""

    def add(name: str, text: str, **options: Any) -> None:
        parser.add_argument(f"--{name}", help=text, default=defaults.get(name, argparse.SUPPRESS), **options)

    add("seed", "seed of all random numbers (default 0)", type=_seed, metavar="N")
    add("reports", "folder of the reports (default reports)", type=Path, metavar="DIR")
    add("quiet", "print the verdict and how to reproduce a failure, nothing else", action="store_true")


def _verify_parser(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_verify)
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="FILE.py, FILE.py:name or package.module:name; it defines a function subject(T, B, D, H, rng), a Subject, "
        "or a cell with state, parameters, forward and backward",
    )
    add = parser.add_argument
    add(
        "--shapes",
        default="",
        metavar='"T=1,B=1,D=2,H=3;…"',
        help="the shapes to try, in the place of the standard ones",
    )
    add("--losses", type=_names, default=(), metavar="NAMES", help="for a cell: losses to try, separated by commas")
    add("--cases", type=_count, default=argparse.SUPPRESS, metavar="N", help="how many shapes to try (default 10)")
    add("--time", type=_seconds, default=60.0, metavar="SECONDS", help="time limit of each case (default 60)")
    add(
        "--entries",
        choices=("auto", "all", "directions"),
        default="auto",
        help="compare every entry, or along directions",
    )
    add(
        "--optional",
        type=_names,
        default=(),
        metavar="NAMES",
        help="gradients that need not be returned, separated by commas",
    )
    add("--resolution", type=_fraction, default=None, metavar="X", help="smallest relative error that must be visible")
    add("--point", type=_existing, default=None, metavar="FILE.npz", help="arrays that replace those drawn, by name")
    add("--case", type=_existing, default=None, metavar="FILE.json", help="run the one case that this file holds")
    _common(parser)


def _builtin(options: argparse.Namespace) -> int:
    from bptt_check.campaign.case import Case, random_cases
    from bptt_check.campaign.overview import builtin_overview
    from bptt_check.campaign.run import run, run_work, workers
    from bptt_check.campaign.sweep import Sweep

    cases = options.cases or CASES
    work: list[Case | Sweep] = [*random_cases(cases, options.seed), Sweep()]
    progress = _progress(len(work), quiet=options.quiet)
    with workers(min(options.jobs or _cores(), len(work))) as executor:
        outcome = run(
            run_work,
            work,
            journal=options.reports / "builtin.jsonl",
            title=f"built-in cells, {cases} random cases, seed {options.seed}",
            executor=executor,
            on_record=lambda record: progress.advance() if progress else None,
        )
    if progress:
        progress.close()
    summary = _rendered(outcome.journal)
    _say(_verdict_line(summary) if options.quiet else builtin_overview(summary))
    return _ended(summary, outcome.stopped, outcome.interrupted, outcome.journal, quiet=options.quiet)


def _verify(options: argparse.Namespace) -> int:
    from bptt_check.campaign.overview import reproducing, user_overview
    from bptt_check.campaign.user import verify

    wanted = _wanted(options)
    progress: list[Progress] = []

    def on_case(done: int, planned: int) -> None:
        bar = _progress(planned, quiet=options.quiet) if not progress else None
        progress.extend([bar] if bar else [])
        if progress:
            progress[0].advance()

    verified = verify(wanted, on_case=on_case)
    for bar in progress:
        bar.close()
    summary = _rendered(verified.journal)
    if options.quiet:
        _say("\n".join([_verdict_line(summary), *reproducing(verified, wanted)]))
    else:
        _say(user_overview(summary, verified, wanted))
    return _ended(summary, verified.stopped, verified.interrupted, verified.journal, quiet=options.quiet)


def _wanted(options: argparse.Namespace) -> Wanted:
    from bptt_check.campaign.held import read_case
    from bptt_check.campaign.shapes import parse_shapes
    from bptt_check.campaign.user import Wanted, stem_of
    from bptt_check.errors import UsageError

    target: str = options.target
    file = target.rpartition(".py:")[0] + ".py" if ".py:" in target else target
    if file.endswith(".py") and not Path(file).is_file():
        raise UsageError(f"there is no file {file}; bptt-check init {file} writes one to start from")
    if not file.endswith(".py") and not Path(file).is_file() and ":" not in target:
        raise UsageError(f"{target!r} is neither a file nor package.module:name; give one of them")
    for given, other in (
        ("shapes", "cases"),
        ("case", "shapes"),
        ("case", "cases"),
        ("case", "losses"),
        ("case", "point"),
    ):
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
        program=_program(),
    )


def _report(options: argparse.Namespace) -> int:
    from bptt_check.report.terminal import table

    journal = Path(options.journal)
    summary = _rendered(journal)
    _say(table(summary))
    return _ended(summary, "", False, journal, quiet=False)


def _equations(options: argparse.Namespace) -> int:
    from bptt_check import ledger

    if options.journal is None:
        _say(ledger.table())
        return AGREES
    from bptt_check.report.journal import read_journal
    from bptt_check.report.ledger_lines import ledger_said
    from bptt_check.report.summary import summarise

    summary = summarise(read_journal(options.journal))
    _say(f"{ledger.table(ledger.fill(summary.records))}\n\n{ledger_said(summary.ledger)}")
    if any(line.verdict == "DISAGREES" for line in summary.ledger):
        return DISAGREES
    return AGREES if summary.ledger and summary.complete else INCONCLUSIVE


def _init(options: argparse.Namespace) -> int:
    from bptt_check import starting

    starting.write(options.file, options.style)
    _say(f"wrote {options.file}; verify it with  {_program()} verify {options.file}")
    return AGREES


def _demo(options: argparse.Namespace) -> int:
    from bptt_check import starting

    return int(starting.demo(sys.stdout))


def _cores() -> int:
    """How many cores this process may use, at most 8."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(available or 1, 8)


def _progress(total: int, *, quiet: bool) -> Progress | None:
    """A progress bar on stderr, on a terminal only: in a log it is noise."""
    from bptt_check.report.terminal import Progress

    if quiet or not sys.stderr.isatty():
        return None
    progress = Progress(total, sys.stderr)
    progress.advance(0)
    return progress


def _rendered(journal: Path) -> Summary:
    from bptt_check.report.files import render
    from bptt_check.report.journal import read_journal
    from bptt_check.report.summary import summarise

    render(journal)
    return summarise(read_journal(journal))


def _verdict_line(summary: Summary) -> str:
    word = "" if summary.complete else "INCOMPLETE  "
    return f"{word}{summary.verdict}  {summary.title}"


def _ended(summary: Summary, stopped: str, interrupted: bool, journal: Path, *, quiet: bool) -> int:
    """Say why a run is incomplete and where its reports are, and return the exit code."""
    if stopped:
        _say(f"\nIncomplete: {stopped}.")
    if not quiet:
        _say(f"\nReports: {journal.with_suffix('.html')}, and .md, .json, .jsonl beside it")
    if interrupted:
        return INTERRUPTED
    if summary.verdict.value == "DISAGREES":
        return DISAGREES
    return AGREES if summary.verdict.value == "AGREES" and summary.complete else INCONCLUSIVE


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def _seconds(text: str) -> float:
    return _number(text, 0.01, 1e6, "a number of seconds above 0")


def _fraction(text: str) -> float:
    return _number(text, 1e-15, 1.0, "a number between 1e-15 and 1")


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _existing(text: str) -> str:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return text
