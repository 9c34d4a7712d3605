"""PyTorch: the backward pass of a ``torch.autograd.Function``, or of a module that uses one, against our reference.

The backward pass is the user's own, run by autograd; the reference is numerical and knows nothing of it::

    from bptt_check import check
    from bptt_check.adapters.torch import from_function, from_module

    print(check(from_function(MyFunction, {"z": z, "s_prev": s_prev})))
    print(check(from_module(lstm, {"x": x, "h0": h0, "s0": s0})))

float64 is looked at far more sharply than float32. A float32 function is measured in float64 where its code allows it.
Needs the extra ``torch``; PyTorch's build for the CPU is enough.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bptt_check.adapters.library import arrays_of, double_at_most, imported, precision_of, subject_of_library
from bptt_check.errors import SubjectError
from bptt_check.points import Array, Point, named
from bptt_check.subject import Subject

Call = Callable[[dict[str, Any]], Any]  # named tensors -> outputs


def from_function(
    function: Any,
    point: Mapping[str, Any],
    *,
    loss: str = "mixed",
    rng: int | np.random.Generator = 0,
    name: str | None = None,
) -> Subject:
    """A ``torch.autograd.Function`` (its class), or any callable, with its own backward pass.

    Parameters
    ----------
    function: called with the values of ``point``, in their order; returns a tensor, or a tuple or dict of tensors. A
        lone number is the loss itself.
    point: {name: array or tensor}. What is not floating-point is handed over as it is, and has no gradient.
    loss: ``"linear"``, ``"quadratic"`` or ``"mixed"``: the harness's loss of the outputs.
    rng: seed or generator of that loss.

    Raises
    ------
    MissingExtra
        Where PyTorch is not installed.
    SubjectError
        Where the point holds no floating-point array, or the outputs are not floating-point tensors.
    """
    torch = imported("torch", "torch")
    is_class = isinstance(function, type) and issubclass(function, torch.autograd.Function)
    call = function.apply if is_class else function
    arrays, constants = _sorted(torch, point)

    def called(tensors: dict[str, Any]) -> Any:
        return call(*[tensors[key] if key in tensors else constants[key] for key in point])

    return _subject(torch, called, arrays, loss, rng, name or named(function))


def from_module(
    module: Any,
    inputs: Mapping[str, Any],
    *,
    loss: str | Callable[[Any], Any] = "mixed",
    dtype: str | None = None,
    rng: int | np.random.Generator = 0,
    name: str | None = None,
) -> Subject:
    """A module at its present parameters: gradients of all of them and of the floating-point inputs.

    Parameters
    ----------
    module: a ``torch.nn.Module``; it is copied, and left as it is.
    inputs: {name of an argument of forward: array or tensor}; floating-point ones are converted to the module's type.
    loss: a function of what forward returns, to a tensor of one number; or the harness's, as for
        :func:`from_function`.
    dtype: ``"float32"`` or ``"float64"``; by default the type of the module's parameters.

    Raises
    ------
    MissingExtra
        Where PyTorch is not installed.
    SubjectError
        Where an input has the name of a parameter, or there is nothing to differentiate.
    """
    torch = imported("torch", "torch")
    module = copy.deepcopy(module)
    weights = {key: value.detach() for key, value in module.named_parameters()}
    arrays, constants = _sorted(torch, inputs)
    clash = sorted(set(weights) & set(inputs))
    if clash:
        raise SubjectError(f"inputs names {', '.join(clash)}, which is a parameter of the module too")
    kinds = [value.numpy(force=True).dtype for value in weights.values() if value.is_floating_point()]
    kind = np.dtype(dtype) if dtype else np.result_type(*kinds) if kinds else None
    point = {**{key: value.numpy(force=True) for key, value in weights.items()}, **arrays}
    point = {key: value if kind is None else np.asarray(value).astype(kind) for key, value in point.items()}
    chosen = loss if callable(loss) else None

    def called(tensors: dict[str, Any]) -> Any:
        computing = next(iter(tensors.values())).dtype
        state = {key: _like(torch, buffer, computing) for key, buffer in module.named_buffers()}
        state |= {key: tensors[key] for key in weights}
        arguments = {key: tensors.get(key, constants.get(key)) for key in inputs}
        outputs = torch.func.functional_call(module, state, (), arguments)
        return chosen(outputs) if chosen else outputs

    return _subject(torch, called, point, "mixed" if callable(loss) else loss, rng, name or type(module).__name__)


def _sorted(torch: Any, named_values: Mapping[str, Any]) -> tuple[dict[str, Array], dict[str, Any]]:
    """Floating-point arrays as NumPy, and everything else as it is, integer arrays as tensors."""
    arrays, constants = {}, {}
    for key, value in named_values.items():
        array = value.numpy(force=True) if isinstance(value, torch.Tensor) else value
        if isinstance(array, (np.ndarray, np.floating)) and array.dtype.kind == "f":
            arrays[key] = np.asarray(array)
        else:
            constants[key] = torch.from_numpy(array) if isinstance(array, np.ndarray) else value
    return arrays, constants


def _like(torch: Any, buffer: Any, computing: Any) -> Any:
    """A copy of a buffer, for a module may change it; in the type that is computed in, if it is floating-point."""
    return buffer.to(computing).clone() if buffer.is_floating_point() else buffer.clone()


def _subject(torch: Any, call: Call, point: Mapping[str, Any], loss: str, rng: Any, name: str) -> Subject:
    arrays = arrays_of(point)
    precision = precision_of(lambda p: _forward(torch, call, p, None), arrays)
    return subject_of_library(
        lambda p: _forward(torch, call, p, precision), lambda cache, d: _backward(torch, cache, d), arrays,
        loss=loss, rng=rng, name=name, precision=precision,
    )  # fmt: skip


def _forward(torch: Any, call: Call, p: Point, precision: str | None) -> tuple[Any, Any]:
    double_at_most(p, "PyTorch")
    if precision:
        p = _narrowed(p, precision)
    differentiable = not any(np.iscomplexobj(array) for array in p.values())
    with torch.random.fork_rng(devices=[]), torch.set_grad_enabled(differentiable):
        leaves = {key: torch.from_numpy(np.array(array)).requires_grad_(differentiable) for key, array in p.items()}
        outputs = call(dict(leaves))
    tensors = _tensors(torch, outputs)
    values = {key: tensor.detach().resolve_conj().numpy() for key, tensor in tensors.items()}
    return values[""] if list(values) == [""] else values, (leaves, tensors)


def _backward(torch: Any, cache: Any, cotangents: Any) -> dict[str, Any]:
    leaves, tensors = cache
    by_name = cotangents if isinstance(cotangents, dict) else {"": cotangents}
    used = {key: tensor for key, tensor in tensors.items() if tensor.requires_grad}
    if not used:
        return {}
    with torch.random.fork_rng(devices=[]):
        gradients = torch.autograd.grad(
            list(used.values()),
            list(leaves.values()),
            [torch.from_numpy(np.array(by_name[key])) for key in used],
            allow_unused=True,
            retain_graph=True,
        )
    return {key: None if g is None else g.numpy(force=True) for key, g in zip(leaves, gradients, strict=True)}


def _tensors(torch: Any, outputs: Any, name: str = "") -> dict[str, Any]:
    """Floating-point outputs by name, out of tuples and dicts; what is not floating-point has no derivative."""
    if isinstance(outputs, torch.Tensor):
        return {name: outputs} if outputs.is_floating_point() or outputs.is_complex() else {}
    items = outputs.items() if isinstance(outputs, Mapping) else enumerate(outputs) if _is_list(outputs) else ()
    found = {k: v for key, value in items for k, v in _tensors(torch, value, f"{name}[{key}]").items()}
    if not found and not name:
        raise SubjectError(
            f"{type(outputs).__name__} is returned; it must be a floating-point tensor, or a tuple or dict"
        )
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, (tuple, list))


def _narrowed(p: Point, precision: str) -> Point:
    if any(np.iscomplexobj(array) for array in p.values()):
        raise SubjectError(f"it computes in {precision} only")
    return {key: array.astype(precision) for key, array in p.items()}
