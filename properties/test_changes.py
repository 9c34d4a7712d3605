"""Two runs side by side: noise is the same, what has become wrong is worse, and a rule that is broken says by what."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reporting import NASTY, a_record, a_summary, a_sweep, with_block

from bptt_check.errors import ReportError, UsageError
from bptt_check.report import saved
from bptt_check.report.changes import Changes, Kind, Rule, broken, compare, parse_rule, said
from bptt_check.report.record import Record
from bptt_check.results import Verdict


def changes(old: list[Record], new: list[Record], *, ended: bool = True) -> Changes:
    return compare(saved.of(a_summary(*old)), saved.of(a_summary(*new, ended=ended)))


def kinds(found: Changes) -> dict[tuple[str, str], str]:
    return {(row.name, row.block): str(row.kind) for row in found.rows if row.kind is not Kind.SAME}


RIGHT, WRONG = a_record(1), a_record(1, wrong=True)


def test_a_run_beside_itself_has_not_changed():
    records = [a_record(1), a_record(2, wrong=True), a_sweep()]
    assert kinds(changes(records, records)) == {}
    assert changes(records, records).counts["same"] == 14  # 7 blocks of 2 cases


def test_what_has_become_wrong_is_worse_and_the_way_back_is_better():
    assert kinds(changes([RIGHT], [WRONG])) == {("case 1", "W_fh"): "worse"}
    assert kinds(changes([WRONG], [RIGHT])) == {("case 1", "W_fh"): "better"}


sizes = st.none() | st.floats(0, 1e300) | st.sampled_from([0.0, 5e-324, 1e-17, 1e-3, math.inf, math.nan])


@given(old=st.tuples(sizes, sizes, sizes), new=st.tuples(sizes, sizes, sizes))
def test_noise_is_never_a_regression(old, new):
    fields = ("max_relative_error", "tolerance_ratio", "resolution")
    before, after = (with_block(RIGHT, "W_fh", **dict(zip(fields, figures, strict=True))) for figures in (old, new))
    found = changes([before], [after])
    assert kinds(found) == {}
    assert broken(found, [parse_rule("worse"), parse_rule("missing"), parse_rule("max_error:1.0001x")]) == ()


def test_an_error_below_the_resolution_is_one_unit_of_it():
    barely = with_block(WRONG, "W_fh", max_relative_error=3e-10, resolution=1e-10)
    grossly = with_block(WRONG, "W_fh", max_relative_error=0.3, resolution=1e-3)
    (row,) = changes([RIGHT], [barely]).of(Kind.WORSE)
    assert row.growth == pytest.approx(3)
    (row,) = changes([RIGHT], [grossly]).of(Kind.WORSE)
    assert row.growth == pytest.approx(300)  # the coarser of the two resolutions is the unit


def test_what_was_wrong_and_is_more_wrong_is_worse_and_a_little_more_is_not():
    def wrong(error: float) -> Record:
        return with_block(WRONG, "W_fh", max_relative_error=error)

    assert kinds(changes([wrong(1e-3)], [wrong(1.5e-3)])) == {}
    assert kinds(changes([wrong(1e-3)], [wrong(1.0)])) == {("case 1", "W_fh"): "worse"}
    assert kinds(changes([wrong(1.0)], [wrong(1e-3)])) == {("case 1", "W_fh"): "better"}
    assert changes([wrong(1e-3)], [wrong("nan")]).of(Kind.WORSE)[0].growth == math.inf


def elsewhere(record: Record, point: str = "elsewhere", **fields: object) -> Record:
    """The same case at other numbers, which its record tells apart."""
    return replace(with_block(record, "W_fh", **fields), data={"point": point})


RULES_OF_SIZE = [parse_rule("worse"), parse_rule("max_error:2x"), parse_rule("resolution:2x")]


@given(old=st.floats(1e-9, 2), new=st.floats(1e-9, 2), seen=st.floats(1e-16, 1e-6))
def test_how_wrong_something_is_at_other_numbers_is_no_regression(old, new, seen):
    before = elsewhere(WRONG, "here", max_relative_error=old, resolution=1e-16)
    after = elsewhere(WRONG, "there", max_relative_error=new, resolution=seen)
    found = changes([before], [after])
    assert kinds(found) == {} and broken(found, RULES_OF_SIZE) == ()
    assert kinds(changes([RIGHT], [after])) == {("case 1", "W_fh"): "worse"}, "that it is wrong is one"


def test_examples_are_held_against_each_other_where_all_of_them_are_the_same():
    def drawn(*points: str, error: float) -> list[Record]:
        return [elsewhere(WRONG, point, max_relative_error=error) for point in points]

    assert kinds(changes(drawn("a", "b", error=1e-3), drawn("b", "a", error=1.0))) == {("case 1", "W_fh"): "worse"}
    for others in (("a",), ("a", "c"), ("a", "b", "b"), ("a", "")):
        assert kinds(changes(drawn("a", "b", error=1e-3), drawn(*others, error=1.0))) == {}


def test_entries_that_were_sampled_are_no_measure():
    few = [elsewhere(WRONG, max_relative_error=error, compared=2) for error in (1e-3, 1.0)]
    assert kinds(changes(few[:1], few[1:])) == {}


def test_what_is_no_longer_decided_is_worse():
    unsure = replace(with_block(RIGHT, "b_f", verdict="INCONCLUSIVE"), verdict="INCONCLUSIVE")
    assert kinds(changes([RIGHT], [unsure])) == {("case 1", "b_f"): "worse"}
    assert kinds(changes([unsure], [WRONG])) == {("case 1", "b_f"): "better", ("case 1", "W_fh"): "worse"}


def test_a_gradient_that_is_no_longer_handed_out_is_missing():
    lost = replace(with_block(RIGHT, "h0", verdict="NOT_RETURNED", compared=0), verdict="INCONCLUSIVE")
    assert kinds(changes([RIGHT], [lost])) == {("case 1", "h0"): "missing", ("case 1", ""): "worse"}
    assert kinds(changes([lost], [RIGHT])) == {("case 1", "h0"): "new", ("case 1", ""): "better"}
    fewer = replace(RIGHT, blocks=RIGHT.blocks[1:])
    assert kinds(changes([RIGHT], [fewer])) == {("case 1", "W_gx"): "missing"}


def test_a_case_that_is_gone_is_missing_once_not_block_by_block():
    found = changes([RIGHT, a_record(2)], [RIGHT])
    assert kinds(found) == {("case 2", ""): "missing"}
    assert kinds(changes([RIGHT], [RIGHT, a_record(2)])) == {("case 2", ""): "new"}


def test_a_fault_that_no_block_shows_makes_the_case_worse():
    faulty = replace(RIGHT, verdict="DISAGREES")  # such as a backward pass that changes its inputs
    assert kinds(changes([RIGHT], [faulty])) == {("case 1", ""): "worse"}


def test_cases_that_share_a_name_count_as_their_worst():
    twin = replace(a_record(2, wrong=True), name="case 1")
    assert kinds(changes([RIGHT], [RIGHT, twin])) == {("case 1", "W_fh"): "worse"}
    assert kinds(changes([twin, RIGHT], [RIGHT, twin])) == {}


def test_rules_are_broken_by_what_they_name_alone():
    blunt = with_block(RIGHT, "W_gx", resolution=1e-8)
    new = [blunt, a_record(2, wrong=True)]
    found = changes([RIGHT, a_record(2), a_record(3)], new)
    against = {text: [(b.change.name, b.change.block) for b in broken(found, [parse_rule(text)])] for text in RULES}
    assert against == {
        "worse": [("case 2", "W_fh")],
        "missing": [("case 3", "")],
        "max_error:10x": [("case 2", "W_fh")],
        "max_error:1000000000000x": [],
        "resolution:10x": [("case 1", "W_gx")],
        "resolution:101x": [],
    }


RULES = ("worse", "missing", "max_error:10x", "max_error:1000000000000x", "resolution:10x", "resolution:101x")


def test_what_is_new_and_wrong_breaks_the_rule_against_worse_and_what_is_new_and_right_does_not():
    rule = [parse_rule("worse")]
    assert [str(each) for each in broken(changes([], [WRONG]), rule)] == ["worse: case 1: DISAGREES"]
    assert broken(changes([], [RIGHT]), rule) == ()


def test_a_rule_reads_back_as_it_is_written():
    for text in ("worse", "missing", "max_error:10x", "resolution:2.5x"):
        assert str(parse_rule(text)) == text
    assert parse_rule("max_error:10x") == Rule("max_error", 10.0)


@pytest.mark.parametrize(
    "text",
    ["", "max_error", "max_error:10", "max_error:1x", "max_error:0.5x", "max_error:nanx", "resolution:1e3x", NASTY],
)
def test_a_rule_that_does_not_exist_is_refused_with_those_that_do(text):
    with pytest.raises(UsageError, match="the rules are worse, missing, max_error:10x, resolution:10x") as caught:
        parse_rule(text)
    assert str(caught.value).isprintable()


def test_what_changed_is_said_worst_first_and_cut_where_it_is_long():
    new = [a_record(seed, wrong=seed > 1) for seed in range(40)]
    text = said(changes([a_record(seed) for seed in range(40)], new), [parse_rule("missing"), parse_rule("worse")])
    lines = text.splitlines()
    assert lines[0].endswith("38 worse, 0 missing, 0 better, 0 new, 242 same")
    error, seen = r"error \d\.\de-1\d → 0\.30", r"in units of the resolution 1\.0 → 3\.0e\+09"
    assert re.fullmatch(f"  worse   case 2, W_fh: AGREES → DISAGREES, {error}, {seen}", lines[1])
    assert "  and 18 more rows: worse" in lines
    assert "  rule missing: kept" in lines
    assert lines[-1].startswith("  rule worse: broken by 38 rows, first by case 2")


def test_names_in_what_is_said_are_cleaned():
    nasty = replace(RIGHT, name=NASTY * 100)
    text = said(compare(saved.of(a_summary(nasty, title=NASTY)), saved.of(a_summary(RIGHT))))
    assert all(line.isprintable() for line in text.splitlines())
    assert max(map(len, text.splitlines())) < 300


def test_an_incomplete_run_is_called_so():
    text = said(changes([RIGHT, a_record(2)], [RIGHT], ended=False))
    assert "a run is incomplete: what is missing may only not have been run" in text


def test_a_run_of_which_only_the_head_was_read_is_not_compared_with_nothing(tmp_path):
    saved.save(a_summary(RIGHT), tmp_path)
    with pytest.raises(ReportError, match="load it first"):
        compare(saved.find(tmp_path, "last"), saved.of(a_summary(WRONG)))


@given(st.data())
def test_every_case_of_both_runs_is_accounted_for(data):
    def some() -> list[Record]:
        numbers = data.draw(st.lists(st.integers(0, 5), max_size=5))
        return [a_record(number, wrong=data.draw(st.booleans())) for number in numbers]

    old, new = some(), some()
    found = changes(old, new)
    assert {row.name for row in found.rows} == {record.name for record in [*old, *new]}
    assert len({(row.name, row.block) for row in found.rows}) == len(found.rows)
    back = changes(new, old)
    mirror = {Kind.WORSE: Kind.BETTER, Kind.MISSING: Kind.NEW}
    for kind, other in mirror.items():
        assert {(r.name, r.block) for r in found.of(kind)} == {(r.name, r.block) for r in back.of(other)}
    assert all(row.new is None or isinstance(row.new.verdict, Verdict) for row in found.rows)
