"""A process that runs tests: every result is a line in its journal at once, and so is how each test ended."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bptt_check.errors import ReportError
from bptt_check.report.journal import Journal, environment
from bptt_check.report.places import RUN
from bptt_check.report.reading import number, verdict_of
from bptt_check.report.record import Record, record_of
from bptt_check.report.tests import ending_of, id_of, plan_of
from bptt_check.testing.declared import FIXTURES
from bptt_check.testing.ending import finish
from bptt_check.testing.examples import failing_arguments, inside_given
from bptt_check.testing.lines import again
from bptt_check.testing.options import (
    FOLDER,
    TROUBLE,
    UNWRITABLE,
    asked,
    came_to_its_end,
    running_folder,
)

if TYPE_CHECKING:
    from bptt_check.results import Result

_WORST = {"AGREES": 0, "INCONCLUSIVE": 1, "DISAGREES": 2}
_OUTCOMES = {"passed": 0, "skipped": 1, "failed": 2}


@dataclass
class Attempt:
    """One attempt of one test, while it runs."""

    nodeid: str
    number: int
    results: int = 0
    examples: int = 0
    outcome: str = "passed"
    verdict: str = "AGREES"
    drawn: str = ""
    errors: list[float] = field(default_factory=list)  # the worst so far, and no other

    def count(self, record: Record) -> None:
        """Count a result that has been kept."""
        self.results += 1
        self.verdict = max(self.verdict, verdict_of(record).value, key=_WORST.__getitem__)
        found = [error for block in record.blocks if (error := number(block["max_relative_error"])) is not None]
        self.errors = [max([*self.errors, *found])] if self.errors or found else []

    def properties(self) -> list[tuple[str, object]]:
        """Return what goes with the test's report: plain Python values. A NumPy scalar here can kill a worker."""
        rows: list[tuple[str, object]] = [("gradient_results", self.results), ("gradient_verdict", self.verdict)]
        return rows + [("gradient_worst_error", float(error)) for error in self.errors]


class Running:
    """Keeps what the tests of this process find. Registered as a plugin once a test needs it."""

    def __init__(self, config: pytest.Config, path: Path) -> None:
        self._config = config
        self._path = path
        self._now: Attempt | None = None
        self._planned: set[str] = set()
        self._journal = Journal(path, title=_title(config), environment=environment())
        self.trouble = ""  # why something could not be kept; the tests go on without

    def plan(self, items: Sequence[pytest.Item]) -> None:
        """Write down which tests were selected."""
        self._planned = {item.nodeid for item in items}
        for record in plan_of(self._planned):
            self._write(record)

    def keep(self, result: Result, place: str = "") -> None:
        """Keep one result, as a line that is with the operating system when this returns.

        ``place`` tells the numbers at which it was found from others, where that is known.
        """
        now = self._now = self._now or Attempt(_current_test(), 1)
        drawn = inside_given()
        now.examples += drawn
        data: dict[str, Any] = {"test": id_of(now.nodeid)}
        data |= {"reproduce": line} if (line := again(now.nodeid)) else {}
        data |= {"point": place} if place else {}
        data |= {"example": now.examples} if drawn else {}
        data |= {"attempt": now.number} if now.number > 1 else {}
        record = replace(_record(result), data=data)
        if drawn:  # what is drawn differs from run to run; the test is what a later run can be held against
            record = replace(record, name=id_of(now.nodeid))
        now.count(record)
        self._write(record)

    def is_first(self) -> bool:
        """Whether Hypothesis has drawn no example of the present test before this one; true of all else."""
        return not (inside_given() and self._now and self._now.examples)

    def how_again(self) -> str:
        """Return the line that runs the present test again."""
        return again(self._now.nodeid) if self._now else ""

    def _write(self, record: Record) -> None:
        try:
            if not self.trouble:
                self._journal.write(record)
        except ReportError as error:
            self.trouble = str(error)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """A test begins, for the first time or again."""
        self._now = Attempt(item.nodeid, int(getattr(item, "execution_count", 1)))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Give the test's report what was found; when the test is over, write down how it ended."""
        now = self._now if self._now and self._now.nodeid == item.nodeid else None
        if now and now.results and call.when == "call":
            own = [row for row in item.user_properties if not row[0].startswith("gradient_")]
            item.user_properties[:] = [*own, *now.properties()]
        report = yield
        if now:
            now.drawn = now.drawn or (failing_arguments(call.excinfo.value) if call.excinfo else "")
            now.outcome = max(now.outcome, report.outcome, key=lambda word: _OUTCOMES.get(word, 2))
            if call.when == "teardown":
                self._end(item, now)
        return report

    def _end(self, item: pytest.Item, now: Attempt) -> None:
        self._now = None
        if not now.results and item.nodeid not in self._planned:
            return
        named = getattr(getattr(item, "_fixtureinfo", None), "argnames", ())
        file, line, _ = item.location
        ending = ending_of(
            item.nodeid,
            outcome=now.outcome,
            attempt=now.number,
            results=now.results,
            asked=not FIXTURES.isdisjoint(named),
            file=str(file),
            line=None if line is None else line + 1,
            drawn=now.drawn,
        )
        self._write(ending)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Close the journal. A worker hands it on; where there are no workers the reports are made of it."""
        try:
            yield
        finally:
            self._close(came_to_its_end(exitstatus) and not self.trouble)
            if not hasattr(self._config, "workerinput"):
                finish(session, self._path, self.trouble)
            elif self.trouble:
                self._config.workeroutput[TROUBLE] = self.trouble  # type: ignore[attr-defined]

    def _close(self, ended: bool) -> None:
        try:
            if ended:
                self._journal.close()
        except ReportError as error:
            self.trouble = self.trouble or str(error)
        self._journal.abandon()


def running_of(config: pytest.Config) -> Running:
    """Return what keeps the results of this process; the first call makes it.

    Raises
    ------
    pytest.UsageError
        If the journal cannot be written.
    """
    if _RUNNING not in config.stash:
        worker: dict[str, Any] = getattr(config, "workerinput", {})
        try:
            if FOLDER in worker:
                path = Path(worker[FOLDER]) / f"{worker['workerid']}.jsonl"
            else:
                path = running_folder(config) / RUN
            config.stash[_RUNNING] = Running(config, path)
        except ReportError as error:
            if hasattr(config, "workeroutput"):
                config.workeroutput[UNWRITABLE] = str(error)
                pytest.exit(str(error), returncode=4)
            raise pytest.UsageError(str(error)) from error
        config.pluginmanager.register(config.stash[_RUNNING], "bptt_check.running")
    return config.stash[_RUNNING]


_RUNNING: pytest.StashKey[Running] = pytest.StashKey()


def _title(config: pytest.Config) -> str:
    return "a part" if hasattr(config, "workerinput") else asked(config).title


def _current_test() -> str:
    """The test that is running where nobody has told: a fixture was asked for in the middle of it."""
    return os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0]


def _record(result: Result) -> Record:
    try:
        return record_of(result)
    except TypeError:  # a case that holds something without a JSON form
        return record_of(result, case={str(key): str(value) for key, value in result.case.items()})
