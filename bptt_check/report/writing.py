"""Files written whole or not at all: a reader finds the old one or the new one, never a part of either."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write

_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


def write_atomically(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path``, in the place of what stands there.

    Raises
    ------
    ReportError
        If it cannot be written; what stood there before is then still there.
    """
    try:
        target = Path(os.path.realpath(path))  # a link stays a link
        if target.exists() and not target.is_file():
            raise ReportError(f"cannot write {clean(path)}: something that is not a file has that name")
        temporary = _temporary(target.parent)
        try:
            _write(temporary, text)
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except ReportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path that no file can have
        raise cannot_write(path, error) from error


def write_new(paths: Iterable[Path], text: str) -> Path:
    """Write ``text`` to the first of ``paths``, all of one folder, that does not exist, and return it.

    Raises
    ------
    OSError
        If it cannot be written; no part of it stays behind.
    """
    temporary: Path | None = None
    try:
        for path in paths:
            if temporary is None:
                temporary = _temporary(path.parent)
                _write(temporary, text)
            with suppress(FileExistsError):
                _link(temporary, path, text)
                return path
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _link(temporary: Path, path: Path, text: str) -> None:
    """Give the file its name, which only one of several that try at once can do."""
    try:
        path.hardlink_to(temporary)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _write(path, text)  # a file system without links


def _write(path: Path, text: str) -> None:
    with path.open("x", encoding="utf-8", errors="replace", newline="\n") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _temporary(folder: Path) -> Path:
    return folder / f".{secrets.token_hex(8)}.tmp"
