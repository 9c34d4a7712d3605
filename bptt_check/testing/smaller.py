"""The smallest shape at which a subject that disagrees does so too: what one wants to look at."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bptt_check.results import Finding
    from bptt_check.subject import Subject

LETTERS = "TBDH"
LARGEST = {"T": 3, "B": 2, "D": 2, "H": 2}  # what a person can follow with a pencil
SECONDS = 6.0  # a test that fails may take that much longer
SEED = 0


def smallest_case(subject: Subject, options: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Name the smallest shape, below that of ``subject``, at which the same code disagrees with its loss.

    Nothing where the subject cannot be made at another shape, is that small already, or none is found in time.
    """
    from bptt_check.checking import check
    from bptt_check.results import Finding, Verdict
    from bptt_check.watch import undisturbed

    until = time.monotonic() + SECONDS
    for lengths in _below(subject):
        if subject.again is None or time.monotonic() > until:
            break
        try:
            with undisturbed():
                made = subject.again(**lengths, rng=SEED)
            verdict = check(made, **{**options, "causes": False, "protocol": False, "progress": None}).verdict
        except Exception:  # whatever their code has to say of a shape that it does not take; the next may do
            continue
        if verdict is Verdict.DISAGREES:
            shape = ", ".join(f"{letter}={length}" for letter, length in lengths.items())
            return (Finding("smallest-case", f"the same code disagrees at {shape}, rng={SEED} too"),)
    return ()


def _below(subject: Subject) -> Iterator[dict[str, int]]:
    """The shapes of fewer numbers than that of the subject, the smallest first."""
    own = [length for letter in LETTERS if isinstance(length := subject.case.get(letter), int)]
    if len(own) < len(LETTERS):
        return
    ranges = [range(1, min(LARGEST[letter], length) + 1) for letter, length in zip(LETTERS, own, strict=True)]
    for lengths in sorted(product(*ranges), key=lambda lengths: (sum(lengths), lengths)):
        if list(lengths) != own:
            yield dict(zip(LETTERS, lengths, strict=True))
