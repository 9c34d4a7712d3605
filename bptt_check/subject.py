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
from bptt_check.points import Copies as Copies
from bptt_check.points import checked_gradient, checked_point
from bptt_check.points import copied as copied
from bptt_check.points import scalar as scalar
from bptt_check.points import total_size as total_size

if TYPE_CHECKING:
    from bptt_check.equations import Behind
    from bptt_check.forms.cell import Cell
    from bptt_check.forms.layout import Layout
    from bptt_check.lstm.losses import Loss
    from bptt_check.lstm.variants import Variant
    from bptt_check.recurrence import Recurrence

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]
Tap = Callable[[str, int, Array], Array]


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

    @classmethod
    def from_functions(
        cls,
        loss: Callable[[Any], Any],
        gradient: Callable[[Any], Any],
        point: Any,
        *,
        layout: Layout | None = None,
        name: str | None = None,
        loss_of: str | Loss | None = None,
        targets: Any = None,
    ) -> Subject:
        """A loss and its hand-derived gradient, as two functions of named arrays.

        Parameters
        ----------
        loss: loss(point) -> float.
        gradient: gradient(point) -> {name: array of the shape of point[name]}.
        point: {name: array}; any NumPy float type, all values finite. Dicts and lists may be nested: the functions get
            that form, reports say ``layers[0].W``.
        layout: what is transposed, packed or otherwise named; see :mod:`bptt_check.forms.layout`.
        loss_of: where the loss is one of all h(t) of a recurrent network, which one: a name of
            :data:`bptt_check.lstm.losses.LOSS_NAMES` or a :class:`~bptt_check.lstm.losses.Loss`, up to a constant
            factor. The cell can then be recognised.
        targets: what that loss compares h with, an array or the name of one in the point; its axes are T, B, H in any
            order. Zeros where not given.

        Raises
        ------
        SubjectError
            Where the point is empty, not numeric, or not finite, and for a layout or targets that do not fit it.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> point = {"w": np.array([1.0, 2.0])}
        >>> subject = Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, point)
        >>> check(subject).verdict.value
        'AGREES'
        """
        from bptt_check.forms.functions import subject_of_functions

        return subject_of_functions(loss, gradient, point, layout=layout, name=name, loss_of=loss_of, targets=targets)

    @classmethod
    def from_value_and_gradient(
        cls,
        function: Callable[[Any], Any],
        point: Any,
        *,
        layout: Layout | None = None,
        name: str | None = None,
        loss_of: str | Loss | None = None,
        targets: Any = None,
    ) -> Subject:
        """Loss and gradient computed together: function(point) -> (loss, {name: array}). As :meth:`from_functions`.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> def both(layers):
        ...     V, W = layers[0]["W"], layers[1]["W"]
        ...     return (np.tanh(V) * W).sum(), [{"W": (1 - np.tanh(V) ** 2) * W}, {"W": np.tanh(V)}]
        >>> layers = [{"W": np.array([0.5, -1.0])}, {"W": np.array([2.0, 0.25])}]
        >>> list(check(Subject.from_value_and_gradient(both, layers)).blocks)
        ['[0].W', '[1].W']
        """
        from bptt_check.forms.functions import subject_of_value_and_gradient

        return subject_of_value_and_gradient(
            function, point, layout=layout, name=name, loss_of=loss_of, targets=targets
        )

    @classmethod
    def from_forward_backward(
        cls,
        forward: Callable[[Any], tuple[Any, Any]],
        backward: Callable[[Any], Any],
        point: Any,
        *,
        layout: Layout | None = None,
        name: str | None = None,
        loss_of: str | Loss | None = None,
        targets: Any = None,
    ) -> Subject:
        """A forward pass that returns (loss, cache) and a backward pass of that cache. As :meth:`from_functions`.

        Parameters
        ----------
        forward: forward(point) -> (loss, cache).
        backward: backward(cache) -> {name: array of the shape of point[name]}.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> def forward(p):
        ...     y = np.tanh(p["w"])
        ...     return y.sum(), y
        >>> subject = Subject.from_forward_backward(forward, lambda y: {"w": 1 - y**2}, {"w": np.array([0.5, -1.0])})
        >>> check(subject).verdict.value
        'AGREES'
        """
        from bptt_check.forms.functions import subject_of_forward_backward

        return subject_of_forward_backward(
            forward, backward, point, layout=layout, name=name, loss_of=loss_of, targets=targets
        )

    @classmethod
    def from_vjp(
        cls,
        forward: Callable[[Any], tuple[Any, Any]],
        backward: Callable[[Any, Any], Any],
        point: Any,
        *,
        loss: str = "mixed",
        rng: int | np.random.Generator = 0,
        layout: Layout | None = None,
        name: str | None = None,
    ) -> Subject:
        """A layer without a loss; the harness brings a random one that touches every output. As :meth:`from_functions`.

        Parameters
        ----------
        forward: forward(point) -> (outputs, cache); outputs an array, or a dict or list of arrays.
        backward: backward(cache, cotangents) -> {name: array}; the cotangents, ∂L/∂outputs, have the outputs' form.
        loss: ``"linear"``, ``"quadratic"`` or ``"mixed"``, the sum of both; see :mod:`bptt_check.forms.vjp`.
        rng: seed or generator of the loss's weights.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> def forward(p):
        ...     y = p["x"] @ p["W"].T
        ...     return y, (p["x"], p["W"])
        >>> def backward(cache, dy):
        ...     x, W = cache
        ...     return {"x": dy @ W, "W": dy.T @ x}
        >>> point = {"x": np.array([[1.0, 2.0], [0.5, -1.0]]), "W": np.array([[3.0, -0.5]])}
        >>> check(Subject.from_vjp(forward, backward, point)).verdict.value
        'AGREES'
        """
        from bptt_check.forms.vjp import subject_of_vjp

        return subject_of_vjp(forward, backward, point, loss=loss, rng=rng, layout=layout, name=name)

    @classmethod
    def from_object(
        cls,
        make: Callable[[], Any],
        run: Callable[[Any], Any],
        *,
        parameters: Mapping[str, Any],
        gradients: Mapping[str, Any],
        layout: Layout | None = None,
        name: str | None = None,
        loss_of: str | Loss | None = None,
        targets: Any = None,
    ) -> Subject:
        """An object with state that keeps parameters and gradients; every call gets a fresh one.

        Parameters
        ----------
        make: make() -> a fresh object; the point is read from the first.
        run: run(obj) -> loss, leaving gradients in obj.
        parameters, gradients: {name: where}; where is a path such as ``"layers[0].W"`` or ``"params['W']"``, a tuple of
            keys, or a pair (get, set); see :mod:`bptt_check.forms.places`. Of a gradient, get alone will do.
        loss_of, targets: as for :meth:`from_functions`.

        Raises
        ------
        SubjectError
            Where a place does not exist, or make returns one object twice. SubjectFailed where make raises.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> class Square:
        ...     def __init__(self):
        ...         self.w, self.dw = np.array([1.0, -2.0]), np.zeros(2)
        ...     def train(self):
        ...         self.dw += 2 * self.w
        ...         return (self.w**2).sum()
        >>> subject = Subject.from_object(Square, Square.train, parameters={"w": "w"}, gradients={"w": "dw"})
        >>> check(subject).verdict.value
        'AGREES'
        """
        from bptt_check.forms.objects import subject_of_object

        return subject_of_object(
            make,
            run,
            parameters=parameters,
            gradients=gradients,
            layout=layout,
            name=name,
            loss_of=loss_of,
            targets=targets,
        )

    @classmethod
    def from_update(
        cls,
        make: Callable[[], Any],
        step: Callable[[Any], Any],
        *,
        parameters: Mapping[str, Any],
        learning_rate: Any,
        name: str | None = None,
    ) -> Subject:
        """An object that updates its weights itself, w ← w − lr·gradient, and hands out no gradient.

        Parameters
        ----------
        make, parameters: as for :meth:`from_object`.
        step: step(obj) -> the loss before the update that it makes.
        learning_rate: the lr of the update, or better its place in the object, such as ``"lr"``: the harness then sets
            a large one. (before − after)/lr carries a rounding of eps·abs(w)/lr, so a small lr hides small gradients.

        >>> import numpy as np
        >>> from bptt_check import check
        >>> class Square:
        ...     def __init__(self):
        ...         self.w, self.lr = np.array([1.0, -2.0]), 0.01
        ...     def train(self):
        ...         loss = (self.w**2).sum()
        ...         self.w -= self.lr * 2 * self.w
        ...         return loss
        >>> check(Subject.from_update(Square, Square.train, parameters={"w": "w"}, learning_rate="lr")).verdict.value
        'AGREES'
        """
        from bptt_check.forms.objects import subject_of_update

        return subject_of_update(make, step, parameters=parameters, learning_rate=learning_rate, name=name)

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
        loss: a name of :data:`bptt_check.lstm.losses.LOSS_NAMES`, or a :class:`~bptt_check.lstm.losses.Loss`; it sees
            the first state over all steps, (T, B, H).
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
        intermediates: bool | None = None,
    ) -> Subject:
        """A built-in cell of the family with its own hand-derived backward pass, every intermediate included.

        Parameters
        ----------
        variant: a name such as ``"post"`` or ``"NP"`` (the common LSTM), or one of :mod:`bptt_check.lstm.variants`.
        T, B, D, H, loss, rng: as for :meth:`from_cell`.
            Weights are drawn between ½ and 1, smaller by √((D + H)/16) beyond D + H = 16, lest all gates saturate.
        point: arrays that replace those drawn, by name. targets: y, (T, B, H), in place of drawn ones.
        intermediates: whether d□(t) of every intermediate is compared too, from the readable backward pass. Where it is
            not, the gradient is that of the fused pass (:class:`bptt_check.LSTM`; FGR, which that does not know, keeps
            the readable one), and a finding says so. Unless given, they are, up to 2²⁰ entries of all of them.
        """
        from bptt_check.forms.builtin import subject_of_variant

        return subject_of_variant(
            variant,
            T=T,
            B=B,
            D=D,
            H=H,
            loss=loss,
            rng=rng,
            replaced=point,
            targets=targets,
            intermediates=intermediates,
        )
