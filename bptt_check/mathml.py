"""Formulas of the ledger, written in plain Unicode, as MathML for a browser. Only what those formulas use.

>>> mathml("h(t) = a(s(t)) ⊙ o(t)").count("<mi>")
7
"""

from __future__ import annotations

import re
from html import escape

_TOKEN = re.compile(
    r"(?P<space>\s+)"
    r"|(?P<name>[A-Za-zα-ωφσℓΛεΣ□]+)(?:_(?:\{(?P<braced>[^}]*)\}|(?P<plain>[A-Za-z0-9]+)))?(?P<up>[′ᵀ²³]*)"
    r"|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<other>\+=|.)(?P<raised>[ᵀ²]?)"
)
_UP = {"′": "<mo>′</mo>", "ᵀ": "<mo>⊤</mo>", "²": "<mn>2</mn>", "³": "<mn>3</mn>"}
_WORD = r"(?!d[a-z]\b)[a-z]{2,}(?!\w)[,:]?"
_PROSE = re.compile(rf"(?<!\w)({_WORD}(?: {_WORD})+)")  # two words or more
_DIFFERENTIAL = re.compile(r"d[A-Za-z]$")  # dh, dW and the like: two symbols, not a word


def mathml(formula: str) -> str:
    """``formula`` as a ``<math>`` element: ``_`` lowers, ᵀ ² ′ are raised, words of two letters or more are upright."""
    return f'<math display="block"><mrow>{_row(formula)}</mrow></math>'


def typeset(formula: str) -> str:
    """``formula`` where text runs on: its parts, which two spaces set apart, and the words between them can wrap."""
    pieces = []
    for part in formula.split("  "):
        for place, piece in enumerate(_PROSE.split(part)):
            if piece.strip():
                math = f'<math><mstyle displaystyle="true">{_row(piece.strip())}</mstyle></math>'
                pieces.append(escape(piece.strip()) if place % 2 else math)
    return " ".join(pieces)


def _row(formula: str) -> str:
    parts = []
    for token in _TOKEN.finditer(formula):
        if token["name"]:
            parts.append(_name(token))
        elif token["number"]:
            parts.append(f"<mn>{token['number']}</mn>")
        elif token["other"]:
            symbol = f"<mo>{escape(token['other'])}</mo>"
            parts.append(f"<msup>{symbol}{_UP[token['raised']]}</msup>" if token["raised"] else symbol)
        elif len(token["space"]) > 1:
            parts.append('<mspace width="1.5em"/>')
    return "".join(parts)


def _name(token: re.Match[str]) -> str:
    name, below = token["name"], token["braced"] or token["plain"]
    if len(name) == 2 and name[0] in "αβ":
        return f"<mi>{name[0]}</mi><mi>{name[1]}</mi>"
    up = "".join(_UP[sign] for sign in token["up"])
    if name == "Σ":
        return f"<munder><mo>∑</mo><mrow>{_row(below)}</mrow></munder>" if below else "<mo>∑</mo>"
    if name == "tanh":
        return f"<msup><mi>tanh</mi><mrow>{up}</mrow></msup>" if up else "<mi>tanh</mi>"
    if len(name) > 1 and not _DIFFERENTIAL.match(name) and not below:
        return f"<mtext>&#160;{escape(name)}&#160;</mtext>"
    before, letter = ("<mi>d</mi>", name[1:]) if len(name) == 2 and name[0] == "d" else ("", name)
    symbol = f"<mi>{escape(letter)}</mi>"
    under = f"<mtext>{escape(below)}</mtext>" if below and len(below) > 2 else f"<mrow>{_row(below or '')}</mrow>"
    if below and up:
        return f"{before}<msubsup>{symbol}{under}<mrow>{up}</mrow></msubsup>"
    if below:
        return f"{before}<msub>{symbol}{under}</msub>"
    return f"{before}<msup>{symbol}<mrow>{up}</mrow></msup>" if up else before + symbol
