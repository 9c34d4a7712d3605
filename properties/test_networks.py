"""Networks: an output layer, Elman's cell, GRUs, layers, directions. Recognised, and their mistakes named."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent / "meta"))

from planted import networks
from planted.networks import FORMS, Case, case, planted, subject_of
from thinned import thinned

from bptt_check import Subject, Verdict, check
from bptt_check.equations import ENTRIES
from bptt_check.faults import WAYS
from bptt_check.networks import recognise_network
from bptt_check.networks.cells import CELLS, ELMAN, RECTIFIED
from bptt_check.networks.equations import NETWORK_ENTRIES
from bptt_check.networks.listing import NETWORK_WAYS, network_faults
from bptt_check.networks.plan import Part, Plan
from bptt_check.networks.reach import arrays_held_meanwhile, arrays_within_reach
from bptt_check.networks.readout import ENDINGS, Goal
from bptt_check.planting.explained import explanation

STEPS = (4, 2, 3, 2)
DOCS = Path(__file__).parent.parent / "docs"


def alone(cell):
    T, B, D, H = STEPS
    rng = np.random.default_rng(5)
    plan = Plan((Part("", cell, D, H),), T, B)
    ours = {k: rng.uniform(0.3, 1, shape) * rng.choice([-1, 1], shape) for k, shape in plan.shapes.items()}
    return Case(plan, {**ours, "x": rng.normal(size=(T, B, D))}, rng.normal(size=(T, B, H)))


def ended(ending, last):
    T, B, D, H = STEPS
    rng = np.random.default_rng(6)
    V, shown = 3, 1 if last else T
    target = np.eye(V)[rng.integers(V, size=(shown, B))] if ending.one_hot else rng.uniform(0, 1, (shown, B, V))
    plan = Plan((Part("", ELMAN, D, H),), T, B, V=V, goal=Goal(ending, target, 1 / 3))
    ours = {k: rng.normal(size=shape) for k, shape in plan.shapes.items()}
    return Case(plan, {**ours, "x": rng.normal(size=(T, B, D))})


def slopes(found, name):
    """∂L/∂ of every entry of one array, by complex steps; of a rectifier by differences."""
    rectified = found.plan.parts[0].cell is RECTIFIED
    step, array = (1e-6 if rectified else 1e-30j), found.ours[name]
    d = np.zeros(array.shape)
    for at in np.ndindex(array.shape):
        values = []
        for sign in (1, -1) if rectified else (1,):
            moved = array.astype(float if rectified else complex)
            moved[at] += sign * step
            seen = found.plan.seen({**found.ours, name: moved})
            values.append(np.sum(seen if found.arriving is None else seen * found.arriving))
        d[at] = (values[0] - values[1]) / 2e-6 if rectified else values[0].imag / 1e-30
    return d


ALL = {cell.name + (", 1 added to b_f" if cell.constants else ""): alone(cell) for cell in CELLS}
ALL |= {f"{e.name}{', last step' * last}": ended(e, last) for e in ENDINGS for last in (False, True)}
ALL |= {f"{form} {seed}": case(form, seed, STEPS) for form in ("two layers", "both directions") for seed in range(4)}


@pytest.mark.parametrize("name", ALL)
def test_the_lines_of_a_network_differentiate_what_it_computes(name):
    found = ALL[name]
    right = found.right()
    for array in found.ours:
        expected = slopes(found, array)
        tolerance = 1e-6 if found.plan.parts[0].cell is RECTIFIED else 1e-12
        assert np.abs(right[f"d{array}"] - expected).max() <= tolerance * max(1, np.abs(expected).max()), array


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", thinned(range(3), lambda k, _: k < 2))
def test_a_network_is_recognised_by_what_it_computes_and_a_right_one_gets_no_cause(form, seed):
    found = case(form, seed)
    subject = subject_of(found)
    recognised = recognise_network(subject)
    assert recognised is not None
    assert len(recognised.plan.parts) == len(found.plan.parts)
    assert recognised.plan.V == found.plan.V
    result = check(subject)
    assert result.verdict is Verdict.AGREES and not result.causes


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", thinned(range(10, 13), lambda k, _: k < 2))
def test_a_mistake_in_a_network_is_named_with_its_equation(form, seed):
    fault, subject = planted(form, seed)
    result = check(subject)
    assert result.verdict is Verdict.DISAGREES
    cause = result.causes[0]
    assert cause.exact
    assert fault.id in (cause.fault, *cause.also)
    assert fault.equation in (cause.equation, *cause.equations)


def test_the_last_state_handed_out_besides_is_missed_by_name():
    found = case("GRU alone", 1)
    names = [k for k in found.ours if k != "h0"]

    def ours(p):
        return {**{k: p[k] for k in names}, "h0": np.zeros_like(found.ours["h0"])}

    def forward(p):
        h = found.plan.seen(ours(p))
        return (h, h[-1]), p

    def backward(p, cotangents):
        right = found.plan.chain(ours(p), cotangents[0]).right  # and nothing of cotangents[1]
        return {k: right[f"d{k}"] for k in names}

    result = check(Subject.from_vjp(forward, backward, {k: found.ours[k] for k in names}))
    assert result.verdict is Verdict.DISAGREES
    assert result.causes[0].exact
    assert result.causes[0].fault.startswith("handed-out-twice-last-forgotten")


def test_a_mistake_that_is_not_known_is_never_called_exact():
    found = case("LSTM, output layer", 3)
    rng = np.random.default_rng(0)
    right = subject_of(found)
    wrong = Subject.from_functions(
        right.loss_at,
        lambda p: {k: a + 0.1 * rng.normal(size=a.shape) * (k == "array 0") for k, a in right.gradient(p).items()},
        right.point,
    )
    rng = np.random.default_rng(0)
    result = check(wrong, protocol=False)
    assert result.verdict is Verdict.DISAGREES
    assert not any(cause.exact for cause in result.causes)


def test_a_function_that_is_no_network_is_recognised_as_none():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    point = {"w": rng.normal(size=3), "b": rng.normal(size=1)}

    def loss(p):
        return (np.exp(x @ p["w"]) * np.cos(p["b"]) * y).sum()

    subject = Subject.from_functions(loss, lambda p: {}, point)
    assert recognise_network(subject) is None


@pytest.mark.parametrize("way", NETWORK_WAYS, ids=lambda way: way.id)
def test_every_way_strikes_and_is_explained(way):
    faults = network_faults()[way.id]
    assert faults
    said = explanation(way.id)
    assert faults[0].says.split()[0] in said and "equation" in said
    assert explanation(f"{faults[0].id}@layer-2").startswith(faults[0].id)


def test_the_ids_are_unique_and_plain_and_their_equations_are_known():
    ids = [way.id for way in (*WAYS, *NETWORK_WAYS)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+(\.\d+)?)*", name) for name in ids)
    known = {entry.id for entry in (*ENTRIES, *NETWORK_ENTRIES)}
    assert {fault.equation for faults in network_faults().values() for fault in faults} <= known


def test_every_backward_equation_of_networks_has_mistakes():
    told = {fault.equation for faults in network_faults().values() for fault in faults}
    assert {entry.id for entry in NETWORK_ENTRIES if entry.mirrors} <= told


@pytest.mark.parametrize("form", FORMS)
def test_the_mistakes_of_a_network_change_its_gradient_or_do_not_run(form):
    found = case(form, 1)
    chain = found.chain()
    names = {way.id for way in NETWORK_WAYS}
    own = [fault for fault in found.plan.faults if fault.way in names and "clipped" not in fault.id]
    for fault in own:
        try:
            with np.errstate(all="ignore"):
                wrong = chain.run(dict(fault.changes))
        except ValueError:
            continue  # shapes do not fit: nobody's program runs with this mistake here
        right = chain.right
        assert any(
            wrong[k].shape != right[k].shape or not np.allclose(wrong[k], right[k], rtol=1e-9, atol=1e-12)
            for k in right
        ), fault.id


def test_the_page_of_equations_has_those_of_networks():
    page = (DOCS / "equations.md").read_text(encoding="utf-8")
    for entry in NETWORK_ENTRIES:
        assert f"| {entry.id} | {entry.formula} |" in page


def test_data_is_found_in_closures_globals_attributes_and_local_variables():
    inside, given = np.arange(3.0), [4, 5, 6]

    class Holder:
        def __init__(self):
            self.kept = np.full((2, 2), 7.0)

        def loss(self, p, labels=(8, 9)):
            local = [10, 11, 12]
            return (
                p.sum()
                + inside.sum()
                + sum(local)
                + sum(labels)
                + len(given)
                + networks.CELLS["GRU"][0].name.count("G")
            )

    holder = Holder()
    near = [a.tolist() for a in arrays_within_reach(holder.loss)]
    assert all(wanted in near for wanted in (inside.tolist(), given, holder.kept.tolist(), [8, 9]))
    meanwhile = [a.tolist() for a in arrays_held_meanwhile(lambda: holder.loss(np.ones(2)))]
    assert [10, 11, 12] in meanwhile
