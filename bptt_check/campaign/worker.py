"""The process in which a user's code runs: one line of JSON in, one line out, and nothing that it does reaches ours.

It may print, exit, fork, crash or never come back; :mod:`bptt_check.campaign.child` holds the other end.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from bptt_check.campaign.held import decoded, encoded
from bptt_check.campaign.target import Target, load, load_arrays
from bptt_check.campaign.tried import told
from bptt_check.checking import check
from bptt_check.errors import SubjectError, UsageError
from bptt_check.lstm.losses import loss_named
from bptt_check.planting.control import Control
from bptt_check.report.record import record_of
from bptt_check.results import Finding, Result, Verdict
from bptt_check.subject import Subject

EXPLAINED = 4  # disagreements of a run that are traced to their causes without being asked,
IN_VAIN = 2  # and of how many none may be found: it is the same code each time, and such a search takes longest
INITIAL_STATE = re.compile(r"(?:[hsc]|prev|state|cell|hidden)_?0?(?:_init)?|init\w*", re.IGNORECASE)


def main() -> None:
    """Answer requests until there are no more."""
    requests, answers = _private_channels()
    _no_core_files()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    me, forks = os.getpid(), [0]
    os.register_at_fork(before=lambda: forks.__setitem__(0, forks[0] + 1))
    _send(answers, {"ready": True})
    session = _Session()
    for line in requests:
        forks[0] = 0
        try:
            answer = session.answer(json.loads(line))
        except UsageError as error:
            answer = {"refused": str(error)}
        except BaseException as error:
            answer = {"refused": f"{type(error).__name__}: {error}"}
        if os.getpid() != me:
            os._exit(0)  # a copy that the code under test has forked, and that has come back through its stack
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        _send(answers, {**answer, "forks": forks[0]})
    os._exit(0)  # without waiting for threads that the code under test may have left


def _private_channels() -> tuple[BinaryIO, BinaryIO]:
    """Keep the pipes out of the code's reach: its stdin is empty, its stdout goes where its stderr goes."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb", buffering=0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(2, 1)
    return requests, answers


def _send(answers: BinaryIO, answer: Mapping[str, Any]) -> None:
    left = memoryview(json.dumps(answer, allow_nan=False).encode() + b"\n")
    while left:
        left = left[answers.write(left) :]


def _no_core_files() -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


class _Session:
    """What is loaded: the target, the arrays that replace those it draws, and how to check."""

    def __init__(self) -> None:
        self.target: Target | None = None
        self.arrays: dict[str, Any] = {}
        self.options: dict[str, Any] = {}
        self.explained = 0  # disagreements traced to their causes,
        self.in_vain = 0  # and those for which none was found
        self.control: Control | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if "load" in request:
            self.options = dict(request["options"])
            self.arrays = load_arrays(request["point"]) if request["point"] else {}
            self.target = load(request["load"])
            self._check_losses(self.target, request["losses"])
            shapes = {name: list(array.shape) for name, array in self.arrays.items()}
            loaded = {"kind": self.target.kind, "name": self.target.name, "takes": self.target.takes}
            return {**loaded, "own_loss": self.target.own_loss, "point": shapes}
        assert self.target is not None
        if "control" in request:
            return self._controlled(self.target, request["control"])
        if "plant" in request:
            assert self.control is not None
            return {"outcome": self.control.outcome(request["plant"]).as_json()}
        return self._trial(self.target, request)

    def _controlled(self, target: Target, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Make the subject of a negative control and check it as it is; if it is right, choose faults."""
        subject: Subject | None = None
        try:
            subject = _alone(_ours(target.make)(asked["shape"] or {}, int(asked["seed"]), None, self.arrays))
            self.control = Control(subject, rng=int(asked["seed"]))
            right = self.control.right
        except UsageError:
            raise
        except SubjectError as error:
            right = _undecided(target, subject, Finding("refused", str(error), fault=True))
        except BaseException as error:
            right = _undecided(target, subject, _raised(error))
        answer: dict[str, Any] = {"verdict": right.verdict.value, "table": told(right), "trace": _trace(right)}
        if right.verdict is not Verdict.AGREES or self.control is None:
            return answer
        found = self.control.recognised
        left = {"elsewhere": list(self.control.elsewhere), "equivalent": list(self.control.equivalent)}
        chosen = list(self.control.chosen(asked["sample"], int(asked["seed"])))
        cell = found.variant.name if found else ""
        return {**answer, **left, "cell": cell, "chosen": chosen, "possible": len(self.control.plantings)}

    def _trial(self, target: Target, request: Mapping[str, Any]) -> dict[str, Any]:
        arrays = self.arrays | decoded(request["point"] or {})
        shape, seed, loss = request["shape"] or {}, int(request["seed"]), request["loss"]
        subject: Subject | None = None
        try:
            subject = _alone(_ours(target.make)(shape, seed, loss, arrays))
            self._known(subject)
            wanted = request.get("explained")
            few = self.explained < EXPLAINED and self.in_vain < IN_VAIN
            causes = few if wanted is None else bool(wanted)
            result = check(self._enlargeable(target, subject, loss), rng=seed, causes=causes, **self.options)
            self.explained += bool(result.causes)
            self.in_vain += causes and result.verdict is Verdict.DISAGREES and not result.causes
            result = replace(result, findings=(*result.findings, *_zero_states(subject)))
        except UsageError:
            raise
        except SubjectError as error:
            result = _undecided(target, subject, Finding("refused", str(error), fault=True))
        except BaseException as error:
            result = _undecided(target, subject, _raised(error))
        answer: dict[str, Any] = {"record": record_of(result).as_json(), "table": told(result), "trace": _trace(result)}
        if request.get("with_point") and subject is not None:
            answer["held"] = encoded(subject.point)
        return answer

    def _enlargeable(self, target: Target, subject: Subject, loss: str | None) -> Subject:
        """The subject, which can be made again at a shape where its mistakes are told apart."""
        if subject.again is not None or set(target.takes) != set("TBDH") or self.arrays:
            return subject

        def again(*, rng: int, **lengths: int) -> Subject:
            return _alone(_ours(target.make)(lengths, rng, loss, {}))

        return replace(subject, again=again)

    def _check_losses(self, target: Target, names: Sequence[str]) -> None:
        if names and target.kind != "cell":
            raise UsageError(f"--losses is for cells; {target.name} brings its own loss")
        for name in names:
            try:
                loss_named(name, T=1, B=1, rng=np.random.default_rng(0))
            except ValueError as error:
                raise UsageError(f"--losses: {error}") from None

    def _known(self, subject: Subject) -> None:
        unknown = sorted(set(self.options["optional"]) - set(subject.blocks))
        if unknown:
            raise UsageError(f"--optional names {', '.join(unknown)}; the gradients are {', '.join(subject.blocks)}")


def _ours(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, but a process that it has forked ends where it comes back to us, before it forks again."""
    me = os.getpid()

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        finally:
            if os.getpid() != me:
                os._exit(0)

    return call


def _alone(subject: Subject) -> Subject:
    pair = (_ours(subject.pair[0]), _ours(subject.pair[1])) if subject.pair else None
    tapped = _ours(subject.tapped) if subject.tapped else None
    by_step = _ours(subject.by_step) if subject.by_step else None
    over_time = subject.recurrence
    if over_time is not None:
        theirs = _ours(over_time.tapped) if over_time.tapped else None
        over_time = replace(over_time, outputs=_ours(over_time.outputs), tapped=theirs)
    loss_at, gradient_at = _ours(subject.loss_at), _ours(subject.gradient_at)
    subject = replace(subject, loss_at=loss_at, gradient_at=gradient_at, pair=pair, tapped=tapped)
    return replace(subject, by_step=by_step, recurrence=over_time)


def _raised(error: BaseException) -> Finding:
    detail = "".join(traceback.format_exception(error))
    if isinstance(error, SystemExit):
        return Finding("exited", f"the code calls sys.exit({error.code!r}); it must return instead", detail, fault=True)
    return Finding("raised", f"{type(error).__name__}: {error}", detail, fault=True)


def _undecided(target: Target, subject: Subject | None, finding: Finding) -> Result:
    return Result(subject.name if subject else target.name, Verdict.INCONCLUSIVE, {}, (finding,))


def _zero_states(subject: Subject) -> tuple[Finding, ...]:
    zeros = [name for name, array in subject.point.items() if INITIAL_STATE.fullmatch(name) and not array.any()]
    if not zeros:
        return ()
    names = " and ".join(zeros)
    return (Finding("zero-states", f"{names} zero throughout: faults in what is carried can hide; draw other values"),)


def _trace(result: Result) -> str:
    """The last place in the user's own code that an exception went through, as one line."""
    own = str(Path(__file__).resolve().parent.parent)
    for finding in result.findings:
        places = re.findall(r'^  File "([^"]+)", line (\d+), in (\S+)', finding.detail, re.MULTILINE)
        theirs = [place for place in places if not place[0].startswith((own, "<")) and "site-packages" not in place[0]]
        if theirs:
            file, line, function = theirs[-1]
            return f"{Path(file).name}, line {line}, in {function}"
    return ""
