"""Runs: a pure function mapped over cases by an executor, each record on the disk as it comes.

The executor is handed in; anything with the interface of :class:`concurrent.futures.Executor` will do. What a run
leaves is its journal; the reports made of it sort by case and so never depend on which worker finished first.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bptt_check.campaign.case import Case, failed, run_case
from bptt_check.campaign.sweep import Sweep, run_sweep
from bptt_check.report.journal import Journal, environment
from bptt_check.report.record import Record

Work = TypeVar("Work")

BATCH = 6  # cases a task: about half a second, so that handing it over costs nothing to speak of
STALLED = 300.0  # seconds without any task ending after which a run gives up
SINGLE_THREADED: Mapping[str, str] = {
    f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "BLIS", "VECLIB_MAXIMUM", "NUMEXPR")
}


@dataclass(frozen=True)
class Outcome:
    """How a run ended. ``stopped`` says in one sentence why it is incomplete; empty where it is complete."""

    journal: Path
    planned: int
    recorded: int
    stopped: str = ""
    interrupted: bool = False


class Stopped(Exception):
    """Ends a run early, its journal left without an end line so that it reads as incomplete."""


class Serial(Executor):
    """An executor that does each task at once, in this process."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call ``function`` now; the future that comes back is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def run_work(work: Case | Sweep) -> Record:
    """Run a case, or the sweep that goes with a run. Never raises."""
    return run_sweep(work) if isinstance(work, Sweep) else run_case(work)


def run(
    function: Callable[[Work], Record],
    work: Sequence[Work],
    *,
    journal: str | os.PathLike[str],
    title: str,
    executor: Executor | None = None,
    batch: int = BATCH,
    ahead: int = 8,
    stalled: float = STALLED,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Outcome:
    """Map ``function`` over ``work`` and journal every record as it arrives.

    Parameters
    ----------
    function: a pure, picklable function of one item; what it raises becomes an inconclusive record.
    journal: where to write; opened before the first item is run.
    title: what reports call the run.
    executor: who runs the batches; where not given, this process, one by one. It is not shut down here.
    batch: items a task. ahead: tasks handed out beyond those that have ended.
    stalled: seconds to wait for any task to end before the run is given up.
    on_record: called with each record after it is on the disk.

    Returns
    -------
    Outcome
        A killed worker, a stall or Ctrl-C makes it incomplete; nothing that was recorded is lost.

    Raises
    ------
    ReportError
        Where the journal cannot be written.
    """
    stopped, interrupted = "", False
    writer = Journal(journal, title=title, planned=len(work), environment=environment())
    try:
        with writer:
            tasks = (_Task(function, tuple(work[k : k + batch])) for k in range(0, len(work), batch))
            for record in _results(tasks, executor or Serial(), ahead if executor else 1, stalled):
                writer.write(record)
                on_record(record)
    except Stopped as reason:
        stopped = str(reason)
    except KeyboardInterrupt:
        stopped, interrupted = "the run was interrupted", True
    return Outcome(writer.path, len(work), writer.recorded, stopped, interrupted)


@dataclass(frozen=True)
class _Task:
    """A batch of work; picklable where its function and items are."""

    function: Callable[[Any], Record]
    items: tuple[Any, ...]

    def __call__(self) -> list[Record]:
        return [self._one(item) for item in self.items]

    def _one(self, item: Any) -> Record:
        try:
            return self.function(item)
        except Exception as error:
            return failed(str(getattr(item, "name", item)), {}, error)


def _results(tasks: Iterator[_Task], executor: Executor, ahead: int, stalled: float) -> Iterator[Record]:
    """Records as tasks end. Raises ``Stopped`` only after everything that had ended was handed over."""
    pending: set[Future[list[Record]]] = set()
    broken: Exception | None = None
    while True:
        while broken is None and len(pending) < ahead and (task := next(tasks, None)) is not None:
            try:
                pending.add(executor.submit(task))
            except BrokenExecutor as error:
                broken = error
        if not pending:
            break
        done, pending = wait(pending, timeout=stalled, return_when=FIRST_COMPLETED)
        if not done:
            raise Stopped(f"no task ended within {stalled:g} s; run again with fewer or smaller cases")
        for future in done:
            failure = future.exception()
            if failure is None:
                yield from future.result()
            elif isinstance(failure, BrokenExecutor):
                broken = failure
            else:
                raise Stopped(f"a task could not be run: {type(failure).__name__}: {failure}") from failure
    if broken is not None:
        raise Stopped("a worker process was killed (out of memory?); run again, or with --jobs 1") from broken


@contextmanager
def workers(jobs: int) -> Iterator[Executor | None]:
    """An executor of ``jobs`` processes, each with a single-threaded BLAS; ``None`` (this process) for one job.

    The processes are spawned, not forked: a fork of a process that has loaded a BLAS may deadlock. They ignore Ctrl-C,
    which is this process's to handle. Left by an exception, or while a task hangs, the processes are killed.
    """
    if jobs <= 1:
        with _set_environment(SINGLE_THREADED):
            yield None
        return
    before = set(multiprocessing.active_children())
    executor = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    with _set_environment(SINGLE_THREADED), _interrupts_ignored():
        started = executor.submit(os.getpid)  # starts all processes, which inherit both
    clean = False
    try:
        wait([started], timeout=STALLED)
        yield executor
        clean = True
    finally:
        executor.shutdown(wait=False, cancel_futures=True)
        mine = [process for process in multiprocessing.active_children() if process not in before]
        for process in mine:
            process.join(timeout=5.0 if clean else 0.0)
            process.kill()


@contextmanager
def _set_environment(values: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
