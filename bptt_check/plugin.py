"""The pytest side: a fixture that keeps every result of a test run, and the reports made of them at its end.

Under pytest-xdist each worker writes a journal of its own, in a folder that this run alone knows: another run of pytest
in the same place, or one started by a test, leaves it alone. They are put together at the end.

No mathematics, and no import of NumPy: a run that uses none of it pays nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from bptt_check.results import Result

STEM = "properties"
PARTS = "bptt_check_parts"

_JOURNAL: pytest.StashKey[Path] = pytest.StashKey()  # only where this very run has written one
_PARTS: pytest.StashKey[Path] = pytest.StashKey()


def _folder(config: pytest.Config) -> Path:
    return Path(config.rootpath) / "reports"


@pytest.fixture(scope="session")
def record(request: pytest.FixtureRequest) -> Iterator[Callable[[Result], None]]:
    """``record(result)`` keeps one result: a line in the run's journal, written as the case ends.

    Session-scoped, so that it works inside ``@given``. The reports are rendered when the run is over.
    """
    from bptt_check.report.journal import Journal, environment
    from bptt_check.report.record import record_of

    config = request.config
    worker = getattr(config, "workerinput", {})
    path = Path(worker[PARTS]) / f"{worker['workerid']}.jsonl" if PARTS in worker else _folder(config) / f"{STEM}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    if PARTS not in worker:
        config.stash[_JOURNAL] = path
    with Journal(path, title="Properties of the built-in cells", environment=environment()) as journal:
        yield lambda result: journal.write(record_of(result))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the workers of this run write."""
    config = node.config
    if _PARTS not in config.stash:
        config.stash[_PARTS] = _folder(config) / f".parts-{secrets.token_hex(4)}"
    node.workerinput[PARTS] = str(config.stash[_PARTS])


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Put the workers' journals together, where there are any."""
    config = session.config
    parts = sorted(config.stash[_PARTS].glob("*.jsonl")) if _PARTS in config.stash else []
    if parts:
        config.stash[_JOURNAL] = _folder(config) / f"{STEM}.jsonl"
        _put_together(parts, config.stash[_JOURNAL])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Render the reports and say where they are."""
    journal = config.stash.get(_JOURNAL, None)
    if journal is None:
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


class _WorkerLostError(Exception):
    pass


def _put_together(parts: list[Path], path: Path) -> None:
    """One journal of several; it gets no end where one of them has none, since a worker was killed then."""
    from contextlib import suppress

    from bptt_check.report.journal import Journal, environment, read_journal

    logs = [read_journal(part) for part in parts]
    with suppress(_WorkerLostError), Journal(path, title=logs[0].title, environment=environment()) as journal:
        for log in logs:
            for kept in log.records:
                journal.write(kept)
        if not all(log.ended for log in logs):
            raise _WorkerLostError
    for part in parts:
        part.unlink()
    parts[0].parent.rmdir()
