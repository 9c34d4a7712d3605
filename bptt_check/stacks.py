"""A subject's gradient at several points in one call, where its code carries leading axes of copies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import TOGETHER, Laid, end_to_end, shapes_of
from bptt_check.points import pair_of, total_size
from bptt_check.rounding import Together
from bptt_check.subject import Array, Point, Subject

ALIKE = 32.0  # ulps of a block's largest entry by which a gradient of stacked points may differ from one of a point


def stacked_gradients(subject: Subject, point: Point, at_point: Mapping[str, Array], *, eps: float) -> Together | None:
    """A function that evaluates the gradient of copies of the point in one call, one a row, laid end to end.

    ``None`` for a large subject.

    That a loss carries leading axes does not say that its backward pass does. So the first copy is ``point`` itself,
    and where its gradient there is not ``at_point``, the one that was asked for alone, the function returns ``None``.
    """
    if not subject.stacked or total_size(point.values()) > TOGETHER:
        return None

    def together(copies: Mapping[str, Array]) -> Array | None:
        try:
            returned = subject.call(subject.gradient_at, dict(copies), "the gradient")
        except (SubjectFailed, SubjectError):
            return None
        return _rows(returned, len(next(iter(copies.values()))), at_point, eps)

    return together


def losses_and_gradients(
    subject: Subject, copies: Laid, at_point: Mapping[str, Array], *, eps: float
) -> tuple[Array, Array] | None:
    """The losses of copies of the point, the first of them the point itself, and their gradients, one a row.

    ``None`` where there is no cache between the two, and where the code does not carry copies in their own precision.
    """
    if subject.pair is None:
        return None
    try:
        losses, cache = pair_of(subject.call(subject.pair[0], dict(copies), "the loss"))
        rows = _rows(subject.call(subject.pair[1], cache, "the gradient"), len(copies.whole), at_point, eps)
    except (SubjectFailed, SubjectError):
        return None
    losses, kind = np.asarray(losses), copies.whole.dtype
    if rows is None or losses.shape != (len(rows),) or (losses.dtype, rows.dtype) != (kind, kind):
        return None
    return (losses, rows) if np.isfinite(losses).all() and np.isfinite(rows).all() else None


def _rows(returned: object, count: int, at_point: Mapping[str, Array], eps: float) -> Array | None:
    """What a backward pass of copies returned, one a row; ``None`` where that is not ``at_point`` in the first."""
    if not isinstance(returned, Mapping) or any(name not in returned for name in at_point):
        return None
    flat = end_to_end(shapes_of(at_point))
    arrays = {name: np.asarray(returned[name]) for name in at_point}
    if any(arrays[name].shape != (count, *shape) for name, shape in flat.shapes.items()):
        return None
    if len({array.dtype for array in arrays.values()}) > 1:  # side by side they would all take the widest type
        return None
    rows, own = flat.rows(arrays, count), flat.join(at_point)
    near = np.abs(rows[0] - own) <= ALIKE * eps * flat.largest(np.abs(own))[flat.owner]
    return rows if rows.dtype.kind == "f" and near.all() else None
