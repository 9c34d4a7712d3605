"""tanh and σ of rows of numbers that all lie near the first of their row, by the addition theorems.

NumPy computes exp and tanh of float64 number by number, at 6 and 14 ns each, unless the processor has AVX-512. Copies
of a cell whose entries are moved by a small step hold nearly the same z. With d the distance from the first number z of
a row, τ = tanh(d) and q = exp(d) − 1, without any approximation

    tanh(z + d) = tanh(z) + (1 − tanh²(z)) τ / (1 + τ tanh(z))        σ(−z − d) = σ(−z) / (1 + (1 − σ(−z)) q)

and of the series of τ and q so many terms are taken that the first one left out is below half an ulp: a dozen products
and sums, at a third of a nanosecond each. What comes out is right to a few ulps, of the first of the row where that is
larger. Numbers further apart, or of another type, are computed as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bptt_check.lstm.products import wide_registers

Array = np.ndarray[Any, Any]
HALF_AN_ULP = 2.0**-54
# The series of τ/d in powers of d² and of q/d in powers of d; and up to which |d| so many terms of them are enough:
# what is left out is a share of τ there, and of 1 here.
TANH = (1.0, -1 / 3, 2 / 15, -17 / 315)
EXP = (1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120)
TANH_REACH = tuple((n, (HALF_AN_ULP / abs(TANH[n])) ** (0.5 / n)) for n in (2, 3))
EXP_REACH = tuple((n, (HALF_AN_ULP / EXP[n]) ** (1 / (n + 1))) for n in (2, 3, 4))


def worth(kind: np.dtype[Any]) -> bool:
    """Whether it is faster than NumPy's own functions of such numbers."""
    return kind == np.float64 and not wide_registers()


class Nearby:
    """tanh and σ of arrays (rows, n) whose first column is what the others lie near, as long as they do."""

    def __init__(self, shape: tuple[int, int], kind: np.dtype[Any], *, far: bool = False) -> None:
        self.pays = not far and worth(kind)
        self.spare = np.empty((2, *shape) if self.pays else 0, kind)

    def tanh(self, z: Array, out: Array) -> None:
        """tanh of ``z`` into ``out``, which may be ``z`` itself."""
        terms, d = self.apart(z, TANH_REACH)
        if not terms:
            np.tanh(z, out=out)
            return
        middle = np.tanh(z[:, :1])
        spare = self.spare[1, : len(z), : z.shape[1]]
        series(TANH[:terms], np.multiply(d, d, out=spare), out)
        out *= d                                                             # τ
        np.multiply(out, middle, out=spare)
        spare += 1
        out *= 1 - middle * middle
        out /= spare
        out += middle

    def sigma(self, z: Array) -> None:
        """σ(−z) in place of ``z``."""
        terms, d = self.apart(z, EXP_REACH)
        if not terms:
            np.exp(z, out=z)
            z += 1
            np.reciprocal(z, out=z)
            return
        middle = 1 / (1 + np.exp(z[:, :1]))
        series([(1 - middle) * term for term in EXP[:terms]], d, z)
        z *= d                                                               # (1 − σ) q
        z += 1
        np.divide(middle, z, out=z)

    def apart(self, z: Array, reach: tuple[tuple[int, float], ...]) -> tuple[int, Array]:
        """How many terms are enough, 0 where none are; and how far each number is from the first of its row."""
        if not self.pays:
            return 0, z
        d = np.subtract(z, z[:, :1], out=self.spare[0, : len(z), : z.shape[1]])
        furthest = max(d.max(), -d.min())
        terms = next((n for n, far in reach if furthest <= far), 0)
        self.pays = terms > 0  # copies that have gone apart do not come back together
        return terms, d


def series(terms: Sequence[float | Array], x: Array, out: Array) -> None:
    """Σ terms[k] xᵏ into ``out``, from the last term back; terms may differ from row to row."""
    np.multiply(x, terms[-1], out=out)
    out += terms[-2]
    for term in terms[-3::-1]:
        out *= x
        out += term
