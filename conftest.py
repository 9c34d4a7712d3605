"""Hypothesis profiles. ``--hypothesis-profile=NAME`` chooses one: quick, ci, fresh or deep."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

_SLOW_IS_FINE = [HealthCheck.too_slow, HealthCheck.data_too_large]

settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=_SLOW_IS_FINE)
settings.register_profile("ci", settings.get_profile("quick"), max_examples=50, derandomize=True)  # the same cases each run
settings.register_profile("fresh", settings.get_profile("quick"), max_examples=50, database=None)  # new cases each run
settings.register_profile("deep", settings.get_profile("quick"), max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
