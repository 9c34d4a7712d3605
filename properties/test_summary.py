"""What all records of a run say together: nothing unfinished reads as a pass, and the worst of everything is kept."""

from __future__ import annotations

import pytest
from reporting import (
    a_log,
    a_record,
    a_sweep,
)

from bptt_check.report.journal import RunLog
from bptt_check.report.record import Record
from bptt_check.report.summary import summarise
from bptt_check.results import Verdict


def test_one_disagreement_decides_the_run() -> None:
    summary = summarise(a_log(*map(a_record, range(5)), a_record(9, wrong=True)))
    assert summary.verdict is Verdict.DISAGREES
    assert [failure.name for failure in summary.disagreements] == ["case 9"]
    assert {line.name for line in summary.gradients if line.verdict is Verdict.DISAGREES} == {"W_fh"}
    assert {line.name for line in summary.equations if line.verdict is Verdict.DISAGREES} == {"B5"}
    assert summary.worst_gradient == "W_fh"


@pytest.mark.parametrize(
    "log",
    [
        a_log(),
        a_log(a_sweep()),
        a_log(Record(name="empty", verdict="AGREES")),
        a_log(Record(name="no verdict")),
        a_log(a_record(1), ended=False),
        a_log(a_record(1), planned=2),
        a_log(a_record(1), planned=0),
        a_log(a_record(1), Record(name="unsure", verdict="INCONCLUSIVE")),
    ],
    ids=["nothing", "only a sweep", "zero compared", "no verdict", "stopped", "missing", "too many", "inconclusive"],
)
def test_what_is_not_shown_to_agree_is_inconclusive(log: RunLog) -> None:
    assert summarise(log).verdict is Verdict.INCONCLUSIVE


def test_a_block_counts_for_each_of_its_equations() -> None:
    summary = summarise(a_log(a_record(1), a_record(2)))
    equations = {line.name: line for line in summary.equations}
    assert list(equations) == ["B1", "B2", "B5", "B6", "B7", "B8", "B9"]
    assert equations["B7"].related == ("h0", "x")
    assert (equations["B7"].cases, equations["B7"].entries) == (2, 24)


def test_the_worst_of_everything_is_kept() -> None:
    records = [a_record(seed) for seed in range(20)]
    summary = summarise(a_log(*records))
    for line in summary.gradients:
        errors = {r.name: b["max_relative_error"] for r in records for b in r.blocks if b["name"] == line.name}
        assert line.worst_error == max(errors.values()) == errors[line.worst_case]
    spread = {row.name: row for row in summary.spreads}["W_fh"]
    assert sum(number for _, number in spread.bins) + spread.exact == 20
    dh = next(row for row in summary.steps if row.name == "h(t)")
    assert dh.cases[0] == 20
    assert dh.errors[0] == max(b["by_step"][0] for r in records for b in r.blocks if b["name"] == "h(t)")
    assert sum(value or 0 for row in summary.cells_and_losses.values for value in row) == 20


def test_visits_of_the_regions_are_counted() -> None:
    shapes = [(1, 1, 2, 2), (5, 1, 2, 3), (4, 2, 3, 3)]
    cases = [Record(name=str(place), case=dict(zip("TBDH", shape, strict=True))) for place, shape in enumerate(shapes)]
    counted = {region.name: region.cases for region in summarise(a_log(*cases)).regions}
    assert counted == {"T = 1": 1, "T ≥ 5": 1, "B = 1": 2, "D = H": 2, "D ≠ H": 1}
