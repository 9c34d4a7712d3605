"""``bptt-check report``, ``list``, ``compare`` and ``equations``: what runs have left, shown again."""

from __future__ import annotations

import argparse
from typing import Any

from bptt_check.commands import arguments, keeping
from bptt_check.commands.ending import (
    AGREES,
    DISAGREES,
    EXIT_CODES,
    INCONCLUSIVE,
    ended,
    exit_code,
    rendered,
    say,
    summarised,
    verdict_line,
)

LISTED = 40


def add(commands: Any) -> None:
    """Declare the commands among the others."""
    report = commands.add_parser(
        "report", help="write the reports of a journal again", epilog=EXIT_CODES, allow_abbrev=False
    )
    report.add_argument(
        "journal",
        metavar="JOURNAL.jsonl",
        help="what a run has left; it may be torn; or the folder that it is in, or that a killed run has left",
    )
    report.add_argument(
        "-o",
        "--output",
        action="append",
        default=[],
        metavar="FILE",
        help="write this file alone: .html, .md, .json, .jsonl or .xml; may be given several times",
    )
    report.add_argument("--title", default="", metavar="TEXT", help="what the reports call the run")
    report.add_argument("--quiet", action="store_true", help="print the verdict, nothing else")
    arguments.reports(report)
    keeping.add(report, save=None, keep=None, compare=None, fail_on=[], runs=None)
    report.set_defaults(run=run_report)

    listed = commands.add_parser("list", help="list the saved runs", allow_abbrev=False)
    arguments.reports(listed)
    keeping.add_runs(listed)
    listed.set_defaults(run=run_list)

    compare = commands.add_parser(
        "compare", help="say what has changed from one run to another", epilog=EXIT_CODES, allow_abbrev=False
    )
    compare.add_argument("old", metavar="OLD", help=f"a saved run: {keeping.WHICH}")
    compare.add_argument(
        "new", metavar="NEW", nargs="?", default="last", help="the run to hold against it (default last)"
    )
    arguments.reports(compare)
    keeping.add_runs(compare)
    keeping.add_rules(compare, default=[])
    compare.set_defaults(run=run_compare)

    equations = commands.add_parser(
        "equations", help="list the equations, and where each is tested", allow_abbrev=False
    )
    equations.add_argument(
        "journal",
        metavar="JOURNAL.jsonl",
        nargs="?",
        help="what a run has left; adds what it has found about each equation",
    )
    equations.set_defaults(run=run_equations)


def run_report(options: argparse.Namespace) -> int:
    """Write the reports of a journal, show their table, and return the exit code of the run."""
    from bptt_check.report.files import write_as
    from bptt_check.report.left import journal_of
    from bptt_check.report.terminal import table

    kept = keeping.keeping(options)
    journal = journal_of(options.journal)
    title, quiet = options.title, options.quiet
    if options.output:
        write_as(journal, options.output, baseline=kept.baseline, rules=kept.rules, runs=kept.runs, title=title)
        summary = summarised(journal, title)
    else:
        summary = rendered(journal, kept, title)
    say(verdict_line(summary) if quiet else table(summary))
    if options.output and not quiet:
        say(f"\nReports: {', '.join(options.output)}")
    code = exit_code(summary) if options.output else ended(summary, "", False, journal, quiet=quiet)
    return kept.ended(summary, code, quiet=quiet)


def run_list(options: argparse.Namespace) -> int:
    """List the saved runs, the last ones at the end."""
    from bptt_check.report import saved
    from bptt_check.report.terminal import runs_table

    say(runs_table(saved.runs(keeping.folder_of(options)), shown=LISTED))
    return AGREES


def run_compare(options: argparse.Namespace) -> int:
    """Say what has changed from one run to another; 1 if a rule is broken."""
    from bptt_check.report.changes import parse_rule

    rules = tuple(parse_rule(text) for text in options.fail_on)
    folder = keeping.folder_of(options)
    return keeping.compared(keeping.found(options.old, folder), keeping.found(options.new, folder), rules)


def run_equations(options: argparse.Namespace) -> int:
    """Show the ledger of equations, filled where there is a journal, and return what it says as an exit code."""
    from bptt_check import ledger

    if options.journal is None:
        say(ledger.table())
        return AGREES
    from bptt_check.report.ledger_lines import ledger_said
    from bptt_check.report.left import journal_of

    summary = summarised(journal_of(options.journal))
    say(f"{ledger.table(ledger.fill(summary.records))}\n\n{ledger_said(summary.ledger)}")
    if any(line.verdict == "DISAGREES" for line in summary.ledger):
        return DISAGREES
    return AGREES if summary.ledger and summary.complete else INCONCLUSIVE
