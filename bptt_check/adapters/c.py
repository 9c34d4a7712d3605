"""C, and anything else that compiles to a shared library: flat vectors and a table of shapes.

The library exports a loss and its gradient, T being ``double`` or ``float``::

    T loss(const T *point);
    void gradient(const T *point, T *gradient);

All arrays lie one behind the other in ``point``, in the order of the table, each in C order; the gradient has the same
layout. It is handed over filled with NaN: it is to be written, not added to. Other signatures are declared with
``arguments=``, and one function for both, which skips the gradient where its pointer is NULL, by giving it for both::

    library = compile_library("lstm.c", defines={"REAL": "double"})
    subject = from_library(library, loss="lstm_loss", gradient="lstm_loss",
                           shapes={"W": (4, H, D), "b": (4, H), "x": (T, B, D)},
                           arguments=("point", y, "gradient", T, B, D, H))

A library that crashes takes the process with it: run it in one of its own.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bptt_check.errors import MissingExtra, SubjectError, SubjectWarning, UsageError
from bptt_check.forms.declared import declared_loss
from bptt_check.points import Array, Point
from bptt_check.recurrence import of_loss
from bptt_check.subject import Subject

POINT, GRADIENT = "point", "gradient"
C_TYPES: Mapping[str, Any] = {"float64": ctypes.c_double, "float32": ctypes.c_float}
GUARD = 16  # entries before and behind the gradient that must stay as they are


def compile_library(
    source: str | Path,
    *,
    directory: str | Path | None = None,
    defines: Mapping[str, str] | None = None,
    flags: Sequence[str] = ("-O2",),
    compiler: str | None = None,
) -> Path:
    """Compile C to a shared library. Returns its path.

    Parameters
    ----------
    source: path of a .c file, or C itself (anything with a line break or a brace).
    directory: where the library goes; a new temporary one by default.
    defines: macros, such as ``{"REAL": "float"}``.
    compiler: a command; by default ``$CC``, else the first of cc, gcc and clang.

    Raises
    ------
    MissingExtra
        Where there is no compiler.
    UsageError
        Where the source does not exist or does not compile; the compiler's words are in the message.
    """
    command = compiler or os.environ.get("CC") or next(filter(shutil.which, ("cc", "gcc", "clang")), None)
    if command is None or shutil.which(command.split()[0]) is None:
        raise MissingExtra(f"no C compiler: {command or 'cc, gcc or clang'} is not on the path; install one, or set CC")
    directory = Path(tempfile.mkdtemp(prefix="bptt-check-") if directory is None else directory)
    text = str(source)
    if "\n" in text or "{" in text:
        path = directory / "source.c"
        path.write_text(text, encoding="utf-8")
    else:
        path = Path(source)
    if not path.is_file():
        raise UsageError(f"{path} is no file; give the path of a .c file, or its text")
    kind = "-".join([path.stem, *(defines or {}).values()])
    library = directory / f"{kind}.so"
    macros = [f"-D{name}={value}" for name, value in (defines or {}).items()]
    arguments = [*command.split(), "-shared", "-fPIC", *flags, *macros, str(path), "-o", str(library), "-lm"]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"{path.name} does not compile:\n{done.stderr.strip()}")
    return library.resolve()


def from_library(
    path: str | Path,
    *,
    shapes: Mapping[str, Sequence[int]],
    point: Mapping[str, Any] | None = None,
    loss: str = "loss",
    gradient: str = "gradient",
    arguments: Sequence[Any] | None = None,
    dtype: str = "float64",
    rng: int | np.random.Generator = 0,
    name: str | None = None,
    loss_of: Any = None,
    targets: Any = None,
) -> Subject:
    """A loss and its gradient from a shared library; see the head of this module for what it exports.

    Parameters
    ----------
    path: of the shared library.
    shapes: {name: shape}, in the order in which the arrays lie in the vector.
    point: {name: array} of these shapes; drawn, with no entry near 0, where not given.
    loss, gradient: names of the exported functions.
    arguments: what they are called with: ``"point"`` and ``"gradient"`` for the vectors, a whole number for an ``int``,
        a float for a T, an array for a ``const T *`` (of integers: ``const int *``). The loss gets NULL for
        ``"gradient"`` where one function serves for both, and is called without it where not.
    dtype: ``"float64"`` or ``"float32"``: what T is.
    rng: seed or generator of a point that is not given.
    loss_of, targets: as for :meth:`bptt_check.Subject.from_functions`.

    Raises
    ------
    SubjectError
        Where the library cannot be loaded, lacks a function, or the point does not fit the table.
    UsageError
        For another ``dtype``, or ``arguments`` that cannot be handed to C.
    """
    if dtype not in C_TYPES:
        raise UsageError(f"dtype={dtype!r}; it takes {' or '.join(map(repr, C_TYPES))}")
    table = {key: tuple(int(n) for n in shape) for key, shape in shapes.items()}
    library = _loaded(path)
    passed = tuple(arguments) if arguments is not None else (POINT, GRADIENT)
    constants = [_constant(value, dtype) for value in passed]
    code = _Code(
        table,
        dtype,
        _exported(library, loss, C_TYPES[dtype], path),
        _exported(library, gradient, C_TYPES[dtype], path),
        tuple(constants),
        joint=loss == gradient,
    )
    drawn = _drawn(table, rng) if point is None else point
    typed = _typed(drawn, table, dtype)
    recurrence = of_loss(code.loss, declared_loss(loss_of, targets, typed))
    return Subject(name or Path(path).stem, typed, code.loss, code.gradient, precision=dtype, recurrence=recurrence)


@dataclass(frozen=True)
class _Code:
    """Two exported functions and how they are called."""

    table: Mapping[str, tuple[int, ...]]
    dtype: str
    loss_function: Callable[..., Any]
    gradient_function: Callable[..., Any]
    arguments: tuple[Any, ...]
    joint: bool

    def loss(self, point: Point) -> Any:
        flat = self._flat(point)
        null = [None] if self.joint else []
        value = self.loss_function(*self._filled(flat, null))
        self._look_at_inputs(point, flat, "the loss")
        return np.asarray(value, self.dtype)[()]

    def gradient(self, point: Point) -> dict[str, Array]:
        flat = self._flat(point)
        guarded = np.full(flat.size + 2 * GUARD, np.nan, self.dtype)
        vector = guarded[GUARD:-GUARD]
        self.gradient_function(*self._filled(flat, [_pointer(vector)]))
        self._look_at_inputs(point, flat, "the gradient")
        for outside, where in ((guarded[:GUARD], "before the beginning"), (guarded[-GUARD:], "past the end")):
            if not np.isnan(outside).all():
                raise SubjectError(f"the gradient function writes {where} of its vector of {flat.size} entries")
        return self._by_name(vector)

    def _flat(self, point: Point) -> Array:
        if any(a.dtype.kind != "f" or a.dtype.itemsize > 8 for a in point.values()):
            raise SubjectError(f"compiled code takes {self.dtype} only")
        return np.concatenate([point[name].astype(self.dtype).reshape(-1) for name in self.table])

    def _filled(self, flat: Array, gradient: list[Any]) -> list[Any]:
        filled: list[Any] = []
        for argument in self.arguments:
            if isinstance(argument, str):
                filled += [_pointer(flat)] if argument == POINT else gradient
            else:
                filled.append(_pointer(argument) if isinstance(argument, np.ndarray) else argument)
        return filled

    def _look_at_inputs(self, point: Point, flat: Array, what: str) -> None:
        if not np.array_equal(flat, self._flat(point)):
            warnings.warn(
                SubjectWarning("changed-inputs", f"{what} writes to its point; declare it const"), stacklevel=1
            )

    def _by_name(self, vector: Array) -> dict[str, Array]:
        ends = np.cumsum([int(np.prod(shape)) for shape in self.table.values()])
        parts = np.split(vector, ends[:-1])
        return {k: part.reshape(shape) for (k, shape), part in zip(self.table.items(), parts, strict=True)}


def _pointer(array: Array) -> Any:
    return array.ctypes.data_as(ctypes.c_void_p)


def _constant(value: Any, dtype: str) -> Any:
    if isinstance(value, str) and value in (POINT, GRADIENT):
        return value
    if isinstance(value, (bool, np.bool_, str)) or value is None:
        raise UsageError(f"arguments= holds {value!r}; it takes 'point', 'gradient', whole numbers, floats and arrays")
    if isinstance(value, (int, np.integer)):
        return ctypes.c_int(int(value))
    if isinstance(value, (float, np.floating)):
        return C_TYPES[dtype](float(value))
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise UsageError(f"arguments= holds an array of {array.dtype}; it takes arrays of floats or integers")
    return np.ascontiguousarray(array, dtype=dtype if array.dtype.kind == "f" else np.intc)


def _loaded(path: str | Path) -> ctypes.CDLL:
    try:
        return ctypes.CDLL(str(Path(path).resolve(strict=True)))
    except OSError as error:
        raise SubjectError(f"{path} cannot be loaded: {error}") from error


def _exported(library: ctypes.CDLL, symbol: str, returns: Any, path: str | Path) -> Callable[..., Any]:
    try:
        function = library[symbol]  # an object of its own for each subject, unlike an attribute
    except AttributeError:
        raise SubjectError(f"{path} exports no function {symbol}") from None
    function.restype = returns
    return function


def _drawn(table: Mapping[str, tuple[int, ...]], rng: int | np.random.Generator) -> dict[str, Array]:
    rng = np.random.default_rng(rng)
    return {k: rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape) for k, shape in table.items()}


def _typed(point: Mapping[str, Any], table: Mapping[str, tuple[int, ...]], dtype: str) -> dict[str, Array]:
    if set(point) != set(table):
        raise SubjectError(f"the point has {', '.join(point)}; shapes= names {', '.join(table)}")
    arrays = {}
    for key, shape in table.items():
        array = np.asarray(point[key])
        if array.shape != shape:
            raise SubjectError(f"point[{key!r}] has shape {array.shape}; shapes= says {shape}")
        arrays[key] = array.astype(dtype) if array.dtype.kind == "f" else array
    return arrays
