"""Runs that are kept: found again as they were, never lost to another, never believed when they come from elsewhere."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from reporting import NASTY, a_journal, a_record, a_summary, a_sweep

from bptt_check.errors import ReportError, UsageError
from bptt_check.report import saved, writing
from bptt_check.report.changes import compare
from bptt_check.report.commit import commit_of
from bptt_check.report.json_report import json_report
from bptt_check.report.rows import rows_of
from bptt_check.results import Verdict

ROOT = Path(__file__).resolve().parents[1]
RECORDS = (a_record(1), a_record(2, wrong=True), a_record(3), a_sweep())
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    """The lines of a saved run."""
    folder = tmp_path_factory.mktemp("runs")
    return saved.save(a_summary(*RECORDS), folder, "main").read_bytes().splitlines(keepends=True)


# Saved and found again


def test_a_saved_run_comes_back_as_it_was(tmp_path):
    summary = a_summary(*RECORDS)
    path = saved.save(summary, tmp_path / "runs", "main", clock=lambda: NOON)
    run = saved.load(path)
    assert replace(run, path=None, number=0, name="", saved=None) == saved.of(summary)
    assert (run.number, run.name, run.saved, run.path) == (1, "main", NOON, path)
    assert run.rows == rows_of(summary.records)
    assert (run.verdict, run.cases, run.seeds) == (Verdict.DISAGREES, 3, (1, 2, 3))


def test_a_journal_is_saved_as_its_summary_would_be(tmp_path):
    journal = a_journal(tmp_path / "run.jsonl", *RECORDS)
    from_journal = saved.load(saved.save(journal, tmp_path / "a"))
    assert from_journal.rows == saved.load(journal).rows == rows_of(RECORDS)
    assert from_journal.environment["machine"]


def test_runs_are_numbered_listed_and_found(tmp_path):
    for name in ("main", None, "main", "other"):
        saved.save(a_summary(*RECORDS), tmp_path, name)
    assert [(run.number, run.name) for run in saved.runs(tmp_path)] == [(1, "main"), (2, ""), (3, "main"), (4, "other")]
    assert saved.find(tmp_path, "last").number == 4
    assert saved.find(tmp_path, "main").number == 3  # the last of that name
    assert saved.find(tmp_path, 2).number == saved.find(tmp_path, "2").number == 2
    assert all(run.rows is None for run in saved.runs(tmp_path))  # only heads are read


def test_what_is_not_there_is_told_with_what_is(tmp_path):
    with pytest.raises(ReportError, match="it holds none"):
        saved.find(tmp_path / "nowhere", "last")
    saved.save(a_summary(*RECORDS), tmp_path, "main")
    for which in ("mian", 7, "7", "9" * 5000, NASTY):
        with pytest.raises(ReportError, match="there are runs 1 to 1, and the names main") as caught:
            saved.find(tmp_path, which)
        assert str(caught.value).isprintable()
    with pytest.raises(ReportError, match="cannot read"):
        saved.runs(saved.find(tmp_path, "last").path)


def test_a_journal_a_report_and_a_saved_run_hold_the_same_rows(tmp_path):
    journal = a_journal(tmp_path / "run.jsonl", *RECORDS)
    report = tmp_path / "run.json"
    report.write_text(json_report(a_summary(*RECORDS)))
    kept = saved.save(journal, tmp_path / "runs")
    first, second, third = (saved.load(path) for path in (journal, report, kept))
    assert first.rows == second.rows == third.rows
    assert [run.verdict for run in (first, second, third)] == [Verdict.DISAGREES] * 3


def test_the_same_findings_make_the_same_file_whatever_the_order(tmp_path):
    here, there = (
        saved.save(a_summary(*records), tmp_path / str(k), clock=lambda: NOON)
        for k, records in enumerate([RECORDS, RECORDS[::-1]])
    )
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.parametrize("name", ["", "last", "7", "a/b", "../x", "-x", ".x", "x" * 65, NASTY, "ä", "a\n", "a\0"])
def test_a_name_that_could_be_mistaken_or_do_harm_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match="a run cannot be named"):
        saved.save(a_summary(*RECORDS), tmp_path / "runs", name)
    assert not (tmp_path / "runs").exists()


# What is kept


def saved_at(folder, *times, keep=None):
    for time in times:
        saved.save(a_summary(RECORDS[0]), folder, keep=keep, clock=lambda time=time: time)
    return [run.number for run in saved.runs(folder)]


def test_a_number_keeps_so_many(tmp_path):
    assert saved_at(tmp_path, *[NOON] * 5) == [1, 2, 3, 4, 5]
    assert saved_at(tmp_path, NOON, keep=3) == [4, 5, 6]
    assert saved_at(tmp_path, NOON, keep=1) == [7]
    with pytest.raises(UsageError, match="at least 1"):
        saved_at(tmp_path, NOON, keep=0)


def test_an_age_removes_what_is_older(tmp_path):
    days = [NOON + timedelta(days=day) for day in (0, 1, 20, 21)]
    assert saved_at(tmp_path, *days) == [1, 2, 3, 4]
    assert saved_at(tmp_path, NOON + timedelta(days=22), keep=timedelta(days=10)) == [3, 4, 5]


def test_after_a_long_pause_there_is_still_something_to_compare_with(tmp_path):
    saved_at(tmp_path, NOON, NOON)
    assert saved_at(tmp_path, NOON + timedelta(days=999), keep=timedelta(days=10)) == [1, 2, 3]
    assert saved_at(tmp_path, NOON + timedelta(days=999), keep=timedelta(hours=1)) == [3, 4]


def test_a_clock_that_jumps_removes_nothing(tmp_path):
    saved_at(tmp_path, *[NOON] * 3)
    keep = timedelta(days=10)
    assert saved_at(tmp_path, NOON + timedelta(days=40_000), keep=keep) == [1, 2, 3, 4]  # far ahead for a moment
    assert saved_at(tmp_path, NOON + timedelta(minutes=1), keep=keep) == [1, 2, 3, 4, 5]
    assert saved_at(tmp_path, NOON - timedelta(days=20_000), keep=keep) == [1, 2, 3, 4, 5, 6]  # far behind


def test_how_long_to_keep_is_a_number_or_an_age():
    assert saved.parse_keep("20") == 20
    assert saved.parse_keep("30d") == timedelta(days=30)
    assert saved.parse_keep("12h") == timedelta(hours=12)
    for text in ("", "0", "-1", "1.5", "3w", "d", "9" * 50, NASTY):
        with pytest.raises(UsageError, match="neither how many runs"):
            saved.parse_keep(text)


# Two at once, and no room


def test_two_that_save_at_once_both_keep_their_run(tmp_path):
    def keep(name):
        for _ in range(10):
            saved.save(a_summary(RECORDS[0]), tmp_path, name)

    threads = [threading.Thread(target=keep, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    kept = saved.runs(tmp_path)
    assert [run.number for run in kept] == list(range(1, 31))
    assert sorted(run.name for run in kept) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    assert not list(tmp_path.glob(".*"))


def test_a_file_system_without_links_keeps_runs_as_well(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    assert saved_at(tmp_path, NOON, NOON) == [1, 2]
    assert saved.load(saved.find(tmp_path, "last")).rows


def test_a_full_disk_leaves_what_was_there_and_no_part(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    saved_at(tmp_path, NOON)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="no space is left"):
        saved_at(tmp_path, NOON, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["0001.jsonl"]


def test_a_place_that_cannot_be_is_told_before_and_after(tmp_path):
    (tmp_path / "file").write_text("")
    for place in ("file", "file/runs", "nul\0"):
        for attempt in (saved.check_place, lambda folder: saved.save(a_summary(*RECORDS), folder)):
            with pytest.raises(ReportError, match="cannot write"):
                attempt(tmp_path / place)
    saved.check_place(tmp_path / "new" / "runs", "main")
    assert list((tmp_path / "new" / "runs").iterdir()) == []


def test_an_earlier_run_that_cannot_be_removed_loses_nothing(tmp_path, monkeypatch):
    unlink = Path.unlink

    def refuse(self, missing_ok=False):
        if self.suffix == ".jsonl":
            raise PermissionError(13, "Permission denied")
        unlink(self)

    saved_at(tmp_path, NOON, NOON)
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ReportError, match=r"the run is kept as .*0003\.jsonl, but .* cannot be removed"):
        saved_at(tmp_path, NOON, keep=1)
    assert [run.number for run in saved.runs(tmp_path)] == [1, 2, 3]


# Files that anyone may have written


def hostile(lines):
    head, case, *_, end = lines
    yield "empty", b"", "it is empty"
    yield "truncated in a line", b"".join(lines)[:-40], "line 5: it is not JSON|cut off"
    yield "truncated after a line", head + case, "it was cut off"
    yield "only a head", head, "it was cut off"
    yield "newer", head.replace(b'"schema":2', b'"schema":3'), "update bptt-check"
    yield "without a schema", head.replace(b'"schema":2', b'"schema":null'), "does not say its schema"
    yield "1e400", head.replace(b'"cases":3', b'"cases":1e400'), "beyond the range"
    yield "NaN", head.replace(b'"cases":3', b'"cases":NaN'), "NaN is not JSON"
    yield "a key twice", head.replace(b'"cases":3', b'"cases":3,"cases":4'), "'cases' is given twice"
    yield "deep", b'{"kind":' + b"[" * 100_000, "nested more than 100 deep"
    yield "deep in a case", head + b'{"case":' + b"[" * 100_000 + b"\n", "nested more than 100 deep"
    yield "deep report", b"{\n" + b'"records":' + b"[" * 100_000, "nested more than 100 deep"
    yield "pickle", pickle.dumps({"kind": "saved"}), "not text in UTF-8"
    yield "another kind", b'{"kind":"nothing we know","schema":2}\n', "kind is 'nothing we know'"
    yield "a list", b"[1]\n", "not a JSON object"
    yield "a long line", b" " * 2**20 + b"  ", "longer than 1048576 bytes"
    yield "a long second line", head + b" " * 2**20 + b"  ", "longer than 1048576 bytes"
    yield "an unknown field", head.replace(b'"cases":3', b'"cases":3,"more":1'), "no field 'more'"
    yield "a verdict that is none", head.replace(b'"DISAGREES"', b'"FINE"'), "'verdict' cannot be 'FINE'"
    yield "a time that is none", head.replace(b'"saved":"', b'"saved":"noon, '), "is no time"
    yield "a case twice", head + case + case + end.replace(b"3", b"2"), "or one is there twice"
    yield "more after the end", b"".join(lines) + case, "goes on after its end"
    yield "an end that counts others", head + case + end, "counts other cases"
    yield "blocks that are none", head + b'{"case":"c","whole":["AGREES",1,0,0,0],"blocks":[["W"]]}\n' + end, "'blocks'"
    yield "JSON of another kind", b'{\n"kind": "invoice"}', "JSON of another kind"


def test_a_hostile_file_is_refused_in_one_clean_message(tmp_path, lines):
    path = tmp_path / "0001.jsonl"
    for name, content, message in hostile(lines):
        path.write_bytes(content)
        with pytest.raises(ReportError, match=message) as caught:
            saved.load(path)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400, name
        (listed,) = saved.runs(tmp_path)
        assert listed.number == 1, name  # it is in the list all the same


def test_a_run_that_was_never_saved_cannot_be_read_back(lines):
    with pytest.raises(ReportError, match="never saved"):
        saved.load(replace(saved.of(a_summary(a_record(1))), rows=None))


def test_a_damaged_file_does_not_hide_the_others(tmp_path):
    saved_at(tmp_path, NOON, NOON)
    (tmp_path / "0003.jsonl").write_bytes(b"")
    (tmp_path / "0004.jsonl").mkdir()
    (tmp_path / "notes.txt").write_text("mine")
    listed = saved.runs(tmp_path)
    assert [(run.number, bool(run.problem)) for run in listed] == [(1, False), (2, False), (3, True), (4, True)]
    with pytest.raises(ReportError, match="not a regular file"):
        saved.find(tmp_path, "last")
    assert saved.find(tmp_path, 2).number == 2
    assert saved_at(tmp_path, NOON)[-1] == 5
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFO")
@pytest.mark.timeout(20)
def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "0001.jsonl")
    with pytest.raises(ReportError, match="not a regular file"):
        saved.load(tmp_path / "0001.jsonl")
    assert saved.runs(tmp_path)[0].problem


def test_a_file_of_two_gigabytes_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "0001.jsonl"
    with path.open("wb") as stream:
        stream.truncate(2 * 2**30)  # a hole: it takes no room
    with pytest.raises(ReportError, match="has 2147483648 bytes; at most"):
        saved.load(path)
    for place in (tmp_path, "/dev/zero", tmp_path / "none", "nul\0"):
        with pytest.raises(ReportError, match=r"not a regular file|cannot read"):
            saved.load(place)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**19), 10**19) | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["nan", "inf", "AGREES", "", "<b>", "\x1b[1m", "\ud800"]) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_saved_run_holds_it_is_read_or_refused(tmp_path, lines, data):
    rows = [json.loads(line) for line in lines]
    for _ in range(data.draw(st.integers(1, 2))):
        place = data.draw(st.sampled_from(rows))
        while True:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
                break
            place = place[key]
        place[key] = data.draw(json_values)
    path = tmp_path / "0001.jsonl"
    path.write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    read_or_refused(path)


@given(content=st.binary(max_size=300) | st.binary(max_size=40).map(lambda tail: b'{"kind":"saved","schema":2,' + tail))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_bytes_there_are_they_are_refused(tmp_path, content):
    path = tmp_path / "0001.jsonl"
    path.write_bytes(content)
    read_or_refused(path)


def read_or_refused(path):
    try:
        run = saved.load(path)
    except ReportError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    assert compare(run, run).counts["worse"] == 0
    assert run.label.isprintable()
    assert [each.number for each in saved.runs(path.parent)] == [1]


def test_writing_new_files_never_replaces_one(tmp_path):
    (tmp_path / "a").write_text("mine")
    assert writing.write_new([tmp_path / "a", tmp_path / "b"], "text") == tmp_path / "b"
    assert (tmp_path / "a").read_text() == "mine"
    with pytest.raises(FileExistsError):
        writing.write_new([tmp_path / "a"], "text")


# The commit


def git(folder, *arguments):
    identity = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a"}
    environment = {**os.environ, **identity, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    return subprocess.run(
        ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True, env=environment
    ).stdout.strip()


def test_the_commit_is_the_one_that_git_says(tmp_path):
    if not any((Path(place) / "git").exists() for place in os.get_exec_path()):
        pytest.skip("git is not installed")
    copy, linked = tmp_path / "copy", tmp_path / "linked"
    copy.mkdir()
    assert commit_of(copy) == ""
    git(copy, "init", "-q")
    assert commit_of(copy) == ""
    git(copy, "commit", "-q", "--allow-empty", "-m", "first")
    first = git(copy, "rev-parse", "HEAD")
    (copy / "deep" / "er").mkdir(parents=True)
    assert commit_of(copy) == commit_of(copy / "deep" / "er") == first
    git(copy, "worktree", "add", "-q", "-b", "other", linked)
    git(linked, "commit", "-q", "--allow-empty", "-m", "second")
    assert commit_of(linked) == git(linked, "rev-parse", "HEAD") != first
    git(copy, "pack-refs", "--all")
    assert commit_of(copy) == first
    git(copy, "checkout", "-q", "--detach")
    assert commit_of(copy) == first


@pytest.mark.parametrize(
    "head", [b"", b"ref: ../../secret", b"ref: refs/../../secret", b"\xff\xfe", b"ref: refs/heads/no", b"0" * 39]
)
def test_a_repository_that_is_none_has_no_commit(tmp_path, head):
    (tmp_path / "secret").write_text("0" * 40)
    (tmp_path / "copy" / ".git").mkdir(parents=True)
    (tmp_path / "copy" / ".git" / "HEAD").write_bytes(head)
    assert commit_of(tmp_path / "copy") == ""


def test_reading_saved_runs_needs_no_numpy():
    program = "import sys, bptt_check.report.saved, bptt_check.report.changes; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
