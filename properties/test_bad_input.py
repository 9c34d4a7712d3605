"""What a subject may hand over that is none of what was asked for: one clear message each, or a finding.

Nothing here may end in a traceback of the harness's own, and nothing that is accepted may be accepted in silence.
"""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bptt_check import BpttCheckError, Subject, SubjectError, Verdict, check

W = np.array([[0.3, -1.1, 2.0], [0.7, 1.9, -0.4], [1.3, 0.2, -0.9]])
POINT = {"W": W}


def loss(p):
    return np.sin(p["W"]).sum()


def gradient(p):
    return {"W": np.cos(p["W"])}


def checked(loss=loss, gradient=gradient, point=POINT, **options):
    return check(Subject.from_functions(loss, gradient, point), **options)


def kinds(result):
    return [finding.kind for finding in result.findings]


def written(value):
    """A value as the name of a test: the same in every process, which an address in memory is not."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(value))


# Points

MASKED = np.ma.masked_array(W, mask=W > 1)


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({}, "the point is empty: there is nothing to take a derivative with respect to"),
        ({"W": np.zeros((0, 3))}, "the point is empty"),
        (None, r"point must be a dict \{name: array\}; it is a NoneType"),
        (W, "point must be a dict .* it is a ndarray"),
        ({"W": MASKED}, r"point\['W'\] is a masked array; hand over plain values"),
        ({"W": W + 0j}, r"point\['W'\] is complex; hand over its real and its imaginary part"),
        ({"W": np.arange(3)}, r"point\['W'\] holds integers \(int64\); a derivative needs floats"),
        ({"W": 3}, r"point\['W'\] holds integers"),
        ({"W": np.array([True])}, r"point\['W'\] has dtype bool"),
        ({"W": np.array(["1.0"])}, r"point\['W'\] has dtype <U3"),
        ({"W": None}, r"point\['W'\] has dtype object"),
        ({"W": "1.0"}, r"point\['W'\] has dtype <U3"),
        ({"W": [[1.0], [1.0, 2.0]]}, r"point\['W'\] is not an array: .*inhomogeneous"),
        ({"W": np.array([1.0, np.nan])}, r"point\['W'\] is not finite at \[1\] \(nan\)"),
        ({"W": np.array([[1.0], [-np.inf]])}, r"point\['W'\] is not finite at \[1, 0\] \(-inf\)"),
        ({1: W}, "names in the point must be strings; 1 is a int"),
    ],
    ids=written,
)
def test_a_point_that_cannot_be_differentiated_is_refused(point, message):
    with pytest.raises(SubjectError, match=message):
        checked(point=point)


def test_a_point_of_ten_gigabytes_is_refused_before_it_is_touched():
    huge = np.broadcast_to(np.float64(1.0), (10 * 2**30 // 8,))  # would be 10 GiB if anything copied it
    with pytest.raises(SubjectError, match=r"the point holds 10 GiB.*Choose smaller shapes"):
        checked(point={"W": huge})


def test_a_gradient_of_ten_gigabytes_is_refused_before_it_is_copied():
    huge = np.broadcast_to(np.float64(1.0), (10 * 2**30 // 8,))
    with pytest.raises(SubjectError, match="the gradient of W has shape"):
        checked(gradient=lambda p: {"W": huge})


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.longdouble])
def test_a_point_of_any_floating_point_type_is_taken(kind):
    result = checked(point={"W": W.astype(kind)})
    assert result.verdict in (Verdict.AGREES, Verdict.INCONCLUSIVE), str(result)
    assert result.verdict is Verdict.AGREES or kind is np.float16


@pytest.mark.parametrize("value", [1.5, [0.5, 1.5], np.float64(0.5), np.array(0.5)])
def test_numbers_and_lists_of_numbers_are_points(value):
    assert checked(point={"W": value}).verdict is Verdict.AGREES


def test_a_point_is_copied_and_read_only_arrays_are_taken():
    own = W.copy()
    own.setflags(write=False)
    subject = Subject.from_functions(loss, gradient, {"W": own})
    assert check(subject).verdict is Verdict.AGREES
    assert not np.shares_memory(subject.point["W"], own)
    with pytest.raises(ValueError, match="read-only"):
        subject.point["W"][0] = 1


@pytest.mark.parametrize("order", ["C", "F"])
def test_memory_layout_and_strides_do_not_matter(order):
    wide = np.asarray(np.random.default_rng(0).normal(size=(6, 8)), order=order)[::2, ::-3]
    assert checked(point={"W": wide}).verdict is Verdict.AGREES


# Losses


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "the loss must be one number; it is a NoneType"),
        ("0.5", "the loss must be one number; it is a str"),
        ((0.5, {}), r"the loss must be one number; it is a tuple of 2; is it \(loss, cache\) or \(loss, gradient\)"),
        ((0.5,), "the loss must be one number; it is a tuple of 1"),
        ([0.5, 1.0, 2.0], "the loss must be one number; it is a list of 3"),
        ({"loss": 0.5}, "the loss must be one number; it is a dict"),
        (np.ones(3), r"the loss must be one number; it is an array of shape \(3,\)"),
        (np.ones((0,)), r"the loss must be one number; it is an array of shape \(0,\)"),
        (True, "the loss must be one number; it is a bool"),
        (np.ma.masked, "the loss must be one number; it is masked"),
        (0.5 + 0j, "is complex at a real point; return its real part"),
        (np.float64("nan"), "is nan at the point; choose a point where it is finite"),
        (np.float64("inf"), "is inf at the point"),
        (object(), "the loss must be one number; it is a object"),
        (lambda: 0.5, "the loss must be one number; it is a function"),
    ],
    ids=written,
)
def test_a_loss_that_is_not_one_number_is_refused(returned, message):
    with pytest.raises(SubjectError, match=message):
        checked(loss=lambda p: returned)


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 1, 1)])
def test_a_loss_in_an_array_of_one_is_taken_with_a_finding(shape):
    result = checked(loss=lambda p: loss(p).reshape(shape))
    assert result.verdict is Verdict.AGREES
    assert kinds(result) == ["loss-is-an-array"]
    assert str(shape) in result.findings[0].message


def test_a_loss_as_a_python_float_or_a_0d_array_needs_no_finding():
    for turn in (lambda value: np.array(value), lambda value: value):
        assert not checked(loss=lambda p, turn=turn: turn(loss(p))).findings
    assert not checked(loss=lambda p: float(loss(p).real)).findings


def test_a_constant_integer_loss_has_a_zero_gradient():
    result = checked(loss=lambda p: 3, gradient=lambda p: {"W": np.zeros_like(p["W"])})
    assert result.verdict is not Verdict.DISAGREES
    assert kinds(result) == ["integer-loss"]


def test_a_loss_cast_to_float32_is_told_and_is_no_false_alarm():
    result = checked(loss=lambda p: np.float32(loss(p).real), resolution=1e-2)
    assert "casts-to-float32" in kinds(result)
    assert result.verdict is not Verdict.DISAGREES, str(result)


# Gradients


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (np.cos(W), r"the gradient of .* must be a dict \{name: array\}.*it is a ndarray"),
        ([np.cos(W)], "it is a list"),
        (None, "it is a NoneType"),
        ({"V": np.cos(W)}, "names V, which the point lacks; it has W"),
        ({"W": np.cos(W)[:2]}, r"has shape \(2, 3\), but W has shape \(3, 3\); it is compared as it is"),
        ({"W": 0.5}, r"has shape \(\), but W has shape \(3, 3\)"),
        ({"W": np.array(0.5)}, r"has shape \(\)"),
        ({"W": np.cos(W)[None]}, r"has shape \(1, 3, 3\)"),
        ({"W": np.cos(W) + 0j}, "the gradient of W is complex at a real point; return its real part"),
        ({"W": np.ma.masked_array(np.cos(W), mask=W > 1)}, "the gradient of W is a masked array"),
        ({"W": np.cos(W).astype(object)}, "the gradient of W has dtype object"),
        ({"W": np.cos(W).astype(str)}, "the gradient of W has dtype <U"),
        ({"W": "W"}, "the gradient of W has dtype <U1"),
        ({"W": W > 0}, "the gradient of W has dtype bool"),
        ({"W": [[1.0], [1.0, 2.0]]}, "the gradient of W is not an array: .*inhomogeneous"),
        ({"W": {"inner": W}}, "the gradient of W has dtype object"),
        ({"W": lambda: W}, "the gradient of W has dtype object"),
        ({1: W}, "names 1, which the point lacks"),
    ],
    ids=written,
)
def test_a_gradient_that_is_no_gradient_is_refused(returned, message):
    with pytest.raises(SubjectError, match=message):
        checked(gradient=lambda p: returned)


def test_a_gradient_in_lists_is_taken_with_a_finding():
    result = checked(gradient=lambda p: {"W": np.cos(p["W"]).tolist()})
    assert result.verdict is Verdict.AGREES
    assert kinds(result) == ["not-an-array"]


def test_a_gradient_of_whole_numbers_is_taken_with_a_finding():
    def slope(p):
        return {"W": np.full(p["W"].shape, 3)}

    result = checked(loss=lambda p: (3 * p["W"]).sum(), gradient=slope)
    assert result.verdict is Verdict.AGREES
    assert kinds(result) == ["integer-gradient"]
    assert checked(loss=lambda p: (2 * p["W"]).sum(), gradient=slope).verdict is Verdict.DISAGREES


def test_a_0d_gradient_of_a_0d_parameter_is_right():
    for turn in (np.array, float, np.float64):
        result = checked(point={"W": 0.5}, gradient=lambda p, turn=turn: {"W": turn(np.cos(p["W"]))})
        assert result.verdict is Verdict.AGREES


def test_a_gradient_that_is_a_view_of_its_own_parameter_is_told():
    result = checked(loss=lambda p: (p["W"] ** 2).sum() / 2, gradient=lambda p: {"W": p["W"]})
    assert result.verdict is Verdict.AGREES
    assert kinds(result) == ["aliases-input"]
    twice = checked(loss=lambda p: (p["W"] ** 2).sum() / 2, gradient=lambda p: {"W": p["W"].T})
    assert twice.verdict is Verdict.DISAGREES


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_a_gradient_of_fewer_digits_than_its_parameter_is_a_fault(kind):
    result = checked(gradient=lambda p: {"W": np.cos(p["W"]).astype(kind)})
    assert result.verdict is Verdict.DISAGREES
    assert "lower-precision" in kinds(result)


def test_a_gradient_that_went_through_float32_and_back_is_told_why_it_is_off():
    result = checked(gradient=lambda p: {"W": np.cos(p["W"]).astype(np.float32).astype(float)})
    assert result.verdict is Verdict.DISAGREES
    assert kinds(result) == ["casts-to-float32"]


def test_short_numbers_are_no_sign_of_float32():
    x = np.arange(9).reshape(3, 3) / 8
    assert not checked(loss=lambda p: (p["W"] * x).sum(), gradient=lambda p: {"W": x}).findings


def test_a_read_only_gradient_is_taken():
    def read_only(p):
        value = np.cos(p["W"])
        value.setflags(write=False)
        return {"W": value}

    assert checked(gradient=read_only).verdict is Verdict.AGREES


def test_nothing_returned_is_never_agreement():
    for returned in ({}, {"W": None}):
        result = checked(gradient=lambda p, returned=returned: returned)
        assert result.verdict is Verdict.INCONCLUSIVE
        assert result.blocks["W"].verdict is Verdict.NOT_RETURNED


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_gradient_that_is_not_finite_disagrees(bad):
    def spoilt(p):
        d = np.cos(p["W"])
        d[1, 2] = bad
        return {"W": d}

    result = checked(gradient=spoilt)
    assert result.verdict is Verdict.DISAGREES
    assert "not finite at [1, 2]" in result.findings[0].message


anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.complex_numbers(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.lists(st.floats(), max_size=3),
    st.tuples(st.floats(), st.none()),
    st.dictionaries(st.sampled_from(["W", "V"]), st.floats() | st.lists(st.floats(), max_size=9), max_size=2),
    hnp.arrays(hnp.scalar_dtypes(), st.sampled_from([(), (1,), (3,), (3, 3), (1, 1)]), elements=None),
)


def outcome(act):
    """What came of it: a result or a subject, or the one line of a message of ours. Anything else comes out."""
    try:
        return act()
    except BpttCheckError as error:
        return str(error).splitlines()


def is_one_line_or_no_agreement(came):
    return len(came) == 1 if isinstance(came, list) else came.verdict is not Verdict.AGREES


@given(anything)
@example(np.zeros(1, np.int8))
def test_whatever_a_loss_returns_ends_in_a_result_or_in_one_message_of_ours(returned):
    came = outcome(lambda: checked(loss=lambda p: returned))
    assert is_one_line_or_no_agreement(came)  # for no constant has this gradient


@given(anything | anything.map(lambda value: {"W": value}))
def test_whatever_a_gradient_returns_ends_in_a_result_or_in_one_message_of_ours(returned):
    came = outcome(lambda: checked(gradient=lambda p: returned))
    assert is_one_line_or_no_agreement(came)


@given(anything | anything.map(lambda value: {"W": value}))
def test_whatever_a_point_is_ends_in_a_subject_or_in_one_message_of_ours(point):
    came = outcome(lambda: Subject.from_functions(loss, gradient, point))
    if isinstance(came, Subject):
        assert all(array.dtype.kind == "f" for array in came.point.values())
    else:
        assert len(came) == 1 and "point" in came[0]


# What the code does on the way


def test_what_is_printed_is_caught_counted_and_told(capsys):
    def chatty(p):
        print("loss is being computed")
        return loss(p)

    result = checked(loss=chatty)
    assert capsys.readouterr().out == ""
    assert kinds(result) == ["prints"]
    assert result.findings[0].detail.startswith("loss is being computed\n")
    assert result.verdict is Verdict.AGREES


def test_changed_inputs_are_a_fault():
    def careless(p):
        p["W"] *= 2
        return {"W": np.cos(p["W"] / 2)}

    result = checked(gradient=careless)
    assert result.verdict is Verdict.DISAGREES
    assert "changed-inputs" in kinds(result)


def test_global_random_numbers_are_told_and_the_state_is_put_back():
    def drawing(p):
        np.random.rand()  # noqa: NPY002
        random.random()
        return loss(p)

    def state():
        return np.random.get_state()[1].tobytes(), np.random.get_state()[2], random.getstate()  # noqa: NPY002

    before = state()
    result = checked(loss=drawing)
    assert kinds(result) == ["global-random"]
    assert state() == before


def test_a_seed_set_inside_is_told_and_undone():
    def seeding(p):
        np.random.seed(0)  # noqa: NPY002
        return loss(p)

    for seed in (None, 0):  # to be seeded alike leaves the generators as they were: Hypothesis seeds them with 0
        np.random.seed(seed)  # noqa: NPY002
        before = np.random.get_state()[1].tobytes()  # noqa: NPY002
        assert kinds(checked(loss=seeding)) == ["global-random"]
        assert np.random.get_state()[1].tobytes() == before  # noqa: NPY002


@pytest.mark.parametrize(
    "leaves",
    [SystemExit(0), SystemExit("done"), RecursionError("deep"), MemoryError("full"), AssertionError("no")],
    ids=written,
)
def test_code_that_exits_or_raises_ends_in_a_finding(leaves):
    def leaving(p):
        raise leaves

    for result in (checked(loss=leaving), checked(gradient=leaving)):
        assert result.verdict is Verdict.INCONCLUSIVE
        assert kinds(result) == ["raised"]
        assert type(leaves).__name__ in result.findings[0].message


def test_an_interrupt_from_the_keyboard_is_not_swallowed():
    def interrupted(p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checked(loss=interrupted)


@pytest.mark.parametrize("returned", [0.5, (0.5,), (0.5, {}, 1), None, {"loss": 1}])
def test_a_joint_function_that_returns_no_pair_is_told_what_to_return(returned):
    with pytest.raises(SubjectError, match=r"must return \(loss, \{name: gradient\}\); it returned a"):
        check(Subject.from_value_and_gradient(lambda p: returned, POINT))


@pytest.mark.parametrize("outputs", [None, np.arange(3), "h", [], {}, np.zeros(0)])
def test_a_layer_without_floating_point_outputs_is_told(outputs):
    with pytest.raises(SubjectError, match=r"outputs|output y has dtype"):
        check(Subject.from_vjp(lambda p: (outputs, None), lambda cache, d: {}, POINT))


def test_a_layer_whose_outputs_change_shape_is_told():
    calls = []

    def forward(p):
        calls.append(None)
        return np.ones(len(calls)), None

    with pytest.raises(SubjectError, match=r"returned output y of shape \(2,\), at the point it was \(1,\)"):
        check(Subject.from_vjp(forward, lambda cache, d: {}, POINT))
