"""The ledger: every equation and law, where it stands in the code, what checks it, and what runs have found.

Needs no NumPy: a command that lists equations should not wait for it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bptt_check.equations import ENTRIES, Entry
from bptt_check.tally import Figures, Way
from bptt_check.tally import equations_of as equations_of
from bptt_check.tally import fill as fill

PACKAGE = Path(__file__).parent
_TAG = re.compile(r"#\s*(?:\([^)]*\)\s+)?(?P<ids>[FLBP]\d+[a-z]?(?:, [FLBP]\d+[a-z]?)*)(?![\w–-])(?P<rest>[^#]*)")
_SAID = re.compile(r"(?P<ids>[FLBP]\d+[a-z]?(?:, [FLBP]\d+[a-z]?)*): ")
_QUALIFIERS = (("peephole", "p"), ("FGR", "r"), ("f = 1 − i", "c"), ("open", "o"), ("state feedback", "s"))


@dataclass(frozen=True)
class Place:
    """Where an equation stands: a line of a file, found by its tag. ``file`` is relative to the package's parent."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def entries() -> tuple[Entry, ...]:
    """Every equation and law, in reading order."""
    return ENTRIES


def entry(name: str) -> Entry:
    """The entry of that id.

    Raises
    ------
    KeyError
        Where there is none; the message lists the ids.
    """
    for found in ENTRIES:
        if found.id == name:
            return found
    raise KeyError(f"no equation is named {name!r}; the ledger has {', '.join(e.id for e in ENTRIES)}")


def stands_in(name: str) -> tuple[str, ...]:
    """Where an entry stands, each file once: ``("lstm/forward.py:105, 112",)``."""
    files: dict[str, list[str]] = {}
    for place in places().get(name, ()):
        files.setdefault(place.file.partition("/")[2], []).append(str(place.line))
    return tuple(f"{file}:{', '.join(lines)}" for file, lines in files.items())


@cache
def places() -> Mapping[str, tuple[Place, ...]]:
    """Where each id stands: tagged comments in ``lstm/``, and docstrings in ``laws/`` that begin with an id."""
    found: dict[str, list[Place]] = {}
    for folder, tags in (("lstm", _comment_tags), ("laws", _docstring_tags)):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            source = path.read_text(encoding="utf-8")
            lines = source.splitlines()
            for line, names in tags(source):
                place = Place(path.relative_to(PACKAGE.parent).as_posix(), line, lines[line - 1].split("#")[0].strip())
                for name in names:
                    found.setdefault(name, []).append(place)
    return {name: tuple(where) for name, where in found.items()}


def table(figures: Iterable[Figures] = ()) -> str:
    """The ledger for a terminal: id, formula, where it stands, what checks it, and what runs have found, if given."""
    found = {each.entry.id: each for each in figures}
    lines = []
    kind = ""
    for item in ENTRIES:
        if item.kind != kind:
            kind = item.kind
            lines += ["", HEADINGS[kind]]
        mirrors = f"   ← {', '.join(item.mirrors)}" if item.mirrors else ""
        lines.append(f"  {item.id:<4} {item.formula}{mirrors}")
        lines.append(f"       {item.title}; {item.source}")
        lines.append(f"       stands in   {'  '.join(stands_in(item.id))}")
        lines.append(f"       checked by  {item.properties[0]}")
        lines += _found(found[item.id]) if found else []
    return "\n".join(lines[1:])


def _found(figures: Figures) -> list[str]:
    if not figures.ways:
        return ["       NOT COMPARED in this run"]
    return [f"       {figures.verdict}", *(f"         {way_in_words(way)}" for way in figures.ways)]


def way_in_words(way: Way) -> str:
    """The figures of one way of looking at an entry, on one line."""
    error, ratio, resolution = (
        "–" if value is None else f"{value:.1e}"
        for value in (way.max_relative_error, way.tolerance_ratio, way.resolution)
    )
    return (
        f"{way.name}: {way.cases:,} {'case' if way.cases == 1 else 'cases'}, {way.compared:,} entries, "
        f"error at most {error} = {ratio} of its tolerance, seen from {resolution}"
    )


HEADINGS = {
    "forward": "Forward pass",
    "loss": "Loss",
    "reading": "dL/dw = Σ_t Σ_i dL(t)/dh_i(t) · ∂h_i(t)/∂w, as it can be read",
    "backward": "Backward pass",
    "variant": "Lines of the variants",
    "law": "Laws",
}


def _comment_tags(source: str) -> Iterator[tuple[int, list[str]]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        match = _TAG.match(token.string) if token.type == tokenize.COMMENT else None
        if match:
            yield token.start[0], _qualified(match)


def _docstring_tags(source: str) -> Iterator[tuple[int, list[str]]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            match = _SAID.match(ast.get_docstring(node) or "")
            if match:
                yield node.lineno, match["ids"].split(", ")


def _qualified(tag: re.Match[str]) -> list[str]:
    """The ids of a tag; ``F2, peephole`` and ``B2  ← F2, peephole`` are lines of a variant: F2p, B2p."""
    suffix = next((letter for word, letter in _QUALIFIERS if word in tag["rest"]), "")
    return [name if name[-1].isalpha() else name + suffix for name in tag["ids"].split(", ")]
