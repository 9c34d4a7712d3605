"""The end of a run: the journal gets its name, reports are made of it, and what is missing or worse ends it with 1."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bptt_check.errors import BpttCheckError, ReportError
from bptt_check.report.after_tests import said_after_tests
from bptt_check.report.beside import beside
from bptt_check.report.files import write_one
from bptt_check.report.github import harmless, step_summary, workflow_commands
from bptt_check.report.journal import read_journal
from bptt_check.report.model import Summary
from bptt_check.report.parts import put_in_place
from bptt_check.report.summary import summarise
from bptt_check.report.text import clean
from bptt_check.testing.asked import KEEPING
from bptt_check.testing.options import asked

STEP_SUMMARY_LIMIT = 2**20 - 4096  # of all that a step writes; GitHub drops what is larger


@dataclass
class Ending:
    """What is said at the end, and whether the run may not end with 0. Registered as a plugin to say it."""

    said: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    bad: bool = False

    def fault(self, sentence: str) -> None:
        """Say what makes the run fail."""
        self.said.append(sentence)
        self.bad = True

    def add(self, sentence: str) -> None:
        """Say something, unless it is empty."""
        self.said += [sentence] if sentence else []

    def attempt(self, action: Callable[[], None]) -> bool:
        """Do ``action``; say why if it fails, and go on."""
        try:
            action()
        except BpttCheckError as error:
            self.fault(str(error))
            return False
        return True

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Say it."""
        on_github = _on_github()
        terminalreporter.section("gradients", sep="-")
        for line in self.said:
            terminalreporter.write_line(harmless(line) if on_github else line)
        for command in self.commands:
            terminalreporter.write_line(command)


def finish(session: pytest.Session, journal: Path, trouble: str) -> None:
    """Make of ``journal`` all that was asked for, and let the session fail if something is missing or worse."""
    config = session.config
    options, ending = asked(config), Ending()
    if trouble:
        ending.fault(f"not all results could be kept: {trouble}")
    place = options.journal
    if ending.attempt(lambda: put_in_place(journal, place)):
        shutil.rmtree(journal.parent, ignore_errors=True)
    else:
        place = journal
    ending.attempt(lambda: _report(place, config, ending, interrupted=int(session.exitstatus) == 2))
    _register(session, ending)


def _report(journal: Path, config: pytest.Config, ending: Ending, *, interrupted: bool) -> None:
    options = asked(config)
    log = read_journal(journal)
    summary = summarise(log)
    ending.said[:0] = said_after_tests(summary, quiet=options.quiet)
    ending.bad |= not summary.complete
    keeping = config.stash.get(KEEPING, None)
    held = (None, ()) if keeping is None or interrupted else (keeping.baseline, keeping.rules)
    more = beside(summary, options.runs, baseline=held[0], rules=held[1])
    written = [journal]
    for path in options.reports:
        with suppress(OSError):  # writing says what is wrong
            path.parent.mkdir(parents=True, exist_ok=True)
        if ending.attempt(partial(write_one, log, summary, path, more)):
            written.append(path)
    broken: list[str] = []
    if keeping is not None:
        if not interrupted:
            changed, broken = keeping.compared(summary)
            ending.said += [] if options.quiet else changed.splitlines()
            ending.said += [f"worse than before: {sentence}" for sentence in broken] if options.quiet else []
            ending.bad |= bool(broken)
        ending.attempt(lambda: ending.add(keeping.save(summary)))
    if not options.quiet:
        ending.said.append("gradient reports: " + ", ".join(_shown(path) for path in written))
    if _on_github():
        ending.commands += workflow_commands(summary, broken)
    if os.environ.get("GITHUB_STEP_SUMMARY"):
        ending.attempt(lambda: _to_step_summary(summary, Path(os.environ["GITHUB_STEP_SUMMARY"])))


def _register(session: pytest.Session, ending: Ending) -> None:
    session.config.stash[_ENDING] = ending
    session.config.pluginmanager.register(ending, "bptt_check.ending")
    if ending.bad and int(session.exitstatus) == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


class Expecting:
    """Notices that what the command line asks for cannot be had, since no test has left a result."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        """Fail a run that otherwise passed."""
        yield
        config = session.config
        if _ENDING not in config.stash and int(exitstatus) == 0 and not config.option.collectonly:
            ending = Ending()
            ending.fault(f"{self._wanted} was given, and no test that ran checks a gradient")
            _register(session, ending)


_ENDING: pytest.StashKey[Ending] = pytest.StashKey()


def _shown(path: Path) -> str:
    return clean(os.path.relpath(path), limit=400)


def _on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def _to_step_summary(summary: Summary, path: Path) -> None:
    try:
        written = path.stat().st_size if path.exists() else 0
        with path.open("ab") as stream:
            stream.write(step_summary(summary, room=STEP_SUMMARY_LIMIT - written).encode("utf-8", "replace"))
    except OSError as error:
        raise ReportError(f"the summary of the step could not be written: {clean(error.strerror)}") from error
