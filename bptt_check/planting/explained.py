"""One fault explained: what is written, what belongs there, why, how it shows, and what cannot be told from it."""

from __future__ import annotations

from textwrap import wrap

from bptt_check.errors import UsageError
from bptt_check.faults import Fault, catalogue, fault_named
from bptt_check.lstm.variants import Variant, variant_named
from bptt_check.networks.equations import entry_of
from bptt_check.networks.listing import network_fault
from bptt_check.planting.cases import classes
from bptt_check.planting.listing import Row, rows
from bptt_check.planting.tiny import Example, Line, example, written
from bptt_check.planting.unlisted import unlisted
from bptt_check.results import WIDTH

SHOWN = 48  # changed derivatives that are shown of one example
COLUMN = 26
ELSEWHERE = (
    "",
    "  In no catalogue of mistakes: it was seen in the numbers alone. What was seen where, the result says.",
)


def explanation(name: str, cell: str = "") -> str:
    """What there is to say about the fault of that name, or about a way with the places where it strikes.

    Parameters
    ----------
    name: id of a fault, such as ``sum-twice.dW_gx``, of a way, such as ``sum-twice``, or of a cause that is in no
        catalogue, such as ``transposed`` or ``line``.
    cell: name of the cell to show it in; by default the first that has it.

    Raises
    ------
    UsageError
        Where there is none of that name, or no such cell; the message names those that are near.
    """
    name = name.partition("@")[0]  # in which part of a network does not matter
    network = None if cell else network_fault(name)
    if network is not None:
        return _of_a_network(network)
    if (other := unlisted(name)) is not None:
        return "\n".join(
            [name, *_wrapped(f"{other.what}.", "  "), *_wrapped(f"often: {other.often}.", "  "), *ELSEWHERE]
        )
    row = next((row for row in rows(cell) if row.way.id == name), None)
    if row is not None and len(row.places) > 1:
        return _of_a_way(row)
    try:
        variant = variant_named(cell) if cell else None
    except ValueError as error:
        raise UsageError(str(error)) from None
    return _of_a_fault(*fault_named(row.places[0] if row else name, variant))


def _of_a_way(row: Row) -> str:
    first = row.first
    lines = [f"{row.way.id}: a mistake that is made in {len(row.places)} places", *_wrapped(row.says, "  ")]
    lines += _wrapped(f"why: {row.way.why}", "  ")
    lines += _lines("for one, written", first.code) + _lines("what belongs there", first.right)
    lines += ["", "Places; explain one of them for its numbers:"]
    return "\n".join([*lines, *_wrapped(", ".join(row.places), "  ")])


def _of_a_fault(fault: Fault, cell: Variant) -> str:
    lines = _told(fault, f"in cell {cell.name}")
    told, _ = classes(cell, dict.fromkeys((*catalogue(cell), fault)))
    others = [other.id for group in told if fault in group for other in group if other is not fault]
    alike = f"cannot be told from: {', '.join(others)}" if others else "no other fault of the catalogue gives the same"
    lines += _wrapped(f"{alike} (by the gradients of weights, inputs and initial states at a random case)", "  ")
    return "\n".join([*lines, "", *_numbers(example(fault, cell))])


def _of_a_network(fault: Fault) -> str:
    return "\n".join(_told(fault, "in a network"))


def _told(fault: Fault, where: str) -> list[str]:
    entry = entry_of(fault.equation)
    lines = [f"{fault.id}  {where}", *_wrapped(f"{fault.says}.", "  ")]
    lines += _lines("written", fault.code) + _lines("what belongs there, and mends it", fault.right)
    lines += ["", *_wrapped(f"why it is written: {fault.why}", "  ")]
    return lines + _wrapped(f"equation {entry.id}, {entry.title}: {entry.formula}", "  ")


def _lines(head: str, code: tuple[str, ...]) -> list[str]:
    shown = [*code[:4], *([f"(and {len(code) - 4} more lines alike)"] if len(code) > 4 else [])]
    return ["", f"  {head}", *(line for text in shown for line in _wrapped(text, "      "))]


def _numbers(found: Example) -> list[str]:
    T, B, D, H = found.shape
    lengths = f"T={T}, B={B}, D={D}, H={H}"
    if not found.lines:
        return _wrapped(f"In numbers: nothing changes in the small examples tried, up to {lengths}.", "")
    point = ", ".join(
        f"{name} = {written(a)}" if name != "x" else ", ".join(f"x({t}) = {written(v)}" for t, v in enumerate(a, 1))
        for name, a in found.point.items()
    )
    slopes = ", ".join(f"∂l({t})/∂h({t}) = {written(a)}" for t, a in enumerate(found.dl, 1))
    lines = [f"In numbers, {lengths}:", *_wrapped(point, "  "), *_wrapped(slopes, "  "), ""]
    lines.append(f"  {'derivative':<14}{'right':>{COLUMN}}{'wrong':>{COLUMN}}")
    lines += [_row(line) for line in found.lines[:SHOWN]]
    left = len(found.lines) - SHOWN
    return [*lines, f"  … and {left} more"] if left > 0 else lines


def _row(line: Line) -> str:
    name = line.target if line.t is None else f"{line.target}({line.t})"
    right, wrong = written(line.right), written(line.wrong)
    if max(len(right), len(wrong)) < COLUMN:
        return f"  {name:<14}{right:>{COLUMN}}{wrong:>{COLUMN}}"
    return f"  {name:<14}right {right}\n  {'':<14}wrong {wrong}"


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ", break_long_words=False)
