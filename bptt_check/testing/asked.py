"""What the run was asked for, read once, and tried before the first test: what cannot be kept to is a usage error."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bptt_check.errors import BpttCheckError
from bptt_check.report.beforehand import must_be_writable
from bptt_check.testing.options import Options, options_of

if TYPE_CHECKING:
    from bptt_check.testing.keeping import Keeping

_OPTIONS: pytest.StashKey[Options] = pytest.StashKey()
KEEPING: pytest.StashKey[Keeping] = pytest.StashKey()


def asked(config: pytest.Config) -> Options:
    """Return what the run was asked for."""
    if _OPTIONS not in config.stash:
        config.stash[_OPTIONS] = options_of(config)
    return config.stash[_OPTIONS]


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


def running_folder(config: pytest.Config) -> Path:
    """Return a folder that this run alone writes to, beside the place of its journal; it is not made here."""
    journal = asked(config).journal
    return journal.with_name(f"{journal.stem}.running-{secrets.token_hex(4)}")
