"""The diagnosis on trial: a few of the cases that ``benchmarks/diagnosis.py`` tries by the hundred."""

from __future__ import annotations

import numpy as np
import pytest
from planted import on_trial, passes
from thinned import some, thinned

from bptt_check import Verdict, check
from bptt_check.networks import search
from bptt_check.recognise import recognise

SEEDS = range(1)
CELLS = [form for form in on_trial.FORMS if form.startswith("cell")]


@pytest.mark.parametrize("form", thinned(on_trial.FORMS, lambda k, _: k % 2 == 0))
def test_a_planted_mistake_is_named_first_with_its_equation(form):
    for said in on_trial.singly(form, SEEDS):
        assert said.detected, said.trial.label
        assert said.alike, (said.trial.label, said.named)
        assert said.trial.faults[0].equation in (said.equation, *said.result.causes[0].equations), said.trial.label
        assert not said.falsely_exact


@pytest.mark.parametrize("form", thinned(on_trial.FORMS[:2] + tuple(CELLS[:1]), lambda k, _: k == 0))
def test_of_two_mistakes_at_once_both_equations_are_named(form):
    for said in on_trial.in_pairs(form, range(10, 11)):
        assert on_trial.named_both(said), (said.trial.label, [str(cause) for cause in said.result.causes])
        assert not said.falsely_exact


@pytest.mark.parametrize("form", on_trial.FORMS)
def test_a_right_backward_pass_is_offered_no_cause(form):
    said = on_trial.tried(on_trial.right(form, 1))
    assert said.result.verdict is Verdict.AGREES
    assert not said.result.causes


@pytest.mark.parametrize("form", thinned(on_trial.FORMS[1:4], lambda k, _: k == 0))
def test_gates_and_time_steps_of_wrong_blocks_are_those_that_are_wrong(form):
    for seed in SEEDS:
        said = on_trial.tried(on_trial.planted(form, seed))
        assert not list(on_trial.misplaced(said)), said.trial.label


def test_the_first_wrong_line_of_a_cell_is_the_one_that_is_spoilt():
    for seed in some(range(2), 1):
        said = on_trial.tried(on_trial.planted("cell, all", seed))
        assert not on_trial.misled(said), said.trial.label


@pytest.mark.parametrize("kind", on_trial.STRUCTURAL, ids=lambda kind: kind.name)
def test_what_numbers_alone_tell_is_told(kind, monkeypatch):
    monkeypatch.setattr(search, "MOST_RUNS", 200)  # that no network is found is not what is asked here
    for seed in SEEDS:
        subject, blocks = on_trial.structural(kind, seed)
        result = check(subject)
        assert on_trial.rightly_structural(kind, blocks, result), (kind.name, seed, [str(c) for c in result.causes])


@pytest.mark.parametrize("style", passes.STYLES)
def test_a_pass_as_it_stands_is_right_and_no_cause_is_offered(style):
    result = check(passes.subject_of(style))
    assert result.verdict is Verdict.AGREES
    assert not result.causes


@pytest.mark.parametrize(
    "written",
    thinned(list(passes.all_mistakes())[::2], lambda k, _: k % 4 == 0),  # the benchmark tries them all
    ids=lambda written: f"{written[0]}: {written[1].name}",
)
def test_of_a_pass_written_by_hand_what_is_said_is_true(written):
    style, mistake = written
    assert not passes.amiss(mistake, check(passes.subject_of(style, mistake)))


@pytest.mark.parametrize("style", ["inputs_outside", "embedded_words", "torch_like", "cs231n_packed"])
def test_inputs_outside_the_point_and_states_handed_out_twice_do_not_hide_the_cell(style):
    subject = passes.subject_of(style)
    found = recognise(subject)
    assert found is not None and found.variant.name == "NP" and not found.unread
    ours, theirs = found.gradient(subject.point), subject.gradient(subject.blocks)
    assert all(np.abs(ours[k] - theirs[k]).max() <= 1e-12 * np.abs(theirs[k]).max() for k in ours)
    assert ours.keys() == theirs.keys()


def test_there_are_mistakes_enough_in_styles_enough():
    assert len(list(passes.all_mistakes())) >= 50
    assert len(passes.STYLES) >= 10
