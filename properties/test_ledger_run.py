"""The run that fills the ledger over many random cases: benchmarks/ledger_run.py, a few cases of it."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bptt_check import Subject
from bptt_check.differences import Central, ComplexStep
from bptt_check.differences.evaluate import partials
from bptt_check.differences.jointly import all_partials
from bptt_check.lstm.variants import VARIANTS

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "ledger_run.py"


@pytest.fixture(scope="module")
def ledger_run():
    spec = importlib.util.spec_from_file_location("ledger_run", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["ledger_run"] = module
    path = list(sys.path)
    spec.loader.exec_module(module)
    sys.path[:] = path
    yield module
    del sys.modules["ledger_run"]


def test_every_cell_and_loss_is_drawn_and_a_longer_run_begins_with_a_shorter_one(ledger_run):
    cases = ledger_run.drawn_cases(1000, seed=3)
    assert cases[:150] == ledger_run.drawn_cases(150, seed=3)
    pairs = {(drawn.case.cell, drawn.case.loss) for drawn in cases[:132]}
    assert len(pairs) == 132 and {cell for cell, _ in pairs} == {variant.name for variant in VARIANTS}
    assert {drawn.case.cell for drawn in cases if drawn.laws} == {variant.name for variant in VARIANTS}
    assert all(drawn.case.T > 1 for drawn in cases if drawn.laws)


def test_a_case_compares_every_gradient_and_every_line(ledger_run):
    first = ledger_run.drawn_cases(1, seed=0)[0]
    record = ledger_run.run_drawn(first)
    assert record.verdict == "AGREES", record
    names = {block["name"] for block in record.blocks}
    assert set(record.data["relative"]) == set(first.case.subject().blocks) <= names
    assert {"B1, locally", "B9, locally", "law P1", "law P12"} <= names
    assert all(own < 1e-8 and of_block < 1e-9 for own, of_block in record.data["relative"].values())


def test_a_difference_is_relative_to_the_entry_and_to_its_array(ledger_run):
    own, of_block = ledger_run.differences(np.array([1.0, 1e-6, 0.0]), np.array([1.0, 1.1e-6, 0.0]))
    assert own == pytest.approx(1 / 11, rel=1e-2) and of_block == pytest.approx(1e-7, rel=1e-2)


def test_the_run_leaves_a_page_and_a_journal(tmp_path):
    paths = ["--journal", str(tmp_path / "run.jsonl"), "--page", str(tmp_path / "run.md")]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, str(SCRIPT), "--cases", "4", *paths]
    subprocess.run(command, check=True, capture_output=True, env=environment)
    page = (tmp_path / "run.md").read_text(encoding="utf-8")
    assert "4 cases: " in page and "4 AGREES" in page and "| B8 constant error carousel |" in page
    listed = subprocess.run(
        [sys.executable, "-m", "bptt_check", "equations", str(tmp_path / "run.jsonl")],
        cwd=SCRIPT.parents[1], capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "on its own line: 4 cases" in listed.stdout


@pytest.mark.parametrize("method", [ComplexStep(), Central()])
def test_all_blocks_at_once_give_what_each_gives_alone(method, monkeypatch):
    subject = Subject.from_variant("V", T=2, B=2, D=3, H=2)
    names = ["W_gx", "p_o", "x", "s0", "h(t)"]
    together = all_partials(method, subject.loss, subject.blocks, names)
    monkeypatch.setattr("bptt_check.differences.jointly.CHUNK_BYTES", 5000)
    in_parts = all_partials(method, subject.loss, subject.blocks, names)
    for name in names:
        alone = partials(method, subject.loss, subject.blocks, name, stacked=True)
        for found in (together[name], in_parts[name]):
            np.testing.assert_allclose(found.value, alone.value, rtol=1e-6 if method.name != "complex step" else 1e-12)
            assert found.value.shape == alone.value.shape == (subject.blocks[name].size,)
