"""Functions of a point: loss and gradient apart, together, or with a cache between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bptt_check.forms.declared import declared_loss
from bptt_check.forms.layout import Arrangement, Layout
from bptt_check.lstm.losses import Loss
from bptt_check.points import Point, named, pair_of
from bptt_check.recurrence import of_loss
from bptt_check.subject import Subject

JOINT = "(loss, {name: gradient})"


def subject_of_functions(
    loss: Callable[[Any], Any],
    gradient: Callable[[Any], Any],
    point: Any,
    *,
    layout: Layout | None,
    name: str | None,
    loss_of: str | Loss | None = None,
    targets: Any = None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_functions`."""
    arranged = Arrangement(point, layout)
    declared = declared_loss(loss_of, targets, arranged.blocks)

    def loss_at(p: Point) -> Any:
        return called(arranged, loss, p)

    return Subject(
        name or named(loss),
        arranged.blocks,
        loss_at,
        lambda p: arranged.taken(called(arranged, gradient, p)),
        recurrence=of_loss(loss_at, declared),
    )


def subject_of_value_and_gradient(
    function: Callable[[Any], Any],
    point: Any,
    *,
    layout: Layout | None,
    name: str | None,
    loss_of: str | Loss | None = None,
    targets: Any = None,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_value_and_gradient`."""
    arranged = Arrangement(point, layout)
    label = name or named(function)
    declared = declared_loss(loss_of, targets, arranged.blocks)

    def both(p: Point) -> tuple[Any, Any]:
        return pair_of(called(arranged, function, p), label, JOINT)

    def loss_at(p: Point) -> Any:
        return both(p)[0]

    return Subject(
        label,
        arranged.blocks,
        loss_at,
        lambda p: arranged.taken(both(p)[1]),
        recurrence=of_loss(loss_at, declared),
    )


def subject_of_forward_backward(
    forward: Callable[[Any], Any],
    backward: Callable[[Any], Any],
    point: Any,
    *,
    layout: Layout | None,
    name: str | None,
    loss_of: str | Loss | None = None,
    targets: Any = None,
    **fields: Any,
) -> Subject:
    """See :meth:`bptt_check.Subject.from_forward_backward`."""
    arranged = Arrangement(point, layout)
    label = name or named(forward)
    declared = declared_loss(loss_of, targets, arranged.blocks)

    def forward_at(p: Point) -> tuple[Any, Any]:
        return pair_of(called(arranged, forward, p), label)

    def backward_at(cache: Any) -> Any:
        return arranged.taken(backward(cache))

    def loss_at(p: Point) -> Any:
        return forward_at(p)[0]

    return Subject(
        label,
        arranged.blocks,
        loss_at,
        lambda p: backward_at(forward_at(p)[1]),
        pair=(forward_at, backward_at),
        recurrence=of_loss(loss_at, declared),
        **fields,
    )


def called(arranged: Arrangement, function: Callable[[Any], Any], point: Point) -> Any:
    """``function`` of the user's form of ``point``; what it did to its input shows in ``point``."""
    given = arranged.given(point)
    returned = function(given)
    arranged.left(point, given)
    return returned
