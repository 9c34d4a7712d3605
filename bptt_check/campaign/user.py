"""Verifying what a user's file defines: over many shapes, smallest first, in a process that may do as it likes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from bptt_check.campaign.child import Child, Reply
from bptt_check.campaign.held import Trial, write_case
from bptt_check.campaign.minimal import minimal
from bptt_check.campaign.run import Stopped
from bptt_check.campaign.shapes import Shape, sorted_shapes
from bptt_check.campaign.tried import Tried, Verified, told
from bptt_check.campaign.wanted import Wanted, taken, trials_for
from bptt_check.errors import UsageError
from bptt_check.report.journal import Journal, environment
from bptt_check.report.record import SMALLEST, Record, record_of
from bptt_check.report.text import clean
from bptt_check.results import Finding, Result, Verdict

LOST_IN_A_ROW = 2  # cases that crash or run out of time one after the other before the run is given up
SHRINK_RUNS = 24
SHRINK_SECONDS = 15.0


def verify(wanted: Wanted, *, on_case: Callable[[int, int], None] = lambda done, planned: None) -> Verified:
    """Run the cases of a user's target, each record on the disk as it comes, then look for the smallest that fails.

    Parameters
    ----------
    wanted: what to verify.
    on_case: called after each case with how many are done and planned.

    Raises
    ------
    UsageError
        Where the target does not load or an option does not fit it.
    ReportError
        Where the reports cannot be written; before the first case.
    """
    with _Runner(wanted) as runner:
        trials = trials_for(wanted, runner.loaded)
        journal = Journal(
            wanted.reports / f"{wanted.stem}.jsonl", title=wanted.target, planned=len(trials), environment=environment()
        )
        tried: list[Tried] = []
        stopped, interrupted = "", False
        found: tuple[Tried | None, Path | None] | None = None
        try:
            with journal:
                for one in runner.all(trials):
                    journal.write(one.record)
                    tried.append(one)
                    on_case(len(tried), len(trials))
                failing, case_file = found = runner.searched(tried)
                if failing and failing not in tried:
                    journal.write(runner.as_smallest(failing, case_file))
        except Stopped as reason:
            stopped = str(reason)
        except KeyboardInterrupt:
            stopped, interrupted = "the run was interrupted", True
        if found is None:
            found = (smallest_failing(tried), None) if interrupted else runner.searched(tried)
        return Verified(journal.path, tuple(tried), stopped, interrupted, *found)


def smallest_failing(tried: list[Tried]) -> Tried | None:
    """The first that disagrees, in the order run (smallest first); where none does, the first that is inconclusive."""
    for verdict in (Verdict.DISAGREES, Verdict.INCONCLUSIVE):
        for one in tried:
            if one.verdict == verdict.value:
                return one
    return None


class _Runner:
    """The child process with the target loaded; started anew when a case takes it down."""

    def __init__(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.child = Child()
        try:
            self.loaded = self._load()
        except BaseException:
            self.child.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.child.close()

    def all(self, trials: tuple[Trial, ...]) -> Iterator[Tried]:
        """What comes of each trial. Raises ``Stopped`` where the code takes the process down again and again."""
        lost = 0
        for done, trial in enumerate(trials, start=1):
            one = self.one(trial)
            yield one
            lost = lost + 1 if one.lost else 0
            if lost == LOST_IN_A_ROW and done < len(trials):
                last = one.record.findings[-1]["kind"]
                raise Stopped(f"{lost} cases in a row were lost ({last}); {len(trials) - done} were not tried")

    def one(self, trial: Trial, *, with_point: bool = False, explained: bool | None = None) -> Tried:
        """Run one trial. A process that is gone afterwards is started again at the next.

        ``explained``: whether a disagreement is traced to its causes; where not said, only the first few of a run are,
        and fewer where that finds none.
        """
        if self.child.process.poll() is not None:
            self.child = Child()
            try:
                self._load()
            except UsageError as error:
                raise Stopped(f"the code no longer loads: {error}") from None
        lengths = trial.shape.lengths if trial.shape else None
        request = {"shape": lengths, "seed": trial.seed, "loss": trial.loss, "point": trial.point}
        request |= {"with_point": with_point, "explained": explained}
        reply = self.child.ask(request, limit=self.wanted.limit)
        if reply.lost:
            self.child.close()
            return self._lost(trial, reply)
        if "refused" in reply.data:
            raise UsageError(reply.data["refused"])
        return self._tried(trial, reply)

    def searched(self, tried: list[Tried]) -> tuple[Tried | None, Path | None]:
        """The smallest case that does not agree, explained, and the file that holds it; as far as each is found."""
        failing, case_file = smallest_failing(tried), None
        if failing:
            with suppress(Stopped, KeyboardInterrupt):  # a search that fails leaves what was found before it
                failing = self.shrunk(failing, tried)
                failing = self.simplest(failing)
                failing = self.explained(failing)
                case_file = self.hold(failing)
        return failing, case_file

    def as_smallest(self, failing: Tried, case_file: Path | None) -> Record:
        """What the reports show of the smallest case, beside those that were planned."""
        line = self.wanted.held_line(case_file) if case_file else self.wanted.line(failing.trial)
        record = failing.record
        return replace(record, name=f"{record.name}, the smallest", kind=SMALLEST, data={"reproduce": line})

    def shrunk(self, failing: Tried, tried: list[Tried]) -> Tried:
        """The smallest failing case that reducing one length after the other leads to. Not journaled."""
        if (
            failing.lost
            or failing.trial.shape is None
            or failing.trial.point
            or self.wanted.shapes
            or self.wanted.point
        ):
            return failing
        known = {one.trial for one in tried}
        until, left = time.monotonic() + SHRINK_SECONDS, SHRINK_RUNS
        smaller = iter(sorted_shapes(failing.trial.shape.smaller()))
        while (shape := next(smaller, None)) is not None and left > 0 and time.monotonic() < until:
            trial = replace(failing.trial, shape=taken(shape, self.loaded["takes"]))
            if trial in known:
                continue
            known.add(trial)
            left -= 1
            one = self.one(trial, explained=False)
            same = one.verdict == failing.verdict and one.faults == failing.faults
            if same and not one.lost:
                failing = one
                smaller = iter(sorted_shapes(shape.smaller()))
        return failing

    def simplest(self, failing: Tried) -> Tried:
        """For a cell, of which the harness draws everything: the simplest numbers that fail alike. Not journaled."""
        given = failing.trial.point or self.wanted.shapes or self.wanted.point
        if self.loaded["kind"] != "cell" or failing.lost or given or failing.verdict != Verdict.DISAGREES.value:
            return failing
        known: dict[Shape, Mapping[str, list[int]]] = {}

        def arrays(shape: Shape) -> Mapping[str, list[int]]:
            if shape not in known:
                held = self.one(replace(failing.trial, shape=shape), with_point=True, explained=False).held or {}
                known[shape] = {name: array["shape"] for name, array in held.items()}
            return known[shape]

        run = partial(self.one, explained=False)
        return minimal(failing, arrays=arrays, run=run, seconds=SHRINK_SECONDS, seed=self.wanted.seed)

    def explained(self, failing: Tried) -> Tried:
        """The same case again, with its causes, where it has been found without them. Not journaled."""
        if failing.lost or failing.record.causes or failing.verdict != Verdict.DISAGREES.value:
            return failing
        again = self.one(failing.trial, explained=True)
        return failing if again.lost else again

    def hold(self, failing: Tried) -> Path | None:
        """Write the failing case, with all its numbers unless they are too many; not where it came from such a file."""
        if self.wanted.held or failing.lost:
            return None
        again = self.one(failing.trial, with_point=True, explained=False)
        if again.held is None and self.wanted.point:
            return None  # the seed alone would not make the case again
        path = self.wanted.reports / f"{self.wanted.stem}.case.json"
        write_case(path, replace(failing.trial, point=again.held), target=self.wanted.target)
        return path

    def _load(self) -> Mapping[str, Any]:
        wanted = self.wanted
        options = {"entries": wanted.entries, "optional": list(wanted.optional), "resolution": wanted.resolution}
        request = {"load": wanted.target, "options": options, "losses": list(wanted.losses), "point": wanted.point}
        reply = self.child.ask(request, limit=wanted.limit)
        if reply.lost:
            raise UsageError(f"{clean(wanted.target)} cannot be loaded: {reply.message}")
        if "refused" in reply.data:
            raise UsageError(clean(reply.data["refused"], limit=600))
        return reply.data

    def _tried(self, trial: Trial, reply: Reply) -> Tried:
        data = reply.data
        findings = [Finding(**finding) for finding in data["record"]["findings"]]
        extra = _noticed(reply)
        row = {key: value for key, value in data["record"].items() if key not in ("schema", "blocks", "findings")}
        record = Record(
            **row,
            blocks=tuple(data["record"]["blocks"]),
            findings=tuple(json.loads(json.dumps(vars(finding))) for finding in (*findings, *extra)),
        )
        table = "\n".join([data["table"], *(f"  finding: {finding}" for finding in extra)])
        return Tried(trial, self._named(record, trial), table, data["trace"], held=data.get("held"))

    def _lost(self, trial: Trial, reply: Reply) -> Tried:
        finding = Finding(reply.lost, reply.message, fault=True)
        result = Result(self.loaded["name"], Verdict.INCONCLUSIVE, {}, (finding,))
        return Tried(trial, self._named(record_of(result), trial), told(result), lost=True)

    def _named(self, record: Record, trial: Trial) -> Record:
        """The record under a name and case of ours, which no name in the user's code can confuse."""
        cell = {"cell": self.loaded["name"]} if self.loaded["kind"] == "cell" else {}
        line = {} if record.verdict == Verdict.AGREES.value else {"reproduce": self.wanted.line(trial)}
        case = {"target": self.wanted.target, **cell, **trial.case}
        return replace(record, name=f"{self.wanted.stem}, {trial.described}", case=case, data=line)


def _noticed(reply: Reply) -> tuple[Finding, ...]:
    """What was seen from outside while the case ran."""
    findings = []
    if reply.printed:
        first = clean(next((line for line in reply.said.splitlines() if line.strip()), ""), limit=60)
        findings.append(
            Finding("prints", f"the code prints ({reply.printed} bytes, beginning {first!r}); none of it is shown")
        )
    if reply.data.get("forks"):
        findings.append(
            Finding("forks", f"the code starts {reply.data['forks']} processes of its own; they are ended with it")
        )
    return tuple(findings)
