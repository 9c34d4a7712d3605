"""Parts of the HTML page that more than one of its sections uses."""

from __future__ import annotations

from html import escape

from bptt_check.results import Verdict

_SIGNS = {
    Verdict.AGREES.value: ("✓", "agrees"),
    Verdict.DISAGREES.value: ("✕", "disagrees"),
    "DIFFERS": ("≠", "agrees"),  # of what is kept because it is no equation: seen to be none
}


def badge(verdict: str) -> str:
    """The verdict with a sign of its own, so that its colour is not needed to tell it."""
    word, _, others = verdict.partition(" ")
    sign, style = _SIGNS.get(word, ("?", "unsure"))
    rest = f" {escape(others)}" if others else ""
    return f'<span class="badge {style}"><span aria-hidden="true">{sign}</span> {escape(word)}</span>{rest}'
