"""The line with which a test is run again."""

from __future__ import annotations

import shlex


def again(nodeid: str) -> str:
    """Return a shell line that runs one test, from the folder in which pytest was started at its root."""
    return f"python -m pytest {shlex.quote(nodeid)}" if nodeid else ""
