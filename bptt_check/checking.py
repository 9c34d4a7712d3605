"""The one verb: ``check(subject)`` → :class:`~bptt_check.results.Result`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bptt_check import directions, rounding, search
from bptt_check.compare import REFERENCE_SAFETY, ROUNDING_SAFETY, Comparison, judge, overall
from bptt_check.differences.evaluate import along, partials
from bptt_check.errors import SubjectError, SubjectFailed, UsageError
from bptt_check.protocol import observe
from bptt_check.reference import Reference, choose
from bptt_check.results import Block, Finding, Result, Verdict
from bptt_check.subject import Array, Subject, copied, total_size

RESOLUTION = {"float64": 1e-6, "float32": 1e-2, "float16": 0.3}  # asked for by default, by precision of the subject
STACKED_ENTRIES = 4096  # all entries are compared up to this many where they can be stacked,
DIFFERENCE_ENTRIES = 2048  # up to this many where only real differences work,
SINGLE_ENTRIES = 24  # and up to this many one by one with a complex step; beyond, directions
DIRECTIONS = 3
EVALUATIONS = 60  # loss evaluations that a check spends of its own accord when all is right
NEAR_A_KINK = 1e-3


def check(
    subject: Subject,
    *,
    rng: int | np.random.Generator = 0,
    resolution: float | None = None,
    optional: Iterable[str] = (),
    entries: str = "auto",
    method: str = "auto",
) -> Result:
    """Compare the analytic gradient of ``subject`` with a numerical reference derivative.

    Parameters
    ----------
    rng: seed or generator of the random directions and moves; the same seed gives the same result.
    resolution: the smallest relative error of one entry that must be visible for AGREES; by default 1e-6 for float64
        and 1e-2 for float32 subjects.
    optional: names of gradients that need not be returned.
    entries: ``"all"`` compares every entry on its own; ``"directions"`` looks along random directions and
        searches where one disagrees; ``"auto"`` takes the first for small subjects.
    method: ``"auto"``, ``"complex"`` or ``"differences"``.

    Returns
    -------
    Result
        with a verdict for each block and over all. An exception inside the subject's code is a finding.

    Raises
    ------
    SubjectError
        Where the subject cannot be tested as it is (a gradient of a wrong shape, an unknown name, a loss that is not one
        finite number); the message says what to change.
    UsageError
        For an option value that does not exist.
    """
    if entries not in ("auto", "all", "directions") or method not in ("auto", "complex", "differences"):
        raise UsageError(
            f"entries={entries!r}, method={method!r}: entries takes 'auto', 'all' or 'directions'; "
            "method takes 'auto', 'complex' or 'differences'"
        )
    started = time.perf_counter()
    optional = _known_names(subject, optional)
    try:
        result = _Check(subject, np.random.default_rng(rng), resolution, optional, entries, method).run()
    except SubjectFailed as error:
        cause = error.__cause__ or error
        detail = "".join(traceback.format_exception(cause))
        blocks = {name: Block(name, Verdict.INCONCLUSIVE, a.shape) for name, a in subject.blocks.items()}
        finding = Finding("raised", str(error), detail, fault=True)
        result = Result(subject.name, Verdict.INCONCLUSIVE, blocks, (finding,), case=subject.case)
    return replace(result, seconds=time.perf_counter() - started)


def _known_names(subject: Subject, names: Iterable[str]) -> frozenset[str]:
    named = frozenset([names] if isinstance(names, str) else names)
    unknown = named - set(subject.blocks)
    if unknown:
        raise SubjectError(
            f"optional= names {', '.join(sorted(unknown))}, which the point lacks; it has {', '.join(subject.blocks)}"
        )
    return named


@dataclass
class _Check:
    """One run of the verb: what every step of it needs, and the count of what it cost."""

    subject: Subject
    rng: np.random.Generator
    resolution: float | None
    optional: frozenset[str]
    entries: str
    method: str

    def run(self) -> Result:
        subject = self.subject
        kind = np.result_type(*subject.point.values())
        self.eps = max(float(np.finfo(kind).eps), float(np.finfo(np.float64).eps))
        self.asked = self.resolution or RESOLUTION.get(kind.name, RESOLUTION["float64"])
        self.evaluations = 0
        seen = observe(subject, eps=self.eps)
        findings = list(seen.findings)
        self.gradient = {name: seen.gradient[name] for name in subject.blocks if name in seen.gradient}
        self.gradients = seen.gradients
        finite = {name: np.nan_to_num(a.astype(float), posinf=0, neginf=0) for name, a in self.gradient.items()}
        unstable = [f for f in findings if f.kind in ("random-loss", "random-gradient", "accumulates")]
        if unstable or not self.gradient:
            return self._nothing_compared(findings, unstable)
        self.reference = choose(subject, finite, rng=self.rng, method=self.method)
        self.rounding = rounding.measure(subject.gradient, subject.blocks, finite, eps=self.eps, rng=self.rng)
        self.gradients += self.rounding.gradients
        self.evaluations += seen.evaluations + self.reference.evaluations
        blocks = {name: self._not_returned(name) for name in subject.blocks if name not in self.gradient}
        miss: tuple[float, float] | None = None
        if self._every_entry():
            blocks |= {name: self._entry_by_entry(name) for name in self.gradient}
        else:
            found, miss = self._by_directions(finite)
            blocks |= found
        if subject.kink_distance is not None and subject.kink_distance < NEAR_A_KINK:
            distance = f"{subject.kink_distance:.1e}"
            findings.append(
                Finding("near-a-kink", f"the loss has a place without a derivative {distance} from this point")
            )
        verdict = overall(
            list(blocks.values()), optional=self.optional, undecided=False, faulty=any(f.fault for f in findings)
        )
        return Result(
            subject=subject.name,
            verdict=verdict,
            blocks={name: blocks[name] for name in subject.blocks},
            findings=tuple(findings),
            method=self.reference.described,
            reason=self.reference.reason,
            evaluations=self.evaluations,
            gradient_evaluations=self.gradients,
            miss_probability=miss[0] if miss else 0.0,
            miss_size=miss[1] if miss else self.asked,
            case=subject.case,
        )

    def _every_entry(self) -> bool:
        if self.entries != "auto":
            return self.entries == "all"
        n = total_size(self.gradient.values())
        limit = STACKED_ENTRIES if self.subject.stacked else SINGLE_ENTRIES
        return n <= (limit if self.reference.exact else max(limit, DIFFERENCE_ENTRIES))

    def _nothing_compared(self, findings: list[Finding], unstable: list[Finding]) -> Result:
        blocks = {
            name: Block(name, Verdict.INCONCLUSIVE if name in self.gradient else Verdict.NOT_RETURNED, array.shape)
            for name, array in self.subject.blocks.items()
        }
        accumulates = any(f.kind == "accumulates" for f in unstable)
        verdict = Verdict.DISAGREES if accumulates else Verdict.INCONCLUSIVE
        reason = "nothing is compared while repeated calls differ" if unstable else "no gradient was returned"
        return Result(self.subject.name, verdict, blocks, tuple(findings), reason=reason, evaluations=2,
                      gradient_evaluations=self.gradients, case=self.subject.case)  # fmt: skip

    def _not_returned(self, name: str) -> Block:
        return Block(name, Verdict.NOT_RETURNED, self.subject.blocks[name].shape, self.subject.equations.get(name))

    def _loss(self, point: Mapping[str, Array]) -> Any:
        self.evaluations += 1
        return self.subject.loss(point)

    def _compared(self, name: str, entries: Array) -> Comparison:
        """The named entries (flat indices) against the reference, each on its own."""
        reference = self.reference
        estimate = partials(
            reference.method, self._loss, reference.point, name,
            entries=entries, noise=reference.noise, stacked=self.subject.stacked,
        )  # fmt: skip
        exact = np.zeros(len(entries))
        level = self.rounding.level[name].reshape(-1)[entries]
        return Comparison(
            name=name,
            shape=self.gradient[name].shape,
            entries=entries,
            analytic=self.gradient[name].reshape(-1)[entries].astype(float),
            reference=estimate.value.astype(float),
            level=level * (2 if reference.exact and reference.eps >= self.eps else 1),  # both sides round alike then
            rounding_floor=self.rounding.floor[name].reshape(-1)[entries],
            error=exact if reference.exact else estimate.error.astype(float),
            noise=exact if reference.exact else estimate.roundoff.astype(float),
        )

    def _judged(self, comparison: Comparison) -> Block:
        name = comparison.name
        timed = name == "x" or name.endswith("(t)")
        return judge(comparison, resolution=self.asked, equation=self.subject.equations.get(name), timed=timed)

    def _entry_by_entry(self, name: str) -> Block:
        return self._judged(self._compared(name, np.arange(self.gradient[name].size)))

    def _by_directions(self, finite: Mapping[str, Array]) -> tuple[dict[str, Block], tuple[float, float]]:
        """All blocks along a few directions at once, then each along one of its own, then the entries at fault."""
        divisor = directions.divisors(finite, self.rounding)
        tolerances, ratios = zip(*[self._off(finite, divisor, tuple(finite)) for _ in range(DIRECTIONS)], strict=True)
        blocks = {}
        spare = EVALUATIONS - self.evaluations - 3 * self.gradients - len(finite)
        for name in finite:
            tolerance, ratio = self._off(finite, divisor, (name,))
            spare -= 1
            block = self._block_along(name, tolerance, ratio, divisor[name], sample=spare >= 0)
            if ratio > 1 or not np.isfinite(self.gradient[name]).all():
                block = self._searched(name, finite, divisor, block)
            blocks[name] = block
        if max(ratios) > 1 and not any(b.verdict is Verdict.DISAGREES for b in blocks.values()):
            blocks = {
                name: replace(
                    b,
                    verdict=Verdict.INCONCLUSIVE,
                    note="a direction over all blocks disagrees, none over this one does",
                )
                for name, b in blocks.items()
            }
        return blocks, (directions.miss_probability(max(tolerances), self.asked, DIRECTIONS + 1), self.asked)

    def _off(
        self, finite: Mapping[str, Array], divisor: Mapping[str, Array], names: tuple[str, ...],
        v: Mapping[str, Array] | None = None,
    ) -> tuple[float, float]:  # fmt: skip
        """Tolerance along a direction over ``names``, in relative terms of one entry, and discrepancy over tolerance."""
        if v is None:
            direction = directions.draw(finite, self.rounding, divisor, self.rng, names)
        else:
            direction = directions.along(v, finite, self.rounding)
        norm = float(np.sqrt(sum(float(np.sum(part**2)) for part in direction.v.values()))) or 1.0
        reference = self.reference
        unit = direction.v if reference.exact else {name: part / norm for name, part in direction.v.items()}
        estimate = along(reference.method, self._loss, reference.point, unit, noise=reference.noise)
        scale = 1.0 if reference.exact else norm
        error = 0.0 if reference.exact else float(estimate.error) * scale
        both = 2.0 if reference.exact and reference.eps >= self.eps else 1.0
        tolerance = both * ROUNDING_SAFETY * direction.noise + REFERENCE_SAFETY * error
        off = abs(float(estimate.value) * scale - direction.predicted)
        return tolerance, off / tolerance if tolerance else (np.inf if off else 0.0)

    def _block_along(self, name: str, tolerance: float, ratio: float, divisor: Array, *, sample: bool) -> Block:
        a = self.gradient[name]
        resolution = directions.smallest_seen(tolerance, DIRECTIONS + 1)
        fine = resolution <= self.asked
        block = Block(
            name=name,
            verdict=Verdict.AGREES if fine else Verdict.INCONCLUSIVE,
            shape=a.shape,
            equation=self.subject.equations.get(name),
            compared=a.size,
            max_relative_error=tolerance * ratio,
            tolerance_ratio=ratio,
            resolution=resolution,
        )
        if not sample:
            return block
        largest = self._judged(self._compared(name, np.array([int(np.abs(a).argmax())])))
        if largest.verdict is Verdict.DISAGREES:
            return replace(largest, compared=a.size)
        return replace(block, index=largest.index, analytic=largest.analytic, reference=largest.reference)

    def _searched(self, name: str, finite: Mapping[str, Array], divisor: Mapping[str, Array], block: Block) -> Block:
        """The entries at fault of a block whose direction disagrees."""
        a = self.gradient[name]
        v = self.rng.standard_normal(a.size) / divisor[name].reshape(-1)

        def disagrees(group: Array) -> bool:
            part = np.zeros(a.size)
            part[group] = v[group]
            return self._off(finite, divisor, (name,), {name: part.reshape(a.shape)})[1] > 1

        def is_wrong(entry: int) -> bool:
            return bool(self._compared(name, np.array([entry])).wrong.any())

        likely = np.concatenate([np.flatnonzero(~np.isfinite(a.reshape(-1))), [int(np.nan_to_num(np.abs(a)).argmax())]])
        found, dense = search.locate(a.size, disagrees=disagrees, is_wrong=is_wrong, likely=likely, rng=self.rng)
        if not found:
            return replace(
                block, verdict=Verdict.DISAGREES, note="disagrees along a direction; no single entry stands out"
            )
        worst = self._judged(self._compared(name, np.array(found)))
        count = "most entries disagree" if dense else f"{len(found)} wrong entries found among {a.size}"
        return replace(worst, verdict=Verdict.DISAGREES, compared=a.size, note=count, by_step=None)
