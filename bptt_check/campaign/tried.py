"""One trial of a user's target with what came of it, and how a whole run of them ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bptt_check.campaign.held import Trial
from bptt_check.report.record import Record
from bptt_check.report.text import clean
from bptt_check.results import Result


@dataclass(frozen=True)
class Tried:
    """One trial: its record, the result table as text, and where in the user's code an exception came from.

    ``lost``: the trial took its process down. ``held``: the numbers of the point, where they were asked for.
    """

    trial: Trial
    record: Record
    table: str
    trace: str = ""
    lost: bool = False
    held: Mapping[str, Any] | None = None

    @property
    def verdict(self) -> str:
        """The verdict of the record."""
        return self.record.verdict

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds of findings that are faults: what tells one failure from another beside the verdict."""
        return tuple(finding["kind"] for finding in self.record.findings if finding["fault"])


@dataclass(frozen=True)
class Verified:
    """How a run over a user's target ended. ``failing`` is the smallest case that does not agree, if there is any.

    ``stopped`` says in one sentence why the run is incomplete; empty where it is complete.
    """

    journal: Path
    tried: tuple[Tried, ...]
    stopped: str = ""
    interrupted: bool = False
    failing: Tried | None = None
    case_file: Path | None = None


def told(result: Result) -> str:
    """The result as text: its table, or one line and the findings where there is nothing to put into a table."""
    if result.blocks:
        return str(result)
    head = f"{result.verdict}  {clean(result.subject)}: nothing was compared"
    return "\n".join([head, *(f"  finding: {clean(finding, limit=600)}" for finding in result.findings)])
