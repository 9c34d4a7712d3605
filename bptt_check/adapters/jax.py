"""JAX: the backward pass of a function that has or uses a ``jax.custom_vjp``, against our reference.

The backward pass is the user's own, run by ``jax.vjp``; the reference evaluates the forward pass alone::

    from bptt_check import check
    from bptt_check.adapters.jax import from_function

    print(check(from_function(lambda p: lstm(p["W"], p["x"]), {"W": W, "x": x})))

64-bit types are switched on around each call and nowhere else. Needs the extra ``jax``.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from bptt_check.adapters.library import arrays_of, double_at_most, imported, precision_of, subject_of_library
from bptt_check.errors import SubjectError, SubjectWarning
from bptt_check.forms.nested import flatten, is_flat, rebuild
from bptt_check.points import Point, named
from bptt_check.subject import Subject


def from_function(
    function: Callable[[Any], Any],
    point: Any,
    *,
    loss: str = "mixed",
    rng: int | np.random.Generator = 0,
    name: str | None = None,
) -> Subject:
    """A function of one dict (or list) of arrays, nested or not, with its own backward pass.

    Parameters
    ----------
    function: function(point) -> an array, or a tuple or dict of arrays. A lone number is the loss itself.
    point: the arrays that it is differentiated with respect to; float64 is looked at far more sharply than float32.
    loss: ``"linear"``, ``"quadratic"`` or ``"mixed"``: the harness's loss of the outputs.
    rng: seed or generator of that loss.

    Raises
    ------
    MissingExtra
        Where JAX is not installed.
    SubjectError
        Where the point is empty, not numeric, or not finite.
    """
    jax = imported("jax", "jax")
    flat = arrays_of({key: np.asarray(value) for key, value in flatten(point).items()} if not is_flat(point) else point)
    tree = None if is_flat(point) else point
    precision = precision_of(lambda p: _forward(jax, function, p, tree, None), flat)
    return subject_of_library(
        lambda p: _forward(jax, function, p, tree, precision), lambda cache, d: _backward(jax, cache, d), flat,
        loss=loss, rng=rng, name=name or named(function), precision=precision,
    )  # fmt: skip


def _double(jax: Any) -> Any:
    """A context in which JAX keeps 64-bit types; it has moved between versions."""
    switch = getattr(jax, "enable_x64", None)
    return imported("jax.experimental", "jax").enable_x64(True) if switch is None else switch(True)


def _forward(
    jax: Any, function: Callable[[Any], Any], p: Point, tree: Any, precision: str | None
) -> tuple[Any, _Taped]:
    double_at_most(p, "JAX")
    if precision and any(np.iscomplexobj(array) for array in p.values()):
        raise SubjectError(f"it computes in {precision} only")

    def of_names(named_arrays: dict[str, Any]) -> Any:
        return function(named_arrays if tree is None else rebuild(tree, named_arrays))

    with _double(jax):
        arrays = {key: jax.numpy.asarray(array, dtype=precision) for key, array in p.items()}
        outputs = of_names(arrays)
        return jax.tree_util.tree_map(np.asarray, outputs), _Taped(of_names, arrays, outputs)


@dataclass(frozen=True)
class _Taped:
    """A call of the function, to be differentiated by its own rule later."""

    function: Callable[[Any], Any]
    arrays: dict[str, Any]
    outputs: Any


def _backward(jax: Any, taped: _Taped, cotangents: Any) -> dict[str, Any]:
    trees = jax.tree_util
    with _double(jax):
        outputs, back = jax.vjp(taped.function, taped.arrays)
        for y, again in zip(trees.tree_leaves(taped.outputs), trees.tree_leaves(outputs), strict=True):
            if not np.allclose(y, again, rtol=1e3 * np.finfo(y.dtype).eps, atol=0, equal_nan=True):
                message = "the forward rule of the custom_vjp returns other outputs than the function itself"
                warnings.warn(SubjectWarning("forward-rule-differs", message), stacklevel=1)
        leaves = [jax.numpy.asarray(leaf) for leaf in trees.tree_leaves(cotangents)]
        (gradients,) = back(trees.tree_unflatten(trees.tree_structure(outputs), leaves))
        return {key: np.asarray(value) for key, value in gradients.items()}
