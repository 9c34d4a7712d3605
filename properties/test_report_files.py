"""Reports as files and on a terminal: whole or not at all, and never wider than the screen."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from reporting import (
    EQUATIONS,
    a_journal,
    a_log,
    a_record,
)

from bptt_check.errors import ReportError, UsageError
from bptt_check.report import runlog
from bptt_check.report.files import render, write_atomically
from bptt_check.report.record import Record
from bptt_check.report.summary import summarise
from bptt_check.report.terminal import Progress, table

# Files


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "run.md"
    write_atomically(target, "before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="no space is left"):
        write_atomically(target, "after")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_reports_stand_beside_their_journal(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "a.b.jsonl", a_record(1))
    assert render(path, ("md", "json")) == [tmp_path / "a.b.md", tmp_path / "a.b.json"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_format_that_does_not_exist_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    with pytest.raises(UsageError, match="no report format 'pdf'; take some of json, md, html"):
        render(path, ("md", "pdf"))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="would replace the journal"):
        render(a_journal(tmp_path / "run.json", a_record(1)))


# The terminal


def test_the_table_fits_a_hundred_columns() -> None:
    cases = [a_record(seed) for seed in range(12)]
    many = [
        Record(**{**vars(case), "case": {**case.case, "loss": f"a_loss_with_a_long_name_{place}"}})
        for place, case in enumerate(cases)
    ]
    for records in (cases, many):
        text = table(summarise(a_log(*records, title="x" * 500)))
        assert max(map(len, text.splitlines())) <= 100
        assert all(name in text for name in EQUATIONS)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal() -> None:
    stream, now = Terminal(), iter(range(1000))
    with Progress(10, stream, clock=lambda: float(next(now))) as progress:
        for _ in range(10):
            progress.advance(note="\x1b[2Jhuber")
    shown = stream.getvalue()
    assert shown.count("\n") == 1
    assert "\x1b" not in shown
    assert "10/10  100 %" in shown
    assert re.search(r"5/10   50 %  about \d+ s left  huber", shown)


def test_progress_is_sparse_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with Progress(300, stream) as progress:
        for _ in range(300):
            progress.advance()
    assert len(stream.getvalue().splitlines()) == 10
    assert "\r" not in stream.getvalue()


def test_progress_outlives_its_stream() -> None:
    stream = Terminal()
    progress = Progress(3, stream)
    stream.close()
    progress.advance()
    progress.close()
    assert progress.done == 1


def test_reading_reports_needs_no_numpy() -> None:
    program = "import sys, bptt_check.report.files, bptt_check.report.terminal; assert 'numpy' not in sys.modules"
    root = str(Path(runlog.__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, check=True)
