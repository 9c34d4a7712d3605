"""Runs of pytest forked off one process that has loaded what each of them loads first: loading is paid for once.

Such a run has a process, a process group, an environment and a folder of its own, and ends as any other does. What it
finds loaded are pytest, NumPy and the modules of this package; neither its pytest plugin nor any other is among them.

Run as a script this file is that process: a line of JSON on its standard input asks for a run.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

POLL = 0.005
LOADED_BEFORE = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
LOADED = ("numpy", "bptt_check.checking", "bptt_check.report.after_tests", "bptt_check.report.files")


class Forked:
    """A run that was forked off, with as much of :class:`subprocess.Popen` as the tests use."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.returncode: int | None = None
        while not (place / "pid").exists():
            time.sleep(POLL)
        self.pid = int((place / "pid").read_text())

    def poll(self) -> int | None:
        """How it ended, ``None`` while it runs."""
        if self.returncode is None and (self.place / "code").exists():
            self.returncode = int((self.place / "code").read_text())
        return self.returncode

    def wait(self, timeout: float) -> int:
        """How it ended, once it has."""
        end = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("pytest", timeout)
            time.sleep(POLL)
        return code

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What it has said, once it has ended."""
        self.wait(timeout)
        return (self.place / "said").read_text(encoding="utf-8", errors="replace"), None

    def kill(self) -> None:
        """End it at once."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


class Source:
    """The process that runs are forked off; a context manager. ``folder``: for what the runs say, and how they end."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0
        root = str(Path(__file__).parent.parent)
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": root},
            text=True,
            start_new_session=True,
        )

    def run(self, arguments: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Forked:
        """Begin ``python -m pytest`` with these arguments."""
        self.count += 1
        place = self.folder / str(self.count)
        place.mkdir()
        arguments = [*arguments, "-W", LOADED_BEFORE]  # as it was, and for assertions in the package that is no loss
        asked = {"arguments": arguments, "cwd": str(cwd), "environment": dict(environment), "place": str(place)}
        assert self.process.stdin
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        return Forked(place)

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(timeout=60)


def serve() -> None:
    """Fork off what is asked for, until nothing more is."""
    import importlib
    import runpy

    from _pytest.config import default_plugins

    for name in (*(f"_pytest.{plugin}" for plugin in default_plugins), *LOADED):
        importlib.import_module(name)
    before = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    path = [entry for entry in sys.path[1:] if entry not in before]  # without this script's own folder
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if os.fork() == 0:
            asked = json.loads(line)
            _apart(Path(asked["place"]))
            _as_if_new(asked, path)
            runpy.run_module("pytest", run_name="__main__", alter_sys=True)
            sys.exit()


def _apart(place: Path) -> None:
    """Fork once more, and wait for that process: only it returns from here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        return
    _written(place / "pid", pid)
    status = os.waitpid(pid, 0)[1]
    _written(place / "code", os.waitstatus_to_exitcode(status))
    os._exit(0)


def _written(path: Path, number: int) -> None:
    """A file that is there whole or not at all."""
    draft = path.with_suffix(".new")
    draft.write_text(str(number))
    draft.rename(path)


def _as_if_new(asked: Mapping[str, Any], path: Sequence[str]) -> None:
    """Make this process one that was started with these arguments, in this folder, in this environment."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    said = os.open(Path(asked["place"]) / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    os.chdir(asked["cwd"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    added = [entry for entry in asked["environment"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    sys.path[:] = [asked["cwd"], *added, *path]
    sys.argv = ["pytest", *asked["arguments"]]


if __name__ == "__main__":
    serve()
