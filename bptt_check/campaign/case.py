"""A case of the built-in family: frozen, picklable, plain data; and the pure function that turns it into a record."""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bptt_check.errors import UsageError
from bptt_check.report.record import Record, record_of

if TYPE_CHECKING:
    from bptt_check.subject import Subject

DTYPES = ("float64", "float32", "longdouble")
MASKED = ("last_step:huber", "last_step:softmax_cross_entropy", "unequal_lengths:logistic", "unequal_lengths:absolute")
LONG_EVERY = 40  # one case in so many has a long sequence
MOST_STEPS = 32


@dataclass(frozen=True)
class Case:
    """Which cell, which loss, how large, which seed, which precision: all that it takes to make the case again."""

    cell: str
    loss: str
    T: int
    B: int
    D: int
    H: int
    seed: int
    dtype: str = "float64"

    @property
    def name(self) -> str:
        """What reports call it."""
        kind = "" if self.dtype == "float64" else f", {self.dtype}"
        return f"{self.cell}, {self.loss}, T={self.T} B={self.B} D={self.D} H={self.H}, seed {self.seed}{kind}"

    @property
    def reproduce(self) -> str:
        """A shell line that checks this case alone and prints its table; empty for other types than float64."""
        if self.dtype != "float64":
            return ""
        sizes = f"T={self.T}, B={self.B}, D={self.D}, H={self.H}"
        made = f"Subject.from_variant('{self.cell}', {sizes}, loss='{self.loss}', rng={self.seed})"
        return f'python -c "from bptt_check import Subject, check; print(check({made}, rng={self.seed}))"'

    def as_json(self) -> dict[str, Any]:
        """The case as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Case:
        """The case that :meth:`as_json` has written.

        Raises
        ------
        UsageError
            Where a field is missing, unknown or of another type; it is named.
        """
        kinds = {"cell": str, "loss": str, "T": int, "B": int, "D": int, "H": int, "seed": int, "dtype": str}
        given = {"dtype": "float64", **data}
        for key in kinds.keys() ^ given.keys():
            raise UsageError(
                f"a case has the fields {', '.join(kinds)}; {key} is {'unknown' if key in given else 'missing'}"
            )
        for key, kind in kinds.items():
            if not isinstance(given[key], kind) or isinstance(given[key], bool):
                raise UsageError(f"{key} of a case must be {kind.__name__}, not {given[key]!r}")
        return cls(**given)

    def subject(self) -> Subject:
        """The thing to check.

        Raises
        ------
        SubjectError
            Where there is no such cell, loss or shape.
        UsageError
            Where there is no such dtype.
        """
        from bptt_check.subject import Subject

        if self.dtype not in DTYPES:
            raise UsageError(f"dtype must be one of {', '.join(DTYPES)}; it is {self.dtype!r}")
        drawn = Subject.from_variant(self.cell, **self._options())
        if self.dtype == "float64":
            return drawn
        point = {name: array.astype(self.dtype) for name, array in drawn.point.items()}
        return Subject.from_variant(self.cell, point=point, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"T": self.T, "B": self.B, "D": self.D, "H": self.H, "loss": self.loss, "rng": self.seed}


def run_case(case: Case) -> Record:
    """Check one case. Never raises: what fails inside is an inconclusive record that says so."""
    try:
        from bptt_check.checking import check

        record = record_of(check(case.subject(), rng=case.seed, entries="all"), name=case.name, case=case.as_json())
    except Exception as error:
        record = failed(case.name, case.as_json(), error)
    if record.verdict != "AGREES" and case.reproduce:
        record = replace(record, data={"reproduce": case.reproduce})
    return record


def failed(name: str, case: Mapping[str, Any], error: BaseException) -> Record:
    """The record of a case that could not be checked because ``error`` was raised."""
    finding = {
        "kind": "raised",
        "message": f"the check raised {type(error).__name__}: {error}",
        "detail": "".join(traceback.format_exception(error)),
        "fault": True,
    }
    return Record(name=name, case=case, verdict="INCONCLUSIVE", findings=(finding,))


def random_cases(n: int, seed: int = 0) -> tuple[Case, ...]:
    """``n`` cases over all cells and losses; the same ``seed`` gives the same cases, and a longer run begins with them.

    About half of them have the post's cell or the common one (NP). Each cell and each loss comes up about equally often
    because they are dealt from shuffled decks. T = 1, T ≥ 5, B = 1, D = H and D ≠ H are all frequent.

    Raises
    ------
    UsageError
        Where ``n`` is below 1.
    """
    if n < 1:
        raise UsageError(f"the number of cases must be at least 1; it is {n}")
    from bptt_check.lstm.losses import LOSS_NAMES
    from bptt_check.lstm.variants import VARIANTS

    rng = random.Random(seed)
    main = ("post", "NP")
    others = [variant.name for variant in VARIANTS if variant.name not in main]
    cells = _dealt([*others, *main * ((len(others) + 1) // 2)], rng)
    losses = _dealt([*LOSS_NAMES, *MASKED], rng)
    return tuple(_case(k, next(cells), next(losses), rng) for k in range(n))


def _case(k: int, cell: str, loss: str, rng: random.Random) -> Case:
    steps = rng.choice((1, 1, 2, 3, 4, 5, 6, 8))
    if k % LONG_EVERY == LONG_EVERY - 1:
        steps = rng.randint(16, MOST_STEPS)
    inputs = rng.randint(1, 4)
    memory = inputs if rng.random() < 0.25 else rng.randint(1, 4)
    return Case(cell, loss, T=steps, B=rng.choice((1, 1, 2, 3)), D=inputs, H=memory, seed=rng.getrandbits(31))


def _dealt(deck: Sequence[str], rng: random.Random) -> Iterator[str]:
    while True:
        yield from rng.sample(deck, len(deck))
