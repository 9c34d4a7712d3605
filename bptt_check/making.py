"""How a Subject is made: one name for each form in which a backward pass comes.

They are methods of :class:`~bptt_check.Subject`, so that a user has one name to remember. Each imports its form when it
is called, and no other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from bptt_check.forms.cell import Cell
    from bptt_check.forms.layout import Layout
    from bptt_check.lstm.losses import Loss
    from bptt_check.lstm.variants import Variant
    from bptt_check.points import Array, Point
    from bptt_check.subject import Subject


class Makers:
    """The ways to make a :class:`~bptt_check.Subject`; see there what they are methods of."""

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
        >>> from bptt_check import Subject, check
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
        >>> from bptt_check import Subject, check
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
        >>> from bptt_check import Subject, check
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
        >>> from bptt_check import Subject, check
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
        >>> from bptt_check import Subject, check
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
        >>> from bptt_check import Subject, check
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
