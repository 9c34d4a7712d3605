"""Journal first: every case is on the disk when it ends, so that a killed run loses nothing that it had found."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from bptt_check import __version__
from bptt_check.errors import ReportError
from bptt_check.report.commit import commit_of
from bptt_check.report.places import PREVIOUS
from bptt_check.report.record import SCHEMA, Record, plain
from bptt_check.report.runlog import LINE_LIMIT, RunLog, read_journal
from bptt_check.report.strict import compact
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write

__all__ = ["Journal", "RunLog", "environment", "read_journal"]


def environment() -> dict[str, Any]:
    """Return what a run depends on: versions, the machine, and the commit of the working folder, if it has one."""
    versions = {name: _version(name) for name in ("numpy", "scipy", "hypothesis", "pytest")}
    commit = commit_of(Path())
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": "-".join(filter(None, (platform.system(), *platform.libc_ver()))),
        "machine": platform.machine(),
        "bptt-check": __version__,
        **{name: version for name, version in versions.items() if version},
        **({"commit": commit} if commit else {}),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


class Journal:
    """A file of JSON Lines: a header, one line for each record as it comes, and an end line if the run got there.

    Use it as a context manager. Left by an exception, Ctrl-C included, it gets no end line, so that the run reads as
    interrupted. The journal of an earlier run under the same name becomes ``<stem>.previous.jsonl``.

    Parameters
    ----------
    path
        Where to write; missing folders are made.
    title
        What the run was, for the head of its reports.
    planned
        How many records, of every kind, the run means to write; ``None`` if it cannot know.
    environment
        What :func:`environment` returns, or any plain mapping.

    Raises
    ------
    ReportError
        At opening, if the place cannot be written to; at a write, if the disk is full or the file has vanished.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        title: str,
        planned: int | None = None,
        environment: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.recorded = 0
        self._failed = False
        header = {
            "schema": SCHEMA,
            "kind": "header",
            "title": title,
            "planned": planned,
            "environment": plain(dict(environment or {})),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        line = _line(header)
        try:
            self._stream = _open(self.path)
        except ReportError:
            raise
        except (OSError, ValueError) as error:  # ValueError: a path that no file can have
            raise cannot_write(path, error) from error
        self._append(line)

    def write(self, record: Record) -> None:
        """Append one record; it is with the operating system when this returns.

        Raises
        ------
        ReportError
            If it cannot be written, or if the journal is closed.
        """
        self._append(_record_line(record))
        self.recorded += 1

    def close(self) -> None:
        """Write the end line, which says that the run came to its end, and close the file."""
        if self._stream.closed:
            return
        try:
            self._append(_line({"schema": SCHEMA, "kind": "end", "recorded": self.recorded}))
            if self.path.is_file():
                os.fsync(self._stream.fileno())
        except ReportError:
            raise
        except OSError as error:
            raise cannot_write(self.path, error) from error
        finally:
            self._stream.close()

    def abandon(self) -> None:
        """Close the file without an end line: the run reads as interrupted."""
        with suppress(OSError):
            self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _append(self, line: bytes) -> None:
        if self._failed or self._stream.closed:
            state = "has failed before" if self._failed else "is closed"
            raise ReportError(f"cannot write {clean(self.path)}: this journal {state}; open a new one")
        try:
            self._must_be_there()
            left = memoryview(line)
            while left:
                left = left[self._stream.write(left) :]
        except OSError as error:
            self._failed = True  # a torn line may stand there now: nothing may follow it
            with suppress(OSError):
                self._stream.close()
            if isinstance(error, ReportError):
                raise
            raise cannot_write(self.path, error) from error

    def _must_be_there(self) -> None:
        """A file that was deleted still takes what is written to it, and loses it."""
        if not os.path.samestat(os.fstat(self._stream.fileno()), self.path.stat()):
            earlier = clean(previous(self.path).name)
            raise ReportError(
                f"cannot write {clean(self.path)}: another run has begun a journal of that name; what this one had "
                f"recorded should be in {earlier}; give each run a name of its own"
            )


def journal_text(log: RunLog) -> str:
    """Return what a journal with the contents of ``log`` holds, in the form that this version writes."""
    head = {key: getattr(log, key) for key in ("title", "planned", "started")}
    lines = [_line({"schema": SCHEMA, "kind": "header", **head, "environment": plain(dict(log.environment or {}))})]
    lines += [_record_line(record) for record in log.records]
    lines += [_line({"schema": SCHEMA, "kind": "end", "recorded": len(log.records)})] if log.ended else []
    return b"".join(lines).decode("ascii")


def previous(path: Path) -> Path:
    """Return the name that the journal of an earlier run is given when a new one begins."""
    return path.with_name(f"{path.stem}{PREVIOUS}.jsonl")


def _open(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_char_device():  # /dev/null and its like are written to, never moved
        return path.open("wb", buffering=0)
    if path.exists() and not path.is_file():
        raise ReportError(f"cannot write {clean(path)}: something that is not a file has that name; choose another")
    with suppress(FileNotFoundError):
        path.replace(previous(path))
    return path.open("xb", buffering=0)


def _line(row: Mapping[str, Any]) -> bytes:
    return compact(row).encode("ascii") + b"\n"


def _record_line(record: Record) -> bytes:
    row = record.as_json()
    line = _line(row)
    if len(line) > LINE_LIMIT:
        line = _line(_shortened(row))
    if len(line) > LINE_LIMIT:
        raise ReportError(
            f"the record {clean(record.name)} takes {len(line)} bytes, and a journal line at most {LINE_LIMIT}; "
            "compare fewer blocks in one case"
        )
    return line


def _shortened(row: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what a reader misses least, and say so in the record."""
    message = "This record was too long for the journal: what is told by time step and long texts were left out."
    note = {"kind": "record-shortened", "message": message, "detail": "", "fault": False}
    short: dict[str, Any] = _cut(row)
    short["blocks"] = [{**block, "by_step": None, "norms": None} for block in short["blocks"]]
    short["findings"] = [*short["findings"], note]
    return short


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value[:2000]
    if isinstance(value, Mapping):
        return {key: _cut(item) for key, item in value.items()}
    return [_cut(item) for item in value] if isinstance(value, list) else value
