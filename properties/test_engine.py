"""The check itself, on gradients that are right and on gradients that are wrong on purpose."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bptt_check import Subject, SubjectError, Verdict, check, starting
from bptt_check.directions import CHANCE
from bptt_check.levels import levels
from bptt_check.reference import choose
from bptt_check.strategies import lstm_cases, variants

POINT = {"w": np.array([0.5, -1.0, 2.0])}


def right(p):
    return {"w": np.cos(p["w"])}


def subject(gradient=right, point=POINT, loss=lambda p: np.sin(p["w"]).sum()):
    return Subject.from_functions(loss, gradient, point)


@given(case=lstm_cases())
def test_the_built_in_cells_agree(case):
    result = check(case.subject())
    assert result.verdict is Verdict.AGREES, f"\n{case}\n{result}"


@given(case=lstm_cases(cells=variants(["post", "NP"])), data=st.data())
def test_one_entry_off_by_a_millionth_is_seen_in_any_block(case, data):
    lstm = case.subject()
    at_point = lstm.gradient(lstm.blocks)
    names = [name for name, a in at_point.items() if a.any()]
    assume(names)
    name = data.draw(st.sampled_from(names))
    index = data.draw(st.sampled_from([tuple(map(int, k)) for k in np.argwhere(at_point[name])]))

    def spoilt(p):
        gradient = lstm.gradient(p)
        gradient[name][index] *= 1 + 1e-6
        return gradient

    wrong = Subject(lstm.name, lstm.point, lstm.loss_at, spoilt, lstm.interventions, stacked=True)
    result = check(wrong, causes=False)
    block = result.blocks[name]
    if abs(at_point[name][index]) > 1e-6 * np.abs(at_point[name]).max():
        assert (result.verdict, block.verdict) == (Verdict.DISAGREES, Verdict.DISAGREES), str(result)
        assert block.index == index, str(result)


def test_a_gradient_that_is_not_returned_makes_the_result_inconclusive_unless_it_is_optional():
    point = {**POINT, "x": np.array([1.0])}
    partial = subject(point=point)
    result = check(partial)
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.blocks["x"].verdict is Verdict.NOT_RETURNED
    assert check(partial, optional=["x"]).verdict is Verdict.AGREES


def test_zero_compared_is_never_agreement():
    result = check(subject(lambda p: {}), optional=["w"])
    assert (result.verdict, result.compared) == (Verdict.INCONCLUSIVE, 0)


@pytest.mark.parametrize(
    ("gradient", "said"),
    [
        (lambda p: {"w": np.cos(p["w"])[:, None]}, r"gradient of w has shape \(3, 1\).*\(3,\)"),
        (lambda p: {"w": 1.0}, r"gradient of w has shape \(\)"),
        (lambda p: {"v": np.cos(p["w"])}, "names v, which the point lacks"),
    ],
)
def test_a_gradient_of_another_shape_or_name_is_refused_by_name(gradient, said):
    with pytest.raises(SubjectError, match=said):
        check(subject(gradient))


@pytest.mark.parametrize(
    ("point", "said"),
    [
        ({}, "empty"),
        ({"w": np.zeros(0)}, "empty"),
        ({"w": np.array([1.0, np.nan])}, r"'w'.*not finite at \[1\]"),
        ({"w": np.array([np.inf])}, "not finite"),
        ({"w": np.array([1, 2])}, "integers"),
        ({"w": np.array([1j])}, "complex"),
    ],
)
def test_a_point_that_has_no_derivative_is_refused(point, said):
    with pytest.raises(SubjectError, match=said):
        check(subject(point=point))


def test_an_exception_in_the_users_code_is_a_finding_with_its_traceback():
    def broken(p):
        raise IndexError("no such step")

    result = check(subject(broken))
    (finding,) = result.findings
    assert result.verdict is Verdict.INCONCLUSIVE
    assert finding.kind == "raised"
    assert "no such step" in finding.detail
    assert "in broken" in finding.detail


def test_a_changed_input_a_random_loss_and_an_accumulating_gradient_are_found():
    def changing(p):
        gradient = np.cos(p["w"])
        p["w"] *= 0
        return {"w": gradient}

    total = np.zeros(3)

    def accumulating(p):
        total[...] += np.cos(p["w"])
        return {"w": total.copy()}

    rng = np.random.default_rng(0)
    assert "changed-inputs" in {f.kind for f in check(subject(changing)).findings}
    assert "accumulates" in {f.kind for f in check(subject(accumulating)).findings}
    noisy = subject(loss=lambda p: np.sin(p["w"]).sum() + rng.normal())
    assert check(noisy).verdict is Verdict.INCONCLUSIVE
    assert "random-loss" in {f.kind for f in check(noisy).findings}


def beside(constant):
    """A loss of 1e-2 or so beside a constant, in code that has only float64."""
    w = {"w": np.random.default_rng(3).uniform(-2, 2, 6)}
    return Subject.from_functions(
        lambda p: constant + float(np.sin(np.asarray(p["w"], np.float64)).sum() * 1e-3),
        lambda p: {"w": np.cos(p["w"]) * 1e-3},
        w,
    )


def test_what_is_left_open_says_what_would_decide_it():
    result = check(beside(1e7))
    (finding,) = (f for f in result.findings if f.kind == "left-open")
    assert result.verdict is Verdict.INCONCLUSIVE and not finding.fault
    asked = float(re.search(r"resolution=(\S+),", finding.message)[1])
    assert 1e-6 < asked <= 0.1 and check(beside(1e7), resolution=asked).verdict is Verdict.AGREES
    assert not [f for f in check(beside(0.0)).findings if f.kind == "left-open"]


@pytest.mark.parametrize("share", [1e-4, 1e-6])
def test_digits_that_constants_lose_are_not_held_against_a_gradient_and_hide_no_fault(share):
    weights = np.random.default_rng(0).normal(size=5)
    others = weights * (1 - share)

    def gradient(p, by=1.0):
        return {"w": (1e6 * weights - 1e6 * others) * np.cos(p["w"]) * by}

    def loss(p):
        return 1e6 * (weights @ np.sin(p["w"])) - 1e6 * (others @ np.sin(p["w"]))

    point = {"w": np.random.default_rng(1).normal(size=5)}
    right = check(Subject.from_functions(loss, gradient, point))
    assert right.verdict is Verdict.AGREES, str(right)
    resolution = right.blocks["w"].resolution
    assert np.finfo(float).eps / share < resolution < 1e-6  # it says how much is lost
    one = np.array([1.0, 1.0, 1.0 + 3 * resolution, 1.0, 1.0])
    wrong = check(Subject.from_functions(loss, lambda p: gradient(p, one), point))
    assert wrong.verdict is Verdict.DISAGREES, str(wrong)


def only_float64(f):
    """A function of a point that takes nothing but float64, as compiled code does."""

    def inner(p):
        if any(a.dtype != np.float64 for a in p.values()):
            raise TypeError("float64 only")
        return f(p)

    return inner


def times(gradient, name, index, factor):
    """The gradient with one entry multiplied."""

    def wrong(p):
        found = {k: a.copy() for k, a in gradient(p).items()}
        found[name][index] *= factor
        return found

    return wrong


def test_rounding_far_off_is_no_staircase_that_hides_a_fault():
    def gradient(p):  # of ½‖h Wᵀ…‖² by hand: sixty equal layers
        hidden = [p["h"]]
        for _ in range(60):
            hidden.append(hidden[-1] @ p["W"])
        dh, dW = hidden[-1], np.zeros((2, 2))
        for h in hidden[-2::-1]:
            dW += np.outer(h, dh)
            dh = dh @ p["W"].T
        return {"W": dW, "h": dh}

    @only_float64
    def loss(p):
        h = p["h"]
        for _ in range(60):
            h = h @ p["W"]
        return float(h @ h) / 2

    point = {"W": np.array([[1.16, 0.27], [0.115, 0.46]]), "h": np.array([1.0, 0.014])}
    assert check(Subject.from_functions(loss, gradient, point)).verdict is Verdict.AGREES
    for size in (1e-2, 1e-4):
        wrong = check(Subject.from_functions(loss, times(gradient, "W", (0, 0), 1 + size), point))
        assert wrong.verdict is Verdict.DISAGREES, str(wrong)


@pytest.mark.parametrize("size", [0.0, 1e-2])
def test_steps_are_as_short_as_what_bends_near_the_point(size):
    """Two of four points lie a ten-thousandth apart: their distance bends on that length."""
    point = {"P": np.array([[-0.66611, 0.14327], [-0.66607, 0.14333], [-1.0516, -0.019849], [-0.10069, -1.4211]])}
    pairs = [(i, j) for i in range(4) for j in range(i)]

    @only_float64
    def loss(p):
        return float(sum(np.sqrt(((p["P"][i] - p["P"][j]) ** 2).sum() + 1e-12) for i, j in pairs))

    def gradient(p):
        d = np.zeros((4, 2))
        for i, j in pairs:
            apart = p["P"][i] - p["P"][j]
            along = apart / np.sqrt((apart**2).sum() + 1e-12)
            d[i] += along
            d[j] -= along
        return {"P": d}

    smallest = np.unravel_index(np.abs(gradient(point)["P"]).argmin(), (4, 2))
    result = check(Subject.from_functions(loss, times(gradient, "P", smallest, 1 + size), point))
    assert result.verdict is (Verdict.DISAGREES if size else Verdict.AGREES), str(result)


def test_a_gradient_that_takes_only_float64_is_looked_at_nearby_too():
    """Beside a derivative of 4e10 rounding inside could explain an error of 1e-4; but it is steady, so it is one."""
    point = {"a": np.array([3.2, -1.2, 1.6, -0.5]), "b": np.array([4.0, 3.8e-4, 0.3, 1.3])}
    gradient = only_float64(lambda p: {"a": 5 * p["a"] ** 4, "b": -2 * p["b"] ** -3})
    wrong = times(gradient, "a", 2, 1 + 1e-4)
    result = check(Subject.from_functions(lambda p: (p["a"] ** 5).sum() + (p["b"] ** -2).sum(), wrong, point))
    assert result.verdict is Verdict.DISAGREES, str(result)


def test_a_steep_sine_is_rounded_by_more_than_an_ulp_and_contradicts_no_complex_step():
    point = {"x": np.array([-0.33, 0.85, 0.98, 0.17, 0.61])}
    gradient = only_float64(lambda p: {"x": 437.0 * np.cos(437.0 * p["x"])})
    wrong = times(gradient, "x", 2, 1 + 1e-8)
    result = check(Subject.from_functions(lambda p: np.sin(437.0 * p["x"]).sum(), wrong, point))
    assert (result.verdict, result.method[:12]) == (Verdict.DISAGREES, "complex step"), str(result)


@pytest.mark.parametrize("seed", range(6))
def test_a_derivative_of_zero_but_for_rounding_agrees(seed):
    """The bias before a normalised layer: what the layer subtracts again."""
    rng = np.random.default_rng(seed)
    x, y, n = rng.normal(size=(5, 3)), rng.normal(size=(5, 4)), 5

    def normalised(p):
        z = x @ p["W"] + p["b"]
        centred = z - z.sum(axis=0) / n
        return centred, ((centred**2).sum(axis=0) / n + 1e-5) ** 0.5

    def loss(p):
        centred, width = normalised(p)
        return ((centred / width - y) ** 2).sum()

    @only_float64
    def gradient(p):
        centred, width = normalised(p)
        d = 2 * (centred / width - y) / width
        d = d - d.mean(axis=0) - centred / width**2 * (d * centred).mean(axis=0)
        return {"W": x.T @ d, "b": d.sum(axis=0)}

    result = check(Subject.from_functions(loss, gradient, {"W": rng.normal(size=(3, 4)), "b": rng.normal(size=4)}))
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.blocks["b"].resolution is None and result.miss_probability < CHANCE


# ------------------------------------------------------------------------------------------- small cases


def spoilt_cell(name, index, size):
    """A built-in cell, one entry of one gradient wrong by a share of itself, in each of several stacked copies too."""
    lstm = Subject.from_variant("NP", T=4, B=2, D=3, H=3)
    forward, backward = lstm.pair

    def spoilt(trace):
        gradient = {key: np.array(a) for key, a in backward(trace).items()}
        gradient[name][(..., *index)] *= 1 + size
        return gradient

    return replace(lstm, pair=(forward, spoilt), gradient_at=lambda p: spoilt(forward(p)[1]))


@given(case=lstm_cases(), seed=st.integers(0, 2**20))
def test_a_glance_at_all_directions_agrees_where_every_entry_does(case, seed):
    glanced, compared = (check(case.subject(), rng=seed, entries=entries) for entries in ("auto", "all"))
    assert (glanced.verdict, compared.verdict) == (Verdict.AGREES, Verdict.AGREES), f"\n{glanced}\n{compared}"
    assert glanced.compared == compared.compared
    assert glanced.miss_probability < CHANCE


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize(("name", "index"), [("W_fh", (2, 1)), ("x", (0, 1, 2)), ("z_i(t)", (3, 0, 0)), ("s0", (1, 2))])
def test_a_glance_misses_nothing_that_every_entry_would_show(name, index, size):
    result = check(spoilt_cell(name, index, size), causes=False)
    assert result.blocks[name].verdict is Verdict.DISAGREES, str(result)
    assert result.blocks[name].index == index
    assert [block.name for block in result.blocks.values() if block.verdict is Verdict.DISAGREES] == [name]


def test_a_small_right_cell_costs_a_handful_of_calls():
    result = check(Subject.from_variant("NP", T=5, B=2, D=3, H=4))
    assert (result.verdict, result.evaluations, result.gradient_evaluations) == (Verdict.AGREES, 4, 4)


@pytest.mark.skipif(np.finfo(np.longdouble).eps >= np.finfo(float).eps, reason="no long double here")
@given(case=lstm_cases(), seed=st.integers(0, 99))
def test_no_measured_rounding_is_less_than_the_presumed(case, seed):
    of = case.subject()
    gradient, rng = of.gradient(of.blocks), np.random.default_rng(seed)
    reference = choose(of, gradient, rng=rng)
    least, measured = (
        levels(of, of.blocks, gradient, reference, eps=np.finfo(float).eps, rng=rng, presume=presume)
        for presume in (True, False)
    )
    assume(least.presumed)
    assert least.calls < 2 and not measured.presumed
    for name in gradient:
        assert (least.rounding.level[name] <= measured.rounding.level[name]).all(), name
        assert (least.own.level[name] <= measured.own.level[name]).all(), name


def lacking(loss, gradient, share):
    """A loss whose imaginary part lacks a share, as where code drops it, and a gradient that lacks it too."""

    def losing(p):
        value = loss(p)
        return value.real + 1j * (1 - share) * value.imag if np.iscomplexobj(value) else value

    return losing, lambda of: {name: (1 - share) * a for name, a in gradient(of).items()}


@pytest.mark.parametrize("stacked", [True, False])
@pytest.mark.parametrize("share", [1e-3, 1e-5])
def test_a_complex_step_that_lacks_what_the_gradient_lacks_is_not_believed(stacked, share):
    if stacked:
        cell = Subject.from_variant("NP", T=2, B=1, D=1, H=1)
        loss, gradient = lacking(cell.loss_at, cell.gradient_at, share)
        of = replace(cell, loss_at=loss, gradient_at=gradient, pair=(lambda p: (loss(p), p), gradient))
    else:
        at = {"w": np.linspace(0.2, 2.0, 60)}
        loss, gradient = lacking(lambda p: np.sin(p["w"]).sum(), right, share)
        of = subject(gradient, at, loss)
    result = check(of, causes=False)
    assert "complex" not in result.method
    assert result.verdict is Verdict.DISAGREES, str(result)


def test_a_block_that_loses_precision_on_the_way_is_not_called_wrong():
    lstm = Subject.from_variant("NP", T=4, B=2, D=3, H=3)

    def narrowed(p):
        return {name: np.asarray(a, float) if name == "W_fh" else a for name, a in lstm.gradient_at(p).items()}

    result = check(replace(lstm, gradient_at=narrowed, pair=None))
    assert result.verdict is Verdict.AGREES, str(result)
    assert "the gradient is evaluated there too" not in result.reason


@pytest.mark.skipif(np.finfo(np.longdouble).eps >= np.finfo(float).eps, reason="no long double here")
def test_a_right_cell_of_seventeen_blocks_is_settled_by_directions_over_all_of_them():
    module = {}
    exec(starting.text("cell"), module)
    result = check(Subject.from_cell(module["Cell"], T=5, B=2, D=3, H=4))
    assert (result.verdict, len(result.blocks)) == (Verdict.AGREES, 17)
    # called at the point and elsewhere, the proof of the reference, directions, the last of them elsewhere
    assert result.evaluations <= 3 + 3 + 3 + 1
    assert result.gradient_evaluations <= 4


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_larger_right_cell_whose_small_entries_round_too_much_stays_within_its_bill(seed):
    module = {}
    exec(starting.text("cell"), module)
    result = check(Subject.from_cell(module["Cell"], T=20, B=3, D=8, H=16, rng=seed))
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.evaluations + 3 * result.gradient_evaluations <= 60


def test_a_loss_that_stands_still_is_asked_elsewhere_whether_it_carries_a_complex_step():
    result = check(
        Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, {"w": np.zeros(3)})
    )
    assert result.verdict is Verdict.AGREES, str(result)
    assert "complex step" in result.method
    assert result.evaluations + 3 * result.gradient_evaluations <= 60


def test_without_causes_a_wrong_cell_is_shown_by_fewer_entries_and_just_as_wrong():
    whole, brief = (check(wrong_cell(), causes=causes) for causes in (True, False))
    assert all("looked at disagree" in b.note for b in brief.blocks.values() if b.verdict is Verdict.DISAGREES)
    assert not brief.causes
    assert {b.name: b.verdict for b in brief.blocks.values()} == {b.name: b.verdict for b in whole.blocks.values()}


def test_a_gradient_that_does_not_carry_stacked_copies_is_asked_for_one_point_at_a_time():
    lstm = Subject.from_variant("post", T=3, B=2, D=2, H=3)

    def single(p):
        assert all(np.shape(p[name]) == a.shape for name, a in lstm.blocks.items()), "no copies here"
        return lstm.gradient_at(p)

    assert check(replace(lstm, gradient_at=single)).verdict is Verdict.AGREES


def test_without_the_call_protocol_the_result_says_so_and_nothing_is_called_twice_at_the_point():
    calls = {"loss": 0, "gradient": 0}

    def counted(which, function):
        def call(p):
            calls[which] += all(np.array_equal(p[name], a) for name, a in POINT.items())
            return function(p)

        return call

    loss, gradient = counted("loss", lambda p: np.sin(p["w"]).sum()), counted("gradient", right)
    result = check(subject(gradient, loss=loss), protocol=False, method="complex")
    assert result.verdict is Verdict.AGREES
    assert "calls-not-watched" in {finding.kind for finding in result.findings}
    assert "not looked at" in str(result)
    assert result.repeats == 1
    assert calls["loss"] == 1


def test_without_the_call_protocol_a_wrong_gradient_is_seen_as_well():
    result = check(subject(lambda p: {"w": -np.cos(p["w"])}), protocol=False)
    assert result.verdict is Verdict.DISAGREES


def wrong_cell(T=20, B=3, D=8, H=16):
    module = {}
    exec(starting.text("cell").replace(starting.RIGHT_LINE, starting.WRONG_LINE), module)
    return Subject.from_cell(module["Cell"], T=T, B=B, D=D, H=H)


def test_wrong_blocks_of_a_known_cell_are_shown_by_all_their_entries_though_few_were_measured():
    small = {"T": 5, "B": 2, "D": 3, "H": 4}
    shown, measured = check(wrong_cell(**small)), check(wrong_cell(**small), entries="all", causes=False)
    assert shown.evaluations < measured.evaluations / 3
    for name, block in shown.blocks.items():
        other = measured.blocks[name]
        assert block.verdict is other.verdict
        if block.verdict is Verdict.DISAGREES:
            assert block.index == other.index, str(shown)
            assert block.reference == pytest.approx(other.reference, rel=1e-9)
            assert block.max_relative_error == pytest.approx(other.max_relative_error, rel=1e-6)


def test_many_wrong_blocks_take_one_second_look():
    result = check(wrong_cell())
    wrong = [block for block in result.blocks.values() if block.verdict is Verdict.DISAGREES]
    assert len(wrong) > 10
    assert result.evaluations < 250  # a second look a block takes more than that by itself


@pytest.mark.parametrize("at_zero", [0.5, 0.75, -0.25])
def test_several_blocks_on_kinks_are_not_called_wrong_together(at_zero):
    """Grave by their numbers, and right: each gradient lies between the one-sided derivatives."""

    def loss(p):
        return np.abs(p["u"]).sum() + np.abs(p["v"]).sum() + (p["w"] ** 2).sum()

    def gradient(p):
        slopes = {name: np.where(p[name] == 0, at_zero, np.sign(p[name])) for name in "uv"}
        return {**slopes, "w": 2 * p["w"]}

    point = {"u": np.zeros(3), "v": np.zeros(2), "w": np.ones(2)}
    result = check(subject(gradient, point, loss))
    assert result.verdict is Verdict.AGREES, str(result)
    assert "on-a-kink" in {finding.kind for finding in result.findings}


def normalised(rng, *, share=1.0):
    """A batch norm of two rows: its gradient is 1e-8 of the terms that it is made of; ``share`` of one of them."""
    w = rng.normal(size=(2, 4))

    def run(p):
        c = p["x"] - p["x"].mean(axis=0)
        s = np.sqrt((c * c).mean(axis=0) + 1e-8)
        return c / s, s

    def gradient(p):
        xh, s = run(p)
        return {"x": (w - w.mean(axis=0) - share * xh * (w * xh).mean(axis=0)) / s}

    return Subject.from_functions(lambda p: (w * run(p)[0]).sum(), gradient, {"x": rng.normal(size=(2, 4))})


@pytest.mark.parametrize("seed", range(4))
def test_what_constants_alone_are_rounded_to_is_no_fault_where_all_but_it_cancels(seed):
    assert check(normalised(np.random.default_rng([seed, 7]))).verdict is Verdict.AGREES
    assert check(normalised(np.random.default_rng([seed, 7]), share=1 - 1e-6)).verdict is Verdict.DISAGREES


def naive_variance(mean, n, wrong=0.0):
    """log of mean(x²) − mean(x)², which is noisier by the square of ``mean``; its gradient takes float64 alone."""

    def loss(p):
        return np.log((p["x"] * p["x"]).mean() - p["x"].mean() ** 2)

    def gradient(p):
        x = p["x"]
        m = x.mean()
        g = 2 * (x - m) / n / ((x * x).mean() - m * m)
        g[n // 2] *= 1 + wrong
        return {"x": g}

    return Subject.from_functions(loss, only_float64(gradient), {"x": mean + np.random.default_rng(n).normal(size=n)})


@pytest.mark.parametrize("n", [8, 60, 3000])
@pytest.mark.parametrize("mean", [1e3, 1e4, 1e5])
def test_digits_that_the_loss_and_its_gradient_lose_alike_are_no_fault(mean, n):
    result = check(naive_variance(mean, n))
    assert result.verdict is not Verdict.DISAGREES, str(result)
    assert result.verdict is Verdict.AGREES or mean * n > 1e5, str(result)
    assert check(naive_variance(mean, n, wrong=0.5)).verdict is Verdict.DISAGREES
    if mean == 1e3:
        assert check(naive_variance(mean, n, wrong=1e-5)).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("scale", [1e-8, 1e-12, 1e-30, 1e-100, 1e30])
def test_what_bends_on_the_scale_of_its_block_is_no_kink(scale, carries):
    """Capacities are picofarads: a step of 1e-9 is a thousand times the point."""
    point = {"c": scale * np.array([0.3, -1.1, 0.7]), "w": np.array([0.4, -0.2, 1.5])}

    def loss(p):
        return (np.sqrt(1 + (p["c"] / scale) ** 2) + np.sin(p["c"] / scale) * p["w"]).sum()

    def gradient(p):
        z = p["c"] / scale
        return {"c": (z / np.sqrt(1 + z * z) + np.cos(z) * p["w"]) / scale, "w": np.sin(z)}

    loss = loss if carries else only_float64(loss)
    assert check(Subject.from_functions(loss, gradient, point)).verdict is Verdict.AGREES
    for size in (1e-2, 1e-5):
        result = check(Subject.from_functions(loss, times(gradient, "c", 1, 1 + size), point))
        assert result.blocks["c"].verdict is Verdict.DISAGREES, str(result)
        assert result.blocks["c"].index == (1,)


@pytest.mark.parametrize("small", [1e-8, 1e-12, 1e-15])
def test_what_bends_on_the_scale_of_one_entry_is_no_kink(small):
    scale = np.array([small, 1.0, small, 1.0])
    point = {"x": scale * np.array([0.7, 1.3, -1.1, 0.4])}

    def gradient(p):
        z = p["x"] / scale
        return {"x": z / np.sqrt(1 + z * z) / scale}

    def loss(p):
        return np.sqrt(1 + (p["x"] / scale) ** 2).sum()

    assert check(Subject.from_functions(loss, gradient, point)).verdict is Verdict.AGREES
    result = check(Subject.from_functions(loss, times(gradient, "x", 0, 1.01), point))
    assert result.verdict is Verdict.DISAGREES, str(result)


@pytest.mark.parametrize("size", [1e-2, 1e-4, 1e-6])
def test_jumps_that_are_too_low_to_explain_a_fault_do_not_hide_it(size):
    """Far off, where the covariance is nearly singular, this loss is rougher than at the point."""
    rng = np.random.default_rng(5)
    inputs, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    apart = (inputs[:, None] - inputs[None]) ** 2

    def covariance(p):
        return np.exp(-0.5 * (apart / np.exp(2 * p["l"])).sum(axis=-1))

    @only_float64
    def loss(p):
        noisy = covariance(p) + 0.1 * np.eye(6)
        return 0.5 * y @ np.linalg.solve(noisy, y) + 0.5 * np.linalg.slogdet(noisy)[1]

    def gradient(p):
        K = covariance(p)
        inverse = np.linalg.inv(K + 0.1 * np.eye(6))
        alpha = inverse @ y
        slopes = [(K * apart[..., k] / np.exp(2 * p["l"][k])) for k in range(2)]
        return {"l": np.array([0.5 * (np.trace(inverse @ dK) - alpha @ dK @ alpha) for dK in slopes])}

    point = {"l": np.array([0.2, -0.3])}
    assert check(Subject.from_functions(loss, gradient, point)).verdict is Verdict.AGREES
    for entry in (0, 1):
        result = check(Subject.from_functions(loss, times(gradient, "l", entry, 1 + size), point))
        assert result.verdict is Verdict.DISAGREES, str(result)


@pytest.mark.parametrize("carries", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.02, 0.005])
@pytest.mark.parametrize("seed", range(5))
def test_what_one_block_divides_by_another_is_tamed_by_scaling_one_of_them(seed, temperature, carries):
    """Cross entropy of a softmax with a temperature: p − 1 of an example classified with certainty is rounding."""
    rng = np.random.default_rng(seed)
    point = {"z": rng.normal(size=5), "T": np.array(temperature)}
    likeliest = int(np.argmax(point["z"]))

    def loss(p):
        z = p["z"] / p["T"]
        return z[likeliest] + np.log(np.exp(z - z[likeliest]).sum()) - z[likeliest if seed % 2 else 2]

    def gradient(p, factor=1.0):
        q = np.exp((p["z"] - p["z"].max()) / p["T"])
        q /= q.sum()
        q[likeliest if seed % 2 else 2] -= 1
        return {"z": q / p["T"], "T": np.array(-factor * (q * p["z"]).sum() / p["T"] ** 2)}

    loss = loss if carries else only_float64(loss)
    assert check(Subject.from_functions(loss, only_float64(gradient), point)).verdict is Verdict.AGREES
    wrong = check(Subject.from_functions(loss, only_float64(lambda p: gradient(p, 1.01)), point))
    assert wrong.verdict is not Verdict.AGREES
    if abs(gradient(point)["T"]) > 1e-6:
        assert wrong.verdict is Verdict.DISAGREES


def test_nothing_is_held_against_a_gradient_where_only_a_complex_logarithm_has_a_value():
    """A barrier: the second point, a hundredth away, lies beyond it."""
    point = {"x": np.array([1 - 1e-9, 0.5, -(1 - 1e-6), 0.1]), "c": np.array([0.2, -0.4, 1.7, 0.1])}

    def loss(p):
        return -1e-4 * np.log(1 - p["x"] ** 2).sum() + (p["x"] * p["c"]).sum()

    def gradient(p):
        return {"x": 2e-4 * p["x"] / (1 - p["x"] ** 2) + p["c"], "c": p["x"].copy()}

    with np.errstate(invalid="ignore"):
        assert check(Subject.from_functions(loss, only_float64(gradient), point)).verdict is Verdict.AGREES
        wrong = check(Subject.from_functions(loss, only_float64(times(gradient, "c", 3, 1 + 1e-6)), point))
    assert wrong.blocks["c"].verdict is Verdict.DISAGREES


def test_a_block_without_entries_leaves_nothing_open():
    def gradient(p):
        return {"a": 2 * p["a"], "none": np.ones_like(p["none"])}

    point = {"a": np.array([0.5, -1.0]), "none": np.zeros((0, 4))}
    result = check(Subject.from_functions(lambda p: (p["a"] ** 2).sum() + p["none"].sum(), gradient, point))
    assert result.verdict is Verdict.AGREES, str(result)
