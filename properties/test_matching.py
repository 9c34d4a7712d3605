"""A gradient held against the catalogue."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from planted.spoilt import drawn, faults_of, run

from bptt_check.faults import fault_named
from bptt_check.lstm.variants import variant_named
from bptt_check.matching import Matching
from bptt_check.program import Program

NP = variant_named("NP")
RETURNED = ("dx", "dh0", "ds0")


def program_at(T=5, B=3, D=2, H=4, seed=0, cell=NP):
    trace = run(cell, drawn(cell, T, B, D, H, seed))
    return Program(trace, np.random.default_rng(seed).normal(size=(T, B, H)))


def returned(program, changes):
    values = program.run(changes) if changes else program.right
    return {k: np.array(v) for k, v in values.items() if k in RETURNED or k.startswith(("dW", "db", "dp"))}


def matched(program, changes, *, eps=2.0**-52, noise=0.0, **options):
    observed = returned(program, changes)
    rng = np.random.default_rng(1)
    observed = {k: v * (1 + noise * rng.uniform(-1, 1, v.shape)) for k, v in observed.items()}
    return Matching(program, observed, eps=eps).against(faults_of(NP), **options)


def changes_of(*names):
    return dict(change for name in names for change in fault_named(name, NP)[0].changes)


def test_a_right_gradient_is_called_right_and_nothing_is_tried():
    found = matched(program_at(), {}, noise=1e-14)
    assert found.right
    assert found.tried == 0


@pytest.mark.parametrize(
    "name", ["df-from-s.df", "ds-next-without-f.ds_next", "bias-as-mean.all", "dh-carry-dropped.dh"]
)
def test_one_mistake_is_matched_exactly(name):
    found = matched(program_at(), changes_of(name))
    assert [match.exact for match in found.matches] == [True]
    assert name in [fault.id for fault in found.matches[0].faults]
    assert not found.left


def test_two_mistakes_that_hide_each_other_are_found_as_a_pair():
    found = matched(program_at(), changes_of("ds-slope-applied-twice.ds", "slope-of-tanh.dz_f"))
    named = {fault.id for match in found.matches for fault in match.faults}
    assert {"ds-slope-applied-twice.ds", "slope-of-tanh.dz_f"} <= named
    assert all(match.exact for match in found.matches)


def test_mistakes_in_many_sums_are_found_one_by_one():
    names = ("sum-twice.db_g", "sum-sign.dW_fh", "state-of-this-step.dW_oh", "sum-halved.db_i")
    found = matched(program_at(), changes_of(*names))
    assert {match.faults[0].id for match in found.matches} == set(names)
    assert all(match.exact for match in found.matches)


def test_what_is_in_no_catalogue_is_called_exact_by_none():
    found = matched(program_at(), {"df": "s[t-1] * ds * 1.234"})
    assert not any(match.exact for match in found.matches)


def test_a_mistake_with_noise_on_it_is_not_called_exact():
    found = matched(program_at(), changes_of("df-from-s.df"), noise=1e-6)
    assert not any(match.exact for match in found.matches)


def test_in_float32_as_many_digits_are_asked_for_as_there_are():
    found = matched(program_at(), changes_of("df-from-s.df"), eps=2.0**-23, noise=1e-7)
    assert [fault.id for fault in found.matches[0].faults] == ["df-from-s.df"]
    assert not matched(program_at(), changes_of("df-from-s.df"), eps=2.0**-23, noise=1e-3).matches


def test_a_long_sequence_gives_the_same_by_its_last_steps_first():
    found = matched(program_at(T=12), changes_of("ds-output-slope-forgotten.ds"))
    assert [fault.id for fault in found.matches[0].faults] == ["ds-output-slope-forgotten.ds"]
    assert found.matches[0].exact


def test_when_the_budget_is_spent_it_is_said_that_not_all_was_tried():
    found = matched(program_at(), {"df": "s[t-1] * ds * 1.234"}, most=0)
    assert not found.complete
    assert not found.matches


def test_next_to_a_right_gradient_that_explodes_nothing_small_passes_for_equal():
    program = program_at(T=6, B=1, D=2, H=3)
    wrong = returned(program, changes_of("dh-carry-dropped.dh"))
    observed = {k: v * 1e-30 * (1 + np.arange(v.size).reshape(v.shape)) for k, v in wrong.items()}
    found = Matching(program, observed, eps=2.0**-52).against(faults_of(NP))
    assert not any(match.exact for match in found.matches)
