"""Slips of the pen: one name taken for another, one factor or term too many or left out, in any line of a cell.

The tables of ways hold what people are known to get wrong. What they get wrong for no reason has no table, but it has a
form: in one line one name stands for another of the same shape, a factor or a term is missing, doubled or not needed,
a square or a 1 − has gone astray. All of these are made here, line by line, for when nothing in the tables fits.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from functools import cache

from bptt_check.faults.catalogue import catalogue
from bptt_check.faults.fault import Fault
from bptt_check.lstm.variants import Gate, Variant
from bptt_check.program import END, STEP, SUM, Line, lines_of

WHY = "a slip of the pen, or a line copied and not changed throughout"
VALUES = tuple(f"{name}[{at}]" for name in "hsgifo" for at in ("t", "t-1"))
ARRIVING = ("dl[t]", "dh_next", "ds_next")
Slip = tuple[str, str, str]  # the end of its id, the line as it becomes, and what is wrong with it


@cache
def slips(cell: Variant) -> tuple[Fault, ...]:
    """Every slip in one line of a cell, but for those that its catalogue has already."""
    lines = lines_of(cell)
    seen = {
        (target, _plain(code)) for fault in catalogue(cell) if len(fault.changes) == 1 for target, code in fault.changes
    }
    found: list[Fault] = []
    for n, line in enumerate(lines):
        seen.add((line.target, _plain(line.code)))
        known = [x.target for x in (lines[:n] if line.kind == STEP else lines) if x.kind == STEP and x.target != "dx"]
        derivatives = tuple(dict.fromkeys((*ARRIVING, *known)))
        for end, code, says in _of_line(line, cell, derivatives):
            if (line.target, _plain(code)) in seen:
                continue
            seen.add((line.target, _plain(code)))
            way, _, rest = end.partition(".")
            name = f"{way}.{line.target}.{rest}"
            changes = ((line.target, code),)
            found.append(Fault(name, way, line.equation, f"{line.target} {says}", WHY, changes, (str(line),)))
    return tuple(found)


def _plain(code: str) -> str:
    return ast.dump(ast.parse(code, mode="eval"))


def _of_line(line: Line, cell: Variant, derivatives: tuple[str, ...]) -> Iterator[Slip]:
    tree = ast.parse(line.code, mode="eval").body
    nodes = list(ast.walk(tree))
    for n, node in enumerate(nodes):
        was = _text(node)
        for other in _others(was, cell, derivatives):
            yield f"name-for-another.{n}-{_slug(other)}", _with(tree, n, other), f"has {other} where {was} belongs"
        if was in VALUES:
            for new in (*_factors(was)[1:], f"{was}**2"):
                yield f"slope-for-value.{n}-{_slug(new)}", _with(tree, n, f"({new})"), f"has {new} where {was} belongs"
        for way, new, says in _arithmetic(node, was):
            yield f"{way}.{n}", _with(tree, n, new), says
    if line.kind == SUM:
        dz = f"dz_{line.target[3]}"
        for value in (f"{line.target[3]}[t]", f"{line.target[3]}[t-1]"):
            for factor in _factors(value):
                code = line.code.replace(dz, f"({dz} * {factor})", 1)
                yield f"factor-too-many.{_slug(factor)}", code, f"has {dz} times {factor}"
    if line.kind == STEP:
        for value in _values(cell) if cell.feedback == "h" or line.target != "dh_next" else ():
            for factor in _factors(value):
                yield (
                    f"factor-too-many.{_slug(factor)}",
                    f"({line.code}) * {factor}",
                    f"has the factor {factor} besides",
                )
    if line.kind in (STEP, END):
        for term in derivatives:
            if term != "dl[t]" or line.kind == STEP:
                yield f"term-too-many.{_slug(term)}", f"{line.code} + {term}", f"has {term} added to it"


def _values(cell: Variant) -> tuple[str, ...]:
    """What the forward pass of a cell has computed; a gate that is open is no name in anybody's code."""
    return tuple(v for v in VALUES if v[0] not in "ifo" or cell.gate(v[0]) is not Gate.OPEN)


def _factors(value: str) -> tuple[str, ...]:
    """A value and the slopes that are made of one."""
    return value, f"(1 - {value})", f"(1 - {value}**2)", f"{value} * (1 - {value})"


def _others(was: str, cell: Variant, derivatives: tuple[str, ...]) -> Iterator[str]:
    """What is of the shape of a name, and might be written for it."""
    if was in VALUES:
        yield from (value for value in _values(cell) if value != was)
    elif was in derivatives:
        yield from (derivative for derivative in derivatives if derivative != was)
    elif was.startswith("W_"):
        yield from (f"W_{k}{was[3]}" for k in cell.blocks if k != was[2] and was[3] in cell.sees(k))
    elif was.startswith("p_"):
        yield from (f"p_{k}" for k in cell.peepholed if k != was[2])


def _arithmetic(node: ast.AST, was: str) -> Iterator[Slip]:
    """What can go astray in an operation: an operand left out or doubled, a sign, a square."""
    if not isinstance(node, ast.BinOp):
        return
    left, right = (f"({_text(side)})" for side in (node.left, node.right))
    if isinstance(node.op, ast.Mult):
        yield "factor-left-out", left, f"lacks the factor {right[1:-1]}"
        yield "factor-left-out-before", right, f"lacks the factor {left[1:-1]}"
        yield "factor-twice", f"{left} * {right} * {right}", f"has the factor {right[1:-1]} twice"
        yield "factor-twice-before", f"{left} * {left} * {right}", f"has the factor {left[1:-1]} twice"
    elif isinstance(node.op, ast.Add):
        yield "term-left-out", left, f"lacks the term {right[1:-1]}"
        yield "term-left-out-before", right, f"lacks the term {left[1:-1]}"
        yield "term-sign", f"({left} - {right})", f"has {right[1:-1]} with the wrong sign"
        yield "product-for-sum", f"({left} * {right})", f"has a product where {was} belongs"
    elif isinstance(node.op, ast.Sub):
        yield "one-minus-left-out", right, f"has {right[1:-1]} where {was} belongs"
        yield "one-plus", f"({left} + {right})", f"has {_text(node.left)} + {right[1:-1]} where {was} belongs"
        yield "sign-turned", f"({right} - {left})", f"has {right[1:-1]} - {left[1:-1]} where {was} belongs"
        if isinstance(node.right, ast.BinOp) and isinstance(node.right.op, ast.Pow):
            base = _text(node.right.left)
            yield "square-outside", f"(1 - {base})**2", f"has (1 - {base})**2 where {was} belongs"
    elif isinstance(node.op, ast.Pow):
        yield "square-left-out", left, f"lacks the square of {left[1:-1]}"


def _with(tree: ast.expr, n: int, new: str) -> str:
    """The text of a line with its ``n``-th node, as ``ast.walk`` counts, in another form."""
    changed = copy.deepcopy(ast.Expression(tree))
    target = list(ast.walk(changed.body))[n]
    inner = ast.parse(new, mode="eval").body

    class Exchange(ast.NodeTransformer):
        def visit(self, node: ast.AST) -> ast.AST:
            return inner if node is target else super().visit(node)

    return _text(ast.fix_missing_locations(Exchange().visit(changed)))


def _text(node: ast.AST) -> str:
    """A piece of a line as the tables write it."""
    return ast.unparse(node).replace(" ** ", "**")


def _slug(text: str) -> str:
    """A name for a piece of a line that a shell takes as it is."""
    for old, new in (
        ("[t-1]", "-before"),
        ("[t]", ""),
        ("**2", "-squared"),
        (" ", ""),
        ("(1-", "one-minus-"),
        (")", ""),
    ):
        text = text.replace(old, new)
    return text.replace("*", "-times-").replace("_", "-")
