"""A case held exactly, in a small strict JSON file: shape, seed, loss and, where given, all numbers of the point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bptt_check.campaign.shapes import Shape, shape_of
from bptt_check.errors import UsageError
from bptt_check.report.strict import NotStrictError, compact, parse
from bptt_check.report.text import clean
from bptt_check.report.writing import write_atomically

KIND = "bptt-check case"
SIZE_LIMIT = 64 * 2**20
HELD_ENTRIES = 20_000  # a point with more numbers than this is held by its seed alone
FIELDS = ("kind", "schema", "target", "shape", "seed", "loss", "point")


@dataclass(frozen=True)
class Trial:
    """One case of a user's target. ``shape`` and ``loss`` are ``None`` where the target takes none.

    ``point``: {name: {"dtype", "shape", "values"}}, the arrays that replace those drawn; empty for none.
    """

    seed: int = 0
    shape: Shape | None = None
    loss: str | None = None
    point: Mapping[str, Any] | None = None

    @property
    def described(self) -> str:
        """The case in words that a person can read."""
        parts = [", ".join(f"{k}={n}" for k, n in self.shape.lengths.items())] if self.shape else []
        parts += [f"loss {self.loss}"] if self.loss else []
        return ", ".join([*parts, f"seed {self.seed}"])

    @property
    def case(self) -> dict[str, Any]:
        """The case as a record keeps it."""
        lengths: dict[str, Any] = self.shape.lengths if self.shape else {}
        return {**lengths, **({"loss": self.loss} if self.loss else {}), "seed": self.seed}


def write_case(path: Path, trial: Trial, *, target: str) -> None:
    """Write ``trial`` to ``path``. Raises ``ReportError`` where it cannot be written."""
    shape = trial.shape.lengths if trial.shape else None
    row = {"kind": KIND, "schema": 1, "target": target, "shape": shape, "seed": trial.seed, "loss": trial.loss}
    write_atomically(path, compact({**row, "point": trial.point or {}}) + "\n")


def read_case(path: Path) -> Trial:
    """The case that :func:`write_case` has written, or that a person has.

    Raises
    ------
    UsageError
        Where the file cannot be read or is not such a case; the field is named.
    """
    name = clean(path)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise UsageError(f"--case {name} has more than {SIZE_LIMIT} bytes; it is not a case")
        row = parse(path.read_bytes())
    except OSError as error:
        raise UsageError(f"--case {name} cannot be read: {error.strerror or error}") from None
    except NotStrictError as reason:
        raise UsageError(f"--case {name} is not a case: {reason}") from None
    unknown = row.keys() - set(FIELDS)
    if row.get("kind") != KIND or row.get("schema") != 1 or unknown:
        what = f"a field {clean(min(unknown), limit=40)}" if unknown else f'no "kind": "{KIND}", "schema": 1'
        raise UsageError(f"--case {name} is not a case: it has {what}; take a .case.json file that verify has written")
    return _trial(row, name)


def _trial(row: Mapping[str, Any], name: str) -> Trial:
    seed, shape, loss, point = row.get("seed", 0), row.get("shape"), row.get("loss"), row.get("point") or {}
    if not _is_count(seed):
        raise UsageError(f"--case {name}: seed must be a whole number of at least 0")
    if shape is not None and not (isinstance(shape, dict) and all(_is_count(length) for length in shape.values())):
        raise UsageError(f'--case {name}: shape must be {{"T": 1, "B": 1, "D": 2, "H": 3}} or null')
    if loss is not None and not isinstance(loss, str):
        raise UsageError(f"--case {name}: loss must be a name or null")
    fields = {"dtype", "shape", "values"}
    if not isinstance(point, dict) or not all(isinstance(a, dict) and set(a) == fields for a in point.values()):
        raise UsageError(f"--case {name}: point must be {{name: {{dtype, shape, values}}}}")
    return Trial(seed, shape_of(shape) if shape is not None else None, loss, point)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def encoded(arrays: Mapping[str, Any]) -> dict[str, Any] | None:
    """Arrays as strict JSON, exactly; ``None`` where they are too many to hold. A long double is written as text."""
    if sum(array.size for array in arrays.values()) > HELD_ENTRIES:
        return None
    return {name: _encoded(array) for name, array in arrays.items()}


def _encoded(array: Any) -> dict[str, Any]:
    wide = array.dtype.itemsize > 8
    values = [str(value) for value in array.reshape(-1)] if wide else array.reshape(-1).astype(float).tolist()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": values}


def decoded(point: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays again. Raises ``UsageError`` where they are none."""
    import numpy as np

    arrays = {}
    for name, held in point.items():
        try:
            kind = np.dtype(held["dtype"])
            if kind.kind != "f":
                raise ValueError(f"dtype {kind} is not a float type")
            arrays[name] = np.array(held["values"], dtype=kind).reshape(held["shape"])
        except (TypeError, ValueError) as error:
            raise UsageError(f"--case: the numbers of {clean(name)} make no array: {error}") from None
    return arrays
