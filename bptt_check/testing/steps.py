"""What a report shows step by step: the norms of derivatives over time, by hand and numerically."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bptt_check.errors import BpttCheckError

if TYPE_CHECKING:
    from bptt_check.results import Result
    from bptt_check.subject import Subject

SHORT = 512  # entries up to which every one is compared for the picture: a quarter of a second for a cell in NumPy


def is_short(subject: Subject) -> bool:
    """Whether a subject runs over time and is so small that every entry can be compared in passing."""
    return bool(subject.interventions) and sum(array.size for array in subject.blocks.values()) <= SHORT


def with_norms(result: Result, subject: Subject) -> Result:
    """Return ``result`` with the norms of derivatives by hand where those of both sides are not known."""
    from bptt_check.compare import is_timed, norms_by_step
    from bptt_check.watch import undisturbed

    bare = [name for name, block in result.blocks.items() if is_timed(name) and block.norms is None and block.compared]
    if not bare or not subject.interventions:
        return result
    try:
        with undisturbed():
            gradient = subject.gradient(subject.blocks)
    except BpttCheckError:  # code that answers once and not again; the result says so
        return result
    blocks = dict(result.blocks)
    for name in bare:
        if name in gradient and gradient[name].ndim and gradient[name].size:
            norms = tuple((norm, None) for norm in norms_by_step(gradient[name].astype(float)))
            blocks[name] = replace(blocks[name], norms=norms)
    return replace(result, blocks=blocks)
