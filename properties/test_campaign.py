"""Campaigns: cases as data, runs that keep what they find, and what tells one failing case from another."""

from __future__ import annotations

import json
import os
import pickle
import signal
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bptt_check.campaign.case import Case, random_cases, run_case
from bptt_check.campaign.held import Trial, decoded, encoded, read_case, write_case
from bptt_check.campaign.overview import grouped, where_it_fails
from bptt_check.campaign.run import run, run_work, workers
from bptt_check.campaign.shapes import FIXED, Shape, parse_shapes, shapes_to_try
from bptt_check.campaign.sweep import Sweep, run_sweep
from bptt_check.campaign.tried import Tried
from bptt_check.errors import UsageError
from bptt_check.lstm.losses import LOSS_NAMES
from bptt_check.lstm.variants import VARIANTS
from bptt_check.report.files import render
from bptt_check.report.journal import read_journal
from bptt_check.report.model import Grid
from bptt_check.report.record import Record
from bptt_check.report.summary import summarise

SMALL = Case("post", "euclidean", T=2, B=1, D=2, H=2, seed=3)


def named_record(name: str) -> Record:
    block: dict[str, Any] = {"name": "w", "verdict": "AGREES", "shape": [1], "equation": None, "compared": 1}
    block |= {"max_relative_error": 0.0, "tolerance_ratio": 0.0, "index": [0], "analytic": 1.0, "reference": 1.0}
    return Record(name=name, verdict="AGREES", blocks=({**block, "resolution": 1e-9, "by_step": None, "note": ""},))


def record_or_die(name: str) -> Record:
    if name == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    return named_record(name)


def record_or_raise(name: str) -> Record:
    if name == "raise":
        raise ValueError("as planned")
    return named_record(name)


def interrupted_at_three(name: str) -> Record:
    if name == "3":
        raise KeyboardInterrupt
    return named_record(name)


# Cases


def test_the_same_seed_deals_the_same_cases_and_a_longer_run_begins_with_them() -> None:
    assert random_cases(40, 7) == random_cases(100, 7)[:40]
    assert random_cases(40, 7) != random_cases(40, 8)


def test_random_cases_visit_every_cell_loss_and_region() -> None:
    cases = random_cases(300, 0)
    assert {case.cell for case in cases} == {variant.name for variant in VARIANTS}
    assert {case.loss for case in cases} > set(LOSS_NAMES)
    assert 0.4 < sum(case.cell in ("post", "NP") for case in cases) / 300 < 0.6
    for region in (
        [case.T == 1 for case in cases],
        [case.T >= 5 for case in cases],
        [case.B == 1 for case in cases],
        [case.D == case.H for case in cases],
        [case.D != case.H for case in cases],
    ):
        assert sum(region) > 30
    assert len({case.name for case in cases}) == 300


def test_a_run_of_no_cases_is_refused() -> None:
    with pytest.raises(UsageError, match="at least 1"):
        random_cases(0)


def test_a_case_survives_pickle_and_json() -> None:
    assert pickle.loads(pickle.dumps(SMALL)) == SMALL
    assert Case.from_json(json.loads(json.dumps(SMALL.as_json()))) == SMALL


@pytest.mark.parametrize(
    ("change", "named"),
    [({"T": "2"}, "T of a case must be int"), ({"extra": 1}, "extra is unknown"), ({"B": True}, "B of a case")],
)
def test_a_case_that_is_none_is_refused_by_field(change: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Case.from_json({**SMALL.as_json(), **change})


def test_a_case_lacking_a_field_is_refused() -> None:
    with pytest.raises(UsageError, match="seed is missing"):
        Case.from_json({key: value for key, value in SMALL.as_json().items() if key != "seed"})


@pytest.mark.parametrize("case", random_cases(12, seed=1), ids=lambda case: case.name)
def test_built_in_cases_agree(case: Case) -> None:
    record = run_case(case)
    assert (record.verdict, record.name) == ("AGREES", case.name)
    assert Case.from_json(record.case) == case
    json.dumps(record.as_json(), allow_nan=False)


def test_the_precision_of_a_case_reaches_the_subject() -> None:
    single = Case(**{**SMALL.as_json(), "dtype": "float32"})
    assert {array.dtype for array in single.subject().point.values()} == {np.dtype(np.float32)}
    assert run_case(single).verdict != "DISAGREES"


def test_what_fails_inside_a_case_is_a_record_with_a_line_that_repeats_it() -> None:
    record = run_case(Case("no such cell", "euclidean", T=1, B=1, D=1, H=1, seed=0))
    assert record.verdict == "INCONCLUSIVE"
    assert "no such cell" in record.findings[0]["message"]
    assert record.data["reproduce"].startswith("python -c")
    assert run_case(Case(**{**SMALL.as_json(), "dtype": "int8"})).verdict == "INCONCLUSIVE"


# The sweep


def test_the_sweep_measures_the_slopes_that_the_theory_gives() -> None:
    record = run_sweep(Sweep())
    assert record.kind == "sweep"
    assert record.data["slopes"]["central difference"] == pytest.approx(2, abs=0.1)
    assert record.data["slopes"]["complex step"] == pytest.approx(2, abs=0.1)
    steps, curves = record.data["steps"], record.data["curves"]
    assert all(len(curve) == len(steps) for curve in curves.values())
    tiny = [error for step, error in zip(steps, curves["complex step"], strict=True) if step < 1e-9]
    assert max(tiny) < 1e-14  # no cancellation down to 1e-30
    assert min(error for error in curves["central difference"] if error is not None) > 1e-13
    json.dumps(record.as_json(), allow_nan=False)


def test_a_sweep_of_a_gradient_that_does_not_exist_is_a_record() -> None:
    assert run_sweep(Sweep(gradient="W_nothing")).findings[0]["kind"] == "raised"


# Runs


class Never(Executor):
    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return Future()


def test_records_are_on_the_disk_as_they_come(tmp_path: Path) -> None:
    journal = tmp_path / "run.jsonl"
    seen: list[int] = []
    outcome = run(
        named_record,
        ["1", "2", "3"],
        journal=journal,
        title="three",
        batch=1,
        on_record=lambda record: seen.append(len(read_journal(journal).records)),
    )
    assert seen == [1, 2, 3]
    assert (outcome.recorded, outcome.planned, outcome.stopped) == (3, 3, "")
    assert read_journal(journal).complete


def test_the_report_does_not_depend_on_the_order_in_which_cases_end(tmp_path: Path) -> None:
    work: list[Case | Sweep] = [*random_cases(6, seed=2), Sweep()]
    reports = []
    for name, order in (("a", work), ("b", work[::-1])):
        run(run_work, order, journal=tmp_path / name / "run.jsonl", title="x", batch=2)
        render(tmp_path / name / "run.jsonl", formats=("json",))
        report = json.loads((tmp_path / name / "run.json").read_text())
        reports.append({key: value for key, value in report.items() if key != "timing"})
    assert without_seconds(reports[0]) == without_seconds(reports[1])


def without_seconds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_seconds(item) for key, item in value.items() if key != "seconds"}
    return [without_seconds(item) for item in value] if isinstance(value, list) else value


def test_a_function_that_raises_gets_a_record_and_the_run_goes_on(tmp_path: Path) -> None:
    outcome = run(record_or_raise, ["1", "raise", "2"], journal=tmp_path / "run.jsonl", title="x")
    records = read_journal(outcome.journal).records
    assert [record.verdict for record in records] == ["AGREES", "INCONCLUSIVE", "AGREES"]
    assert "as planned" in records[1].findings[0]["message"]


def test_a_killed_worker_leaves_an_incomplete_run_with_everything_recorded_kept(tmp_path: Path) -> None:
    names = [str(k) for k in range(6)] + ["die"] + [str(k) for k in range(7, 20)]
    with workers(2) as executor:
        outcome = run(
            record_or_die, names, journal=tmp_path / "run.jsonl", title="x", executor=executor, batch=1, ahead=2
        )
    assert "a worker process was killed" in outcome.stopped
    log = read_journal(outcome.journal)
    assert not log.complete
    assert 5 <= len(log.records) == outcome.recorded < 20
    assert "INCOMPLETE" in render(outcome.journal, formats=("md",))[0].read_text()
    assert summarise(log).verdict.value == "INCONCLUSIVE"


def test_an_interrupted_run_keeps_its_journal_and_says_so(tmp_path: Path) -> None:
    outcome = run(interrupted_at_three, list("12345"), journal=tmp_path / "run.jsonl", title="x", batch=1)
    assert outcome.interrupted
    assert len(read_journal(outcome.journal).records) == 2
    assert not read_journal(outcome.journal).complete


def test_a_run_in_which_nothing_ever_ends_is_given_up(tmp_path: Path) -> None:
    outcome = run(named_record, ["1"], journal=tmp_path / "run.jsonl", title="x", executor=Never(), stalled=0.05)
    assert "no task ended within 0.05 s" in outcome.stopped


def test_workers_use_one_thread_each_and_leave_the_environment_alone() -> None:
    before = dict(os.environ)
    with workers(2) as executor:
        assert executor is not None
        assert executor.submit(os.getenv, "OPENBLAS_NUM_THREADS").result(timeout=60) == "1"
    assert dict(os.environ) == before


def test_one_job_needs_no_process() -> None:
    with workers(1) as executor:
        assert executor is None


# Shapes


def test_the_standard_shapes_hold_every_region_in_their_first_two() -> None:
    for shapes in (FIXED[:2], shapes_to_try(None, 0), shapes_to_try(2, 5), shapes_to_try(30, 5)):
        assert min(shape.T for shape in shapes) == 1 <= 5 <= max(shape.T for shape in shapes)
        assert {1, 3} <= {shape.B for shape in shapes}
        assert any(shape.D > shape.H for shape in shapes) and any(shape.D < shape.H for shape in shapes)


@pytest.mark.parametrize("count", [1, 9, 60])
def test_as_many_different_shapes_as_asked_for_are_tried_smallest_first(count: int) -> None:
    shapes = shapes_to_try(count, seed=4)
    assert len(set(shapes)) == count
    assert list(shapes) == sorted(shapes, key=lambda shape: shape.size)


def test_shapes_are_read_as_they_are_written() -> None:
    shape = Shape(5, 3, 2, 4)
    assert parse_shapes(f"{shape}; T=1, B=1, D=2, H=3") == (shape, Shape(1, 1, 2, 3))


@pytest.mark.parametrize(
    "text", ["", ";", "T=1", "T=0,B=1,D=1,H=1", "T=1,B=1,D=1,H=x", "T=1,T=1,B=1,D=1,H=1", "1,1,1,1"]
)
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_shapes(text)


def test_every_reduction_of_a_shape_is_smaller() -> None:
    shape = Shape(5, 3, 2, 4)
    reduced = list(shape.smaller())
    assert all(one.size < shape.size for one in reduced)
    assert Shape(1, 3, 2, 4) in reduced and Shape(4, 3, 2, 4) in reduced
    assert list(Shape(1, 1, 1, 1).smaller()) == []


# Held cases


def test_a_held_case_comes_back_to_the_last_bit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays: dict[str, Any] = {
        "w": rng.normal(size=(2, 3)),
        "single": rng.normal(size=4).astype(np.float32),
        "wide": np.longdouble(1) / np.arange(3, 6, dtype=np.longdouble),
        "scalar": np.array(1e-300),
    }
    trial = Trial(5, Shape(1, 2, 3, 4), "huber", encoded(arrays))
    write_case(tmp_path / "x.case.json", trial, target="x.py")
    back = read_case(tmp_path / "x.case.json")
    assert back == trial
    for name, array in decoded(back.point or {}).items():
        assert array.dtype == arrays[name].dtype and array.shape == arrays[name].shape
        assert np.array_equal(array, arrays[name])


def test_a_point_too_large_to_hold_is_left_to_its_seed() -> None:
    assert encoded({"w": np.zeros((200, 200))}) is None


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"kind": "bptt-check case", "schema": 2}', "schema"),
        ('{"kind": "bptt-check case", "schema": 1, "more": 1}', "a field more"),
        ('{"kind": "bptt-check case", "schema": 1, "seed": -1}', "seed"),
        ('{"kind": "bptt-check case", "schema": 1, "shape": {"T": 1}}', "lacks B, D, H"),
        ('{"kind": "bptt-check case", "schema": 1, "shape": {"T": "1"}}', "shape must be"),
        ('{"kind": "bptt-check case", "schema": 1, "point": {"w": [1]}}', "point must be"),
        ('{"kind": "bptt-check case", "schema": 1, "loss": 3}', "loss"),
        ('{"kind": "bptt-check case", "schema": 1, "seed": NaN}', "NaN"),
    ],
)
def test_a_file_that_is_no_case_is_refused_with_one_sentence(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=named) as caught:
        read_case(path)
    assert "\n" not in str(caught.value)


def test_a_case_that_is_large_or_gone_is_refused_before_it_is_read(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    with large.open("wb") as stream:
        stream.truncate(2**31)
    for path, said in ((large, "it is not a case"), (tmp_path / "none.json", "cannot be read: No such file")):
        with pytest.raises(UsageError, match=said):
            read_case(path)


def test_numbers_that_make_no_array_are_refused() -> None:
    for held in ({"dtype": "float64", "shape": [2], "values": [1.0]}, {"dtype": "O", "shape": [1], "values": [1.0]}):
        with pytest.raises(UsageError, match="the numbers of w make no array"):
            decoded({"w": held})


# What the command says of a run


def tried(verdict: str, shape: Shape, loss: str | None = None) -> Tried:
    return Tried(Trial(0, shape, loss), Record(name="x", verdict=verdict), "")


def test_the_condition_that_tells_failing_cases_from_the_others_is_named() -> None:
    runs = [tried("AGREES" if shape.T == 1 else "DISAGREES", shape) for shape in FIXED]
    assert where_it_fails(runs, "DISAGREES") == "Pattern: every case with T > 1 disagrees, every other agrees."
    losses = [tried("AGREES" if loss == "huber" else "DISAGREES", FIXED[0], loss) for loss in ("huber", "last_step")]
    assert "loss last_step" in where_it_fails(losses, "DISAGREES")


def test_a_condition_that_holds_for_every_failing_case_but_does_not_suffice_is_named_as_such() -> None:
    runs = [tried("DISAGREES" if shape.T > 1 and shape.B > 1 else "AGREES", shape) for shape in FIXED]
    said = where_it_fails(runs, "DISAGREES")
    assert "T > 1 and B > 1" in said and "not every such case" in said


def test_no_pattern_is_claimed_where_all_cases_fail() -> None:
    assert where_it_fails([tried("DISAGREES", shape) for shape in FIXED], "DISAGREES") == ""


def test_gradients_of_one_kind_share_a_line_with_the_worst_of_them() -> None:
    grid = Grid(
        ("W_ix", "W_ih", "z_i(t)", "x"), ("a", "b"), ((1.0, None), (3.0, None), (2.0, 5.0), (float("nan"), 1.0))
    )
    short = grouped(grid)
    assert short.rows == ("W_i…", "z_k(t)", "x")
    assert short.values[0] == (3.0, None) and short.values[1] == (2.0, 5.0)
    assert np.isnan(short.values[2][0] or 0.0)
