"""The plugin and Hypothesis: inside @given, properties in one line, what the search is told, how deep it goes."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from inner_runs import forks, run

from bptt_check import Subject, UsageError, gradient_property
from bptt_check.strategies import CellCase, cell_cases
from bptt_check.testing.examples import decade, in_decades

pytest_plugins = ["pytester"]
__all__ = ["forks", "run"]

CELL = """
class Scale:
    state = ("h",)
    wrong = 1.0
    def parameters(self, D, H):
        return {"w": (H,)}
    def forward(self, p, x, prev, tap):
        a = tap("a", p["w"] * x[:, :1])
        return {"h": a + prev["h"]}, x
    def backward(self, p, x, d):
        dx = np.zeros_like(x)
        dx[:, 0] = (p["w"] * d["h"]).sum(axis=1)
        return {"w": self.wrong * (d["h"] * x[:, :1]).sum(axis=0)}, dx, {"h": d["h"]}, {"a": d["h"]}

class Wrong(Scale):
    wrong = 1.5
"""


GIVEN = """
from hypothesis import given, settings, strategies as st

@settings(max_examples=20, derandomize=True, database=None, deadline=None)
@given(st.integers(1, 100))
def test_drawn(gradient_check, k):
    gradient_check(subject(f"case {k}", 2.5 if k >= 7 else 2.0))
"""


def test_inside_given_the_smallest_failing_example_is_shown_and_in_the_report(run):
    ran = run(GIVEN, checked=True)
    assert ran.code == 1
    assert "k=7" in ran.said and "DISAGREES  case 7" in ran.said
    report = ran.report()
    failures = [failure["name"] for failure in report["disagreements"]]
    assert failures == ["test_inner.py::test_drawn"]  # one, though the search for it met more
    records = [record for record in report["records"] if record["kind"] == "case"]
    assert report["tests"]["examples"] == len(records) == report["cases"] > 5
    last = max(records, key=lambda record: record["data"]["example"])
    assert (last["verdict"], last["data"]["test"]) == ("DISAGREES", "test_inner.py::test_drawn")
    assert sorted(record["data"]["example"] for record in records) == list(range(1, len(records) + 1))


def test_inside_given_the_errors_are_counted_by_decade(run):
    source = GIVEN.replace("2.5 if k >= 7 else", "")
    ran = run(source, "--hypothesis-show-statistics", checked=True)
    assert ran.code == 0, ran.said
    events = [line for line in ran.said.splitlines() if "gradient: AGREES" in line]
    assert 1 <= len(events) <= 3, events
    assert "Highest target score" in ran.said


def test_errors_that_are_not_finite_do_not_stop_the_search(run):
    source = """
from hypothesis import given, settings, strategies as st
from bptt_check.testing.examples import steer

@settings(max_examples=10, database=None)
@given(st.sampled_from([float("nan"), float("inf"), 0.0, 1e-300]))
def test_drawn(gradient_record, error):
    found = result("odd", error)
    gradient_record(found)
    steer(found)
    steer(found)
"""
    ran = run(source)
    assert ran.code == 0, ran.said
    assert ran.report()["complete"]


@given(st.floats(), st.floats())
def test_what_the_search_is_sent_is_finite_and_grows_with_the_error(one, other):
    sent = in_decades(one)
    assert type(sent) is float and math.isfinite(sent) and sent <= in_decades(math.nan)
    if one <= other:
        assert sent <= in_decades(other)


@given(st.one_of(st.none(), st.floats()))
def test_a_decade_is_one_of_few_words(error):
    said = decade(error)
    if error is not None and error != 0 and math.isfinite(error):
        assert said == f"relative error near 1e{math.floor(math.log10(abs(error)))}"
    else:
        assert said in ("relative error 0", "nothing compared entry by entry", "not finite")


def test_a_property_in_one_line(run):
    source = (
        CELL
        + """
from bptt_check import gradient_property

seen = []

@gradient_property(cells=[Scale], shapes={"T": (1, 3)}, losses=["euclidean"], max_examples=6)
def test_right(result):
    "Looks at each result."
    assert result.verdict is Verdict.AGREES
    seen.append(result)

class TestInside:
    @pytest.mark.parametrize("k", [1, 2])
    @gradient_property(cells=["post"], shapes=[{"T": 2, "B": 1, "D": 2, "H": 1}], max_examples=2)
    def test_method(self, result, k, pytestconfig):
        assert k and pytestconfig and result.case["T"] == 2

def test_the_body_has_run():
    assert len(seen) == 6
    assert test_right.__doc__ == "Looks at each result."
"""
    )
    ran = run(source, checked=True)
    assert ran.code == 0, ran.said
    assert ran.report()["tests"]["examples"] >= 8


def test_a_property_that_fails_shows_its_line_and_the_subject_to_make_again(run):
    source = (
        CELL
        + "\nfrom bptt_check import gradient_property\n@gradient_property(cells=[Wrong])\ndef test_wrong(result): ...\n"
    )
    ran = run(source, checked=True)
    assert ran.code == 1
    assert ">   @gradient_property(cells=[Wrong])" in ran.said
    assert "bptt_check/testing" not in ran.said
    assert ran.said.count(">   @gradient_property") == 1
    point = "{'w': [0.5], 'x': [[[0.5]]], 'h0': [[0.5]]}"
    smallest = f"Subject.from_cell(Wrong, T=1, B=1, D=1, H=1, loss='euclidean', point={point})"
    assert f"case={smallest}" in ran.said
    (failure,) = ran.report()["disagreements"]
    assert "T = 1, B = 1, D = 1, H = 1, seed = 0" in failure["case"]
    assert failure["reproduce"] == "python -m pytest test_inner.py::test_wrong"
    pasted = "from bptt_check import Subject, check\nfrom test_inner import Wrong\n\n"
    assert failure["example"] == f"{pasted}print(check({smallest}))"
    again = subprocess.run(
        [sys.executable, "-c", failure["example"]], cwd=ran.folder, env=run.environment, capture_output=True, text=True
    )
    assert again.stdout.startswith("DISAGREES  Wrong, euclidean loss"), again.stderr


def test_only_the_example_that_is_shown_is_diagnosed(run):
    ran = run(GIVEN, checked=True)
    records = [record for record in ran.report()["records"] if record["verdict"] == "DISAGREES"]
    *tried, shown = sorted(records, key=lambda record: record["data"]["example"])
    assert tried and not any(record["causes"] for record in tried)
    assert shown["causes"]


def test_what_hypothesis_found_is_in_the_report(run):
    ran = run(GIVEN, checked=True)
    (failure,) = ran.report()["disagreements"]
    assert failure["example"].startswith("Failing test case: test_drawn(") and "k=7," in failure["example"]
    assert "k=7," in (ran.folder / "reports" / "gradients.html").read_text(encoding="utf-8")


def test_a_summary_names_the_mistake(run):
    ran = run("def test_it(gradient_check):\n    gradient_check(subject('half', 1.0))", checked=True)
    said = ran.said.partition("-- gradients --")[2]
    assert "looks exactly like" in said and "python -m pytest test_inner.py::test_it" in said


@pytest.mark.parametrize("H", [2, 40], ids=["every entry compared", "too many entries"])
def test_a_page_of_tests_shows_a_right_cell_over_time(run, H):
    source = (
        CELL + f"def test_it(gradient_check):\n    gradient_check(Subject.from_cell(Scale, T=5, B=2, D=1, H={H}))\n"
    )
    ran = run(source, checked=True)
    assert ran.code == 0, ran.said
    report = ran.report()
    (case,) = report["norms"]
    norms = {row["name"]: row for row in case["norms"]}["next h(t)"]
    assert len(norms["analytic"]) == 5 and all(norms["analytic"])
    assert (norms["reference"] == [None] * 5) == (H > 2) == (not report["steps"])
    assert "Norms over time" in (ran.folder / "reports" / "gradients.html").read_text(encoding="utf-8")


def test_of_many_examples_the_first_is_compared_entry_by_entry(run):
    source = CELL + (
        "from bptt_check import gradient_property\n"
        "@gradient_property(cells=[Scale], shapes=[dict(T=4, B=2, D=1, H=3)], max_examples=8)\n"
        "def test_it(result): ...\n"
    )
    ran = run(source, checked=True)
    records = [record for record in ran.report()["records"] if record["kind"] == "case"]
    with_norms = [row["data"]["example"] for row in records if any(block["norms"] for block in row["blocks"])]
    assert with_norms == [1] and len(records) == 8


def test_a_cell_that_cannot_be_made_is_told_as_its_form_tells_it(run):
    source = (
        "from bptt_check import gradient_property\n"
        "class Cell:\n    state = ('h',)\n    def parameters(self, D, H):\n        return {'w': (H,)}\n"
        "@gradient_property(cells=[Cell])\ndef test_it(result): ...\n"
    )
    ran = run(source, checked=True)
    assert ran.code == 1 and "Cell has no forward; a cell needs state, parameters, forward, backward" in ran.said


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cells": []}, "at least one"),
        ({"cells": "post"}, "brackets"),
        ({"cells": ["post"], "losses": "euclidean"}, "brackets"),
        ({"cells": ["post"], "losses": ["no such loss"]}, "no such loss"),
        ({"cells": ["post"], "shapes": {"Z": 3}}, "shapes="),
        ({"cells": ["post"], "shapes": {"T": (3, 1)}}, "shapes="),
        ({"cells": ["post"], "shapes": {"T": 0}}, "shapes="),
        ({"cells": ["post"], "shapes": [{"T": 1}]}, "shapes="),
        ({"cells": ["post"], "shapes": []}, "shapes="),
    ],
)
def test_what_a_property_cannot_be_made_of_is_refused_where_it_stands(options, said):
    with pytest.raises(UsageError, match=said):
        gradient_property(**options)


def test_a_property_whose_test_takes_no_result_is_refused():
    with pytest.raises(UsageError, match="test_it must take an argument named result"):

        @gradient_property(cells=["post"])
        def test_it(): ...


@settings(max_examples=20)
@given(case=cell_cases(["post", "NP"], shapes={"T": (2, 4), "B": 1}, losses=["euclidean", "huber"]))
def test_a_drawn_case_prints_as_the_line_that_makes_it_again_in_short_numbers(case):
    assert 2 <= case.T <= 4 and case.B == 1
    made = eval(repr(case), {"Subject": Subject})
    point = case.subject().point
    assert all((made.point[name] == point[name]).all() for name in point)
    assert all((array * 8 == (array * 8).round()).all() and array.all() for array in point.values())
    assert made.loss(made.blocks) == case.subject().loss(made.blocks)
    assert not CellCase.near_a_kink(case, made) or made.kink_distance is not None


def test_a_cell_made_inside_a_function_is_named_but_not_imported():
    class Inner:
        state = ("h",)

    cases = [CellCase(cell, "euclidean", 1, 1, 1, 1, rng=0, point={}) for cell in (Inner, Inner())]
    assert [repr(case).partition(",")[0] for case in cases] == ["Subject.from_cell(Inner", "Subject.from_cell(Inner()"]
    assert not any("<locals>" in case.code or "from test_plugin_given" in case.code for case in cases)


DEPTHS = """
from hypothesis import given, strategies as st
asked = []
def test_repeats(gradient_check):
    asked.append(gradient_check(subject()).repeats)
drawn = []
@given(st.integers())
def test_drawn(k):
    drawn.append(k)
def test_last():
    print("repeats", asked, "examples", len(drawn))
"""


@pytest.mark.parametrize(
    ("depth", "said"), [("quick", "repeats [2] examples 10"), ("deep", "repeats [44] examples 1000")]
)
def test_the_depth_sets_repeats_and_examples(run, depth, said):
    ran = run(DEPTHS, "-s", f"--gradient-depth={depth}", checked=True)
    assert ran.code == 0, ran.said
    assert said in ran.said


def test_a_depth_that_does_not_exist_is_a_usage_error(run):
    ran = run("def test_it(): pass", "--gradient-depth=deepest")
    assert ran.code == 4 and "takes quick, normal, deep" in ran.said


def test_the_profiles_of_this_repository_are_of_both_kinds():
    assert settings.get_profile("ci").derandomize
    fresh = settings.get_profile("fresh")
    assert not fresh.derandomize and fresh.database is None
