"""The file to start from: it runs, it agrees, it is never written over anything; and the demonstration."""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest

from bptt_check import Subject, Verdict, check
from bptt_check.errors import MissingExtra, ReportError, UsageError
from bptt_check.starting import DEFAULT_STYLE, RIGHT_LINE, STYLES, demo, text, write

SHAPES = [{"T": 1, "B": 1, "D": 3, "H": 2}, {"T": 5, "B": 3, "D": 4, "H": 2}]


def subject_in(path, **shape):
    """What `bptt-check verify` would make of the file."""
    namespace = {"__name__": "started", "__file__": str(path)}
    try:
        exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
        if "subject" in namespace:
            return namespace["subject"](**shape, rng=np.random.default_rng(1))
    except (ModuleNotFoundError, MissingExtra) as error:
        pytest.skip(str(error))
    return Subject.from_cell(namespace["Cell"], **shape, rng=1)


@pytest.mark.parametrize("style", STYLES)
def test_the_file_of_each_style_agrees_at_once(style, tmp_path):
    path = write(tmp_path / "mine.py", style)
    for shape in SHAPES:
        result = check(subject_in(path, **shape))
        assert result.verdict is Verdict.AGREES, f"{shape}\n{result}"
        assert result.compared >= 5


@pytest.mark.parametrize("style", STYLES)
def test_the_file_is_short_and_says_how_to_verify_it(style, tmp_path):
    path = write(tmp_path / "mine.py", style)
    written = path.read_text(encoding="utf-8")
    assert f"bptt-check verify {path}" in written
    assert "{file}" not in written
    assert len(written.splitlines()) < 100
    assert max(len(line) for line in written.replace(str(path), "").splitlines()) <= 120


def test_the_style_is_a_cell_unless_another_is_asked_for(tmp_path):
    path = write(tmp_path / "mine.py")
    assert DEFAULT_STYLE == "cell"
    assert path.read_text(encoding="utf-8") == text("cell", file=str(path))


def test_a_file_that_exists_is_left_as_it_is(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("precious")
    with pytest.raises(UsageError, match="exists already"):
        write(path, "cell")
    assert path.read_text() == "precious"


def test_an_unknown_style_names_those_that_exist_and_writes_nothing(tmp_path):
    with pytest.raises(UsageError, match="style must be one of cell, functions, vjp"):
        write(tmp_path / "mine.py", "matlab")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mine", "mine.txt"])
def test_a_name_that_is_not_a_python_file_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match=r"must end in \.py, such as mine\.py"):
        write(tmp_path / name)


def test_a_folder_that_is_missing_gives_one_clear_line(tmp_path):
    with pytest.raises(ReportError, match="cannot be written: No such file or directory"):
        write(tmp_path / "nowhere" / "mine.py")


def test_the_demonstration_finds_its_mistake_in_under_ten_seconds():
    stream, began = io.StringIO(), time.perf_counter()
    assert demo(stream) == 0
    assert time.perf_counter() - began < 10
    shown = stream.getvalue()
    verdicts = [line.split()[0] for line in shown.splitlines() if line.startswith(("AGREES", "DISAGREES"))]
    assert verdicts == ["DISAGREES", "AGREES"]
    assert "df = s * ds" in shown
    assert shown.index("df = s * ds") < shown.index("DISAGREES") < shown.index(RIGHT_LINE)


def test_the_demonstration_is_right_about_what_agrees():
    stream = io.StringIO()
    demo(stream)
    table = stream.getvalue().split("\nAGREES")[0]
    assert re.findall(r"^ +(\w+\(t\)) +AGREES", table, re.MULTILINE) == ["g(t)", "i(t)", "o(t)"]
    assert re.findall(r"^ +(\w+\(t\)) +DISAGREES", table, re.MULTILINE) == ["f(t)"]
