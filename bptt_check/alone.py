"""One block by itself: along directions of its own, then, where one is off, down to its entries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bptt_check import cancelling, directions, search
from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY, Comparison, is_timed, judge
from bptt_check.confirm import Confirmed, confirm, relieved
from bptt_check.differences.estimate import Estimate
from bptt_check.glance import Glance
from bptt_check.results import Block, Verdict
from bptt_check.seen import Off
from bptt_check.settle import GRAVE, SHARE
from bptt_check.sides import KINK, one_sided
from bptt_check.structure import structure
from bptt_check.subject import Array

MOST_DIRECTIONS = 6  # of a block's own, drawn while they agree and what they see is too blunt
ENTRIES = 256  # a block of up to this many that its directions do not settle is compared entry by entry,
BLUNT_ENTRIES = 2048  # of up to this many where they see too bluntly, and nothing is off,
DIFFERENCE_ENTRIES = 32  # of up to this many where each entry costs a ladder of real differences
DEAR = 300  # evaluations after which a block that is off is sampled, unless it is as small as SMALL: others wait
SMALL = 32
FEW = 3  # entries that show a wrong block, and its largest, where no more is asked for
ESCALATION = 2000  # loss evaluations after which no more directions are drawn where each costs a ladder

FOUND = "{count} wrong entries found among {size}"
BELOW_ROUNDING = "partly below what rounding and noise leave visible here; agrees at a rescaled point"


@dataclass
class Alone:
    """One block, looked at along directions of its own. ``tolerances`` are those of all directions that covered it.

    ``borne_out``: that it is gravely off has been seen together with others. ``few``: it was shown by a few entries.
    """

    bench: Bench
    name: str
    divisor: Array
    resolution: float
    tolerances: tuple[float, ...]
    confirmed: Confirmed | None = None
    worst: Off | None = None
    along_worst: Array | None = None
    borne_out: bool = False
    few: bool = False

    seen: float = np.inf
    drawn: int = 0

    def look(self, draws: int = 1, *, first: bool = True) -> None:
        """Directions of its own: more while they agree and see too bluntly, until ``draws`` agree.

        Only those of this look decide; with ``first=False`` it goes on from what was seen already.
        """
        if first:
            self.worst, self.drawn = None, 0
        while not (self.drawn and self._enough(draws)) and self.drawn < MOST_DIRECTIONS:
            v = drawn(self.bench, {self.name: self.divisor}, (self.name,))
            off = self.bench.along(v, refine=0.0 if self.bench.reference.exact or not self.drawn else self.resolution)
            self.saw(off, v[self.name])

    def saw(self, off: Off, v: Array, seen: float | None = None) -> None:
        """Take down what one direction showed; ``seen`` where it is known what all of them see."""
        self.tolerances += (off.tolerance,)
        self.drawn += 1
        if self.worst is None or off.ratio > self.worst.ratio:
            self.worst, self.along_worst = off, v
        self.seen = directions.smallest_seen(self.tolerances) if seen is None else seen

    @property
    def is_compared_in_full(self) -> bool:
        """Whether each entry was looked at by itself in the end, so that no direction has to vouch for any."""
        return self.confirmed is not None and len(self.confirmed.comparison.entries) == self.divisor.size

    def _enough(self, draws: int) -> bool:
        assert self.worst is not None
        costly = not self.bench.reference.exact and self.bench.bill.losses > ESCALATION
        fine = self.seen <= self.resolution and self.drawn >= draws
        return self.worst.ratio > 1 or fine or self._is_small() or costly

    def is_grave(self) -> bool:
        """Whether the worst direction is off by more than rounding of any kind could do."""
        worst = self.worst
        if worst is None or not (worst.ratio > 1 and abs(worst.discrepancy) > GRAVE * worst.blunt):
            return False
        assert self.along_worst is not None
        off, size = np.array([abs(worst.discrepancy)]), np.abs(self.bench.gradient[self.name] * self.along_worst)
        return not cancelling.may_explain(self.bench, self.name, off, np.array([np.linalg.norm(size)]))

    def worst_along(self) -> tuple[Array, float]:
        """The direction that is off most, and the gap between the reference along it and the prediction."""
        assert self.worst is not None and self.along_worst is not None
        return self.along_worst, self.worst.discrepancy

    def is_borne_out_by(self, right: Array, tolerance: Array) -> bool:
        """Whether a right gradient is what its worst direction found, which explains that this one is off."""
        assert self.worst is not None and self.along_worst is not None
        if right.shape != self.divisor.shape or not np.isfinite(right).all():
            return False
        gap = self.worst.discrepancy + float(np.sum((self.bench.gradient[self.name] - right) * self.along_worst))
        allowed = self.worst.tolerance + float(np.sum(np.abs(self.along_worst) * tolerance))
        grave = self.is_grave()
        return abs(gap) <= (min(allowed, SHARE * abs(self.worst.discrepancy)) if grave else allowed)

    def beside(self, right: Array, tolerance: Array) -> Block | None:
        """The verdict from a right gradient, where that is what was measured; ``None`` where it decides nothing.

        What rounding inside could do to a block that is not gravely off is not held against it.
        """
        if not self.is_borne_out_by(right, tolerance):
            return None
        if not self.is_grave():
            tolerance = np.maximum(tolerance, self.bench.blunt(self.name))
        known = Confirmed(beside(self.bench, self.name, right, tolerance))
        block = judged(self.bench, known, self.resolution)
        if block.verdict is not Verdict.DISAGREES:
            return None
        self.confirmed = known
        return block

    def block(self) -> Block:
        """The verdict from directions where they agree and see finely enough, from entries elsewhere."""
        worst = self.worst
        assert worst is not None
        along = self._along(worst)
        if along.verdict is Verdict.AGREES and worst.ratio <= 1:
            return along
        few = self._few() if self.borne_out else None
        if few is not None:
            return few
        dear = worst.ratio > 1 and not self.bench.subject.stacked and self.bench.bill.total > DEAR
        dear = dear and self.divisor.size > SMALL
        if self._is_small() and not dear:
            return self._judged(range(self.divisor.size))
        return self._searched(along, worst) if worst.ratio > 1 else self._looked_up(along)

    def _is_small(self) -> bool:
        exact = self.bench.reference.exact
        return self.divisor.size <= (ENTRIES if exact else DIFFERENCE_ENTRIES)

    def _along(self, off: Off) -> Block:
        return Block(
            name=self.name,
            verdict=Verdict.AGREES if self.seen <= self.resolution else Verdict.INCONCLUSIVE,
            shape=self.divisor.shape,
            equation=self.bench.subject.equations.get(self.name),
            compared=self.divisor.size,
            max_relative_error=abs(off.own),
            tolerance_ratio=off.ratio,
            resolution=self.seen,
        )

    def _few(self) -> Block | None:
        """A few entries of a block that is known to be wrong, its largest among them; ``None`` where most are right."""
        a = self.bench.gradient[self.name]
        few = np.unique([int(np.abs(a).argmax()), *self.bench.rng.permutation(a.size)[:FEW]])
        sample = self._judged(few)
        wrong = int(self.confirmed.comparison.wrong.sum()) if self.confirmed else 0
        if sample.verdict is not Verdict.DISAGREES or 2 * wrong <= len(few):
            return None
        self.few = len(few) < a.size
        note = f"{wrong} of the {len(few)} entries looked at disagree" if self.few else sample.note
        return replace(sample, compared=a.size, note=note)

    def _looked_up(self, along: Block) -> Block:
        """Directions see too bluntly here: entries by themselves, as many as can be had for one loss each.

        Of others a few at least, for what is grossly wrong shows in any of them.
        """
        a = self.bench.gradient[self.name]
        if self.bench.reference.exact and a.size <= BLUNT_ENTRIES:
            return self._judged(range(a.size))
        few = np.unique([int(np.abs(a).argmax()), *self.bench.rng.permutation(a.size)[: search.SAMPLE]])
        sample = self._judged(few)
        return replace(sample, compared=a.size) if sample.verdict is Verdict.DISAGREES else along

    def sampled(self, block: Block) -> Block:
        """Its largest entry on its own too, for the eye, while that stays within what a check may cost."""
        a = self.bench.gradient[self.name]
        if block.index is not None or self.bench.bill.total >= self.bench.bill.limit or not self.bench.reference.exact:
            return block
        entry = int(np.abs(a).argmax())
        c = self.bench.compared(self.name, np.array([entry]))
        if c.wrong.any():
            largest = self._judged([entry])
            if largest.verdict is Verdict.DISAGREES:
                return replace(largest, compared=a.size)
        shown = c.analytic if c.own is None else c.own
        index = tuple(int(k) for k in np.unravel_index(entry, a.shape))
        return replace(block, index=index, analytic=float(shown[0]), reference=float(c.reference[0]))

    def with_lesser(self, block: Block, seen: Glance, off: bool) -> Block:
        """Those entries too that count less in all directions, each by itself, where that is not too many.

        ``off``: those that directions of their own could see are asked about too, for these disagree.
        """
        asked = [*seen.left.get(self.name, ()), *(seen.lesser.get(self.name, ()) if off else ())]
        if block.verdict is not Verdict.AGREES or not 0 < len(asked) <= ENTRIES:
            return block
        found = self._judged(asked)
        return block if found.verdict is Verdict.AGREES else replace(found, compared=block.compared)

    def _judged(self, entries: Iterable[int]) -> Block:
        bench = self.bench
        self.confirmed = confirm(
            bench, bench.compared(self.name, np.array(list(entries))), self.resolution, borne_out=self.borne_out
        )
        return judged(bench, self.confirmed, self.resolution)

    def _searched(self, along: Block, off: Off) -> Block:
        bench, name = self.bench, self.name
        a = bench.gradient[name]
        weights = bench.rng.standard_normal(a.size) / self.divisor.reshape(-1)
        if (
            not bench.reference.exact
            and bench.along({name: weights.reshape(a.shape)}, refine=self.resolution).ratio <= 1
        ):
            return along

        def group_off(group: Array) -> tuple[float, float]:
            part = np.zeros(a.size)
            part[group] = weights[group]
            along = bench.along({name: part.reshape(a.shape)})
            return along.discrepancy, along.tolerance

        def is_wrong(entry: int) -> bool:
            c = bench.compared(name, np.array([entry]))
            if bench.reference.exact:
                return bool(c.wrong.any())  # looked at again together with the others, once
            return bool(confirm(bench, c, self.resolution).comparison.wrong.any())

        likely = np.array([int(np.abs(a).argmax())])
        found, dense = search.locate(a.size, off=group_off, is_wrong=is_wrong, likely=likely, rng=bench.rng)
        compared = self._judged(found) if found else None
        if compared is not None and compared.verdict is Verdict.DISAGREES:
            count = "most entries disagree" if dense else FOUND.format(count=len(found), size=a.size)
            return replace(compared, compared=a.size, note=count, by_step=None, norms=None)
        return self._excused(along, off, weights.reshape(a.shape))

    def _excused(self, along: Block, off: Off, v: Array) -> Block:
        """No entry is wrong on its own: a kink, rounding inside, or something that entries alone do not show."""
        bench, name = self.bench, self.name
        left, right, unsure = one_sided(bench, {name: v})
        predicted = float(np.sum(v * bench.gradient[name]))
        if abs(right - left) > KINK * unsure and min(left, right) - unsure <= predicted <= max(left, right) + unsure:
            self.confirmed = Confirmed(bench.compared(name, np.array([0])), kinks=(0,))
            return replace(
                along, verdict=Verdict.AGREES, note="on a kink: the gradient lies between the one-sided derivatives"
            )
        beside = cancelling.along(bench, name, v, abs(off.discrepancy)) if bench.reference.exact else None
        if beside is not None:
            seen = max(self.seen, beside)
            agrees = seen <= self.resolution
            return replace(along, verdict=Verdict.AGREES if agrees else Verdict.INCONCLUSIVE, resolution=seen)
        bench.look_at_tamer_points()
        if abs(off.discrepancy) <= max(off.blunt, bench.blunt(name) * float(np.linalg.norm(v))):
            entries = bench.rng.permutation(v.size)[: search.SAMPLE]
            cleared = relieved(bench, name, entries, self.resolution)
            self.confirmed = Confirmed(bench.compared(name, entries), rounding=bool(cleared), unclear=cleared is None)
            if cleared:
                return replace(along, verdict=Verdict.AGREES, note=BELOW_ROUNDING)
            if cleared is None:
                return replace(along, verdict=Verdict.INCONCLUSIVE)
        return replace(along, verdict=Verdict.DISAGREES, note="disagrees along a direction; no single entry stands out")


def drawn(bench: Bench, divisor: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    """A random direction over some blocks, in which every entry counts alike."""
    return {name: bench.rng.standard_normal(divisor[name].shape) / divisor[name] for name in names}


def beside(bench: Bench, name: str, right: Array, tolerance: Array) -> Comparison:
    """All entries of a block beside the right ones, which may be off by that much."""
    error, none = tolerance.reshape(-1) / REFERENCE_SAFETY, np.zeros(right.size)
    known = Estimate(right.reshape(-1), none, error, none, evaluations=0, method="")
    return replace(bench.compared(name, np.arange(right.size), known), error=error)


def judged(bench: Bench, confirmed: Confirmed, resolution: float) -> Block:
    """What a block is found to be after the second look."""
    name = confirmed.comparison.name
    equation = bench.subject.equations.get(name)
    shape, T = confirmed.comparison.shape, bench.subject.case.get("T")
    timed = is_timed(name) and (name != "x" or shape[:1] == (T,))  # where nobody said so, the batch may be in front
    block = judge(confirmed.comparison, resolution=resolution, equation=equation, timed=timed)
    look = structure(confirmed.comparison, bench.subject.case) if block.verdict is Verdict.DISAGREES else None
    if look:
        return replace(block, note=f"{block.note}; it {look.message}")
    if confirmed.unclear and block.verdict is Verdict.AGREES:
        return replace(
            block, verdict=Verdict.INCONCLUSIVE, note="rounding could explain what is off; no rescaled point told"
        )
    if confirmed.rounding and block.verdict is not Verdict.DISAGREES:
        return replace(block, verdict=Verdict.AGREES, note=BELOW_ROUNDING)
    return block
