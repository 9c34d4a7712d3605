"""Runs of pytest inside a test: with the plugin loaded, in a folder and a process of their own.

A test module that uses them says ``from inner_runs import run, forks`` and ``pytest_plugins = ["pytester"]``.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from forked import Forked, Source

from bptt_check.report.journal import read_journal

ROOT = Path(__file__).parent.parent


def heeding_ctrl_c() -> None:
    """For a new process, which else ignores Ctrl-C where this one does: started in a shell's background, say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


HEAD = """
import os, pathlib, signal, time
import pytest
from bptt_check.results import Block, Finding, Result, Verdict

def result(name="case", error=1e-15, wrong=False, block="W", **more):
    verdict = Verdict.DISAGREES if wrong else Verdict.AGREES
    made = Block(block, verdict, (2,), None, 2, error, error / 1e-12, (0,), 1.0, 1.0, 1e-10)
    return Result(name, verdict, {block: made}, **more)
"""
CHECKED = """
import numpy as np
from bptt_check import Subject

def subject(name="square", factor=2.0):
    point = {"w": np.array([1.0, 2.0])}
    return Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": factor * p["w"]}, point, name=name)
"""
SHUFFLING = ("-p", "no:randomly")  # unless a test asks for it: some look at what the one before has done
FOLDERS = ("-p", "no:benchmark")  # makes one where it runs
DEPENDS_ON_TIME = re.compile(r' (time|timestamp)="[^"]*"')


@dataclass
class Ran:
    """What a run of pytest came to, and what it left in its folder."""

    code: int
    said: str
    folder: Path

    def journal(self, name: str = "reports/gradients.jsonl") -> Any:
        return read_journal(self.folder / name)

    def report(self, name: str = "reports/gradients.json") -> dict[str, Any]:
        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        found: dict[str, Any] = json.loads((self.folder / name).read_text(encoding="utf-8"), parse_constant=refuse)
        return found

    def left(self, name: str = "reports") -> list[str]:
        folder = self.folder / name
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@dataclass
class Runs:
    """Runs pytest in ``folder``; ``environment`` is that of its process.

    ``forks``: what runs are forked off; ``None``: each is a new interpreter, which has loaded nothing.
    """

    folder: Path
    environment: dict[str, str]
    forks: Source | None
    plugin: tuple[str, ...] = ("-p", "bptt_check.plugin")

    def write(self, source: str, name: str = "test_inner.py", *, checked: bool = False) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEAD + (CHECKED if checked else "") + source, encoding="utf-8")
        return path

    def searches(self, options: tuple[str, ...]) -> bool:
        """Whether Hypothesis has a part in the run. Where not, its plugin would load it for the last line all the same.

        That is a third of what a run of one test takes.
        """
        sources = [path.read_text(encoding="utf-8") for path in self.folder.rglob("*.py")]
        return any(word in text for text in [*sources, *options] for word in ("hypothesis", "gradient_property"))

    def begin(self, *options: str, cwd: Path | None = None) -> subprocess.Popen[str] | Forked:
        """Start pytest in a process group of its own."""
        without = ("-p", "no:cacheprovider", *FOLDERS, *(() if "randomly" in options else SHUFFLING))
        arguments = ["-q", *without, *self.plugin, *options]
        if not self.searches(options):
            arguments += ["-p", "no:hypothesispytest"]
        if self.forks is not None:
            return self.forks.run(arguments, cwd=cwd or self.folder, environment=self.environment)
        return subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=cwd or self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=heeding_ctrl_c,
        )

    def end(self, process: subprocess.Popen[str] | Forked) -> Ran:
        """Wait for it."""
        try:
            said, _ = process.communicate(timeout=180)
        finally:
            process.kill()
        return Ran(process.returncode, said, self.folder)

    def __call__(self, source: str, *options: str, checked: bool = False) -> Ran:
        self.write(source, checked=checked)
        return self.end(self.begin(*options))


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source | None]:
    """What runs are forked off, where processes can be; coverage of forked ones would not be counted."""
    if not hasattr(os, "fork") or any(name.startswith("COVERAGE") for name in os.environ):
        yield None
        return
    with Source(tmp_path_factory.mktemp("runs")) as made:
        yield made


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, forks: Source | None) -> Runs:
    """Runs pytest with the plugin; nothing of the run around it is passed on."""
    for name in [*os.environ]:
        around = ("PYTEST_XDIST", "PYTEST_CURRENT", "GITHUB_", "COV_", "COVERAGE_FILE", "HYPOTHESIS")
        if name.startswith(around) or name == "CI":
            monkeypatch.delenv(name)
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return Runs(pytester.path, environment, forks)


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until something is so; fail if it never is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.02)


def has(plugin: str) -> bool:
    """Whether a plugin is installed here."""
    from importlib.util import find_spec

    return find_spec(plugin) is not None


def needs(*plugins: str) -> pytest.MarkDecorator:
    """Skip a test, and say why, where one of these is not installed."""
    missing = [plugin for plugin in plugins if not has(plugin)]
    return pytest.mark.skipif(bool(missing), reason=f"{', '.join(missing)} not installed: pip install bptt-check[dev]")


either_way = pytest.mark.parametrize(
    "processes",
    [
        pytest.param(("-p", "no:xdist"), id="one process"),
        pytest.param(("-n", "2"), id="two workers", marks=needs("xdist")),
    ],
)


def comparable(report: dict[str, Any]) -> str:
    """A report as text, but for the parts that may differ between two runs of the same cases."""
    return json.dumps({key: value for key, value in report.items() if key not in ("environment", "timing")})
