"""The second look at single entries: a better reference where the first is doubted or too blunt.

Other steps, more of them, and means over many; nothing here decides, each function hands back the comparison with what
it has found.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bptt_check import once_more
from bptt_check.bench import Bench
from bptt_check.compare import REFERENCE_SAFETY, ROUNDING_SAFETY, Comparison
from bptt_check.differences.averaging import FEWER, MORE
from bptt_check.differences.estimate import Estimate, taken
from bptt_check.quotients import QUOTIENTS
from bptt_check.stairs import from_afar
from bptt_check.subject import Array

LOOKED_AT = 24  # disputed entries of a block that are looked at again, the most disputed first
BENT = 1e3  # times its noise that the error of a reference must be to come from steps that are too long
MOST_TABLEAUX = 1000  # that are spent on the entries of one block
GAIN, FURTHER_GAIN = 60.0, 10.0  # how much finer a mean over FEWER, then over MORE may become: 15 and 2 to 8 are usual
AVERAGED = 64  # points an ulp away over which a gradient is averaged that its own rounding blurs


def most_disputed(c: Comparison) -> Array:
    """Places (not entries) of the most disputed: wrong ones, and those without a finite reference."""
    ratio = np.where(np.isfinite(c.reference), c.difference / np.maximum(c.tolerance, 1e-300), np.inf)
    places = np.flatnonzero(c.wrong | ~np.isfinite(c.reference))
    return places[np.argsort(-ratio[places], kind="stable")][:LOOKED_AT]


def _updated(c: Comparison, places: Array, estimate: Estimate) -> Comparison:
    """The comparison with another reference at some places."""
    reference, error, noise = c.reference.copy(), c.error.copy(), c.noise.copy()
    step = np.zeros(len(c.entries)) if c.step is None else c.step.copy()
    reference[places], error[places] = estimate.value, estimate.error
    noise[places], step[places] = estimate.roundoff, estimate.step
    return replace(c, reference=reference, error=error, noise=noise, step=step)


def sharper(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """Entries that are seen too bluntly once more, on ladders of steps and by means over many."""
    first, rest = blunt_places(c, resolution)
    c = on_ladders(bench, c, first)
    if not blunt_entries(c, resolution)[first].all():
        c = on_ladders(bench, c, rest)
    return by_means(bench, c, resolution)


def blunt_places(c: Comparison, resolution: float) -> tuple[Array, Array]:
    """Places of entries that are seen too bluntly, and not off: a few, which tell whether a look helps, and others."""
    blunt = np.flatnonzero(blunt_entries(c, resolution) & ~c.wrong)
    return blunt[:QUOTIENTS], blunt[QUOTIENTS:]


def on_ladders(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """Some entries on ladders of steps."""
    if not len(places):
        return c
    estimate = once_more.refined(bench, c.name, c.entries[places])
    return _updated(c, places, estimate)


def untruncated(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """Entries that lie below their floor with a reference that is off by far more than noise: on finer ladders.

    The usual steps are too long for what bends on a thousandth of the point's size. A few tell whether finer ones help.
    """
    bent = (c.size > 0) & (c.size < c.floor(resolution)) & (REFERENCE_SAFETY * c.error > resolution * c.size)
    places = np.flatnonzero(bent & (c.error > BENT * c.noise))[:LOOKED_AT]
    first, rest = places[:QUOTIENTS], places[QUOTIENTS:]
    finer = on_ladders(bench, c, first)
    if (finer.error[first] > c.error[first] / BENT).all():
        return c
    return on_ladders(bench, finer, rest)


def by_means(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """What is blunt even so, by the mean over few and then over many tableaux; a sample decides whether that helps."""
    for places in blunt_places(c, resolution):
        if len(places):
            c = _averaged(bench, c, places, resolution)
            if blunt_entries(c, resolution)[places].all():
                break
    return c


def _averaged(bench: Bench, c: Comparison, places: Array, resolution: float) -> Comparison:
    estimate = once_more.refined(bench, c.name, c.entries[places])
    for count, gain in ((FEWER, GAIN), (MORE, FURTHER_GAIN)):
        left = blunt_entries(c, resolution)[places]
        within_reach = (c.tolerance <= gain * resolution * c.size) | (c.analytic == 0)  # nothing says how large a 0 is
        left &= within_reach[places]
        if not left.any() or left.sum() * count > MOST_TABLEAUX:
            break
        places, estimate = places[left], taken(estimate, left)
        estimate = once_more.mean_of_many(bench, c.name, c.entries[places], estimate, count)
        c = _updated(c, places, estimate)
    return c


def blunt_entries(c: Comparison, resolution: float) -> Array:
    """Entries seen less finely than asked; of a block that lies below its floor as a whole, all that are."""
    if c.hidden(resolution):
        return np.asarray((c.tolerance > resolution * c.size) & (c.size > 0))
    return np.asarray(c.seen(resolution) > resolution)


def averaged(bench: Bench, c: Comparison, resolution: float) -> Comparison:
    """Entries that the subject's own rounding blurs, by the mean of their gradient at many points an ulp away.

    Rounding averages out and a fault does not. What does not average out either, a digit lost everywhere alike, must
    not be called a fault here: where the mean is off, all stays as it was.
    """
    blurred = blunt_entries(c, resolution) & (ROUNDING_SAFETY * c.level > REFERENCE_SAFETY * c.error)
    if not blurred.any() or bench.plain is not None or ROUNDING_SAFETY * c.eps > resolution:
        return c
    mean, spread = once_more.mean_gradient(bench, c.name, c.entries, AVERAGED)
    ulps = c.eps * (np.abs(mean) + np.abs(mean).max(initial=0.0))
    level = np.where(blurred, np.minimum(spread / np.sqrt(AVERAGED) + ulps, c.level), c.level)
    floor = np.where(blurred, np.minimum(level, c.rounding_floor), c.rounding_floor)
    own = c.analytic if c.own is None else c.own
    analytic = np.where(blurred, mean, c.analytic)
    finer = replace(c, analytic=analytic, level=level, rounding_floor=floor, own=own)
    return c if finer.wrong.any() or not np.isfinite(mean).all() else finer


def finer(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """Real differences again, on ladders of steps; all of a block only where the first look changes minds.

    What still is off is held against ladders of stretched steps: by as much as those differ the reference may be off,
    on a staircase for instance, whose steps lie further apart than noise is looked for.
    """
    first = places[:QUOTIENTS]
    c = _held_against(bench, c, first, scatter=True)
    rest = np.flatnonzero(c.wrong) if not c.wrong[first].all() else np.array([], dtype=int)
    return _held_against(bench, c, rest, scatter=len(rest) <= LOOKED_AT) if len(rest) else c


def seen_from_afar(bench: Bench, c: Comparison) -> Comparison:
    """What is off all the same, where the loss is a staircase: against its slope from afar (stairs.py)."""
    for place in [
        *most_disputed(c)[:1],
        *np.flatnonzero(c.wrong),
    ]:  # the most disputed first: it may say that all is smooth
        if not c.wrong[place]:
            continue
        step = 0.0 if c.step is None else float(c.step[place])
        seen = from_afar(bench, c.name, int(c.entries[place]), off=float(c.difference[place]), step=step)
        if seen is None:
            break
        c = _updated(c, np.array([place]), seen)
    return c


def _held_against(bench: Bench, c: Comparison, places: Array, *, scatter: bool) -> Comparison:
    c = on_ladders(bench, c, places)
    off = places[c.wrong[places]]
    if scatter and len(off):
        error = c.error.copy()
        error[off] = np.maximum(error[off], once_more.scatter(bench, c.name, c.entries[off]))
        c = replace(c, error=error)
    return c


def with_own_noise(bench: Bench, c: Comparison, places: Array) -> Comparison:
    """What the rounding of the reference itself may be: the noise of its values near the point.

    A loss that subtracts large terms has a complex step whose rounding the gradient need not share.
    """
    for some in (places[:QUOTIENTS], places[QUOTIENTS:]):
        if len(some):
            spread = once_more.reference_noise(bench, c.name, c.entries[some])
            error = c.error.copy()
            error[some] = np.maximum(error[some], spread)
            c = replace(c, error=error)
            if c.wrong[some].all():
                break
    return c
