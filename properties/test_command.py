"""The command, as its user meets it: what it prints, what it leaves, and the exit code that a script relies on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from inner_runs import heeding_ctrl_c

from bptt_check.cli import main
from bptt_check.report.journal import read_journal
from bptt_check.testing.declared import OPTIONS

CELL = """
import numpy as np


class Rnn:
    state = ("h",)

    def parameters(self, D, H):
        return {"W": (H, D), "U": (H, H), "b": (H,)}

    def forward(self, p, x, prev, tap):
        h = np.tanh(x @ p["W"].T + prev["h"] @ p["U"].T + p["b"])
        return {"h": h}, (x, prev["h"], h)

    def backward(self, p, cache, d):
        x, before, h = cache
        dz = d["h"] * (1 - h**2)
        return {"W": dz.T @ x, "U": dz.T @ before, "b": dz.sum(axis=0)}, dz @ p["W"], {"h": dz @ p["U"]}
"""

FUNCTIONS = """
import ctypes, os, sys, time
import numpy as np
from bptt_check import Subject


def subject(T, B, D, H, rng):
    def loss(p):
        {loss}
        return (p["w"] ** 3).sum() + (p["h0"] ** 2).sum()

    def gradient(p):
        {gradient}
        return {{"w": {slope}, "h0": 2 * p["h0"]}}

    return Subject.from_functions(loss, gradient, {{"w": rng.normal(size=(T, B, H)), "h0": {state}}})
"""
RIGHT, WRONG = "3 * p['w'] ** 2", "3 * p['w'] ** 2 * (1 + (T > 1))"


def functions(
    loss: str = "pass", gradient: str = "pass", slope: str = RIGHT, state: str = "rng.normal(size=(B, H))"
) -> str:
    return FUNCTIONS.format(loss=loss, gradient=gradient, slope=slope, state=state)


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Ran:
    """A run of the command in this process: its exit code and what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> None:
        try:
            self.code = main(arguments)
        except SystemExit as error:  # argparse's way
            self.code = int(error.code or 0)
        self.out, self.err = capsys.readouterr()


def verify(capsys: pytest.CaptureFixture[str], text: str, *arguments: str) -> Ran:
    Path("mine.py").write_text(text)
    return Ran(capsys, "verify", "mine.py", *arguments)


# What is right, wrong, undecided


def test_a_right_cell_agrees_over_shapes_and_losses(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, CELL, "--cases", "3")
    assert ran.code == 0
    assert ran.out.startswith("AGREES  mine.py")
    assert ran.err == ""  # no progress where nobody watches
    log = read_journal("reports/mine.jsonl")
    assert log.complete and len(log.records) == 12
    assert {record.case["loss"] for record in log.records} >= {"euclidean", "last_step"}
    assert all(Path(f"reports/mine.{kind}").is_file() for kind in ("json", "md", "html"))
    json.loads(Path("reports/mine.json").read_text())


def test_a_wrong_gradient_is_shown_at_the_smallest_shape_with_a_line_that_reproduces_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = verify(capsys, functions(slope=WRONG), "--seed", "4")
    assert ran.code == 1
    assert "Pattern: every case with T > 1 disagrees, every other agrees." in ran.out
    assert "The smallest case found that does not agree: T=2, B=1, D=1, H=1, seed 4" in ran.out
    line = "Reproduce it:  bptt-check verify mine.py --shapes T=2,B=1,D=1,H=1 --seed 4"
    assert line in ran.out.splitlines()
    again = Ran(capsys, *line.split("bptt-check ")[1].split())
    assert again.code == 1
    assert row_of(again.out, "w") == row_of(ran.out, "w")
    assert "DISAGREES" in row_of(again.out, "w")


def row_of(printed: str, name: str) -> str:
    """The line of that gradient in the result table of the smallest case."""
    table = printed.partition("The smallest case found")[2]
    return next(line for line in table.splitlines() if line.startswith(f"  {name} "))


def test_a_held_case_reproduces_the_failure_even_without_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(slope=WRONG))
    held = json.loads(Path("reports/mine.case.json").read_text())
    assert held["shape"] == {"T": 2, "B": 1, "D": 1, "H": 1}
    Path("mine.py").write_text(functions(slope=WRONG).replace("rng.normal", "0.5 + 0 * rng.normal"))
    again = Ran(capsys, "verify", "mine.py", "--case", "reports/mine.case.json")
    assert again.code == 1
    assert row_of(again.out, "w") == row_of(ran.out, "w")
    assert "verify mine.py --case reports/mine.case.json" in again.out
    assert json.loads(Path("reports/mine.case.json").read_text()) == held  # the file itself is not written over


def test_a_fault_that_shows_in_large_shapes_only_is_shrunk(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(slope="3 * p['w'] ** 2 * (1 + (T > 3 and H > 1))"))
    assert ran.code == 1
    assert "does not agree: T=4, B=1, D=1, H=2, seed 0" in ran.out
    log = read_journal("reports/mine.jsonl")
    assert log.complete and log.planned == len(log.records) - 1, "it is counted with none of those that were planned"
    page = Path("reports/mine.html").read_text()
    first = page.partition("<article>")[2].partition("</article>")[0]
    assert "T=4, B=1, D=1, H=2, seed 0, the smallest" in first
    assert "bptt-check verify mine.py --case reports/mine.case.json" in first


def test_what_nothing_explains_is_looked_for_twice_and_at_the_smallest_case(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(slope="3 * np.exp(p['w'])"))
    assert ran.code == 1
    found = [{finding["kind"] for finding in record.findings} for record in read_journal("reports/mine.jsonl").records]
    assert len(found) > 4
    assert ["no-known-cause" in kinds for kinds in found] == [True, True, *[False] * (len(found) - 3), True]


def test_code_that_raises_at_one_shape_is_inconclusive_and_the_place_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    ran = verify(capsys, functions(gradient="if T == 1: p['nothing']"))
    assert ran.code == 3
    assert "Pattern: every case with T = 1 is inconclusive" in ran.out
    assert "raised in mine.py, line 13, in gradient" in ran.out


def test_a_loss_that_differs_when_repeated_is_inconclusive(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(loss="return rng.normal()"), "--cases", "2")
    assert ran.code == 3
    assert "random-loss" in ran.out


def test_initial_states_of_zero_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(state="np.zeros((B, H))"), "--cases", "2")
    assert "zero-states (in 2 cases): h0 zero throughout" in ran.out


def test_quiet_prints_the_verdict_and_how_to_reproduce_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(slope=WRONG), "--quiet")
    verdict, reproduce, held = ran.out.splitlines()
    assert verdict == "DISAGREES  mine.py"
    assert reproduce.startswith("Reproduce it:") and held.startswith("Held exactly:")


def test_arrays_of_an_npz_replace_those_drawn_and_give_the_shape(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("p.npz", x=np.full((4, 2, 3), 0.5), h0=np.full((2, 2), 0.25), W=np.full((2, 3), 0.125))
    ran = verify(capsys, CELL, "--point", "p.npz", "--losses", "euclidean")
    assert ran.code == 0
    (record,) = read_journal("reports/mine.jsonl").records
    assert [record.case[letter] for letter in "TBDH"] == [4, 2, 3, 2]


def test_a_package_and_a_ready_subject_are_verified_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    Path("package_under_test").mkdir()
    Path("package_under_test/mod.py").write_text(CELL)
    ran = Ran(capsys, "verify", "package_under_test.mod:Rnn", "--shapes", "T=2,B=1,D=1,H=1", "--losses", "huber")
    assert ran.code == 0
    assert Path("reports/package_under_test.mod.Rnn.md").is_file()
    ready = "from bptt_check import Subject\nimport numpy as np\n"
    ready += "s = Subject.from_functions(lambda p: p['w'].sum(), lambda p: {'w': np.ones(2)}, {'w': np.ones(2)})\n"
    assert verify(capsys, ready).code == 0


# Code that does not behave


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import sys; sys.exit(0)", "calls sys.exit(0) when it is imported"),
        ("def f(:", "mine.py is not Python: invalid syntax (line 1)"),
        ("x = 1", "defines nothing to verify"),
        ("\n1 / 0", "ZeroDivisionError: division by zero (line 2)"),
        ("import no_such_library", "No module named 'no_such_library'"),
        ("import ctypes; ctypes.string_at(0)", "crashed the interpreter (SIGSEGV), in mine.py, line 1"),
        ("while True: pass", "still running after 0.5 s, in mine.py, line 1"),
        (
            "class A:\n  def forward(self): pass\n  def backward(self): pass",
            "no state, parameters, so it is not a cell",
        ),
    ],
)
def test_a_file_that_does_not_load_is_a_usage_error_in_one_line(
    capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    ran = verify(capsys, text, "--time", "0.5")
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1 and ran.out == ""


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("sys.exit(5)", "raised"),
        ("os._exit(5)", "ended"),
        ("ctypes.string_at(0)", "crashed"),
        ("while T > 1: pass", "timed-out"),
    ],
)
def test_code_that_ends_or_hangs_a_case_is_inconclusive_and_named(
    capsys: pytest.CaptureFixture[str], loss: str, kind: str
) -> None:
    ran = verify(capsys, functions(loss=loss), "--time", "0.5", "--shapes", "T=2,B=1,D=1,H=1")
    assert ran.code == 3
    assert f"finding: {kind}: " in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert "Reproduce it:  bptt-check verify mine.py --shapes T=2,B=1,D=1,H=1" in ran.out


def test_one_lost_case_does_not_lose_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(
        capsys, functions(loss="if T == 2: os._exit(1)"), "--shapes", ";".join(f"T={t},B=1,D=1,H=1" for t in (1, 2, 3))
    )
    assert ran.code == 3
    verdicts = [record.verdict for record in read_journal("reports/mine.jsonl").records]
    assert verdicts == ["AGREES", "INCONCLUSIVE", "AGREES"]


def test_a_run_is_given_up_after_two_lost_cases_and_says_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(loss="os._exit(1)"))
    assert ran.code == 3
    assert "2 cases in a row were lost (ended); 8 were not tried" in ran.out
    assert ran.out.startswith("INCOMPLETE")
    assert not read_journal("reports/mine.jsonl").complete


def test_what_the_code_prints_is_kept_off_the_terminal_and_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(loss="os.write(1, b'x' * 2_000_000); print('noise')"), "--cases", "1")
    assert ran.code == 0
    assert "prints (in 1 case)" in ran.out
    assert "xxx" * 100 not in ran.out and "noise\n" not in ran.out


def test_code_that_forks_is_verified_once_and_mentioned(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(loss="os.fork()"), "--shapes", "T=1,B=1,D=1,H=1", "--time", "20")
    assert ran.code == 0
    assert re.search(r"forks \(in 1 case\): the code starts \d+ processes of its own", ran.out)
    assert len(read_journal("reports/mine.jsonl").records) == 1


def test_code_that_reads_the_keyboard_gets_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    ran = verify(capsys, functions(loss="input()"), "--cases", "1")
    assert ran.code == 3 and "EOFError" in ran.out


# Usage


@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "nowhere.py"),
        ("verify", "neither"),
        ("verify", "mine.py", "--shapes", "T=1"),
        ("verify", "mine.py", "--shapes", "T=1,B=1,D=1,H=1", "--cases", "3"),
        ("verify", "mine.py", "--losses", "no_such_loss"),
        ("verify", "mine.py", "--optional", "no_such_gradient"),
        ("verify", "mine.py", "--time", "0"),
        ("verify", "mine.py", "--case", "nowhere.json"),
        ("verify", "mine.py", "--reports", "/proc/nowhere"),
        ("--reports", "/proc/nowhere"),
        ("--cases", "0"),
        ("report", "nowhere.jsonl"),
        ("no-such-command",),
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    Path("mine.py").write_text(CELL)
    ran = Ran(capsys, *arguments)
    assert ran.code == 2
    assert ran.out == "" and "Traceback" not in ran.err
    assert re.search(r"^bptt-check( \w+)?: ", ran.err, re.MULTILINE)


def test_options_before_verify_hold_behind_it(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text(CELL)
    ran = Ran(capsys, "--reports", "elsewhere", "--seed", "9", "verify", "mine.py", "--cases", "1", "--losses", "huber")
    assert ran.code == 0
    assert read_journal("elsewhere/mine.jsonl").records[0].case["seed"] == 9


# The main job


def test_the_main_job_verifies_the_built_in_cells_and_leaves_its_reports(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "--cases", "8", "--jobs", "1")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("AGREES  built-in cells, 8 random cases, seed 0")
    for written in ("W_gx", "worst error", "Reports: reports/builtin.html"):
        assert written in ran.out
    assert "slope" in Path("reports/builtin.html").read_text()  # the sweep is in it


def test_a_torn_journal_renders_as_incomplete(capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "--cases", "3", "--jobs", "1")
    Path("torn.jsonl").write_bytes(Path("reports/builtin.jsonl").read_bytes()[:-900])
    ran = Ran(capsys, "report", "torn.jsonl")
    assert ran.code == 3
    assert ran.out.startswith("INCOMPLETE")
    assert "INCOMPLETE" in Path("torn.md").read_text()


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    return subprocess.Popen(
        [sys.executable, "-m", "bptt_check", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=heeding_ctrl_c,
    )


def wait_for_records(journal: Path, number: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if journal.is_file() and len(journal.read_bytes().splitlines()) > number:
            return
        time.sleep(0.05)
    pytest.fail(f"{journal} has not got {number} records within a minute")


@pytest.mark.timeout(120)
def test_ctrl_c_leaves_a_journal_that_renders_as_incomplete() -> None:
    with start("--cases", "5000", "--jobs", "2") as process:
        wait_for_records(Path("reports/builtin.jsonl"), 3)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of its processes
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out.startswith("INCOMPLETE") and "the run was interrupted" in out
    assert "Traceback" not in err
    assert "INCOMPLETE" in Path("reports/builtin.md").read_text()


@pytest.mark.timeout(120)
def test_python_m_is_the_command_and_shows_help_without_numpy() -> None:
    with start("--version") as process:
        assert process.communicate(timeout=60)[0].startswith("bptt-check ")
    probe = "import sys; from bptt_check.cli import main\n"
    probe += "try: main(['--help'])\nexcept SystemExit: print('numpy' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, cwd=Path(__file__).parent.parent, timeout=60
    )
    assert ran.stdout.rstrip().endswith("False")


@pytest.mark.timeout(120)
def test_a_reader_that_leaves_early_does_not_change_the_exit_code() -> None:
    Path("mine.py").write_text(functions(slope=WRONG))
    with start("verify", "mine.py") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=60) == 1
        assert process.stderr is not None and "Traceback" not in process.stderr.read()


# Saved runs


def test_runs_are_saved_listed_and_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(capsys, functions(), "--save", "right", "--cases", "2").code == 0
    wrong = verify(capsys, functions(slope=WRONG), "--cases", "2", "--compare", "right", "--save", "wrong")
    assert wrong.code == 1
    assert re.search(r"From run 1 right, .*: \d worse, 0 missing, 0 better, 0 new, \d+ same", wrong.out)
    assert "Saved: reports/runs/0002.jsonl" in wrong.out
    listed = Ran(capsys, "list")
    assert listed.code == 0
    assert [line.split()[:2] for line in listed.out.splitlines()] == [["run", "name"], ["1", "right"], ["2", "wrong"]]
    for arguments, code in (
        (("right",), 0),
        (("right", "wrong", "--fail-on", "missing"), 0),
        (("right", "--fail-on", "missing", "--fail-on", "max_error:10x"), 1),
        (("wrong", "right", "--fail-on", "worse"), 0),
        (("reports/runs/0001.jsonl", "reports/mine.json", "--fail-on", "worse"), 1),
        (("reports/mine.jsonl", "last", "--fail-on", "worse"), 0),
    ):
        ran = Ran(capsys, "compare", *arguments)
        assert (ran.code, ran.err) == (code, ""), arguments
        assert ran.out.strip().startswith("From ")


def test_a_rule_that_is_broken_fails_a_run_that_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert verify(capsys, functions(), "--cases", "3", "--save", "main").code == 0
    ran = verify(capsys, functions(), "--cases", "2", "--compare", "last", "--fail-on", "missing", "--quiet")
    assert ran.code == 1
    assert ran.out.splitlines()[-1].startswith("missing: mine, T=")
    same = verify(
        capsys, functions(), "--cases", "3", "--compare", "last", "--fail-on", "worse", "--fail-on", "missing"
    )
    assert same.code == 0


def test_an_incomplete_run_keeps_no_rule_and_is_not_saved(capsys: pytest.CaptureFixture[str]) -> None:
    verify(capsys, functions(), "--cases", "2", "--save", "main")
    journal = Path("reports/mine.jsonl")
    Path("torn.jsonl").write_bytes(b"".join(journal.read_bytes().splitlines(keepends=True)[:-1]))
    ran = Ran(capsys, "report", "torn.jsonl", "--compare", "main", "--fail-on", "worse", "--save", "torn")
    assert ran.code == 3
    assert "Not saved: the run is incomplete." in ran.out
    assert Ran(capsys, "compare", "main", "torn.jsonl", "--fail-on", "worse").code == 3
    assert "torn" not in Ran(capsys, "list").out


def test_old_runs_go_as_many_as_are_kept(capsys: pytest.CaptureFixture[str]) -> None:
    verify(capsys, functions(), "--cases", "1")
    for _ in range(4):
        assert Ran(capsys, "report", "reports/mine.jsonl", "--save", "mine", "--keep", "2").code == 0
    assert [line.split()[0] for line in Ran(capsys, "list").out.splitlines()] == ["run", "3", "4"]


def test_a_report_is_written_where_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    verify(capsys, functions(), "--cases", "1")
    before = sorted(Path("reports").iterdir())
    wanted = [f"r.{kind}" for kind in ("html", "md", "json", "jsonl", "XML")]
    ran = Ran(capsys, "report", "reports/mine.jsonl", *(word for name in wanted for word in ("-o", name)))
    assert ran.code == 0
    assert "Reports: r.html, r.md, r.json, r.jsonl, r.XML" in ran.out
    assert Path("r.jsonl").read_bytes() == Path("reports/mine.jsonl").read_bytes()
    assert Path("r.html").read_bytes() == Path("reports/mine.html").read_bytes()
    assert sorted(Path("reports").iterdir()) == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("compare", "nothing"), "no saved run 'nothing'"),
        (("compare", "nowhere.jsonl"), "cannot read nowhere.jsonl"),
        (("compare", "mine.py", "./mine.py"), "no saved run 'mine.py'"),
        (("compare", "./mine.py"), "no saved run, a journal or a report in JSON"),
        (("compare", "last", "--fail-on", "anything"), "there is no rule 'anything'"),
        (("verify", "mine.py", "--compare", "last"), "no saved run 'last'"),
        (("verify", "mine.py", "--fail-on", "worse"), "--fail-on needs --compare"),
        (("verify", "mine.py", "--keep", "3"), "--keep needs --save"),
        (("verify", "mine.py", "--save", "a", "--keep", "some"), "neither how many runs"),
        (("verify", "mine.py", "--save", "../a"), "a run cannot be named '../a'"),
        (("--save", "<script>"), "a run cannot be named"),
        (("--compare", "last"), "no saved run 'last'"),
        (("report", "reports/mine.jsonl", "-o", "r.pdf"), "ends in none of .html, .md, .json, .jsonl, .xml"),
        (("report", "reports/mine.jsonl", "-o", "reports/../reports/mine.jsonl"), "would replace the journal"),
        (("report", "reports/mine.jsonl", "-o", "nowhere/r.md"), "the folder is not there"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_saved_or_compared_is_told_before_anything_runs(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    Path("mine.py").write_text(CELL)
    Path("reports").mkdir()
    Path("reports/mine.jsonl").write_text('{"schema":1,"kind":"header","title":"t","planned":null,"environment":{}}\n')
    ran = Ran(capsys, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err and ran.err.count("\n") == 1
    assert sorted(path.name for path in Path("reports").iterdir()) in (["mine.jsonl"], ["mine.jsonl", "runs"])


# What is asked for, and what shows while it is done


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cases", "0"), "'0' is not a whole number of at least 1"),
        (("--cases", "ten"), "'ten' is not a whole number of at least 1"),
        (("--seed", "-1"), "'-1' is not a whole number of at least 0"),
        (("verify", "mine.py", "--time", "0"), "'0' is not a number of seconds above 0"),
        (("verify", "mine.py", "--resolution", "often"), "'often' is not a number between 1e-15 and 1"),
        (("verify", "mine.py", "--resolution", "nan"), "'nan' is not a number between 1e-15 and 1"),
        (("verify", "mine.py", "--point", "none.npz"), "there is no file none.npz"),
    ],
)
def test_a_number_or_file_that_cannot_be_is_refused_by_option(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    ran = Ran(capsys, *arguments)
    assert ran.code == 2
    assert f"argument {arguments[-2]}: {said}" in ran.err and not Path("reports").exists()


def test_the_first_two_minutes_lead_from_nothing_to_a_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "init", "first.py")
    assert ran.code == 0
    line = ran.out.partition("verify it with  ")[2].split()
    assert line[:2] == ["bptt-check", "verify"]
    assert Ran(capsys, *line[1:], "--cases", "2").code == 0
    assert Ran(capsys, "init", "first.py").code == 2, "what is there is not overwritten"
    ran = Ran(capsys, "demo")
    assert ran.code == 0 and "looks exactly like" in ran.out


def test_an_interrupt_before_anything_has_run_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bptt_check.starting.write", interrupted)
    ran = Ran(capsys, "init", "first.py")
    assert (ran.code, ran.err.strip()) == (130, "bptt-check: interrupted")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no pseudo-terminal")
@pytest.mark.parametrize("command", [("--cases", "3", "--jobs", "1"), ("verify", "mine.py", "--cases", "2")])
def test_where_somebody_watches_a_line_shows_how_far_it_is(command: tuple[str, ...]) -> None:
    import pty

    Path("mine.py").write_text(functions())
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    watched = [sys.executable, "-m", "bptt_check", *command]
    ran = subprocess.run(watched, stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=120)
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert ran.returncode == 0 and b"%" not in ran.stdout
    assert re.search(r"\[\.+\] 0/\d+    0 %", shown) and re.search(r"\[#{24}\] (\d+)/\1  100 %", shown), shown


def test_every_option_of_the_plugin_has_its_twin(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name, *_ in OPTIONS]
    twins = {name: name for name in names} | {"report": "output", "folder": "reports"}
    shown = Ran(capsys, "report", "--help").out
    assert [name for name in names if f"--{twins[name]}" not in shown] == ["depth"], "a journal knows nothing of that"
    assert "--entries" in Ran(capsys, "verify", "--help").out


def test_a_journal_is_rendered_under_another_title_and_kept_where_one_says(capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "--cases", "3", "--jobs", "1")
    ran = Ran(capsys, "report", "reports", "--title", "mine", "--quiet", "--save", "one", "--runs", "kept")
    assert (ran.code, ran.out) == (0, "AGREES  mine\n")
    assert "Gradient report: mine" in Path("reports/builtin.html").read_text()
    assert not Path("reports/runs").exists() and "one" in Ran(capsys, "list", "--runs", "kept").out
    assert Ran(capsys, "compare", "one", "--runs", "kept").code == 0
    page = Path("elsewhere.html")
    ran = Ran(capsys, "report", "reports", "--title", "mine", "-o", str(page), "--runs", "kept", "--compare", "last")
    assert ran.code == 0 and "Reports: elsewhere.html" in ran.out
    assert "From run to run" in page.read_text() and "Gradient report: mine" in page.read_text()


# What a file may define


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        (CELL + CELL.replace("Rnn", "Other"), "mine.py", "defines Rnn, Other; say which is meant, as mine.py:Rnn"),
        (CELL, "mine.py:Nothing", "mine.py has no Nothing; it defines np, Rnn"),
        (
            "class Half:\n    def forward(self): ...\n    backward = forward\n",
            "mine.py",
            "Half has forward, backward but",
        ),
        ("subject = 3\n", "mine.py", "is of type int; it must be"),
        ("def subject(size): ...\n", "mine.py", "asks for size; it is called with T, B, D, H and rng, by name"),
        (
            "def subject(T): return 3\n",
            "mine.py",
            "must return a bptt_check.Subject; it returned int",
        ),
        ("x = 1\ny = 1 / 0\n", "mine.py", "(line 2)"),
        ("def subject(T): raise ValueError('not today')\n", "mine.py", "raised: ValueError: not today"),
        ("import sys\ndef subject(T): sys.exit(3)\n", "mine.py", "the code calls sys.exit(3); it must return instead"),
    ],
)
def test_a_file_that_defines_something_else_is_told_what_it_must(
    capsys: pytest.CaptureFixture[str], text: str, target: str, said: str
) -> None:
    Path("mine.py").write_text(text)
    ran = Ran(capsys, "verify", target, "--cases", "1")
    assert ran.code in (2, 3)
    assert said in " ".join((ran.out + ran.err).split()), ran.out + ran.err


@pytest.mark.parametrize(
    "define",
    ["def subject(**given):", "def subject(*rest, T=2, rng=None):"],
)
def test_a_function_gets_what_it_asks_for_by_name(capsys: pytest.CaptureFixture[str], define: str) -> None:
    pair = "lambda p: (p['w'] ** 2).sum(), lambda p: {'w': 2 * p['w']}"
    body = f"    return Subject.from_functions({pair}, {{'w': np.ones(2)}})"
    ran = verify(capsys, f"import numpy as np\nfrom bptt_check import Subject\n{define}\n{body}\n", "--cases", "2")
    assert ran.code == 0, ran.out + ran.err


PLAIN = """
import numpy as np
from bptt_check import Subject
def subject():
    return Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, {"w": np.ones(2)})
"""


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        (PLAIN, ("--shapes", "T=1,B=1,D=1,H=1"), "--shapes does not fit: mine takes none of T, B, D, H"),
        (functions(), ("--case", "shapeless.json"), "holds no shape, and mine takes one"),
        (CELL, ("--point", "weights.npz"), "does not hold both x (T, B, D) and an initial state"),
        (CELL, ("--optional", "nothing"), "--optional names nothing; the gradients are"),
        (PLAIN, ("--losses", "euclidean"), "--losses is for cells; mine brings its own loss"),
        (CELL, ("--losses", "cubic"), "--losses: "),
        ("import os\nos._exit(7)\n", (), "cannot be loaded: it ended the interpreter with exit code 7"),
    ],
)
def test_an_option_that_does_not_fit_what_the_file_defines_is_refused(
    capsys: pytest.CaptureFixture[str], text: str, arguments: tuple[str, ...], said: str
) -> None:
    Path("shapeless.json").write_text('{"kind": "bptt-check case", "schema": 1, "seed": 1}')
    np.savez("weights.npz", W=np.ones((2, 2)))
    ran = verify(capsys, text, *arguments)
    assert ran.code == 2 and said in ran.err, ran.err


def test_a_target_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "verify", "..:x")
    assert ran.code == 2 and ran.err.count("\n") == 1


def test_an_array_file_that_holds_no_named_arrays_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("bare.npy", np.ones(2))
    np.savez("objects.npz", x=np.array([{}], dtype=object))
    Path("rubbish.npz").write_bytes(b"PK rubbish")
    for name, said in (("bare.npy", "one bare array"), ("objects.npz", "unpickled"), ("rubbish.npz", "cannot be read")):
        ran = verify(capsys, CELL, "--point", name)
        assert ran.code == 2 and said in ran.err, (name, ran.err)
