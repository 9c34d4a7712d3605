"""How names, numbers and counts are written. Every name comes from outside and is cleaned before it is shown."""

from __future__ import annotations

import math
import re
import unicodedata

MISSING = "–"

_ESCAPES = re.compile(
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])|\x9b[0-?]*[ -/]*[@-~]"
)
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def clean(text: object, *, limit: int = 120) -> str:
    """Return ``text`` on one line of at most ``limit`` characters, without escape sequences and unseen characters."""
    return shorten(_visible(" ".join(_ESCAPES.sub("", str(text)[: 20 * limit]).split())), limit)


def clean_lines(text: object, *, limit: int = 4000) -> str:
    """Return ``text`` as :func:`clean` does, its line breaks and indentation kept."""
    lines = _ESCAPES.sub("", str(text)[: 20 * limit]).expandtabs(4).splitlines()
    return shorten("\n".join(_visible(line).rstrip() for line in lines).strip("\n"), limit)


def shorten(text: str, limit: int) -> str:
    """Cut ``text`` to ``limit`` characters, the last of which then says that something is left out."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _visible(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join(sign for sign in line if unicodedata.category(sign) not in _UNSEEN)


def figure(value: float | None, digits: int = 2) -> str:
    """Write an error or a ratio with ``digits`` digits: ``3.1e-15``, ``0.42``, ``0``, or a dash where there is none."""
    if value is None:
        return MISSING
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if 0.001 <= abs(value) < 1000:
        return f"{value:#.{digits}g}".rstrip(".") if abs(value) < 10**digits else f"{value:.0f}"
    return f"{value:.{digits - 1}e}"


def exact(value: float | None) -> str:
    """Write a number with enough digits to tell it from its neighbours in a report."""
    return MISSING if value is None else f"{value:.12g}"


def derivative(name: str) -> str:
    """Write the derivative of the loss with respect to an intermediate: ``dh(t)``, ``next ds(t)``."""
    return f"next d{name.removeprefix('next ')}" if name.startswith("next ") else f"d{name}"


def count(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}"


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Write ``1 case`` or ``2 cases``."""
    return f"{count(number)} {noun if number == 1 else plural or noun + 's'}"


def power(exponent: int) -> str:
    """Write a power of ten as an axis label."""
    return "1" if exponent == 0 else "10" + str(exponent).translate(_SUPERSCRIPTS)


def place(index: tuple[int, ...] | None) -> str:
    """Write an index as ``[0, 3]``, or a dash."""
    return MISSING if index is None else "[" + ", ".join(map(str, index)) + "]"


def natural(text: str) -> tuple[str, ...]:
    """Return a sorting key that puts ``case 2`` before ``case 10``."""
    return tuple(part.zfill(20) if part.isdecimal() else part for part in re.split(r"([0-9]+)", text))
