"""The plugin beside others, and in several processes: each result arrives once, in one order, and none is lost."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest
from inner_runs import DEPENDS_ON_TIME, comparable, either_way, forks, needs, run

pytest_plugins = ["pytester"]
__all__ = ["forks", "run"]

MIXED = """
import numpy as np
from hypothesis import given, settings, strategies as st

@pytest.mark.parametrize("k", range(12))
def test_many(gradient_record, k):
    gradient_record(result(f"case {k}", 10.0 ** -k))

@settings(derandomize=True, database=None, max_examples=15, deadline=None)
@given(st.integers(0, 50))
def test_drawn(gradient_record, k):
    gradient_record(result(f"drawn {k}", k * 1e-15))

def test_same(gradient_record):
    for error in (3e-15, 1e-15, 2e-15):
        gradient_record(result("shared name", error))

def test_wrong(gradient_record):
    gradient_record(result("wrong", 0.5, wrong=True))

class TestGroup:
    def test_numpy(self, gradient_record, request):
        gradient_record(result("numpy", np.float64(2e-15)))
        request.node.user_properties.append(("mine", 1))
"""


def reports(run, *options):
    kinds = ("json", "md", "html", "xml", "jsonl")
    ran = run(MIXED, *options, *(f"--gradient-report=out/r.{kind}" for kind in kinds))
    assert ran.code == 0, ran.said
    texts = {kind: (run.folder / f"out/r.{kind}").read_text(encoding="utf-8") for kind in kinds}
    log = ran.journal("out/r.jsonl")
    assert len(log.records) == len({record.as_json().__str__() for record in log.records})  # each once
    return ran.report("out/r.json"), texts


def cases_of(report):
    return [record["name"] for record in report["records"] if record["kind"] == "case"]


def timeless(text):
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]+", "T", DEPENDS_ON_TIME.sub("", text))
    return re.sub(r"time in all cases together.{0,40}? s\b", "", text)


@needs("xdist")
def test_the_reports_are_the_same_however_many_processes_there_were(run):
    alone, texts = reports(run, "-p", "no:xdist")
    shared, texts_shared = reports(run, "-n", "2")
    assert comparable(alone) == comparable(shared)
    for kind in ("md", "xml", "html"):
        assert timeless(texts[kind]) == timeless(texts_shared[kind]), kind
    assert alone["cases"] == 12 + alone["tests"]["examples"] + 3 + 1 + 1
    assert alone["tests"]["examples"] >= 15


@needs("xdist", "pytest_randomly")
def test_the_order_of_the_tests_does_not_matter(run):
    first, _ = reports(run, "-p", "randomly", "-p", "no:xdist", "-p", "randomly", "-p", "no:cov")
    second, _ = reports(run, "-n", "2", "-p", "randomly")
    third, _ = reports(run)
    assert comparable(first) == comparable(second) == comparable(third)


@needs("pytest_cov")
@either_way
def test_coverage_is_measured_beside_it(run, processes):
    pytest.importorskip("xdist")
    ran = run(
        "def test_it(gradient_check):\n    gradient_check(subject())",
        "--cov=bptt_check.checking",
        *processes,
        checked=True,
    )
    assert ran.code == 0, ran.said
    assert "checking.py" in ran.said and ran.report()["cases"] == 1


FLAKY = """
def test_flaky(gradient_record, request):
    again = request.node.execution_count
    gradient_record(result(f"attempt {again}", 0.5 if again < 3 else 1e-15, wrong=again < 3))
    assert again == 3
"""


@needs("pytest_rerunfailures")
@either_way
def test_every_attempt_of_a_test_that_is_run_again_is_kept(run, processes):
    ran = run(FLAKY, "--reruns=3", *processes)
    assert ran.code == 0, ran.said
    report = ran.report()
    assert cases_of(report) == [f"attempt {k}" for k in (1, 2, 3)]
    assert report["complete"] and report["tests"]["selected"] == 1
    assert report["verdict"] == "DISAGREES"  # an attempt that passes takes nothing back


@needs("pytest_rerunfailures", "xdist")
def test_a_worker_that_dies_and_a_test_that_is_run_again_beside_each_other(run):
    source = FLAKY + "\ndef test_dies(gradient_record):\n    gradient_record(result('before'))\n    os._exit(7)\n"
    ran = run(source, "--reruns=3", "-n", "2")
    assert ran.code == 1, ran.said
    found = cases_of(ran.report())
    assert {"attempt 1", "attempt 2", "attempt 3"} <= set(found) and "before" in found
    assert "test_inner.py::test_dies did not come to its end" in ran.said


@either_way
def test_what_was_found_is_in_the_junit_report_of_pytest_as_plain_numbers(run, processes):
    ran = run(MIXED, "--junitxml=junit.xml", *processes)
    assert ran.code == 0, ran.said
    cases = {case.get("name"): case for case in ElementTree.parse(run.folder / "junit.xml").iter("testcase")}
    found = {name: {p.get("name"): p.get("value") for p in case.iter("property")} for name, case in cases.items()}
    kept = ("gradient_results", "gradient_verdict", "gradient_worst_error")
    assert found["test_wrong"] == dict(zip(kept, ("1", "DISAGREES", "0.5"), strict=True))
    assert found["test_numpy"] == {**dict(zip(kept, ("1", "AGREES", "2e-15"), strict=True)), "mine": "1"}
    assert found["test_same"]["gradient_results"] == "3" and found["test_same"]["gradient_worst_error"] == "3e-15"
    assert "np.float64" not in (run.folder / "junit.xml").read_text(encoding="utf-8")


@either_way
def test_what_is_recorded_of_a_test_is_built_of_plain_values(run, processes):
    (run.folder / "conftest.py").write_text(
        """
def pytest_runtest_logreport(report):
    assert all(type(value) in (int, float, str) for _, value in report.user_properties), report.user_properties
    if report.when == "teardown" and report.user_properties:
        print("plain", dict(report.user_properties)["gradient_worst_error"])
""",
        encoding="utf-8",
    )
    source = (
        "import numpy as np\ndef test_it(gradient_record):\n    gradient_record(result('a', np.longdouble('1e-15')))\n"
    )
    ran = run(source, "-s", *processes)
    assert ran.code == 0 and "plain 1e-15" in ran.said, ran.said


@either_way
def test_subtests_leave_their_results_once_each(run, processes):
    if not hasattr(pytest, "Subtests"):
        pytest.skip("this pytest has no subtests")
    source = """
def test_it(subtests, gradient_record):
    for k in range(3):
        with subtests.test(k=k):
            gradient_record(result(f"case {k}", 0.5 if k == 1 else 1e-15, wrong=k == 1))
            assert k != 1
"""
    ran = run(source, "--junitxml=junit.xml", *processes)
    assert ran.code == 1, ran.said
    for case in ElementTree.parse(run.folder / "junit.xml").iter("testcase"):
        properties = [row.get("name") for row in case.iter("property") if row.get("name") == "gradient_results"]
        assert len(properties) <= 1
    report = ran.report()
    assert cases_of(report) == [f"case {k}" for k in range(3)]
    assert report["complete"]


@needs("xdist", "pytest_cov", "pytest_randomly", "pytest_rerunfailures")
def test_all_of_them_at_once(run):
    options = ("-n", "2", "--cov=test_inner", "--reruns=1", "--junitxml=junit.xml", "-p", "randomly")
    together, _ = reports(run, *options)
    alone, _ = reports(run, "-p", "no:xdist")
    assert comparable(together) == comparable(alone)
