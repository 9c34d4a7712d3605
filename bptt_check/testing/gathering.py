"""What several workers write, gathered line by line into one journal.

Every worker writes a journal of its own, in a folder that this run alone knows, and this process copies what is new
whenever a test has ended. So nothing depends on a worker, or this process, coming to a good end.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bptt_check.errors import ReportError
from bptt_check.report.journal import Journal, environment
from bptt_check.report.parts import Part
from bptt_check.report.places import RUN
from bptt_check.report.tests import PLAN
from bptt_check.testing.ending import finish
from bptt_check.testing.options import TROUBLE, asked, came_to_its_end


class Gathering:
    """One journal of those of all workers. Registered as a plugin once a worker has written something."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._parts: dict[str, Part] = {}
        self._journal: Journal | None = None
        self._planned: set[str] = set()
        self._trouble = ""

    def gather(self, worker: str) -> None:
        """Copy what is new in the part of one worker."""
        part = self._parts.setdefault(worker, Part(self._folder / f"{worker}.jsonl"))
        with interrupted_afterwards():  # what was read and not written would be lost
            self._copy(part)

    def _copy(self, part: Part) -> None:
        try:
            for record in part.new():
                if record.kind == PLAN and record.name in self._planned:
                    continue  # every worker selects the same tests
                self._planned |= {record.name} if record.kind == PLAN else set()
                if not self._trouble:
                    self._open().write(record)
        except ReportError as error:
            self._trouble = self._trouble or str(error)

    def last_of(self, worker: str, output: Mapping[str, Any]) -> None:
        """Copy the rest of a worker that is gone; ``output`` is what it has left in peace, if it has."""
        self._trouble = self._trouble or str(output.get(TROUBLE, ""))
        self.gather(worker)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """A test of a worker is over."""
        node = getattr(report, "node", None)
        if report.when == "teardown" and node is not None:
            self.gather(node.gateway.id)

    def finish(self, session: pytest.Session, exitstatus: int) -> None:
        """Gather what is left, when all workers are gone, and make the reports."""
        for path in sorted(self._folder.glob("*.jsonl")):
            if path.name != RUN:
                self.gather(path.stem)
        if self._journal is None and not self._trouble:
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        if self._journal is not None:
            self._close(self._journal, came_to_its_end(exitstatus) and not self._trouble)
        finish(session, self._folder / RUN, self._trouble)

    def _open(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self._folder / RUN, title=asked(self._config).title, environment=environment())
        return self._journal

    def _close(self, journal: Journal, ended: bool) -> None:
        try:
            if ended:
                journal.close()
        except ReportError as error:
            self._trouble = self._trouble or str(error)
        journal.abandon()


@contextmanager
def interrupted_afterwards() -> Iterator[None]:
    """Ctrl-C waits until what is done inside is done."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    came: list[Any] = []
    signal.signal(signal.SIGINT, lambda *how: came.append(how))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            before(*came[0])
