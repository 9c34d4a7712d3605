"""A Subject is the thing under test; from here on nothing knows in which form it came.

It is a *point* (named arrays), a loss of them, a hand-derived gradient of them, and, where it has them, *interventions*:
arrays of zeros that are added to an intermediate at every time step. An intervention is a block of the point like any
other, and its gradient is d□(t), so that every method, direction and search serves intermediates too.

User code is only ever called through :meth:`Subject.loss` and :meth:`Subject.gradient`, which hand it copies.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bptt_check.errors import BpttCheckError, SubjectError, SubjectFailed

if TYPE_CHECKING:
    from bptt_check.forms.cell import Cell
    from bptt_check.lstm.losses import Loss
    from bptt_check.lstm.variants import Variant

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]


@dataclass(frozen=True)
class Subject:
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "point", checked_point(self.point))

    @property
    def blocks(self) -> dict[str, Array]:
        """Everything that has a gradient to compare: the point's arrays, then the interventions."""
        return {**self.point, **self.interventions}

    def loss(self, point: Point) -> Any:
        """The loss at ``point``: a NumPy scalar, or an array with the point's leading axes if the subject is stacked.

        Raises
        ------
        SubjectFailed
            Where the subject's code raises.
        SubjectError
            Where it returns something that is not one number.
        """
        value = self.call(self.loss_at, copied(point), "the loss")
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

    def call(self, function: Callable[[Any], Any], argument: Any, what: str) -> Any:
        """Call the subject's own code; what it raises comes out as :class:`SubjectFailed`."""
        try:
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("error", np.exceptions.ComplexWarning)
                return function(argument)
        except BpttCheckError:
            raise
        except Exception as error:
            raise SubjectFailed(f"{what} of {self.name} raised {type(error).__name__}: {error}") from error

    def checked_gradient(self, returned: Any) -> dict[str, Array]:
        """What a backward pass returned, as arrays of the right names and shapes; refused by name where it is not."""
        if not isinstance(returned, Mapping):
            raise SubjectError(
                f"the gradient of {self.name} must be a dict {{name: array}}, one entry a name of the point; "
                f"it is a {type(returned).__name__}"
            )
        blocks = self.blocks
        unknown = [str(name) for name in returned if name not in blocks]
        if unknown:
            raise SubjectError(
                f"the gradient of {self.name} names {', '.join(unknown)}, which the point lacks; it has {', '.join(blocks)}"
            )
        gradients = {}
        for name, value in returned.items():
            if value is None:
                continue
            try:
                array = np.array(value)
            except ValueError as error:
                raise SubjectError(f"the gradient of {name} is not an array: {error}") from error
            if array.dtype.kind not in "fiuc":
                raise SubjectError(f"the gradient of {name} has dtype {array.dtype}; it must be an array of floats")
            if array.dtype.kind == "c":
                raise SubjectError(f"the gradient of {name} is complex at a real point; return its real part")
            if array.shape != blocks[name].shape:
                raise SubjectError(
                    f"the gradient of {name} has shape {array.shape}, but {name} has shape {blocks[name].shape}; "
                    "it is compared as it is, never broadcast or transposed"
                )
            gradients[name] = array
        return gradients

    @classmethod
    def from_functions(
        cls,
        loss: Callable[[Point], Any],
        gradient: Callable[[Point], Mapping[str, Any]],
        point: Point,
        *,
        name: str | None = None,
    ) -> Subject:
        """A loss and its hand-derived gradient, as two functions of named arrays.

        Parameters
        ----------
        loss: loss(point) -> float.
        gradient: gradient(point) -> {name: array of the shape of point[name]}.
        point: {name: array}; any NumPy float type, all values finite.

        Raises
        ------
        SubjectError
            Where the point is empty, not numeric, or not finite.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> point = {"w": np.array([1.0, 2.0])}
        >>> subject = Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, point)
        >>> check(subject).verdict.value
        'AGREES'
        """
        return cls(name or _named(loss), point, loss, gradient)

    @classmethod
    def from_forward_backward(
        cls,
        forward: Callable[[Point], tuple[Any, Any]],
        backward: Callable[[Any], Mapping[str, Any]],
        point: Point,
        *,
        name: str | None = None,
    ) -> Subject:
        """A forward pass that returns ``(loss, cache)`` and a backward pass of that cache.

        Parameters
        ----------
        forward: forward(point) -> (loss, cache).
        backward: backward(cache) -> {name: array of the shape of point[name]}.
        point: {name: array}; any NumPy float type, all values finite.

        Raises
        ------
        SubjectError
            Where the point is empty, not numeric, or not finite.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> def forward(p):
        ...     y = np.tanh(p["w"])
        ...     return y.sum(), y
        >>> subject = Subject.from_forward_backward(forward, lambda y: {"w": 1 - y**2}, {"w": np.array([0.5, -1.0])})
        >>> check(subject).verdict.value
        'AGREES'
        """

        def loss_at(p: Point) -> Any:
            return loss_and_cache(forward(p))[0]

        def gradient_at(p: Point) -> Mapping[str, Any]:
            return backward(loss_and_cache(forward(p))[1])

        return cls(name or _named(forward), point, loss_at, gradient_at, pair=(forward, backward))

    @classmethod
    def from_cell(
        cls,
        cell: Cell | type[Cell],
        *,
        T: int = 5,
        B: int = 3,
        D: int = 4,
        H: int = 2,
        loss: str | Loss = "euclidean",
        rng: int | np.random.Generator = 0,
        name: str | None = None,
        point: Point | None = None,
    ) -> Subject:
        """One time step and its backward; the harness unrolls it. See :mod:`bptt_check.forms.cell` for the protocol.

        Parameters
        ----------
        cell: an object with ``state``, ``parameters``, ``forward`` and ``backward``, or its class.
        T, B, D, H: steps, sequences, inputs, memory cells; each at least 1.
        loss: a name of :data:`bptt_check.lstm.losses.LOSS_NAMES`, or a :class:`~bptt_check.lstm.losses.Loss`; it sees the
            first state over all steps, (T, B, H).
        rng: seed or generator of the weights, inputs, states and targets.
        point: arrays that replace those drawn, by name.

        Raises
        ------
        SubjectError
            Where the cell does not keep to the protocol; the message says what it did.
        """
        from bptt_check.forms.cell import subject_of_cell

        return subject_of_cell(cell, T=T, B=B, D=D, H=H, loss=loss, rng=rng, name=name, replaced=point)

    @classmethod
    def from_variant(
        cls,
        variant: str | Variant,
        *,
        T: int = 5,
        B: int = 3,
        D: int = 4,
        H: int = 2,
        loss: str | Loss = "euclidean",
        rng: int | np.random.Generator = 0,
        point: Point | None = None,
        targets: Array | None = None,
    ) -> Subject:
        """A built-in cell of the family with its own hand-derived backward pass, every intermediate included.

        Parameters
        ----------
        variant: a name such as ``"post"`` or ``"NP"`` (the common LSTM), or a record of :mod:`bptt_check.lstm.variants`.
        T, B, D, H, loss, rng: as for :meth:`from_cell`.
        point: arrays that replace those drawn, by name. targets: y, (T, B, H), in place of drawn ones.
        """
        from bptt_check.forms.builtin import subject_of_variant

        return subject_of_variant(variant, T=T, B=B, D=D, H=H, loss=loss, rng=rng, replaced=point, targets=targets)


def checked_point(point: Any) -> dict[str, Array]:
    """The point as read-only float arrays by name.

    Raises
    ------
    SubjectError
        Where it is empty, not a mapping, not numeric, or not finite; the array is named.
    """
    if not isinstance(point, Mapping):
        raise SubjectError(f"point must be a dict {{name: array}}; it is a {type(point).__name__}")
    arrays: dict[str, Array] = {}
    for name, value in point.items():
        if not isinstance(name, str):
            raise SubjectError(f"names in the point must be strings; {name!r} is a {type(name).__name__}")
        if isinstance(value, np.ma.MaskedArray):
            raise SubjectError(f"point[{name!r}] is a masked array; hand over plain values, such as value.filled(0.0)")
        try:
            array = np.array(value)
        except ValueError as error:
            raise SubjectError(f"point[{name!r}] is not an array: {error}") from error
        if array.dtype.kind in "iu":
            raise SubjectError(
                f"point[{name!r}] holds integers ({array.dtype}); a derivative needs floats: .astype(float)"
            )
        if array.dtype.kind != "f":
            raise SubjectError(f"point[{name!r}] has dtype {array.dtype}; it must be an array of real floats")
        if not np.isfinite(array).all():
            where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
            raise SubjectError(
                f"point[{name!r}] is not finite at {list(where)} ({array[where]}); choose a finite point"
            )
        array.setflags(write=False)
        arrays[name] = array
    if not sum(array.size for array in arrays.values()):
        raise SubjectError("the point is empty: there is nothing to take a derivative with respect to")
    return arrays


def copied(point: Point) -> dict[str, Array]:
    """Writable copies of all arrays."""
    return {name: np.array(array) for name, array in point.items()}


def scalar(value: Any) -> Any:
    """A loss as one NumPy scalar. Raises ``SubjectError`` for anything that is not one number."""
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fciub":
        what = f"an array of shape {array.shape}" if array.dtype.kind in "fciub" else f"a {type(value).__name__}"
        raise SubjectError(f"the loss must be one number; it is {what}")
    return array.reshape(())[()]


def loss_and_cache(returned: Any) -> tuple[Any, Any]:
    """What a forward pass returned, taken apart. Raises ``SubjectError`` where it is not a pair."""
    if not isinstance(returned, tuple) or len(returned) != 2:
        raise SubjectError(f"forward must return (loss, cache); it returned a {type(returned).__name__}")
    return returned


def total_size(arrays: Iterable[Array]) -> int:
    """Number of entries of all arrays."""
    return sum(array.size for array in arrays)


def _named(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))
