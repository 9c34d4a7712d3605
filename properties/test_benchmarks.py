"""The page of all benchmarks: every program is on it, and every page that is there can be read."""

import argparse
import importlib
import importlib.util
import re
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def everything():
    before = list(sys.path)
    spec = importlib.util.spec_from_file_location("all_benchmarks", FOLDER / "all.py")
    module = sys.modules["all_benchmarks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path[:] = before


def test_every_program_under_benchmarks_is_on_the_page(everything):
    programs = {path.stem for path in FOLDER.glob("*.py") if '__name__ == "__main__"' in path.read_text("utf-8")}
    assert {b.name for b in everything.BENCHMARKS} == programs - {"all"}


def test_every_page_of_a_benchmark_is_read(everything):
    for b in everything.BENCHMARKS:
        assert "laid out in another way" not in b.read(), b.name
        assert b.page.exists() == (b.read() != "not run yet"), b.name


def test_a_page_laid_out_in_another_way_is_said_to_be(everything, tmp_path, monkeypatch):
    monkeypatch.setattr(everything, "HERE", tmp_path)
    for b in everything.BENCHMARKS:
        b.page.write_text("# Another\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", encoding="utf-8")
        assert "laid out in another way" in b.read(), b.name


def test_the_links_of_the_page_lead_somewhere():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links
    assert [link for link in links if not (FOLDER / link).exists()] == []


def test_a_campaign_goes_on_where_it_was_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(FOLDER), *sys.path])
    detection = importlib.import_module("detection")
    store = tmp_path / "trials.jsonl"

    def some(seconds):
        args = argparse.Namespace(seed=0, seconds=seconds, no_long_double=False, jobs=1)
        return list(detection.in_slices(["right"], args, (), store))

    first = some(0.2)
    assert first and {trial.verdict for trial in first} == {"AGREES"}
    with store.open("a", encoding="utf-8") as kept:
        kept.write('{"family": "ri')  # as a run leaves it that was killed while it wrote
    assert some(0) == first
    seeds = [trial.seed for trial in some(0.2)]
    assert seeds == list(range(len(seeds))) and len(seeds) > len(first)
