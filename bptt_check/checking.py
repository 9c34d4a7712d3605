"""The one verb: ``check(subject)`` → :class:`~bptt_check.results.Result`."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from bptt_check import rounding
from bptt_check.bench import Right
from bptt_check.compare import overall
from bptt_check.diagnose import Diagnosing, enlarged, located, references
from bptt_check.errors import SubjectError, SubjectFailed, UsageError
from bptt_check.flat import layouts, put_together, shapes_of
from bptt_check.in_full import in_full
from bptt_check.localise import wrong_lines
from bptt_check.looking import later_elsewhere
from bptt_check.pace import audible
from bptt_check.protocol import Observations, called_once, observe
from bptt_check.quotients import ReferenceUnsafe
from bptt_check.results import Block, Cause, Finding, Result, Verdict
from bptt_check.subject import Array, Subject
from bptt_check.sweeping import Sweeping
from bptt_check.undecided import left_open
from bptt_check.watch import States, undisturbed
from bptt_check.ways import Options, Question, eps_of

NEAR_A_KINK = 1e-3
MEMORY = 2**16  # bytes below which no sweep can work


def check(
    subject: Subject,
    *,
    rng: int | np.random.Generator = 0,
    resolution: float | None = None,
    optional: Iterable[str] = (),
    entries: str = "auto",
    method: str = "auto",
    repeats: int = 2,
    causes: bool = True,
    protocol: bool = True,
    memory: int | None = None,
    progress: Callable[[float, float], None] | None = None,
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
    repeats: how often loss and gradient are called at the point, at least twice. A fault that strikes one call in ten
        is seen with 99 % by 44 of them.
    causes: whether a disagreement is traced to its first wrong line, its probable causes and their places, which may
        take a second or two; where not, a block that is wrong beyond doubt may be shown by a few of its entries.
    protocol: whether to look at how the code behaves when called (twice, elsewhere, its inputs and caches watched).
        ``False`` calls it once at the point, for speed; the result then says that this was not looked at.
    memory: bytes that comparing every entry may take beyond what the result holds; by default 8 times the subject's
        arrays, and at least 32 MiB.
    progress: called as progress(share, seconds_left) while every entry is compared, or a large subject is looked at
        along directions, and that takes over two seconds; at most ten times a second.

    Returns
    -------
    Result
        with a verdict for each block and over all. An exception inside the subject's code is a finding.

    Raises
    ------
    SubjectError
        Where the subject cannot be tested as it is (a gradient of a wrong shape, an unknown name, a loss that is not
        one finite number); the message says what to change.
    UsageError
        For an option value that does not exist.
    """
    if entries not in ("auto", "all", "directions") or method not in ("auto", "complex", "differences"):
        raise UsageError(
            f"entries={entries!r}, method={method!r}: entries takes 'auto', 'all' or 'directions'; "
            "method takes 'auto', 'complex' or 'differences'"
        )
    if memory is not None and not (isinstance(memory, int) and memory >= MEMORY):
        raise UsageError(f"memory={memory!r}: it is a number of bytes, at least {MEMORY}")
    if repeats < 2 or (resolution is not None and not resolution > 0):
        raise UsageError(f"repeats={repeats}, resolution={resolution}: repeats is at least 2, resolution above 0")
    started = time.perf_counter()
    optional = _known_names(subject, optional)
    sweeping = Sweeping(memory, audible(progress))
    options = Options(resolution, optional, entries, method, repeats, causes, protocol, sweeping)
    try:
        with undisturbed() as before:
            result = _checked(subject, options, np.random.default_rng(rng), before)
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


def _checked(subject: Subject, options: Options, rng: np.random.Generator, before: States | None = None) -> Result:
    eps = eps_of(subject)
    seen = (
        observe(subject, eps=eps, rng=rng, repeats=options.repeats, before=before)
        if options.protocol
        else called_once(subject, eps)
    )
    gradient = {name: seen.gradient[name] for name in subject.blocks if name in seen.gradient}
    if seen.random_loss or seen.random_gradient or not gradient:
        return _nothing_compared(subject, seen)

    def reference(of: Subject, names: frozenset[str]) -> Right:
        if of is subject:
            return references(bench, looked.comparisons, names)
        return _references_of(of, names, options, rng)

    diagnosing = Diagnosing(subject, gradient, reference)
    known = diagnosing.by_the_cell if options.causes else None
    question = Question(subject, seen, _finite(gradient), options, rng, known)
    try:
        bench, looked = question.answer()
    except ReferenceUnsafe as unsafe:
        bench, looked = question.answer_by_differences(str(unsafe))
    blocks = _with_those_missing(subject, seen, _in_double(subject, looked.blocks, eps, options, rng))
    remarks = (Finding(remark.kind, remark.message) for remark in subject.remarks)
    said: list[Finding] = []
    causes: tuple[Cause, ...] = ()
    if options.causes and any(block.verdict is Verdict.DISAGREES for block in blocks.values()):
        line = wrong_lines(subject, gradient, method=bench.reference.method, point=bench.reference.point, rng=rng)
        said += [line.finding] if line else []
        found = diagnosing.diagnosis()
        looked = in_full(bench, looked, *found.right, question.asked)
        causes, blocks = found.causes, located(_with_those_missing(subject, seen, looked.blocks), found.where)
        if line and not any(cause.exact for cause in causes):
            told = line.causes or _told_elsewhere(subject)
            causes = told if told and all(cause.exact for cause in told) else (*told, *causes)
        said += [Finding("no-known-cause", found.untold)] if found.untold and not causes and not line else []
        said += [Finding("catalogue-unfinished", found.unfinished)] if found.unfinished else []
    open_ = left_open(bench, blocks, question.asked) if not any(f.kind == "unclear" for f in looked.findings) else ()
    findings = [*seen.findings, *looked.findings, *remarks, *said, *open_]
    kinked = any(finding.kind == "on-a-kink" for finding in findings)  # and so may the second point be
    if not kinked and all(block.verdict in (Verdict.AGREES, Verdict.NOT_RETURNED) for block in blocks.values()):
        later = looked.later
        findings += later_elsewhere(bench, seen.elsewhere, seen.gradient_elsewhere, later)
    if subject.kink_distance is not None and subject.kink_distance < NEAR_A_KINK:
        message = f"the loss has a place without a derivative {subject.kink_distance:.1e} from this point"
        findings.append(Finding("near-a-kink", message))
    return Result(
        subject=subject.name,
        verdict=overall(list(blocks.values()), optional=options.optional, faulty=any(f.fault for f in findings)),
        blocks=blocks,
        findings=tuple(findings),
        causes=causes,
        method=bench.reference.described,
        reason=bench.reference.reason + ("; the gradient is evaluated there too" if bench.plain else ""),
        evaluations=bench.bill.losses,
        gradient_evaluations=bench.bill.gradients,
        miss_probability=looked.miss_probability,
        miss_size=question.asked,
        repeats=seen.repeats,
        case=subject.case,
    )


def _told_elsewhere(subject: Subject) -> tuple[Cause, ...]:
    """What the wrong lines hold, at a case with more numbers than this one."""
    larger = enlarged(subject)
    found = wrong_lines(larger, larger.gradient(larger.blocks)) if larger else None
    return found.causes if found else ()


def _references_of(subject: Subject, names: frozenset[str], options: Options, rng: np.random.Generator) -> Right:
    """The same code at another case: its reference derivatives, and what they may be off by."""
    seen = observe(subject, eps=eps_of(subject), rng=rng, repeats=2)
    finite = {name: a.astype(float) for name, a in seen.gradient.items() if np.isfinite(a).all()}
    return references(Question(subject, seen, finite, options, rng).benched(), {}, names)


def _finite(gradient: Mapping[str, Array]) -> Mapping[str, Array]:
    """The gradient in float64, with 0 for what is not finite."""
    parts = []
    for flat in layouts(shapes_of(gradient)):
        alone = len(flat.shapes) == 1  # a large block is taken as it is
        whole = gradient[next(iter(flat.shapes))].reshape(-1) if alone else flat.join(gradient)
        whole = whole.astype(float, copy=False)
        finite = np.isfinite(whole)
        parts.append(flat.split(whole if finite.all() else np.where(finite, whole, 0.0)))
    return put_together(parts)


def _with_those_missing(subject: Subject, seen: Observations, found: Mapping[str, Block]) -> dict[str, Block]:
    """All blocks in the subject's order: those compared, those that are not finite, and those not returned."""
    blocks, broken = {}, seen.broken
    for name, array in subject.blocks.items():
        if name not in found:
            blocks[name] = Block(name, Verdict.NOT_RETURNED, array.shape, subject.equations.get(name))
        elif name in broken:
            blocks[name] = replace(found[name], verdict=Verdict.DISAGREES, note="not finite")
        else:
            blocks[name] = found[name]
    return blocks


def _in_double(
    subject: Subject, blocks: Mapping[str, Block], eps: float, options: Options, rng: np.random.Generator
) -> Mapping[str, Block]:
    """The blocks, those that float32 leaves open decided by the same code in float64 where it carries that."""
    undecided = [name for name, block in blocks.items() if block.verdict is Verdict.INCONCLUSIVE]
    wrong = any(block.verdict is Verdict.DISAGREES for block in blocks.values())
    if not undecided or wrong or eps < rounding.SINGLE or subject.precision is not None:
        return blocks
    widened = {name: array.astype(float) for name, array in subject.point.items()}
    nudges = {name: array.astype(float) for name, array in subject.interventions.items()}
    twin = replace(subject, point=widened, interventions=nudges)
    try:
        carried = all(twin.gradient(twin.blocks)[name].dtype == np.float64 for name in undecided)
        result = _checked(twin, replace(options, causes=False), rng) if carried else None
    except (SubjectFailed, SubjectError, KeyError):
        return blocks
    decided = dict(blocks)
    for name in undecided if result else ():
        block = result.blocks[name]  # type: ignore[union-attr]
        if block.verdict in (Verdict.AGREES, Verdict.DISAGREES):
            note = (
                f"decided in float64, where the same code is seen to {block.resolution or 0:.0e}; float32 is too coarse"
            )
            decided[name] = replace(block, note=f"{block.note}; {note}" if block.note else note)
    return decided


def _nothing_compared(subject: Subject, seen: Observations) -> Result:
    blocks = {
        name: Block(name, Verdict.INCONCLUSIVE if name in seen.gradient else Verdict.NOT_RETURNED, array.shape)
        for name, array in subject.blocks.items()
    }
    unstable = seen.random_loss or seen.random_gradient
    wrong = seen.random_gradient and not seen.random_loss  # of two gradients at one point one is wrong
    return Result(
        subject=subject.name,
        verdict=Verdict.DISAGREES if wrong else Verdict.INCONCLUSIVE,
        blocks=blocks,
        findings=seen.findings,
        reason="nothing is compared while repeated calls differ" if unstable else "no gradient was returned",
        evaluations=seen.evaluations,
        gradient_evaluations=seen.gradients,
        case=subject.case,
    )
