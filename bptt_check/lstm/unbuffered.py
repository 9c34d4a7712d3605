"""Operations on views, without the copies that NumPy makes of them.

NumPy runs an operation on arrays whose rows lie apart through a buffer of 8,192 numbers: rows are copied together,
worked on and copied back, which pays where rows are short or types have to be converted. On rows of hundreds of numbers
of one type it takes twice as long as the operation itself. With a buffer smaller than a row it works on the rows where
they lie.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

SMALLEST = 16  # numbers; NumPy takes no fewer


@contextmanager
def unbuffered() -> Iterator[None]:
    """NumPy's buffer as small as it can be, in this thread, for as long as the block lasts."""
    before = np.setbufsize(SMALLEST)
    try:
        yield
    finally:
        np.setbufsize(before)
