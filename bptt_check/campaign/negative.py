"""The negative control of a user's target: faults planted in it one by one, in a process that may do as it likes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import wrap
from typing import Any

from bptt_check.campaign.child import Child, Reply
from bptt_check.campaign.shapes import Shape, shape_of
from bptt_check.equations import ENTRIES
from bptt_check.errors import UsageError
from bptt_check.planting.cases import CASES, LARGE
from bptt_check.planting.control import Outcome
from bptt_check.report.text import clean, clean_lines, counted
from bptt_check.results import WIDTH, Verdict

LISTED = 12  # faults that are listed of those that were not caught, or not named


@dataclass(frozen=True)
class Controlled:
    """What became of a negative control.

    ``verdict`` and ``table``: of the subject as it is. ``cell``: what it was recognised as, or empty. ``planned``: how
    many faults were to be planted, of ``possible`` ones. ``elsewhere`` and ``equivalent``: ids of faults left out, for
    they change nothing at this point, or at none. ``stopped`` says why it is incomplete.
    """

    target: str
    shape: Shape | None
    seed: int
    verdict: str
    table: str
    cell: str = ""
    planned: int = 0
    possible: int = 0
    outcomes: tuple[Outcome, ...] = ()
    elsewhere: tuple[str, ...] = ()
    equivalent: tuple[str, ...] = ()
    stopped: str = ""
    interrupted: bool = field(default=False)

    @property
    def complete(self) -> bool:
        """Whether the subject is right and all that was planned was planted; nothing planted is nothing shown."""
        return self.verdict == Verdict.AGREES.value and 0 < self.planned == len(self.outcomes)


def control(
    target: str,
    *,
    shape: Shape | None = None,
    sample: int | None = None,
    seed: int = 0,
    limit: float = 60.0,
    on_fault: Callable[[int, int], None] = lambda done, planned: None,
) -> Controlled:
    """Check what ``target`` defines, and if it is right, plant faults in it and check each time.

    Parameters
    ----------
    target: as for ``bptt-check verify``.
    shape: where it takes one; by default one at which mistakes are told apart.
    sample: how many faults, drawn with ``seed``, one of each equation first; all where ``None``.
    limit: seconds for each check.
    on_fault: called after each fault with how many are done and planned.

    Raises
    ------
    UsageError
        Where the target does not load, or takes no shape and one is given.
    """
    with Child() as child:
        loaded = _asked(child, {"load": target, "options": {}, "losses": [], "point": None}, limit)
        if isinstance(loaded, str):
            raise UsageError(f"{clean(target)} cannot be loaded: {loaded}")
        if shape is not None and not loaded["takes"]:
            raise UsageError(f"--shape does not fit: {clean(loaded['name'])} takes none of T, B, D, H")
        taken = (shape or shape_of(LARGE)) if loaded["takes"] else None
        request = {"shape": taken.lengths if taken else None, "seed": seed, "sample": sample}
        begun = _asked(child, {"control": request}, limit)
        if isinstance(begun, str):
            return Controlled(target, taken, seed, Verdict.INCONCLUSIVE.value, f"  {begun}", stopped=begun)
        outcomes: list[Outcome] = []
        stopped, interrupted = "", False
        chosen = begun.get("chosen", [])
        try:
            for fault in chosen:
                answer = _asked(child, {"plant": fault}, limit)
                if isinstance(answer, str):
                    stopped = f"with {fault} planted, {answer}"
                    break
                outcomes.append(Outcome(**answer["outcome"]))
                on_fault(len(outcomes), len(chosen))
        except KeyboardInterrupt:
            stopped, interrupted = "the run was interrupted", True
    return Controlled(
        target,
        taken,
        seed,
        begun["verdict"],
        begun["table"],
        begun.get("cell", ""),
        len(chosen),
        begun.get("possible", 0),
        tuple(outcomes),
        tuple(begun.get("elsewhere", ())),
        tuple(begun.get("equivalent", ())),
        stopped,
        interrupted,
    )


def _asked(child: Child, request: Mapping[str, Any], limit: float) -> Mapping[str, Any] | str:
    """The answer, or in one sentence how the process was lost. Raises ``UsageError`` where it refuses."""
    reply: Reply = child.ask(request, limit=limit)
    if reply.lost:
        return reply.message
    if "refused" in reply.data:
        raise UsageError(clean(reply.data["refused"], limit=600))
    return reply.data


def overview(controlled: Controlled, *, quiet: bool = False) -> str:
    """What the command prints, in 100 columns."""
    if controlled.verdict != Verdict.AGREES.value:
        said = (
            f"{controlled.verdict}  {clean(controlled.target)}: a negative control needs a right subject, and this one "
        )
        said += "is wrong." if controlled.verdict == Verdict.DISAGREES.value else "has not been proved right."
        return "\n".join([said] if quiet else [said, "", clean_lines(controlled.table, limit=8000)])
    last = _verdict(controlled)
    if quiet:
        return last
    where = f"{controlled.shape}, " if controlled.shape else ""
    cell = (
        f"recognised as cell {controlled.cell}" if controlled.cell else "no cell of the family; any gradient's faults"
    )
    lines = [*_wrapped(f"{clean(controlled.target)} agrees as it is ({where}seed {controlled.seed}); {cell}."), ""]
    lines += [*_table(controlled.outcomes, equations=bool(controlled.cell)), *_tied(controlled.outcomes), ""]
    lines += _left_out(controlled)
    lines += _listed("not caught", [o for o in controlled.outcomes if not o.caught], lambda o: o.verdict)
    unnamed = [o for o in controlled.outcomes if o.caught and o.named in ("near", "no")]
    lines += _listed("caught, and not named for what it is", unnamed, lambda o: o.cause or "no cause is offered")
    if controlled.stopped:
        lines += _wrapped(f"Incomplete: {controlled.stopped}.")
    return "\n".join([*lines, last])


def _verdict(controlled: Controlled) -> str:
    outcomes = controlled.outcomes
    caught = sum(o.caught for o in outcomes)
    named, nameable = sum(o.named == "exact" for o in outcomes), sum(o.named != "place" for o in outcomes)
    if not outcomes:
        return "INCONCLUSIVE  nothing was planted"
    word = "CAUGHT" if caught == len(outcomes) else "MISSED"
    word = word if controlled.complete or word == "MISSED" else "INCOMPLETE"
    return f"{word}  {caught} of {counted(len(outcomes), 'planted fault')} caught, {named} of {nameable} named"


def _table(outcomes: Sequence[Outcome], *, equations: bool) -> list[str]:
    titles = {entry.id: f"{entry.id}  {entry.title}" for entry in ENTRIES}
    order = [entry.id for entry in ENTRIES]
    groups = sorted({o.group for o in outcomes}, key=lambda g: (order.index(g) if g in order else 0, g))
    head = f"  {'equation' if equations else 'mistake':<42}{'planted':>9}{'caught':>9}{'named':>9}"
    lines = [head + (f"{'equation right':>17}{'or tied':>9}" if equations else "")]
    for group, name in [*((g, titles.get(g, g)) for g in groups), ("", "all")]:
        own = [o for o in outcomes if group in ("", o.group)]
        named = "–" if all(o.named == "place" for o in own) else str(sum(o.named == "exact" for o in own))
        row = f"  {name:<42}{len(own):>9}{sum(o.caught for o in own):>9}{named:>9}"
        counts = f"{sum(o.equation for o in own):>17}{sum(o.tied for o in own):>9}"
        lines.append(row + (counts if equations else ""))
    return lines


def _tied(outcomes: Sequence[Outcome]) -> list[str]:
    """What is counted as tied, and how many are right without that."""
    tied = [o for o in outcomes if o.tied and not o.equation]
    if not tied:
        return []
    said = (
        f"Tied: {len(tied)} ({_few([o.fault for o in tied])}). The cause named first spoils another equation and lists "
        "the right one beside it; planted in its turn it gives the same numbers here, to rounding, so that nothing can "
        "tell the two apart. What counts them as missed is the column before."
    )
    return ["", *_wrapped(said)]


def _left_out(controlled: Controlled) -> list[str]:
    said = [f"{len(controlled.outcomes)} of {counted(controlled.possible, 'fault')} planted."]
    if controlled.equivalent:
        said.append(
            f"Left out, for nothing changes with them, here or at {CASES} other points: {len(controlled.equivalent)} "
            f"({_few(controlled.equivalent)})."
        )
    if controlled.elsewhere:
        said.append(
            f"Left out, for they change something at other points alone: {len(controlled.elsewhere)} "
            f"({_few(controlled.elsewhere)}); another --seed may show them."
        )
    return [line for text in said for line in _wrapped(text)]


def _few(ids: Sequence[str]) -> str:
    return ", ".join(map(clean, ids[:LISTED])) + (", …" if len(ids) > LISTED else "")


def _listed(head: str, outcomes: Sequence[Outcome], said: Callable[[Outcome], str]) -> list[str]:
    if not outcomes:
        return []
    lines = ["", f"{head}: {len(outcomes)}"]
    for outcome in outcomes[:LISTED]:
        what = f"{clean(outcome.fault)} ({outcome.group}): {clean(outcome.says)}"
        text = f"{what}. The check said: {clean(said(outcome), limit=400)}"
        lines += wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines + ([f"  … and {len(outcomes) - LISTED} more"] if len(outcomes) > LISTED else [])


def _wrapped(text: str) -> list[str]:
    return wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
