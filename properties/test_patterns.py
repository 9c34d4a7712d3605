"""What the numbers of a wrong gradient say by themselves: what is planted is found, and nothing that is not there."""

import numpy as np
import planted_patterns as plants
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check.compare import Comparison
from bptt_check.patterns import KINDS, patterns, where
from bptt_check.patterns.regions import steps_in_words
from bptt_check.patterns.where import gate_of
from bptt_check.structure import structure

SEEDS = st.integers(0, 2**32 - 1)
ENOUGH = 0.95  # of the cases of each kind
PLACES = {"rows", "columns", "part", "corner", "diagonal", "off-diagonal", "triangle", "entries", "steps-wrong"}
NOT_ALWAYS = {*PLACES, "dead-zone", "parts-repeated"}  # where few entries are concerned, chance cannot be excluded


def looked_at(case, analytic, *, hide=False, **options):
    given_ = {"point": case.point, "lengths": case.lengths, "by_step": case.by_step, **options}
    return patterns(analytic, case.reference(hide), case.tolerance(analytic), **given_)


def tried(name, seed):
    case, planted = plants.drawn(name, seed)
    seen = looked_at(case, planted.analytic, hide=not planted.whole and seed % 3 == 0)
    return list(plants.found(case, planted, seen))


def one(analytic, right, *, tolerance=1e-13, point=None, lengths=None, **options):
    """Patterns of blocks whose tolerance is one share of the block."""
    allowed = {name: np.full(r.shape, tolerance * np.abs(r).max()) for name, r in right.items()}
    return patterns(analytic, right, allowed, point=point or {}, lengths=lengths or {}, **options)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize("name", plants.PLANTS)
def test_each_kind_is_found_nearly_always(name):
    amiss = [found for seed in range(20) if (found := tried(name, seed))]
    assert len(amiss) <= 20 * (1 - ENOUGH), amiss


@given(st.sampled_from([n for n in plants.PLANTS if n.partition(":")[0] not in NOT_ALWAYS]), SEEDS)
def test_what_is_planted_in_the_values_is_found(name, seed):
    assert tried(name, seed) == []


@given(SEEDS)
def test_a_right_gradient_has_no_pattern(seed):
    case, _ = plants.unstructured(seed)
    assert looked_at(case, case.computed()) == ()


def test_errors_without_structure_have_no_pattern():
    claimed = []
    for seed in range(60):
        case, wrong = plants.unstructured(seed)
        claimed += [p for p in looked_at(case, wrong) if p.exact]
    assert len(claimed) <= 1  # by chance: a few wrong entries of a small block may stand in a row


@given(SEEDS)
def test_errors_in_every_entry_have_no_pattern_at_all(seed):
    rng = np.random.default_rng(seed)
    case = plants.Case(rng, *(int(k) for k in rng.integers(1, 6, size=4)))
    wrong = {name: m + np.abs(m).max() * rng.normal(size=m.shape) for name, m in case.computed().items()}
    assert looked_at(case, wrong) == ()


def test_every_kind_that_is_named_is_planted():
    kinds = {plants.drawn(name, 0)[1].kind for name in plants.PLANTS}
    assert set(KINDS) - kinds <= {"slices"}
    assert kinds <= set(KINDS)


def test_one_number_alone_is_no_factor(rng):
    right = {"w": np.array([1.37]), "v": rng.normal(size=5)}
    assert one({**right, "w": right["w"] * 3.1234}, right) == ()
    assert one({**right, "w": -right["w"]}, right) == ()


def test_one_number_alone_joins_a_factor_that_others_share(rng):
    right = {"w": np.array([1.37]), "v": rng.normal(size=5)}
    (found,) = one({name: 3.1234 * r for name, r in right.items()}, right)
    assert (found.kind, found.blocks, found.exact) == ("scaled", ("w", "v"), True)
    assert found.factor == pytest.approx(3.1234)


def test_lengths_that_are_equal_are_both_named(rng):
    right = {"v": rng.normal(size=6)}
    (found,) = one({"v": right["v"] / 3}, right, lengths={"T": 3, "B": 3, "D": 5, "H": 6})
    assert found.message == "is 1/T = 0.333333 times the right one"
    assert found.also == ("is 1/B = 0.333333 times the right one",)


def test_the_mean_over_a_batch_says_what_to_do(rng):
    right = {"b_f": rng.normal(size=6), "W_fh": rng.normal(size=(6, 6))}
    (found,) = one({**right, "b_f": right["b_f"] / 3}, right, lengths={"T": 5, "B": 3})
    assert found.blocks == ("b_f",)
    assert found.remedy == "add up where a mean over B is taken, or let the loss take that mean as well"


def test_a_tie_between_two_readings_names_both():
    right = {"W": np.array([[1.3, -0.7], [0.7, 2.9]])}
    (found,) = one({"W": right["W"].T.copy()}, right)
    assert found.kind == "transposed" and not found.also
    skew = {"W": np.array([[0.0, -0.7, 1.1], [0.7, 0.0, 2.9], [-1.1, -2.9, 0.0]])}
    (found,) = one({"W": -skew["W"]}, skew)
    assert found.kind == "scaled" and "is the transpose of the right one" in found.also


def test_zero_blocks_that_vanish_together_are_one_pattern(rng):
    right = {f"W_{k}{j}": rng.normal(size=(3, 3)) for k in "gifo" for j in "xh"}
    (found,) = one({name: 0 * r if name[-1] == "h" else r for name, r in right.items()}, right)
    assert found.blocks == ("W_gh", "W_ih", "W_fh", "W_oh")
    assert found.remedy == "all W_□h vanish together: look for the one line that they share"


def test_a_factor_with_a_rest_is_not_called_exact(rng):
    right = {"W": rng.normal(size=(4, 4))}
    (found,) = one({"W": 2 * right["W"] * (1 + 1e-6 * rng.uniform(-1, 1, (4, 4)))}, right)
    assert (found.kind, found.exact) == ("scaled", False)
    assert 1e-8 < found.residual < 1e-5 and "nearly 2 times" in found.message


def test_nothing_is_claimed_where_the_reference_is_too_blunt(rng):
    right = {"b": rng.normal(size=2)}
    assert one({"b": right["b"] * 1.7345}, right, tolerance=0.05) == ()


def test_entries_that_are_not_finite_are_wrong_and_make_no_pattern_exact(rng):
    right = {"W": rng.normal(size=(5, 5))}
    wrong = -right["W"]
    wrong[2, 3] = np.nan
    assert not any(found.exact for found in one({"W": wrong}, right))
    (place,) = where({"W": wrong}, right, {"W": np.full((5, 5), 1e-12)}).places
    assert place.wrong == 25


def test_no_number_is_too_large_or_too_small(rng):
    for size in (1e-300, 1e300, 5e-324):
        right = {"W": size * rng.uniform(1, 2, size=(4, 4))}
        found = one({"W": -right["W"]}, right)
        assert size == 5e-324 or found[0].factor == -1


def test_what_is_not_of_one_shape_or_complex_is_left_out(rng):
    right = {"W": rng.normal(size=(4, 4)), "b": rng.normal(size=4), "e": np.zeros(0)}
    wrong = {"W": rng.normal(size=(4, 5)), "b": right["b"] * 1j, "e": np.zeros(0), "more": np.ones(3)}
    assert patterns(wrong, right, dict.fromkeys(wrong, np.array(1e-12)), point={}, lengths={}) == ()


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ((1, 2, 3, 4), "from t = 4 down"),
        ((5,), "at the last step only (t = 5)"),
        ((1,), "at t = 1 only"),
        ((3,), "at t = 3 only"),
        ((1, 2, 3, 4, 5), "at all steps"),
        ((3, 4, 5), "from t = 3 on"),
        ((2, 3), "at t = 2 … 3"),
        ((1, 3, 4), "at t = 1, 3, 4"),
    ],
)
def test_steps_are_said_in_words(steps, said):
    assert steps_in_words(steps, 5) == said


@pytest.mark.parametrize(
    ("name", "gate"),
    [("W_fh", "f"), ("b_i", "i"), ("p_o", "o"), ("f(t)", "f"), ("z_g(t)", "g"), ("x", None), ("h(t)", None),
     ("Wf", None), ("layers[0].W", None), ("W_out", None), ("W", None)],
)  # fmt: skip
def test_a_gate_is_read_from_a_name_that_carries_one_and_from_no_other(name, gate):
    assert gate_of(name) == gate


def test_where_says_from_which_step_down(rng):
    right = {"h(t)": rng.normal(size=(5, 2, 3)), "W_fh": rng.normal(size=(3, 3)), "W_ih": rng.normal(size=(3, 3))}
    wrong = {name: r.copy() for name, r in right.items()}
    wrong["h(t)"][:4] += 1
    wrong["W_fh"][2] += 1
    found = where(wrong, right, {name: np.full(r.shape, 1e-12) for name, r in right.items()})
    assert str(found) == "h(t): wrong from t = 4 down\nW_fh: 3 of 9 entries are wrong, right but for [2, :], gate f"
    assert (found.gates, found.right) == (("f",), ("W_ih",))


def test_where_finds_the_part_of_a_packed_block(rng):
    right = {"W": rng.normal(size=(12, 7))}
    wrong = {"W": right["W"] + (np.arange(12)[:, None] // 3 == 2)}
    (place,) = where(wrong, right, {"W": np.full((12, 7), 1e-12)}, lengths={"H": 3}).places
    assert (place.part, place.entries) == ((2, 4), "[6:9, :]")


def test_what_was_not_compared_does_not_narrow_a_region(rng):
    right = {"W": rng.normal(size=(6, 5))}
    wrong, known = right["W"].copy(), right["W"].copy()
    wrong[2] += 1
    known[2, 3] = known[0, 1] = known[5, 0] = np.nan
    (found,) = patterns({"W": wrong}, {"W": known}, {"W": np.full((6, 5), 1e-12)}, point={}, lengths={})
    assert (found.kind, found.message) == ("rows", "is right but for [2, :]")


def test_where_says_which_steps_a_sum_lacks(rng):
    steps = rng.normal(size=(5, 4, 4))
    right, by_step = {"W": steps.sum(axis=0)}, {"W": steps}
    allowed = {"W": np.full((4, 4), 1e-12)}
    (place,) = where({"W": steps[3:].sum(axis=0)}, right, allowed, by_step=by_step).places
    assert (place.steps, place.when) == ((1, 2, 3), "steps counted wrong: from t = 3 down")
    (found,) = patterns({"W": steps[3:].sum(axis=0)}, right, allowed, point={}, lengths={}, by_step=by_step)
    assert found.message == "holds the steps from t = 4 on alone: t = 1 … 3 is lacking"


def compared(a, r, shape=None):
    n = len(a)
    return Comparison("W", shape or (n,), np.arange(n), a, r, *(np.full(n, 1e-16) for _ in range(4)))


def test_one_block_alone_looks_as_it_does_among_others(rng):
    r = rng.normal(size=12)
    assert structure(compared(r, r), {}) is None
    assert structure(compared(0 * r, r), {}).kind == "zero"
    assert structure(compared(r, 0 * r), {}).kind == "independent"
    assert structure(compared(r, 0 * r, (5, 12)), {}) is None
    scaled = structure(compared(4 * r, r), {"T": 4})
    assert (scaled.kind, scaled.factor) == ("scaled", pytest.approx(4)) and scaled.message.startswith("is T = 4 times")
    assert structure(compared(np.clip(r, -0.5, 0.5), r), {}).message == "is clipped at ±0.5"
    assert structure(compared(r + rng.normal(size=12), r), {}) is None
    assert structure(compared(r[:1] * 2, r[:1]), {}) is None
