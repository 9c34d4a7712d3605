"""The first wrong line of a user's own cell, by intermediate and time step, however many lines are wrong."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject, Verdict, check
from bptt_check.differences import Richardson
from bptt_check.errors import SubjectError
from bptt_check.localise import KIND, first_wrong_line, lines_of_subject
from bptt_check.lstm.variants import VARIANTS


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Lstm:
    """The common LSTM, as a user writes it; ``wrong`` names lines whose result is multiplied by 3."""

    state = ("h", "s")

    def __init__(self, *wrong):
        self.wrong = wrong

    def parameters(self, D, H):
        return {f"{kind}_{k}": shape for k in "gifo" for kind, shape in (("W", (H, D)), ("U", (H, H)), ("b", (H,)))}

    def forward(self, p, x, prev, tap):
        z = {k: tap(f"z_{k}", x @ p[f"W_{k}"].T + prev["h"] @ p[f"U_{k}"].T + p[f"b_{k}"]) for k in "gifo"}
        g = tap("g", np.tanh(z["g"]))
        i, f, o = (tap(k, sigmoid(z[k])) for k in "ifo")
        s = tap("s", g * i + prev["s"] * f)
        return {"h": np.tanh(s) * o, "s": s}, (x, prev, g, i, f, o, s)

    def backward(self, p, cache, d):
        x, prev, g, i, f, o, s = cache
        line = self.line
        do = line("o", np.tanh(s) * d["h"])
        ds = line("s", o * (1 - np.tanh(s) ** 2) * d["h"] + d["s"])
        dg, di, df = line("g", i * ds), line("i", g * ds), line("f", prev["s"] * ds)
        dz = {"g": line("z_g", (1 - g**2) * dg)}
        for k, out, dk in (("i", i, di), ("f", f, df), ("o", o, do)):
            dz[k] = line(f"z_{k}", out * (1 - out) * dk)
        dp = {}
        for k in "gifo":
            dp[f"W_{k}"], dp[f"U_{k}"] = line(f"W_{k}", dz[k].T @ x), line(f"U_{k}", dz[k].T @ prev["h"])
            dp[f"b_{k}"] = line(f"b_{k}", dz[k].sum(axis=0))
        dx = line("x", sum(dz[k] @ p[f"W_{k}"] for k in "gifo"))
        dprev = {"h": line("next h", sum(dz[k] @ p[f"U_{k}"] for k in "gifo")), "s": line("next s", f * ds)}
        return dp, dx, dprev, {"g": dg, "i": di, "f": df, "o": do, "s": ds, **{f"z_{k}": dz[k] for k in "gifo"}}

    def line(self, name, value):
        return 3 * value if name in self.wrong else value


# The lines of a step backwards that a cell returns, in the reverse of the order in which the forward pass taps them.
STEP = ("s", "o", "f", "i", "g", "z_o", "z_f", "z_i", "z_g", "x")
HANDED_BACK = ("next s", "next h")
SUMS = tuple(f"{kind}_{k}" for k in "gifo" for kind in "WUb")


def called(name):
    return f'dprev["{name[5:]}"]' if name in HANDED_BACK else f"d{name}"


def first_of(wrong):
    return min(wrong, key=(*STEP, *HANDED_BACK, *SUMS).index)


def rows_of(finding):
    """The lines that the finding lists as wrong, by name."""
    return {row.split()[0] for row in finding.detail.splitlines()[1:] if " wrong" in row}


def found_in(cell, **options):
    subject = Subject.from_cell(cell, **options)
    return first_wrong_line(subject, subject.gradient(subject.blocks))


@given(
    wrong=st.lists(st.sampled_from((*STEP, *HANDED_BACK, *SUMS)), min_size=1, max_size=3, unique=True),
    T=st.integers(1, 6),
    B=st.integers(1, 3),
    H=st.integers(1, 3),
    seed=st.integers(0, 9),
)
def test_the_first_wrong_line_is_named_however_many_are_wrong(wrong, T, B, H, seed):
    finding = found_in(Lstm(*wrong), T=T, B=B, D=4, H=H, rng=seed)
    assert finding is not None and finding.kind == KIND
    first = first_of(wrong)
    said = called(first) if first in SUMS else f"{called(first)} at t = {T}"
    assert finding.message.startswith(f"{said} is the first wrong line in backward order"), finding
    assert rows_of(finding) == {called(name) for name in wrong}


@pytest.mark.parametrize(("a", "b"), list(combinations(("s", "f", "z_f", "next s", "next h", "U_o"), 2)))
def test_of_two_wrong_lines_both_are_named_and_no_other(a, b):
    finding = found_in(Lstm(a, b), T=4)
    assert rows_of(finding) == {called(a), called(b)}
    assert finding.message.endswith(f"wrong by themselves too: {called(b if first_of((a, b)) == a else a)}")
    assert "at t = 4, 3, 2, 1, off by" in finding.detail


def test_the_steps_at_which_a_line_is_wrong_are_listed():
    class WrongWhereNegative(Lstm):
        """dz_f loses its slope, but only at steps whose first input is negative."""

        def backward(self, p, cache, d):
            self.wrong = ("z_f",) if cache[0][0, 0] < 0 else ()
            return super().backward(p, cache, d)

    x = np.random.default_rng(3).normal(size=(6, 2, 4))
    x[:, 0, 0] = [1, -1, 1, -1, -1, 1]
    subject = Subject.from_cell(WrongWhereNegative(), T=6, B=2, D=4, H=3, point={"x": x})
    finding = first_wrong_line(subject, subject.gradient(subject.blocks))
    assert "dz_f at t = 5 is the first wrong line" in finding.message
    assert "wrong at t = 5, 4, 2," in finding.detail


def test_in_a_long_sequence_the_latest_wrong_step_is_found_by_halving():
    finding = found_in(Lstm("next s"), T=64, B=1, D=2, H=2)
    assert 'dprev["s"] at t = 64' in finding.message and "at t = 64 and perhaps before" in finding.detail


def test_a_right_cell_has_no_wrong_line():
    subject = Subject.from_cell(Lstm, T=5)
    assert first_wrong_line(subject, subject.gradient(subject.blocks)) is None
    assert not [str(line) for line in lines_of_subject(subject) if line.wrong]


def test_the_equation_of_a_line_is_named_where_the_cell_uses_the_familys_names():
    for name, equation in (("z_f", "B4"), ("f", "B3"), ("s", "B2"), ("next s", "B8"), ("next h", "B7"), ("x", "B7")):
        assert f"(→ {equation})" in found_in(Lstm(name), T=3).message


def test_an_intermediate_whose_derivative_is_not_returned_joins_its_neighbours():
    class Few(Lstm):
        def backward(self, p, cache, d):
            *rest, taps = super().backward(p, cache, d)
            return *rest, {"s": taps["s"], "f": taps["f"]}

    assert found_in(Few()) is None
    assert "df at t = 5 is the first wrong line" in found_in(Few("f")).message
    joined = found_in(Few("z_g")).message  # dg and dz_g are not returned, so they belong to all that reads them
    assert "dx at t = 5 is the first wrong line" in joined
    assert joined.endswith('wrong by themselves too: dprev["h"], dW_g, dU_g, db_g')


def test_a_forward_pass_without_complex_numbers_is_held_by_real_differences():
    class RealOnly(Lstm):
        def forward(self, p, x, prev, tap):
            real = (np.asarray(x, float), {k: np.asarray(v, float) for k, v in prev.items()})
            return super().forward({k: np.asarray(v, float) for k, v in p.items()}, *real, tap)

    subject = Subject.from_cell(RealOnly("i", "z_o"), T=3, B=2, D=3, H=2)
    gradient = subject.gradient(subject.blocks)
    assert first_wrong_line(subject, gradient) is None  # a complex step does not get through, and nothing is made up
    finding = first_wrong_line(subject, gradient, method=Richardson())
    assert "di at t = 3" in finding.message and "dz_o" in finding.message
    right = Subject.from_cell(RealOnly, T=3, B=2, D=3, H=2)
    assert first_wrong_line(right, right.gradient(right.blocks), method=Richardson()) is None


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_a_built_in_cell_can_be_held_too(variant):
    subject = Subject.from_variant(variant, T=3, B=2, D=3, H=2)
    gradient = subject.gradient(subject.blocks)
    assert first_wrong_line(subject, gradient) is None
    gradient["z_g(t)"] = 2 * gradient["z_g(t)"]  # and what was computed from the right one is now wrong too
    assert "dz_g at t = 3 is the first wrong line" in first_wrong_line(subject, gradient).message


def test_a_float32_cell_is_held_in_float32():
    drawn = Subject.from_cell(Lstm, T=4)
    point = {name: array.astype(np.float32) for name, array in drawn.point.items()}
    for wrong, said_ in ((), None), (("o",), "do at t = 4"):
        subject = Subject.from_cell(Lstm(*wrong), T=4, point=point)
        gradient = subject.gradient(subject.blocks)
        assert {a.dtype for a in gradient.values()} == {np.dtype(np.float32)}
        finding = first_wrong_line(subject, gradient)
        assert finding is None if said_ is None else said_ in finding.message


def test_a_subject_without_taps_has_no_lines():
    subject = Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 3 * p["w"]}, {"w": np.ones(2)})
    assert first_wrong_line(subject, subject.gradient(subject.point)) is None
    with pytest.raises(SubjectError, match="hands no intermediates through a tap"):
        lines_of_subject(subject)


def test_a_cell_that_raises_while_it_is_held_gives_no_finding():
    subject = Subject.from_cell(Lstm("f"), T=3)

    def failing(point, tap):
        raise RuntimeError("no")

    assert first_wrong_line(replace(subject, tapped=failing), subject.gradient(subject.blocks)) is None


@pytest.mark.parametrize("wrong", [("f",), ("next s",), ("W_i",)])
def test_the_whole_gradient_disagrees_wherever_a_line_is_wrong(wrong):
    result = check(Subject.from_cell(Lstm(*wrong), T=3), causes=False)
    assert result.verdict is Verdict.DISAGREES
