"""Opening a file that anyone may have put there: a regular one of bounded size, and never a wait."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from bptt_check.errors import ReportError
from bptt_check.report.text import clean

_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a FIFO would wait for its writer


@contextmanager
def opened(path: str | os.PathLike[str], *, limit: int, wanted: str) -> Iterator[BinaryIO]:
    """Open ``path`` for reading bytes. ``wanted`` says what to give in its place, for the messages.

    Raises
    ------
    ReportError
        If it cannot be opened or read, is not a regular file (a folder, a FIFO, a device), or has more than ``limit``
        bytes. Its size is looked at before anything is read.
    """
    name = clean(path)
    try:
        number = os.open(Path(path), os.O_RDONLY | _AT_ONCE)
        status = os.fstat(number)
        if not stat.S_ISREG(status.st_mode):
            os.close(number)
            raise ReportError(f"{name} is not a regular file; give {wanted}")
        with os.fdopen(number, "rb") as stream:
            if status.st_size > limit:
                raise ReportError(f"{name} has {status.st_size} bytes; at most {limit} are read")
            yield stream
    except ReportError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ReportError(f"cannot read {name}: {clean(reason)}; give {wanted}") from error


def numbered_lines(stream: BinaryIO, path: str | os.PathLike[str], *, limit: int) -> Iterator[tuple[int, bytes]]:
    """The lines of ``stream`` with their numbers.

    Raises
    ------
    ReportError
        At a line of more than ``limit`` bytes.
    """
    number = 0
    while line := stream.readline(limit + 1):
        number += 1
        if len(line) > limit:
            raise ReportError(f"{clean(path)}, line {number}: longer than {limit} bytes; no run writes such a line")
        yield number, line
