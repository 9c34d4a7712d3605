"""How far a run is, shown where somebody watches."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bptt_check.report.terminal import Progress


def progress(total: int, *, quiet: bool) -> Progress | None:
    """A progress bar on stderr, on a terminal only: in a log it is noise."""
    from bptt_check.report.terminal import Progress

    if quiet or not sys.stderr.isatty():
        return None
    bar = Progress(total, sys.stderr)
    bar.advance(0)
    return bar
