"""What the run was asked for, tried before the first test: what cannot be kept to is a usage error."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bptt_check.errors import BpttCheckError
from bptt_check.report.beforehand import must_be_writable
from bptt_check.testing.options import asked

if TYPE_CHECKING:
    from bptt_check.testing.keeping import Keeping

KEEPING: pytest.StashKey[Keeping] = pytest.StashKey()


def look_ahead(config: pytest.Config) -> None:
    """Try what was asked for by name.

    Raises
    ------
    pytest.UsageError
        If a report could not be written, or there is no such run to compare with; pytest ends with exit code 4.
    """
    options = asked(config)
    try:
        for path in options.explicit:
            must_be_writable(path)
        if options.save or options.compare:
            from bptt_check.testing.keeping import Keeping

            config.stash[KEEPING] = Keeping(options)
    except BpttCheckError as error:
        raise pytest.UsageError(str(error)) from error
    if options.wants:
        from bptt_check.testing.ending import Expecting

        config.pluginmanager.register(Expecting(options.wants), "bptt_check.expecting")
