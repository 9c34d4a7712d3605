"""``bptt-check report`` and ``equations``: what runs have left, shown again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bptt_check.commands.ending import AGREES, DISAGREES, INCONCLUSIVE, ended, rendered, say


def add(commands: Any) -> None:
    """Declare the commands among the others."""
    report = commands.add_parser("report", help="write the reports of a journal again", allow_abbrev=False)
    report.add_argument("journal", metavar="JOURNAL.jsonl", help="what a run has left; it may be torn")
    report.set_defaults(run=run_report)
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
    from bptt_check.report.terminal import table

    journal = Path(options.journal)
    summary = rendered(journal)
    say(table(summary))
    return ended(summary, "", False, journal, quiet=False)


def run_equations(options: argparse.Namespace) -> int:
    """Show the ledger of equations, filled where there is a journal, and return what it says as an exit code."""
    from bptt_check import ledger

    if options.journal is None:
        say(ledger.table())
        return AGREES
    from bptt_check.report.journal import read_journal
    from bptt_check.report.ledger_lines import ledger_said
    from bptt_check.report.summary import summarise

    summary = summarise(read_journal(options.journal))
    say(f"{ledger.table(ledger.fill(summary.records))}\n\n{ledger_said(summary.ledger)}")
    if any(line.verdict == "DISAGREES" for line in summary.ledger):
        return DISAGREES
    return AGREES if summary.ledger and summary.complete else INCONCLUSIVE
