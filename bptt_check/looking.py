"""The two ways to look at a gradient: every entry on its own, or along random directions with a search where one is off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from bptt_check import directions, search
from bptt_check.bench import KINK, Bench, Off
from bptt_check.compare import is_timed, judge
from bptt_check.confirm import Confirmed, confirm, relieved
from bptt_check.results import Block, Finding, Verdict
from bptt_check.subject import Array

DIRECTIONS = 3  # over all blocks at once; each block has one more of its own
ENTRIES = 256  # a block of up to this many that its direction does not settle is compared entry by entry
EVALUATIONS = 60  # loss evaluations that a check spends of its own accord when all is right


@dataclass(frozen=True)
class Looked:
    """What a look found: a block for each gradient, findings, and the chance that an error was missed."""

    blocks: Mapping[str, Block]
    findings: tuple[Finding, ...]
    miss_probability: float


def entry_by_entry(bench: Bench, resolution: float) -> Looked:
    """Every entry of every block against its own reference: nothing is left to chance."""
    confirmed = {name: confirm(bench, bench.compared(name, np.arange(a.size)), resolution) for name, a in bench.gradient.items()}
    blocks = {name: _judged(bench, c, resolution) for name, c in confirmed.items()}
    return Looked(blocks, _findings(confirmed), 0.0)


def along_directions(bench: Bench, resolution: float) -> Looked:
    """All blocks along a few directions at once, each along one of its own, then the entries where one is off."""
    divisor = directions.divisors(bench.gradient, bench.rounding)
    together = [bench.along(_drawn(bench, divisor, tuple(bench.gradient))) for _ in range(DIRECTIONS)]
    looks = {name: _Block(bench, name, divisor[name], resolution) for name in bench.gradient}
    own = {name: look.first() for name, look in looks.items()}
    blocks = {name: looks[name].block(off) for name, off in own.items()}
    if any(off.ratio > 1 for off in together) and all(off.ratio <= 1 for off in own.values()):
        blocks = {name: look.block(look.first(tries=DIRECTIONS)) for name, look in looks.items()}
    blocks = {name: look.sampled(blocks[name]) for name, look in looks.items()}
    tolerance = max(off.tolerance for off in together)
    findings = _findings({name: look.confirmed for name, look in looks.items() if look.confirmed})
    return Looked(blocks, findings, directions.miss_probability(tolerance, resolution, DIRECTIONS + 1))


@dataclass
class _Block:
    """One block, looked at along directions of its own."""

    bench: Bench
    name: str
    divisor: Array
    resolution: float
    confirmed: Confirmed | None = None

    def first(self, tries: int = 1) -> Off:
        """The worst of a few directions over this block alone."""
        offs = [self.bench.along(_drawn(self.bench, {self.name: self.divisor}, (self.name,))) for _ in range(tries)]
        return max(offs, key=lambda off: off.ratio)

    def block(self, off: Off) -> Block:
        """The block's verdict, from its direction where that agrees, from a search for the entries at fault elsewhere."""
        a = self.bench.gradient[self.name]
        seen = directions.smallest_seen(off.tolerance, DIRECTIONS + 1)
        along = Block(
            name=self.name,
            verdict=Verdict.AGREES if seen <= self.resolution else Verdict.INCONCLUSIVE,
            shape=a.shape,
            equation=self.bench.subject.equations.get(self.name),
            compared=a.size,
            max_relative_error=off.discrepancy,
            tolerance_ratio=off.ratio,
            resolution=seen,
        )
        if off.ratio <= 1 and along.verdict is Verdict.AGREES:
            return along
        if a.size <= ENTRIES:
            return self._each()
        return along if off.ratio <= 1 else self._searched(along, off)

    def sampled(self, block: Block) -> Block:
        """Its largest entry on its own too, for the eye, while that stays within what a check may cost."""
        a = self.bench.gradient[self.name]
        if block.index is not None or self.bench.bill.total >= EVALUATIONS or not self.bench.reference.exact:
            return block
        largest = self._judged([int(np.abs(a).argmax())])
        if largest.verdict is Verdict.DISAGREES:
            return replace(largest, compared=a.size)
        return replace(block, index=largest.index, analytic=largest.analytic, reference=largest.reference)

    def _judged(self, entries: Iterable[int]) -> Block:
        bench = self.bench
        self.confirmed = confirm(bench, bench.compared(self.name, np.array(list(entries))), self.resolution)
        return _judged(bench, self.confirmed, self.resolution)

    def _each(self) -> Block:
        """A block that is small enough, or not decided by its direction: every entry on its own."""
        return self._judged(range(self.bench.gradient[self.name].size))

    def _searched(self, along: Block, off: Off) -> Block:
        bench, name = self.bench, self.name
        a = bench.gradient[name]
        weights = bench.rng.standard_normal(a.size) / self.divisor.reshape(-1)
        if not bench.reference.exact and bench.along({name: weights.reshape(a.shape)}, refine=True).ratio <= 1:
            return along

        def disagrees(group: Array) -> bool:
            part = np.zeros(a.size)
            part[group] = weights[group]
            return bench.along({name: part.reshape(a.shape)}).ratio > 1

        def is_wrong(entry: int) -> bool:
            c = confirm(bench, bench.compared(name, np.array([entry])), self.resolution)
            return bool(c.comparison.wrong.any())

        likely = np.array([int(np.abs(a).argmax())])
        found, dense = search.locate(a.size, disagrees=disagrees, is_wrong=is_wrong, likely=likely, rng=bench.rng)
        if found:
            count = "most entries disagree" if dense else f"{len(found)} wrong entries found among {a.size}"
            return replace(self._judged(found), verdict=Verdict.DISAGREES, compared=a.size, note=count, by_step=None)
        return self._excused(along, off, weights.reshape(a.shape))

    def _excused(self, along: Block, off: Off, v: Array) -> Block:
        """No entry is wrong on its own: a kink, rounding inside, or something that entries alone do not show."""
        bench, name = self.bench, self.name
        left, right, unsure = bench.one_sided({name: v})
        predicted = float(np.sum(v * bench.gradient[name]))
        if abs(right - left) > KINK * unsure and min(left, right) - unsure <= predicted <= max(left, right) + unsure:
            self.confirmed = Confirmed(bench.compared(name, np.array([0])), kinks=(0,))
            return replace(along, verdict=Verdict.AGREES, note="on a kink: the gradient lies between the one-sided derivatives")
        if off.discrepancy <= off.blunt:
            entries = bench.rng.permutation(v.size)[: search.SAMPLE]
            cleared = relieved(bench, name, entries)
            self.confirmed = Confirmed(bench.compared(name, entries), rounding=bool(cleared), unclear=cleared is None)
            if cleared:
                return replace(along, verdict=Verdict.AGREES, note=BELOW_ROUNDING)
            if cleared is None:
                return replace(along, verdict=Verdict.INCONCLUSIVE)
        return replace(along, verdict=Verdict.DISAGREES, note="disagrees along a direction; no single entry stands out")


BELOW_ROUNDING = "partly below what rounding in saturated gates leaves visible; agrees at a rescaled point"


def _drawn(bench: Bench, divisor: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    return {name: bench.rng.standard_normal(divisor[name].shape) / divisor[name] for name in names}


def _judged(bench: Bench, confirmed: Confirmed, resolution: float) -> Block:
    name = confirmed.comparison.name
    equation = bench.subject.equations.get(name)
    block = judge(confirmed.comparison, resolution=resolution, equation=equation, timed=is_timed(name))
    if confirmed.unclear and block.verdict is Verdict.AGREES:
        return replace(block, verdict=Verdict.INCONCLUSIVE, note="rounding could explain what is off; no rescaled point told")
    if confirmed.rounding and block.verdict is Verdict.AGREES:
        return replace(block, note=BELOW_ROUNDING)
    return block


def _findings(confirmed: Mapping[str, Confirmed]) -> tuple[Finding, ...]:
    findings = []
    kinks = [name for name, c in confirmed.items() if c.kinks]
    if kinks:
        message = f"the point sits on a kink of {', '.join(kinks)}; the gradient lies between the one-sided derivatives"
        findings.append(Finding("on-a-kink", message))
    rounded = [name for name, c in confirmed.items() if c.rounding]
    if rounded:
        message = f"entries of {', '.join(rounded)} are {BELOW_ROUNDING.removeprefix('partly ')}"
        findings.append(Finding("saturated", message))
    unclear = [name for name, c in confirmed.items() if c.unclear]
    if unclear:
        message = f"what is off in {', '.join(unclear)} could be rounding; a point where no gate saturates would decide"
        findings.append(Finding("unclear", message))
    return tuple(findings)
