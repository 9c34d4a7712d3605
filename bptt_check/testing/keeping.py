"""Saving a run of tests, and holding it beside an earlier one: decided before the first test, done after the last."""

from __future__ import annotations

import os

from bptt_check.report import changes, saved
from bptt_check.report.beforehand import must_be_writable
from bptt_check.report.model import Summary
from bptt_check.report.text import clean
from bptt_check.testing.options import Options


class Keeping:
    """What to do with the run when it is over; all that can be wrong about it is seen here, before it begins.

    Raises
    ------
    UsageError, ReportError
        For a name, a rule or an age that cannot be; if there is no such run to compare with, or it cannot be read.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self.rules: tuple[changes.Rule, ...] = tuple(changes.parse_rule(text) for text in options.rules)
        self._keep = saved.parse_keep(options.keep) if options.keep else None
        if options.save:
            saved.must_be_name(options.save)
            must_be_writable(options.runs / "0001.jsonl")
        which = options.compare
        is_file = bool({"/", os.sep} & set(which)) or which.endswith((".json", ".jsonl"))
        found = options.base / which if is_file else which and saved.find(options.runs, which)
        self.baseline = saved.load(found) if found else None

    def compared(self, summary: Summary) -> tuple[str, list[str]]:
        """Return what has changed, as text, and a sentence for each rule that is broken."""
        if self.baseline is None:
            return "", []
        found = changes.compare(self.baseline, saved.of(summary))
        return changes.said(found, self.rules), [str(broken) for broken in changes.broken(found, self.rules)]

    def save(self, summary: Summary) -> str:
        """Keep the run if that was asked for, and say so. Raises ``ReportError`` if it cannot be written."""
        if not self._options.save:
            return ""
        if not summary.complete:
            return "not saved: the run is incomplete"
        path = saved.save(summary, self._options.runs, self._options.save, keep=self._keep)
        return f"saved: {clean(os.path.relpath(path), limit=400)}"
