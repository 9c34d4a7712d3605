"""The two ways to look at a gradient: every entry on its own, or along random directions, with a search where off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from bptt_check import directions, frugal, joint, lone
from bptt_check.alone import BELOW_ROUNDING, FOUND, Alone, drawn, judged
from bptt_check.at_once import First
from bptt_check.bench import Bench, Right
from bptt_check.compare import Comparison, judge
from bptt_check.confirm import Confirmed, confirm, disputed_direction, is_grave
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.glance import Elsewhere, Glance, glance, glance_at_each
from bptt_check.pace import Pace
from bptt_check.proof import BORNE_OUT
from bptt_check.reference import Proof
from bptt_check.results import Block, Finding, Verdict
from bptt_check.seen import Off
from bptt_check.settle import settled
from bptt_check.structure import findings_of, structure
from bptt_check.subject import Array, Point

DIRECTIONS = 3  # over all blocks at once; each block has one more of its own where those leave a doubt
SHARP = 1e-5  # of the resolution asked for: a tolerance by which three directions see a thousandth of that
MANY = 12  # blocks, beyond which one direction over all of them is saved: each has one of its own
ELSEWHERE = 1e3  # how many times its tolerance a gradient must be off at a second point to be called stale
STALE = 1e-5  # and by at least this share of an entry: the second point is a hundredth away


@dataclass(frozen=True)
class Looked:
    """What a look found: a block for each gradient, findings, and the chance that an error was missed.

    ``later``: the direction along which a later gradient, elsewhere, was looked at too, if it was.
    ``confirmed`` are those entries that were looked at on their own; of the blocks in ``few`` they are a few of many.
    """

    blocks: Mapping[str, Block]
    findings: tuple[Finding, ...]
    miss_probability: float
    later: Off | None = None
    confirmed: Mapping[str, Confirmed] = field(default_factory=dict)
    few: frozenset[str] = frozenset()

    @property
    def comparisons(self) -> dict[str, Comparison]:
        """The entries that were looked at on their own, by block."""
        return {name: c.comparison for name, c in self.confirmed.items()}


def entry_by_entry(bench: Bench, resolution: float, names: Iterable[str] | None = None) -> Looked:
    """Every entry of every block, or of those named, against its own reference: nothing is left to chance."""
    every = {name: np.arange(bench.gradient[name].size) for name in (bench.gradient if names is None else names)}
    had = bench.estimates(every)
    compared = {name: bench.compared(name, entries, had[name]) for name, entries in every.items()}
    grave = {name: disputed_direction(bench, c) for name, c in compared.items() if is_grave(bench, c)}
    borne_out = settled(bench, grave)
    confirmed = {name: confirm(bench, c, resolution, borne_out=name in borne_out) for name, c in compared.items()}
    blocks = {name: judged(bench, c, resolution) for name, c in confirmed.items()}
    return Looked(blocks, found_in(bench, confirmed), 0.0, confirmed=confirmed)


def along_directions(
    bench: Bench, resolution: float, elsewhere: Elsewhere | None = None, known: Callable[[], Right] | None = None
) -> Looked:
    """All blocks along a few directions at once; where one is off or too blunt, each along its own, then entries.

    ``elsewhere``: a second point and the gradient there, looked at in passing where that costs nothing. ``known``:
    asked for the right gradient by the equations of the cell where a block is gravely off; what that says and a
    direction bears out needs no entries. Otherwise a block that is gravely wrong beyond doubt is shown by a few.
    """
    seen = glance(bench, DIRECTIONS, elsewhere, resolution=resolution)
    if seen and _settles(bench, seen, resolution):
        settled_so = _lesser_too(bench, seen, _agreed(bench, seen, resolution), resolution)
        if settled_so:
            return settled_so
    seen = glance_at_each(bench, seen) if seen else _one_by_one(bench)
    looks = _looks(bench, seen, resolution)
    blocks = _beside_known(looks, known) if known else {}
    left = {name: look for name, look in looks.items() if name not in blocks}
    borne_out = settled(bench, {name: look.worst_along() for name, look in left.items() if look.is_grave()})
    for name in borne_out:
        looks[name].borne_out = True
    blocks = {name: blocks[name] if name in blocks else look.block() for name, look in looks.items()}
    if not seen.agrees and all(b.verdict is Verdict.AGREES for b in blocks.values()):
        for look in looks.values():
            look.look(draws=DIRECTIONS)
        blocks = {name: look.block() for name, look in looks.items()}
    blocks = {name: look.sampled(blocks[name]) for name, look in looks.items()}
    explained = any(block.verdict is Verdict.DISAGREES for block in blocks.values())
    if not explained:
        off = any(off.ratio > 1 for off in seen.small)
        blocks = {name: looks[name].with_lesser(block, seen, off) for name, block in blocks.items()}
    confirmed = {name: look.confirmed for name, look in looks.items() if look.confirmed}
    missed = _missed([look.tolerances for look in looks.values() if not look.is_compared_in_full], resolution)
    few = frozenset(name for name, look in looks.items() if look.few)
    return Looked(blocks, found_in(bench, confirmed), missed, seen.elsewhere, confirmed, few)


def at_first(bench: Bench, resolution: float, elsewhere: Elsewhere, first: First | None = None) -> Looked | None:
    """All blocks along a few directions, by rounding levels that are presumed; ``None`` where that settles nothing.

    They are the least that levels can be, so that what agrees by them agrees by measured ones. ``first``: a first call
    whose complex step is to be proved meanwhile.
    """
    sharp = 0.0 if bench.subject.stacked else SHARP * resolution  # stacked, more directions cost next to nothing
    seen = glance(
        bench, DIRECTIONS, elsewhere, resolution=resolution, sharp=sharp, probe=None if first is None else first.probe
    )
    if seen is None or not _settles(bench, seen, resolution):
        return None
    if first and not (seen.probed is not None and first.bears_out(seen.probed)):
        return None
    return _lesser_too(bench, seen, _agreed(bench, seen, resolution), resolution)


def at_a_glance(bench: Bench, resolution: float, elsewhere: Elsewhere) -> Looked | None:
    """All blocks of a small stacked subject in one call; ``None`` where that does not settle everything.

    Where all is right this says as much as one entry after the other, at a tenth of the cost.
    """
    seen = None if bench.broken else glance(bench, DIRECTIONS, elsewhere, resolution=resolution)
    if seen is None or not seen.agrees:
        return None
    if _settles(bench, seen, resolution):
        return _lesser_too(bench, seen, _agreed(bench, seen, resolution), resolution)
    seen = glance_at_each(bench, seen)
    if not seen.agrees or max(seen.seen.values()) > resolution:
        return None
    looks = _looks(bench, seen, resolution)
    missed = _missed([look.tolerances for look in looks.values()], resolution)
    looked = Looked({name: look.block() for name, look in looks.items()}, (), missed, seen.elsewhere)
    return _lesser_too(bench, seen, looked, resolution)


def from_afar(bench: Bench, resolution: float, proof: Proof) -> Looked | None:
    """All blocks of a large subject along a few directions at once; ``None`` where that does not settle everything.

    ``proof``: what was seen at a second point, where the gradient may have borne out the reference.
    """
    pace = Pace(bench.sweeping.progress)
    seen = joint.together(bench, resolution, pace.at)
    pace.at(1.0)
    if seen is None:
        return None
    later = Off(proof.off, BORNE_OUT, 0.0, proof.off) if proof.reference else None
    return Looked(seen.blocks, (), seen.miss_probability, later)


def but_for_one(afar: Bench, bench: Bench, wrong: tuple[str, int], resolution: float) -> Looked | None:
    """The same where all is right but for the one entry that is named; ``None`` where that does not settle everything.

    ``bench`` has measured rounding levels, by which the entry is judged; ``afar`` is the one it was found on.
    """
    name, entry = wrong
    confirmed = confirm(bench, bench.compared(name, np.array([entry])), resolution)
    block = judged(bench, confirmed, resolution)
    if block.verdict is not Verdict.DISAGREES:
        return None
    mended = lone.put_right(replace(afar, bill=bench.bill), name, entry, float(confirmed.comparison.reference[0]))
    seen = _all_else(mended, resolution)
    if seen is None:
        return None
    size = bench.gradient[name].size
    block = replace(block, compared=size, note=FOUND.format(count=1, size=size), by_step=None, norms=None)
    found = {name: confirmed}
    return Looked({**seen.blocks, name: block}, found_in(bench, found), seen.miss_probability, None, found)


def _all_else(mended: Bench, resolution: float) -> Looked | None:
    """A subject whose one wrong entry was put right, along a few directions; ``None`` where not all agrees."""
    if not mended.reference.exact:
        few = frugal.look(mended, resolution)
        return None if few is None or few.left else Looked(few.blocks, (), 0.0)
    seen = joint.together(mended, resolution, Pace(mended.sweeping.progress).at)
    return None if seen is None else Looked(seen.blocks, (), seen.miss_probability)


def _settles(bench: Bench, seen: Glance, resolution: float) -> bool:
    return not bench.broken and seen.calm and seen.agrees and max(seen.seen.values()) <= resolution


def _agreed(bench: Bench, seen: Glance, resolution: float) -> Looked:
    """All blocks agree along all directions that ran through them; shown is what the subject's own rounding adds.

    Its gradient in a higher precision is the right one, as finely as directions see; so each entry of the gradient as
    handed out can be held against that.
    """
    rounded, equations, smallest = bench.rounded(resolution), bench.subject.equations, seen.smallest
    worst = {name: off for names, offs in seen.shared for off in [max(offs, key=lambda o: o.ratio)] for name in names}
    blocks = {
        name: Block(
            name=name,
            verdict=Verdict.AGREES,
            shape=a.shape,
            equation=equations.get(name),
            compared=a.size,
            max_relative_error=max(abs(worst[name].discrepancy), rounded[name]),
            tolerance_ratio=worst[name].ratio,
            resolution=max(seen.seen[name], smallest if name in seen.lesser else 0.0),
        )
        for name, a in bench.gradient.items()
    }
    missed = _missed([[off.tolerance for off in offs] for _, offs in seen.shared], resolution)
    return Looked(blocks, (), missed, seen.elsewhere)


def _lesser_too(bench: Bench, seen: Glance, looked: Looked, resolution: float) -> Looked | None:
    """The entries too that count less in all directions: along some of their own, else each by itself.

    Where the latter would cost more than the bill allows, how many they are stands beside the block. ``None`` where an
    entry is left open, or is wrong.
    """
    blocks, smallest = dict(looked.blocks), seen.smallest
    for name in seen.lesser:
        if (blocks[name].resolution or 0.0) < smallest:
            blocks[name] = replace(blocks[name], resolution=smallest)
    missed = _missed([[off.tolerance for off in seen.small]], resolution) if seen.small else 0.0
    count = sum(map(len, seen.left.values()))
    few = all(len(left) <= joint.LEFT * blocks[name].size for name, left in seen.left.items())
    if count and few and not bench.subject.stacked and bench.bill.total + count > bench.bill.limit:
        for name, left in seen.left.items():
            size = float(np.abs(bench.gradient[name].reshape(-1)[left]).max())
            note = joint.NOTE.format(count=len(left), size=size, seen=resolution)
            blocks[name] = replace(blocks[name], note=note)
    elif count:
        had = bench.estimates(seen.left)
        for name, entries in seen.left.items():
            found = judge(bench.compared(name, entries, had[name]), resolution=resolution)
            if found.verdict is not Verdict.AGREES:
                return None
            finest = max(blocks[name].resolution or 0.0, found.resolution or 0.0)
            blocks[name] = replace(blocks[name], resolution=finest)
    return replace(looked, blocks=blocks, miss_probability=max(looked.miss_probability, missed))


def _one_by_one(bench: Bench) -> Glance:
    """Directions over all blocks, one at a time; those of single blocks are left for later."""
    rounds = DIRECTIONS - (len(bench.gradient) > MANY) if bench.reference.exact else 0
    divisor = directions.divisors(bench.gradient, bench.levels(), bench.rounding.sensitivity)
    together = tuple(bench.along(drawn(bench, divisor, tuple(bench.gradient))) for _ in range(rounds))
    return Glance([(list(bench.gradient), together)], {}, {}, divisor, {}, None)


def _looks(bench: Bench, seen: Glance, resolution: float) -> dict[str, Alone]:
    """Each block with what was seen of it so far, its own direction drawn where none was yet."""
    looks, covered = {}, {name: offs for names, offs in seen.shared for name in names}
    for name in bench.gradient:
        shared = tuple(off.tolerance for off in covered[name])
        look = looks[name] = Alone(bench, name, seen.divisors[name], resolution, shared)
        if name in seen.own:
            look.saw(seen.own[name], seen.directions[name], seen.seen[name])
        look.look(first=name not in seen.own)
    return looks


def _beside_known(looks: Mapping[str, Alone], known: Callable[[], Right]) -> dict[str, Block]:
    """Blocks beside the right gradient by a cell's equations, if that bears out one at least that is gravely off."""
    grave = [name for name, look in looks.items() if look.is_grave()]
    right, tolerance = known() if grave else ({}, {})
    if not any(name in right and looks[name].is_borne_out_by(right[name], tolerance[name]) for name in grave):
        return {}
    found = {k: look.beside(right[k], tolerance[k]) for k, look in looks.items() if k in right}
    return {name: block for name, block in found.items() if block is not None}


def _missed(covered: Sequence[Sequence[float]], resolution: float) -> float:
    """The chance that an error went unseen, in the block where it is largest; ``covered``: by block, the tolerances."""
    if not covered:
        return 0.0
    alike = len({len(tolerances) for tolerances in covered}) == 1
    groups = [np.array(covered)] if alike else covered
    return max(float(np.max(directions.miss_probability(group, resolution))) for group in groups)


def later_elsewhere(
    bench: Bench, point: Point, gradient: Mapping[str, Array], seen: Off | None = None
) -> tuple[Finding, ...]:
    """A gradient that agrees at the point: does one asked for later, at a point nearby, agree there too?

    What was copied at the first call, and never looked at again, shows here. ``seen``: along one direction, where that
    was looked at already. A complex logarithm has a value where a real one has none: there nothing is held against it.
    """
    found = stale(seen) if seen else _looked_at_elsewhere(bench, point, gradient)
    if found and not bench.has_value_at({**bench.point, **point}):
        return ()
    return found


def _looked_at_elsewhere(bench: Bench, point: Point, gradient: Mapping[str, Array]) -> tuple[Finding, ...]:
    finite = {name: a.astype(float) for name, a in gradient.items() if name in bench.gradient and np.isfinite(a).all()}
    if set(finite) != set(bench.gradient) or not bench.reference.exact:
        return ()
    there = replace(bench, point={**bench.point, **point}, gradient=finite)
    there = replace(there, reference=bench.reference.at(there.point))
    divisor = directions.divisors(finite, bench.levels(), bench.rounding.sensitivity)
    try:
        return stale(there.along(drawn(there, divisor, tuple(finite))))
    except (SubjectFailed, SubjectError):  # no complex derivative there
        return ()


def stale(off: Off) -> tuple[Finding, ...]:
    """What it means that a gradient asked for later is off by that much at a second point; nothing if it is not."""
    if np.isfinite(off.discrepancy) and abs(off.discrepancy) > max(ELSEWHERE * off.tolerance, off.blunt, STALE):
        message = (
            "agrees at the point, but not at one nearby that is asked for later: something is kept from the first call"
        )
        return (Finding("stale", message, fault=True),)
    return ()


def found_in(bench: Bench, confirmed: Mapping[str, Confirmed]) -> tuple[Finding, ...]:
    """What is worth saying of the entries that were looked at: their structure, kinks, rounding."""
    looks = {
        name: structure(c.comparison, bench.subject.case) for name, c in confirmed.items() if name not in bench.broken
    }
    findings = list(findings_of({name: look for name, look in looks.items() if look}, bench.gradient))
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
