"""The side of pytest-xdist that starts the workers: it gathers what they write, line by line, into one journal.

Every worker writes a journal of its own, in a folder that this run alone knows, and this process copies what is new
whenever a test has ended. So nothing depends on a worker, or this process, coming to a good end.
"""

from __future__ import annotations

import shutil
from collections.abc import Generator, Sequence
from typing import Any

import pytest

from bptt_check.errors import ReportError
from bptt_check.report.journal import Journal, environment
from bptt_check.report.parts import Part
from bptt_check.report.tests import PLAN
from bptt_check.testing.asked import asked, running_folder
from bptt_check.testing.ending import finish
from bptt_check.testing.running import FOLDER, RUN, TROUBLE, UNWRITABLE, came_to_its_end


class Workers:
    """What the workers of this run have written. Registered as a plugin when the first one is started."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.folder = running_folder(config)
        self._parts: dict[str, Part] = {}
        self._journal: Journal | None = None
        self._planned: set[str] = set()
        self._trouble = ""

    def gather(self, worker: str) -> None:
        """Copy what is new in the part of one worker."""
        part = self._parts.setdefault(worker, Part(self.folder / f"{worker}.jsonl"))
        try:
            for record in part.new():
                if record.kind == PLAN and record.name in self._planned:
                    continue  # every worker selects the same tests
                self._planned |= {record.name} if record.kind == PLAN else set()
                if not self._trouble:
                    self._open().write(record)
        except ReportError as error:
            self._trouble = self._trouble or str(error)

    def _open(self) -> Journal:
        if self._journal is None:
            path, title = self.folder / RUN, asked(self._config).title
            self._journal = Journal(path, title=title, environment=environment())
            self._config.pluginmanager.register(_Following(self), "bptt_check.following")
        return self._journal

    def pytest_xdist_node_collection_finished(self, node: Any, ids: Sequence[str]) -> None:
        """A worker has written its plan, if it has one."""
        self.gather(node.gateway.id)

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A worker is gone, in peace or not."""
        output = getattr(node, "workeroutput", {})
        if UNWRITABLE in output:
            raise pytest.UsageError(output[UNWRITABLE])
        self._trouble = self._trouble or output.get(TROUBLE, "")
        self.gather(node.gateway.id)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Gather the rest, when all workers are gone, and make the reports."""
        try:
            yield
        finally:
            for path in sorted(self.folder.glob("*.jsonl")):
                if path.name != RUN:
                    self.gather(path.stem)
            if self._journal is not None:
                self._close(self._journal, came_to_its_end(exitstatus) and not self._trouble)
                finish(session, self.folder / RUN, self._trouble)
            elif self.folder.exists():
                shutil.rmtree(self.folder, ignore_errors=True)

    def _close(self, journal: Journal, ended: bool) -> None:
        try:
            if ended:
                journal.close()
        except ReportError as error:
            self._trouble = self._trouble or str(error)
        journal.abandon()


class _Following:
    """Looks at every test that ends, in runs that have something to gather and in no other."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def pytest_runtest_logreport(self, report: Any) -> None:
        node = getattr(report, "node", None)
        if report.when == "teardown" and node is not None:
            self._workers.gather(node.gateway.id)


_WORKERS: pytest.StashKey[Workers] = pytest.StashKey()


def tell(node: Any) -> None:
    """Tell a worker that is about to be started where it writes."""
    config = node.config
    if _WORKERS not in config.stash:
        config.stash[_WORKERS] = Workers(config)
        config.pluginmanager.register(config.stash[_WORKERS], "bptt_check.workers")
    node.workerinput[FOLDER] = str(config.stash[_WORKERS].folder)
