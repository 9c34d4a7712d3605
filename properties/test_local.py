"""Every backward equation on its own, everything that it reads taken as given: bptt_check/local.py."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import local
from bptt_check.laws.table import result_of
from bptt_check.lstm.backward import backward
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import NP, V, variant_named
from bptt_check.strategies import LstmCase, lstm_cases
from bptt_check.subject import Subject

CASES = lstm_cases(T=st.integers(1, 5))


def problem_of(case: LstmCase) -> Problem:
    problem = Problem.around(case.variant, case.point, loss=case.loss, rng=np.random.default_rng(case.seed))
    return problem.astype(np.longdouble)


@given(case=CASES)
def test_each_backward_line_differentiates_the_forward_line_that_it_mirrors(record, case):
    problem = problem_of(case)
    lines = local.lines_of(problem, backward=backward)
    record(result_of(problem, local.blocks(lines), case={"seed": case.seed}))
    wrong = [str(line) for line in lines if line.wrong]
    assert sum(line.compared for line in lines) > 0 and not wrong, wrong


@given(CASES)
def test_one_line_is_compared_for_every_block_at_every_step(case):
    problem = problem_of(case)
    compared = {(line.name, line.t) for line in local.lines_of(problem)}
    steps = range(1, case.T + 1)
    expected = {(f"{name}(t)", t) for name in problem.intermediates for t in steps} | {("x", t) for t in steps}
    expected |= {(name, None) for name in problem.weights} | {(name, 0) for name in problem.initial}
    assert compared == expected


def test_lines_come_in_backward_order():
    problem = Problem.draw(V, T=2, B=1, D=2, H=3, rng=np.random.default_rng(0))
    names = [f"{line.name}{line.t}" for line in local.lines_of(problem) if line.t == 2]
    assert names == [
        f"{n}2" for n in ("h(t)", "o(t)", "z_o(t)", "s(t)", "f(t)", "z_f(t)", "i(t)", "z_i(t)", "g(t)", "z_g(t)", "x")
    ]


def test_a_line_at_the_last_step_names_no_equation_of_what_is_handed_back():
    problem = Problem.draw(V, T=2, B=1, D=2, H=3, rng=np.random.default_rng(0))
    equations = {(line.name, line.t): line.equations for line in local.lines_of(problem)}
    assert equations["s(t)", 2] == ("B2", "B2p")
    assert equations["s(t)", 1] == ("B2", "B2p", "B8", "B8p")
    assert equations["s0", 0] == ("B8", "B8p", "B9")


def test_an_intermediate_without_a_derivative_joins_the_lines_around_it():
    """A user who returns no dz still has every other line compared: the chain runs on through what is not held."""
    problem = Problem.draw(NP, T=3, B=2, D=4, H=3, rng=np.random.default_rng(1))
    derivatives = problem.derivatives(problem.gradients())
    few = {name: d for name, d in derivatives.items() if not name.startswith("z_") and name not in ("g(t)", "i(t)")}

    def tapped(point, tap):
        at = problem.at(point)
        return at.value(at.trace(tap=tap))

    lines = local.lines(tapped, problem.point, few, equations=local.equations_of(problem), stacked=True)
    assert not [str(line) for line in lines if line.wrong]
    assert {line.name for line in lines} == set(few)


def test_the_local_lines_and_the_whole_gradient_speak_of_the_same_blocks():
    subject = Subject.from_variant("FGR", T=2, B=1, D=2, H=1)
    problem = Problem.draw(variant_named("FGR"), T=2, B=1, D=2, H=1, rng=np.random.default_rng(0))
    assert set(subject.blocks) == {line.name for line in local.lines_of(problem)}


def test_blocks_by_equation_count_every_entry_compared():
    lines = local.lines_of(Problem.draw(NP, T=2, B=2, D=4, H=3, rng=np.random.default_rng(0)))
    blocks = local.blocks(lines)
    assert blocks["B6"].compared == 4 * 3 and blocks["B4"].compared == 2 * 4 * 2 * 3
    assert all(block.verdict.value == "AGREES" and block.max_relative_error < 1e-14 for block in blocks.values())
