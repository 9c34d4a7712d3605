"""What a line of a backward pass holds, in the words of its author: products of derivatives and forward values.

Where a line's own value and the right one are both known at every entry, no short product gives either by chance. So
``dn = dh * z`` can be read off the numbers of a cell in no catalogue, and ``dh * (1 - z)`` as what belongs there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array]
Factor = tuple[str, Array]  # as it is written, and its values
CONSTANTS = {1.0: "", -1.0: "-", 2.0: "2 * ", 0.5: "0.5 * "}
FEWEST = 8  # entries from which on agreement is no chance
FACTORS = 2


@dataclass(frozen=True)
class Said:
    """What is wrong with a line: in words, what to write where that is known, and how closely it fits."""

    says: str
    remedy: str
    residual: float


def said_of(
    name: str, written: Array, right: Array, derivatives: Arrays, values: Arrays, tolerance: float
) -> Said | None:
    """How a line differs from what belongs there.

    Parameters
    ----------
    name: of the line. written, right: what it holds and what it should, steps first.
    derivatives, values: what it could be made of, by the author's names, in the same shape.
    tolerance: of the largest entry, what counts as equal.

    Returns
    -------
    Said or None
        ``None`` where no short expression fits to the tolerance.
    """
    if written.size < FEWEST or not np.isfinite(written).all():
        return None
    factors = list(_factors(values))
    if (off := _off(written, -right)) <= tolerance:
        return Said(f"{name} has the wrong sign", f"change the sign of {name}", off)
    products = list(_products(factors))
    wrong, belongs = (_expression(a, derivatives, products, tolerance) for a in (written, right))
    if wrong and belongs:
        return Said(f"{name} is {wrong[0]} where {belongs[0]} belongs", f"{name} = {belongs[0]}", wrong[1])
    return (
        _term(name, right - written, derivatives, products, tolerance, known=wrong is not None)
        or _factor(name, written, right, factors, tolerance)
        or (Said(f"{name} is {wrong[0]}, which is not what belongs there", "", wrong[1]) if wrong else None)
    )


def _term(
    name: str, gap: Array, derivatives: Arrays, products: list[Factor], tolerance: float, *, known: bool
) -> Said | None:
    """A term that is missing, or one too many; ``known``: what is written is a product by itself, and lacks it."""
    part = _expression(gap, derivatives, products, tolerance)
    if part is None:
        return None
    text, off = part
    if text.startswith("-") and not known:
        taken = text.removeprefix("-")
        return Said(f"{name} has {taken} in it, which does not belong there", f"take {taken} out of {name}", off)
    return Said(f"{name} lacks {text}", f"add {text} to {name}", off)


def _factor(name: str, written: Array, right: Array, factors: list[Factor], tolerance: float) -> Said | None:
    """A factor that is missing, or one too many."""
    for text, factor in factors:
        if (off := _off(written, right * factor)) <= tolerance:
            return Said(f"{name} has the factor {text} once too often", f"drop the factor {text} of {name}", off)
        if (off := _off(right, written * factor)) <= tolerance:
            return Said(f"{name} lacks the factor {text}", f"multiply {name} by {text}", off)
    return None


def _factors(values: Arrays) -> Iterator[Factor]:
    for name, v in values.items():
        yield name, v
        yield f"(1 - {name})", 1 - v
        yield f"(1 - {name}**2)", 1 - v**2
        yield f"{name} * (1 - {name})", v * (1 - v)


def _products(factors: list[Factor]) -> Iterator[Factor]:
    """Nothing, one factor, two."""
    yield "", np.ones(())
    for count in range(1, FACTORS + 1):
        for chosen in combinations_with_replacement(factors, count):
            yield " * ".join(text for text, _ in chosen), np.prod([a for _, a in chosen], axis=0)


def _expression(a: Array, derivatives: Arrays, products: list[Factor], tolerance: float) -> tuple[str, float] | None:
    """The shortest c · derivative · factors that gives ``a``."""
    fitting: list[tuple[int, str, float]] = []
    if not a.any():
        return None
    together = np.stack([np.broadcast_to(product, a.shape).reshape(-1) for _, product in products])
    for name, d in derivatives.items():
        made = together * d.reshape(-1)
        size = np.einsum("kn,kn->k", made, made)
        constants = made @ a.reshape(-1) / np.where(size > 0, size, 1)
        for constant, written in CONSTANTS.items():
            for k in np.flatnonzero(np.abs(constants - constant) <= tolerance):
                if (off := _off(a.reshape(-1), constant * made[k])) <= tolerance:
                    text = products[k][0]
                    fitting.append((int(k), written + name + (f" * {text}" if text else ""), off))
    _, text, off = min(fitting, default=(0, "", 0.0), key=lambda each: each[0])
    return (text, off) if fitting else None


def _off(a: Array, b: Array) -> float:
    largest = max(float(np.abs(a).max(initial=0)), float(np.abs(b).max(initial=0)))
    return float(np.abs(a - b).max(initial=0)) / largest if largest else 0.0
