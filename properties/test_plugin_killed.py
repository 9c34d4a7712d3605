"""Runs that do not come to a good end: killed, interrupted, out of space. Nothing is lost, and none reads as passed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inner_runs import either_way, forks, needs, run, until
from reporting import a_journal, a_record

from bptt_check.errors import ReportError
from bptt_check.report.journal import read_journal
from bptt_check.report.left import journal_of, read_run
from bptt_check.report.parts import Part, put_in_place
from bptt_check.testing.gathering import Gathering

pytest_plugins = ["pytester"]
__all__ = ["forks", "run"]

FEW = """
@pytest.mark.parametrize("k", range(4))
def test_few(gradient_record, k):
    gradient_record(result(f"case {k}"))
"""
WAITS = """
def test_waits(gradient_record):
    gradient_record(result("before"))
    pathlib.Path("waiting").write_text(str(os.getpid()))
    while True:
        time.sleep(0.01)
"""
DIES = """
def test_dies(gradient_record):
    gradient_record(result("before"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def lost(report):
    return {row["test"]: row["why"] for row in report["tests"]["unfinished"]}


def names(log):
    return sorted(record.name for record in log.records if record.kind == "case")


@needs("xdist")
def test_a_killed_worker_loses_nothing_and_its_test_is_named(run):
    ran = run(FEW + DIES, "-n", "2")
    assert ran.code == 1, ran.said
    assert names(ran.journal()) == ["before", *(f"case {k}" for k in range(4))]
    assert lost(ran.report()) == {"test_inner.py::test_dies": "did not come to its end"}
    assert (ran.report()["verdict"], ran.report()["complete"]) == ("INCONCLUSIVE", False)
    assert "INCOMPLETE: 1 of 5 tests is not accounted for: test_inner.py::test_dies did not come to its end" in ran.said
    assert ran.left() == ["gradients.html", "gradients.json", "gradients.jsonl", "gradients.md"]


@needs("xdist")
def test_a_killed_worker_is_noticed_where_its_failure_is_not_counted(run):
    source = FEW + DIES.replace("def test_dies", "@pytest.mark.xfail(reason='dies')\ndef test_dies")
    (run.folder / "conftest.py").write_text(
        """
import pytest

@pytest.hookimpl(wrapper=True, trylast=True)
def pytest_sessionfinish(session):
    session.exitstatus = 0  # as if nothing had been said of it
    return (yield)
""",
        encoding="utf-8",
    )
    ran = run(source, "-n", "2")
    assert lost(ran.report()) == {"test_inner.py::test_dies": "did not come to its end"}
    assert ran.code == 1, ran.said


@either_way
def test_a_killed_run_leaves_a_journal_that_can_be_rendered(run, processes):
    run.write(FEW + WAITS)
    process = run.begin(*processes)
    until((run.folder / "waiting").exists)
    two = "-n" in processes
    if two:
        until(lambda: b"case 3" in b"".join(p.read_bytes() for p in run.folder.glob("reports/*/*.jsonl")))
    os.kill(process.pid, signal.SIGKILL)
    ran = run.end(process)
    assert ran.code == -signal.SIGKILL
    (folder,) = (run.folder / "reports").iterdir()
    assert folder.name.startswith("gradients.running-")
    found = {name for path in folder.iterdir() for name in names(read_journal(path))}
    assert found == {"before", *(f"case {k}" for k in range(4))}
    journal = folder / "run.jsonl"
    with journal.open("ab") as stream:
        stream.write(b'{"schema":2,"kind":"case","na')  # torn while it was being written
    for place in (journal, folder):
        command = [sys.executable, "-m", "bptt_check", "report", str(place)]
        said = subprocess.run(command, capture_output=True, text=True, cwd=run.folder, env=run.environment)
        assert said.returncode == 3, said.stdout + said.stderr
        assert "INCOMPLETE" in said.stdout and "test_inner.py::test_waits did not come to its end" in said.stdout
        assert "torn" in journal.with_suffix(".md").read_text(encoding="utf-8")
        report = json.loads(journal.with_suffix(".json").read_text(encoding="utf-8"))
        assert sorted(row["name"] for row in report["records"] if row["kind"] == "case") == sorted(found)
        assert lost(report) == {"test_inner.py::test_waits": "did not come to its end"}


@needs("xdist")
def test_a_run_killed_with_its_workers_is_put_together_from_what_each_had_written(run):
    run.write(FEW + DIES.replace("os.getpid()", "os.getppid()") + "    while True: time.sleep(0.01)\n")
    process = run.begin("-n", "2", "--dist=each")
    process.wait(timeout=120)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    run.end(process)
    (folder,) = (run.folder / "reports").iterdir()
    parts = [read_journal(path) for path in sorted(folder.glob("gw*.jsonl"))]
    assert parts
    if (folder / "run.jsonl").exists():
        (folder / "run.jsonl").write_bytes(b"")  # it was killed before its first line was there
    with (folder / "gw0.jsonl").open("ab") as stream:
        stream.write(b'{"kind":"ca')
    (folder / "gw7.jsonl").write_bytes(b"")
    log = read_run(journal_of(folder))
    assert names(log) == sorted(name for part in parts for name in names(part))
    assert not log.complete
    (first, *others) = log.problems
    assert "killed" in first and "torn" in " ".join(others) and "gw7.jsonl" in " ".join(others)


def test_what_was_copied_from_a_part_that_is_gone_is_kept(tmp_path):
    folder = tmp_path / "gradients.running-0"
    folder.mkdir()
    for name, cases in (("run", (1, 2)), ("gw0", (2, 3))):
        journal = a_journal(folder / f"{name}.jsonl", *map(a_record, cases))
        journal.write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))  # without its end
    assert names(read_run(folder / "run.jsonl")) == ["case 1", "case 2", "case 3"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return a_journal(tmp_path_factory.mktemp("whole") / "run.jsonl", a_record(1), a_record(2)).read_bytes()


@given(data=st.data())
def test_whatever_a_killed_run_has_left_it_is_read_or_refused(whole, data):
    torn = st.integers(0, len(whole)).map(lambda size: whole[:size])
    names = st.sampled_from(["run.jsonl", "gw0.jsonl", "gw1.jsonl"])
    left = data.draw(st.dictionaries(names, torn | st.binary(max_size=40), min_size=1))
    with tempfile.TemporaryDirectory(prefix="gradients.running-") as folder:
        for name, content in left.items():
            (Path(folder) / name).write_bytes(content)
        try:
            log = read_run(journal_of(folder))
        except ReportError:
            return
    assert log.ended == (left.get("run.jsonl") == whole)
    assert all(record.name in ("case 1", "case 2") for record in log.records)
    most = max(content.count(b'"kind":"case"') for content in left.values())
    assert len(log.records) >= most - 1  # of each file a torn line is left out


def test_what_a_worker_writes_is_taken_line_by_line_and_nothing_else(tmp_path):
    part = Part(tmp_path / "gw0.jsonl")
    assert part.new() == [], "it has not begun"
    whole = a_journal(tmp_path / "whole.jsonl", a_record(1), a_record(2)).read_bytes().splitlines(keepends=True)
    part.path.write_bytes(b"".join(whole[:2]) + whole[2][:20])
    assert [record.name for record in part.new()] == ["case 1"]
    part.path.write_bytes(b"".join(whole))
    assert [record.name for record in part.new()] == ["case 2"]
    part.path.write_bytes(b"".join(whole) + b"rubbish\n")
    with pytest.raises(ReportError, match="is not a part of a journal: it is not JSON"):
        part.new()
    with pytest.raises(ReportError, match="cannot read"):
        Part(tmp_path).new()


def test_a_journal_that_cannot_be_given_its_name_stays_where_it_is(tmp_path):
    journal = a_journal(tmp_path / "run.jsonl", a_record(1))
    (tmp_path / "gradients.jsonl").mkdir()
    (tmp_path / "gradients.previous.jsonl").write_text("earlier")
    with pytest.raises(ReportError, match="cannot write"):
        put_in_place(journal, tmp_path / "gradients.jsonl")
    assert read_journal(journal).ended


def test_a_folder_stands_for_the_one_run_that_has_left_something_in_it(tmp_path):
    a_journal(tmp_path / "reports" / "gradients.jsonl", a_record(1))
    a_journal(tmp_path / "reports" / "gradients.previous.jsonl", a_record(1))
    assert journal_of(tmp_path / "reports") == tmp_path / "reports" / "gradients.jsonl"
    a_journal(tmp_path / "killed" / "gradients.running-ab12" / "run.jsonl", a_record(1))
    assert journal_of(tmp_path / "killed") == tmp_path / "killed" / "gradients.running-ab12" / "run.jsonl"


@pytest.mark.parametrize(
    ("inside", "said"),
    [
        ((), "the .jsonl file"),
        (("gradients.running-ab12",), "gradients.running-ab12; give the .jsonl file"),
        (("gradients.running-ab12", "one.jsonl"), "holds what 2 runs have left"),
        (("gradients.running-ab12", "one.jsonl"), "gradients.running-ab12"),
        ([f"{k}.jsonl" for k in range(9)], "4.jsonl, …"),
    ],
)
def test_a_folder_without_a_run_or_with_several_is_told_with_those_that_there_are(tmp_path, inside, said):
    for name in inside:
        (tmp_path / name).mkdir()
    with pytest.raises(ReportError, match=re.escape(said)):
        journal_of(tmp_path)


@either_way
def test_ctrl_c_keeps_what_was_found_and_does_not_read_as_passed(run, processes):
    run.write(FEW + WAITS)
    process = run.begin(*processes)
    until((run.folder / "waiting").exists)
    if "-n" in processes:
        until(lambda: b"case 3" in b"".join(p.read_bytes() for p in run.folder.glob("reports/*/gw*.jsonl")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all processes
    ran = run.end(process)
    assert ran.code == 2, ran.said
    assert set(names(ran.journal())) == {"before", *(f"case {k}" for k in range(4))}
    report = ran.report()
    assert not report["complete"] and not report["ended"] and report["verdict"] == "INCONCLUSIVE"
    assert "INCOMPLETE" in ran.said
    assert [name for name in ran.left() if "running" in name] == []


def test_ctrl_c_while_results_are_gathered_loses_none(tmp_path, monkeypatch, request):
    gathering = Gathering(request.config, tmp_path)
    a_journal(tmp_path / "gw0.jsonl", a_record(1), a_record(2))
    records = Part.new

    def interrupted(part):
        found = records(part)
        os.kill(os.getpid(), signal.SIGINT)
        return found

    monkeypatch.setattr(Part, "new", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            gathering.gather("gw0")
    finally:
        signal.signal(signal.SIGINT, before)
    gathering._journal.abandon()
    assert names(read_journal(tmp_path / "run.jsonl")) == ["case 1", "case 2"]


@either_way
def test_a_run_that_stops_at_its_first_failure_names_what_did_not_run(run, processes):
    source = "def test_fails(gradient_record):\n    gradient_record(result('a', 0.5, wrong=True))\n    assert False\n"
    source += "\n".join(f"def test_later_{k}(gradient_record):\n    gradient_record(result('b'))" for k in range(9))
    ran = run(source, "-x", *processes)
    assert ran.code in (1, 2), ran.said
    report = ran.report()
    assert report["verdict"] == "DISAGREES" and not report["complete"]
    if "-n" not in processes:
        assert len(report["tests"]["unfinished"]) == 9
        assert "9 of 10 tests are not accounted for" in ran.said and "; and 4 more." in ran.said


UNWRITABLE = {
    "below a file": "file/x.html",
    "in a place that takes no files": "/proc/x.html",
    "a folder": "folder.html",
    "no name that a file can have": "a" * 300 + ".html",
}


@either_way
@pytest.mark.parametrize("path", UNWRITABLE.values(), ids=UNWRITABLE)
def test_a_report_that_cannot_be_written_is_a_usage_error_before_the_first_test(run, processes, path):
    if path.startswith("/proc") and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    (run.folder / "file").touch()
    (run.folder / "folder.html").mkdir()
    ran = run("pathlib.Path('ran').touch()\n" + FEW, *processes, f"--gradient-report={path}")
    assert ran.code == 4, ran.said
    assert "cannot write" in ran.said and "Traceback" not in ran.said and "INTERNALERROR" not in ran.said
    assert not (run.folder / "ran").exists()


@either_way
@pytest.mark.parametrize("source", [FEW, "def test_it(): pass\n"], ids=["used", "not used"])
def test_a_default_place_that_cannot_be_written_matters_only_where_it_is_used(run, processes, source):
    (run.folder / "reports").touch()
    ran = run(source.replace("k):", "k):\n    pathlib.Path('ran').touch()"), *processes)
    assert ran.code == (4 if source == FEW else 0), ran.said
    assert not (run.folder / "ran").exists()
    if source == FEW:
        assert "a part of the path is a file" in ran.said and "Traceback" not in ran.said


@pytest.fixture
def tiny(tmp_path):
    """A file system of 64 KiB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system cannot be mounted here; see the test with a limit on the size of files")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


MANY = """
@pytest.mark.parametrize("k", range(40))
def test_many(gradient_record, k):
    gradient_record(result(f"case {k}", reason="r" * 2000))
"""


@either_way
def test_a_full_device_fails_the_run_once_and_no_test(run, processes, tiny):
    ran = run(MANY, *processes, f"--gradient-report={tiny / 'x.jsonl'}", f"--gradient-report={tiny / 'x.html'}")
    assert ran.code == 1, ran.said
    assert "40 passed" in ran.said
    assert "not all results could be kept" in ran.said and "no space is left on the device" in ran.said
    assert "INCOMPLETE" in ran.said and "Traceback" not in ran.said and "INTERNALERROR" not in ran.said


@either_way
def test_files_that_may_not_grow_fail_the_run_once_and_no_test(run, processes):
    pytest.importorskip("resource")
    (run.folder / "conftest.py").write_text(
        """
import resource
def pytest_collection_modifyitems():
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
""",
        encoding="utf-8",
    )
    for name in [name for name in run.environment if name.startswith("COVERAGE")]:
        del run.environment[name]  # its file may not grow either, and it says so with a traceback
    ran = run(MANY, *processes)
    assert ran.code == 1, ran.said
    assert "40 passed" in ran.said and "not all results could be kept" in ran.said
    assert "INCOMPLETE" in ran.said and "Traceback" not in ran.said and "INTERNALERROR" not in ran.said


def test_a_report_that_cannot_be_written_any_more_fails_the_run_and_the_others_are_written(run):
    source = "def test_it(gradient_record):\n    gradient_record(result())\n    pathlib.Path('x.md').mkdir()\n"
    ran = run(source, "--gradient-report=x.md", "--gradient-report=x.json")
    assert ran.code == 1, ran.said
    assert "cannot write" in ran.said and "Traceback" not in ran.said
    assert ran.report("x.json")["verdict"] == "AGREES"


@either_way
def test_a_journal_whose_name_is_taken_meanwhile_stays_where_it_is_and_is_reported(run, processes):
    taken = "\ndef test_taken(gradient_record):\n    pathlib.Path('reports/gradients.jsonl/x').mkdir(parents=True)\n"
    taken += "    pathlib.Path('reports/gradients.previous.jsonl').touch()\n    gradient_record(result('last'))\n"
    ran = run(FEW + taken, *processes)
    assert ran.code == 1 and "cannot write" in ran.said and "Traceback" not in ran.said, ran.said
    report = ran.report()
    assert report["complete"] and "last" in {record["name"] for record in report["records"]}
    (left,) = (run.folder / "reports").glob("gradients.running-*/run.jsonl")
    assert str(left.relative_to(run.folder)) in ran.said, "where it is now is said"


@either_way
def test_two_runs_at_once_in_one_place_leave_each_other_alone(run, processes):
    run.write(FEW.replace("gradient_record(", "time.sleep(0.3); gradient_record("))
    one, other = run.begin(*processes), run.begin(*processes)
    for ran in (run.end(one), run.end(other)):
        assert ran.code == 0, ran.said
        assert ran.journal().complete and len(names(ran.journal())) == 4
    assert [name for name in ran.left() if "running" in name] == []


def test_a_run_inside_a_test_leaves_the_run_around_it_alone(run):
    source = """
import subprocess, sys
def test_it(gradient_record):
    gradient_record(result("outer"))
    inner = "import test_inner as t\\ndef test_it(gradient_record):\\n    gradient_record(t.result('inner'))\\n"
    pathlib.Path("test_within.py").write_text(inner)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "bptt_check.plugin", "test_within.py"]
    assert subprocess.run(command).returncode == 0
    gradient_record(result("outer still"))
"""
    run.write(source)
    ran = run.end(run.begin("test_inner.py"))
    assert ran.code == 0, ran.said
    assert names(ran.journal()) == ["outer", "outer still"]


def test_a_clock_that_jumps_changes_nothing(run):
    source = """
@pytest.fixture(autouse=True)
def jumping(monkeypatch):
    times = iter([4e9, 0.0, 2e9] * 1000)
    monkeypatch.setattr(time, "time", lambda: next(times))

def test_it(gradient_check):
    gradient_check(subject())
"""
    for _ in range(2):
        ran = run(source, "--gradient-save=x", "--gradient-keep=30d", checked=True)
        assert ran.code == 0, ran.said
        assert ran.journal().complete
    assert ran.left("reports/runs") == ["0001.jsonl", "0002.jsonl"]
