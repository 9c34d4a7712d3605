"""A tag proves nothing: each line has a mutant, and the property that the ledger names is shown to fail on it."""

from __future__ import annotations

import importlib.util
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from mutants import ALL, BACKWARD, FORWARD, MUTANTS
from thinned import some

from bptt_check import ledger, local
from bptt_check.laws.compare import compare
from bptt_check.laws.table import law_named
from bptt_check.lstm import problem as problem_module
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import variant_named
from bptt_check.results import Verdict
from bptt_check.strategies import LstmCase

ROOT = Path(__file__).parents[2]


@cache
def property_module(path):
    spec = importlib.util.spec_from_file_location(Path(path).stem + "_on_trial", ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_trial(node):
    """The body of a property, to be run on one case: function, and the parameter in the brackets of its name."""
    path, _, name = node.partition("::")
    name, _, parameter = name.rstrip("]").partition("[")
    module = property_module(path)
    return module, getattr(module, name).hypothesis.inner_test, parameter


def unrecorded(result):
    """What is wrong on purpose stays out of the reports."""


@cache
def case_of(cell):
    problem = Problem.draw(variant_named(cell), T=3, B=2, D=4, H=3, rng=np.random.default_rng(11))
    return LstmCase(problem.variant, "euclidean", 3, 2, 4, 3, problem.point)


class Drawn:
    """Stands in for Hypothesis's data(): hands out the one case."""

    def __init__(self, case):
        self.case = case

    def draw(self, strategy):
        return self.case


@pytest.mark.parametrize("cell", ALL)
def test_the_properties_on_trial_pass_on_the_right_lines(cell):
    case = case_of(cell)
    on_trial(ledger.entry("B1").properties[0])[1](unrecorded, case)
    for name in {mutant.equation for mutant in FORWARD if cell in mutant.cells}:
        _, body, parameter = on_trial(ledger.entry(name).properties[0])
        body(parameter, unrecorded, Drawn(case))


@pytest.mark.parametrize("mutant", BACKWARD, ids=str)
def test_the_property_of_the_ledger_fails_on_a_mutant_of_its_backward_line(mutant, monkeypatch):
    module, body, _ = on_trial(ledger.entry(mutant.equation).properties[0])
    monkeypatch.setattr(module, "backward", mutant.apply().backward)
    for cell in some(mutant.cells, 3):
        with pytest.raises(AssertionError):
            body(unrecorded, case_of(cell))


@pytest.mark.parametrize("mutant", FORWARD, ids=str)
def test_the_property_of_the_ledger_fails_on_a_mutant_of_its_forward_line(mutant, monkeypatch):
    _, body, parameter = on_trial(ledger.entry(mutant.equation).properties[0])
    monkeypatch.setattr(problem_module, "forward", mutant.apply().forward)
    for cell in mutant.cells:
        with pytest.raises(AssertionError):
            body(parameter, unrecorded, Drawn(case_of(cell)))


@pytest.mark.parametrize("mutant", BACKWARD, ids=str)
def test_only_the_line_that_was_changed_is_named(mutant):
    backward = mutant.apply().backward
    for cell in {mutant.cells[0], mutant.cells[len(mutant.cells) // 2], mutant.cells[-1]}:
        problem = Problem.draw(variant_named(cell), T=3, B=2, D=4, H=3, rng=np.random.default_rng(11))
        lines = [line for line in local.lines_of(problem, backward=backward) if line.wrong]
        assert lines, cell
        served = {mutant.equation, *mutant.also}
        assert all(served & set(line.equations) for line in lines), (cell, [str(line) for line in lines])


def pairs():
    """Two mutants of different equations, both live in the vanilla cell or the post's, on different lines."""
    for cell in ("V", "post"):
        live = [m for m in BACKWARD if cell in m.cells]
        for a, b in combinations(live, 2):
            if a.equation != b.equation and a.old not in b.old and b.old not in a.old:
                yield cell, a, b


def test_two_mistakes_at_once_are_both_named():
    named = total = 0
    for cell, a, b in list(pairs())[::17]:
        backward = a.apply(b).backward
        problem = Problem.draw(variant_named(cell), T=3, B=2, D=4, H=3, rng=np.random.default_rng(11))
        lines = [line for line in local.lines_of(problem, backward=backward) if line.wrong]
        served = {a.equation, *a.also, b.equation, *b.also}
        total += 1
        named += {a.equation, b.equation} <= {name for line in lines for name in line.equations}
        assert all(served & set(line.equations) for line in lines), f"{cell}: {a}, {b}"
    assert total > 20 and named == total, f"{named} of {total}"


def test_a_mutant_changes_one_line_and_the_line_carries_its_tag():
    places = ledger.places()
    for mutant in MUTANTS:
        assert mutant.old != mutant.new
        mutant.apply()
    assert {m.equation for m in BACKWARD} == {e.id for e in ledger.entries() if e.id.startswith("B")}
    assert {m.equation for m in FORWARD} == {e.id for e in ledger.entries() if e.id.startswith("F")}
    assert {m.equation for m in MUTANTS} <= set(places)


def test_the_planted_violations_of_the_laws_are_all_that_the_ledger_lists():
    planted = property_module("properties/test_laws.py")
    seen = {*planted.PLANTED, *planted.WRONG_LOSSES, "L5", "P13"}
    expected = {e.id for e in ledger.entries() if e.kind in ("law", "loss") or (e.kind == "reading" and e.holds)}
    assert seen == expected


def test_a_law_on_trial_is_the_law_of_the_table():
    block = compare(
        law_named("P8"), Problem.draw(variant_named("post"), T=2, B=1, D=1, H=1, rng=np.random.default_rng(0))
    )
    assert block.verdict is Verdict.AGREES
