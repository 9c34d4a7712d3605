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

from dataclasses import dataclass, replace

import numpy as np

from bptt_check import sharper
from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY, ROUNDING_SAFETY, Comparison
from bptt_check.differences import Richardson
from bptt_check.differences.averaging import FEWER, MORE
from bptt_check.differences.estimate import taken
from bptt_check.errors import SubjectError, SubjectFailed
from bptt_check.quotients import QUOTIENTS, held_against_quotients
from bptt_check.settle import GRAVE
from bptt_check.sides import KINK, one_sided
from bptt_check.stairs import from_afar
from bptt_check.subject import Array

LOOKED_AT = 24  # disputed entries of a block that are looked at again, the most disputed first
MOST_TABLEAUX = 4000  # that are spent on the entries of one block
ROUNDED = 500.0  # ulps of an entry that a constant rounded to the own precision may put on it, everywhere alike
TRIALS = (1e-4, 1e-4, 1e-4, 1e-2, 1e-2)  # how far off are points nearby at which a fault must stay what it is
NEAREST = 3  # of them, at which a share that has dropped out is still what it was
AVERAGED = 64  # points an ulp away over which a gradient is averaged that its own rounding blurs
MUCH = 1e-3  # share of an entry from which digits lost inside may be what is off in it everywhere alike
ALL = 1e-3  # nearness to −1 of a share that says: the gradient is nothing beside the reference
MOSTLY = 0.1  # share of a discrepancy that a quotient may leave open and still bear it out
STEADY = 1.2  # factor within which a fault keeps its share of an entry at points nearby
SEEN = 0.5  # share of the entries looked at that must be seen finely at a rescaled point
RELIEF = (0.25, 0.05, 0.01, 0.001)  # factors on the point that take gates out of saturation,
ENLARGED = (2.0, 4.0)  # and that bring back what has vanished; these can clear a gradient, not condemn it


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
    if comparison.wrong.any():
        bench.look_at_tamer_points()
    if not comparison.sensitivity and not bench.reference.exact:
        comparison = replace(comparison, sensitivity=bench.secant(comparison.name))
    if borne_out and is_grave(bench, comparison):
        return Confirmed(comparison)
    if not bench.reference.exact:
        comparison = _sharper(bench, comparison, resolution)
    steady = np.zeros(len(comparison.entries), dtype=bool)
    disputed = _disputed(comparison)
    blunt = bench.blunt(comparison.name)
    grave = is_grave(bench, comparison) and (not bench.reference.exact or _borne_out(bench, comparison, disputed[:1]))
    if len(disputed) and bench.reference.exact and not grave:  # rounding of any kind could not do what is grave
        comparison = _with_own_noise(bench, comparison, disputed)
        steady = _steady(bench, comparison, _disputed(comparison))
        comparison = _forgiven(bench, comparison, ~steady)
        disputed = _disputed(comparison)
    if len(disputed) and bench.reference.exact:
        comparison = held_against_quotients(bench, comparison, disputed[:1] if grave else disputed)
    elif len(disputed):
        comparison = _finer(bench, comparison, disputed)
    comparison, kinks = _kinks(bench, comparison, _suspects(bench, comparison, resolution))
    if not bench.reference.exact:
        comparison = _seen_from_afar(bench, comparison)
    ambiguous = comparison.wrong & (comparison.difference <= blunt + REFERENCE_SAFETY * comparison.error) & ~steady
    ambiguous &= ~_restless(bench, comparison, np.flatnonzero(ambiguous)[:LOOKED_AT])
    if not ambiguous.any():
        if not comparison.wrong.any():
            comparison = _averaged(bench, comparison, resolution)
        blunt_by_form = bool(bench.subject.gradient_noise) and not comparison.hidden(resolution)
        if comparison.wrong.any() or blunt_by_form or not _blunt(comparison, resolution).any():
            return Confirmed(comparison, kinks)
        seen = relieved(bench, comparison.name, comparison.entries[_blunt(comparison, resolution)], resolution)
        return Confirmed(comparison, kinks, rounding=bool(seen))
    relative = float((comparison.difference[ambiguous] / comparison.size[ambiguous]).min())
    cleared = relieved(bench, comparison.name, comparison.entries[ambiguous], min(resolution, relative / 2))
    if cleared is False:
        return Confirmed(comparison, kinks)
    level = np.where(ambiguous, np.maximum(comparison.level, blunt / ROUNDING_SAFETY), comparison.level)
    floor = np.where(
        ambiguous, np.maximum(comparison.rounding_floor, blunt / ROUNDING_SAFETY), comparison.rounding_floor
    )
    comparison = replace(comparison, level=level, rounding_floor=floor)
    seen_of_them = comparison.seen(resolution)[ambiguous]  # by that wider tolerance still as finely as asked?
    unclear = cleared is None and not ((seen_of_them > 0) & (seen_of_them <= resolution)).all()
    return Confirmed(comparison, kinks, bool(cleared), unclear)


def is_grave(bench: Bench, c: Comparison) -> bool:
    """Whether what is most off is off by more than rounding of any kind could do."""
    most = _disputed(c)[: QUOTIENTS if len(c.entries) > 2 * QUOTIENTS else 1]  # of a small sample some may be small
    return bool(len(most) and (c.difference[most] > GRAVE * bench.blunt(c.name)).all())


def disputed_direction(bench: Bench, c: Comparison) -> tuple[Array, float]:
    """A direction through the entries of a block that are disputed, and the gap between reference and prediction."""
    places = _disputed(c)
    gap = (c.reference - c.analytic)[places]
    v = np.zeros(c.shape)
    with np.errstate(all="ignore"):
        weights = bench.rng.uniform(0.5, 1.5, len(places)) / gap.astype(float)
    v.reshape(-1)[c.entries[places]] = weights
    return v, float(weights @ gap)


def _disputed(c: Comparison) -> Array:
    """Places (not entries) of the most disputed: wrong ones, and those without a finite reference."""
    ratio = np.where(np.isfinite(c.reference), c.difference / np.maximum(c.tolerance, 1e-300), np.inf)
    places = np.flatnonzero(c.wrong | ~np.isfinite(c.reference))
    return places[np.argsort(-ratio[places], kind="stable")][:LOOKED_AT]


def _suspects(bench: Bench, c: Comparison, resolution: float) -> Array:
    """Places that a kink could be to blame for: disputed ones, and where real differences never settle."""
    blurred = np.array([], dtype=int) if bench.reference.exact else np.flatnonzero(c.seen(resolution) > resolution)
    return np.array(list(dict.fromkeys([*_disputed(c), *blurred[:LOOKED_AT]])), dtype=int)


def _updated(c: Comparison, places: Array, value: Array, error: Array, noise: Array) -> Comparison:
    reference, errors, noises = c.reference.copy(), c.error.copy(), c.noise.copy()
    reference[places], errors[places], noises[places] = value, error, noise
    return replace(c, reference=reference, error=errors, noise=noises)


def _sharper(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """Entries that are seen too bluntly once more, by other steps and more; a sample decides whether that helps."""
    blunt = np.flatnonzero(_blunt(c, resolution) & ~c.wrong)
    for places in (blunt[:QUOTIENTS], blunt[QUOTIENTS:]):
        if len(places):
            c = _sharpened(bench, c, places, resolution)
            if _blunt(c, resolution)[places].all():
                break
    return c


def _sharpened(bench: Bench, c: Comparison, places: Array, resolution: float) -> Comparison:
    """On ladders of steps; what is still blunt, by the mean over few and then over many tableaux."""
    estimate = sharper.refined(bench, c.name, c.entries[places])
    c = _updated(c, places, estimate.value, estimate.error, estimate.roundoff)
    for count in (FEWER, MORE):
        left = _blunt(c, resolution)[places]
        if not left.any() or left.sum() * count > MOST_TABLEAUX:
            break
        places, estimate = places[left], taken(estimate, left)
        estimate = sharper.mean_of_many(bench, c.name, c.entries[places], estimate, count)
        c = _updated(c, places, estimate.value, estimate.error, estimate.roundoff)
    return c


def _blunt(c: Comparison, resolution: float) -> Array:
    """Entries seen less finely than asked; of a block that lies below its floor as a whole, all that are."""
    if c.hidden(resolution):
        return np.asarray((c.tolerance > resolution * c.size) & (c.size > 0))
    return np.asarray(c.seen(resolution) > resolution)


def _averaged(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """Entries that the subject's own rounding blurs, by the mean of their gradient at many points an ulp away.

    Rounding averages out and a fault does not. What does not average out either, a digit lost everywhere alike, must
    not be called a fault here: where the mean is off, all stays as it was.
    """
    blurred = _blunt(c, resolution) & (ROUNDING_SAFETY * c.level > REFERENCE_SAFETY * c.error)
    if not blurred.any() or bench.plain is not None or ROUNDING_SAFETY * c.eps > resolution:
        return c
    mean, spread = sharper.mean_gradient(bench, c.name, c.entries, AVERAGED)
    ulps = c.eps * (np.abs(mean) + np.abs(mean).max(initial=0.0))
    level = np.where(blurred, np.minimum(spread / np.sqrt(AVERAGED) + ulps, c.level), c.level)
    floor = np.where(blurred, np.minimum(level, c.rounding_floor), c.rounding_floor)
    own = c.analytic if c.own is None else c.own
    analytic = np.where(blurred, mean, c.analytic)
    finer = replace(c, analytic=analytic, level=level, rounding_floor=floor, own=own)
    return c if finer.wrong.any() or not np.isfinite(mean).all() else finer


def _finer(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """Real differences again, on ladders of steps; all of a block only where the first look changes minds.

    What still is off is held against ladders of stretched steps: by as much as those differ the reference may be off,
    on a staircase for instance, whose steps lie further apart than noise is looked for.
    """
    first = places[:QUOTIENTS]
    c = _on_ladders(bench, c, first, scatter=True)
    rest = np.flatnonzero(c.wrong) if not c.wrong[first].all() else np.array([], dtype=int)
    return _on_ladders(bench, c, rest, scatter=len(rest) <= LOOKED_AT) if len(rest) else c


def _seen_from_afar(bench: Bench, c: Comparison) -> Comparison:
    """What is off all the same, where the loss is a staircase: against its slope from afar (stairs.py)."""
    for place in [
        *_disputed(c)[:1],
        *np.flatnonzero(c.wrong),
    ]:  # the most disputed first: it may say that all is smooth
        if not c.wrong[place]:
            continue
        seen = from_afar(bench, c.name, int(c.entries[place]))
        if seen is None:
            break
        c = _updated(c, np.array([place]), seen.value, seen.error, seen.roundoff)
    return c


def _on_ladders(bench: Bench, c: Comparison, places: Array, *, scatter: bool) -> Comparison:
    estimate = sharper.refined(bench, c.name, c.entries[places])
    c = _updated(c, places, estimate.value, estimate.error, estimate.roundoff)
    off = places[c.wrong[places]]
    if scatter and len(off):
        error = c.error.copy()
        error[off] = np.maximum(error[off], sharper.scatter(bench, c.name, c.entries[off]))
        c = replace(c, error=error)
    return c


def _with_own_noise(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """What the rounding of the reference itself may be: the noise of its values near the point.

    A loss that subtracts large terms has a complex step whose rounding the gradient need not share.
    """
    for some in (places[:QUOTIENTS], places[QUOTIENTS:]):
        if len(some):
            spread = sharper.reference_noise(bench, c.name, c.entries[some])
            error = c.error.copy()
            error[some] = np.maximum(error[some], spread)
            c = replace(c, error=error)
            if c.wrong[some].all():
                break
    return c


def _forgiven(bench: Bench, c: Comparison, unsteady: Array) -> Comparison:
    """What is not steady may be as large as the subject's own rounding, though it was evaluated in long double.

    And it may be as large as what a rounded constant, an exponent for instance, puts on an entry.
    """
    own = bench.plain or bench
    level = ROUNDED * own.eps * c.size / ROUNDING_SAFETY
    if bench.plain is not None:
        level = np.maximum(level, own.rounding.level[c.name].reshape(-1)[c.entries])
    explained = c.wrong & unsteady & (c.difference <= ROUNDING_SAFETY * level)
    return replace(c, level=np.where(explained, np.maximum(c.level, level), c.level))


def _steady(bench: Bench, c: Comparison, places: Array) -> Array:
    """Which of the disputed entries are off by the same share at points nearby.

    A fault is. Digits lost on the way are not: in a saturated gate, or in a backward pass that keeps some array in
    float64, or on a step of a staircase: hence some points further off. (A gradient that is zero, or nothing beside the
    reference, is off by all of it everywhere, and tells nothing. Nor does what even the reference's precision may lose
    inside: a share that has dropped out of a saturated softmax, or one step's part of a sum where a gate saturates, is
    missing at every point nearby.)
    """
    steady = np.zeros(len(c.entries), dtype=bool)
    asked = places if bench.plain else places[c.analytic[places] != 0]
    if not len(asked):
        return steady
    with np.errstate(all="ignore"):
        share = (c.analytic - c.reference)[asked] / c.reference[asked]
    inside = bench.blunt(c.name) * bench.reference.eps / bench.eps
    lost = (c.difference[asked] <= inside) & ((np.abs(share) > MUCH) | (c.size[asked] <= inside))
    vanished = np.abs(share + 1) <= ALL if bench.plain is None else lost
    same = (np.abs(share) > ROUNDED * (bench.plain or bench).eps) & ~lost & ~vanished
    for far in TRIALS:
        if not same.any():
            break
        near = bench.nearby(far)
        if near is None:
            return steady
        there = near.compared(c.name, c.entries[asked])
        with np.errstate(all="ignore"):
            ratio = (there.analytic - there.reference) / there.reference / share
        same &= (ratio > 1 / STEADY) & (ratio < STEADY)
    steady[asked[same]] = True
    return steady


def _restless(bench: Bench, c: Comparison, places: Array) -> Array:
    """Which entries are off by another share at each point nearby, and by the same in either precision.

    Rounding that changes from point to point is two thousand times as large in float64 as in long double. So where the
    gradients in both are all but one, and long double is off by far more than what they differ by, it is not rounding.
    """
    restless = np.zeros(len(c.entries), dtype=bool)
    if bench.plain is None or bench.subject.gradient_noise or not len(places):
        return restless
    entries = c.entries[places]
    with np.errstate(all="ignore"):
        share = (c.analytic - c.reference)[places] / c.reference[places]
    unsteady, apart = np.zeros(len(places), dtype=bool), 0.0
    for far in TRIALS[:NEAREST]:
        near = bench.nearby(far)
        own = None if near is None else near.handed_out()
        if near is None or own is None:
            return restless
        apart = max(apart, float(np.abs(own[c.name] - near.gradient[c.name]).max(initial=0.0)))
        there = near.compared(c.name, entries)
        with np.errstate(all="ignore"):
            ratio = (there.analytic - there.reference) / there.reference / share
        unsteady |= (ratio < 1 / STEADY) | (ratio > STEADY)
    restless[places] = unsteady & (c.difference[places] > ROUNDING_SAFETY * apart)
    return restless


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
        still = abs(left) + abs(right) <= unsure and c.difference[place] <= lost
        if c.analytic[place] == 0 and still:  # on either side; a complex step may see more than a loss can show
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


def relieved(bench: Bench, name: str, entries: Array, resolution: float) -> bool | None:
    """Whether a block agrees sharply where nothing saturates: True, False, or ``None`` where no point tells."""
    looked_at = entries[:: max(1, len(entries) // LOOKED_AT)][:LOOKED_AT]
    for factor in (*RELIEF, *ENLARGED):
        try:
            smaller = bench.moved(factor)
            if smaller is None or name not in smaller.gradient:
                continue
            c = smaller.compared(name, looked_at)
            if not smaller.reference.exact and c.wrong.any():
                c = _finer(smaller, c, np.flatnonzero(c.wrong))
            if not smaller.reference.exact:
                c = _sharper(smaller, c, resolution)
        except (SubjectFailed, SubjectError):
            continue
        blunt = smaller.blunt(name, here=True)
        clear = c.wrong & (c.difference > blunt + REFERENCE_SAFETY * c.error)
        if clear.any() and factor <= 1:
            return False
        if not c.wrong.any() and np.mean(c.tolerance < resolution * np.abs(c.reference)) >= SEEN:
            return True
    return None
