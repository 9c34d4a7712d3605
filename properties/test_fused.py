"""The fused LSTM against the readable equations: same numbers, the same laws, results that stay their owner's."""

from __future__ import annotations

import gc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import LSTM, Subject, Verdict, check
from bptt_check.laws.compare import compare
from bptt_check.laws.directions import woven
from bptt_check.laws.table import law_named
from bptt_check.lstm import fused, fused_memory, fused_passes, fused_wide, products
from bptt_check.lstm.backward import backward
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.tangent import tangent
from bptt_check.lstm.variants import FGR, NP, POST, VARIANTS

CELLS = [variant for variant in VARIANTS if variant is not FGR]
LARGE = (2, 20, 70, 128)  # wide, and beyond what kernels for small products take
SHAPES = [(4, 2, 5, 3), (1, 1, 1, 1), (5, 1, 3, 4), (3, 4, 1, 1), (3, 1, 2, fused_memory.NARROW + 1), (1, 7, 3, 2)]
ACROSS_CHUNKS = [(fused_memory.ROWS + 9, 1, 2, 3), (2 * fused_memory.ROWS // 4 + 1, 4, 2, 3)]
ULPS = 256


def drawn(variant, shape, *, kind=np.float64, seed=0, size=None):
    T, B, D, H = shape
    problem = Problem.draw(variant, T=T, B=B, D=D, H=H, rng=np.random.default_rng(seed))
    size = size or 2 / np.sqrt(D + H)
    return problem.at({name: size * array for name, array in problem.weights.items()}).astype(kind)


def taped(problem):
    start = problem.initial
    return fused.forward(problem.weights, problem.x, start["h0"], start["s0"], variant=problem.variant)


def both(problem):
    """Outputs and all derivatives of the readable pass in long double, and the fused ones in the problem's own type."""
    wide = problem.astype(np.longdouble)
    slope = problem.slope(problem.trace())
    trace = wide.trace()
    readable = wide.derivatives(backward(trace, slope.astype(np.longdouble)))
    quick = fused.backward(taped(problem), slope, steps=True)
    return trace.over_time("h"), readable, problem.derivatives(quick)


def fused_instead(trace, dl, *, gates_next=None, by_step=False, **handed):
    """The fused pass with the signature of the readable backward pass."""
    tape = fused.forward(trace.weights, np.stack(trace.x[1:]), trace.h[0], trace.s[0], variant=trace.variant)
    return fused.backward(tape, dl, steps=True, by_step=by_step, **handed)


def worst(expected, found):
    """The largest difference over all arrays, relative to the largest entry of each and of all."""
    level = max(np.abs(array).max() for array in expected.values())
    off = {
        name: np.abs(found[name] - array).max() / (np.abs(array).max() + level / 16) for name, array in expected.items()
    }
    name = max(off, key=off.get)
    return off[name], name


# --- the same numbers


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES + ACROSS_CHUNKS, ids=str)
def test_outputs_and_all_derivatives_are_those_of_the_equations(shape, variant, kind):
    problem = drawn(variant, shape, kind=kind, size=0.5 if shape in ACROSS_CHUNKS else None)
    h, readable, quick = both(problem)
    eps = np.finfo(kind).eps
    assert set(readable) == set(quick)
    assert {array.dtype for array in quick.values()} == {np.dtype(kind)}
    assert np.abs(taped(problem).h - h).max() <= ULPS * eps * max(1, np.abs(h).max())
    off, name = worst(readable, quick)
    assert off <= ULPS * eps, name


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_so_they_are_at_sizes_where_products_are_cut(kind):
    problem = drawn(NP, LARGE, kind=kind)
    h, readable, quick = both(problem)
    memory = taped(problem)._memory
    assert fused_wide.is_wide(memory)
    assert len(memory.back.square) == (2 if products.small_kernels() else 1)
    assert np.abs(taped(problem).h - h).max() <= ULPS * np.finfo(kind).eps
    off, name = worst(readable, quick)
    assert off <= ULPS * np.finfo(kind).eps, name


@given(
    variant=st.sampled_from(CELLS),
    shape=st.tuples(st.integers(1, 7), st.integers(1, 4), st.integers(1, 5), st.integers(1, 6)),
    seed=st.integers(0, 2**20),
    kind=st.sampled_from([np.float32, np.float64]),
)
def test_so_they_are_at_any_shape(variant, shape, seed, kind):
    problem = drawn(variant, shape, kind=kind, seed=seed)
    _, readable, quick = both(problem)
    off, name = worst(readable, quick)
    assert off <= ULPS * np.finfo(kind).eps, name


def test_the_two_loops_of_the_backward_pass_give_the_same(monkeypatch):
    for variant in CELLS:
        problem = drawn(variant, (6, 1, 3, 4))
        tape = taped(problem)
        assert (tape._memory.back.narrow is None) == (variant.feedback == "s")
        narrow = fused.backward(tape, np.ones((6, 1, 4)))
        monkeypatch.setattr(fused_memory, "NARROW", 0)
        other = taped(problem)
        assert other._memory.back.narrow is None
        wide = fused.backward(other, np.ones((6, 1, 4)))
        monkeypatch.undo()
        for name, array in {**wide.weights, "x": wide.x, **wide.initial}.items():
            found = {**narrow.weights, "x": narrow.x, **narrow.initial}[name]
            np.testing.assert_allclose(found, array, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", [(7, 1, 3, 4), (7, 2, 3, 4)], ids=str)
@pytest.mark.parametrize(("rows", "steps"), [(1, 1), (4, 1), (6, 2), (100, 3)])
def test_how_many_steps_are_worked_on_at_a_time_makes_no_difference(monkeypatch, rows, steps, shape):
    for variant in CELLS:
        problem = drawn(variant, shape)
        v = {name: woven(array.shape, array, k) for k, (name, array) in enumerate(problem.point.items())}
        tape = taped(problem)
        whole = problem.derivatives(fused.backward(tape, tape.h, steps=True)), fused.tangent(tape, v)
        monkeypatch.setattr(fused_memory, "ROWS", rows)
        monkeypatch.setattr(fused_memory, "CACHE", steps * tape._memory.back.slopes[0].nbytes)
        other = taped(problem)
        assert other._memory.back.c == max(1, min(7, rows // shape[1])) and other._memory.back.e <= steps
        pieces = problem.derivatives(fused.backward(other, tape.h, steps=True)), fused.tangent(other, v)
        monkeypatch.undo()
        np.testing.assert_allclose(pieces[1], whole[1], rtol=1e-12, atol=1e-13)
        for name, array in whole[0].items():
            np.testing.assert_allclose(pieces[0][name], array, rtol=1e-11, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
def test_nor_how_its_products_are_cut(monkeypatch, variant, kind):
    """Gate by gate or all at once, what x adds had ahead or not, in bands of columns and of rows."""
    problem = drawn(variant, (5, 4, 6, 8), kind=kind)
    level, eps = problem.slope(problem.trace()), np.finfo(kind).eps
    whole = taped(problem)
    expected = problem.derivatives(fused.backward(whole, level, steps=True))
    n = len(whole._memory.blocks)
    monkeypatch.setattr(products, "small_kernels", lambda: True)
    monkeypatch.setattr(products, "NARROWEST", 1)
    monkeypatch.setattr(products, "FEWEST", 1)
    for small, ahead, bands in ((0, True, 1), (4 * n * 8 * 2, True, 4), (4 * 15 * 8, False, None)):
        monkeypatch.setattr(products, "SMALL", small)
        cut = taped(problem)
        memory = cut._memory
        assert memory.ahead is ahead and (bands is None or len(memory.back.square) == bands)
        np.testing.assert_allclose(cut.h, whole.h, rtol=ULPS * eps, atol=ULPS * eps)
        off, name = worst(expected, problem.derivatives(fused.backward(cut, level, steps=True)))
        assert off <= ULPS * eps, name


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_nor_whether_slopes_are_kept(monkeypatch, kind):
    problem = drawn(NP, (5, 3, 6, 4), kind=kind)
    level, tape = problem.slope(problem.trace()), taped(problem)
    assert not fused_wide.is_wide(tape._memory)
    handed = {"dh_next": np.ones((3, 4), kind), "ds_next": np.full((3, 4), 0.5, kind)}
    kept = problem.derivatives(fused.backward(tape, level, steps=True, **handed))
    monkeypatch.setattr(fused_wide, "WIDE", 1)
    assert fused_wide.is_wide(tape._memory)
    for steps in (1, 2, 5):
        monkeypatch.setattr(fused_memory, "STEPS", steps)
        again = taped(problem)
        off, name = worst(kept, problem.derivatives(fused.backward(again, level, steps=True, **handed)))
        assert off <= ULPS * np.finfo(kind).eps, name
        lean, full = fused.backward(again, level, **handed), fused.backward(again, level, steps=True, **handed)
        assert all(np.array_equal(lean.weights[name], full.weights[name]) for name in lean.weights)


def test_a_fault_in_the_loop_for_wide_states_does_not_pass_the_check(monkeypatch):
    monkeypatch.setattr(fused_wide, "WIDE", 1)
    assert check(as_subject(NP)).verdict is Verdict.AGREES

    def wrong(m, dl, hand, *, keep):
        for first, last in run_wide(m, dl, hand, keep=keep):
            m.back.dz[: last - first, :, 2] *= 1 + 1e-6
            yield first, last

    run_wide = fused_passes.run_wide
    monkeypatch.setattr(fused_passes, "run_wide", wrong)
    assert check(as_subject(NP), causes=False).verdict is Verdict.DISAGREES


@pytest.mark.parametrize("shape", [(7, 1, 3, 4), (7, 2, 3, 4)], ids=str)
@pytest.mark.parametrize("w", [1, 3, 6])
def test_nor_how_many_steps_are_at_hand_in_the_forward_pass(monkeypatch, w, shape):
    for variant in CELLS:
        problem = drawn(variant, shape)
        whole = taped(problem)
        monkeypatch.setattr(fused_memory, "AT_HAND", w)
        pieces = taped(problem)
        assert (pieces._memory.w, whole._memory.w) == (w, 7)
        monkeypatch.undo()
        assert np.array_equal(pieces.h, whole.h) and np.array_equal(pieces.s_last, whole.s_last)
        a, b = fused.backward(pieces, pieces.h), fused.backward(whole, pieces.h)
        assert all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)


@pytest.mark.parametrize("kind", [np.complex128, np.longdouble])
def test_other_types_pass_through(kind):
    """A complex step through forward and backward alike; long double has no fast products but the same results."""
    problem = drawn(NP, (4, 2, 3, 2), kind=kind)
    readable = problem.derivatives(problem.gradients())
    quick = problem.derivatives(fused_instead(problem.trace(), problem.slope(problem.trace())))
    off, name = worst(readable, quick)
    assert off <= ULPS * np.finfo(kind).eps, name


def test_a_complex_step_through_the_fused_forward_pass_is_its_tangent():
    problem = drawn(POST, (5, 2, 3, 4))
    v = {name: woven(array.shape, array, k) for k, (name, array) in enumerate(problem.point.items())}
    moved = problem.at({name: array + 1e-20j * v[name] for name, array in problem.point.items()})
    np.testing.assert_allclose(taped(moved).h.imag / 1e-20, fused.tangent(taped(problem), v), rtol=1e-11, atol=1e-13)


# --- saturated gates


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("size", [10.0, 30.0])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
def test_saturated_gates_are_right_to_a_few_eps_absolutely(variant, size, kind):
    """One step with weights of 10 to 30: gates, outputs and dz are off by a few eps of 1, not of themselves.

    The pre-activations are sums of a few terms of that size, so an ulp of them counts beside the ulps of σ and φ.
    """
    problem = drawn(variant, (1, 3, 2, 4), kind=kind, size=size)
    wide = problem.astype(np.longdouble)
    h, readable, quick = both(problem)
    eps, reach = np.finfo(kind).eps, 16 * size  # |z| of at most about 8 terms
    scale = max(1, *(np.abs(array).max() for array in (*readable.values(), h)))
    assert np.abs(taped(problem).h - h).max() <= reach * eps * scale
    assert all(np.isfinite(array).all() for array in quick.values())
    for name in wide.intermediates:
        off = np.abs(quick[f"{name}(t)"] - readable[f"{name}(t)"]).max()
        assert off <= reach * eps * scale, name


def test_where_a_gate_is_closed_its_relative_accuracy_is_lost_as_documented():
    """σ(−30) is about 1e-13: absolutely right in float64 to an eps, relatively to three digits only."""
    problem = drawn(NP, (1, 1, 2, 3))
    closed = problem.at({"b_i": np.full(3, -30.0), "W_ix": np.zeros((3, 2)), "W_ih": np.zeros((3, 3))})
    memory = taped(closed)._memory
    i = memory.tape[0, memory.at["i"], 0, 0]
    exact = np.exp(-30.0)
    assert abs(i - exact) <= np.finfo(float).eps
    assert abs(i / exact - 1) > 1e-6


# --- laws and the check itself


@pytest.mark.parametrize("name", ["P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P10", "P11", "P12"])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
def test_the_laws_hold_in_the_fused_pass(name, variant):
    problem = Problem.draw(variant, T=4, B=2, D=5, H=3, rng=np.random.default_rng(7))
    block = compare(law_named(name), problem, backward=fused_instead)
    assert block.verdict is Verdict.AGREES and block.compared, block


def test_a_violation_in_its_place_is_seen():
    def forgets_the_memory(trace, dl, **options):
        return fused_instead(trace, dl, **{**options, "ds_next": None})

    problem = Problem.draw(NP, T=4, B=2, D=5, H=3, rng=np.random.default_rng(7))
    assert compare(law_named("P2"), problem, backward=forgets_the_memory).verdict is Verdict.DISAGREES


def as_subject(variant, *, kind=np.float64, shape=(4, 2, 3, 5)):
    problem = drawn(variant, shape, kind=kind, seed=1)  # no gradient entry is so small that float32 leaves it undecided
    cell = LSTM(variant, D=shape[2], H=shape[3], dtype=kind)
    y = problem.y

    def loss(p):
        wide = LSTM(variant, D=shape[2], H=shape[3], dtype=np.result_type(*p.values()))
        return ((wide.forward(p, p["x"], p["h0"], p["s0"]).h - y) ** 2).sum()

    def gradient(p):
        tape = cell.forward(p, p["x"], p["h0"], p["s0"])
        grads = cell.backward(tape, 2 * (tape.h - y))
        return {**grads.weights, "x": grads.x, **grads.initial}

    return Subject.from_functions(loss, gradient, problem.point, name=f"fused {variant.name}")


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
def test_the_fused_backward_pass_agrees_with_a_check_of_its_own_forward_pass(variant, kind):
    result = check(as_subject(variant, kind=kind))
    assert result.verdict is Verdict.AGREES, result


@pytest.mark.parametrize("slot", range(5))
def test_a_fault_in_its_loops_does_not_pass_the_check(monkeypatch, slot):
    """One of A, C_o, C_i, C_f, C_g off by a millionth, and the check says so."""
    right = fused_passes._common_slopes

    def wrong(C, tape, spare):
        right(C, tape, spare)
        C[:, slot] *= 1 + 1e-6

    monkeypatch.setattr(fused_passes, "_common_slopes", wrong)
    assert check(as_subject(NP), causes=False).verdict is Verdict.DISAGREES


def test_a_fault_in_what_hands_the_memory_back_does_not_pass_the_check(monkeypatch):
    """F off by a millionth, and the check says so."""
    right = fused_memory.Back.slopes_F
    monkeypatch.setattr(fused_memory.Back, "slopes_F", lambda *which: [F * (1 + 1e-6) for F in right(*which)])
    assert check(as_subject(NP), causes=False).verdict is Verdict.DISAGREES


# --- tangents


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("variant", CELLS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", [*SHAPES, ACROSS_CHUNKS[1]], ids=str)
def test_the_tangent_is_that_of_the_equations(shape, variant, kind):
    problem = drawn(variant, shape, kind=kind, size=0.5 if shape in ACROSS_CHUNKS else None)
    v = {name: woven(array.shape, array, k) for k, (name, array) in enumerate(problem.point.items())}
    wide = problem.astype(np.longdouble)
    expected = tangent(wide.trace(), v).over_time("h")
    found = fused.tangent(taped(problem), v)
    assert found.dtype == kind
    assert np.abs(found - expected).max() <= ULPS * np.finfo(kind).eps * max(1, np.abs(expected).max())


@given(variant=st.sampled_from(CELLS), seed=st.integers(0, 2**20), name=st.data())
def test_the_tangent_of_one_block_alone_is_the_gradient_of_that_block(variant, seed, name):
    problem = drawn(variant, (3, 2, 3, 2), seed=seed)
    block = name.draw(st.sampled_from(sorted(problem.point)))
    v = np.random.default_rng(seed).normal(size=problem.point[block].shape)
    tape = taped(problem)
    grads = fused.backward(tape, u := np.random.default_rng(1).normal(size=tape.h.shape))
    expected = (problem.derivatives(fused.backward(tape, u, steps=True))[block] * v).sum()
    assert (fused.tangent(tape, {block: v}) * u).sum() == pytest.approx(expected, rel=1e-9, abs=1e-11)
    assert grads.steps == {}


# --- arrays as callers have them


def test_arrays_that_are_not_contiguous_give_the_same():
    problem = drawn(NP, (4, 3, 5, 2))

    def awkward(array):
        spread = np.zeros(tuple(2 * n for n in array.shape))
        view = spread[tuple(slice(None, None, 2) for _ in array.shape)]
        view[...] = array
        return np.asfortranarray(view) if array.ndim == 2 else view

    other = problem.at({name: awkward(array) for name, array in problem.point.items()})
    slope = problem.slope(problem.trace())
    one, two = taped(problem), taped(other)
    assert np.array_equal(one.h, two.h)
    a, b = fused.backward(one, slope), fused.backward(two, awkward(slope))
    assert all(np.array_equal(a.weights[name], b.weights[name]) for name in a.weights)
    assert np.array_equal(a.x, b.x)


def test_no_argument_is_changed():
    problem = drawn(POST, (4, 3, 5, 2))
    before = {name: array.copy() for name, array in problem.point.items()}
    for array in problem.point.values():
        array.flags.writeable = False
    slope = problem.slope(problem.trace())
    slope.flags.writeable = False
    fused.backward(taped(problem), slope)
    assert all(np.array_equal(before[name], array) for name, array in problem.point.items())


def test_a_backward_pass_can_run_again_and_gives_the_same_to_the_last_bit():
    tape = taped(drawn(NP, (4, 3, 5, 2)))
    one = fused.backward(tape, np.ones((4, 3, 2)))
    fused.tangent(tape, {"x": np.ones((4, 3, 5))})
    two = fused.backward(tape, np.ones((4, 3, 2)))
    assert all(np.array_equal(one.weights[name], two.weights[name]) for name in one.weights)


def test_nothing_that_was_returned_changes_when_a_cell_is_used_again():
    cell = LSTM("V", D=3, H=4)
    rng = np.random.default_rng(0)
    weights, xs = cell.draw(rng), [rng.normal(size=(5, 2, 3)) for _ in range(3)]
    tapes = [cell.forward(weights, x) for x in xs]
    alone = [LSTM("V", D=3, H=4).forward(weights, x) for x in xs]
    for tape, single in zip(tapes, alone, strict=True):  # three tapes alive at once, used out of order
        assert np.array_equal(tape.h, single.h) and np.array_equal(tape.s_last, single.s_last)
        a, b = cell.backward(tape, tape.h), fused.backward(single, single.h)
        kept = {name: array.copy() for name, array in a.weights.items()}
        cell.forward(weights, 2 * xs[0])
        cell.backward(cell.forward(weights, xs[1]), np.ones((5, 2, 4)))
        assert all(np.array_equal(a.weights[name], b.weights[name]) for name in kept)
        assert all(np.array_equal(a.weights[name], kept[name]) for name in kept)


def test_changing_what_was_returned_changes_no_gradient():
    tape = taped(drawn(NP, (4, 3, 5, 2)))
    expected = fused.backward(tape, np.ones((4, 3, 2))).x
    tape.h[...] = np.nan
    tape.s_last[...] = np.nan
    assert np.array_equal(fused.backward(tape, np.ones((4, 3, 2))).x, expected)


def test_buffers_are_used_again_once_their_tape_is_gone():
    cell = LSTM("NP", D=3, H=4)
    weights = cell.draw(np.random.default_rng(0))
    seen = set()
    for _ in range(6):
        tape = cell.forward(weights, np.ones((5, 2, 3)))
        seen.add(id(tape._memory))
        gc.collect()
    assert len(seen) == 2  # the tape of one call is still alive while the next one runs
    assert len(cell._kept) == 2


# --- errors


def small():
    cell = LSTM("NP", D=3, H=4)
    return cell, dict(cell.draw(np.random.default_rng(0))), np.ones((5, 2, 3))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (
            lambda c, w, x: c.forward({**w, "W_gx": w["W_gx"].T}, x),
            r"W_gx has shape \(3, 4\); here it must be \(4, 3\)",
        ),
        (lambda c, w, x: c.forward({**w, "b_f": np.float64(0)}, x), r"b_f has shape \(\)"),
        (lambda c, w, x: c.forward({k: a for k, a in w.items() if k != "b_o"}, x), "weights lack b_o; the cell NP has"),
        (lambda c, w, x: c.forward(w, x[0]), r"x has shape \(2, 3\); it must be \(T, B, D\) with D = 3"),
        (lambda c, w, x: c.forward(w, x[:0]), r"x has shape \(0, 2, 3\)"),
        (lambda c, w, x: c.forward(w, np.ones((5, 2, 4))), r"x has shape \(5, 2, 4\)"),
        (lambda c, w, x: c.forward(w, x, np.ones(4)), r"h0 has shape \(4,\); here it must be \(2, 4\)"),
        (lambda c, w, x: c.forward(w, x, s0=np.ones((1, 4))), r"s0 has shape \(1, 4\)"),
        (lambda c, w, x: c.backward(c.forward(w, x), np.ones((5, 2, 3))), r"dl_dh has shape \(5, 2, 3\)"),
        (lambda c, w, x: c.backward(c.forward(w, x), x[..., :1] * np.ones(4), dh_next=np.ones(4)), "dh_next has shape"),
        (lambda c, w, x: c.backward(c.forward(w, x), x[..., :1] * np.ones(4), ds_next=np.ones(4)), "ds_next has shape"),
        (lambda c, w, x: c.tangent(c.forward(w, x), {"x": x[0]}), r"x has shape \(2, 3\)"),
        (lambda c, w, x: fused.forward(w, x[0], variant="NP"), r"x must be \(T, B, D\)"),
        (lambda c, w, x: fused.forward({}, x, variant="NP"), "weights must have a vector b_g"),
        (lambda c, w, x: LSTM("LSTM", D=3, H=4), "no cell is named 'LSTM'"),
        (lambda c, w, x: LSTM("FGR", D=3, H=4), "no full gate recurrence"),
        (lambda c, w, x: LSTM("NP", D=0, H=4), "D must be a whole number of at least 1; it is 0"),
        (lambda c, w, x: LSTM("NP", D=3, H=4, dtype=int), "dtype must be a floating-point type"),
        (
            lambda c, w, x: LSTM(
                replace(NP, forget_gate=VARIANTS[8].forget_gate, input_gate=VARIANTS[3].input_gate), D=1, H=1
            ),
            "couples",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(call, said):
    with pytest.raises(ValueError, match=said):
        call(*small())


def test_a_tangent_of_what_the_cell_lacks_is_refused_by_name():
    cell, weights, x = small()
    with pytest.raises(KeyError, match=r"given for p_i; the cell NP has W_gx"):
        cell.tangent(cell.forward(weights, x), {"p_i": np.ones(4)})


def test_what_was_not_given_is_zero_and_more_weights_than_needed_do_no_harm():
    cell, weights, x = small()
    zero = np.zeros((2, 4))
    expected = cell.forward(weights, x, zero, zero).h
    assert np.array_equal(cell.forward({**weights, "p_i": np.ones(4)}, x).h, expected)
    assert repr(cell) == "LSTM('NP', D=3, H=4, dtype='float64')"
    assert set(cell.shapes) == set(weights)
