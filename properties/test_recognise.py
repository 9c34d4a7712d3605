"""A user's recurrent subject is recognised by what it computes, whatever its arrays are called and however packed."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bptt_check import Subject
from bptt_check.errors import SubjectError
from bptt_check.lstm.losses import EUCLIDEAN
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import VARIANTS, variant_named
from bptt_check.recognise import recognise

T, B, D, H = 4, 3, 5, 2
EXAMPLES = Path(__file__).parent.parent / "examples"


def side_by_side(*names):
    """Our matrices of one block, [x, h] or [h, x], as one (H, …)."""
    return lambda p, k: np.hstack([p[f"W_{k}{j}"] for j in names])


def pack_rows(p, ks):
    return {"W": np.vstack([side_by_side("x", "h")(p, k) for k in ks]), "b": np.hstack([p[f"b_{k}"] for k in ks])}


def unpack_rows(q, ks):
    parts = dict(zip(ks, np.split(q["W"], len(ks)), strict=True))
    biases = dict(zip(ks, np.split(q["b"], len(ks)), strict=True))
    return {f"W_{k}x": parts[k][:, :-H] for k in ks} | {f"W_{k}h": parts[k][:, -H:] for k in ks} | {
        f"b_{k}": biases[k] for k in ks
    }  # fmt: skip


def pack_bias_row(p, ks):
    """(1 + D + H, 4H), the bias the first row."""
    columns = [np.vstack([p[f"b_{k}"], p[f"W_{k}x"].T, p[f"W_{k}h"].T]) for k in ks]
    return {"WLSTM": np.hstack(columns)}


def unpack_bias_row(q, ks):
    parts = dict(zip(ks, np.hsplit(q["WLSTM"], len(ks)), strict=True))
    return {f"b_{k}": parts[k][0] for k in ks} | {f"W_{k}x": parts[k][1:-H].T for k in ks} | {
        f"W_{k}h": parts[k][-H:].T for k in ks
    }  # fmt: skip


def pack_bias_column(p, ks):
    """(4H, H + D + 1), h before x, the bias the last column."""
    return {"all": np.vstack([np.hstack([p[f"W_{k}h"], p[f"W_{k}x"], p[f"b_{k}"][:, None]]) for k in ks])}


def unpack_bias_column(q, ks):
    parts = dict(zip(ks, np.vsplit(q["all"], len(ks)), strict=True))
    return {f"W_{k}h": parts[k][:, :H] for k in ks} | {f"W_{k}x": parts[k][:, H:-1] for k in ks} | {
        f"b_{k}": parts[k][:, -1] for k in ks
    }  # fmt: skip


def pack_by_source(p, ks):
    return {
        "U": np.hstack([p[f"W_{k}x"].T for k in ks]),
        "W": np.hstack([p[f"W_{k}h"].T for k in ks]),
        "bias": np.hstack([p[f"b_{k}"] for k in ks])[None],
    }


def unpack_by_source(q, ks):
    n = len(ks)
    found = {f"W_{k}x": part.T for k, part in zip(ks, np.hsplit(q["U"], n), strict=True)}
    found |= {f"W_{k}h": part.T for k, part in zip(ks, np.hsplit(q["W"], n), strict=True)}
    return found | {f"b_{k}": part[0] for k, part in zip(ks, np.hsplit(q["bias"], n), strict=True)}


def pack_two_biases(p, ks):
    """Wx (4H, D), Wh (4H, H) and two biases that add up; of a gradient each gets the whole."""
    bias = np.hstack([p[f"b_{k}"] for k in ks])
    weights = {f"weight_{j}": np.vstack([p[f"W_{k}{j}"] for k in ks]) for j in "xh"}
    return weights | {"bias_ih": bias, "bias_hh": bias}


def unpack_two_biases(q, ks):
    n = len(ks)
    found = {f"W_{k}{j}": part for j in "xh" for k, part in zip(ks, np.split(q[f"weight_{j}"], n), strict=True)}
    bias = q["bias_ih"] + q["bias_hh"]
    return found | {f"b_{k}": part for k, part in zip(ks, np.split(bias, n), strict=True)}


def pack_by_gate(p, ks):
    """One (H, H + D) and one (H, 1) each, under the *wrong* letters."""
    wrong = dict(zip(ks, ks[1:] + ks[:1], strict=True))
    weights = {f"W{wrong[k]}": np.hstack([p[f"W_{k}h"], p[f"W_{k}x"]]) for k in ks}
    return weights | {f"b{wrong[k]}": p[f"b_{k}"][:, None] for k in ks}


def unpack_by_gate(q, ks):
    wrong = dict(zip(ks, ks[1:] + ks[:1], strict=True))
    found = {f"W_{k}h": q[f"W{wrong[k]}"][:, :H] for k in ks} | {f"W_{k}x": q[f"W{wrong[k]}"][:, H:] for k in ks}
    return found | {f"b_{k}": q[f"b{wrong[k]}"][:, 0] for k in ks}


def pack_stacked(p, ks):
    """(4, H, D), (4, H, H), (4, H)."""
    return {"A": np.stack([p[f"W_{k}x"] for k in ks]), "R": np.stack([p[f"W_{k}h"] for k in ks])} | {
        "c": np.stack([p[f"b_{k}"] for k in ks])
    }


def unpack_stacked(q, ks):
    found = {f"W_{k}x": q["A"][n] for n, k in enumerate(ks)} | {f"W_{k}h": q["R"][n] for n, k in enumerate(ks)}
    return found | {f"b_{k}": q["c"][n] for n, k in enumerate(ks)}


def pack_interleaved(p, ks):
    """Row 4 j + n is gate n of memory cell j; no biases."""
    whole = np.stack([side_by_side("x", "h")(p, k) for k in ks], axis=1)
    return {"M": whole.reshape(len(ks) * H, -1)}


def unpack_interleaved(q, ks):
    whole = q["M"].reshape(H, len(ks), -1)
    found = {f"W_{k}x": whole[:, n, :-H] for n, k in enumerate(ks)} | {
        f"W_{k}h": whole[:, n, -H:] for n, k in enumerate(ks)
    }
    return found | {f"b_{k}": np.zeros(H, whole.dtype) for k in ks}


PACKINGS = {
    "rows": (pack_rows, unpack_rows),
    "bias row": (pack_bias_row, unpack_bias_row),
    "bias column": (pack_bias_column, unpack_bias_column),
    "by source": (pack_by_source, unpack_by_source),
    "two biases": (pack_two_biases, unpack_two_biases),
    "by gate": (pack_by_gate, unpack_by_gate),
    "stacked": (pack_stacked, unpack_stacked),
    "interleaved": (pack_interleaved, unpack_interleaved),
}
AXES = {"TBD": (0, 1, 2), "BTD": (1, 0, 2), "DBT": (2, 1, 0)}  # turning back is the same
LETTERS = {"h0": "c_first", "s0": "hidden"}  # names that mislead


def wrapped(variant, packing, *, order="gifo", axes="TBD", outputs=("h",), dtype=float, rng=0):
    """A layer in the user's form, run by our equations, and what our point is there."""
    pack, unpack = PACKINGS[packing]
    variant = variant_named(variant)
    ks = "".join(k for k in order if k in variant.blocks)
    turn = AXES[axes]
    problem = Problem.draw(variant, T=T, B=B, D=D, H=H, rng=np.random.default_rng(rng))
    ours = {name: array.astype(dtype) for name, array in problem.point.items()}
    concerned = {f"W_{k}{j}" for k in ks for j in "xh"} | {f"b_{k}" for k in ks}

    def theirs(p):
        q = pack(p, ks) | {"inputs": p["x"].transpose(turn)}
        return q | {LETTERS.get(k, k): a for k, a in p.items() if k not in concerned and k != "x"}

    def back(q):
        p = unpack(q, ks) | {"x": q["inputs"].transpose(turn)}
        return p | {k: q[LETTERS.get(k, k)] for k in ours if k not in concerned and k != "x"}

    def forward(q):
        p = back(q)
        here = problem.at(p)
        trace = here.trace()
        returned = {"h": trace.over_time("h").transpose(turn)}
        if "s" in outputs:
            returned["memory"] = trace.over_time("s").transpose(turn)
        if "last" in outputs:
            returned["c_n"] = trace.s[-1]
        return (returned["h"] if outputs == ("h",) else returned), (here, trace)

    def backward(cache, d):
        from bptt_check.lstm.backward import backward as ours_backward
        from bptt_check.recognise.record import one_step

        here, trace = cache
        dh = (d if outputs == ("h",) else d["h"]).transpose(turn)
        ds = d["memory"].transpose(turn).copy() if "s" in outputs else np.zeros_like(dh)
        if "last" in outputs:
            ds[-1] += d["c_n"]
        if not ds.any():
            return theirs(here.derivatives(ours_backward(trace, dh)))
        carried = {name: np.zeros_like(ds[0]) for name in here.initial}
        total, dx = {}, []
        for t in range(T, 0, -1):
            gates = {k[0]: carried[k] for k in carried if k not in ("h0", "s0")}
            grads = ours_backward(
                one_step(trace, t),
                dh[t - 1 : t],
                dh_next=carried["h0"],
                ds_next=carried["s0"] + ds[t - 1],
                gates_next=gates,
            )
            carried = dict(grads.initial)
            dx.append(grads.x[0])
            total = {k: total.get(k, 0) + d for k, d in grads.weights.items()}
        return theirs(total | {"x": np.stack(dx[::-1])} | carried)

    def only(gradients):
        return {k: v for k, v in gradients.items() if "(t)" not in k}

    point = theirs(ours)
    subject = Subject.from_vjp(forward, lambda c, d: only(backward(c, d)), point, name=f"{variant.name} {packing}")
    return subject, back(point)


def explained(subject, variant, ours=None, tolerance=1e-10):
    """Recognise; the point and the gradient by our equations are the subject's own."""
    found = recognise(subject)
    assert found is not None and found.variant is variant_named(variant)
    if ours is not None:
        for name, array in found.ours(subject.point).items():
            np.testing.assert_array_equal(array, ours.get(name, np.zeros_like(array)), err_msg=name)
    gradient = subject.gradient(subject.point)
    for name, array in found.gradient(subject.point).items():
        assert array.shape == subject.point[name].shape
        np.testing.assert_allclose(array, gradient[name], rtol=0, atol=tolerance * np.abs(gradient[name]).max())
    return found


PLAIN = [variant.name for variant in VARIANTS if variant.feedback == "h"]


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize("variant", PLAIN)
def test_a_cell_is_recognised_in_every_packing(variant, packing):
    subject, ours = wrapped(variant, packing)
    found = explained(subject, variant, ours)
    assert found.steps == (T, B, D, H) and not found.ambiguous
    assert set(found.theirs(found.ours(subject.point))) == set(subject.point)


@pytest.mark.parametrize("variant", [variant.name for variant in VARIANTS])
def test_a_built_in_cell_is_recognised_as_itself(variant):
    subject = Subject.from_variant(variant, T=T, B=B, D=D, H=H)
    found = explained(subject, variant, subject.point)
    assert {ours for theirs, ours in found.taps.items()} >= {"h", "s", "g"}
    assert found.taps["h(t)"] == "h"


@given(
    st.sampled_from(PLAIN),
    st.sampled_from(sorted(PACKINGS)),
    st.permutations("gifo"),
    st.sampled_from(sorted(AXES)),
    st.sampled_from([("h",), ("h", "s"), ("h", "last")]),
    st.integers(0, 99),
)
def test_gates_in_any_order_and_axes_in_any_order(variant, packing, order, axes, outputs, seed):
    subject, ours = wrapped(variant, packing, order="".join(order), axes=axes, outputs=outputs, rng=seed)
    found = explained(subject, variant, ours)
    assert (found.final_memory is not None) == (outputs != ("h",))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Step:
    """One step of a cell in a user's hand; the packing and the mistake are the class's."""

    state = ("out", "memory")
    output = staticmethod(np.tanh)
    slope = staticmethod(lambda s: 1 - np.tanh(s) ** 2)
    forget_bias = 0.0
    right = True

    def parameters(self, D, H):
        return {"w_i": (D + H, H), "w_c": (D + H, H), "w_fo": (D + H, 2 * H), "b": (4, H)}

    def forward(self, p, x, prev, tap):
        xc = np.hstack([prev["out"], x])
        z_f, z_o = np.hsplit(xc @ p["w_fo"] + np.hstack(p["b"][2:]), 2)
        g = tap("i", np.tanh(xc @ p["w_c"] + p["b"][1]))  # a letter that misleads
        i = tap("cand", sigmoid(xc @ p["w_i"] + p["b"][0]))
        f, o = tap("f", sigmoid(z_f + self.forget_bias)), tap("o", sigmoid(z_o))
        s = tap("c", g * i + prev["memory"] * f)
        return {"out": self.output(s) * o, "memory": s}, (xc, prev["memory"], g, i, f, o, s)

    def backward(self, p, cache, d):
        xc, s_prev, g, i, f, o, s = cache
        ds = o * self.slope(s) * d["out"] + d["memory"]
        do, df, di, dg = self.output(s) * d["out"], (s_prev if self.right else s) * ds, g * ds, i * ds
        dz_i, dz_g = i * (1 - i) * di, (1 - g**2) * dg
        dz_fo = np.hstack([f * (1 - f) * df, o * (1 - o) * do])
        dxc = dz_i @ p["w_i"].T + dz_g @ p["w_c"].T + dz_fo @ p["w_fo"].T
        dh, dx = np.hsplit(dxc, [s.shape[1]])
        db = np.stack([dz_i.sum(0), dz_g.sum(0), *np.split(dz_fo.sum(0), 2)])
        dp = {"w_i": xc.T @ dz_i, "w_c": xc.T @ dz_g, "w_fo": xc.T @ dz_fo, "b": db}
        return dp, dx, {"out": dh, "memory": f * ds}, {"i": dg, "cand": di, "f": df, "o": do, "c": ds}


class PostStep(Step):
    output = staticmethod(lambda s: s)
    slope = staticmethod(np.ones_like)


class ForgetsLate(Step):
    forget_bias = 1.0


class Wrong(Step):
    right = False


ALIKE = {"T": 2, "B": 2, "D": 2, "H": 2}


@pytest.mark.parametrize("shape", [{}, {"T": 1}, {"T": 1, "B": 1, "D": 3, "H": 2}, ALIKE, {"D": 2, "H": 1, "B": 1}])
@pytest.mark.parametrize(("cell", "variant"), [(Step, "NP"), (PostStep, "post"), (ForgetsLate, "NP")])
def test_a_cell_of_ones_own_is_recognised_at_every_shape(cell, variant, shape):
    found = explained(Subject.from_cell(cell, **shape), variant)
    assert found.taps == {
        "i(t)": "g", "cand(t)": "i", "f(t)": "f", "o(t)": "o", "c(t)": "s", "next out(t)": "h", "next memory(t)": "s",
    }  # fmt: skip
    assert found.sources.constants == ({"b_f": 1.0} if cell is ForgetsLate else {})


def test_a_wrong_backward_pass_does_not_matter_and_our_gradient_shows_where_it_is_wrong():
    subject = Subject.from_cell(Wrong, T=1)
    found = recognise(subject)
    theirs, ours = subject.gradient(subject.point), found.gradient(subject.point)
    off = {k for k, d in ours.items() if np.abs(d - theirs[k]).max() > 1e-10}
    assert off == {"w_fo", "b", "x", "out0"}
    in_ours, right = found.gradients_in_ours(theirs), found.gradients_in_ours(ours)
    assert set(right) == set(found.ours(subject.point))
    off = {k for k in right if np.abs(in_ours[k] - right[k]).max() > 1e-10}
    assert off == {"W_fx", "W_fh", "b_f", "x", "h0"}
    del theirs["w_fo"]
    assert set(right) - set(found.gradients_in_ours(theirs)) == {"W_fx", "W_fh", "W_ox", "W_oh"}


class Sixth(Step):
    """tanh(s o) in the place of tanh(s) o."""

    def forward(self, p, x, prev, tap):
        _, cache = super().forward(p, x, prev, tap)
        return {"out": np.tanh(cache[-1] * cache[-2]), "memory": cache[-1]}, cache


class Leaky(Step):
    """h is a little of what it was."""

    def forward(self, p, x, prev, tap):
        after, cache = super().forward(p, x, prev, tap)
        return {"out": after["out"] + 1e-6 * prev["out"], "memory": cache[-1]}, cache


class Relu(Step):
    output = staticmethod(lambda s: np.maximum(s, 0))
    slope = staticmethod(lambda s: (s > 0) * 1.0)


@pytest.mark.parametrize("cell", [Sixth, Leaky, Relu])
@pytest.mark.parametrize("shape", [{}, ALIKE, {"T": 1}])
def test_what_is_almost_an_lstm_is_not_one(cell, shape):
    assert recognise(Subject.from_cell(cell, **shape)) is None


def lstm_of_lists(columns):
    """Karpathy's way: x a list of columns, one sequence; h and c returned step by step."""

    def forward(p):
        h, s, hs = p["hprev"], p["cprev"], []
        for x in p["xs"]:
            z = p["W"] @ np.vstack([x, h]) + p["b"]
            f, g, i, o = np.vsplit(z, 4)
            s = np.tanh(g) * sigmoid(i) + s * sigmoid(f)
            h = np.tanh(s) * sigmoid(o)
            hs.append(h)
        return ({"hs": hs, "c": s} if columns else np.hstack(hs)), None

    return forward


@pytest.mark.parametrize("columns", [True, False])
def test_lists_of_columns_are_read(columns):
    rng = np.random.default_rng(0)
    point = {"W": rng.normal(size=(4 * H, D + H)), "b": rng.normal(size=(4 * H, 1))}
    point |= {"hprev": rng.normal(size=(H, 1)), "cprev": rng.normal(size=(H, 1))}
    point["xs"] = [rng.normal(size=(D, 1)) for _ in range(T)]
    found = recognise(Subject.from_vjp(lstm_of_lists(columns), None, point))
    assert found.variant.name == "NP" and found.steps == (T, 1, D, H) and not found.ambiguous
    assert found.output == ("hs[:]" if columns else "") and found.unread == ()
    assert {k for k in found.gradient(found.sources.point) if k.startswith("xs")} == {f"xs[{t}]" for t in range(T)}


def with_states(*, shared=False, none=False, on_top=False, hidden=False, peepholes=False):
    """A forward pass with states that all sequences share, or none; with a layer on top; with diagonal peepholes."""
    rng = np.random.default_rng(1)
    shapes = {"x": (T, B, D), "W": (D, 4 * H), "U": (H, 4 * H), "b": (4 * H,)}
    shapes |= {} if none else dict.fromkeys(("c0", "h0"), (H,) if shared else (B, H))
    shapes |= {"V": (H, 3), "by": (3,)} if on_top else {}
    shapes |= {f"P{k}": (H, H) for k in "ifo"} if peepholes else {}
    point = {k: rng.normal(size=shape) for k, shape in shapes.items()}

    def forward(p):
        zero = np.zeros((B, H))
        h, s = p.get("h0", 0) + zero, p.get("c0", 0) + zero
        peep = {k: np.diagonal(p[f"P{k}"]) if peepholes else 0 for k in "ifo"}
        hs = []
        for x in p["x"]:
            z_o, z_g, z_f, z_i = np.hsplit(x @ p["W"] + h @ p["U"] + p["b"], 4)
            s = np.tanh(z_g) * sigmoid(z_i + peep["i"] * s) + s * sigmoid(z_f + peep["f"] * s)
            h = np.tanh(s) * sigmoid(z_o + peep["o"] * s)
            hs.append(h)
        hs = np.stack(hs)
        if on_top:
            y = hs @ p["V"] + p["by"]
            return (y if hidden else {"y": y, "h": hs}), None
        return hs, None

    return Subject.from_vjp(forward, None, point)


def gradient_by_differences(subject, name):
    """A central difference along each entry."""
    array, step = subject.point[name], 1e-6
    found = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        values = []
        for sign in (1, -1):
            moved = array.copy()
            moved[at] += sign * step
            values.append(subject.loss({**subject.point, name: moved}))
        found[at] = (values[0] - values[1]) / (2 * step)
    return found


@pytest.mark.parametrize(("what", "variant"), [("shared", "NP"), ("none", "NP"), ("peepholes", "V")])
def test_our_gradient_in_their_arrays_is_the_derivative_of_their_loss(what, variant):
    subject = with_states(**{what: True})
    found = recognise(subject)
    assert found.variant.name == variant and not found.ambiguous
    gradient = found.gradient(subject.point)
    assert set(gradient) == set(subject.point)
    for name, array in gradient.items():
        np.testing.assert_allclose(array, gradient_by_differences(subject, name), atol=1e-7)
    ours = found.ours(subject.point)
    assert what != "none" or not (ours["h0"].any() or ours["s0"].any())
    assert ("h0" in found.gradients_in_ours(gradient)) == (what == "peepholes")  # a sum over sequences tells too little


def test_a_layer_on_top_hides_the_cell_unless_h_is_returned_too():
    assert recognise(with_states(on_top=True, hidden=True)) is None
    subject = with_states(on_top=True)
    found = recognise(subject)
    assert found.variant.name == "NP" and found.output == "h" and found.unread == ("y",)
    assert not found.ambiguous and "V" not in found.theirs(found.ours(subject.point))
    assert found.gradient(subject.point) is None


def test_gates_that_see_the_memory_are_recognised():
    rng = np.random.default_rng(2)
    shapes = {"A": (D, 4 * H), "F": (3, H, H), "b": (4 * H,), "x": (B, T, D), "s0": (B, H)}
    point = {k: rng.normal(size=shape) for k, shape in shapes.items()}

    def forward(p):
        s, hs = p["s0"], []
        for x in p["x"].transpose(1, 0, 2):
            z_i, z_f, z_g, z_o = np.hsplit(x @ p["A"] + p["b"], 4)
            i, f, o = (sigmoid(z + s @ F) for z, F in zip((z_i, z_f, z_o), p["F"], strict=True))
            s = np.tanh(z_g) * i + s * f
            hs.append(np.tanh(s) * o)
        return np.stack(hs, 1), None

    subject = Subject.from_vjp(forward, None, point)
    found = recognise(subject)
    assert found.variant.name == "state_feedback" and found.order == "BTH" and not found.ambiguous
    for name, array in found.gradient(subject.point).items():
        np.testing.assert_allclose(array, gradient_by_differences(subject, name), atol=1e-7)


@pytest.mark.parametrize("last", [True, False])
def test_the_last_step_is_enough(last):
    subject, _ = wrapped("NP", "rows")
    outputs = subject.recurrence.outputs

    def forward(p):
        h = outputs({k: p[k] for k in subject.point})[""]
        return (h[-1] if last else h), None

    found = recognise(Subject.from_vjp(forward, None, dict(subject.point)))
    assert found.variant.name == "NP" and found.order == ("BH" if last else "TBH")


@pytest.mark.parametrize(("packing", "variant"), [("rows", "NP"), ("two biases", "V"), ("by gate", "CIFG")])
def test_float32_is_recognised(packing, variant):
    subject, ours = wrapped(variant, packing, dtype=np.float32)
    found = recognise(subject)
    assert found.variant.name == variant
    for name, array in found.ours(subject.point).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, ours.get(name, np.zeros_like(array)))
    assert {d.dtype for d in found.gradient(subject.point).values()} == {np.dtype(np.float32)}


def test_code_that_computes_in_float32_whatever_it_is_given_is_recognised():
    subject, _ = wrapped("NP", "rows")

    def forward(p):
        h = subject.recurrence.outputs({k: a.astype(np.float32) for k, a in p.items()})[""]
        return h.astype(np.float32), None

    point = {k: a.astype(np.float32) for k, a in subject.point.items()}
    assert recognise(Subject.from_vjp(forward, None, point)).variant.name == "NP"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def loaded(name):
        stem = name.removesuffix("_wrong")
        needs = {"torch_function": "torch", "jax_custom_vjp": "jax"}.get(stem)
        if needs:
            pytest.importorskip(needs)
        if stem.startswith("c_") and not (shutil.which("cc") or shutil.which("gcc")):
            pytest.skip("needs a C compiler")
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


LSTMS = {"lstm": "NP", "c_lstm": "post", "post_style": "post", "torch_function": "NP", "jax_custom_vjp": "NP"}
SMALL = {"T": 4, "B": 3, "D": 3, "H": 2}


@pytest.mark.parametrize("name", LSTMS)
def test_the_lstms_among_the_examples_are_recognised(name, load):
    found = explained(load(name).subject(**SMALL), LSTMS[name])
    assert found.scale == (0.5 if name == "lstm" else 1.0)
    wrong = load(f"{name}_wrong").subject(**SMALL)
    again = recognise(wrong)
    assert again.variant is found.variant
    returned = wrong.gradient(wrong.point)
    assert any(np.abs(d - returned[k]).max() > 1e-8 for k, d in again.gradient(wrong.point).items())


def test_compiled_float32_is_recognised_by_its_loss(load):
    assert recognise(load("c_lstm").subject_float32(**SMALL)).variant.name == "post"


@pytest.mark.parametrize("shape", [SMALL, ALIKE])
@pytest.mark.parametrize("name", ["elman", "gru_cho", "two_layers"])
def test_other_cells_are_not_recognised(name, shape, load):
    subject = load(name).subject(**shape)
    assert subject.recurrence is not None and recognise(subject) is None


def test_a_gru_is_not_recognised_by_its_loss_either(load):
    gru, rng = load("gru_cudnn"), np.random.default_rng(0)
    point = gru.subject(**SMALL).point
    y = rng.normal(size=(4, 3, 2))

    def loss(p):
        _, (_, steps, last) = gru.forward(p)
        hs = [*(h for _, h, *_ in steps[1:]), last]
        return ((np.stack(hs) - y) ** 2).sum()

    subject = Subject.from_functions(loss, lambda p: {}, point, loss_of="euclidean", targets=y)
    assert recognise(subject) is None


def test_a_subject_that_says_nothing_of_time_is_not_recognised():
    point = {"w": np.ones(3)}
    assert recognise(Subject.from_functions(lambda p: p["w"].sum(), lambda p: p, point)) is None


@pytest.mark.parametrize("what", [ValueError("no"), np.nan])
def test_a_forward_pass_that_fails_away_from_its_point_is_not_recognised(what):
    subject, _ = wrapped("NP", "rows")

    def forward(p):
        if not np.array_equal(p["W"], subject.point["W"]):
            if isinstance(what, Exception):
                raise what
            return np.full((T, B, H), what), None
        return subject.recurrence.outputs(p)[""], None

    assert recognise(Subject.from_vjp(forward, None, dict(subject.point))) is None


@pytest.mark.parametrize("form", ["functions", "value_and_gradient", "forward_backward"])
@pytest.mark.parametrize("targets", ["array", "turned", "name", None])
def test_a_declared_loss_is_enough(form, targets):
    plain, ours = wrapped("NP", "by source")
    y = np.random.default_rng(3).normal(size=(T, B, H))
    point = dict(plain.point) | ({"y": y} if targets == "name" else {})

    def loss(p):
        h = plain.recurrence.outputs({k: p[k] for k in plain.point})[""]
        return (h**2).sum() if targets is None else ((h - p.get("y", y)) ** 2).mean()

    given = {"array": y, "turned": y.transpose(1, 0, 2), "name": "y", None: None}[targets]
    declared = {"loss_of": EUCLIDEAN, "targets": given}
    subject = {
        "functions": lambda: Subject.from_functions(loss, None, point, **declared),
        "value_and_gradient": lambda: Subject.from_value_and_gradient(lambda p: (loss(p), {}), point, **declared),
        "forward_backward": lambda: Subject.from_forward_backward(lambda p: (loss(p), 0), None, point, **declared),
    }[form]()
    found = recognise(subject)
    assert found.variant.name == "NP" and found.steps == (T, B, D, H) and not found.ambiguous
    for name, array in found.ours(subject.point).items():
        np.testing.assert_array_equal(array, ours[name])
    gradient = found.gradient(subject.point)
    np.testing.assert_allclose(gradient["W"], gradient_by_differences(subject, "W"), atol=1e-7)


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"targets": "y"}, "targets= is given without loss_of="),
        ({"loss_of": "euclidean", "targets": "z"}, "targets= names z, which the point lacks; it has w"),
        ({"loss_of": "square"}, "no loss is named 'square'"),
        ({"loss_of": "last_step"}, "needs targets= of shape"),
        ({"loss_of": "unequal_lengths"}, "draws lengths"),
        ({"loss_of": "euclidean", "targets": [None]}, "targets= must be numbers"),
    ],
)
def test_a_declaration_that_does_not_fit_is_refused(declared, said):
    with pytest.raises(SubjectError, match=said):
        Subject.from_functions(lambda p: p["w"].sum(), lambda p: p, {"w": np.ones(3)}, **declared)


def test_what_one_step_from_nothing_cannot_tell_is_said_to_be_ambiguous():
    rng = np.random.default_rng(4)
    shapes = {"x": (1, B, D), "b": (4 * H,)} | {f"W{n}": (H, D) for n in range(4)}
    point = {k: rng.normal(size=shape) for k, shape in shapes.items()}

    def forward(p):  # s(0) is zero: nothing is forgotten, and W1 does nothing
        z_g, z_f, z_i, z_o = (p["x"][0] @ p[f"W{n}"].T + b for n, b in enumerate(np.split(p["b"], 4)))
        s = np.tanh(z_g) * sigmoid(z_i) + 0 * sigmoid(z_f)
        return (np.tanh(s) * sigmoid(z_o))[None], None

    subject = Subject.from_vjp(forward, None, point)
    found = recognise(subject)
    assert found.variant.name == "NP" and found.ambiguous
    for name, array in found.gradient(subject.point).items():
        np.testing.assert_allclose(array, gradient_by_differences(subject, name), atol=1e-7)
    assert "W1" not in found.theirs(found.ours(subject.point))


@pytest.mark.parametrize("outputs", [("h", "s"), ("h", "last")])
@pytest.mark.parametrize("variant", ["V", "FGR"])
def test_a_loss_that_sees_the_memory_too_reaches_it(variant, outputs):
    subject, _ = wrapped(variant, "rows", outputs=outputs)
    found = recognise(subject)
    assert found.final_memory == (("memory", "TBH") if "s" in outputs else ("c_n", "BH"))
    for name, array in found.gradient(subject.point).items():
        np.testing.assert_allclose(array, gradient_by_differences(subject, name), atol=1e-6)
