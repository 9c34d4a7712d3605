"""Every example in a docstring of the package runs and prints what it says."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import bptt_check

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(bptt_check.__path__, "bptt_check.")
    if not module.name.endswith("__main__") and ".adapters" not in module.name
)


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_docstring_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_the_forms_of_a_subject_have_examples():
    finder = doctest.DocTestFinder()
    examples = [test for test in finder.find(importlib.import_module("bptt_check.making")) if test.examples]
    assert len(examples) >= 6
