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
from typing import Any

from bptt_check.equations import ENTRIES, Entry
from bptt_check.lstm.variants import Gate, Variant, variant_named

PACKAGE = Path(__file__).parent
NO_ROUNDING = 1e-6  # a relative error that no rounding explains
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


@dataclass(frozen=True)
class Figures:
    """What runs have found about one entry.

    ``max_relative_error`` is the largest of all comparisons, ``tolerance_ratio`` the largest in units of what rounding
    allows, ``resolution`` the coarsest. ``verdict``: DISAGREES if any comparison does, else INCONCLUSIVE if any is,
    AGREES, or NOT_COMPARED; for what is kept because it is false, DIFFERS once it was seen to.
    """

    entry: Entry
    cases: int = 0
    compared: int = 0
    max_relative_error: float | None = None
    tolerance_ratio: float | None = None
    resolution: float | None = None
    verdict: str = "NOT_COMPARED"


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


def table() -> str:
    """The ledger for a terminal: id, formula, where it stands, what checks it."""
    where = places()
    lines = []
    kind = ""
    for item in ENTRIES:
        if item.kind != kind:
            kind = item.kind
            lines += ["", _HEADINGS[kind]]
        mirrors = f"   ← {', '.join(item.mirrors)}" if item.mirrors else ""
        lines.append(f"  {item.id:<4} {item.formula}{mirrors}")
        lines.append(f"       {item.title}; {item.source}")
        lines.append(f"       stands in   {_by_file(where.get(item.id, ()))}")
        lines.append(f"       checked by  {item.properties[0]}")
    return "\n".join(lines[1:])


def fill(records: Iterable[Any]) -> tuple[Figures, ...]:
    """What report rows say about each entry, in the ledger's order.

    ``records``: :class:`~bptt_check.report.record.Record` objects or their JSON. Each block counts towards the
    equations that it names, and towards the lines of its cell's variant that it passes through.
    """
    sums: dict[str, _Sum] = {item.id: _Sum(item) for item in ENTRIES}
    for record in records:
        case, blocks = _field(record, "case") or {}, _field(record, "blocks") or ()
        cell = _variant(case.get("cell"))
        seen: set[str] = set()
        for block in blocks:
            for name in equations_of(block, cell):
                if name in sums:
                    sums[name].add(block, first=name not in seen)
                    seen.add(name)
    return tuple(each.figures() for each in sums.values())


def equations_of(block: Mapping[str, Any], cell: Variant | None = None) -> tuple[str, ...]:
    """The ids that a block's comparison is about: those it names, and those its cell's gradient runs through."""
    named = re.findall(r"[FLBP]\d+[a-z]?", str(block.get("equation") or ""))
    name = str(block.get("name", ""))
    if cell is None or not named or re.match(r"law |.*, locally$", name):
        return tuple(dict.fromkeys(named))
    if name.startswith("p_"):
        return ("B5p",)
    peepholes, memory = bool(cell.peepholed), cell.feedback == "s"
    carried_to_s = ["B8", *["B8p"] * peepholes, *["B8s"] * memory]
    further = {
        "h(t)": ["B8s" if memory else "B7"],
        "h0": ["B8s" if memory else "B7"],
        "s(t)": [*["B2p"] * ("o" in cell.peepholed), *carried_to_s],
        "s0": carried_to_s,
        "i(t)": ["B3c"] * (cell.forget_gate is Gate.COUPLED),
    }
    recurrent = cell.gate_recurrence and re.fullmatch(r"[ifo](\(t\)|0)", name)
    return tuple(dict.fromkeys([*named, *further.get(name, []), *["B7r"] * bool(recurrent)]))


_HEADINGS = {
    "forward": "Forward pass",
    "loss": "Loss",
    "reading": "dL/dw = Σ_t Σ_i dL(t)/dh_i(t) · ∂h_i(t)/∂w, as it can be read",
    "backward": "Backward pass",
    "variant": "Lines of the variants",
    "law": "Laws",
}


def _by_file(where: Iterable[Place]) -> str:
    """Places, each file once: ``lstm/forward.py:105, 112``."""
    files: dict[str, list[str]] = {}
    for place in where:
        files.setdefault(place.file.partition("/")[2], []).append(str(place.line))
    return "  ".join(f"{file}:{', '.join(lines)}" for file, lines in files.items())


class _Sum:
    """Running figures of one entry."""

    def __init__(self, item: Entry) -> None:
        self.item, self.cases, self.compared = item, 0, 0
        self.largest: dict[str, float | None] = dict.fromkeys(("max_relative_error", "tolerance_ratio", "resolution"))
        self.verdicts: set[str] = set()

    def add(self, block: Mapping[str, Any], *, first: bool) -> None:
        compared = int(block.get("compared") or 0)
        verdict = str(block.get("verdict", ""))
        if verdict == "NOT_RETURNED":
            return
        self.verdicts.add(verdict)
        self.cases += first
        self.compared += compared
        for key, before in self.largest.items():
            value = block.get(key)
            if value is not None:
                self.largest[key] = _larger(before, float(value))

    def figures(self) -> Figures:
        verdict = next((v for v in ("DISAGREES", "INCONCLUSIVE", "AGREES") if v in self.verdicts), "NOT_COMPARED")
        if not self.item.holds and self.cases:
            verdict = "DIFFERS" if (self.largest["max_relative_error"] or 0) > NO_ROUNDING else "INCONCLUSIVE"
        return Figures(self.item, self.cases, self.compared, **self.largest, verdict=verdict)


def _larger(a: float | None, b: float) -> float:
    """The larger, where NaN is larger than anything."""
    return b if a is None or not b <= a else a


def _field(record: Any, name: str) -> Any:
    return record.get(name) if isinstance(record, Mapping) else getattr(record, name)


def _variant(name: Any) -> Variant | None:
    try:
        return variant_named(str(name))
    except ValueError:
        return None


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
