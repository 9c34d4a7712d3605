"""Loads the plugin, and the Hypothesis profiles: ``--hypothesis-profile=NAME`` takes quick, ci, fresh or deep.

quick: the default. ci: the same cases in every run. fresh: new cases in every run. deep: many of them. The last two
run what is marked ``thorough`` as well: further cases of what quicker tests show already (properties/meta/thinned.py).
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["bptt_check.plugin"]

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy or PyTorch is loaded: with pytest -n, each
    os.environ.setdefault(threads, "1")  # core has a process already, and more threads than cores wait for each other

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # else each process that a test starts compiles the package anew

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick", max_examples=25, deadline=None, derandomize=False, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)
settings.register_profile("fresh", settings.get_profile("quick"), max_examples=50, database=None)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", "thorough: a further case, left to the profiles fresh and deep")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out further cases in a quick run."""
    if settings().max_examples > settings.get_profile("quick").max_examples:
        return
    left = [item for item in items if item.get_closest_marker("thorough")]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if not item.get_closest_marker("thorough")]


@pytest.fixture(scope="session")
def record(gradient_record):
    """Keep a result that a test has come by itself, for the reports of the run."""
    return gradient_record
