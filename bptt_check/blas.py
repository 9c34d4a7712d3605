"""Matrix products on one thread for a while.

A sweep makes many middling products. OpenBLAS shares each out among all cores, and its threads wait for each other by
spinning: on a machine that has other work to do a sweep then takes ten times as long, on an idle one it gains little.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

NAMES = ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads64_", "openblas_{}_num_threads")


@contextmanager
def single_threaded() -> Iterator[None]:
    """NumPy's OpenBLAS on one thread; with another BLAS, or where it cannot be found, nothing is changed."""
    found = _threads()
    if found is None:
        yield
        return
    get, put = found
    before = get()
    put(1)
    try:
        yield
    finally:
        put(before)


@cache
def _threads() -> tuple[Callable[[], int], Callable[[int], object]] | None:
    """How many threads NumPy's OpenBLAS uses, and how to change it."""
    try:
        library = ctypes.CDLL(import_module("numpy._core._multiarray_umath").__file__)
    except (ImportError, OSError):
        return None
    for name in NAMES:
        try:
            return library[name.format("get")], library[name.format("set")]
        except AttributeError:
            continue
    return None
