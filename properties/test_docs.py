"""What the pages show is what happens: every Python block runs, in order, and prints what stands below it.

A ``text`` block right after a ``python`` block shows output. Its lines must be among those printed, in that order;
figures, spacing and what follows on a longer line may differ. ``<!-- not run -->`` before a block leaves it out.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

from bptt_check import cli
from bptt_check.testing import declared

ROOT = Path(__file__).parent.parent
PAGES = sorted(page for where in ("README.md", "docs/*.md", "examples/*.md") for page in ROOT.glob(where))
BLOCK = re.compile(r"(<!-- not run -->\s*)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Code:
    """One Python block of a page: its source, the line it begins at, and the output shown for it."""

    source: str
    line: int
    shown: str


def code_of(page: str) -> list[Code]:
    blocks: list[Code] = []
    end = None
    for match in BLOCK.finditer(page):
        skipped, language, body = match.groups()
        if language == "python" and not skipped:
            blocks.append(Code(body, page.count("\n", 0, match.start(3)), ""))
            end = match.end()
        elif language == "text" and blocks and end is not None and not page[end : match.start()].strip():
            blocks[-1] = Code(blocks[-1].source, blocks[-1].line, body)
    return blocks


def run(blocks: list[Code], name: str) -> list[str]:
    """Run the blocks in one namespace; returns what each printed."""
    namespace: dict[str, object] = {"__name__": "page"}
    outputs = []
    for block in blocks:
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile("\n" * block.line + block.source, name, "exec"), namespace)
        outputs.append(printed.getvalue())
    return outputs


def missing(shown: str, printed: str) -> list[str]:
    """Lines shown that were not printed, in order, figures aside."""
    lines = iter(plain(line) for line in printed.splitlines())
    return [line for line in shown.splitlines() if plain(line) and not any(p.startswith(plain(line)) for p in lines)]


def plain(line: str) -> str:
    return " ".join(re.sub(r"\d+(\.\d+)?(e[-+]?\d+)?", "#", line).split())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_code_on_a_page_runs_and_prints_what_the_page_shows(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = code_of(page.read_text(encoding="utf-8"))
    outputs = run(blocks, str(page))
    for block, printed in zip(blocks, outputs, strict=True):
        assert missing(block.shown, printed) == [], f"{page.name}, below line {block.line}; printed was:\n{printed}"


COMMAND = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(bptt-check|pytest)\b([^#\n]*)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_commands_on_a_page_are_ones_that_there_are(page):
    for _, language, body in BLOCK.findall(page.read_text(encoding="utf-8")):
        for command, words in COMMAND.findall(body) if language == "sh" else ():
            if command == "bptt-check":
                cli._parser().parse_args(shlex.split(words))  # ends the process where there is no such command
            options = {f"--gradient-{name}" for name, *_ in declared.OPTIONS}
            assert {word for word in shlex.split(words) if word.startswith("--gradient-")} <= options


def test_the_tests_that_a_page_names_are_there():
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", (ROOT / "docs" / "ci.md").read_text(encoding="utf-8"))
    assert len(named) > 10
    for file, test in named:
        assert f"def {test}(" in (ROOT / "properties" / file).read_text(encoding="utf-8"), test


def test_the_page_on_paper_has_code_and_shows_output():
    blocks = code_of((ROOT / "docs" / "on-paper.md").read_text(encoding="utf-8"))
    assert len(blocks) >= 6
    assert sum(bool(block.shown) for block in blocks) >= 4


def test_output_that_is_not_printed_is_noticed():
    page = "```python\nprint('W_f DISAGREES 0.5')\n```\n\n```text\nW_f  AGREES\n```\n"
    (block,) = code_of(page)
    assert missing(block.shown, *run([block], "page")) == ["W_f  AGREES"]


def test_figures_may_differ_and_lines_may_be_left_out_but_not_change_places():
    printed = "W_g AGREES 1e-15\nW_f DISAGREES 0.5 [0, 1]\nW_o AGREES 2e-15\n"
    assert missing("W_g   AGREES\nW_o AGREES 3.5e-13\n", printed) == []
    assert missing("W_o AGREES\nW_g AGREES\n", printed) == ["W_g AGREES"]


def test_a_block_marked_as_not_run_is_left_out():
    assert code_of("<!-- not run -->\n```python\nboom\n```\n") == []
