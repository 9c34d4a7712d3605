"""``bptt-check faults``, ``explain`` and ``mutate``: the known mistakes, and what becomes of them when they are made."""

from __future__ import annotations

import argparse
import json
from typing import Any

from bptt_check.commands.ending import AGREES, say


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
    explain.add_argument("fault", metavar="FAULT", help="a name as verify and faults print it, such as ds-carry-dropped")
    explain.add_argument("--cell", default="", metavar="NAME", help="the cell to show it in")


def run_faults(options: argparse.Namespace) -> int:
    """List the catalogue."""
    from bptt_check.planting import listing

    shown = listing.rows(options.cell, options.equation, options.common)
    if options.markdown:
        say(listing.markdown(shown).rstrip("\n"))
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
