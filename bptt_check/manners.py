"""What a loss and a gradient look like when they are handed out: of which type, in which container, whose memory.

None of it decides a verdict but precision: a gradient of fewer digits than its point is a mistake that numbers alone
would show as noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bptt_check.flat import layouts, shapes_of
from bptt_check.points import Array
from bptt_check.results import Finding
from bptt_check.subject import Subject

TELLING = 8  # entries that must all lie on float32's grid before it is no accident


def note(findings: dict[str, Finding], kind: str, message: str, *, fault: bool = True, detail: str = "") -> None:
    """Keep the first finding of each kind."""
    findings.setdefault(kind, Finding(kind, message, detail, fault=fault))


def look_at_loss(subject: Subject, raw: Any, value: Any, findings: dict[str, Finding]) -> None:
    """Findings on one loss: ``raw`` as returned, ``value`` as a NumPy scalar."""
    if np.ndim(raw):
        note(
            findings,
            "loss-is-an-array",
            f"the loss is an array of shape {np.shape(raw)}; return one number",
            fault=False,
        )
    if np.asarray(raw).dtype.kind in "iu":
        note(findings, "integer-loss", f"the loss is an integer ({np.asarray(raw).dtype})", fault=False)
    widest = np.result_type(*subject.point.values())
    if value.dtype.kind == "f" and value.dtype.itemsize < min(widest.itemsize, 8):
        message = f"the loss is computed in {value.dtype} at a point of type {widest}"
        note(findings, "casts-to-float32", message, fault=False)


def look_at_gradient(
    subject: Subject, raw: Mapping[str, Any], gradient: Mapping[str, Array], point: Mapping[str, Array],
    findings: dict[str, Finding],
) -> None:  # fmt: skip
    """Findings on one gradient: ``raw`` as returned, ``gradient`` as checked, ``point`` as it was handed over."""
    blocks, owners = subject.blocks, {id(own): other for other, own in point.items()}
    owned = all(own.base is None for own in point.values())
    unusual = _unusual(gradient)
    for name in unusual:
        if not np.isfinite(gradient[name]).all():
            where = [int(k) for k in np.argwhere(~np.isfinite(gradient[name]))[0]]
            note(findings, "not-finite", f"the gradient of {name} is not finite at {where}")
    short = {name for name in unusual if gradient[name].dtype == np.float64 and _through_float32(gradient[name])}
    for name, array in gradient.items():
        returned, kind, of = raw[name], array.dtype, blocks[name].dtype
        if isinstance(returned, (list, tuple)):
            note(
                findings,
                "not-an-array",
                f"the gradient of {name} is a {type(returned).__name__}; return an array",
                fault=False,
            )
        if kind.kind in "iu":
            note(findings, "integer-gradient", f"the gradient of {name} is made of integers ({kind})", fault=False)
        elif kind.itemsize < of.itemsize and of.itemsize <= 8:
            note(findings, "lower-precision", f"the gradient of {name} is {kind} where {name} is {of}")
        elif name in short and not _on_grid(blocks[name]):
            message = f"every entry of the gradient of {name} is a float32 number, though its type is {kind}"
            note(findings, "casts-to-float32", message, fault=False)
        aliased = _input_behind(returned, point, owners, owned) if isinstance(returned, np.ndarray) else None
        if aliased is not None:
            message = (
                f"the gradient of {name} shares its memory with the input {aliased}; an update in place changes both"
            )
            note(findings, "aliases-input", message, fault=False)


def _input_behind(array: Array, point: Mapping[str, Array], owners: Mapping[int, str], owned: bool) -> str | None:
    """The input whose memory an array shows; ``owners``: inputs by identity; ``owned``: each has memory of its own."""
    root: Any = array
    while isinstance(root, np.ndarray) and root.base is not None:
        if id(root) in owners:
            break
        root = root.base
    if id(root) in owners:
        return owners[id(root)]
    if owned and isinstance(root, np.ndarray):
        return None  # memory of its own
    return next((name for name, own in point.items() if _shares(array, own)), None)


def _shares(a: Array, b: Array) -> bool:
    return bool(a.size and b.size and np.may_share_memory(a, b))


def _unusual(gradient: Mapping[str, Array]) -> list[str]:
    """Blocks every entry of which is a float32 number, and those with an entry that is not finite."""
    found = []
    for flat in layouts(shapes_of(gradient)):
        whole = flat.join(gradient)
        with np.errstate(over="ignore"):
            between = flat.total(whole.astype(np.float32) != whole)
        finite = np.isfinite(whole)
        infinite = between & False if finite.all() else flat.total(~finite)
        found += [name for name, usual in zip(flat.shapes, (between & ~infinite).tolist(), strict=True) if not usual]
    return found


def _on_grid(array: Array) -> bool:
    with np.errstate(over="ignore"):
        return bool((array.astype(np.float32) == array).all())


def _through_float32(array: Array) -> bool:
    """Whether an array has been through float32: all on its grid, and neither too few entries nor short numbers."""
    if np.count_nonzero(array) < TELLING or not _on_grid(array):
        return False
    with np.errstate(over="ignore"):
        return not (array.astype(np.float16) == array).all()
