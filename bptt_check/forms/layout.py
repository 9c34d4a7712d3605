"""How a user's arrays are laid out: nested, packed, transposed, under other names. Declared, never guessed.

An :class:`Arrangement` stands between a subject, which knows named blocks, and the user's functions, which know their
own form. ``layout=`` takes, by name:

=============================  ========================================================================================
``{"W": "transposed"}``        the gradient of W is returned transposed
``{"W": function}``            the gradient of W is what ``function`` makes of the returned one
``{"dW": "W"}``                what is returned under the name dW is the gradient of W
``{"W": Packed("ifgo")}``      W is the gates i, f, g, o packed along axis 0; they are compared as W_i, W_f, W_g, W_o
``{"W": ("W_i", "W_f")}``      the same with names of your own; W may be packed in the point, in the gradient, or both
=============================  ========================================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.errors import SubjectError
from bptt_check.forms.nested import flatten, follow, is_flat, rebuild
from bptt_check.points import Array, Point

Layout = Mapping[str, Any]
TRANSPOSED = "transposed"


@dataclass(frozen=True)
class Packed:
    """Several arrays of one shape, one behind the other along ``axis``.

    ``parts``: their names, or a string such as ``"ifgo"`` with a letter for each gate: of W, W_i, W_f, W_g and W_o.
    """

    parts: str | Sequence[str]
    axis: int = 0

    def names(self, packed: str) -> tuple[str, ...]:
        """The names of the parts of the array ``packed``."""
        return tuple(f"{packed}_{k}" for k in self.parts) if isinstance(self.parts, str) else tuple(self.parts)

    def split(self, name: str, value: Any) -> dict[str, Array]:
        """The parts by name. Raises ``SubjectError`` where the axis does not divide into equal parts."""
        array, names = np.asarray(value), self.names(name)
        if not -array.ndim <= self.axis < array.ndim or array.shape[self.axis] % len(names):
            raise SubjectError(
                f"{name} has shape {array.shape}: axis {self.axis} does not divide into {len(names)} parts"
            )
        return dict(zip(names, np.split(array, len(names), axis=self.axis), strict=True))


class Arrangement:
    """Between the blocks of a subject and the form of the user's functions. Made once; keeps nothing between calls.

    Parameters
    ----------
    point: the user's, a dict or list of arrays, nested or not.
    layout: see the table above; ``None`` for nothing to declare.

    Raises
    ------
    SubjectError
        For a layout that names what is not there, or a value that is none of the table's.
    """

    def __init__(self, point: Any, layout: Layout | None = None) -> None:
        self.tree = point
        self.nested = not is_flat(point) and isinstance(point, (Mapping, list, tuple))
        leaves = flatten(point) if self.nested else point
        self.renamed: dict[str, str] = {}
        self.packed: dict[str, Packed] = {}
        self.reshaped: dict[str, Callable[[Any], Any]] = {}
        self.leaves = leaves
        for name, how in (layout or {}).items():
            self._declare(name, how)
        self.blocks: Point = self._split(leaves) if self.packed else leaves
        self._check_names()

    def _declare(self, name: str, how: Any) -> None:
        if how == TRANSPOSED:
            self.reshaped[name] = np.transpose
        elif isinstance(how, str):
            self.renamed[name] = how
        elif isinstance(how, Packed):
            self.packed[name] = how
        elif isinstance(how, (list, tuple)):
            self.packed[name] = Packed(tuple(how))
        elif callable(how):
            self.reshaped[name] = how
        else:
            raise SubjectError(
                f"layout[{name!r}] is {how!r}; it takes 'transposed', a function, a name of the point, or Packed gates"
            )

    def _split(self, leaves: Mapping[str, Any]) -> dict[str, Array]:
        blocks: dict[str, Array] = {}
        for name, value in leaves.items():
            parts = self.packed[name].split(name, value) if name in self.packed else {name: value}
            taken = [part for part in parts if part in blocks or (part != name and part in leaves)]
            if taken:
                raise SubjectError(f"layout[{name!r}] names {', '.join(taken)}, which the point has already")
            blocks |= parts
        return blocks

    def _check_names(self) -> None:
        known = {*self.blocks, *self.packed} if isinstance(self.blocks, Mapping) else {*self.packed}
        wanted = [name for how in (self.reshaped, self.renamed.values()) for name in how]
        wanted += [part for name, how in self.packed.items() for part in how.names(name)]
        unknown = [str(name) for name in wanted if name not in known]
        if unknown:
            raise SubjectError(
                f"layout= names {', '.join(unknown)}, which the point lacks; it has {', '.join(map(str, self.blocks))}"
            )

    def given(self, point: Point) -> Any:
        """The user's form of ``point``; its arrays are those of ``point``, so that what is done to them shows there."""
        if not (self.nested or self.packed):
            return point
        flat = {name: self._joined(name, point) if name in self.packed else point[name] for name in self.leaves}
        return rebuild(self.tree, flat) if self.nested else flat

    def _joined(self, name: str, point: Point) -> Array:
        how = self.packed[name]
        whole = np.concatenate([point[part] for part in how.names(name)], axis=how.axis)
        if isinstance(point, dict):  # the parts become views, so that a change of the whole is seen
            point.update(how.split(name, whole))
        return whole

    def left(self, point: Point, given: Any) -> None:
        """Note in ``point`` what the user's function left in its own form, where that holds other arrays now."""
        if self.nested and isinstance(point, dict):
            try:
                point.update((name, leaf) for name, leaf in follow(self.tree, given) if name in point)
            except SubjectError:
                point.clear()  # not even the form is as it was; seen as a change of every input

    def taken(self, returned: Any) -> Any:
        """The gradients of the blocks, by name, from what the user's function returned."""
        if not (self.nested or self.packed or self.renamed or self.reshaped):
            return returned
        flat = self._flat(returned)
        if not isinstance(flat, Mapping):
            return flat
        flat = {self.renamed.get(name, name): value for name, value in flat.items() if value is not None}
        gradients: dict[str, Any] = {}
        for name, value in flat.items():
            turn = self.reshaped.get(name)
            value = value if turn is None else turn(np.asarray(value))
            how = self.packed.get(name)
            gradients |= {name: value} if how is None else how.split(name, value)
        for name in gradients.keys() - flat.keys():
            if name in self.reshaped:
                gradients[name] = self.reshaped[name](gradients[name])
        return gradients

    def _flat(self, returned: Any) -> Any:
        if not self.nested:
            return returned
        if not isinstance(returned, Mapping) or not isinstance(self.tree, Mapping):
            return dict(follow(self.tree, returned))
        known = {*self.blocks, *self.packed, *self.renamed} - set(self.tree)
        by_name = {name: value for name, value in returned.items() if name in known}
        return by_name | dict(follow(self.tree, {k: v for k, v in returned.items() if k not in by_name}))
