"""What an error of the operating system means to the person whose report could not be written."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping

from bptt_check.errors import ReportError
from bptt_check.report.text import clean


def cannot_write(path: str | os.PathLike[str], error: Exception) -> ReportError:
    """Return the exception that says in one sentence why ``path`` cannot be written and what to do."""
    number = error.errno if isinstance(error, OSError) else None
    meaning = _MEANINGS.get(number or 0)
    if meaning is None:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        meaning = f"{clean(reason)}; choose another place"
    return ReportError(f"cannot write {clean(path)}: {meaning}")


_MEANINGS: Mapping[int, str] = {
    errno.ENOSPC: "no space is left on the device; free some, or choose a folder on another device",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another folder",
    errno.EACCES: "permission denied; choose a folder that you may write to",
    errno.EPERM: "permission denied; choose a folder that you may write to",
    errno.EROFS: "the file system is read-only; choose a folder that you may write to",
    errno.ENOENT: "the folder is not there (any more); make it, or choose another",
    errno.ENOTDIR: "a part of the path is a file, not a folder; choose another place",
    errno.EEXIST: "another run has just made a file of that name; choose another name, or wait for it to end",
    errno.EISDIR: "it is a folder; give the name of a file in it",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EIO: "the device failed; choose a folder on another device",
}
