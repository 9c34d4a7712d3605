"""Which commit the code under test is at, read from the files of git: no program is run for it."""

from __future__ import annotations

import re
from pathlib import Path

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_LIMIT = 2**20  # bytes of packed-refs that are looked at


def commit_of(folder: Path) -> str:
    """The commit that is checked out in the working copy around ``folder``, or nothing where there is none.

    Changes that are not committed do not show in it.
    """
    try:
        for place in (folder.resolve(), *folder.resolve().parents):
            if (place / ".git").exists():
                return _head(_repository(place / ".git"))
    except (OSError, ValueError):
        pass  # no report is lost for want of a commit
    return ""


def _repository(marker: Path) -> Path:
    """The folder that git keeps its files in; in a linked working copy the marker is a file that names it."""
    if marker.is_dir():
        return marker
    named = _text(marker).removeprefix("gitdir:").strip()
    return (marker.parent / named).resolve()


def _head(repository: Path) -> str:
    head = _text(repository / "HEAD")
    if not head.startswith("ref:"):
        return _valid(head)
    name = head.removeprefix("ref:").strip()
    if not name.startswith("refs/") or ".." in Path(name).parts:
        return ""
    common = repository / "commondir"
    shared = (repository / _text(common)).resolve() if common.is_file() else repository
    for place in (repository, shared):
        if (place / name).is_file():
            return _valid(_text(place / name))
    packed = shared / "packed-refs"
    lines = _text(packed, limit=_LIMIT).splitlines() if packed.is_file() else []
    return next((_valid(line[: -len(name)].strip()) for line in lines if line.endswith(f" {name}")), "")


def _text(path: Path, *, limit: int = 4096) -> str:
    with path.open("rb") as stream:
        return stream.read(limit).decode("utf-8", "replace").strip()


def _valid(text: str) -> str:
    return text if _COMMIT.fullmatch(text) else ""
