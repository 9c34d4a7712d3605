"""Reports as files and on a terminal: whole or not at all, and never wider than the screen."""

from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from reporting import (
    EQUATIONS,
    a_journal,
    a_log,
    a_record,
)

from bptt_check.errors import ReportError, UsageError
from bptt_check.report import runlog, saved
from bptt_check.report.after_tests import said_after_tests
from bptt_check.report.files import render, write_atomically
from bptt_check.report.record import Record
from bptt_check.report.summary import summarise
from bptt_check.report.terminal import Progress, bar, runs_table, table

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


class Gone(io.StringIO):
    """A stream that has been taken away: it cannot even say whether it is a terminal."""

    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


def test_progress_on_a_stream_that_is_gone_is_plain() -> None:
    stream = Gone()
    with Progress(10, stream) as progress:
        progress.advance(10)
    assert stream.getvalue().startswith("[########################] 10/10  100 %")


def test_a_second_sweep_begins_its_line_anew() -> None:
    stream = io.StringIO()
    follow = bar(stream)
    for share in (0.5, 1.0, 0.2, 1.0):
        follow(share, 3.0)
    shares = re.findall(r"(\d+) %", stream.getvalue())
    assert shares == ["50", "100", "20", "100"] and "about 3 s left" in stream.getvalue()


def test_of_many_gradients_and_runs_those_that_are_left_out_are_counted(tmp_path: Path) -> None:
    wide = replace(a_record(1), blocks=tuple({**a_record(1).blocks[0], "name": f"W{k}"} for k in range(70)))
    assert "  and 10 more gradients, in the report" in table(summarise(a_log(wide)))
    for _ in range(4):
        saved.save(summarise(a_log(a_record(1))), tmp_path)
    (tmp_path / "0003.jsonl").write_text("rubbish")
    listed = runs_table(saved.runs(tmp_path), shown=2).splitlines()
    assert listed[0] == "and 2 earlier runs"
    assert listed[2].startswith("    3 0003.jsonl is no saved run: it is not JSON")


def test_after_tests_the_worst_five_are_shown_and_the_others_counted() -> None:
    failing = [a_record(seed, wrong=True) for seed in range(8)]
    lines = said_after_tests(summarise(a_log(*failing)))
    assert sum(line.startswith("  DISAGREES  case") for line in lines) == 5
    assert lines[-1] == "  and 3 more cases, in the report"


def test_a_journal_that_holds_more_than_was_planned_is_called_wrong() -> None:
    text = table(summarise(a_log(a_record(1), a_record(2), planned=1)))
    assert "INCOMPLETE: recorded 2 of 1; more than planned, so the plan or the journal is wrong." in text


def test_reading_reports_needs_no_numpy() -> None:
    program = "import sys, bptt_check.report.files, bptt_check.report.terminal; assert 'numpy' not in sys.modules"
    root = str(Path(runlog.__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, check=True)
