"""The pytest side: a fixture that keeps every result of a test run, and the reports made of them at its end.

No mathematics, and no import of NumPy: a run that uses none of it pays nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bptt_check.results import Result

STEM = "properties"
PARTS = ".parts"  # one journal for each worker of a distributed run, until they are put together


def _folder(config: pytest.Config) -> Path:
    return Path(config.rootpath) / "reports"


def _worker(config: pytest.Config) -> str | None:
    return getattr(config, "workerinput", {}).get("workerid")


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Callable[[Result], None]]:
    """``record(result)`` keeps one result: a line in the run's journal, written as the case ends.

    Session-scoped, so that it works inside ``@given``. The reports are rendered when the run is over.
    """
    from bptt_check.report.journal import Journal, environment
    from bptt_check.report.record import record_of

    folder, worker = _folder(request.config), _worker(request.config)
    path = folder / f"{STEM}.jsonl" if worker is None else folder / PARTS / f"{worker}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with Journal(path, title="Properties of the built-in cells", environment=environment()) as journal:
        yield lambda result: journal.write(record_of(result))


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Put the workers' journals together, where there are any, and render the reports."""
    folder = _folder(session.config)
    if _worker(session.config) is not None:
        return
    parts = sorted((folder / PARTS).glob("*.jsonl"))
    if parts:
        _put_together(parts, folder / f"{STEM}.jsonl")
    session.config.stash[_JOURNAL] = folder / f"{STEM}.jsonl"


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say where the reports are."""
    journal = config.stash.get(_JOURNAL, None)
    if journal is None or not journal.exists() or journal.stat().st_mtime < config.stash[_STARTED]:
        return
    from bptt_check.errors import ReportError
    from bptt_check.report.files import render

    try:
        written = render(journal)
    except ReportError as error:
        terminalreporter.write_line(f"gradient reports could not be written: {error}")
        return
    names = ", ".join(path.name for path in written)
    terminalreporter.write_line(f"gradient reports: {names} in {journal.parent}")


def pytest_configure(config: pytest.Config) -> None:
    """Remember when the run began: an older journal is not this run's."""
    import time

    config.stash[_STARTED] = time.time() - 1


def _put_together(parts: list[Path], path: Path) -> None:
    from bptt_check.report.journal import Journal, environment, read_journal

    logs = [read_journal(part) for part in parts]
    with Journal(path, title=logs[0].title, environment=environment()) as journal:
        for log in logs:
            for kept in log.records:
                journal.write(kept)
    for part in parts:
        part.unlink()
    parts[0].parent.rmdir()


_JOURNAL: pytest.StashKey[Path] = pytest.StashKey()
_STARTED: pytest.StashKey[float] = pytest.StashKey()
