"""What the tests of the reports share: records with plausible figures, runs made of them, and a nasty name."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from bptt_check.report.journal import Journal, RunLog, environment
from bptt_check.report.record import Record, record_of
from bptt_check.report.summary import Summary, summarise
from bptt_check.results import Block, Finding, Result, Verdict

NASTY = "<script>alert(\"1\")</script>\x1b[31m\x00 ../../x | `a` \u202e& 'q' \\| ||| www.example.org @someone"
LOSSES = ("euclidean", "first_cell", "softmax_cross_entropy", "logistic", "huber", "absolute")
EQUATIONS = {"W_gx": "B5", "W_fh": "B5", "b_f": "B6", "x": "B7", "h0": "B7, B9", "h(t)": "B1", "s(t)": "B2, B8"}


def a_record(seed: int, *, wrong: bool = False) -> Record:
    """A case with plausible errors, all of them fixed by ``seed``."""
    rng = random.Random(seed)
    steps = rng.randint(1, 8)
    blocks = {name: a_block(rng, name, steps, wrong=wrong and name == "W_fh") for name in EQUATIONS}
    result = Result(
        subject=f"case {seed}",
        verdict=Verdict.DISAGREES if wrong else Verdict.AGREES,
        blocks=blocks,
        method="central difference",
        evaluations=10,
        gradient_evaluations=2,
        seconds=rng.random(),
        findings=(Finding("near-a-kink", "h(2)[0, 1] is close to a kink."),) if seed % 7 == 0 else (),
        case={
            "cell": "post",
            "loss": LOSSES[seed % 6],
            "T": steps,
            "B": 1 + seed % 3,
            "D": 2,
            "H": 2 + seed % 2,
            "seed": seed,
        },
    )
    return record_of(result)


def a_block(rng: random.Random, name: str, steps: int, *, wrong: bool = False) -> Block:
    timed = name in ("x", "h(t)", "s(t)")
    by_step = tuple(10 ** rng.uniform(-17, -13) for _ in range(steps)) if timed else None
    error = 0.3 if wrong else max(by_step or (10 ** rng.uniform(-17, -13),))
    return Block(
        name=name,
        verdict=Verdict.DISAGREES if wrong else Verdict.AGREES,
        shape=(3, 2),
        equation=EQUATIONS[name],
        compared=6,
        max_relative_error=error,
        tolerance_ratio=error / 1e-12,
        index=(1, 0),
        analytic=0.25,
        reference=0.5 if wrong else 0.25,
        resolution=1e-10,
        by_step=by_step,
        norms=tuple((0.5**t, 0.5**t) for t in range(steps)) if timed else None,
    )


def a_sweep() -> Record:
    steps = [10.0**-k for k in range(13)]
    curves = {
        "central difference": [h * h / 6 + 1e-16 / h for h in steps],
        "complex step": [1e-16, 0.0, "nan", *[2e-16] * 10],
    }
    data = {"steps": steps, "curves": curves, "slopes": {"central difference": 2.0}, "gradient": "W_fh"}
    return Record(name="step sizes", kind="sweep", data=data)


def a_log(*records: Record, planned: int | None = None, ended: bool = True, title: str = "a run") -> RunLog:
    return RunLog(
        title=title, planned=planned, records=records, ended=ended, environment={"python": "3"}, started="now"
    )


def a_summary(*records: Record, **how: Any) -> Summary:
    return summarise(a_log(*records, **how))


def a_journal(path: Path, *records: Record, planned: int | None = None) -> Path:
    with Journal(path, title="a run", planned=planned, environment=environment()) as journal:
        for record in records:
            journal.write(record)
    return path


def with_block(record: Record, block: str, **fields: Any) -> Record:
    """The record with other figures in one of its blocks."""
    blocks = tuple({**row, **fields} if row["name"] == block else row for row in record.blocks)
    return replace(record, blocks=blocks)
