"""Bad input and bad luck around reports: each time one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting import Balanced, a_journal, a_log, a_record, a_summary, a_sweep, all_texts, with_block

from bptt_check.cli import main
from bptt_check.errors import ReportError
from bptt_check.report import saved, writing
from bptt_check.report.beside import Beside
from bptt_check.report.changes import compare, said
from bptt_check.report.files import render
from bptt_check.report.html import html_report
from bptt_check.report.journal import Journal, RunLog, read_journal
from bptt_check.report.markdown import markdown_report
from bptt_check.report.record import Record
from bptt_check.report.summary import summarise
from bptt_check.report.terminal import runs_table, table

ROOT = Path(__file__).resolve().parents[1]
EVIL = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "quotes": "\"'`\\\"; rm -rf ~; '",
    "path": "../../../etc/passwd",
    "escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m\x90q\x1b\\",
    "controls": "".join(map(chr, range(32))) + "\x7f\x85\u2028\u2029\u202e\u2066\ufeff",
    "surrogates": "\udfff\ud800",
    "markdown": "| a | b |\n|---|---|\n```\n</details>\n[x](javascript:alert(1)) @user #1 https://example.org",
    "entities": "&lt;b&gt; &#60;script&#62; ]]> <!-- --> <![CDATA[",
    "long": "x" * 10_000,
    "long words": "a_b:c " * 2_000,
    "nothing": "",
    "blank": " \t\n ",
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def named(name):
    """A run in which everything that can have a name has this one, and an earlier run of it."""
    cause = dict.fromkeys(("fault", "explanation", "remedy", "equation", "why"), name)
    cause |= {"also": [name], "code": [name]}
    case = {"cell": name, "loss": name, name: name, "T": 2, "reproduce": name}
    finding = {"kind": name, "message": name, "detail": name, "fault": True}
    base = with_block(a_record(3, wrong=True), "W_fh", name=name or "W", note=name, equation=name)
    record = replace(
        base,
        name=name,
        method=name,
        reason=name,
        case=case,
        findings=(finding,),
        causes=(cause,),
        data={"reproduce": name, "test": name},
    )
    drawn = replace(record, case={"T": 2}, data={"test": "a test", "example": 1})
    ending = Record("a test, attempt 1", kind="ending", data={"test": "a test", "drawn": name})
    sweep = replace(a_sweep(), name=name, data={**a_sweep().data, "gradient": name, "curves": {name: [0.1] * 13}})
    records, environment = (record, drawn, ending, sweep), {name: name, "commit": name}
    return RunLog(name, 4, environment, name, records, ended=True, problems=(name,))


@pytest.mark.parametrize("kind", EVIL)
def test_a_name_is_shown_as_text_wherever_it_stands(kind):
    summary = summarise(named(EVIL[kind]))
    old = replace(saved.of(a_summary(a_record(3))), name=EVIL[kind], title=EVIL[kind], commit=EVIL[kind], number=3)
    more = Beside((old,), compare(old, saved.of(summary)))
    page, text = html_report(summary, more), markdown_report(summary, more)
    tags = [tag for tag, _ in Balanced(page).seen]
    assert tags.count("script") == 1 and "img" not in tags
    assert len(page) < 300_000 and len(text) < 100_000
    ours = re.sub(r"(?ms)^(````*)\n.*?^\1$|`[^`\n]*`|<code>[^<]*</code>", "", text)  # all that is not in a code span
    assert ours.count("<details>") == ours.count("</details>") == ours.count("<summary>")
    assert "alert" not in ours and "@" not in ours
    Tree.fromstring(all_texts(summary)["xml"])
    shown = [table(summary), said(more.changes), runs_table([old], shown=9)]
    assert all(line.isprintable() for each in shown for line in each.splitlines())
    assert max(len(line) for line in table(summary).splitlines()) <= 1002  # the line to reproduce it, which is not cut


@pytest.mark.parametrize("kind", EVIL)
def test_a_name_survives_the_journal_and_the_saved_run(tmp_path, kind):
    log = named(EVIL[kind])
    with Journal("run.jsonl", title=log.title) as journal:
        for record in log.records:
            journal.write(record)
    assert [record.as_json() for record in read_journal("run.jsonl").records] == [r.as_json() for r in log.records]
    assert saved.load(saved.save("run.jsonl", "runs")).rows == saved.of(summarise(log)).rows
    render("run.jsonl")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.html", "run.json", "run.jsonl", "run.md", "runs"]


# The command


def ran(capsys, *arguments):
    code = main(arguments)
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def in_no_order(path):
    return sorted(place.relative_to(path).as_posix() for place in path.rglob("*"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
@pytest.mark.timeout(30)
def test_a_fifo_is_no_journal_and_is_not_waited_for(capsys):
    os.mkfifo("run.jsonl")
    for arguments in (("report", "run.jsonl"), ("compare", "run.jsonl", "run.jsonl"), ("equations", "run.jsonl")):
        code, out, err = ran(capsys, *arguments)
        assert (code, out) == (2, "") and "not a regular file" in err


def test_a_report_that_cannot_be_written_leaves_the_one_that_was_there(capsys, tmp_path, monkeypatch):
    a_journal(Path("run.jsonl"), a_record(1))
    assert ran(capsys, "report", "run.jsonl")[0] == 0
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    for number, said_of_it in (
        (errno.ENOSPC, "no space is left"),
        (errno.EIO, "the device failed"),
        (errno.EDQUOT, "quota"),
    ):

        def fail(_, number=number):
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patch:
            patch.setattr(writing.os, "fsync", fail)
            for more in ((), ("-o", "run.html"), ("--save", "main")):
                code, _, err = ran(capsys, "report", "run.jsonl", "--reports", ".", *more)
                assert code == 2 and said_of_it in err
        assert {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert list(Path("runs").iterdir()) == []


def test_a_target_that_vanishes_is_told(capsys):
    folder = Path("gone")
    a_journal(folder / "run.jsonl", a_record(1))
    Path("kept").mkdir()
    assert ran(capsys, "report", "gone/run.jsonl", "-o", "kept/run.md")[0] == 0
    (folder / "run.jsonl").rename("run.jsonl")
    folder.rmdir()
    code, out, err = ran(capsys, "report", "gone/run.jsonl", "-o", "kept/run.md")
    assert (code, out) == (2, "") and "cannot read gone/run.jsonl: No such file" in err
    code, out, err = ran(capsys, "report", "run.jsonl", "-o", "gone/run.md")
    assert (code, out) == (2, "") and "the folder is not there" in err


def test_nothing_that_stands_in_the_way_is_replaced(capsys, tmp_path):
    a_journal(Path("run.jsonl"), a_record(1))
    Path("run.html").mkdir()
    Path("mine.txt").write_text("mine")
    Path("link.md").symlink_to("mine.txt")
    code, _, err = ran(capsys, "report", "run.jsonl")
    assert code == 2 and "something that is not a file has that name" in err
    assert ran(capsys, "report", "run.jsonl", "-o", "link.md")[0] == 0
    assert Path("link.md").is_symlink() and Path("mine.txt").read_text().startswith("# Gradient report")
    code, _, err = ran(capsys, "report", "run.jsonl", "-o", "mine.txt")
    assert code == 2 and "ends in none of" in err


@pytest.mark.parametrize(
    "content", [b"", b"\x80\x04pickle", b"[" * 100_000, b'{"schema":9,"kind":"header"}\n', b"{}\n"]
)
def test_a_journal_that_is_none_is_a_usage_error_in_one_line(capsys, tmp_path, content):
    Path("run.jsonl").write_bytes(content)
    for arguments in (
        ("report", "run.jsonl"),
        ("report", "run.jsonl", "-o", "r.html"),
        ("compare", "run.jsonl", "run.jsonl"),
    ):
        code, out, err = ran(capsys, *arguments)
        assert (code, out, err.count("\n")) == (2, "", 1)
    assert in_no_order(tmp_path) == ["run.jsonl"]


# Two at once


def test_a_page_that_is_read_while_others_write_it_is_always_whole():
    texts = [f"{letter * 50_000}\n" for letter in "ab"]
    writing.write_atomically("page.html", texts[0])
    stop = time.monotonic() + 0.5

    def write(text):
        while time.monotonic() < stop:
            writing.write_atomically("page.html", text)

    threads = [threading.Thread(target=write, args=(text,)) for text in texts]
    for thread in threads:
        thread.start()
    seen = set()
    while time.monotonic() < stop:
        seen.add(Path("page.html").read_text())
    for thread in threads:
        thread.join()
    assert seen <= set(texts)
    assert in_no_order(Path()) == ["page.html"]


@pytest.mark.timeout(120)
def test_two_commands_that_save_at_once_keep_both_runs():
    a_journal(Path("run.jsonl"), a_record(1))
    command = [sys.executable, "-m", "bptt_check", "report", "run.jsonl", "--reports", ".", "-o"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen([*command, f"{name}.md", "--save", name], env=environment, stdout=subprocess.DEVNULL)
        for name in ("a", "b", "c")
    ]
    assert [process.wait(timeout=100) for process in processes] == [0, 0, 0]
    assert sorted(run.name for run in saved.runs("runs")) == ["a", "b", "c"]
    assert [run.number for run in saved.runs("runs")] == [1, 2, 3]


# Clocks


@pytest.mark.parametrize("year", [1970, 2038, 9999])
def test_a_clock_that_is_wrong_changes_no_verdict(monkeypatch, year):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(year, 12, 31, 23, 59, 59, tzinfo=tz)

    monkeypatch.setattr("bptt_check.report.journal.datetime", Clock)
    monkeypatch.setattr("bptt_check.report.saved.datetime", Clock)
    journal = a_journal(Path("run.jsonl"), a_record(1), planned=1)
    assert read_journal(journal).complete
    path = saved.save(journal, "runs", keep=saved.parse_keep("1d"))
    assert saved.load(path).saved.year == year
    assert saved.runs("runs")[0].problem == ""
    render(journal)


@given(seconds=st.floats(), started=st.text(max_size=30))
def test_times_that_cannot_be_change_no_verdict(seconds, started):
    record = replace(a_record(1), seconds=float(seconds))
    log = replace(a_log(replace(record, seconds=record.as_json()["seconds"])), started=started)
    texts = all_texts(summarise(log))
    Tree.fromstring(texts["xml"])
    assert "AGREES" in texts["md"] and "INCOMPLETE" not in texts["md"]


def test_a_saved_run_of_another_time_zone_is_told_in_utc():
    path = saved.save(a_summary(a_record(1)), "runs", clock=lambda: datetime.fromisoformat("2026-03-01T01:30:00+05:30"))
    assert "2026-02-28 20:00 UTC" in saved.load(path).label
    path.write_text(path.read_text().replace("2026-02-28T20:00:00+00:00", "9999-12-31T23:59:59-12:00"))
    with pytest.raises(ReportError, match="is no time"):
        saved.load(path)
