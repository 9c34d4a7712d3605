"""What a search may cost: the same on every machine, so that a busy one names the same cause."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from planted.networks import planted

from bptt_check import budget, check
from bptt_check.budget import Budget


def test_work_is_spent_to_the_end_and_no_further():
    one = Budget(3, 60.0)
    one.spend(2)
    assert not one.is_spent
    one.spend()
    assert one.is_spent


def test_a_piece_of_work_that_takes_very_long_ends_it_too(monkeypatch):
    clock = itertools.count(0, 10)
    monkeypatch.setattr(budget.time, "process_time", lambda: float(next(clock)))
    one = Budget(1000, 15.0)
    assert not one.is_spent
    assert one.is_spent


@pytest.mark.parametrize("slower", [1, 3])
def test_a_machine_three_times_as_slow_names_the_same_cause(slower, monkeypatch):
    """The largest network of the family: two layers of LSTMs under an output layer."""
    clock = budget.time.process_time
    monkeypatch.setattr(budget.time, "process_time", lambda: slower * clock())
    fault, subject = planted("two layers", 12)
    cause = check(subject).causes[0]
    assert cause.exact
    assert fault.id in (cause.fault, *cause.also)
