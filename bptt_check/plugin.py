"""The pytest plugin: options, fixtures, and the moment at which a run turns out to have tests that use them.

A run in which no test asks for a fixture of this file loads nothing else, keeps nothing and writes nothing. What
happens otherwise stands in ``bptt_check/testing``. No mathematics, and no import of NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from bptt_check.testing.declared import FIXTURES, add_options, asked_for_anything

if TYPE_CHECKING:
    from bptt_check.results import Result
    from bptt_check.testing.checker import GradientCheck


@pytest.fixture(scope="session")
def gradient_check(request: pytest.FixtureRequest) -> GradientCheck:
    """``gradient_check(subject, **options of check)`` checks, keeps the result, and raises unless it AGREES.

    Session-scoped, so that it works inside ``@given``.
    """
    from bptt_check.testing.checker import GradientCheck
    from bptt_check.testing.options import depth_of
    from bptt_check.testing.running import running_of

    return GradientCheck(running_of(request.config), depth_of(request.config).check)


@pytest.fixture(scope="session")
def gradient_record(request: pytest.FixtureRequest) -> Callable[[Result], None]:
    """``gradient_record(result)`` keeps a result that a test has come by itself, and judges nothing."""
    from bptt_check.testing.running import running_of

    return running_of(request.config).keep


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare options and settings."""
    add_options(parser)


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Set the depth, if one is asked for."""
    if config.getoption("gradient_depth") or config.getini("gradient_depth"):
        from bptt_check.testing.examples import set_depth
        from bptt_check.testing.options import depth_of

        set_depth(depth_of(config))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Refuse what could not be kept to at the end of the run."""
    config = session.config
    if not hasattr(config, "workerinput") and asked_for_anything(config):
        from bptt_check.testing.asked import look_ahead

        look_ahead(config)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Begin to keep results, if a test that was selected will leave any."""
    using = [item for item in session.items if not FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))]
    options = session.config.option
    if using and not (options.collectonly or options.setupplan or options.setuponly):
        from bptt_check.testing.running import running_of

        running_of(session.config).plan(using)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where it writes."""
    from bptt_check.testing.workers import tell

    tell(node)
