"""A run of several processes: each writes a part of the journal, and one puts the parts together as they grow."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from bptt_check.errors import ReportError
from bptt_check.report.journal import previous
from bptt_check.report.record import Record
from bptt_check.report.runlog import record_from
from bptt_check.report.strict import NotStrictError, parse
from bptt_check.report.text import clean
from bptt_check.report.write_errors import cannot_write


class Part:
    """A journal that another process of this run is writing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read = 0

    def new(self) -> list[Record]:
        """Return the records that have come since the last call; a line that is still being written waits.

        Raises
        ------
        ReportError
            If what is there was not written by a journal.
        """
        try:
            with self.path.open("rb") as stream:
                stream.seek(self._read)
                data = stream.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise ReportError(f"cannot read {clean(self.path)}: {clean(error.strerror)}") from error
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        try:
            rows = [parse(line) for line in whole.splitlines()]
            return [record_from(row) for row in rows if row.get("kind") not in ("header", "end")]
        except NotStrictError as reason:
            raise ReportError(f"{clean(self.path)} is not a part of a journal: {reason}") from None


def put_in_place(journal: Path, path: Path) -> None:
    """Give a finished journal its name; one that had it becomes ``<stem>.previous.jsonl``.

    Raises
    ------
    ReportError
        If that cannot be done; the journal is then still where it was.
    """
    try:
        with suppress(FileNotFoundError):
            path.replace(previous(path))
        journal.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
