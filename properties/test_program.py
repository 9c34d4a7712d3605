"""The lines of each cell are those of lstm/backward.py, and one of them can be changed without the others."""

from __future__ import annotations

import numpy as np
import pytest

from bptt_check.lstm.backward import backward
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import NP, VARIANTS, V
from bptt_check.program import END, STEP, SUM, Program, lines_of

CELLS = pytest.mark.parametrize("cell", VARIANTS, ids=lambda cell: cell.name)
SHAPES = ((1, 1, 1, 1), (2, 1, 3, 2), (5, 3, 2, 4))
EPS = float(np.finfo(float).eps)


def problem_of(cell, shape, seed=0):
    T, B, D, H = shape
    return Problem.draw(cell, T=T, B=B, D=D, H=H, rng=np.random.default_rng(seed))


def program_of(problem, **options):
    trace = problem.trace()
    return Program(trace, problem.slope(trace), **options)


def assert_close(a, b, what):
    assert a.shape == b.shape, what
    assert np.abs(a - b).max() <= 256 * EPS * max(np.abs(b).max(), 1e-6), what


@CELLS
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_lines_as_they_are_give_the_gradients_of_the_equations(cell, shape):
    problem = problem_of(cell, shape)
    right, grads = program_of(problem).right, problem.gradients()
    for name, array in {**grads.weights, "x": grads.x, **grads.initial}.items():
        assert_close(right[f"d{name}"], array, name)
    for name in problem.intermediates:
        assert_close(right[f"d{name}"], grads.steps[name], name)


@CELLS
def test_what_each_step_adds_is_what_the_equations_say_and_sums_to_the_gradient(cell):
    problem = problem_of(cell, (4, 2, 3, 2))
    program, grads = program_of(problem), problem.gradients(by_step=True)
    added = program.contributions()
    assert set(added) == {f"d{name}" for name in grads.weights}
    for name, steps in grads.weights_by_step.items():
        assert_close(added[f"d{name}"], steps, name)
        assert_close(added[f"d{name}"].sum(axis=0), program.right[f"d{name}"], name)


@CELLS
def test_every_line_has_a_target_of_its_own_and_every_gradient_a_line(cell):
    lines = lines_of(cell)
    assert len({line.target for line in lines}) == len(lines)
    assert {line.kind for line in lines} == {STEP, SUM, END}
    assert {line.target for line in lines if line.kind != STEP} | {"dx"} == {
        f"d{k}" for k in problem_of(cell, SHAPES[1]).point
    }


def test_a_line_reads_as_code():
    said = [str(line) for line in lines_of(NP)]
    assert "df = s[t-1] * ds" in said
    assert "dW_fh += dz_f.T @ h[t-1]" in said


def test_a_changed_sum_changes_that_sum_alone():
    program = program_of(problem_of(NP, (3, 2, 3, 4)))
    values = program.run({"db_f": "2 * dz_f.sum(axis=0)"})
    assert np.array_equal(values["db_f"], 2 * program.right["db_f"])
    assert all(values[k] is program.right[k] for k in program.right if k != "db_f")


def test_a_changed_step_changes_what_follows_from_it_and_nothing_before():
    program = program_of(problem_of(NP, (3, 2, 3, 4)))
    values = program.run({"df": "0 * ds"})
    same = {k for k, a in program.right.items() if np.array_equal(values[k], a)}
    assert not {"df", "dz_f", "dx", "dh_next", "dW_fx", "db_f", "dh0"} & same
    assert np.array_equal(values["ds"][-1], program.right["ds"][-1])  # the last step is computed first
    assert not np.array_equal(values["ds"][0], program.right["ds"][0])


def test_held_values_are_read_in_the_place_of_what_a_line_gives():
    problem = problem_of(V, (3, 2, 3, 4))
    plain = program_of(problem)
    held = program_of(problem, held={"ds": 3 * plain.right["ds"]})
    assert_close(held.right["df"], 3 * plain.right["df"], "df")
    assert_close(held.right["dW_fx"], 3 * plain.right["dW_fx"], "dW_fx")


def test_a_loss_of_the_memory_enters_at_ds():
    problem = problem_of(NP, (1, 2, 3, 4))
    trace = problem.trace()
    into_s = np.random.default_rng(1).normal(size=(1, 2, 4))
    grads = backward(trace, problem.slope(trace), ds_next=into_s[0])
    right = Program(trace, problem.slope(trace), dl_ds=into_s).right
    for name, array in {**grads.weights, **grads.initial}.items():
        assert_close(right[f"d{name}"], array, name)


def test_code_that_does_not_run_is_not_hidden():
    program = program_of(problem_of(NP, (2, 1, 3, 2)))
    with pytest.raises(NameError):
        program.run({"df": "nothing_of_that_name"})
    with pytest.raises(ValueError, match="matmul"):
        program.run({"dx": "dz_g @ W_gx.T"})
