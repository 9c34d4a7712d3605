"""What the tests of the reports share: records with plausible figures, runs made of them, and a nasty name."""

from __future__ import annotations

import random
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from bptt_check.report.html import html_report
from bptt_check.report.journal import Journal, RunLog, environment
from bptt_check.report.json_report import json_report
from bptt_check.report.junit import junit_report
from bptt_check.report.markdown import markdown_report
from bptt_check.report.record import Record, record_of
from bptt_check.report.summary import Summary, summarise
from bptt_check.report.terminal import table
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


def all_texts(summary: Summary) -> dict[str, str]:
    return {
        "json": json_report(summary),
        "md": markdown_report(summary),
        "html": html_report(summary),
        "xml": junit_report(summary),
        "terminal": table(summary),
    }


def nasty_summary() -> Summary:
    block = Block(NASTY, Verdict.DISAGREES, (1,), equation="<b>", compared=1, max_relative_error=0.1, note=NASTY)
    step = Block(NASTY + "(t)", Verdict.AGREES, (1,), compared=1, max_relative_error=1e-3, by_step=(1e-3,))
    result = Result(
        NASTY * 30,
        Verdict.DISAGREES,
        {"a": block, "b": step},
        findings=(Finding(NASTY, NASTY),),
        reason=NASTY,
        case={"cell": NASTY, "loss": NASTY, NASTY: NASTY, "reproduce": f"run {NASTY}\n```\n<b>"},
    )
    sweep = Record(
        name=NASTY, kind="sweep", data={"steps": [0.1, 0.2], "curves": {NASTY: [1e-3, 1e-4]}, "gradient": NASTY}
    )
    return summarise(RunLog(NASTY, 5, {NASTY: NASTY}, NASTY, (record_of(result), sweep), ended=True, problems=(NASTY,)))


class Balanced(HTMLParser):
    """Checks that every element is closed in order, and collects attributes and texts."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
