"""A small pen for inline SVG: colours come from the page's style sheet, so that one drawing serves light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree as Tree

from bptt_check.report.text import clean

STYLE = """
svg { font: 12px/1.2 system-ui, sans-serif; fill: var(--ink); width: 100%; height: auto; display: block; }
svg .muted { fill: var(--muted); }
svg .small { font-size: 11px; }
svg .rule { stroke: var(--rule); stroke-width: 1; }
svg .faint { stroke: var(--rule); stroke-width: 1; stroke-dasharray: 1 3; }
svg .mark { stroke: var(--muted); stroke-width: 1; stroke-dasharray: 4 3; }
svg .bar { fill: var(--accent); fill-opacity: .55; }
svg .ok { fill: var(--accent); }
svg .wrong { stroke: var(--wrong); stroke-width: 2.5; fill: none; }
svg .unsure { fill: var(--page); stroke: var(--unsure); stroke-width: 2; }
svg .resolution { stroke: var(--unsure); stroke-width: 2.5; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .c0 { stroke: var(--c0); } svg .c1 { stroke: var(--c1); } svg .c2 { stroke: var(--c2); }
svg .c3 { stroke: var(--c3); } svg .c4 { stroke: var(--c4); }
svg .d1 { stroke-dasharray: 7 3; } svg .d2 { stroke-dasharray: 2 3; } svg .d3 { stroke-dasharray: 8 3 2 3; }
svg .dot { fill: var(--page); stroke-width: 1.5; }
svg .heat { fill: var(--accent); }
svg .void { fill: none; stroke: var(--rule); }
svg .bad { fill: var(--wrong); }
svg .over { fill: var(--page); }
svg .middle { text-anchor: middle; }
svg .end { text-anchor: end; }
"""


class Drawing:
    """One picture. ``title`` and ``description`` are what a screen reader reads in its place."""

    def __init__(self, ident: str, width: float, height: float, *, title: str, description: str) -> None:
        labels = f"{ident}-title {ident}-text"
        box = f"0 0 {coordinate(width)} {coordinate(height)}"
        self._root = Tree.Element("svg", {"viewBox": box, "role": "img", "aria-labelledby": labels})
        Tree.SubElement(self._root, "title", {"id": f"{ident}-title"}).text = clean(title, limit=200)
        Tree.SubElement(self._root, "desc", {"id": f"{ident}-text"}).text = clean(description, limit=1000)

    def line(self, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
        """Draw a straight line."""
        ends = {"x1": coordinate(x1), "y1": coordinate(y1), "x2": coordinate(x2), "y2": coordinate(y2)}
        self._add("line", style, ends)

    def path(self, steps: str, style: str, *, hint: str = "") -> None:
        """Draw a path given in SVG's own notation; ``hint`` shows when the pointer rests on it."""
        self._add("path", style, {"d": steps}, hint=hint)

    def rectangle(
        self, x: float, y: float, width: float, height: float, style: str, *, opacity: float = 1, hint: str = ""
    ) -> None:
        """Draw a filled rectangle."""
        sizes = {"x": coordinate(x), "y": coordinate(y), "width": coordinate(width), "height": coordinate(height)}
        if opacity < 1:
            sizes["fill-opacity"] = f"{opacity:.2f}"
        self._add("rect", style, sizes, hint=hint)

    def dot(self, x: float, y: float, radius: float, style: str, *, hint: str = "") -> None:
        """Draw a filled circle."""
        self._add("circle", style, {"cx": coordinate(x), "cy": coordinate(y), "r": coordinate(radius)}, hint=hint)

    def cross(self, x: float, y: float, size: float, style: str, *, hint: str = "") -> None:
        """Draw a cross, which is told from a dot without its colour."""
        a, b = (coordinate(x - size), coordinate(x + size)), (coordinate(y - size), coordinate(y + size))
        self.path(f"M{a[0]} {b[0]}L{a[1]} {b[1]}M{a[0]} {b[1]}L{a[1]} {b[0]}", style, hint=hint)

    def text(self, x: float, y: float, words: str, style: str = "", *, turned: bool = False) -> None:
        """Write one line of text; ``turned`` writes it upwards."""
        spot = {"x": coordinate(x), "y": coordinate(y)}
        if turned:
            spot["transform"] = f"rotate(-90 {spot['x']} {spot['y']})"
        self._add("text", style, spot).text = clean(words, limit=100)

    def __str__(self) -> str:
        return Tree.tostring(self._root, encoding="unicode")

    def _add(self, tag: str, style: str, attributes: dict[str, str], *, hint: str = "") -> Tree.Element:
        element = Tree.SubElement(self._root, tag, {**({"class": style} if style else {}), **attributes})
        if hint:
            Tree.SubElement(element, "title").text = clean(hint, limit=300)
        return element


def coordinate(value: float) -> str:
    """Write a coordinate with a tenth of a pixel."""
    return f"{value:.1f}".removesuffix(".0")


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the path through ``points``."""
    return "M" + "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
