"""The pytest plugin: what a run of tests records is in its reports, also where several processes took part."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bptt_check.report.journal import read_journal

ROOT = Path(__file__).parent.parent
CHECKS = """
import os, subprocess, sys
import numpy as np
import pytest
from bptt_check import Subject, check

def recorded(record, name):
    w = {"w": np.array([1.0, 2.0])}
    record(check(Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, w, name=name)))

@pytest.mark.parametrize("k", range(6))
def test_squares(record, k):
    recorded(record, f"square {k}")
"""
A_RUN_INSIDE = """
def test_one_that_runs_pytest_in_the_same_place(record):
    recorded(record, "before")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "bptt_check.plugin", "--collect-only"]
    assert subprocess.run(command, capture_output=True).returncode == 0
    recorded(record, "after")
"""
A_KILL = """
def test_one_that_kills_its_worker(record):
    recorded(record, "before")
    os._exit(7)
"""


@pytest.fixture
def run(tmp_path):
    """Run pytest with the plugin on some tests; returns its exit code, its output, and the journal that it left."""

    def ran(source, *options):
        (tmp_path / "test_checks.py").write_text(source, encoding="utf-8")
        (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
        environment["PYTHONPATH"] = str(ROOT)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "bptt_check.plugin", *options]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        journal = tmp_path / "reports" / "properties.jsonl"
        return done.returncode, done.stdout + done.stderr, read_journal(journal) if journal.exists() else None

    return ran


@pytest.mark.parametrize("options", [("-p", "no:xdist"), ("-n", "2")], ids=["one process", "two workers"])
def test_all_that_is_recorded_is_in_the_reports_whatever_else_runs_there(run, tmp_path, options):
    if "-n" in options:
        pytest.importorskip("xdist")
    code, said, log = run(CHECKS + A_RUN_INSIDE, *options)
    assert code == 0, said
    assert log.complete
    assert sorted(record.name for record in log.records) == ["after", "before", *(f"square {k}" for k in range(6))]
    assert said.count("gradient reports: properties.json, properties.md, properties.html in") == 1
    left = sorted(path.name for path in (tmp_path / "reports").iterdir())
    assert left == ["properties.html", "properties.json", "properties.jsonl", "properties.md"]


def test_a_run_that_lost_a_worker_is_not_complete(run):
    pytest.importorskip("xdist")
    code, said, log = run(CHECKS + A_KILL, "-n", "2")
    assert code != 0, said
    assert "before" in {record.name for record in log.records}
    assert not log.complete


def test_a_run_that_records_nothing_leaves_nothing(run, tmp_path):
    code, said, log = run("def test_nothing():\n    assert True\n")
    assert (code, log) == (0, None), said
    assert "gradient reports" not in said
    assert not (tmp_path / "reports").exists()
