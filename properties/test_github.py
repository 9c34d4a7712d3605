"""What GitHub shows: at most nine annotations and a count, a step summary below its limit, all of it escaped."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inner_runs import either_way, forks, run

from bptt_check.report.github import SUMMARY_LIMIT, harmless, step_summary, workflow_commands
from bptt_check.report.record import record_of
from bptt_check.report.runlog import RunLog
from bptt_check.report.summary import summarise
from bptt_check.report.tests import ending_of, plan_of
from bptt_check.results import Block, Result, Verdict
from bptt_check.testing.ending import STEP_SUMMARY_LIMIT

pytest_plugins = ["pytester"]
__all__ = ["forks", "run"]


def a_summary(*names, wrong=True, blocks=1, lost=()):
    verdict = Verdict.DISAGREES if wrong else Verdict.AGREES
    records = []
    for name in names:
        made = {}
        for k in range(blocks):
            made[f"W{k}{name}"] = Block(f"W{k}{name}", verdict, (1,), None, 1, 0.5, 1e9, (0,), 1.0, 2.0, 1e-9)
        records.append(record_of(Result(name, verdict, made)))
        records.append(ending_of(name, outcome="failed", attempt=1, results=1, asked=True, file="a,b:c.py", line=3))
    return summarise(RunLog("a run", records=(*plan_of([*names, *lost]), *records), ended=True))


@pytest.mark.parametrize(("wrong", "shown"), [(0, 0), (1, 1), (9, 9), (10, 10), (40, 10)])
def test_there_are_at_most_nine_annotations_and_a_count(wrong, shown):
    commands = workflow_commands(a_summary(*(f"case {k}" for k in range(wrong))))
    assert len(commands) == shown
    if wrong > 9:
        assert re.fullmatch(rf"::notice::and {wrong - 9} more findings? about gradients, in the report", commands[-1])


def test_what_became_worse_and_what_is_missing_is_annotated_too():
    commands = workflow_commands(a_summary(lost=["t.py::test_lost"]), ["max_error:10x: W became worse"])
    assert commands == [
        "::error title=gradient worse than before::max_error%3A10x: W became worse".replace("%3A", ":", 1),
        "::error title=gradient check without a result::t.py::test_lost did not come to its end",
    ]


@given(st.text(), st.text())
def test_a_command_is_one_line_whose_properties_and_text_stay_apart(name, sentence):
    for command in workflow_commands(a_summary(name), [sentence]):
        assert len(command.splitlines()) <= 1
        head = re.match(r"::(error|warning|notice) ([^:]*)::", command)
        assert head, command
        assert {pair.partition("=")[0] for pair in head[2].split(",")} <= {"title", "file", "line"}


@given(st.text())
def test_no_line_reads_as_a_command(text):
    for line in harmless(f"::{text}").splitlines()[:1]:
        assert not line.lstrip().startswith("::") and "##[" not in line


@pytest.mark.parametrize("room", [SUMMARY_LIMIT, 100_000, 3_000, 10, -5])
def test_a_step_summary_fits_and_says_the_verdict(room):
    summary = a_summary(*(f"case {k} " + "é" * 100 for k in range(300)), blocks=8)
    text = step_summary(summary, room=room)
    assert len(text.encode()) <= max(room, 0)
    assert not text or "DISAGREES" in text
    assert bool(text) == (room > 100)


def test_a_run_that_is_incomplete_is_an_annotation_too():
    (command,) = workflow_commands(summarise(RunLog("a run", planned=3, ended=True)))
    assert command.startswith("::error title=gradient report::INCOMPLETE")


def test_a_summary_of_the_step_that_cannot_be_written_fails_the_run_and_loses_no_report(run):
    run.environment |= {"GITHUB_STEP_SUMMARY": str(run.folder)}  # a folder
    ran = run("def test_it(gradient_record):\n    gradient_record(result())\n")
    assert ran.code == 1 and "the summary of the step could not be written" in ran.said
    assert ran.report()["complete"]


@either_way
def test_on_github_a_run_leaves_annotations_and_a_summary_of_the_step(run, processes):
    step = run.folder / "step.md"
    step.write_text("# from a step before\n", encoding="utf-8")
    run.environment |= {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(step)}
    source = "\ndef test_it(gradient_record):\n    gradient_record(result('a', 0.5, wrong=True))\n"
    path = run.write(source)
    line = path.read_text(encoding="utf-8").splitlines().index("def test_it(gradient_record):") + 1
    ran = run(source, *processes)
    assert ran.code == 0, ran.said
    start = f"::error file=test_inner.py,line={line},title=gradient DISAGREES::test_inner"
    commands = [said for said in ran.said.splitlines() if said.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith(start.partition("::test_inner")[0] + "::a: W (relative error 0.50)%0A"), commands
    text = step.read_text(encoding="utf-8")
    assert text.startswith("# from a step before\n") and "**DISAGREES**" in text


def test_a_step_summary_that_is_nearly_full_stays_below_the_limit(run):
    step = run.folder / "step.md"
    step.write_bytes(b"x" * (STEP_SUMMARY_LIMIT - 300))  # by steps before, which count as well
    run.environment |= {"GITHUB_STEP_SUMMARY": str(step)}
    ran = run("def test_it(gradient_record):\n    gradient_record(result())\n")
    assert ran.code == 0, ran.said
    assert STEP_SUMMARY_LIMIT - 300 < step.stat().st_size <= STEP_SUMMARY_LIMIT < SUMMARY_LIMIT
    assert step.read_text(encoding="utf-8").lstrip("x").startswith("**AGREES**")


def test_elsewhere_nothing_is_said_to_github(run):
    ran = run("def test_it(gradient_record):\n    gradient_record(result('a', 0.5, wrong=True))\n")
    assert "\n::" not in ran.said
