"""The negative control: what is planted in a right backward pass is caught and named; the control itself can fail."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from thinned import long_run

from bptt_check import Subject
from bptt_check.campaign.negative import Controlled, overview
from bptt_check.campaign.target import load
from bptt_check.cli import main
from bptt_check.commands.catalogue import _exit_code
from bptt_check.faults.fault import Fault
from bptt_check.lstm.variants import VARIANTS
from bptt_check.planting.cases import LARGE
from bptt_check.planting.control import Control, Outcome
from bptt_check.planting.known import Known
from bptt_check.planting.structural import planted, structural
from bptt_check.recognise import recognise

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTHING = Fault("nothing", "nothing", "B1", "nothing is wrong", "to see that planting adds nothing", (), ())

CELL = """
import numpy as np
from bptt_check import Subject


class Lstm:
    state = ("h", "s")

    def parameters(self, D, H):
        return {"W": (4 * H, D + H), "b": (4 * H,)}

    def forward(self, p, x, prev, tap):
        xc = np.hstack([x, prev["h"]])
        z = np.hsplit(xc @ p["W"].T + p["b"], 4)
        g = tap("cand", np.tanh(z[0]))
        i, f, o = (tap(k, 1 / (1 + np.exp(-a))) for k, a in zip(("in", "forget", "out"), z[1:]))
        s = g * i + prev["s"] * f
        return {"h": np.tanh(s) * o, "s": s}, (xc, prev["s"], g, i, f, o, s)

    def backward(self, p, cache, d):
        xc, before, g, i, f, o, s = cache
        ds = o * (1 - np.tanh(s) ** 2) * d["h"] + d["s"]
        do, df, di, dg = np.tanh(s) * d["h"], before * ds, g * ds, i * ds
        dz = np.hstack([(1 - g**2) * dg, i * (1 - i) * di, f * (1 - f) * df, o * (1 - o) * do])
        dx, dh = np.hsplit(dz @ p["W"], [xc.shape[1] - s.shape[1]])
        taps = {"cand": dg, "in": di, "forget": df, "out": do}
        return {"W": dz.T @ xc, "b": dz.sum(axis=0)}, dx, {"h": dh, "s": f * ds}, taps
"""
SQUARE = """
import os
import numpy as np
from bptt_check import Subject

calls = [0]


def subject(T, B, D, H, rng):
    def gradient(p):
        calls[0] += 1
        {gradient}
        return {{"w": 2 * p["w"]}}

    return Subject.from_functions(lambda p: (p["w"] ** 2).sum(), gradient, {{"w": rng.normal(size=(H, H))}})
"""


def example(name):
    return load(str(EXAMPLES / name)).make(LARGE, 20, None, {})


def cell(tmp_path):
    path = tmp_path / "my_cell.py"
    path.write_text(CELL, encoding="utf-8")
    return load(str(path)).make(LARGE, 20, None, {})


def known_of(subject):
    return Known(subject, recognise(subject))


@pytest.mark.parametrize("cell", VARIANTS, ids=lambda cell: cell.name)
def test_faults_planted_in_a_built_in_cell_are_caught_and_named_with_their_equation(cell):
    control = Control(Subject.from_variant(cell, **LARGE, rng=20))
    for fault in control.chosen(3 if long_run() else 2, seed=VARIANTS.index(cell)):
        outcome = control.outcome(fault)
        assert outcome.caught, fault
        assert (outcome.named, outcome.equation) == ("exact", True), outcome


@pytest.mark.parametrize("name", ["lstm.py", "post_style.py"])
def test_faults_planted_in_code_of_other_names_and_packing_are_caught_and_named(name):
    control = Control(example(name))
    assert control.recognised is not None
    for fault in control.chosen(5 if long_run() else 3, seed=2):
        outcome = control.outcome(fault)
        assert (outcome.caught, outcome.named, outcome.equation) == (True, "exact", True), outcome


def test_faults_planted_in_a_cell_that_the_harness_unrolls_are_caught_and_named(tmp_path):
    control = Control(cell(tmp_path))
    assert control.recognised.taps["cand(t)"] == "g"
    for fault in control.chosen(5 if long_run() else 3, seed=1):
        outcome = control.outcome(fault)
        assert (outcome.caught, outcome.named, outcome.equation) == (True, "exact", True), outcome


@pytest.mark.parametrize("name", ["lstm.py", "post_style.py"])
def test_planting_nothing_gives_the_subjects_own_gradient(name):
    known = known_of(example(name))
    assert_nothing_is_changed(known)


def test_planting_nothing_in_a_cell_gives_its_own_intermediates_too(tmp_path):
    known = known_of(cell(tmp_path))
    assert {"next h(t)", "next s(t)", "cand(t)", "forget(t)"} <= set(assert_nothing_is_changed(known))


@pytest.mark.parametrize("variant", ["V", "FGR", "state_feedback", "CIFG"])
def test_planting_nothing_in_a_built_in_cell_gives_its_own_intermediates_too(variant):
    known = known_of(Subject.from_variant(variant, **LARGE, rng=3))
    assert {"s(t)", "h(t)", "z_g(t)"} <= set(assert_nothing_is_changed(known))


def assert_nothing_is_changed(known):
    point = known.subject.blocks
    own, same = known.subject.gradient(point), known.planted(NOTHING).gradient(point)
    assert set(own) == set(same)
    for name, array in own.items():
        assert same[name].dtype == array.dtype
        assert np.abs(same[name] - array).max() <= 1e-13 * max(np.abs(array).max(), 1e-3), name
    return own


def test_single_precision_stays_single(tmp_path):
    subject = example("lstm.py")
    subject = replace(subject, point={k: a.astype(np.float32) for k, a in subject.point.items()})
    known = known_of(subject)
    fault = next(f for f in known.faults if f.id == "df-from-s.df")
    assert {a.dtype for a in known.planted(fault).gradient(subject.blocks).values()} == {np.dtype(np.float32)}


def test_a_cell_cannot_get_wrong_what_the_harness_does_for_it(tmp_path):
    faults = known_of(cell(tmp_path)).faults
    targets = {target for fault in faults for target, _ in fault.changes}
    assert not {"dh", "dh0", "ds0"} & targets
    assert {"ds", "ds_next", "dz_f"} <= targets


def test_what_changes_nothing_under_this_loss_is_left_out_and_counted():
    control = Control(Subject.from_variant("NP", **LARGE, loss="last_step", rng=20))
    assert {"dh-loss-at-last-step-only.dh", "ds-clipped-in-loop-10.ds"} <= set(control.equivalent)
    assert "dh-last-loss-everywhere.dh" in control.plantings
    assert not set(control.plantings) & {*control.equivalent, *control.elsewhere}


def test_what_changes_something_only_elsewhere_is_not_called_equivalent():
    subject = Subject.from_variant("NP", **LARGE, rng=20)
    known = known_of(replace(subject, point={**subject.point, "h0": 0 * subject.point["h0"]}))
    changed, elsewhere, still = known.changing(np.random.default_rng(0))
    assert "state-initial-forgotten.all" in {fault.id for fault in elsewhere}
    assert "state-initial-forgotten.all" not in {fault.id for fault in (*changed, *still)}


def test_a_sample_has_each_equation_and_is_the_same_for_the_same_seed():
    control = Control(Subject.from_variant("V", **LARGE, rng=20))
    groups = {planting.group for planting in control.plantings.values()}
    sample = control.chosen(20, seed=5)
    assert len(sample) == 20 == len(set(sample))
    assert {control.plantings[fault].group for fault in sample} == groups
    assert sample == control.chosen(20, seed=5) != control.chosen(20, seed=6)
    assert control.chosen(None, seed=5) == tuple(control.plantings)


def test_in_a_gradient_of_no_known_cell_structural_faults_are_caught_and_named():
    control = Control(example("elman.py"))
    assert control.recognised is None
    kinds = {planting.group for planting in control.plantings.values()}
    assert {"twice", "sign", "zero", "transposed", "entry", "clipped"} <= kinds
    for fault in control.chosen(8, seed=0):
        outcome = control.outcome(fault)
        assert outcome.caught and outcome.named in ("exact", "place"), outcome


def test_structural_faults_change_what_they_say_and_nothing_else():
    subject = example("elman.py")
    right = subject.gradient(subject.blocks)
    for fault in structural(subject, right):
        wrong = planted(subject, fault).gradient(subject.blocks)
        changed = {name for name in right if not np.array_equal(wrong[name], right[name])}
        assert changed == set(fault.id.split(".")[1:]), fault.id


def test_sums_over_time_lose_steps_where_the_form_knows_its_steps():
    class Sum:
        state = ("h",)

        def parameters(self, D, H):
            return {"w": (H,)}

        def forward(self, p, x, prev, tap):
            return {"h": p["w"] * x + 0.5 * prev["h"]}, x

        def backward(self, p, cache, d):
            return {"w": (d["h"] * cache).sum(axis=0)}, p["w"] * d["h"], {"h": 0.5 * d["h"]}

    control = Control(Subject.from_cell(Sum, T=4, B=2, D=3, H=3))
    for fault in ("first-step.w", "last-step.w", "all-but-first.w", "all-but-last.w"):
        assert control.outcome(fault).caught


def test_in_a_wrong_subject_nothing_is_planted():
    control = Control(example("lstm_wrong.py"))
    assert control.right.verdict.value == "DISAGREES"
    assert not control.plantings


def test_a_check_that_catches_nothing_is_found_out(monkeypatch):
    """The control can fail: with a check that is content with everything, nothing is caught and the command says so."""
    control = Control(Subject.from_variant("NP", **LARGE, rng=20))
    monkeypatch.setattr("bptt_check.planting.control.check", lambda subject, **options: control.right)
    outcomes = tuple(control.outcome(fault) for fault in control.chosen(3, seed=0))
    assert not any(outcome.caught for outcome in outcomes)
    controlled = Controlled("x.py", None, 0, "AGREES", "", "NP", 3, 3, outcomes)
    assert _exit_code(controlled) == 1
    assert "MISSED  0 of 3 planted faults caught, 0 of 3 named" in overview(controlled)
    assert f"{outcomes[0].fault} ({outcomes[0].group})" in overview(controlled)


def test_a_wrong_name_is_not_taken_for_the_right_one(monkeypatch):
    control = Control(Subject.from_variant("NP", **LARGE, rng=20))
    other = control.plantings["df-from-s.df"].make()
    control.plantings["ds-carry-dropped.ds"] = replace(control.plantings["ds-carry-dropped.ds"], make=lambda: other)
    outcome = control.outcome("ds-carry-dropped.ds")
    assert outcome.caught and outcome.named == "no" and not outcome.equation
    said = overview(Controlled("x.py", None, 0, "AGREES", "", "NP", 1, 1, (outcome,)))
    assert "caught, and not named for what it is: 1" in said and "looks exactly like: df uses s(t)" in " ".join(
        said.split()
    )


def test_what_no_gradient_can_tell_apart_is_counted_as_tied_and_said_to_be():
    outcome = Control(example("lstm.py")).outcome("slope-sign.dz_f")
    assert outcome.named == "exact" and not outcome.equation and outcome.tied  # −dz_f and −df come to the same
    said = " ".join(overview(Controlled("x.py", None, 0, "AGREES", "", "NP", 1, 1, (outcome,))).split())
    assert "Tied: 1 (slope-sign.dz_f)" in said and "What counts them as missed is the column before" in said


def test_a_name_that_is_only_listed_has_to_give_the_same_gradient():
    control = Control(Subject.from_variant("NP", **LARGE, rng=20))
    known = Known(control.subject, control.recognised)
    faults = {fault.id: fault for fault in known.faults}
    assert known.alike(faults["df-from-s.df"], "df-from-s.df")
    assert not known.alike(faults["df-from-s.df"], "ds-carry-dropped.ds") and not known.alike(
        faults["df-from-s.df"], "?"
    )


class Ran:
    def __init__(self, capsys, *arguments):
        try:
            self.code = main(arguments)
        except SystemExit as error:
            self.code = int(error.code or 0)
        self.out, self.err = capsys.readouterr()


def test_the_command_plants_and_says_what_became_of_it(capsys):
    ran = Ran(capsys, "mutate", str(EXAMPLES / "lstm.py"), "--sample", "6")
    assert ran.code == 0, ran.out + ran.err
    assert "recognised as cell NP" in " ".join(ran.out.split())
    assert "Left out, for nothing changes with them, here or at 3 other points: 4 (" in " ".join(ran.out.split())
    assert "CAUGHT  6 of 6 planted faults caught, 6 of 6 named" in ran.out.splitlines()[-1]
    assert max(map(len, ran.out.splitlines())) <= max(100, len(str(EXAMPLES / "lstm.py")))


def test_the_command_takes_a_shape_and_can_be_quiet(capsys):
    arguments = ("mutate", str(EXAMPLES / "elman.py"), "--sample", "4", "--shape", "T=3,B=2,D=2,H=3", "--quiet")
    ran = Ran(capsys, *arguments)
    assert (ran.code, ran.out.count("\n")) == (0, 1)
    assert ran.out.startswith("CAUGHT  4 of 4 planted faults caught")


def test_a_wrong_subject_is_told_apart_with_what_is_wrong_about_it(capsys):
    ran = Ran(capsys, "mutate", str(EXAMPLES / "lstm_wrong.py"), "--sample", "3")
    assert ran.code == 1
    assert "a negative control needs a right subject, and this one is wrong" in ran.out
    assert "looks exactly like" in ran.out


def test_a_process_that_is_lost_on_the_way_makes_it_incomplete(capsys, tmp_path):
    path = tmp_path / "crashing.py"
    path.write_text(SQUARE.format(gradient="os._exit(3) if calls[0] > 40 else None"), encoding="utf-8")
    ran = Ran(capsys, "mutate", str(path))
    assert ran.code == 3, ran.out
    assert "Incomplete: with " in ran.out and "INCOMPLETE" in ran.out


def test_code_that_raises_has_not_been_proved_right(capsys, tmp_path):
    path = tmp_path / "raising.py"
    path.write_text(SQUARE.format(gradient="raise RuntimeError('boom')"), encoding="utf-8")
    ran = Ran(capsys, "mutate", str(path))
    assert ran.code == 3
    assert "has not been proved right" in ran.out and "boom" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.py",), "nowhere.py"),
        ((str(EXAMPLES / "lstm.py"), "--shape", "T=1"), "a shape takes T, B, D and H"),
        ((str(EXAMPLES / "lstm.py"), "--shape", "T=2,B=1,D=2,H=3;T=1,B=1,D=2,H=3"), "takes one shape"),
        ((str(EXAMPLES / "lstm.py"), "--sample", "0"), "at least 1"),
        ((str(EXAMPLES / "lstm.py"), "--sample", "3", "--all"), "not allowed with"),
    ],
)
def test_wrong_usage_is_2_and_says_why(capsys, arguments, said):
    ran = Ran(capsys, "mutate", *arguments)
    assert ran.code == 2 and said in ran.err


def test_an_outcome_survives_as_plain_data():
    outcome = Outcome("df-from-s.df", "B3", "df uses s(t)", "DISAGREES", "exact", True, True, "looks like it")
    assert Outcome(**outcome.as_json()) == outcome and outcome.caught
