"""The ledger is complete: every tag has an entry, every entry a property that exists, a place, a line in the docs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bptt_check import ledger
from bptt_check.laws.table import FALSE_READINGS, LAWS, examined
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import VARIANTS, variant_named
from bptt_check.report.record import record_of

ROOT = Path(__file__).parents[2]
ENTRIES = ledger.entries()


@pytest.fixture(scope="module")
def collected():
    """Node ids of the tests in the files that the ledger names, as pytest collects them."""
    files = sorted({node.partition("::")[0] for entry in ENTRIES for node in entry.properties})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files]
    run = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "PYTEST_ADDOPTS": ""}
    )
    return {line for line in run.stdout.splitlines() if "::" in line}


def unfounded(entries, collected):
    """The entries that no collected test checks."""
    return [
        entry.id for entry in entries if not entry.properties or not set(entry.properties) & with_bare_names(collected)
    ]


def with_bare_names(collected):
    return collected | {node.partition("[")[0] for node in collected}


def test_every_equation_has_a_property_that_is_collected(collected):
    assert unfounded(ENTRIES, collected) == []
    missing = {node for entry in ENTRIES for node in entry.properties} - with_bare_names(collected)
    assert not missing


def test_an_equation_without_a_property_is_seen(collected):
    without = replace(ENTRIES[0], id="F9", properties=())
    misnamed = replace(ENTRIES[0], id="F10", properties=("properties/test_laws.py::test_that_nobody_wrote",))
    assert unfounded((*ENTRIES, without, misnamed), collected) == ["F9", "F10"]


def test_every_tag_in_the_code_has_an_entry_and_every_entry_a_place():
    tags, ids = set(ledger.places()), {entry.id for entry in ENTRIES}
    assert tags - ids == set()
    assert ids - tags == set()
    assert len(ids) == len(ENTRIES)


def test_every_equation_of_the_passes_stands_in_the_file_it_belongs_to():
    for entry in ENTRIES:
        files = {Path(place.file).name for place in ledger.places()[entry.id]}
        if entry.id.startswith("B"):
            assert "backward.py" in files, entry.id
        if entry.id.startswith("F"):
            assert files & {"forward.py", "variants.py"}, entry.id
            assert "tangent.py" in files or entry.id in ("F1s", "F2r"), entry.id
        for mirrored in entry.mirrors:
            assert ledger.entry(mirrored)


def test_a_tag_is_read_with_its_qualifier():
    source = "a = 1  # (B, H)  B2  ← F2, peephole of o\nb = 2  # (B, H)  F1, F2\n# B2 is not\nc = 3  # noqa: F841\n"
    assert list(ledger._comment_tags(source)) == [(1, ["B2p"]), (2, ["F1", "F2"]), (3, ["B2"])]


def test_the_docs_mention_every_id_with_its_formula_and_its_files():
    text = (ROOT / "docs" / "equations.md").read_text(encoding="utf-8")
    rows = {match[1]: match[0] for match in re.finditer(r"^\| (\w+) \|.*$", text, re.MULTILINE)}
    assert [entry.id for entry in ENTRIES if entry.id not in rows] == []
    for entry in ENTRIES:
        assert entry.formula in rows[entry.id], f"{entry.id}: {entry.formula}"
        for file in {place.file.removeprefix("bptt_check/") for place in ledger.places()[entry.id]}:
            assert file in rows[entry.id], f"{entry.id} stands in {file}"
    assert all(f"**{variant.name}**" in text for variant in VARIANTS)


def test_the_table_shows_every_entry_in_a_terminals_width():
    table = ledger.table()
    for entry in ENTRIES:
        assert entry.formula in table and entry.properties[0] in table
    assert max(map(len, table.splitlines())) <= 120


def test_formulas_become_well_formed_mathml():
    for entry in ENTRIES:
        root = ET.fromstring(entry.mathml.replace("&#160;", " "))
        symbols = "".join(root.itertext()).replace(" ", "").replace("∑", "Σ").replace("⊤", "ᵀ")
        plain = re.sub(r"[\s_{}]", "", entry.formula).replace("²", "2")
        assert symbols == plain, entry.id


def test_listing_equations_needs_no_numpy():
    program = "import sys; from bptt_check import ledger; ledger.table(); sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_the_laws_are_those_of_the_ledger():
    assert {law.id for law in (*LAWS, *FALSE_READINGS)} == {
        entry.id for entry in ENTRIES if not entry.id.startswith("B")
    }


def test_a_run_fills_the_ledger(record):
    """Eleven cells, every entry compared at least once; two readings of L6 are seen to be false."""
    records = []
    for variant in VARIANTS:
        problem = Problem.draw(variant, T=3, B=2, D=4, H=2, rng=np.random.default_rng(1)).astype(np.longdouble)
        result = examined(problem, case={"seed": 1})
        record(result)
        records.append(record_of(result))
    figures = {each.entry.id: each for each in ledger.fill(records)}
    for name, each in figures.items():
        if name in ("L6a", "L6b"):
            assert (each.cases, each.verdict) == (11, "DIFFERS") and each.max_relative_error > 0.1
        else:
            assert each.verdict == "AGREES" and each.compared > 0 and each.tolerance_ratio <= 1, each
    assert figures["B2"].cases == 11 and figures["B3c"].cases == 1 and figures["B2p"].cases == 7
    assert list(figures) == [entry.id for entry in ENTRIES]


def test_after_a_run_of_the_properties_the_report_shows_every_entry_compared(tmp_path):
    """The session's own journal and pages, as any run of pytest leaves them; this one goes to another folder."""
    node = f"{ROOT / 'properties' / 'meta' / 'test_ledger.py'}::test_a_run_fills_the_ledger"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml")]
    environment = {**os.environ, "PYTEST_ADDOPTS": ""}
    subprocess.run(
        [*command, f"--rootdir={tmp_path}", node], cwd=ROOT, check=True, capture_output=True, env=environment
    )
    report = json.loads((tmp_path / "reports" / "properties.json").read_text(encoding="utf-8"))
    assert [line["id"] for line in report["ledger"] if not line["entries"]] == []
    assert {line["verdict"] for line in report["ledger"]} == {"AGREES", "DIFFERS"}
    for page in ("properties.md", "properties.html"):
        text = (tmp_path / "reports" / page).read_text(encoding="utf-8")
        assert "not compared" not in text.lower()
        assert f"{len(ENTRIES)} of {len(ENTRIES)}" in text


def test_rows_as_they_are_kept_in_a_journal_fill_it_too():
    block = {"name": "s(t)", "equation": "B2", "compared": 6, "verdict": "DISAGREES", "max_relative_error": "inf",
             "tolerance_ratio": 3.0, "resolution": None}  # fmt: skip
    right = {**block, "verdict": "AGREES", "max_relative_error": 1e-16, "tolerance_ratio": 0.5}
    rows = [{"case": {"cell": "V"}, "blocks": [block]}, {"case": {"cell": "NP"}, "blocks": [right]}]
    figures = {each.entry.id: each for each in ledger.fill(rows)}
    assert (figures["B2"].cases, figures["B2"].compared, figures["B2"].verdict) == (2, 12, "DISAGREES")
    assert figures["B2"].max_relative_error == float("inf") and figures["B2"].resolution is None
    assert (figures["B8p"].cases, figures["B2p"].cases, figures["B8"].cases, figures["B1"].cases) == (1, 1, 2, 0)


@pytest.mark.parametrize(
    ("cell", "block", "equation", "expected"),
    [
        ("post", "h(t)", "B1", {"B1", "B7"}),
        ("state_feedback", "h(t)", "B1", {"B1", "B8s"}),
        ("state_feedback", "s0", "B9", {"B9", "B8", "B8s"}),
        ("NOG", "s(t)", "B2", {"B2", "B8", "B8p"}),
        ("CIFG", "i(t)", "B3", {"B3", "B3c"}),
        ("FGR", "f(t)", "B3", {"B3", "B7r"}),
        ("V", "p_i", "B5", {"B5p"}),
        ("V", "law P1", "P1", {"P1"}),
        ("V", "W_gx", None, set()),
    ],
)
def test_a_gradient_counts_for_the_lines_it_runs_through(cell, block, equation, expected):
    assert set(ledger.equations_of({"name": block, "equation": equation}, variant_named(cell))) == expected


def test_an_unknown_equation_is_refused_by_name():
    with pytest.raises(KeyError, match="no equation is named 'B10'"):
        ledger.entry("B10")
