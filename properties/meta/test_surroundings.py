"""What stands around the code keeps its word: the commands of the README, the run of CI, the sample of a report."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from bptt_check.report.journal import read_journal
from bptt_check.report.summary import summarise

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CI = ROOT / ".ci" / "run"
SAMPLE = ROOT / "reports" / "sample"


def commands():
    return [block.strip() for block in re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)]


def test_the_first_two_commands_of_the_readme_make_an_environment_and_run_the_job_and_the_tests():
    job, tests = commands()[:2]
    for command in (job, tests):
        assert command.startswith("python3 -m venv .venv && .venv/bin/python -m pip install -e ")
    assert job.endswith(" && .venv/bin/bptt-check")
    assert tests.endswith(" && .venv/bin/python -m pytest -n 2")


def test_ci_runs_the_readmes_command_for_the_tests():
    script = CI.read_text(encoding="utf-8")
    (pattern,) = re.findall(r"grep -m1 -E '([^']*)' README\.md", script)
    first = next(line for line in README.splitlines() if re.search(pattern, line))
    assert first == commands()[1]
    assert 'eval "$tests"' in script
    assert "set -euo pipefail" in script


@pytest.mark.skipif(sys.platform == "win32", reason="needs bash")
def test_ci_is_a_script_that_bash_can_read():
    subprocess.run(["bash", "-n", str(CI)], check=True)
    assert os.access(CI, os.X_OK)


def test_every_link_of_the_pages_leads_somewhere():
    dead = []
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if not link.startswith(("http:", "https:")) and not (page.parent / link).exists():
                dead.append(f"{page.relative_to(ROOT)}: {link}")
    assert dead == []


def test_the_picture_of_the_readme_stands_alone():
    (name,) = re.findall(r"\]\((docs/pictures/[^)]+)\)", README)
    picture = ET.parse(ROOT / name).getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg"
    assert not [node for node in picture.iter() if any("href" in key for key in node.attrib)]


def test_the_picture_of_the_readme_can_be_drawn_anew(monkeypatch):
    spec = importlib.util.spec_from_file_location("draw", ROOT / "docs" / "pictures" / "draw.py")
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    monkeypatch.setattr(draw, "SHAPES", draw.SHAPES[:3])
    labels = re.compile(r">([^<>]+)</text>")
    committed = (ROOT / "docs" / "pictures" / "wrong-line.svg").read_text(encoding="utf-8")
    rows = {"W", "b", "x", "h0", "s0", "next h(t)", "next s(t)", "g(t)", "i(t)", "f(t)", "o(t)"}
    assert rows <= set(labels.findall(draw.picture())) & set(labels.findall(committed))


def test_the_sample_is_of_a_whole_run_small_and_says_nothing_of_the_machine_that_made_it():
    stem = SAMPLE / "builtin"
    summary = summarise(read_journal(stem.with_suffix(".jsonl")))
    assert (summary.verdict.value, summary.complete) == ("AGREES", True)
    assert summary.cases >= 20 and summary.sweeps
    assert json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))["cases"] == summary.cases
    for kind in (".jsonl", ".json", ".md", ".html"):
        path = stem.with_suffix(kind)
        text = path.read_text(encoding="utf-8")
        assert path.stat().st_size < 350_000, path
        assert not re.search(r"/(root|home|tmp|Users|work)/", text), path
    assert {path.name for path in SAMPLE.iterdir()} == {
        f"builtin{kind}" for kind in (".jsonl", ".json", ".md", ".html")
    }
