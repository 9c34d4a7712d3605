"""Our end of the process in which a user's code runs: ask, wait within the limit, say plainly what became of it."""

from __future__ import annotations

import json
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from bptt_check.campaign.run import SINGLE_THREADED
from bptt_check.errors import BpttCheckError

START_LIMIT = 120.0  # seconds for our own imports, on a very busy machine
KEPT = 4000  # characters of what the code prints, from its beginning
TAIL = 8000  # and from its end, where a crash says where it was
POLL = 0.05
ENDING = 10.0  # seconds to end in before it is killed
PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Reply:
    """What came back. ``lost``: empty or how it was lost, ``timed-out``, ``crashed``, ``ended``; ``message`` says it.

    ``printed`` counts the bytes that the code printed meanwhile; ``said`` is how they begin.
    """

    data: Mapping[str, Any] = field(default_factory=dict)
    lost: str = ""
    message: str = ""
    printed: int = 0
    said: str = ""


class Child:
    """A process that is asked one thing at a time. A context manager: on leaving, it and its children are killed.

    Raises
    ------
    BpttCheckError
        At the start, where the process does not come up at all.
    """

    def __init__(self) -> None:
        code = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); from {__package__}.worker import main; main()"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-u", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **SINGLE_THREADED},
            start_new_session=True,  # so that Ctrl-C is ours alone, and so that what it forks can be killed with it
        )
        assert self.process.stdin and self.process.stdout and self.process.stderr
        self._answers, self._noise = self.process.stdout.fileno(), self.process.stderr.fileno()
        self._selector = selectors.DefaultSelector()
        for stream in (self._answers, self._noise):
            os.set_blocking(stream, False)
            self._selector.register(stream, selectors.EVENT_READ)
        self._line = bytearray()
        self._idle = False  # no answer is awaited
        self._begin()
        reply = self._wait(START_LIMIT)
        if reply.lost:
            self.close()
            raise BpttCheckError(
                f"the process that runs your code does not start: {reply.message}. {reply.said}".strip()
            )

    def ask(self, request: Mapping[str, Any], *, limit: float) -> Reply:
        """Send ``request`` and wait at most ``limit`` seconds for the answer. Never raises for what the code does."""
        self._begin()
        assert self.process.stdin
        self._idle = False
        try:
            self.process.stdin.write(json.dumps(request, allow_nan=False).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            return self._lost()
        return self._wait(limit)

    def close(self) -> None:
        """End the process, which ends by itself where it has nothing left to do, and everything that it has started."""
        if self._idle:
            assert self.process.stdin
            with suppress(OSError, subprocess.TimeoutExpired):
                self.process.stdin.close()
                self.process.wait(ENDING)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._selector.close()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        self._printed, self._said, self._tail = 0, bytearray(), bytearray()

    def _wait(self, limit: float) -> Reply:
        deadline = time.monotonic() + limit
        while True:
            self._read(min(POLL, max(0.0, deadline - time.monotonic())))
            if b"\n" in self._line:
                return self._answered()
            if self.process.poll() is not None:
                self._read(0.0)
                return self._answered() if b"\n" in self._line else self._lost()
            if time.monotonic() >= deadline:
                return self._timed_out(limit)

    def _read(self, patience: float) -> None:
        """Take what is there; with it all taken, what was printed before an answer is counted with that answer."""
        for key, _ in self._selector.select(patience):
            while chunk := self._chunk(key.fd):
                if key.fd == self._answers:
                    self._line += chunk
                    if chunk.endswith(b"\n"):
                        break
                else:
                    self._keep(chunk)
                    break  # so that a code that prints for ever does not hold us up
        if b"\n" in self._line:
            while chunk := self._chunk(self._noise):
                self._keep(chunk)

    def _chunk(self, stream: int) -> bytes:
        try:
            chunk = os.read(stream, 65536)
        except BlockingIOError:
            return b""
        if not chunk:
            with suppress(KeyError):
                self._selector.unregister(stream)
        return chunk

    def _keep(self, chunk: bytes) -> None:
        self._printed += len(chunk)
        self._said += chunk[: max(0, KEPT - len(self._said))]
        self._tail = (self._tail + chunk)[-TAIL:]

    def _answered(self) -> Reply:
        line, _, rest = bytes(self._line).partition(b"\n")
        self._line = bytearray(rest)
        try:
            data = json.loads(line)
        except ValueError:
            return Reply(lost="crashed", message="it wrote to a file descriptor that is not its own")
        self._idle = True
        return Reply(data, printed=self._printed, said=self._said.decode("utf-8", "replace"))

    def _timed_out(self, limit: float) -> Reply:
        with suppress(ProcessLookupError, PermissionError):
            self.process.send_signal(signal.SIGUSR1)  # faulthandler says where it is
        until = time.monotonic() + 0.3
        while time.monotonic() < until and b"Current thread" not in self._tail:
            self._read(POLL)
        self._read(POLL)
        return Reply(lost="timed-out", message=f"it was still running after {limit:g} s{self._place()}")

    def _lost(self) -> Reply:
        code = self.process.wait()
        self._read(0.0)
        if code >= 0:
            message = f"it ended the interpreter with exit code {code}{self._place()}"
            return Reply(
                lost="ended", message=message, printed=self._printed, said=self._said.decode("utf-8", "replace")
            )
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        memory = ", as happens when memory runs out" if name == "SIGKILL" else ""
        return Reply(lost="crashed", message=f"it crashed the interpreter ({name}{memory}){self._place()}")

    def _place(self) -> str:
        """Where in the user's code the process was when faulthandler last spoke."""
        dump = bytes(self._tail).decode("utf-8", "replace").rpartition("most recent call first")[2]
        for file, line, function in re.findall(r'File "([^"]+)", line (\d+) in (\S+)', dump):
            theirs = not file.startswith((str(PACKAGE), "<", sys.base_prefix)) and "site-packages" not in file
            if theirs:
                return f", in {Path(file).name}, line {line}, in {function}"
        return ""
