"""The known mistakes of hand-derived backpropagation through time, as data.

A *way* is how people go wrong: which lines it strikes, what becomes of their text, what it is called, and why it
happens. A *fault* is a way applied to lines of one cell; it can be run (program.py), and the gradient that comes out
is the one that somebody gets who makes that mistake. mistakes.py holds the table of ways; here they become faults.

The list comes from reading some seventy public hand-written backward passes, and from spoiling every line of every
cell in each of these ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from bptt_check.errors import UsageError
from bptt_check.lstm.variants import VARIANTS, Variant
from bptt_check.program import Line, lines_of

Edit = Callable[[str, "Names"], str | None]
LINE, SOURCE, GATE, ALL = "line", "source", "gate", "all"  # how many lines a way strikes at once


@dataclass(frozen=True)
class Names:
    """What the name of a target says: gate ``k`` and source ``j`` of ``dW_kj``, or none; and the cell."""

    target: str
    k: str
    j: str
    cell: Variant


@dataclass(frozen=True)
class Way:
    """One way to go wrong.

    Attributes
    ----------
    id: short name, unique.
    targets: a regular expression; the lines whose target it matches whole are struck.
    edit: from the text of a line to the wrong text, or ``None`` where the way does not apply to it.
    says: what is wrong, in a few words; ``{target}``, ``{k}``, ``{j}`` are filled in.
    why: how people come to write it.
    at_once: whether it strikes lines singly (``"line"``), all of one source or gate, or all of them.
    equation: the equation it spoils, where that is not the line's own.
    common: whether it is among those that are met most; of two that no case can tell apart it is named first.
    """

    id: str
    targets: str
    edit: Edit
    says: str
    why: str
    at_once: tuple[str, ...] = (LINE,)
    equation: str = ""
    common: bool = False


@dataclass(frozen=True)
class Fault:
    """One mistake in one cell: the lines that it changes, with what is written and what belongs there."""

    id: str
    way: str
    equation: str
    says: str
    why: str
    changes: tuple[tuple[str, str], ...]
    right: tuple[str, ...]
    common: bool = False

    @property
    def code(self) -> tuple[str, ...]:
        """The wrong lines as they look in code."""
        return tuple(f"{target} {_assigned(target)} {code}" for target, code in self.changes)

    @property
    def remedy(self) -> str:
        """The lines as they should be."""
        return "; ".join(self.right[:2]) + (f" (and {len(self.right) - 2} more lines alike)" * (len(self.right) > 2))

    def __str__(self) -> str:
        return f"{self.id} ({self.equation}): {self.says}"


def _assigned(target: str) -> str:
    return "+=" if re.match("d[Wbp]_", target) else "="


@cache
def catalogue(cell: Variant) -> tuple[Fault, ...]:
    """Every fault of a cell of the family, the common ones first."""
    from bptt_check.mistakes import WAYS  # the table is written in the words of this file

    lines = lines_of(cell)
    found: dict[tuple[tuple[str, str], ...], Fault] = {}
    for way in WAYS:
        for fault in _faults(way, lines, cell):
            found.setdefault(fault.changes, fault)
    return tuple(sorted(found.values(), key=lambda fault: not fault.common))


def fault_named(name: str, cell: Variant | None = None) -> tuple[Fault, Variant]:
    """The fault of that id, and the first cell that has it.

    Raises
    ------
    UsageError
        Where there is none; the message names those that are near.
    """
    from difflib import get_close_matches

    known: dict[str, tuple[Fault, Variant]] = {}
    for each in (cell,) if cell else _familiar():
        for fault in catalogue(each):
            known.setdefault(fault.id, (fault, each))
    if name in known:
        return known[name]
    near = [key for key in known if key.startswith(f"{name}.")] or get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"; did you mean {', '.join(near[:4])}?" if near else ""
    raise UsageError(f"no fault is called {name!r}{hint} (bptt-check faults lists them)")


def all_ways() -> tuple[Way, ...]:
    """The ways themselves, in the order of the equations they spoil."""
    from bptt_check.mistakes import WAYS

    return WAYS


def _familiar() -> tuple[Variant, ...]:
    """The cells of the family, those that most people write first."""
    first = ("NP", "V", "post")
    return tuple(sorted(VARIANTS, key=lambda v: first.index(v.name) if v.name in first else len(first)))


def _faults(way: Way, lines: Iterable[Line], cell: Variant) -> Iterator[Fault]:
    struck: list[tuple[Line, Names, str]] = []
    for line in lines:
        if not re.fullmatch(way.targets, line.target):
            continue
        names = _names(line.target, cell)
        code = way.edit(line.code, names)
        if code is not None and code != line.code:
            struck.append((line, names, code))
    for scope in way.at_once:
        for part, label, called in _grouped(scope, struck):
            line, names, _ = part[0]
            yield Fault(
                id=".".join(filter(None, (way.id, label))),
                way=way.id,
                equation=way.equation or line.equation,
                says=way.says.format(target=called, k=names.k, j=_written(names.j), other=""),
                why=way.why,
                changes=tuple((x.target, code) for x, _, code in part),
                right=tuple(str(x) for x, _, _ in part),
                common=way.common and scope in (ALL, way.at_once[0]),
            )


def _grouped(
    scope: str, struck: list[tuple[Line, Names, str]]
) -> Iterator[tuple[list[tuple[Line, Names, str]], str, str]]:
    """The lines struck at once, with the label of the group and what it is called."""
    if scope == LINE:
        for each in struck:
            yield [each], each[0].target, each[0].target
        return
    groups: dict[str, list[tuple[Line, Names, str]]] = {}
    for each in struck:
        key = {SOURCE: each[1].j, GATE: each[1].k, ALL: "all"}[scope]
        if key:
            groups.setdefault(key, []).append(each)
    for key, part in groups.items():
        if len(part) < 2 or (scope in (SOURCE, GATE) and len(part) == len(struck)):
            continue
        called = ", ".join(x.target for x, _, _ in part)
        if len(part) > 4:
            called = f"each of {part[0][0].target} … {part[-1][0].target}"
        yield part, "all" if scope == ALL else f"{'from' if scope == SOURCE else 'gate'}-{key}", called


def _names(target: str, cell: Variant) -> Names:
    matrix = re.fullmatch(r"dW_(.)(.)", target)
    if matrix:
        return Names(target, matrix[1], matrix[2], cell)
    single = re.fullmatch(r"d(?:z_|b_|p_)?([gifo])(?:_next|0)?", target)
    return Names(target, single[1] if single else "", "", cell)


def _written(j: str) -> str:
    return {"": "", "x": "x(t)"}.get(j, f"{j}(t−1)")


# --- how a line is edited --------------------------------------------------------------------------------------------


def swap_text(old: str, new: str) -> Edit:
    """``old`` becomes ``new``, ``{k}`` and ``{j}`` filled in; ``None`` where ``old`` does not stand there."""

    def edit(code: str, names: Names) -> str | None:
        was, becomes = (text.replace("{k}", names.k).replace("{j}", names.j) for text in (old, new))
        return _tidy(code.replace(was, becomes, 1)) if was in code else None

    return edit


def whole(new: str) -> Edit:
    """The whole line becomes ``new``; ``{code}`` in it is the line as it was."""

    def edit(code: str, names: Names) -> str:
        inner = f"({code})" if re.search(r" [+-] ", code) and new != "{code}" else code
        return new.replace("{k}", names.k).replace("{j}", names.j).replace("{code}", inner)

    return edit


def without(term: str) -> Edit:
    """One term of a sum is left out; ``None`` where it is not there."""

    def edit(code: str, names: Names) -> str | None:
        terms = code.split(" + ")
        wanted = term.replace("{k}", names.k).replace("{j}", names.j)
        rest = [x for x in terms if not re.fullmatch(wanted, x)]
        return None if len(rest) == len(terms) else " + ".join(rest) or "0 * dh"

    return edit


def becomes(texts: Mapping[str, str]) -> Edit:
    """A text of its own for each target."""
    return each_own({target: whole(text) for target, text in texts.items()})


def each_own(edits: Mapping[str, Edit]) -> Edit:
    """An edit of its own for each target."""
    return lambda code, names: edits[names.target](code, names) if names.target in edits else None


def only_where(edit: Edit, allowed: Callable[[Names], bool]) -> Edit:
    """The same edit where ``allowed`` says so."""
    return lambda code, names: edit(code, names) if allowed(names) else None


def _tidy(code: str) -> str:
    return code.removesuffix(" * ").strip()
