"""The pytest plugin as its users meet it: fixtures, options, reports, what a failure looks like."""

from __future__ import annotations

import configparser
import re
import sys
import tomllib

import pytest
from inner_runs import HEAD, ROOT, either_way, forks, run

pytest_plugins = ["pytester"]
__all__ = ["forks", "run"]


def test_a_right_gradient_passes_and_is_in_the_reports(run):
    ran = run(
        "def test_it(gradient_check):\n    assert gradient_check(subject()).verdict is Verdict.AGREES", checked=True
    )
    assert ran.code == 0, ran.said
    assert ran.left() == ["gradients.html", "gradients.json", "gradients.jsonl", "gradients.md"]
    report = ran.report()
    assert (report["verdict"], report["complete"], report["cases"]) == ("AGREES", True, 1)
    assert report["tests"] == {"selected": 1, "ended": 1, "skipped": 0, "examples": 0, "unfinished": []}
    assert "AGREES  1 result of 1 test; 2 entries compared" in ran.said


def test_a_failure_shows_the_result_the_line_of_the_test_and_how_to_run_it_again(run):
    ran = run("def test_it(gradient_check):\n    gradient_check(subject('half', 1.0))", checked=True)
    assert ran.code == 1
    assert "GradientDisagrees: DISAGREES  half" in ran.said
    assert "w              DISAGREES            0.5" in ran.said
    assert "to run it again: python -m pytest test_inner.py::test_it" in ran.said
    assert "bptt_check/testing" not in ran.said and "results.py" not in ran.said
    shown = [line for line in ran.said.splitlines() if re.match(r"\S+\.py:\d+", line)]
    assert [line.partition(":")[0] for line in shown] == ["test_inner.py"], shown


IN_BATCHES_ONLY = """
class Cell:
    state = ("h",)

    def parameters(self, D, H):
        assert H > 1, "this cell is for at least two"
        return {"W": (H, D + H)}

    def forward(self, p, x, prev, tap):
        xh = np.hstack([x, prev["h"]])
        h = np.tanh(xh @ p["W"].T)
        return {"h": h}, (xh, h)

    def backward(self, p, cache, d):
        xh, h = cache
        dz = (1 - h**2) * d["h"]
        dx, dh = np.hsplit(dz @ p["W"], [xh.shape[1] - h.shape[1]])
        return {"W": dz.T @ xh / len(xh)}, dx, {"h": dh}
"""


def test_a_failure_names_the_smallest_shape_at_which_the_same_code_fails(run):
    source = f"""
{IN_BATCHES_ONLY}
def test_large(gradient_check):
    gradient_check(Subject.from_cell(Cell, T=4, B=3, D=2, H=3, rng=1))

def test_smallest(gradient_check):
    gradient_check(Subject.from_cell(Cell, T=1, B=2, D=1, H=2, rng=0))
"""
    ran = run(source, checked=True)
    assert ran.code == 1, ran.said
    sentence = "the same code disagrees at T=1, B=2, D=1, H=2, rng=0 too"
    large, _, small = ran.said.partition("_ test_smallest _")
    assert sentence in " ".join(large.replace("\nE ", "").split()), large
    assert "disagrees at" not in small.partition("-- gradients --")[0]
    assert sentence in (ran.folder / "reports/gradients.html").read_text(encoding="utf-8")


def test_a_gradient_that_nothing_can_be_said_of_fails_too(run):
    source = "def test_it(gradient_check):\n    gradient_check(subject('half', 1.0), resolution='often')"
    ran = run(source, checked=True)
    assert ran.code == 1 and "resolution" in ran.said
    ran = run("def test_it(gradient_check):\n    gradient_check(3)", checked=True)
    assert ran.code == 1 and "takes a Subject, not int" in ran.said


def test_where_the_code_of_a_subject_raised_is_shown(run):
    source = """
def gradient(p):
    return {"w": p["w"][7]}

def test_it(gradient_check):
    gradient_check(Subject.from_functions(lambda p: (p["w"] ** 2).sum(), gradient, {"w": np.ones(2)}))
"""
    ran = run(source, checked=True)
    assert ran.code == 1
    assert 'return {"w": p["w"][7]}' in ran.said and ", in gradient" in ran.said
    assert "bptt_check/subject.py" not in ran.said
    assert "raised IndexError" in ran.said.partition("-- gradients --")[2]


def test_a_gradient_that_is_not_handed_out_is_named_with_what_to_do(run):
    source = """
def test_it(gradient_check):
    point = {"w": np.ones(2), "b": np.ones(1)}
    gradient_check(Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, point))
"""
    ran = run(source, checked=True)
    assert "b: The backward pass hands out no such gradient; return it, or name it in optional=." in ran.said
    assert "the findings say" not in ran.said.partition("-- gradients --")[0]
    assert "not returned: b" in ran.said.partition("-- gradients --")[2]


def test_options_of_check_are_passed_on_and_refused_as_it_refuses_them(run):
    source = """
def test_known(gradient_check):
    assert gradient_check(subject(), repeats=7).repeats == 7
def test_unknown(gradient_check):
    with pytest.raises(ValueError, match="entries="):
        gradient_check(subject(), entries="some")
    pytest.skip("nothing was to be compared")
"""
    ran = run(source, checked=True)
    assert ran.code == 0, ran.said


KEPT = "def test_it(gradient_record):\n    gradient_record(result())\n"


def test_reports_go_where_they_are_named_and_are_of_the_type_that_they_are_named(run):
    names = ("a/x.html", "a/x.md", "b.json", "c/run.jsonl", "copy.jsonl", "d.xml")
    ran = run(KEPT, *(word for name in names for word in ("--gradient-report", name)))
    assert ran.code == 0, ran.said
    starts = ("<!DOCTYPE html>", "# Gradient report", "{\n", '{"', '{"', "<?xml")
    for name, start in zip(names, starts, strict=True):
        assert (run.folder / name).read_text(encoding="utf-8").lower().startswith(start.lower()), name
        assert name in ran.said
    assert ran.left() == []
    assert ran.journal("copy.jsonl").records == ran.journal("c/run.jsonl").records


def test_settings_of_the_project_have_the_names_of_the_options(run):
    settings = {
        "gradient_report": "\n  out/r.md\n  out/r.xml",
        "gradient_folder": "kept",
        "gradient_title": "our gradients",
        "gradient_quiet": "true",
        "gradient_save": "nightly",
        "gradient_runs": "history",
        "gradient_keep": "2",
    }
    ini = configparser.ConfigParser()
    ini["pytest"] = settings
    with (run.folder / "tox.ini").open("w", encoding="utf-8") as stream:
        ini.write(stream)
    (run.folder / "sub").mkdir()
    run.write(KEPT, "sub/test_inner.py")
    for _ in range(3):
        ran = run.end(run.begin(cwd=run.folder / "sub"))  # paths of settings begin at the root of the project
        assert ran.code == 0, ran.said
    assert "# Gradient report: `our gradients`" in (run.folder / "out/r.md").read_text(encoding="utf-8")
    assert ran.left("kept") == ["gradients.jsonl", "gradients.previous.jsonl"]
    assert ran.left("history") == ["0002.jsonl", "0003.jsonl"]
    assert "relative errors" not in ran.said and "AGREES  1 result" in ran.said


def test_every_option_is_a_setting_too(run):
    said = run("def test_it(): pass", "--help").said
    options = {word for word in said.split() if word.startswith("--gradient-")}
    flags = {option.partition("=")[0].rstrip(",") for option in options}
    assert len(flags) == 10
    for flag in flags:
        assert f"{flag[2:].replace('-', '_')} (" in said, flag


TWO = "def test_it(gradient_record):\n    gradient_record(result('a'))\n    gradient_record(result('b'))\n"


def test_a_run_that_became_worse_fails_and_says_where(run):
    saved = run(
        TWO,
        "--gradient-save=base",
    )
    assert saved.code == 0, saved.said
    worse = "def test_it(gradient_record):\n    gradient_record(result('a', 0.3, wrong=True))"
    rules = ("--gradient-compare=base", "--gradient-fail-on=missing", "--gradient-fail-on=max_error:10x")
    ran = run(worse, *rules)
    assert ran.code == 1
    assert "rule missing: broken by 1 row, first by b" in ran.said
    assert "rule max_error:10x: broken by 1 row, first by a" in ran.said
    assert run(worse, "--gradient-compare=last").code == 0  # said, not failed: no rule was given
    same = run(TWO, *rules)
    assert same.code == 0, same.said


def test_an_error_is_held_against_one_at_the_same_numbers_alone(run):
    def wrong(start, factor):
        return f"""
def test_it(gradient_check):
    point, batch = {{"w": np.array([1.0, 2.0])}}, {start}
    gradient_check(Subject.from_functions(lambda p: np.exp(p["w"] * batch).sum(),
        lambda p: {{"w": batch * np.exp(p["w"] * batch) + {factor}}}, point, name="same"), causes=False)
"""

    rules = ("--gradient-compare=last", "--gradient-fail-on=worse", "--gradient-fail-on=max_error:2x")
    assert run(wrong(1.0, 1e-6), "--gradient-save=one", checked=True).code == 1
    elsewhere = run(wrong(-3.0, 1e-6), *rules, checked=True)  # the same mistake, larger beside that gradient
    assert "0 worse, 0 missing, 0 better, 0 new, 1 same" in elsewhere.said, elsewhere.said
    assert "rule worse: kept" in elsewhere.said and "rule max_error:2x: kept" in elsewhere.said
    here = run(wrong(1.0, 1e-3), *rules, checked=True)
    assert "worse   same, w: DISAGREES, error" in here.said, here.said
    assert "rule max_error:2x: broken by 1 row" in here.said


def test_an_incomplete_run_is_not_saved(run):
    ran = run("def test_it(gradient_check):\n    pass", "--gradient-save=base")
    assert ran.code == 1
    assert "not saved: the run is incomplete" in ran.said
    assert ran.left("reports/runs") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--gradient-report=x.pdf",), "must end in one of .jsonl, .json, .md, .html, .xml"),
        (("--gradient-compare=nothing",), "no saved run 'nothing'"),
        (("--gradient-compare=junk.json",), "junk.json is no saved run"),
        (("--gradient-fail-on=missing",), "--gradient-compare must say beside what"),
        (("--gradient-save=../x",), "cannot be named"),
        (("--gradient-save=x", "--gradient-keep=some"), "neither how many runs"),
        (("--gradient-keep=3",), "--gradient-save must say under which name"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_kept_to_is_a_usage_error_before_the_first_test(run, options, said):
    (run.folder / "junk.json").write_text('{"kind": NaN, "a": 1e999}', encoding="utf-8")
    ran = run("pathlib.Path('ran').touch()\n" + KEPT, *options)
    assert ran.code == 4, ran.said
    assert said in ran.said and "Traceback" not in ran.said
    assert not (run.folder / "ran").exists()
    assert ran.left() == []


@pytest.mark.parametrize("option", ["--gradient-save=x", "--gradient-report=x.md"])
def test_what_was_asked_for_and_cannot_be_had_fails(run, option):
    ran = run("def test_it(): pass", option)
    assert ran.code == 1
    assert "no test that ran checks a gradient" in ran.said


def test_a_test_that_leaves_no_result_makes_the_run_incomplete(run):
    ran = run("def test_it(gradient_check):\n    pass\ndef test_other(gradient_record):\n    gradient_record(result())")
    assert ran.code == 1
    assert "INCOMPLETE: 1 of 2 tests is not accounted for: test_inner.py::test_it left no result." in ran.said
    assert (ran.report()["verdict"], ran.report()["complete"]) == ("INCONCLUSIVE", False)
    for name in ("html", "md"):
        assert "INCOMPLETE" in (run.folder / f"reports/gradients.{name}").read_text(encoding="utf-8")


def test_a_test_owes_no_result_that_is_skipped_or_shares_one(run):
    source = """
@pytest.fixture(scope="module")
def shared(gradient_record):
    gradient_record(result("shared"))

def test_one(shared): pass
def test_two(shared): pass
def test_skipped(gradient_check): pytest.skip("not here")
@pytest.mark.xfail(reason="known", raises=ZeroDivisionError)
def test_expected(gradient_check): 1 / 0
def test_in_the_middle(request): request.getfixturevalue("gradient_record")(result("late"))
"""
    ran = run(source)
    assert ran.code == 0, ran.said
    report = ran.report()
    assert report["complete"] and report["tests"]["selected"] == 5
    tests = {record["name"]: record["data"]["test"] for record in report["records"] if record["kind"] == "case"}
    assert tests == {"shared": "test_inner.py::test_one", "late": "test_inner.py::test_in_the_middle"}


@either_way
@pytest.mark.parametrize("options", [(), ("--collect-only",), ("--setup-plan",)], ids=["run", "collected", "planned"])
def test_nothing_is_written_and_nothing_loaded_where_no_gradient_is_checked(run, processes, options):
    source = "def test_it(): pass\n" if not options else KEPT
    run.forks = None
    (run.folder / "conftest.py").write_text(
        """
import sys
def pytest_unconfigure(config):
    names = "numpy", "scipy", "bptt_check.testing.running", "bptt_check.report.html", "bptt_check.strategies"
    print("loaded:", [name for name in names if name in sys.modules])
""",
        encoding="utf-8",
    )
    (run.folder / "test_inner.py").write_text(source.replace("result()", "0"), encoding="utf-8")
    ran = run.end(run.begin(*processes, *options))
    assert ran.code == 0, ran.said
    assert "loaded: []" in ran.said
    assert sorted(path.name for path in run.folder.iterdir() if path.name != "__pycache__") == [
        "conftest.py",
        "test_inner.py",
        "tox.ini",
    ]


def test_the_plugin_may_be_named_in_every_way_at_once(run):
    name = "bptt_check.plugin"
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    assert declared["pytest11"] == {name: name}
    installed = run.folder / "site" / "inner-0.dist-info"
    installed.mkdir(parents=True)
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: inner\nVersion: 0\n", encoding="utf-8")
    (installed / "entry_points.txt").write_text(f"[pytest11]\n{name} = {name}\n", encoding="utf-8")
    run.environment["PYTHONPATH"] += f":{installed.parent}" if sys.platform != "win32" else f";{installed.parent}"
    (run.folder / "conftest.py").write_text(f"pytest_plugins = ['{name}']\n", encoding="utf-8")
    run.write(KEPT)
    run.forks = None  # a plugin that is loaded too early is warned of there
    for plugin in (("-p", name), ()):
        run.plugin = plugin
        ran = run.end(run.begin())
        assert ran.code == 0, ran.said
        assert len(ran.report()["records"]) == 3  # the plan, the result, how the test ended
    (run.folder / "conftest.py").unlink()
    ran = run.end(run.begin())
    assert ran.code == 0, ran.said
    run.plugin = ("-p", f"no:{name}")
    assert "fixture 'gradient_record' not found" in run.end(run.begin()).said


def test_a_project_gets_its_files_under_its_own_root(run):
    project = run.folder / "deep" / "project"
    project.mkdir(parents=True)
    (project / "pyproject.toml").write_text('[tool.pytest.ini_options]\ngradient_folder = "left"\n', encoding="utf-8")
    (project / "tests").mkdir()
    (project / "tests" / "test_inner.py").write_text(HEAD + KEPT, encoding="utf-8")
    ran = run.end(run.begin(str(project / "tests")))
    assert ran.code == 0, ran.said
    assert (project / "left" / "gradients.json").exists()
    assert {path.name for path in run.folder.iterdir()} == {"deep", "tox.ini"}


HOSTILE = (
    "<script>alert('1')</script>\x1b[31m\x00 ../../../x | `a` \u202e& \" ::error::hi\n::set-output name=a::b ##[group]"
)
IDS = ["<b>'\"../../y", "i" * 10_000, "::error::"]


@either_way
def test_names_from_outside_are_harmless_everywhere(run, processes):
    source = f"""
HOSTILE = {HOSTILE!r}
@pytest.mark.parametrize("name", [HOSTILE, HOSTILE * 200, "x" * 10_000], ids={IDS!r})
def test_it(gradient_record, name):
    gradient_record(result(name, 0.5, wrong=True, block=name, case={{"cell": name, name: 1, "odd": object}}))
"""
    names = ("x.html", "x.md", "x.json", "x.jsonl", "x.xml")
    run.environment |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(run.folder / "step.md")}
    ran = run(source, *processes, *(f"--gradient-report={name}" for name in names))
    assert ran.code == 0, ran.said
    texts = {name: (run.folder / name).read_text(encoding="utf-8") for name in (*names, "step.md")}
    for name, text in {**texts, "terminal": ran.said}.items():
        assert "\x1b" not in text and "\x00" not in text and "\u202e" not in text, name
        if name in ("x.html", "x.xml"):
            assert "<script>alert" not in text, name
    allowed = ("::error file=", "::notice::")
    for line in ran.said.splitlines():
        assert not line.lstrip().startswith("::") or line.startswith(allowed), line
        assert "##[" not in line
    assert len(ran.report("x.json")["disagreements"]) == 3
    assert sorted(p.name for p in run.folder.iterdir() if p.suffix != ".py" and p.name != "__pycache__") == sorted(
        [*names, "step.md", "tox.ini"]
    )


def test_a_gradient_with_a_hostile_name_fails_without_writing_it_to_the_terminal(run):
    source = "def test_it(gradient_check):\n    gradient_check(subject('\\x1b[31mred\\x00', 1.0))"
    ran = run(source, checked=True)
    assert ran.code == 1 and "\x1b" not in ran.said.replace("\\x1b", "") and "DISAGREES  red" in ran.said


def test_a_figure_that_is_not_finite_is_kept_as_strict_json(run):
    ran = run(TWO.replace("'a'", "'odd', float('nan')").replace("'b'", "'odder', float('inf')"))
    assert ran.code == 0, ran.said
    assert {record["name"] for record in ran.report()["records"]} >= {"odd", "odder"}
