"""How the text of a line is edited: the words in which the tables of ways are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from bptt_check.faults.fault import Edit, Names


def swap_text(old: str, new: str) -> Edit:
    """``old`` becomes ``new``, ``{k}`` and ``{j}`` filled in; ``None`` where ``old`` does not stand there."""

    def edit(code: str, names: Names) -> str | None:
        was, becomes = (text.replace("{k}", names.k).replace("{j}", names.j) for text in (old, new))
        return _tidy(code.replace(was, becomes, 1)) if was in code else None

    return edit


def swap_all(old: str, new: str) -> Edit:
    """``old`` becomes ``new`` wherever it stands; ``None`` where it does not."""
    return lambda code, names: code.replace(old, new) if old in code else None


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


def has(k: str) -> Callable[[Names], bool]:
    """Where the cell computes gate ``k``; where it is no gate, everywhere."""
    return lambda names: k not in ("i", "f", "o") or k in names.cell.gates


def slopes(k: str) -> Callable[[Names], bool]:
    """Where block ``k`` has an activation."""
    return lambda names: k != "g" or names.cell.input_activation != "identity"


def transposed(of: str) -> Edit:
    """Every matrix whose name matches ``of`` is transposed."""
    return lambda code, names: re.sub(f"({of})", r"\1.T", code)


def other_than(k: str) -> Callable[[Names], bool]:
    """Where the line belongs to another gate than ``k``, and the cell has ``k``."""
    return lambda names: names.k != k and k in names.cell.blocks
