"""What the pytest plugin costs a run that does not use it: the same empty run with and without it, in turns.

    python benchmarks/plugin.py [ROUNDS]

Each run is a process of its own; what is compared is its processor time, which other programs disturb less than the
clock. The order within a round changes, and the median of the differences is shown with the middle half of them, beside
what importing NumPy alone takes here.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
WITH, WITHOUT = ("-p", "bptt_check.plugin"), ("-p", "no:bptt_check.plugin")
TESTS = "import pytest\n@pytest.mark.parametrize('k', range({}))\ndef test_nothing(k): pass\n"


def seconds(command: list[str], folder: Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


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
    return (
        f"{tests:6} tests: {without * 1e3:7.0f} ms without; with it {middle * 1e3:+6.1f} ms "
        f"(middle half {low * 1e3:+.1f} to {high * 1e3:+.1f})"
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    print(f"{rounds} rounds")
    for tests in (1, 2000):
        print(compared(rounds, tests))
    with tempfile.TemporaryDirectory() as name:
        bare, numpy = ([sys.executable, "-c", code] for code in ("pass", "import numpy"))
        took = [seconds(numpy, Path(name)) - seconds(bare, Path(name)) for _ in range(rounds)]
    print(f"import numpy: {statistics.median(took) * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
