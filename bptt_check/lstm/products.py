"""How the matrix products of the fused pass and of the sweeps are cut.

Before OpenBLAS multiplies it copies both factors into the order in which it will read them. With as few rows as a batch
has, copying the weights takes a good part of the time, at every step anew. For processors with AVX-512 it has kernels
besides that read small factors where they lie, up to 100³ multiplications a product: half as fast again at
(32, 193, 512), in float32 and float64. So products of a step go gate by gate where that brings them below, which costs
nothing elsewhere, and those of the backward pass and of the sweeps in bands of columns, or of rows, where those kernels
are there.

What x and the biases add to z waits for no step. Where a step's product is too large for all that it is had for many
steps at once, in rows enough for the copies not to count.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from bptt_check.lstm.aligned import empty

Array = np.ndarray[Any, Any]
SMALL = 100**3  # multiplications up to which OpenBLAS leaves factors where they lie
NARROWEST, FEWEST, MOST = 32, 8, 64  # columns of a band at least; rows of one at least and at most
COLUMNS, LOWEST = 48, 16  # columns of a band where there are thousands; rows of one at least
ROWS_AHEAD = 512  # rows (steps × sequences) of what x adds to z that are had at a time


@cache
def wide_registers() -> bool:
    """Whether the processor has AVX-512, and NumPy uses it."""
    try:
        built: Any = np.show_config(mode="dicts")
        there = built["SIMD Extensions"].get("found", []) + built["SIMD Extensions"].get("baseline", [])
    except (KeyError, TypeError, AttributeError):
        return False
    return any(name == "X86_V4" or name.startswith("AVX512") for name in there)


@cache
def small_kernels() -> bool:
    """Whether NumPy's matrix products have kernels for small factors: OpenBLAS, on a processor with AVX-512."""
    try:
        built: Any = np.show_config(mode="dicts")
        blas = str(built["Build Dependencies"]["blas"]["name"])
    except (KeyError, TypeError, AttributeError):
        return False
    return "openblas" in blas.lower() and wide_registers()


def band_of_columns(rows: int, inner: int, columns: int, kind: np.dtype[Any]) -> int:
    """In how many columns at a time (rows × inner) times (inner × columns) is best taken; a divisor of ``columns``."""
    if rows == 1 or rows * inner * columns <= SMALL or kind.char not in "fd" or not small_kernels():
        return columns
    widths = (w for w in range(columns // 2, NARROWEST - 1, -1) if columns % w == 0 and w % NARROWEST == 0)
    return next((w for w in widths if rows * inner * w <= SMALL), columns)


def multiply_rows(left: Array, right: Array, out: Array) -> None:
    """``left @ right`` of many rows into ``out``, both contiguous, so many rows at a time as is best."""
    (rows, inner), columns = left.shape, right.shape[1]
    band = min(MOST, 1 << (max(1, SMALL // (inner * columns)).bit_length() - 1))
    if rows <= band or band < FEWEST or rows % band or left.dtype.char not in "fd" or not small_kernels():
        left.dot(right, out)
    else:
        np.matmul(left.reshape(-1, band, inner), right, out.reshape(-1, band, columns))


def multiply_columns(left: Array, right: Array, out: Array) -> None:
    """``left @ right`` of many columns into ``out``, so many columns and rows at a time as is best.

    Rows of ``right`` and ``out`` are contiguous, and may lie apart.
    """
    (rows, inner), count = left.shape, right.shape[1]
    bands = (r for r in range(1, rows // LOWEST + 1) if rows % r == 0 and rows // r * inner * COLUMNS <= SMALL)
    parts = next(bands, 0) if rows * inner * count > SMALL and left.dtype.char in "fd" and small_kernels() else 0
    cut = count // COLUMNS * COLUMNS if parts else 0
    if cut:
        columns = right[:, :cut].reshape(1, inner, -1, COLUMNS).swapaxes(1, 2)
        into = out[:, :cut].reshape(parts, -1, cut // COLUMNS, COLUMNS).swapaxes(1, 2)
        np.matmul(left.reshape(parts, 1, -1, inner), columns, out=into)
    if left.dtype.char == "g":  # long double: no library, and matmul's own loops take half as long again as dot's
        out[...] = left.dot(right)
    elif cut < count:
        np.matmul(left, right[:, cut:], out=out[:, cut:])


def by_gate(rows: int, inner: int, columns: int) -> bool:
    """Whether z of a step is best had by one product a gate, (rows × inner) times (inner × columns) each."""
    return rows > 1 and rows * inner * columns <= SMALL


def inputs_ahead(seen: Array, weights: Array, T: int, n: int) -> Iterator[Array]:
    """What x(t) and the biases add to z, (n, B, H), step by step.

    ``seen`` (·, B, D+1): [x(t), 1]; ``weights`` (D+1, n H).
    """
    B, width = seen.shape[1], weights.shape[1]
    c = max(1, min(T, ROWS_AHEAD // B))
    z = empty((c * B, width), weights.dtype)
    views = [step.swapaxes(0, 1) for step in z.reshape(c, B, n, width // n)]
    for first in range(0, T, c):
        k = min(c, T - first)
        seen[first : first + k].reshape(k * B, -1).dot(weights, z[: k * B])
        yield from views[:k]
