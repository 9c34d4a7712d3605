"""What a subject takes and returns, looked at before it is believed: points, losses, gradients.

Each function hands back plain NumPy arrays or raises :class:`~bptt_check.errors.SubjectError` with one sentence that
names what was handed over and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from bptt_check.errors import SubjectError

Array = np.ndarray[Any, Any]
Point = Mapping[str, Array]

FEW_BYTES = 2**15  # up to which comparing bytes is quicker than comparing numbers
LARGEST = 2**29  # bytes in all arrays of a point; a check keeps a few dozen arrays of that size


class Copies(Protocol):
    """A fast evaluator of one form: the loss with one entry moved, for many entries at once."""

    def __call__(
        self,
        point: Point,
        names: Sequence[str],
        owner: Array,
        within: Array,
        offsets: Array,
        memory: int,
        on_steps: Callable[[int, int], None],
    ) -> Array | None:
        """Entry ``within[n]`` (flat) of block ``names[owner[n]]`` moved by ``offsets[n]``, for each n.

        ``None`` where it does not take such offsets or such a loss. ``memory`` in bytes; ``on_steps(done, total)``.
        """

    def cost(self, name: str) -> float:
        """What one entry of a block costs, in any unit."""


def checked_point(point: Any) -> dict[str, Array]:
    """The point as read-only float arrays by name, copied.

    Raises
    ------
    SubjectError
        Where it is empty, not a mapping, not numeric, not finite, or far too large; the array is named.
    """
    if not isinstance(point, Mapping):
        raise SubjectError(f"point must be a dict {{name: array}}; it is a {type(point).__name__}")
    arrays = {name: _floats(name, value) for name, value in point.items()}
    if not total_size(arrays.values()):
        raise SubjectError("the point is empty: there is nothing to take a derivative with respect to")
    size = sum(array.nbytes for array in arrays.values())
    if size > LARGEST:
        raise SubjectError(
            f"the point holds {size / 2**30:.3g} GiB, and a check keeps a few dozen arrays of that size; "
            f"at most {LARGEST / 2**30:g} GiB are taken. Choose smaller shapes: a wrong equation is wrong at any shape"
        )
    return {name: _frozen(name, array) for name, array in arrays.items()}


def _floats(name: Any, value: Any) -> Array:
    if not isinstance(name, str):
        raise SubjectError(f"names in the point must be strings; {name!r} is a {type(name).__name__}")
    if isinstance(value, np.ma.MaskedArray):
        raise SubjectError(f"point[{name!r}] is a masked array; hand over plain values, such as value.filled(0.0)")
    try:
        array = np.asarray(value)
    except Exception as error:
        raise SubjectError(f"point[{name!r}] is not an array: {error}") from error
    if array.dtype.kind in "iu":
        raise SubjectError(f"point[{name!r}] holds integers ({array.dtype}); a derivative needs floats: .astype(float)")
    if array.dtype.kind == "c":
        raise SubjectError(f"point[{name!r}] is complex; hand over its real and its imaginary part as two arrays")
    if array.dtype.kind != "f":
        raise SubjectError(f"point[{name!r}] has dtype {array.dtype}; it must be an array of real floats")
    return array


def _frozen(name: str, array: Array) -> Array:
    finite = np.isfinite(array)
    if not finite.all():
        where = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise SubjectError(f"point[{name!r}] is not finite at {list(where)} ({array[where]}); choose a finite point")
    copy = np.array(array, order="C")  # flat indices into it are views then
    copy.setflags(write=False)
    return copy


def copied(point: Point) -> dict[str, Array]:
    """Writable copies of all arrays."""
    return {name: np.array(array, order="C") for name, array in point.items()}


def identical(one: Array, other: Array) -> bool:
    """Whether two arrays hold the same numbers, NaN in the same places included; of small ones the bytes tell first."""
    if one.shape != other.shape:
        return False
    if one.nbytes <= FEW_BYTES and one.dtype == other.dtype and one.tobytes() == other.tobytes():
        return True
    return bool((one == other).all() or np.array_equal(one, other, equal_nan=True))


def scalar(value: Any) -> Any:
    """A loss as one floating-point NumPy scalar. Raises ``SubjectError`` for anything that is not one number."""
    if isinstance(value, (float, np.floating, np.complexfloating)):  # tens of thousands of times a check
        return np.asarray(value)[()]
    if isinstance(value, (tuple, list)):
        hint = (
            "; is it (loss, cache) or (loss, gradient)? There is a form for each: Subject.from_…"
            if len(value) == 2
            else ""
        )
        raise SubjectError(f"the loss must be one number; it is a {type(value).__name__} of {len(value)}{hint}")
    if isinstance(value, np.ma.MaskedArray) and np.ma.getmaskarray(value).any():
        raise SubjectError("the loss must be one number; it is masked")
    try:
        array = np.asarray(value)
    except Exception as error:
        raise SubjectError(f"the loss must be one number; it is a {type(value).__name__}: {error}") from error
    if array.size != 1 or array.dtype.kind not in "fciu":
        what = f"an array of shape {array.shape}" if array.dtype.kind in "fciu" else f"a {type(value).__name__}"
        raise SubjectError(f"the loss must be one number; it is {what}")
    return array.reshape(())[()] if array.dtype.kind in "fc" else np.float64(array.reshape(()))


def pair_of(returned: Any, what: str = "forward", takes: str = "(loss, cache)") -> tuple[Any, Any]:
    """What a function returned, taken apart. Raises ``SubjectError`` where it is not a pair."""
    if not isinstance(returned, (tuple, list)) or len(returned) != 2:
        length = f" of {len(returned)}" if isinstance(returned, (tuple, list)) else ""
        raise SubjectError(f"{what} must return {takes}; it returned a {type(returned).__name__}{length}")
    return returned[0], returned[1]


def checked_gradient(returned: Any, blocks: Point, subject: str) -> dict[str, Array]:
    """What a backward pass returned, copied, by name, each of its block's shape; ``None`` means not returned.

    Raises
    ------
    SubjectError
        For anything but a mapping, an unknown name, another shape, and values that are not real numbers.
    """
    if not isinstance(returned, Mapping):
        raise SubjectError(
            f"the gradient of {subject} must be a dict {{name: array}}, one entry a name of the point; "
            f"it is a {type(returned).__name__}"
        )
    unknown = [str(name) for name in returned if name not in blocks]
    if unknown:
        raise SubjectError(
            f"the gradient of {subject} names {', '.join(unknown)}, which the point lacks; it has {', '.join(blocks)}"
        )
    return {name: _real(name, value, blocks[name].shape) for name, value in returned.items() if value is not None}


def _real(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    if isinstance(value, np.ma.MaskedArray):
        raise SubjectError(f"the gradient of {name} is a masked array; return plain values, such as value.filled(0.0)")
    try:
        array = np.asarray(value)
    except Exception as error:
        raise SubjectError(f"the gradient of {name} is not an array: {error}") from error
    if array.dtype.kind not in "fiuc":
        raise SubjectError(f"the gradient of {name} has dtype {array.dtype}; it must be an array of floats")
    if array.dtype.kind == "c":
        raise SubjectError(f"the gradient of {name} is complex at a real point; return its real part")
    if array.shape != shape:
        hint = (
            f"; if it is laid out transposed, say so: layout={{{name!r}: 'transposed'}}"
            if array.T.shape == shape
            else ""
        )
        raise SubjectError(
            f"the gradient of {name} has shape {array.shape}, but {name} has shape {shape}; "
            f"it is compared as it is, never broadcast or transposed{hint}"
        )
    return np.array(array, order="C")


def total_size(arrays: Iterable[Array]) -> int:
    """Number of entries of all arrays."""
    return sum(array.size for array in arrays)


def named(function: Any) -> str:
    """What a function or object calls itself."""
    return str(getattr(function, "__name__", type(function).__name__))
