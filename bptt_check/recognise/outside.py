"""Inputs that the point does not hold: in a closure, one-hot by index, or rows of an embedding matrix.

With every weight zero but one column of W_gx, the candidate of each step shows one input of that step, and the forward
pass can be undone: h(t) gives s(t), s(t) and s(t−1) give g(t), and g(t) gives x(t). What comes out is a guess like any
other until the whole cell computes the user's outputs from it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bptt_check.budget import Budget
from bptt_check.lstm.activations import logistic
from bptt_check.lstm.variants import Gate, Variant
from bptt_check.points import Array
from bptt_check.recognise.axes import Frame, in_order, orders, stacked
from bptt_check.recognise.cuts import cuts_of
from bptt_check.recognise.trials import Trials

STEP = 2.0**-10  # the weight that is on: small, so that no tanh is near its ends, and exact
LARGEST = 1e4  # no input is larger
WIDTHS = 6  # how many lengths of x are tried
MOST_RUNS = 400  # of the forward pass, after which the search for inputs outside ends,
SECONDS = 8.0  # or of the processor, where a run takes long
Cell = tuple[Variant, Mapping[str, float]]  # and what its forward pass adds to our arrays, such as 1 to b_f


def frames_outside(
    trials: Trials, entries: Mapping[str, Array], cells: Sequence[Cell], tolerance: float
) -> Iterator[tuple[Frame, list[Cell]]]:
    """Readings in which x is none of the point's arrays, each with the cells that it can be of."""
    budget = Budget(MOST_RUNS, SECONDS)
    runs = len(trials.kept)
    for output, order, (T, B, H) in _outputs(trials, entries):
        for table in (None, *_tables(entries)):
            for D in [table.shape[1]] if table is not None else _widths(entries, H):
                look = _Look(trials, output, order, (T, B, D, H), table)
                for frame, of in look.frames(entries, cells, tolerance):
                    budget.spend(len(trials.kept) - runs)
                    runs = len(trials.kept)
                    if budget.is_spent:
                        return
                    yield frame, of


def _outputs(trials: Trials, entries: Mapping[str, Array]) -> list[tuple[str, str, tuple[int, int, int]]]:
    """Every output over time that may be h, with its axes and T, B, H; first where many arrays have that H."""
    lengths = [n for places in entries.values() for n in places.shape]
    found = []
    for output, array in stacked(trials.run(trials.values)).items():
        for order in orders(array.ndim, "TBH"):
            if "T" in order and "H" in order:
                T, B, H = in_order(array, order, "TBH").shape
                found.append((output, order, (T, B, H)))
    alike = {H: sum(n == k * H > k for n in lengths for k in (1, 2, 3, 4)) for _, _, (_, _, H) in found}
    return sorted(found, key=lambda each: (-alike[each[2][2]], -each[2][0]))


def _tables(entries: Mapping[str, Array]) -> Iterator[Array]:
    """Matrices of which the rows, or the columns, may be words."""
    for places in entries.values():
        if places.ndim == 2 and min(places.shape) > 1:
            yield places
            yield places.T


def _widths(entries: Mapping[str, Array], H: int) -> list[int]:
    """How many inputs there may be, by what stands beside H in the shapes; what many arrays allow comes first."""
    counted = Counter(
        D for places in entries.values() if places.ndim > 1 for n in set(places.shape) for D in {n - H, n - H - 1, n}
    )
    likely = [D for D, _ in counted.most_common() if D > 0]
    return likely[:WIDTHS]


@dataclass(frozen=True)
class _Look:
    """One reading of the output's axes. ``table``: places of the matrix whose rows the inputs are, if they are any."""

    trials: Trials
    output: str
    order: str
    steps: tuple[int, int, int, int]
    table: Array | None

    def frames(
        self, entries: Mapping[str, Array], cells: Sequence[Cell], tolerance: float
    ) -> Iterator[tuple[Frame, list[Cell]]]:
        _, _, D, _ = self.steps
        seen: set[bytes] = set()
        for matrix in self._matrices(entries):
            if matrix.tobytes() in seen or not self._shown(matrix).any():
                continue
            seen.add(matrix.tobytes())
            columns = [self._shown(matrix[:, [d]]) for d in range(D)]
            found: dict[tuple[float, ...], tuple[Array | None, list[Cell]]] = {}
            for cell in cells:
                key = _at_rest(*cell)
                if key not in found:
                    found[key] = _undone(columns, key, tolerance), []
                found[key][1].append(cell)
            for x, of in found.values():
                frame = None if x is None else self._frame(x, tolerance)
                if frame is not None:
                    yield frame, of

    def _matrices(self, entries: Mapping[str, Array]) -> Iterator[Array]:
        _, B, D, H = self.steps
        for places in entries.values():
            if self.table is not None and np.isin(places, self.table).any():
                continue
            for cut in cuts_of(places, B, D, H):
                for piece in cut:
                    yield from (matrix for kind, matrix in piece.readings if kind == "from x")

    def _shown(self, on: Array) -> Array:
        """h, (T, B, H), with these weights on, and the table of words."""
        flat = np.zeros_like(self.trials.values)
        if self.table is not None:
            flat[self.table] = self.trials.values[self.table]
        flat[on] = STEP
        return in_order(stacked(self.trials.run(flat))[self.output], self.order, "TBH")

    def _frame(self, x: Array, tolerance: float) -> Frame | None:
        nowhere = np.zeros((*x.shape[:2], 0), int)
        if self.table is None:
            return Frame(*self.steps, nowhere, self.output, self.order, x)
        rows = self.trials.values[self.table]
        off = np.abs(rows - x[:, :, None, :]).max(axis=-1)
        if (off.min(axis=-1) > 10 * tolerance * np.abs(rows).max()).any():
            return None
        return Frame(*self.steps, self.table[off.argmin(axis=-1)], self.output, self.order)


def _at_rest(cell: Variant, constants: Mapping[str, float]) -> tuple[float, ...]:
    """What the gates are where all that they see is zero, and which activations are tanh."""
    half = {k: 1.0 if cell.gate(k) is Gate.OPEN else 0.5 for k in "ifo"}
    if "b_f" in constants:
        half["f"] = float(logistic(np.array(float(constants["b_f"]))))
    tanh = [float(a == "tanh") for a in (cell.input_activation, cell.output_activation)]
    return half["i"], half["f"], half["o"], *tanh


def _undone(columns: Sequence[Array], key: tuple[float, ...], tolerance: float) -> Array | None:
    """x (T, B, D) from h of each of its columns; ``None`` where the memory cells do not all show the same."""
    i, f, o, input_tanh, output_tanh = key
    inputs = []
    with np.errstate(all="ignore"):
        for h in columns:
            s = np.arctanh(h / o) if output_tanh else h / o
            g = (s - f * np.concatenate([np.zeros_like(s[:1]), s[:-1]])) / i
            inputs.append((np.arctanh(g) if input_tanh else g) / STEP)
    shown = np.stack(inputs, axis=2)  # (T, B, D, H)
    x = shown[..., 0]
    largest = np.abs(x).max(initial=0)
    if not 0 < largest < LARGEST or not np.abs(shown - x[..., None]).max() <= 10 * tolerance * largest:
        return None
    return np.asarray(x, dtype=float)
