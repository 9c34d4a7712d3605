"""Before a gradient is called wrong: is it the gradient that is off, or the measurement?

Each disputed entry is looked at again, in this order:

1. A complex step is taken at neighbouring points: its own rounding is not held against the gradient.
2. The discrepancy is looked at a little way off: a fault stays the same share of the entry, rounding does not.
3. Real differences are taken on several ladders of steps, so that a place where the loss bends sharply, or a step far
   too wide, is not held against the gradient. A complex step is held against a difference quotient where that is sharp
   enough to tell: if the quotient sides with the gradient, the forward pass does not carry a complex step after all.
4. One-sided derivatives: where they differ the point sits on a kink, and a gradient between them is a subgradient.
5. A discrepancy that rounding *inside* could explain (a saturated gate whose 1 − σ has lost its digits) is taken to
   a point scaled down, where nothing saturates. There the gradient agrees sharply, or the fault shows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from bptt_check import cancelling, louder
from bptt_check.bench import EACH, Bench
from bptt_check.compare import REFERENCE_SAFETY, ROUNDING_SAFETY, ZERO, Comparison
from bptt_check.differences import Richardson
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.proof import TAMER
from bptt_check.quotients import QUOTIENTS, held_against_quotients
from bptt_check.settle import GRAVE
from bptt_check.sharpen import (
    LOOKED_AT,
    averaged,
    blunt_entries,
    blunt_places,
    by_means,
    finer,
    most_disputed,
    on_ladders,
    seen_from_afar,
    sharper,
    untruncated,
    with_own_noise,
)
from bptt_check.sides import KINK, one_sided
from bptt_check.steady import forgiven, restless, steady_entries
from bptt_check.subject import Array

MOSTLY = 0.1  # share of a discrepancy that a quotient may leave open and still bear it out
SEEN = 0.5  # share of the entries looked at that must be seen finely at a rescaled point
RELIEF = (0.25, 0.05, 0.01, 0.001)  # factors on the point that take gates out of saturation,
PLAUSIBLE = 1e3  # size of numbers inside, in units of the loss, that no point has shown
ENLARGED = (2.0, 4.0)  # and that bring back what has vanished; these can clear a gradient, not condemn it
DROWNED = 1e3  # how far a difference may be rounded beyond what is asked for, and be made sharp all the same


@dataclass(frozen=True)
class Confirmed:
    """A comparison after the second look: with better references and wider levels where they were found wanting.

    ``kinks``: flat entries that sit on a kink, their gradient between the one-sided derivatives. ``rounding``: whether
    entries lie below what rounding inside leaves visible, and agree at a rescaled point. ``unclear``: entries that
    rounding could explain and that no rescaled point decided.
    """

    comparison: Comparison
    kinks: tuple[int, ...] = ()
    rounding: bool = False
    unclear: bool = False


def confirm(bench: Bench, comparison: Comparison, resolution: float, *, borne_out: bool = False) -> Confirmed:
    """Look again at the disputed entries of one block, and at those seen less finely than ``resolution``.

    ``borne_out``: that this block is off has been seen together with others (settle.py); then what is grave is wrong.

    Raises
    ------
    ReferenceUnsafe
        Where a complex-step reference is contradicted by a difference quotient.
    """
    found = _confirmed(bench, comparison, resolution, borne_out=borne_out)
    return replace(found, unclear=True) if _lost_from_sight(comparison, found, resolution) else found


def _lost_from_sight(before: Comparison, found: Confirmed, resolution: float) -> bool:
    """Whether an entry that was off by what counts is not any more, only because it is seen too bluntly now.

    Below the floor of a reference that turned out to be noisy an entry may hold anything; what was off there is not
    said to agree.
    """
    c = found.comparison
    if found.rounding or not before.wrong.any() or c.wrong.any():
        return False
    seen = before.wrong & (before.size >= before.floor(resolution)) & (before.difference > resolution * before.size)
    seen &= before.size > ZERO * before.eps * before.sensitivity
    bluntly = (c.difference > resolution * c.size) & (c.tolerance > resolution * c.size)
    return bool((seen & bluntly & ~np.isin(c.entries, found.kinks)).any())


def _confirmed(bench: Bench, comparison: Comparison, resolution: float, *, borne_out: bool) -> Confirmed:
    _look_where_it_is_tamer(bench, comparison)
    if not comparison.sensitivity and not bench.reference.exact:
        comparison = replace(comparison, sensitivity=bench.secant(comparison.name))
    if borne_out and is_grave(bench, comparison):
        return Confirmed(comparison)
    if not bench.reference.exact:
        comparison = untruncated(bench, comparison, resolution)
        first, rest = blunt_places(comparison, resolution)
        comparison = on_ladders(bench, comparison, first)
        still = blunt_entries(comparison, resolution)[first]
        if still.any() and _agrees_where_loud(bench, comparison, resolution):
            return Confirmed(comparison, rounding=True)
        if not still.all():
            comparison = on_ladders(bench, comparison, rest)
        comparison = by_means(bench, comparison, resolution)
        _look_where_it_is_tamer(bench, comparison)
    steady = np.zeros(len(comparison.entries), dtype=bool)
    kinks: tuple[int, ...] = ()
    disputed = most_disputed(comparison)
    inside = bench.blunt(comparison.name)
    grave = is_grave(bench, comparison) and (not bench.reference.exact or _borne_out(bench, comparison, disputed[:1]))
    if len(disputed) and bench.reference.exact and not grave:  # rounding of any kind could not do what is grave
        comparison = with_own_noise(bench, comparison, disputed)
        steady = steady_entries(bench, comparison, most_disputed(comparison))
        comparison = cancelling.forgiven(bench, forgiven(bench, comparison, ~steady), ~steady)
        disputed = most_disputed(comparison)
    if len(disputed) and bench.reference.exact:
        comparison = held_against_quotients(bench, comparison, disputed[:1] if grave else disputed)
    elif len(disputed):
        comparison, kinks = _kinks(bench, comparison, disputed)  # ladders of steps would cost fifty times as much
        disputed = most_disputed(comparison)
        comparison = finer(bench, comparison, disputed) if len(disputed) else comparison
    comparison, more = _kinks(bench, comparison, _suspects(bench, comparison, resolution))
    kinks += more
    if not bench.reference.exact:
        comparison = seen_from_afar(bench, comparison)
    ambiguous = comparison.wrong & (comparison.difference <= inside + REFERENCE_SAFETY * comparison.error) & ~steady
    ambiguous &= ~restless(bench, comparison, np.flatnonzero(ambiguous)[:LOOKED_AT])
    if not ambiguous.any():
        if not comparison.wrong.any():
            comparison = averaged(bench, comparison, resolution)
        blunt_by_form = bool(bench.subject.gradient_noise) and not comparison.hidden(resolution)
        if comparison.wrong.any() or blunt_by_form or not blunt_entries(comparison, resolution).any():
            return Confirmed(comparison, kinks)
        blunt = comparison.entries[blunt_entries(comparison, resolution)]
        seen = relieved(bench, comparison.name, blunt, resolution)
        if not seen and not bench.reference.exact:
            seen = _agrees_where_loud(bench, comparison, resolution)
        return Confirmed(comparison, kinks, rounding=bool(seen))
    relative = float((comparison.difference[ambiguous] / comparison.size[ambiguous]).min())
    cleared = relieved(bench, comparison.name, comparison.entries[ambiguous], min(resolution, relative / 2))
    if cleared is False:
        return Confirmed(comparison, kinks)
    level = np.where(ambiguous, np.maximum(comparison.level, inside / ROUNDING_SAFETY), comparison.level)
    floor = np.where(
        ambiguous, np.maximum(comparison.rounding_floor, inside / ROUNDING_SAFETY), comparison.rounding_floor
    )
    comparison = replace(comparison, level=level, rounding_floor=floor)
    seen_of_them = comparison.seen(resolution)[ambiguous]  # by that wider tolerance still as finely as asked?
    open_ = cleared is None and not _nothing_but_rounding(bench, comparison)[ambiguous].all()
    unclear = open_ and not ((seen_of_them > 0) & (seen_of_them <= resolution)).all()
    return Confirmed(comparison, kinks, bool(cleared), unclear)


def _nothing_but_rounding(bench: Bench, c: Comparison) -> Array:
    """Which entries have a derivative that is 0 to the reference's last digit, and a gradient that is to its own.

    What a bias has before a normalised layer, for instance: terms as large as the largest sensitivity sum up to 0.
    """
    zero = ZERO * c.sensitivity
    return np.asarray((np.abs(c.reference) <= zero * bench.reference.eps) & (np.abs(c.analytic) <= zero * c.eps))


def _look_where_it_is_tamer(bench: Bench, c: Comparison) -> None:
    """Where something is off, see how sensitive the loss is at points scaled down.

    One block at a time too, where what is off is so little that an ulp of numbers of a usual size could be it.
    """
    if c.wrong.any():
        bench.look_at_tamer_points()
        if c.difference[c.wrong].max() <= ROUNDING_SAFETY * c.eps * PLAUSIBLE / bench.scale(c.name):
            bench.look_at_each_block_tamed()


def _agrees_where_loud(bench: Bench, c: Comparison, resolution: float) -> bool:
    """Whether entries that are seen too bluntly here agree where they are loud; nothing may be off here."""
    blunt = c.entries[blunt_entries(c, resolution)]
    return bool(len(blunt)) and not c.wrong.any() and louder.agrees(bench, c.name, blunt, resolution)


def is_grave(bench: Bench, c: Comparison) -> bool:
    """Whether what is most off is off by more than rounding of any kind could do."""
    most = most_disputed(c)[: QUOTIENTS if len(c.entries) > 2 * QUOTIENTS else 1]  # of a small sample some may be small
    grave = bool(len(most) and (c.difference[most] > GRAVE * bench.blunt(c.name)).all())
    return grave and not cancelling.may_explain(bench, c.name, c.difference[most], c.size[most])


def disputed_direction(bench: Bench, c: Comparison) -> tuple[Array, float]:
    """A direction through the entries of a block that are disputed, and the gap between reference and prediction."""
    places = most_disputed(c)
    gap = (c.reference - c.analytic)[places]
    v = np.zeros(c.shape)
    with np.errstate(all="ignore"):
        weights = bench.rng.uniform(0.5, 1.5, len(places)) / gap.astype(float)
    v.reshape(-1)[c.entries[places]] = weights
    return v, float(weights @ gap)


def _suspects(bench: Bench, c: Comparison, resolution: float) -> Array:
    """Places that a kink could be to blame for: disputed ones, and where real differences never settle."""
    blurred = np.array([], dtype=int) if bench.reference.exact else np.flatnonzero(c.seen(resolution) > resolution)
    return np.array(list(dict.fromkeys([*most_disputed(c), *blurred[:LOOKED_AT]])), dtype=int)


def _borne_out(bench: Bench, c: Comparison, place: Array) -> bool:
    """Whether a difference quotient sees most of what the most disputed entry is off by."""
    estimate = bench.estimate(c.name, c.entries[place], Richardson())
    off = np.abs(estimate.value - c.reference[place]).astype(float) + REFERENCE_SAFETY * estimate.error.astype(float)
    return bool((off <= MOSTLY * c.difference[place]).all())


def _kinks(bench: Bench, c: Comparison, places: Array) -> tuple[Comparison, tuple[int, ...]]:
    """Where one-sided derivatives differ and the gradient lies between, it is a subgradient: the reference is it."""
    found: list[int] = []
    reference, error, noise = c.reference.copy(), c.error.copy(), c.noise.copy()
    smooth = 0
    lost = np.inf if not bench.reference.exact else bench.lost_inside(c.name, bench.eps)
    for place in places:
        if smooth == QUOTIENTS and not found:
            break  # a block whose most disputed entries sit on no kink is wrong for another reason
        v = np.zeros(c.shape)
        v.reshape(-1)[c.entries[place]] = 1.0
        left, right, unsure = one_sided(bench, {c.name: v})
        # A complex step may see more than a loss can show.
        level_on_either_side = abs(left) + abs(right) <= unsure and c.difference[place] <= lost
        if c.analytic[place] == 0 and c.wrong[place] and level_on_either_side:
            reference[place], error[place], noise[place] = 0.0, unsure, unsure
            continue
        if not abs(right - left) > KINK * unsure:
            smooth += 1
            continue
        low, high = min(left, right) - unsure, max(left, right) + unsure
        if low <= c.analytic[place] <= high:
            found.append(int(c.entries[place]))
            reference[place], error[place], noise[place] = c.analytic[place], 0.0, 0.0
    return replace(c, reference=reference, error=error, noise=noise), tuple(found)


def _drowned(bench: Bench, name: str, entries: Array, resolution: float) -> bool:
    """Whether entries are so far below the noise of the loss that no steps, and no mean over them, would show them."""
    c = bench.compared(name, entries)
    drowned = (c.noise > DROWNED * resolution * c.size) & (c.analytic != 0)  # of a zero nothing says how large it is
    return bool(drowned.all() and not c.wrong.any())


def relieved(bench: Bench, name: str, entries: Array, resolution: float) -> bool | None:
    """Whether a block agrees sharply where nothing saturates: True, False, or ``None`` where no point tells."""
    looked_at = entries[:: max(1, len(entries) // LOOKED_AT)][:LOOKED_AT]
    each = bench.tame.each
    one_at_a_time: list[float | Mapping[str, float]]
    one_at_a_time = [{block: factor} for block in list(bench.gradient)[:EACH] for factor in TAMER] if each else []
    for factor in (*RELIEF, *ENLARGED, *one_at_a_time):
        try:
            smaller = bench.moved(factor)
            if smaller is None or name not in smaller.gradient:
                continue
            if not smaller.reference.exact and _drowned(smaller, name, looked_at[:QUOTIENTS], resolution):
                continue
            c = smaller.compared(name, looked_at)
            if not smaller.reference.exact and c.wrong.any():
                c = finer(smaller, c, np.flatnonzero(c.wrong))
            if not smaller.reference.exact:
                c = sharper(smaller, c, resolution)
        except (SubjectFailed, SubjectError):
            continue
        blunt = smaller.blunt(name, here=not each)
        clear = c.wrong & (c.difference > blunt + REFERENCE_SAFETY * c.error)
        if clear.any() and factor in RELIEF:
            return False
        if not c.wrong.any() and np.mean(c.tolerance < resolution * np.abs(c.reference)) >= SEEN:
            return True
    return None
