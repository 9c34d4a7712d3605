"""What the pytest plugin costs a run that does not use it: the same empty run with and without it, in turns.

    python benchmarks/plugin.py [--rounds N] [--count] [--output FILE]

Where Valgrind is installed the instructions of a run are counted, which nothing else that runs disturbs. Processor time
is measured too: each run is a process of its own, the order within a round changes, and the median of the differences
stands with the middle half of them beside what importing NumPy alone takes here. Writes ``benchmarks/plugin.md`` unless
``--output -`` is given.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from machine import load, machine, versions

ROOT = Path(__file__).resolve().parent.parent
WITH, WITHOUT = ("-p", "bptt_check.plugin"), ("-p", "no:bptt_check.plugin")
EMPTY = ("-p", "empty_plugin")
TESTS = "import pytest\n@pytest.mark.parametrize('k', range({}))\ndef test_nothing(k): pass\n"


def seconds(command: list[str], folder: Path) -> float:
    found = os.pathsep.join([str(ROOT), str(folder)])
    environment = {**os.environ, "PYTHONPATH": found, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def instructions(command: list[str], folder: Path) -> int:
    """Machine instructions of a command, the same in every run but for a few thousandths."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(folder)]),
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "PYTHONHASHSEED": "0",
    }
    counter = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    ran = subprocess.run([*counter, *command], cwd=folder, env=environment, check=True, capture_output=True, text=True)
    (found,) = re.findall(r"I\s+refs:\s+([\d,]+)", ran.stderr)
    return int(found.replace(",", ""))


def counted(tests: int) -> str:
    """One line of the table of instructions: without a plugin, and what an empty one and this one add."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text(TESTS.format(tests), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        (folder / "empty_plugin.py").touch()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        found = []
        for plugin in (WITHOUT, EMPTY, WITH):
            seconds([*command, *plugin], folder)  # compiles what has to be compiled
            found.append(instructions([*command, *plugin], folder))
    without, empty, this = (number / 1e6 for number in found)
    return f"| {tests} | {without:.0f} | {empty - without:+.1f} | {this - without:+.1f} | {this / empty - 1:.1%} |"


def pytest_run(plugin: tuple[str, ...], folder: Path) -> float:
    return seconds([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin], folder)


def compared(rounds: int, tests: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_empty.py").write_text(TESTS.format(tests), encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        for plugin in (WITH, WITHOUT):
            pytest_run(plugin, folder)  # compiles what has to be compiled
        pairs = []
        for turn in range(rounds):
            order = (WITH, WITHOUT) if turn % 2 else (WITHOUT, WITH)
            took = {plugin: pytest_run(plugin, folder) for plugin in order}
            pairs.append((took[WITH], took[WITHOUT]))
    low, middle, high = statistics.quantiles((one - other for one, other in pairs), n=4)
    without = statistics.median(other for _, other in pairs)
    return f"| {tests} | {without * 1e3:.0f} | {middle * 1e3:+.1f} | {low * 1e3:+.1f} to {high * 1e3:+.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="runs of each (20)")
    parser.add_argument("--count", action="store_true", help="instructions alone, no times")
    parser.add_argument("--output", default=str(Path(__file__).with_suffix(".md")), help="a page, or - for none")
    given = parser.parse_args()
    lines = [
        "# What the pytest plugin costs a run that does not use it",
        "",
        "`" + " ".join(["python benchmarks/plugin.py", *sys.argv[1:]]) + "`",
        "",
        f"{machine()}; {versions('numpy', 'pytest')}; load at the start {load()}.",
    ]
    if shutil.which("valgrind"):
        lines += [
            "",
            "Millions of instructions of a whole run (`valgrind --tool=cachegrind`): without a plugin, what an empty",
            "module named as a plugin adds, what this one adds, and which share of the run that is beyond the empty",
            "one.",
            "",
            "| tests | without | an empty plugin | this one | beyond an empty one |",
            "|--:|--:|--:|--:|--:|",
        ]
        lines += [counted(tests) for tests in (1, 500)]
    if not given.count:
        lines += times(given.rounds)
    text = "\n".join(lines) + "\n"
    print(text)
    if given.output != "-":
        Path(given.output).write_text(text, encoding="utf-8")


def times(rounds: int) -> list[str]:
    """The lines about processor time."""
    lines = [
        "",
        f"{rounds} rounds; milliseconds of processor time of a whole run: the median without the plugin, then",
        "what it adds.",
        "",
        "| tests | without | with it, median | middle half |",
        "|--:|--:|--:|--:|",
    ]
    lines += [compared(rounds, tests) for tests in (1, 2000)]
    with tempfile.TemporaryDirectory() as name:
        bare, numpy = ([sys.executable, "-c", code] for code in ("pass", "import numpy"))
        took = [seconds(numpy, Path(name)) - seconds(bare, Path(name)) for _ in range(rounds)]
    return [*lines, "", f"Importing NumPy alone takes {statistics.median(took) * 1e3:.0f} ms."]


if __name__ == "__main__":
    main()
