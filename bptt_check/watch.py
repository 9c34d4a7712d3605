"""What a subject's code does to the world around it: prints, and draws from the global random generators.

Both are undone: nothing that a check runs reaches the terminal, and the caller's generators stand where they stood.
"""

from __future__ import annotations

import contextlib
import io
import random
from collections.abc import Iterator
from typing import Any

import numpy as np

States = tuple[Any, ...]
FRESH = 624  # where both global generators stand in their numbers when they have just been seeded
KEPT = 200  # characters of what was printed, for the finding's detail


class Printed(io.TextIOBase):
    """A text stream that keeps the first characters and counts the rest."""

    def __init__(self) -> None:
        self.text = ""
        self.count = 0

    def writable(self) -> bool:
        """Text streams say so."""
        return True

    def write(self, text: str) -> int:
        """Take ``text``; only its beginning is kept."""
        self.count += len(text)
        self.text += text[: KEPT - len(self.text)] if len(self.text) < KEPT else ""
        return len(text)


@contextlib.contextmanager
def undisturbed() -> Iterator[States]:
    """Run the subject's code: prints are caught, and the global random generators set back at the end.

    Reading or setting them costs a tenth of a millisecond, so it is done once around a check, not around every call;
    inside, they run on, and a loss that depends on them is seen to differ when repeated. Yields how they stand before
    that code runs: not as just seeded (Hypothesis seeds them before each example), for code that seeds them alike
    would leave no trace.
    """
    states = random_states()
    try:
        with unprinted():
            yield _moved_on() if FRESH in (states[1], states[-1][1][-1]) else states
    finally:
        restore(states)


@contextlib.contextmanager
def unprinted() -> Iterator[Printed]:
    """Catch what is printed."""
    printed = Printed()
    with contextlib.redirect_stdout(printed):
        yield printed


@contextlib.contextmanager
def seeded(seed: int = 0) -> Iterator[None]:
    """Global random generators in a fixed state inside, and as they were afterwards: draws are always the same."""
    states = random_states()
    try:
        np.random.seed(seed)  # noqa: NPY002
        random.seed(seed)
        yield
    finally:
        restore(states)


def random_states() -> States:
    """The states of NumPy's and Python's global generators; two that are equal compare equal."""
    state: Any = np.random.get_state(legacy=False)  # noqa: NPY002
    inner = state["state"]
    return inner["key"].tobytes(), inner["pos"], state["has_gauss"], state["gauss"], random.getstate()


def _moved_on() -> States:
    np.random.random_sample()  # noqa: NPY002
    random.random()
    return random_states()


def restore(states: States) -> None:
    """Set the global generators to what :func:`random_states` returned."""
    keys, position, has_gauss, gauss, python = states
    inner = {"key": np.frombuffer(keys, dtype=np.uint32), "pos": position}
    np.random.set_state(  # noqa: NPY002
        {"bit_generator": "MT19937", "state": inner, "has_gauss": has_gauss, "gauss": gauss}
    )
    random.setstate(python)
