"""The journal: nothing recorded is lost, however a run ends, and nothing foreign is believed."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reporting import (
    a_journal,
    a_record,
    a_sweep,
)

from bptt_check.errors import ReportError
from bptt_check.report.files import render, write_atomically
from bptt_check.report.journal import Journal, environment, read_journal
from bptt_check.report.record import record_of
from bptt_check.report.summary import summarise
from bptt_check.results import Block, Result, Verdict

# Writing


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    records = (a_record(1), a_record(2, wrong=True), a_sweep())
    log = read_journal(a_journal(tmp_path / "run.jsonl", *records, planned=3))
    assert [record.as_json() for record in log.records] == [record.as_json() for record in records]
    assert log.complete
    assert (log.title, log.planned, log.problems) == ("a run", 3, ())
    assert log.environment == environment()


@given(
    name=st.text(max_size=50),
    error=st.none() | st.floats(),
    seconds=st.floats(),
    case=st.dictionaries(st.text(max_size=5), st.none() | st.integers(-(10**9), 10**9) | st.text(max_size=5)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_and_any_float_survive_the_journal(
    tmp_path: Path, name: str, error: float | None, seconds: float, case: dict[str, Any]
) -> None:
    block = Block("W", Verdict.AGREES, (2,), compared=2, max_relative_error=error, by_step=(error or 0.0,))
    record = record_of(Result(name, Verdict.AGREES, {"W": block}, seconds=seconds, case=case), name=name)
    log = read_journal(a_journal(tmp_path / "run.jsonl", record))
    assert log.records[0].as_json() == record.as_json()


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1), a_record(2), planned=2)
    whole = path.read_bytes()
    second = whole.splitlines(keepends=True)[1]
    first = whole.index(second) + len(second)
    for cut in (*range(first, len(whole) - 60, 97), *range(len(whole) - 60, len(whole))):
        path.write_bytes(whole[:cut])
        log = read_journal(path)
        ended = cut == len(whole) - 1  # the end line is all there but for its line break
        assert log.complete is ended
        assert len(log.records) in (1, 2)
        assert summarise(log).verdict is (Verdict.AGREES if ended else Verdict.INCONCLUSIVE)


def test_a_killed_run_reads_as_incomplete_and_keeps_what_it_had(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, sys, signal
        from bptt_check.report.journal import Journal
        from bptt_check.report.record import Record
        with Journal(sys.argv[1], title="killed", planned=300) as journal:
            for number in range(12):
                journal.write(Record(name=f"case {number}", verdict="AGREES"))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    root = Path(__file__).resolve().parents[1]
    path = tmp_path / "run.jsonl"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    log = read_journal(path)
    assert len(log.records) == 12
    assert not log.complete
    for text in (p.read_text(encoding="utf-8") for p in render(path, ("md", "html"))):
        assert "INCOMPLETE: recorded 12 of 300" in text
        assert "288 are missing" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_left_by_an_exception_has_no_end(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "run.jsonl"
    with pytest.raises(error), Journal(path, title="stopped") as journal:  # noqa: PT012
        journal.write(a_record(1))
        raise error
    log = read_journal(path)
    assert not log.ended
    assert len(log.records) == 1


def test_an_earlier_journal_is_kept_under_another_name(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    a_journal(path, a_record(2))
    assert [record.name for record in read_journal(path).records] == ["case 2"]
    assert [record.name for record in read_journal(tmp_path / "run.previous.jsonl").records] == ["case 1"]


def test_two_runs_with_one_name_are_told_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = Journal(path, title="first")
    first.write(a_record(1))
    a_journal(path, a_record(2))
    with pytest.raises(ReportError, match="another run has begun"):
        first.write(a_record(3))
    assert [record.name for record in read_journal(tmp_path / "run.previous.jsonl").records] == ["case 1"]
    assert read_journal(path).complete


class FullDisk(io.RawIOBase):
    """A stream on a disk that fills up in the middle of a line."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.left = stream, 100

    def write(self, data: Any) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self.stream.write(data[: self.left])
        self.left -= written
        return written

    def fileno(self) -> int:
        number: int = self.stream.fileno()
        return number

    def close(self) -> None:
        self.stream.close()
        super().close()


def test_a_disk_that_fills_up_is_told_in_one_sentence_and_the_journal_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = Journal(path, title="full", planned=3)
    journal.write(a_record(1))
    journal._stream = FullDisk(journal._stream)  # type: ignore[assignment]
    with pytest.raises(ReportError, match="no space is left on the device; free some"):
        journal.write(a_record(2))
    with pytest.raises(ReportError, match="has failed before"):
        journal.write(a_record(3))
    log = read_journal(path)
    assert [record.name for record in log.records] == ["case 1"]
    assert not log.complete
    assert "torn" in log.problems[0]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_full_device_is_refused_at_opening(tmp_path: Path) -> None:
    link = tmp_path / "run.jsonl"
    link.symlink_to("/dev/full")
    with pytest.raises(ReportError, match="no space is left"):
        Journal(link, title="full")
    with pytest.raises(ReportError, match="not a file"):
        write_atomically(link, "text")
    assert Path("/dev/full").is_char_device()


def test_a_place_that_cannot_be_written_is_refused_at_opening(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for place in ("file/run.jsonl", "folder", "x" * 300 + ".jsonl", "nul\0.jsonl"):
        with pytest.raises(ReportError, match="cannot write") as caught:
            Journal(tmp_path / place, title="nowhere")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_refused_at_opening(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReportError, match="permission denied; choose a folder"):
        Journal(tmp_path / "run.jsonl", title="read-only")
    with pytest.raises(ReportError, match="permission denied; choose a folder"):
        write_atomically(tmp_path / "run.md", "text")
    tmp_path.chmod(0o700)


def test_a_read_only_file_system_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ReportError, match="read-only; choose a folder that you may write to"):
        Journal(tmp_path / "run.jsonl", title="read-only")
    with pytest.raises(ReportError, match="read-only; choose a folder that you may write to"):
        write_atomically(tmp_path / "run.md", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_vanishes_is_noticed_at_the_next_case(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run.jsonl"
    journal = Journal(path, title="vanishing")
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(ReportError, match="the folder is not there"):
        journal.write(a_record(1))


def test_a_record_too_long_for_a_line_is_shortened_and_says_so(tmp_path: Path) -> None:
    long = Block("h(t)", Verdict.AGREES, (10**5,), compared=1, by_step=(1 / 3,) * 10**5)
    record = record_of(Result("long", Verdict.AGREES, {"h(t)": long}))
    kept = read_journal(a_journal(tmp_path / "run.jsonl", record)).records[0]
    assert kept.blocks[0]["by_step"] is None
    assert kept.findings[-1]["kind"] == "record-shortened"


def test_a_record_of_too_many_blocks_is_refused_and_the_journal_goes_on(tmp_path: Path) -> None:
    block = a_record(1).blocks[0]
    wide = replace(a_record(1), blocks=tuple({**block, "name": f"W{k}"} for k in range(10**4)))
    with Journal(tmp_path / "run.jsonl", title="wide") as journal:
        with pytest.raises(ReportError, match="compare fewer blocks in one case"):
            journal.write(wide)
        journal.write(a_record(2))
    assert [record.name for record in read_journal(tmp_path / "run.jsonl").records] == ["case 2"]


def test_a_device_that_loses_the_end_of_a_journal_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    journal = Journal(tmp_path / "run.jsonl", title="losing")
    journal.write(a_record(1))
    monkeypatch.setattr(os, "fsync", lose)
    with pytest.raises(ReportError, match="the device failed; choose a folder on another device"):
        journal.close()
    journal.close()  # a second time changes nothing


# Reading what anyone may have written

HEADER = b'{"schema":1,"kind":"header","title":"t","planned":null,"environment":{},"started":""}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x80\x04\x95\x0c\x00\x00\x00pickle", "not text in UTF-8"),
        (b"[1]\n", "not a JSON object"),
        (b'{"schema":3,"kind":"header"}\n', "update bptt-check"),
        (b'{"schema":0,"kind":"header"}\n', "its schema is 0"),
        (b'{"schema":true,"kind":"header"}\n', "does not say its schema"),
        (b'{"kind":"header"}\n', "does not say its schema"),
        (HEADER.replace(b"null", b"-1"), "'planned' cannot be"),
        (HEADER.replace(b"null", b"1e400"), "beyond the range"),
        (HEADER.replace(b"null", b"9" * 5000), "more than 20 digits"),
        (HEADER.replace(b"null", b"NaN"), "NaN is not JSON"),
        (HEADER.replace(b"null", b"[" * 100_000), "nested more than 100 deep"),
        (HEADER.replace(b'"t"', b'"t","title":"u"'), "'title' is given twice"),
        (HEADER + b"not json\n", "line 2: it is not JSON"),
        (HEADER + b'{"schema":1,"kind":"case"}\n', "line 2: field 'name' is missing"),
        (HEADER + b'{"schema":1,"kind":"end","recorded":0}\n{}\n', "goes on after its end"),
        (HEADER + b" " * 2**20 + b"\n", "longer than 1048576 bytes"),
    ],
)
def test_hostile_journals_are_refused_with_one_clean_message(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(content)
    with pytest.raises(ReportError, match=message) as caught:
        read_journal(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_journal_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    with pytest.raises(ReportError, match="at most 10 are read"):
        read_journal(path, size_limit=10)
    for place in (tmp_path, tmp_path / "none.jsonl", "nul\0"):
        with pytest.raises(ReportError, match=r"cannot read|not a regular file"):
            read_journal(place)


def test_an_end_that_counts_more_than_there_is_makes_the_run_incomplete(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1), a_record(2))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], lines[3]]))
    log = read_journal(path)
    assert not log.complete
    assert log.problems == ("The run says that it wrote 2 records; 1 are there.",)
