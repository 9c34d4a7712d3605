"""What can be known of a place before a run begins: whether a file can be written there. Leaves nothing behind."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write


def must_be_writable(path: str | os.PathLike[str]) -> None:
    """Try a file of another name where ``path`` would stand, in the nearest folder that is there, and remove it.

    The attempt is what counts: permission bits say nothing about a read-only device, and nothing to a superuser.

    Raises
    ------
    ReportError
        If a file could not be written there; the message says why and what to do.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise ReportError(f"cannot write {clean(path)}: something that is not a file has that name")
        _try(_nearest(target.parent))
    except ReportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise cannot_write(path, error) from error


def _nearest(folder: Path) -> Path:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return folder


def _try(folder: Path) -> None:
    probe = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        with probe.open("xb") as stream:
            stream.write(b"\n")
            stream.flush()
            os.fsync(stream.fileno())  # a full device may say so only now
    finally:
        with suppress(OSError):
            probe.unlink()
