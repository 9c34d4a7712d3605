"""Backward passes as different people write them, each right as it stands, and the mistakes that are made in each.

Nothing here knows of the equations, the lines or the names of the package. A file defines ``subject(rng)`` and the
table ``MISTAKES``: what stands there, what somebody wrote in its place, and what may be said of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
STYLES = tuple(sorted(path.stem for path in HERE.glob("*.py") if path.stem != "__init__"))


@dataclass(frozen=True)
class Mistake:
    """One realistic mistake in a pass.

    ``causes``: ids, or beginnings of ids, of which the first cause has to be one, alone or said to look the same;
    empty where nothing can be known but the places. ``equation``: of the first cause. ``named``: a word that the
    finding about the first wrong line, or the place of a block, must hold.
    """

    name: str
    right: str
    wrong: str
    causes: tuple[str, ...] = ()
    equation: str = ""
    named: str = ""


def loaded(style: str, mistake: Mistake | None = None) -> ModuleType:
    """The module of that style, with the mistake made in it."""
    source = (HERE / f"{style}.py").read_text(encoding="utf-8")
    if mistake is not None:
        head, table, tail = source.partition("MISTAKES = (")
        if head.count(mistake.right) != 1:
            raise ValueError(f"{style}: {mistake.right!r} stands there {head.count(mistake.right)} times, not once")
        source = head.replace(mistake.right, mistake.wrong) + table + tail
    module = ModuleType(f"planted.passes.{style}")
    exec(compile(source, f"<{style}: {mistake.name if mistake else 'right'}>", "exec"), module.__dict__)
    return module


def all_mistakes() -> Iterator[tuple[str, Mistake]]:
    """Every mistake of every style."""
    for style in STYLES:
        for mistake in loaded(style).MISTAKES:
            yield style, mistake


def subject_of(style: str, mistake: Mistake | None = None, rng: int = 0) -> Any:
    """The pass as a subject, at a point drawn from a seed."""
    return loaded(style, mistake).subject(rng)


def amiss(mistake: Mistake, result: Any) -> str:
    """What is said about a mistake and should not be, or is missing; empty where all is as expected."""
    cause = result.causes[0] if result.causes else None
    if result.verdict.value != "DISAGREES":
        return f"the verdict is {result.verdict}"
    if not mistake.causes:
        return f"{cause.fault} is called exact" if cause is not None and cause.exact else _unnamed(mistake, result)
    if cause is None or not any(each.startswith(mistake.causes) for each in (cause.fault, *cause.also)):
        return f"named {cause.fault if cause else 'nothing'}, not {' or '.join(mistake.causes)}"
    if not all(each.exact for each in result.causes):
        return f"{cause.fault} is not called exact"
    if mistake.equation and mistake.equation != cause.equation:
        return f"{cause.equation} is named, not {mistake.equation}"
    return _unnamed(mistake, result)


def _unnamed(mistake: Mistake, result: Any) -> str:
    said = " ".join([*(f.message for f in result.findings), *(block.where for block in result.blocks.values())])
    return "" if mistake.named in said else f"{mistake.named} is not named"
