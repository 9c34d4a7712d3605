"""Every form in which a backward pass comes, each with one that is right and a twin that is wrong."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject, SubjectError, Verdict, check
from bptt_check.errors import SubjectFailed
from bptt_check.forms.layout import Arrangement, Packed
from bptt_check.forms.nested import flatten, follow, rebuild
from bptt_check.forms.places import place_of
from bptt_check.forms.vjp import drawn_loss

T, B, D, H = 4, 3, 2, 5


def an_elman_point(rng=0, dtype=float):
    rng = np.random.default_rng(rng)
    shapes = {"W": (D, H), "U": (H, H), "b": (H,), "x": (T, B, D), "h0": (B, H)}
    return {name: rng.normal(size=shape).astype(dtype) for name, shape in shapes.items()}


def elman_forward(p):
    h = [p["h0"]]
    for x in p["x"]:
        h.append(np.tanh(x @ p["W"] + h[-1] @ p["U"] + p["b"]))
    return np.stack(h[1:]), (p, h)


def elman_backward(cache, dy, *, carry=1.0, accumulate=True):
    """The mistakes of the field's table: the carry dropped (``carry=0``), a gradient assigned and not summed."""
    p, h = cache
    d = {name: np.zeros_like(a) for name, a in p.items()}
    dh_next = np.zeros_like(p["h0"])
    for t in range(len(dy), 0, -1):
        dz = (1 - h[t] ** 2) * (dy[t - 1] + carry * dh_next)
        d["W"] = d["W"] * accumulate + p["x"][t - 1].T @ dz
        d["U"] += h[t - 1].T @ dz
        d["b"] += dz.sum(axis=0)
        d["x"][t - 1] = dz @ p["W"].T
        dh_next = dz @ p["U"].T
    d["h0"] = dh_next
    return d


def squared(p):
    return (elman_forward(p)[0] ** 2).sum()


def squared_with_cache(p):
    h, cache = elman_forward(p)
    return (h**2).sum(), (cache, 2 * h)


def squared_and_gradient(p, **mistake):
    h, cache = elman_forward(p)
    return (h**2).sum(), elman_backward(cache, 2 * h, **mistake)


class Elman:
    """Parameters and gradients in attributes, in a list and in a dict; gradients accumulate in place."""

    def __init__(self, **mistake):
        p = an_elman_point()
        self.mistake = mistake
        self.inner = SimpleNamespace(W=p["W"], layers=[{"U": p["U"]}, p["b"]])
        self.x, self.h0, self.lr = p["x"], p["h0"], 0.125
        self.grads = {name: np.zeros_like(a) for name, a in p.items()}

    def point(self):
        U, b = self.inner.layers[0]["U"], self.inner.layers[1]
        return {"W": self.inner.W, "U": U, "b": b, "x": self.x, "h0": self.h0}

    def run(self):
        loss, gradients = squared_and_gradient(self.point(), **self.mistake)
        for name, value in gradients.items():
            self.grads[name] = self.grads[name] + value
        return loss

    def step(self):
        loss = self.run()
        for name, array in self.point().items():
            array -= self.lr * self.grads[name]
        return loss


PLACES = {"W": "inner.W", "U": "inner.layers[0]['U']", "b": ("inner", "layers", 1), "x": "x", "h0": "h0"}
GRADIENTS = {name: f"grads[{name!r}]" for name in PLACES}


def forms(**mistake):
    point = an_elman_point()

    def gradient(p):
        return squared_and_gradient(p, **mistake)[1]

    def backward(cache, dy):
        return elman_backward(cache, dy, **mistake)

    return {
        "functions": lambda: Subject.from_functions(squared, gradient, point),
        "value and gradient": lambda: Subject.from_value_and_gradient(
            lambda p: squared_and_gradient(p, **mistake), point
        ),
        "forward and backward": lambda: Subject.from_forward_backward(
            squared_with_cache, lambda c: backward(*c), point
        ),
        "vjp": lambda: Subject.from_vjp(elman_forward, backward, point),
        "object": lambda: Subject.from_object(
            lambda: Elman(**mistake), Elman.run, parameters=PLACES, gradients=GRADIENTS
        ),
        "update": lambda: Subject.from_update(
            lambda: Elman(**mistake), Elman.step, parameters=PLACES, learning_rate=0.125
        ),
        "update, rate by its place": lambda: Subject.from_update(
            lambda: Elman(**mistake), Elman.step, parameters=PLACES, learning_rate="lr"
        ),
    }


FORMS = sorted(forms())


@pytest.mark.parametrize("form", FORMS)
def test_a_right_backward_pass_agrees_in_every_form(form):
    result = check(forms()[form]())
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.compared == D * H + H * H + H + T * B * D + B * H
    assert not result.findings


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("mistake", "right"), [({"carry": 0.0}, ()), ({"accumulate": False}, ("U", "b", "x", "h0"))])
def test_its_wrong_twin_disagrees_in_every_form(form, mistake, right):
    result = check(forms(**mistake)[form]())
    assert result.verdict is Verdict.DISAGREES, str(result)
    assert result.blocks["W"].verdict is Verdict.DISAGREES
    assert all(result.blocks[name].verdict is Verdict.AGREES for name in right)


# Layers without a loss


@pytest.mark.parametrize("loss", ["linear", "quadratic", "mixed"])
def test_each_loss_that_the_harness_brings_sees_a_dropped_carry(loss):
    point = an_elman_point()
    assert check(Subject.from_vjp(elman_forward, elman_backward, point, loss=loss)).verdict is Verdict.AGREES
    wrong = Subject.from_vjp(elman_forward, lambda c, dy: elman_backward(c, dy, carry=0.0), point, loss=loss)
    assert check(wrong).verdict is Verdict.DISAGREES


def test_a_loss_that_is_none_of_them_is_refused_by_name():
    with pytest.raises(SubjectError, match="loss='cubic': it takes 'linear', 'quadratic', 'mixed'"):
        Subject.from_vjp(elman_forward, elman_backward, an_elman_point(), loss="cubic")


@given(st.lists(st.integers(0, 4), max_size=3), st.sampled_from(["linear", "quadratic", "mixed"]), st.integers(0, 99))
def test_the_loss_of_outputs_touches_every_output_and_is_the_same_in_every_type(shape, kind, seed):
    loss = drawn_loss({"y": tuple(shape)}, kind, seed)
    for weights, wanted in ((loss.linear["y"], kind != "quadratic"), (loss.quadratic["y"], kind != "linear")):
        assert (weights != 0).all() == (wanted or not weights.size)
        for narrow in (np.float16, np.float32, np.longdouble):
            assert (weights.astype(narrow) == weights).all()


def test_outputs_in_a_dict_get_cotangents_in_a_dict():
    def forward(p):
        return {"h": np.tanh(p["w"]), "s": p["w"] ** 2}, p["w"]

    def backward(w, d):
        return {"w": d["h"] * (1 - np.tanh(w) ** 2) + d["s"] * 2 * w}

    point = {"w": np.array([0.5, -1.0, 2.0])}
    assert check(Subject.from_vjp(forward, backward, point)).verdict is Verdict.AGREES
    forgets = Subject.from_vjp(forward, lambda w, d: {"w": d["h"] * (1 - np.tanh(w) ** 2)}, point)
    assert check(forgets).verdict is Verdict.DISAGREES


def test_several_outputs_in_a_tuple_get_a_tuple():
    seen = []

    def backward(w, d):
        seen.append(type(d))
        return {"w": d[0] + 2 * w * d[1]}

    subject = Subject.from_vjp(lambda p: ((p["w"], p["w"] ** 2), p["w"]), backward, {"w": np.array([0.5, -1.0])})
    assert check(subject).verdict is Verdict.AGREES
    assert set(seen) == {tuple}


def test_float32_outputs_give_float32_cotangents_and_a_float32_loss():
    kinds = set()

    def backward(cache, dy):
        kinds.add(dy.dtype.name)
        return elman_backward(cache, dy)

    subject = Subject.from_vjp(elman_forward, backward, an_elman_point(dtype=np.float32))
    assert subject.loss(subject.point).dtype == np.float32
    subject.gradient(subject.point)
    assert kinds == {"float32"}


def test_a_backward_pass_that_writes_to_its_cotangents_is_told():
    def backward(cache, dy):
        gradients = elman_backward(cache, dy)
        dy *= 0
        return gradients

    result = check(Subject.from_vjp(elman_forward, backward, an_elman_point()))
    assert [finding.kind for finding in result.findings] == ["changed-cotangents"]
    assert result.verdict is Verdict.AGREES


def test_a_forward_pass_that_raises_is_reported_by_the_check():
    def forward(p):
        raise ZeroDivisionError("no such layer")

    result = check(Subject.from_vjp(forward, elman_backward, an_elman_point()))
    assert result.verdict is Verdict.INCONCLUSIVE
    assert "no such layer" in result.findings[0].message


def test_a_vjp_hands_out_its_cache_for_the_call_protocol():
    subject = Subject.from_vjp(elman_forward, elman_backward, an_elman_point())
    forward, backward = subject.pair
    loss, cache = forward(dict(subject.point))
    assert loss == subject.loss(subject.point)
    np.testing.assert_array_equal(backward(cache)["U"], subject.gradient(subject.point)["U"])


# Nested points

trees = st.recursive(
    st.just(None),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.lists(inner, min_size=1, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["W", "b", "enc", "l1"]), inner, min_size=1, max_size=3)
    ),
    max_leaves=8,
)


def with_arrays(tree, counter):
    if tree is None:
        counter.append(None)
        return np.array([float(len(counter))])
    if isinstance(tree, dict):
        return {key: with_arrays(value, counter) for key, value in tree.items()}
    return type(tree)(with_arrays(value, counter) for value in tree)


@given(trees.filter(lambda tree: tree is not None))
def test_flattening_and_back_is_the_identity_whatever_is_nested(form):
    counter = []
    tree = with_arrays(form, counter)
    flat = flatten(tree)
    assert len(flat) == len(counter)
    assert repr(rebuild(tree, flat)) == repr(tree)
    assert dict(follow(tree, tree)) == flat


def test_nested_names_read_like_code():
    point = {"layers": [{"W": np.ones(1)}, {"W": np.ones(1)}], "enc": {"W_x": np.ones(1)}, "b": np.ones(1)}
    assert list(flatten(point)) == ["layers[0].W", "layers[1].W", "enc.W_x", "b"]


def test_two_arrays_of_one_name_are_refused():
    with pytest.raises(SubjectError, match=r"two arrays of the point have the name a\.b"):
        Subject.from_functions(squared, squared, {"a": {"b": np.ones(2)}, "a.b": np.ones(2)})


def two_layers(p):
    return sum((layer["W"] ** 2).sum() * (k + 1) for k, layer in enumerate(p["layers"]))


def two_layers_gradient(p, off=0.0):
    return {"layers": [{"W": 2 * layer["W"] * (k + 1 + off * k)} for k, layer in enumerate(p["layers"])]}


def test_a_nested_point_comes_back_nested_and_faults_are_named_by_path():
    point = {"layers": [{"W": np.array([1.0, 2.0])}, {"W": np.array([[0.5], [-3.0]])}]}
    assert check(Subject.from_functions(two_layers, two_layers_gradient, point)).verdict is Verdict.AGREES
    result = check(Subject.from_functions(two_layers, lambda p: two_layers_gradient(p, off=0.25), point))
    assert result.blocks["layers[0].W"].verdict is Verdict.AGREES
    assert result.blocks["layers[1].W"].verdict is Verdict.DISAGREES


def test_a_nested_gradient_may_be_handed_out_by_flat_names():
    point = {"layers": [{"W": np.array([1.0, 2.0])}]}
    subject = Subject.from_functions(two_layers, lambda p: {"layers[0].W": 2 * p["layers"][0]["W"]}, point)
    assert check(subject).verdict is Verdict.AGREES


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ({"layers": [{}, {}]}, "the gradient of layers must be a list of 1, as in the point; it is a list of 2"),
        ({"layers": {"W": 1}}, "the gradient of layers must be a list of 1, as in the point; it is a dict"),
        ({"layers": [{"V": 1}]}, r"the gradient of layers\[0\] names V, which the point lacks; it has W"),
        ({"layers": [np.ones(2)]}, r"the gradient of layers\[0\] must be a dict, as the point is, with W"),
        ([1.0], "the gradient of the point must be a dict"),
    ],
)
def test_a_gradient_of_another_form_is_refused_where_it_differs(gradient, message):
    point = {"layers": [{"W": np.array([1.0, 2.0])}]}
    with pytest.raises(SubjectError, match=message):
        check(Subject.from_functions(two_layers, lambda p: gradient, point))


def test_nested_inputs_that_are_changed_are_seen():
    point = {"layers": [{"W": np.array([1.0, 2.0])}]}

    def in_place(p):
        loss = two_layers(p)
        p["layers"][0]["W"] *= 2
        return loss

    def rebound(p):
        loss = two_layers(p)
        p["layers"][0]["W"] = p["layers"][0]["W"] * 2
        return loss

    for function in (in_place, rebound):
        findings = check(Subject.from_functions(function, two_layers_gradient, point)).findings
        assert [finding.kind for finding in findings] == ["changed-inputs"]


# Layouts

PACKED = {"W": np.random.default_rng(1).normal(size=(6, 2)), "x": np.array([0.5, -2.0])}


def gates(W, x):
    i, f, g = np.split(W @ x, 3)
    return np.tanh(i) * f + np.sin(g), (i, f, g)


def gates_gradient(p, wrong_f=1.0):
    i, f, g = gates(p["W"], p["x"])[1]
    dz = np.concatenate([(1 - np.tanh(i) ** 2) * f, wrong_f * np.tanh(i), np.cos(g)])
    return {"W": np.outer(dz, p["x"]), "x": p["W"].T @ dz}


def test_packed_gates_are_compared_by_their_own_names():
    def loss(p):
        return gates(p["W"], p["x"])[0].sum()

    for layout in ({"W": Packed("ifg")}, {"W": ("W_i", "W_f", "W_g")}, {"W": Packed(["W_i", "W_f", "W_g"], axis=0)}):
        right = check(Subject.from_functions(loss, gates_gradient, PACKED, layout=layout))
        assert right.verdict is Verdict.AGREES
        assert list(right.blocks) == ["W_i", "W_f", "W_g", "x"]
        wrong = check(
            Subject.from_functions(loss, lambda p: gates_gradient(p, wrong_f=1.5), PACKED, layout=layout), causes=False
        )
        assert [k for k, b in wrong.blocks.items() if b.verdict is Verdict.DISAGREES] == ["W_f", "x"]


def test_a_packed_gradient_of_a_point_that_is_not_packed():
    point = {"a": np.array([[1.0, 2.0]]), "b": np.array([[3.0, -1.0]])}

    def loss(p):
        return (p["a"] ** 2).sum() + (p["b"] ** 3).sum()

    def gradient(p):
        return {"both": np.concatenate([2 * p["a"], 3 * p["b"] ** 2], axis=1)}

    subject = Subject.from_functions(loss, gradient, point, layout={"both": Packed(("a", "b"), axis=1)})
    assert check(subject).verdict is Verdict.AGREES
    swapped = Subject.from_functions(loss, gradient, point, layout={"both": Packed(("b", "a"), axis=1)})
    assert check(swapped).verdict is Verdict.DISAGREES


def test_a_change_of_a_packed_input_is_seen():
    def loss(p):
        value = gates(p["W"], p["x"])[0].sum()
        p["W"] += 1
        return value

    findings = check(Subject.from_functions(loss, gates_gradient, PACKED, layout={"W": Packed("ifg")})).findings
    assert [finding.kind for finding in findings] == ["changed-inputs"]


def test_a_transposed_gradient_is_compared_once_it_is_declared():
    point = an_elman_point()

    def gradient(p):
        d = squared_and_gradient(p)[1]
        return {**d, "W": d["W"].T}

    with pytest.raises(SubjectError, match=r"layout=\{'W': 'transposed'\}"):
        check(Subject.from_functions(squared, gradient, point))
    declared = Subject.from_functions(squared, gradient, point, layout={"W": "transposed"})
    assert check(declared).verdict is Verdict.AGREES
    by_hand = Subject.from_functions(squared, gradient, point, layout={"W": np.transpose})
    assert check(by_hand).verdict is Verdict.AGREES


def test_a_square_transposed_gradient_is_never_guessed():
    point = an_elman_point()

    def gradient(p):
        d = squared_and_gradient(p)[1]
        return {**d, "U": d["U"].T}

    assert check(Subject.from_functions(squared, gradient, point)).blocks["U"].verdict is Verdict.DISAGREES
    declared = Subject.from_functions(squared, gradient, point, layout={"U": "transposed"})
    assert check(declared).verdict is Verdict.AGREES


def test_gradients_under_other_names_can_be_declared_and_laid_out_too():
    def gradient(p):
        d = squared_and_gradient(p)[1]
        return {f"d{name}": value.T if name == "W" else value for name, value in d.items()}

    layout = {f"d{name}": name for name in an_elman_point()} | {"W": "transposed"}
    assert check(Subject.from_functions(squared, gradient, an_elman_point(), layout=layout)).verdict is Verdict.AGREES


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"V": "transposed"}, "layout= names V, which the point lacks; it has W, x"),
        ({"dW": "V"}, "layout= names V, which the point lacks"),
        ({"W": 3}, r"layout\['W'\] is 3; it takes 'transposed', a function"),
        ({"W": Packed("ifgo")}, r"W has shape \(6, 2\): axis 0 does not divide into 4 parts"),
        ({"W": Packed("ifg", axis=2)}, r"W has shape \(6, 2\): axis 2 does not divide"),
        ({"W": ("x", "y", "z")}, r"layout\['W'\] names x, which the point has already"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused_by_name(layout, message):
    with pytest.raises(SubjectError, match=message):
        Arrangement(PACKED, layout)


# Objects


def test_an_object_whose_parts_share_its_arrays_is_written_in_place():
    class Shared:
        def __init__(self):
            self.W = np.array([1.0, -2.0])
            self.inner = SimpleNamespace(weights=self.W)  # what the loss reads

        def run(self):
            self.dW = 2 * self.inner.weights
            return (self.inner.weights**2).sum()

    result = check(Subject.from_object(Shared, Shared.run, parameters={"W": "W"}, gradients={"W": "dW"}))
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.method.startswith("Richardson")


def test_parameters_behind_a_property_or_get_and_set_functions():
    class Flat:
        def __init__(self):
            self.theta = np.array([1.0, -2.0, 3.0])

        @property
        def W(self):
            return self.theta[:2].copy()

        @W.setter
        def W(self, value):
            self.theta = np.concatenate([value, self.theta[2:]])

        def run(self):
            self.d = 3 * self.theta**2
            return (self.theta**3).sum()

    def get(net):
        return net.theta[2:]

    def put(net, value):
        net.theta = np.concatenate([net.theta[:2], value])

    parameters = {"W": "W", "b": (get, put)}
    right = {"W": lambda net: net.d[:2], "b": lambda net: net.d[2:]}
    assert check(Subject.from_object(Flat, Flat.run, parameters=parameters, gradients=right)).verdict is Verdict.AGREES
    wrong = {"W": lambda net: net.d[1:], "b": lambda net: net.d[2:]}
    assert check(Subject.from_object(Flat, Flat.run, parameters=parameters, gradients=wrong)).blocks["W"].verdict is (
        Verdict.DISAGREES
    )


def test_a_parameter_that_is_a_dict_of_arrays_is_flattened():
    def make():
        return {"params": {"W": np.array([1.0, 2.0]), "b": np.array([0.5])}, "grads": {}}

    def run(net):
        W, b = net["params"]["W"], net["params"]["b"]
        net["grads"] = {"W": 2 * W * b, "b": (W**2).sum(keepdims=True)}
        return (W**2).sum() * b[0]

    subject = Subject.from_object(make, run, parameters={"net": "params"}, gradients={"net": "grads"})
    assert list(subject.point) == ["net.W", "net.b"]
    assert check(subject).verdict is Verdict.AGREES


def test_a_constructor_that_draws_its_weights_is_no_random_function():
    class Drawn:
        def __init__(self):
            self.W, self.x = np.random.randn(3), random.random()  # noqa: NPY002

        def run(self):
            self.dW = 2 * self.W * self.x
            return (self.W**2).sum() * self.x

    before = np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    result = check(Subject.from_object(Drawn, Drawn.run, parameters={"W": "W"}, gradients={"W": "dW"}))
    assert result.verdict is Verdict.AGREES, str(result)
    assert not result.findings
    assert (np.random.get_state()[1] == before[0]).all() and random.getstate() == before[1]  # noqa: NPY002


def test_a_gradient_that_is_left_none_is_not_returned():
    gradients = {name: place for name, place in GRADIENTS.items() if name != "h0"} | {"x": lambda net: None}
    subject = Subject.from_object(Elman, Elman.run, parameters=PLACES, gradients=gradients)
    result = check(subject)
    assert {k for k, b in result.blocks.items() if b.verdict is Verdict.NOT_RETURNED} == {"x", "h0"}
    assert check(subject, optional=("x", "h0")).verdict is Verdict.AGREES


def test_a_run_that_changes_its_parameters_is_told():
    subject = Subject.from_object(Elman, Elman.step, parameters=PLACES, gradients=GRADIENTS)
    assert "changed-inputs" in {finding.kind for finding in check(subject).findings}


def test_one_object_handed_out_twice_is_refused():
    net = Elman()
    with pytest.raises(SubjectError, match=r"returns one object twice; each call must make a fresh one"):
        Subject.from_object(lambda: net, Elman.run, parameters=PLACES, gradients=GRADIENTS)


def test_a_constructor_that_raises_is_told_with_its_exception():
    with pytest.raises(SubjectFailed, match="raised TypeError"):
        Subject.from_object(lambda: Elman(1), Elman.run, parameters=PLACES, gradients=GRADIENTS)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("inner.V", r"parameters\['W'\]: SimpleNamespace has no 'V'; it has W, layers"),
        ("inner.layers[7]", r"parameters\['W'\]: list has no 7"),
        ("grads['V']", r"parameters\['W'\]: dict has no 'V'; it has W, U, b, x, h0"),
        ("inner..W", "which is no path"),
        ("", "is empty"),
        (3, "it takes an attribute path"),
        ((), "it takes an attribute path"),
        (lambda net: net.inner.W, "can be read and not set"),
    ],
)
def test_a_place_that_does_not_exist_is_named_with_what_there_is(where, message):
    with pytest.raises(SubjectError, match=message):
        Subject.from_object(Elman, Elman.run, parameters={"W": where}, gradients=GRADIENTS)


@given(st.lists(st.one_of(st.integers(0, 2), st.sampled_from(["W", "b", "two words", "it's"])), min_size=1, max_size=4))
def test_a_path_written_out_finds_the_same_place_as_its_keys(keys):
    tree = 1.0
    for key in reversed(keys):
        tree = [tree] * 3 if isinstance(key, int) else {key: tree}
    text = "".join(f"[{key!r}]" for key in keys)
    for place in (place_of(text, what="a path"), place_of(tuple(keys), what="keys")):
        assert place.get(tree) == 1.0
        place.set(tree, 2.0)
        assert place.get(tree) == 2.0
        place.set(tree, 1.0)


# Updates


def test_a_small_learning_rate_hides_digits_and_never_makes_a_false_alarm():
    subject = Subject.from_update(
        lambda: Elman(), lambda net: (setattr(net, "lr", 1e-9), net.step())[1], parameters=PLACES, learning_rate=1e-9
    )
    result = check(subject)
    assert result.verdict is Verdict.INCONCLUSIVE, str(result)
    assert not any(block.verdict is Verdict.DISAGREES for block in result.blocks.values())


@given(st.integers(0, 10_000), st.sampled_from([1.0, 0.1, 0.01, 1e-3, 3e-5]))
def test_no_right_update_disagrees_at_any_rate(seed, rate):
    point = np.random.default_rng(seed).normal(size=6)

    class Net:
        def __init__(self):
            self.w = point.copy()

        def train(self):
            loss = np.tanh(self.w).sum() + (self.w[:-1] * self.w[1:]).sum()
            gradient = 1 - np.tanh(self.w) ** 2
            gradient[:-1] += self.w[1:]
            gradient[1:] += self.w[:-1]
            self.w -= rate * gradient
            return loss

    result = check(Subject.from_update(Net, Net.train, parameters={"w": "w"}, learning_rate=rate))
    assert result.verdict is not Verdict.DISAGREES, str(result)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (0, "other than 0"),
        (float("nan"), "other than 0"),
        ("rate", "learning_rate: Elman has no 'rate'"),
        (True, "it takes"),
    ],
)
def test_a_rate_that_is_none_is_refused(rate, message):
    with pytest.raises(SubjectError, match=message):
        Subject.from_update(Elman, Elman.step, parameters=PLACES, learning_rate=rate)


def test_a_wrong_rate_shows_as_a_factor():
    subject = Subject.from_update(Elman, Elman.step, parameters=PLACES, learning_rate=0.25)
    assert check(subject).verdict is Verdict.DISAGREES
