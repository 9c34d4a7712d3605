"""What a line of a backward pass holds is read off its numbers, in the author's own names."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from planted import passes

from bptt_check import Verdict, check
from bptt_check.expressions import said_of

EQUAL = 1e-12
SHAPE = (4, 2, 3)


def drawn():
    rng = np.random.default_rng(1)
    dh, dc, z, n = rng.normal(size=(4, *SHAPE))
    return {"dh": dh, "dc": dc}, {"z": z, "n": n}


@pytest.mark.parametrize(
    ("written", "right", "says", "remedy"),
    [
        ("dh * z", "dh * (1 - z)", "da is dh * z where dh * (1 - z) belongs", "da = dh * (1 - z)"),
        ("-(dh * z + dc)", "dh * z + dc", "da has the wrong sign", "change the sign of da"),
        ("np.tanh(dh)", "np.tanh(dh) + dc * n", "da lacks dc * n", "add dc * n to da"),
        ("np.tanh(dh) + dc * n", "np.tanh(dh)", "da has dc * n in it", "take dc * n out of da"),
        ("np.tanh(dh) * (1 - n**2)", "np.tanh(dh)", "has the factor (1 - n**2) once too often", "drop the factor"),
        ("np.tanh(dh)", "np.tanh(dh) * z", "lacks the factor z", "multiply da by z"),
        ("2 * dh * z", "np.tanh(dh)", "da is 2 * dh * z, which is not what belongs there", ""),
    ],
)
def test_what_is_written_and_what_belongs_there_are_named(written, right, says, remedy):
    derivatives, values = drawn()
    names = {**derivatives, **values, "np": np}
    said = said_of("da", eval(written, names), eval(right, names), derivatives, values, EQUAL)
    assert says in said.says and remedy in said.remedy and said.residual <= EQUAL


def test_nothing_is_said_of_numbers_that_no_short_product_gives():
    derivatives, values = drawn()
    rng = np.random.default_rng(2)
    assert said_of("da", rng.normal(size=SHAPE), rng.normal(size=SHAPE), derivatives, values, EQUAL) is None


def test_nothing_is_said_of_a_few_numbers():
    d = np.array([[[0.5, 2.0]]])
    assert said_of("da", d, -d, {"dh": d}, {"z": d}, EQUAL) is None


@pytest.mark.parametrize("mistake", passes.loaded("gru_torch_step").MISTAKES, ids=lambda mistake: mistake.name)
def test_a_gru_is_told_what_its_wrong_line_holds(mistake):
    result = check(passes.subject_of("gru_torch_step", mistake))
    assert result.verdict is Verdict.DISAGREES
    assert not passes.amiss(mistake, result)
