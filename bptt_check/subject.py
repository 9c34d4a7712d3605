"""A Subject is the thing under test; from here on nothing knows in which form it came.

It is a *point* (named arrays), a loss of them, a hand-derived gradient of them, and, where it has them,
*interventions*: arrays of zeros that are added to an intermediate at every time step. An intervention is a block of
the point like any other, and its gradient is d□(t), so that every method, direction and search serves intermediates
too.

User code is only ever called through :meth:`Subject.loss` and :meth:`Subject.gradient`, which hand it copies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt_check.errors import BpttCheckError, SubjectFailed, SubjectWarning
from bptt_check.making import Makers
from bptt_check.points import Copies as Copies
from bptt_check.points import checked_gradient, checked_point
from bptt_check.points import copied as copied
from bptt_check.points import scalar as scalar
from bptt_check.points import total_size as total_size

if TYPE_CHECKING:
    from bptt_check.equations import Behind
    from bptt_check.recurrence import Recurrence

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
Tap = Callable[[str, int, Array], Array]


@dataclass(frozen=True)
class Subject(Makers):
    """One backward pass under test, at one point. Make it with one of the ``from_…`` class methods.

    Attributes
    ----------
    name: what reports call it.
    point: the arrays that the loss depends on, by name; any NumPy float type.
    loss_at: loss of a point (interventions included), the form's own closure.
    gradient_at: gradients of a point, by name, the form's own closure.
    interventions: zeros by name, such as ``"h(t)"`` (T, B, H); blocks of the point that stay at zero.
    pair: ``(forward, backward)`` where the form hands out a cache: forward(point) -> (loss, cache).
    equations: which equation of docs/equations.md a block's gradient is, by block name.
    stacked: the loss carries leading axes of perturbed copies.
    case: how to make this subject again, plain data for reports.
    kink_distance: distance of the nearest kink at this point, where known.
    precision: the type that the loss is computed in whatever the point's type is, such as ``"float32"`` for compiled
        code; ``None`` where it follows the point.
    gradient_noise: absolute rounding of each gradient entry that the form itself brings, by name, beyond what the
        subject's arithmetic explains.
    tapped: tapped(point, tap) -> loss, every intermediate replaced by tap(name, t, value) as it is computed, where the
        form can do that; each line of the backward pass can then be looked at on its own.
    behind: the equations behind each block, for the name of a line.
    recurrence: what is known of a subject that runs over time: its outputs, and the derivative of the loss by them.
    again: again(T=, B=, D=, H=, rng=) -> the same code at another shape, where the form draws the point itself.
    by_step: by_step(point) -> what each step adds to the gradient of each weight, as the backward pass has it, T in
        front of the weight's shape; where the form sums over the steps.
    copies: a fast evaluator of the same loss for perturbed copies, where the form has one.
    rays: rays(point, directions, offset) -> the losses at ``point`` + ``offset`` × each direction, ``offset`` imaginary
        and tiny, where the form shares work between them.
    remarks: what the form has to say about what is compared; each becomes a finding.
    """

    name: str
    point: Point
    loss_at: Callable[[Point], Any]
    gradient_at: Callable[[Point], Mapping[str, Any]]
    interventions: Point = field(default_factory=dict)
    pair: tuple[Callable[[Point], Any], Callable[[Any], Mapping[str, Any]]] | None = None
    equations: Mapping[str, str] = field(default_factory=dict)
    stacked: bool = False
    case: Mapping[str, Any] = field(default_factory=dict)
    kink_distance: float | None = None
    precision: str | None = None
    gradient_noise: Point = field(default_factory=dict)
    tapped: Callable[[Point, Tap], Any] | None = None
    behind: Mapping[str, Behind] = field(default_factory=dict)
    recurrence: Recurrence | None = None
    again: Callable[..., Subject] | None = None
    by_step: Callable[[Point], Mapping[str, Array]] | None = None
    copies: Copies | None = None
    rays: Callable[[Point, Sequence[Point], complex], Array] | None = None
    remarks: tuple[SubjectWarning, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", checked_point(self.point))

    @property
    def blocks(self) -> dict[str, Array]:
        """Everything that has a gradient to compare: the point's arrays, then the interventions."""
        return {**self.point, **self.interventions}

    def loss(self, point: Point, *, handed_over: bool = False) -> Any:
        """The loss at ``point``: a NumPy scalar, or an array with the point's leading axes if the subject is stacked.

        ``handed_over``: the arrays were made for this call alone, and need not be copied before the subject gets them.

        Raises
        ------
        SubjectFailed
            Where the subject's code raises.
        SubjectError
            Where it returns something that is not one number.
        """
        value = self.call(self.loss_at, dict(point) if handed_over else copied(point), "the loss")
        return value if self.stacked else scalar(value)

    def gradient(self, point: Point) -> dict[str, Array]:
        """The analytic gradients at ``point``, copied, by name; each of its block's shape.

        Raises
        ------
        SubjectFailed
            Where the subject's code raises.
        SubjectError
            For a name that the point lacks, and for an array of another shape.
        """
        return self.checked_gradient(self.call(self.gradient_at, copied(point), "the gradient"))

    def call(
        self, function: Callable[[Any], Any], argument: Any, what: str, heard: list[SubjectWarning] | None = None
    ) -> Any:
        """Call the subject's own code; what it raises, or an attempt to exit, comes out as :class:`SubjectFailed`.

        What its form has to say about it is added to ``heard``, where given.
        """
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings(record=heard is not None) as caught:
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                warnings.simplefilter("ignore" if heard is None else "always", SubjectWarning)
                returned = function(argument)
            if heard is not None:
                heard.extend(w.message for w in caught or () if isinstance(w.message, SubjectWarning))
            return returned
        except BpttCheckError:
            raise
        except (Exception, SystemExit) as error:
            raise SubjectFailed(f"{what} of {self.name} raised {type(error).__name__}: {error}") from error

    def checked_gradient(self, returned: Any) -> dict[str, Array]:
        """What a backward pass returned, as arrays of the right names and shapes; refused by name where it is not."""
        return checked_gradient(returned, self.blocks, self.name)
