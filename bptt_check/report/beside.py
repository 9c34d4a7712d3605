"""What a report can show beside its own run: earlier runs of the same job, and what has changed since one of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report import saved
from bptt_check.report.changes import Changes, Rule, compare
from bptt_check.report.model import Summary
from bptt_check.report.saved_lines import SavedRun

FOLDER = "runs"  # beside the journals
MOST = 60  # runs in a history


@dataclass(frozen=True)
class Beside:
    """Earlier runs of the same job, the oldest first, and what has changed since a run that was asked for."""

    history: tuple[SavedRun, ...] = ()
    changes: Changes | None = None
    rules: tuple[Rule, ...] = ()


def beside(
    summary: Summary, folder: str | os.PathLike[str], *, baseline: SavedRun | None = None, rules: tuple[Rule, ...] = ()
) -> Beside:
    """Return what there is beside a run: of the saved runs in ``folder`` those with its title, and the changes.

    A folder that cannot be read has no history: the report is not lost for it.
    """
    try:
        earlier = [run for run in saved.runs(Path(folder)) if run.title == summary.title and not run.problem]
    except ReportError:
        earlier = []
    changes = None if baseline is None else compare(baseline, saved.of(summary))
    return Beside(tuple(earlier[-MOST:]), changes, rules)
