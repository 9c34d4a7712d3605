"""A subject's gradient at several points in one call, where its code carries leading axes of copies."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.flat import TOGETHER, end_to_end, shapes_of
from bptt_check.points import total_size
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

    flat = end_to_end(shapes_of(at_point))
    own = flat.join(at_point)

    def together(copies: Mapping[str, Array]) -> Array | None:
        count = len(next(iter(copies.values())))
        try:
            returned = subject.call(subject.gradient_at, dict(copies), "the gradient")
        except (SubjectFailed, SubjectError):
            return None
        if not isinstance(returned, Mapping) or any(name not in returned for name in at_point):
            return None
        arrays = {name: np.asarray(returned[name]) for name in at_point}
        if any(arrays[name].shape != (count, *shape) for name, shape in flat.shapes.items()):
            return None
        if len({array.dtype for array in arrays.values()}) > 1:  # side by side they would all take the widest type
            return None
        rows = flat.rows(arrays, count)
        near = np.abs(rows[0] - own) <= ALIKE * eps * flat.largest(np.abs(own))[flat.owner]
        return rows if rows.dtype.kind == "f" and near.all() else None

    return together
