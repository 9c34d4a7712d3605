"""Loads the plugin, and the Hypothesis profiles: ``--hypothesis-profile=NAME`` takes quick, ci, fresh or deep.

quick: the default. ci: the same cases in every run. fresh: new cases in every run. deep: many of them.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["bptt_check.plugin"]

for threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):  # before NumPy or PyTorch is loaded: with pytest -n, each
    os.environ.setdefault(threads, "1")  # core has a process already, and more threads than cores wait for each other

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile(
    "quick", max_examples=25, deadline=None, derandomize=False, suppress_health_check=_SLOW_IS_FINE
)
settings.register_profile("ci", settings.get_profile("quick"), derandomize=True)
settings.register_profile("fresh", settings.get_profile("quick"), max_examples=50, database=None)
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(scope="session")
def record(gradient_record):
    """Keep a result that a test has come by itself, for the reports of the run."""
    return gradient_record
