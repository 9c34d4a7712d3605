"""Saving a run, holding it against an earlier one, and failing where it has become worse: for the commands that run."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bptt_check.commands.ending import AGREES, DISAGREES, INCONCLUSIVE, INTERRUPTED, say

if TYPE_CHECKING:
    from bptt_check.report.changes import Rule
    from bptt_check.report.model import Summary
    from bptt_check.report.saved import SavedRun

FOLDER = "runs"  # within that of the reports; report.beside has the same, and is not imported for --help
WHICH = "a number, a name, last, or a file"


def add(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Declare ``--save``, ``--keep``, ``--compare``, ``--fail-on`` and ``--runs``."""

    def option(name: str, text: str, **more: Any) -> None:
        default = defaults.get(name.replace("-", "_"), argparse.SUPPRESS)
        parser.add_argument(f"--{name}", help=text, default=default, **more)

    option("save", "keep what the run found, to compare later ones with", metavar="NAME")
    option("keep", "with --save: how many runs to keep, such as 20, or for how long: 30d", metavar="N|AGE")
    option("compare", f"say what has changed since a saved run: {WHICH}", metavar="RUN")
    add_rules(parser, default=defaults.get("fail_on", argparse.SUPPRESS))
    add_runs(parser, default=defaults.get("runs", argparse.SUPPRESS))


def add_runs(parser: argparse.ArgumentParser, *, default: Any = None) -> None:
    """Declare ``--runs``."""
    text = "folder of saved runs (default: runs, in that of the reports)"
    parser.add_argument("--runs", type=Path, metavar="DIR", default=default, help=text)


def folder_of(options: argparse.Namespace) -> Path:
    """The folder of saved runs."""
    return Path(options.runs or options.reports / FOLDER)


def add_rules(parser: argparse.ArgumentParser, *, default: Any = ()) -> None:
    """Declare ``--fail-on``."""
    parser.add_argument(
        "--fail-on",
        action="append",
        default=default,
        metavar="RULE",
        help="exit with 1 if, beside the run compared with, a block is: worse, missing, max_error:10x, resolution:10x",
    )


@dataclass(frozen=True)
class Keeping:
    """What to do with a run when it is over; all that can be wrong about it was seen before it began."""

    folder: Path
    runs: Path | None  # that folder, where somebody has said which
    save: str | None
    keep: int | timedelta | None
    baseline: SavedRun | None
    rules: tuple[Rule, ...]

    def ended(self, summary: Summary, code: int, *, quiet: bool) -> int:
        """Compare and save the run that ``summary`` shows, and return ``code``, or 1 for a rule broken."""
        from bptt_check.report import saved

        if self.baseline is not None and code != INTERRUPTED:
            code = compared(self.baseline, saved.of(summary), self.rules, code=code, quiet=quiet)
        if self.save is not None and not summary.complete:
            say("\nNot saved: the run is incomplete.")
        elif self.save is not None:
            path = saved.save(summary, self.folder, self.save, keep=self.keep)
            if not quiet:
                say(f"\nSaved: {path}")
        return code


def keeping(options: argparse.Namespace) -> Keeping:
    """What ``options`` ask to be done with the run that is about to begin.

    Raises
    ------
    UsageError
        For a name, a rule or an age that cannot be.
    ReportError
        If the run to compare with cannot be read, or the folder cannot be made.
    """
    from bptt_check.errors import UsageError
    from bptt_check.report import saved
    from bptt_check.report.changes import parse_rule

    if options.fail_on and options.compare is None:
        raise UsageError("--fail-on needs --compare: say which run to compare with")
    if options.keep is not None and options.save is None:
        raise UsageError("--keep needs --save: say under which name to keep the run")
    folder = folder_of(options)
    if options.save is not None:
        saved.check_place(folder, options.save)
    return Keeping(
        folder=folder,
        runs=options.runs,
        save=options.save,
        keep=None if options.keep is None else saved.parse_keep(options.keep),
        baseline=None if options.compare is None else found(options.compare, folder),
        rules=tuple(parse_rule(text) for text in options.fail_on or ()),
    )


def found(which: str, folder: Path) -> SavedRun:
    """The run that ``which`` names, rows and all: a saved one, or what is in a file."""
    from bptt_check.report import saved

    is_path = bool({"/", os.sep} & set(which)) or which.endswith((".json", ".jsonl"))
    return saved.load(which if is_path else saved.find(folder, which))


def compared(old: SavedRun, new: SavedRun, rules: tuple[Rule, ...], *, code: int = AGREES, quiet: bool = False) -> int:
    """Say what has changed, and return the exit code: ``code``, 1 for a rule broken, 3 where that cannot be told."""
    from bptt_check.report import changes

    found = changes.compare(old, new)
    against = changes.broken(found, rules)
    if not quiet:
        say(f"\n{changes.said(found, rules)}")
    elif against:
        say(str(against[0]))
    if against:
        return DISAGREES
    return INCONCLUSIVE if code == AGREES and rules and not new.complete else code
