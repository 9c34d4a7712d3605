"""Backward passes as people write them: the right ones agree, and the mistake in each twin is found."""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path

import pytest

from bptt_check import Verdict, check

EXAMPLES = Path(__file__).parent.parent / "examples"
NEEDS = {"torch_function": "torch", "jax_custom_vjp": "jax"}
RIGHT = sorted(path.stem.removesuffix("_wrong") for path in EXAMPLES.glob("*_wrong.py"))
ONE = {"T": 1, "B": 1, "D": 3, "H": 2}
SOME = {"T": 5, "B": 3, "D": 4, "H": 2}
UNSEEN_AT_ONE_STEP = {"elman", "joint", "post_style", "two_layers", "update_inside"}
AT_FAULT = {  # where the mistake stays in a few gradients, these are those
    "accumulate": {"b"},
    "c_lstm": {"U"},
    "characters": {"E"},
    "global_arrays": {"Wxh", "Whh", "bh", "hprev"},
    "gru_cudnn": {"c"},
    "post_style": {"wf"},
    "two_layers": {*(f"layers[0].{name}" for name in ("W", "U", "b", "h0")), "x"},
    "update_inside": {"W", "U", "b"},
}


@pytest.fixture
def load(monkeypatch):
    """Load an example as a script, with its own folder on the path; skip where it needs what is not here."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def loaded(name):
        stem = name.removesuffix("_wrong")
        if stem in NEEDS:
            pytest.importorskip(NEEDS[stem], reason=f"{name}.py needs {NEEDS[stem]}")
        if stem.startswith("c_") and not (shutil.which("cc") or shutil.which("gcc")):
            pytest.skip(f"{name}.py needs a C compiler")
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return loaded


def wrong_blocks(result):
    return {name for name, block in result.blocks.items() if block.verdict is Verdict.DISAGREES}


@pytest.mark.parametrize("shape", [ONE, SOME], ids=["one step", "some steps"])
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_example_agrees(name, shape, load):
    result = check(load(name).subject(**shape, rng=1))
    assert result.verdict is Verdict.AGREES, str(result)
    assert result.compared > 10


@pytest.mark.parametrize("name", RIGHT)
def test_the_mistake_in_its_twin_is_found(name, load):
    result = check(load(f"{name}_wrong").subject(**SOME, rng=1), causes=False)
    assert result.verdict is Verdict.DISAGREES, str(result)
    if name in AT_FAULT:
        assert wrong_blocks(result) == AT_FAULT[name]


@pytest.mark.parametrize("name", sorted(UNSEEN_AT_ONE_STEP))
def test_some_mistakes_cannot_be_seen_at_one_step(name, load):
    assert check(load(f"{name}_wrong").subject(**ONE, rng=1)).verdict is Verdict.AGREES


def test_the_post_agrees_before_during_and_after_a_hundred_training_steps(load):
    post = load("post_style")
    task, results, losses = post.toy_task(), [], []
    for steps in (0, 50, 50):
        losses += post.train(steps, task)[1]
        results.append(check(post.subject_of(task)))
    assert (len(task.x[0]), task.x.shape[2], task.param.H) == (4, 50, 100)
    assert len(losses) == 100 and losses[-1] < losses[0] / 100
    for result in results:
        assert result.verdict is Verdict.AGREES, str(result)


def test_the_mistake_in_the_post_is_found_before_and_after_training_though_the_loss_falls(load):
    post = load("post_style_wrong")
    task = post.toy_task()
    before = check(post.subject_of(task), causes=False)
    _, losses = post.train(100, task)
    after = check(post.subject_of(task), causes=False)
    assert losses[-1] < losses[0] / 100
    assert (before.verdict, after.verdict) == (Verdict.DISAGREES, Verdict.DISAGREES)
    assert wrong_blocks(before) == wrong_blocks(after) == {"wf"}


def test_the_language_model_agrees_at_trained_weights(load, capsys):
    characters = load("characters")
    p, losses = characters.train(60)
    assert losses[-1] < 0.8 * losses[0]
    result = check(characters.subject_of(p, characters.LINES[:3]))
    assert result.verdict is Verdict.AGREES, str(result)
    assert capsys.readouterr().out == ""


def test_the_mistake_in_the_language_model_is_found_at_trained_weights_though_it_learns(load):
    characters = load("characters_wrong")
    p, losses = characters.train(60)
    assert losses[-1] < 0.8 * losses[0]
    result = check(characters.subject_of(p, characters.LINES[:3]), causes=False)
    assert result.verdict is Verdict.DISAGREES
    assert wrong_blocks(result) == {"E"}


def test_the_c_code_is_verified_in_single_precision_too(load):
    assert check(load("c_lstm").subject_float32(**SOME, rng=1)).verdict is Verdict.AGREES
    assert wrong_blocks(check(load("c_lstm_wrong").subject_float32(**SOME, rng=1), causes=False)) == {"U"}


def test_each_example_has_a_line_in_the_readme():
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    table = re.findall(r"^\| `(\w+)\.py` .*`(\w+)_wrong\.py`", page, re.MULTILINE)
    assert sorted(right for right, _ in table) == RIGHT
    assert all(right == wrong for right, wrong in table)


def test_a_twin_says_where_the_line_that_it_changes_is_not_there_once(load):
    twin = load("twin")
    with pytest.raises(ValueError, match="the file must hold 'no such line' once; it holds it 0 times"):
        twin.changed("elman.py", right="no such line", wrong="")
