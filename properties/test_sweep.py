"""Every entry at once: each fast evaluator gives what the readable passes give, one entry at a time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject
from bptt_check.lstm import copies, entries, imaginary, nearby, products, tangents
from bptt_check.lstm.copies import Setting, losses
from bptt_check.lstm.imaginary import complex_losses, trace_of
from bptt_check.lstm.losses import LOSS_NAMES, loss_named, pair
from bptt_check.lstm.segmented import segmented
from bptt_check.lstm.tangent import loss_tangent, tangent
from bptt_check.lstm.tangents import derivatives, every_derivative
from bptt_check.lstm.variants import VARIANTS

SHAPES = [(4, 3, 2, 5), (1, 2, 3, 2), (3, 1, 4, 2), (1, 1, 1, 1)]
KINDS = [np.float64, np.longdouble]
ULPS = 500
WIDTHS = (0, 2**40)  # numbers up to which columns are few: all are many, all are few


@contextmanager
def few_up_to(numbers):
    with pytest.MonkeyPatch.context() as patch:
        for module in (copies, imaginary, tangents):
            patch.setattr(module, "FEW_NUMBERS", numbers)
        yield


def both_ways(run, *args, **options):
    """What comes of columns that count as many, and as few."""
    for numbers in WIDTHS:
        with few_up_to(numbers):
            yield run(*args, **options)


def made(variant, shape, *, loss="euclidean", seed=1, kind=np.float64, nudge=0.0):
    """A subject, its blocks (interventions moved by ``nudge``), and the setting of the fast passes."""
    T, B, D, H = shape
    rng = np.random.default_rng(seed)
    chosen = loss_named(loss, T=T, B=B, rng=rng)
    y = chosen.targets(rng, (T, B, H))
    subject = Subject.from_variant(variant, T=T, B=B, D=D, H=H, loss=chosen, targets=y, rng=seed)
    blocks = {
        name: (a + (nudge * rng.normal(size=a.shape) if name.endswith("(t)") else 0)).astype(kind)
        for name, a in subject.blocks.items()
    }
    return subject, blocks, Setting(variant, blocks, chosen, y)


def all_entries(blocks):
    names = tuple(blocks)
    sizes = [blocks[name].size for name in names]
    return names, np.repeat(np.arange(len(names)), sizes), np.concatenate([np.arange(size) for size in sizes])


def one_by_one(subject, blocks, names, owner, within, offsets):
    """The readable forward pass, once for each entry."""
    values = []
    for k, entry, offset in zip(owner, within, offsets, strict=True):
        moved = {name: a.astype(np.result_type(a, offset)) for name, a in blocks.items()}
        moved[names[k]].reshape(-1)[entry] += offset
        values.append(subject.loss_at(moved))
    return np.array(values)


def close(got, wanted, kind):
    scale = float(np.abs(wanted).max()) or 1.0
    return got.shape == wanted.shape and float(np.abs(got - wanted).max()) <= ULPS * np.finfo(kind).eps * scale


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_perturbed_copies_have_the_losses_of_the_readable_forward_pass(variant, shape, kind):
    subject, blocks, setting = made(variant, shape, kind=kind, nudge=0.1)
    names, owner, within = all_entries(blocks)
    offsets = (0.3 * np.random.default_rng(2).normal(size=len(owner))).astype(kind)
    wanted = one_by_one(subject, blocks, names, owner, within, offsets)
    for got in both_ways(losses, setting, names, owner, within, offsets):
        assert got.dtype == kind
        assert close(got, wanted, kind)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_complex_steps_in_real_arithmetic_are_those_of_the_readable_forward_pass(variant, shape, kind):
    subject, blocks, setting = made(variant, shape, kind=kind, nudge=0.1)
    names, owner, within = all_entries(blocks)
    offsets = 1e-20j * np.random.default_rng(2).normal(size=len(owner)).astype(kind)
    wanted = one_by_one(subject, blocks, names, owner, within, offsets)
    for got in both_ways(complex_losses, setting, names, owner, within, offsets):
        assert got.dtype == wanted.dtype
        assert close(got.real, wanted.real, kind)
        assert close(got.imag, wanted.imag, kind)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_all_tangents_at_once_are_those_of_the_readable_tangent(variant, shape, kind):
    _, blocks, setting = made(variant, shape, kind=kind)
    trace = trace_of(setting, kind)
    slope = setting.loss.derivative(trace.over_time("h"), setting.y.astype(kind))
    wanted = {}
    for name, array in blocks.items():
        directions = np.eye(array.size, dtype=kind).reshape(array.size, *array.shape)
        wanted[name] = np.broadcast_to(loss_tangent(tangent(trace, {name: directions}), slope), array.size)
    for got in both_ways(every_derivative, trace, slope, {name: a.shape for name, a in blocks.items()}):
        assert close(flat(got), flat(wanted), kind)


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=lambda k: k.__name__)
def test_all_weights_follow_from_derivatives_by_the_preactivations_at_interventions_too(variant, shape, kind):
    subject, blocks, setting = made(variant, shape, kind=kind, nudge=0.1)
    wanted = subject.gradient(blocks)
    exact, measured = segmented(setting, complex_step=True), segmented(setting)
    assert set(exact) == set(measured) == set(wanted) - {n for n in wanted if n.endswith("0") or n[1:] == "(t)"}
    for name, found in exact.items():
        assert found.dtype == kind
        assert close(found, wanted[name], kind), name
        off, largest = np.abs(measured[name] - wanted[name]).max(), np.abs(wanted[name]).max()
        assert off <= 1e-7 * max(largest, 1), name


def flat(arrays):
    return np.concatenate([np.asarray(a).reshape(-1) for a in arrays.values()])


@pytest.mark.parametrize("loss", [*LOSS_NAMES, "last_step:huber", "unequal_lengths:logistic"])
def test_every_loss_that_is_a_sum_over_steps_is_served(loss):
    subject, blocks, setting = made(VARIANTS[0], (4, 3, 2, 3), loss=loss)
    names, owner, within = all_entries(blocks)
    offsets = 1e-3 * np.random.default_rng(2).normal(size=len(owner))
    for run, moves in ((losses, offsets), (complex_losses, 1e-17j * offsets)):
        wanted = one_by_one(subject, blocks, names, owner, within, moves)
        for got in both_ways(run, setting, names, owner, within, moves):
            assert close(got.real, wanted.real, float)
            assert close(got.imag, wanted.imag, float) or not wanted.imag.any()


@given(
    variant=st.sampled_from(VARIANTS),
    shape=st.tuples(*[st.integers(1, 4)] * 4),
    chunk=st.sampled_from([1, 2**12, 2**20]),
    jobs=st.sampled_from([1, 3]),
    seed=st.integers(0, 1000),
)
def test_neither_chunks_nor_threads_nor_order_nor_repeats_change_a_value(variant, shape, chunk, jobs, seed):
    _, blocks, setting = made(variant, shape, seed=seed)
    rng = np.random.default_rng(seed)
    names, owner, within = all_entries(blocks)
    some = rng.integers(len(owner), size=min(60, 2 * len(owner)))
    owner, within, offsets = owner[some], within[some], 0.1 * rng.normal(size=len(some))
    trace = trace_of(setting, float)
    slope = setting.loss.derivative(trace.over_time("h"), setting.y)
    runs = (
        lambda **o: losses(setting, names, owner, within, offsets, **o),
        lambda **o: complex_losses(setting, names, owner, within, 1e-20j * offsets, **o).imag,
        lambda **o: derivatives(trace, slope, names, owner, within, **o),
    )
    for run in runs:
        many, few = both_ways(run)
        assert close(few, many, float)
        for got in both_ways(run, chunk_bytes=chunk, jobs=jobs):
            assert close(got, many, float)


@pytest.mark.parametrize("z", [-800.0, -40.0, 40.0, 800.0])
def test_gates_far_out_in_saturation_keep_what_the_readable_pass_keeps(z):
    for variant in VARIANTS:
        subject, blocks, setting = made(variant, (3, 2, 2, 2))
        for k in variant.gates:
            blocks[f"b_{k}"][0] = z
        names, owner, within = all_entries(blocks)
        for run, offsets in ((losses, np.full(len(owner), 0.01)), (complex_losses, np.full(len(owner), 1e-20j))):
            wanted = one_by_one(subject, blocks, names, owner, within, offsets)
            for got in both_ways(run, setting, names, owner, within, offsets):
                assert np.isfinite(got).all()
                assert close(got.real, wanted.real, float), variant.name
                np.testing.assert_allclose(got.imag, wanted.imag, rtol=1e-11, atol=1e-36)


def test_what_the_fast_passes_do_not_take_is_refused():
    _, _, setting = made(VARIANTS[0], (2, 2, 2, 2))
    one = np.zeros(1, int)
    with pytest.raises(ValueError, match="imaginary and tiny"):
        complex_losses(setting, ("x",), one, one, np.array([1e-20j + 1e-3]))
    with pytest.raises(ValueError, match="imaginary and tiny"):
        complex_losses(setting, ("x",), one, one, np.array([1e-3j]))
    with pytest.raises(KeyError, match="no block W_qx"):
        losses(setting, ("W_qx",), one, one, np.array([1.0]))
    with pytest.raises(KeyError, match="no block q"):
        losses(setting, ("q(t)",), one, one, np.array([1.0]))
    whole = pair("whole", lambda h, y: (h - y).sum(), lambda h, y: np.ones_like(h))
    with pytest.raises(ValueError, match="not given as a sum"):
        losses(replace(setting, loss=whole), ("x",), one, one, np.array([1.0]))


# --- products in bands, rows worked on where they lie


@given(
    parts=st.integers(1, 4),
    inner=st.integers(1, 20),
    count=st.integers(1, 120),
    kind=st.sampled_from([np.float32, np.float64, np.longdouble]),
)
def test_a_product_in_bands_is_the_product(parts, inner, count, kind):
    rows = parts * products.LOWEST
    rng = np.random.default_rng(count)
    left, wide = (rng.integers(-8, 9, size).astype(kind) for size in ((rows, inner), (inner + 1, count + 3)))
    right, out = wide[:inner, :count], np.full((rows + 1, count + 5), np.nan, kind)
    for small in (0, products.LOWEST * inner * products.COLUMNS, rows * inner * products.COLUMNS, products.SMALL):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(products, "SMALL", small)
            patch.setattr(products, "small_kernels", lambda: True)
            products.multiply_columns(left, right, out[:rows, :count])
        assert np.array_equal(out[:rows, :count], left @ right)
        assert np.isnan(out[rows]).all() and np.isnan(out[:, count:]).all()


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_bands_do_not_change_what_a_sweep_finds(variant, monkeypatch):
    _, blocks, setting = made(variant, (3, 2, 5, 16), nudge=0.1)
    names, owner, within = all_entries(blocks)
    moved = np.full(len(owner), 0.25)
    monkeypatch.setattr(copies, "FEW_NUMBERS", 0)
    monkeypatch.setattr(imaginary, "FEW_NUMBERS", 0)
    whole = losses(setting, names, owner, within, moved)
    slopes = complex_losses(setting, names, owner, within, 1e-20j * moved).imag
    monkeypatch.setattr(products, "SMALL", 16 * 80 * products.COLUMNS)
    monkeypatch.setattr(products, "small_kernels", lambda: True)
    monkeypatch.setattr(entries, "LONG", 1)
    before = np.getbufsize()
    for jobs in (1, 2):
        assert close(losses(setting, names, owner, within, moved, jobs=jobs), whole, np.float64)
        assert close(
            complex_losses(setting, names, owner, within, 1e-20j * moved, jobs=jobs).imag * 1e20,
            slopes * 1e20,
            np.float64,
        )
    assert np.getbufsize() == before


# --- activations of copies that lie near each other


@pytest.mark.parametrize("far", [0.0, 1e-9, 1e-5, 1e-4, 5e-4, 2e-3, 0.1, 30.0])
@pytest.mark.parametrize("size", [1e-6, 1.0, 30.0, 800.0])
def test_activations_of_numbers_near_each_other_are_right_to_the_last_digits(far, size, monkeypatch):
    monkeypatch.setattr(nearby, "wide_registers", lambda: False)
    rng = np.random.default_rng(3)
    z = size * rng.uniform(-1, 1, (40, 1)) + far * rng.uniform(-1, 1, (40, 25))
    exact = z.astype(np.longdouble)
    near = nearby.Nearby((50, 30), np.dtype(float))
    assert near.pays
    out, sigma = np.full((40, 27), np.nan)[:, :25], z.copy()
    with np.errstate(over="ignore"):
        near.tanh(z, out)
        near.sigma(sigma)
        for got, wanted in ((out, np.tanh(exact)), (sigma, 1 / (1 + np.exp(exact)))):
            size = np.maximum(np.abs(wanted), np.abs(wanted[:, :1]))  # a number near 0 may come of two that cancel
            assert (np.abs(got - wanted) <= 2e-15 * size + 1e-300).all()
    assert near.pays == (far < 1e-3)
    within = z.copy()
    near.tanh(within, within)
    assert np.array_equal(within, out)


def test_numbers_of_other_types_and_not_finite_ones_are_computed_as_they_stand():
    for kind in (np.float32, np.longdouble):
        assert not nearby.Nearby((2, 2), np.dtype(kind)).pays
    near, z = nearby.Nearby((2, 2), np.dtype(float)), np.array([[1.0, np.nan], [np.inf, 2.0]])
    with np.errstate(invalid="ignore"):
        near.tanh(z, z)
    np.testing.assert_array_equal(z, np.tanh([[1.0, np.nan], [np.inf, 2.0]]))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: v.name)
def test_copies_moved_by_a_small_step_have_the_losses_of_the_readable_forward_pass(variant, monkeypatch):
    subject, blocks, setting = made(variant, (5, 2, 3, 4), nudge=0.1)
    names, owner, within = all_entries(blocks)
    some = np.random.default_rng(2).permutation(len(owner))[:80]
    for size in (1e-5, 1e-3, 1e-2):  # within reach throughout, within it for some steps, out of it
        offsets = size * np.random.default_rng(2).normal(size=len(owner))
        wanted = one_by_one(subject, blocks, names, owner[some], within[some], offsets[some])
        for wide in (False, True):
            monkeypatch.setattr(nearby, "wide_registers", lambda wide=wide: wide)
            with few_up_to(0):
                assert close(losses(setting, names, owner, within, offsets)[some], wanted, float)
