"""The reports: nothing recorded is lost, nothing unfinished reads as a pass, nothing foreign is believed."""

from __future__ import annotations

import errno
import io
import json
import math
import os
import random
import re
import signal
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bptt_check.errors import ReportError, UsageError
from bptt_check.report import runlog
from bptt_check.report.files import render, write_atomically
from bptt_check.report.html import html_report
from bptt_check.report.journal import Journal, RunLog, environment, read_journal
from bptt_check.report.json_report import json_report
from bptt_check.report.markdown import code, markdown_report
from bptt_check.report.record import Record, record_of
from bptt_check.report.summary import Summary, summarise
from bptt_check.report.terminal import Progress, table
from bptt_check.report.text import clean, figure, natural
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
        case={"cell": "post", "loss": LOSSES[seed % 6], "T": steps, "B": 1 + seed % 3, "D": 2, "H": 2 + seed % 2},
    )
    return record_of(result)


def a_block(rng: random.Random, name: str, steps: int, *, wrong: bool = False) -> Block:
    by_step = tuple(10 ** rng.uniform(-17, -13) for _ in range(steps)) if name in ("x", "h(t)", "s(t)") else None
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


def all_texts(summary: Summary) -> dict[str, str]:
    return {
        "json": json_report(summary),
        "md": markdown_report(summary),
        "html": html_report(summary),
        "terminal": table(summary),
    }


def a_journal(path: Path, *records: Record, planned: int | None = None) -> Path:
    with Journal(path, title="a run", planned=planned, environment=environment()) as journal:
        for record in records:
            journal.write(record)
    return path


class Balanced(HTMLParser):
    """Checks that every element is closed in order, and collects attributes and texts."""

    VOID = frozenset({"meta", "br", "hr", "img", "link"})

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


# The journal


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    records = (a_record(1), a_record(2, wrong=True), a_sweep())
    log = read_journal(a_journal(tmp_path / "run.jsonl", *records, planned=3))
    assert [record.as_json() for record in log.records] == [record.as_json() for record in records]
    assert log.complete
    assert (log.title, log.planned, log.problems) == ("a run", 3, ())
    assert log.environment == environment()


@given(
    name=st.text(max_size=50),
    error=st.none() | st.floats(),
    seconds=st.floats(),
    case=st.dictionaries(st.text(max_size=5), st.none() | st.integers(-(10**9), 10**9) | st.text(max_size=5)),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_name_and_any_float_survive_the_journal(
    tmp_path: Path, name: str, error: float | None, seconds: float, case: dict[str, Any]
) -> None:
    block = Block("W", Verdict.AGREES, (2,), compared=2, max_relative_error=error, by_step=(error or 0.0,))
    record = record_of(Result(name, Verdict.AGREES, {"W": block}, seconds=seconds, case=case), name=name)
    log = read_journal(a_journal(tmp_path / "run.jsonl", record))
    assert log.records[0].as_json() == record.as_json()


def test_a_torn_last_line_is_left_out_and_said(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1), a_record(2), planned=2)
    whole = path.read_bytes()
    second = whole.splitlines(keepends=True)[1]
    first = whole.index(second) + len(second)
    for cut in (*range(first, len(whole) - 60, 97), *range(len(whole) - 60, len(whole))):
        path.write_bytes(whole[:cut])
        log = read_journal(path)
        ended = cut == len(whole) - 1  # the end line is all there but for its line break
        assert log.complete is ended
        assert len(log.records) in (1, 2)
        assert summarise(log).verdict is (Verdict.AGREES if ended else Verdict.INCONCLUSIVE)


def test_a_killed_run_reads_as_incomplete_and_keeps_what_it_had(tmp_path: Path) -> None:
    program = textwrap.dedent(
        """
        import os, sys, signal
        from bptt_check.report.journal import Journal
        from bptt_check.report.record import Record
        with Journal(sys.argv[1], title="killed", planned=300) as journal:
            for number in range(12):
                journal.write(Record(name=f"case {number}", verdict="AGREES"))
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    root = Path(__file__).resolve().parents[1]
    path = tmp_path / "run.jsonl"
    ended = subprocess.run(
        [sys.executable, "-c", program, str(path)], env={**os.environ, "PYTHONPATH": str(root)}, check=False
    )
    assert ended.returncode == -signal.SIGKILL
    log = read_journal(path)
    assert len(log.records) == 12
    assert not log.complete
    for text in (p.read_text(encoding="utf-8") for p in render(path, ("md", "html"))):
        assert "INCOMPLETE: recorded 12 of 300" in text
        assert "288 are missing" in text


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_run_left_by_an_exception_has_no_end(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "run.jsonl"
    with pytest.raises(error), Journal(path, title="stopped") as journal:  # noqa: PT012
        journal.write(a_record(1))
        raise error
    log = read_journal(path)
    assert not log.ended
    assert len(log.records) == 1


def test_an_earlier_journal_is_kept_under_another_name(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    a_journal(path, a_record(2))
    assert [record.name for record in read_journal(path).records] == ["case 2"]
    assert [record.name for record in read_journal(tmp_path / "run.previous.jsonl").records] == ["case 1"]


def test_two_runs_with_one_name_are_told_and_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    first = Journal(path, title="first")
    first.write(a_record(1))
    a_journal(path, a_record(2))
    with pytest.raises(ReportError, match="another run has begun"):
        first.write(a_record(3))
    assert [record.name for record in read_journal(tmp_path / "run.previous.jsonl").records] == ["case 1"]
    assert read_journal(path).complete


class FullDisk(io.RawIOBase):
    """A stream on a disk that fills up in the middle of a line."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.left = stream, 100

    def write(self, data: Any) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written: int = self.stream.write(data[: self.left])
        self.left -= written
        return written

    def fileno(self) -> int:
        number: int = self.stream.fileno()
        return number

    def close(self) -> None:
        self.stream.close()
        super().close()


def test_a_disk_that_fills_up_is_told_in_one_sentence_and_the_journal_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    journal = Journal(path, title="full", planned=3)
    journal.write(a_record(1))
    journal._stream = FullDisk(journal._stream)  # type: ignore[assignment]
    with pytest.raises(ReportError, match="no space is left on the device; free some"):
        journal.write(a_record(2))
    with pytest.raises(ReportError, match="has failed before"):
        journal.write(a_record(3))
    log = read_journal(path)
    assert [record.name for record in log.records] == ["case 1"]
    assert not log.complete
    assert "torn" in log.problems[0]


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="this system has no /dev/full")
def test_a_full_device_is_refused_at_opening(tmp_path: Path) -> None:
    link = tmp_path / "run.jsonl"
    link.symlink_to("/dev/full")
    with pytest.raises(ReportError, match="no space is left"):
        Journal(link, title="full")
    with pytest.raises(ReportError, match="not a file"):
        write_atomically(link, "text")
    assert Path("/dev/full").is_char_device()


def test_a_place_that_cannot_be_written_is_refused_at_opening(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for place in ("file/run.jsonl", "folder", "x" * 300 + ".jsonl", "nul\0.jsonl"):
        with pytest.raises(ReportError, match="cannot write") as caught:
            Journal(tmp_path / place, title="nowhere")
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_read_only_folder_is_refused_at_opening(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ReportError, match="permission denied; choose a folder"):
        Journal(tmp_path / "run.jsonl", title="read-only")
    with pytest.raises(ReportError, match="permission denied; choose a folder"):
        write_atomically(tmp_path / "run.md", "text")
    tmp_path.chmod(0o700)


def test_a_read_only_file_system_is_told_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ReportError, match="read-only; choose a folder that you may write to"):
        Journal(tmp_path / "run.jsonl", title="read-only")
    with pytest.raises(ReportError, match="read-only; choose a folder that you may write to"):
        write_atomically(tmp_path / "run.md", "text")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_vanishes_is_noticed_at_the_next_case(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "run.jsonl"
    journal = Journal(path, title="vanishing")
    path.unlink()
    path.parent.rmdir()
    with pytest.raises(ReportError, match="the folder is not there"):
        journal.write(a_record(1))


def test_a_record_too_long_for_a_line_is_shortened_and_says_so(tmp_path: Path) -> None:
    long = Block("h(t)", Verdict.AGREES, (10**5,), compared=1, by_step=(1 / 3,) * 10**5)
    record = record_of(Result("long", Verdict.AGREES, {"h(t)": long}))
    kept = read_journal(a_journal(tmp_path / "run.jsonl", record)).records[0]
    assert kept.blocks[0]["by_step"] is None
    assert kept.findings[-1]["kind"] == "record-shortened"


# Reading what anyone may have written

HEADER = b'{"schema":1,"kind":"header","title":"t","planned":null,"environment":{},"started":""}\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x80\x04\x95\x0c\x00\x00\x00pickle", "not text in UTF-8"),
        (b"[1]\n", "not a JSON object"),
        (b'{"schema":3,"kind":"header"}\n', "update bptt-check"),
        (b'{"schema":0,"kind":"header"}\n', "its schema is 0"),
        (b'{"schema":true,"kind":"header"}\n', "does not say its schema"),
        (b'{"kind":"header"}\n', "does not say its schema"),
        (HEADER.replace(b"null", b"-1"), "'planned' cannot be"),
        (HEADER.replace(b"null", b"1e400"), "beyond the range"),
        (HEADER.replace(b"null", b"9" * 5000), "more than 20 digits"),
        (HEADER.replace(b"null", b"NaN"), "NaN is not JSON"),
        (HEADER.replace(b"null", b"[" * 100_000), "nested more than 100 deep"),
        (HEADER.replace(b'"t"', b'"t","title":"u"'), "'title' is given twice"),
        (HEADER + b"not json\n", "line 2: it is not JSON"),
        (HEADER + b'{"schema":1,"kind":"case"}\n', "line 2: field 'name' is missing"),
        (HEADER + b'{"schema":1,"kind":"end","recorded":0}\n{}\n', "goes on after its end"),
        (HEADER + b" " * 2**20 + b"\n", "longer than 1048576 bytes"),
    ],
)
def test_hostile_journals_are_refused_with_one_clean_message(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "hostile.jsonl"
    path.write_bytes(content)
    with pytest.raises(ReportError, match=message) as caught:
        read_journal(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


def test_a_journal_too_large_or_not_there_is_refused(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    with pytest.raises(ReportError, match="at most 10 are read"):
        read_journal(path, size_limit=10)
    for place in (tmp_path, tmp_path / "none.jsonl", "nul\0"):
        with pytest.raises(ReportError, match=r"cannot read|not a regular file"):
            read_journal(place)


def test_an_end_that_counts_more_than_there_is_makes_the_run_incomplete(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1), a_record(2))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], lines[1], lines[3]]))
    log = read_journal(path)
    assert not log.complete
    assert log.problems == ("The run says that it wrote 2 records; 1 are there.",)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**19), 10**19)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["nan", "inf", "-inf", "AGREES", "DISAGREES", "", "t", "<b>", "\x1b[1m", "\ud800"])
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)


@st.composite
def mangled_journals(draw: st.DrawFn) -> bytes:
    """A journal in which a field or two hold something else."""
    rows = [json.loads(HEADER), a_record(draw(st.integers(0, 5))).as_json(), a_sweep().as_json()]
    for _ in range(draw(st.integers(1, 2))):
        place: Any = draw(st.sampled_from(rows))
        while True:
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            if not isinstance(place[key], (dict, list)) or not place[key] or draw(st.booleans()):
                break
            place = place[key]
        place[key] = draw(json_values)
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@given(content=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: HEADER + tail) | mangled_journals())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
def test_whatever_a_journal_holds_it_is_rendered_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzzed.jsonl"
    path.write_bytes(content)
    try:
        log = read_journal(path)
    except ReportError as error:
        assert str(error).isprintable()  # noqa: PT017
        return
    texts = all_texts(summarise(log))
    Balanced(texts["html"])
    json.loads(texts["json"], parse_constant=pytest.fail)
    assert "INCOMPLETE" in texts["md"].splitlines()[0]


figures = st.none() | st.floats() | st.sampled_from([0.0, 5e-324, 1.7e308, math.nan, math.inf, -1.0])


@given(errors=st.lists(st.tuples(figures, figures), min_size=1, max_size=6), steps=st.lists(figures, max_size=5))
@example(errors=[(1.7e308, 5e-324)], steps=[5e-324, 1.7e308])
@settings(deadline=None)
def test_every_renderer_takes_every_float(
    errors: list[tuple[float | None, float | None]], steps: list[float | None]
) -> None:
    blocks = {
        str(place): Block(
            str(place),
            Verdict.AGREES,
            (),
            compared=1,
            max_relative_error=error,
            resolution=resolution,
            tolerance_ratio=error,
            analytic=error,
            by_step=tuple(step for step in steps if step is not None),
        )
        for place, (error, resolution) in enumerate(errors)
    }
    sweep = Record(name="s", kind="sweep", data={"steps": steps, "curves": {"m": steps}, "slopes": {"m": steps[:1]}})
    case = record_of(Result("floats", Verdict.AGREES, blocks))
    plain_sweep = Record(**{key: value for key, value in sweep.as_json().items() if key != "schema"})
    texts = all_texts(summarise(a_log(case, plain_sweep)))
    Balanced(texts["html"])
    json.loads(texts["json"], parse_constant=pytest.fail)


# What a summary says


def test_one_disagreement_decides_the_run() -> None:
    summary = summarise(a_log(*map(a_record, range(5)), a_record(9, wrong=True)))
    assert summary.verdict is Verdict.DISAGREES
    assert [failure.name for failure in summary.disagreements] == ["case 9"]
    assert {line.name for line in summary.gradients if line.verdict is Verdict.DISAGREES} == {"W_fh"}
    assert {line.name for line in summary.equations if line.verdict is Verdict.DISAGREES} == {"B5"}
    assert summary.worst_gradient == "W_fh"


@pytest.mark.parametrize(
    "log",
    [
        a_log(),
        a_log(a_sweep()),
        a_log(Record(name="empty", verdict="AGREES")),
        a_log(Record(name="no verdict")),
        a_log(a_record(1), ended=False),
        a_log(a_record(1), planned=2),
        a_log(a_record(1), planned=0),
        a_log(a_record(1), Record(name="unsure", verdict="INCONCLUSIVE")),
    ],
    ids=["nothing", "only a sweep", "zero compared", "no verdict", "stopped", "missing", "too many", "inconclusive"],
)
def test_what_is_not_shown_to_agree_is_inconclusive(log: RunLog) -> None:
    assert summarise(log).verdict is Verdict.INCONCLUSIVE


def test_a_block_counts_for_each_of_its_equations() -> None:
    summary = summarise(a_log(a_record(1), a_record(2)))
    equations = {line.name: line for line in summary.equations}
    assert list(equations) == ["B1", "B2", "B5", "B6", "B7", "B8", "B9"]
    assert equations["B7"].related == ("h0", "x")
    assert (equations["B7"].cases, equations["B7"].entries) == (2, 24)


def test_the_worst_of_everything_is_kept() -> None:
    records = [a_record(seed) for seed in range(20)]
    summary = summarise(a_log(*records))
    for line in summary.gradients:
        errors = {r.name: b["max_relative_error"] for r in records for b in r.blocks if b["name"] == line.name}
        assert line.worst_error == max(errors.values()) == errors[line.worst_case]
    spread = {row.name: row for row in summary.spreads}["W_fh"]
    assert sum(number for _, number in spread.bins) + spread.exact == 20
    dh = next(row for row in summary.steps if row.name == "h(t)")
    assert dh.cases[0] == 20
    assert dh.errors[0] == max(b["by_step"][0] for r in records for b in r.blocks if b["name"] == "h(t)")
    assert sum(value or 0 for row in summary.cells_and_losses.values for value in row) == 20


def test_visits_of_the_regions_are_counted() -> None:
    shapes = [(1, 1, 2, 2), (5, 1, 2, 3), (4, 2, 3, 3)]
    cases = [Record(name=str(place), case=dict(zip("TBDH", shape, strict=True))) for place, shape in enumerate(shapes)]
    counted = {region.name: region.cases for region in summarise(a_log(*cases)).regions}
    assert counted == {"T = 1": 1, "T ≥ 5": 1, "B = 1": 2, "D = H": 2, "D ≠ H": 1}


# What a reader sees


@given(order=st.permutations(range(6)))
@settings(deadline=None)
def test_the_order_in_which_cases_end_changes_nothing_but_environment_and_timing(order: list[int]) -> None:
    records = [*map(a_record, range(4)), a_record(4, wrong=True), a_sweep()]
    here = all_texts(summarise(a_log(*records)))
    timed = [Record(**{**vars(records[place]), "seconds": place * 7.0}) for place in order]
    there = all_texts(summarise(RunLog("a run", None, {"python": "4"}, "later", tuple(timed), ended=True)))
    assert without_parts(here) == without_parts(there)
    assert here["html"] != there["html"]


def test_cases_that_share_a_name_have_an_order_all_the_same() -> None:
    twins = [Record(**{**vars(a_record(seed)), "name": "twin"}) for seed in range(3)]
    texts = [without_parts(all_texts(summarise(a_log(*order)))) for order in (twins, twins[::-1])]
    assert texts[0] == texts[1]


def without_parts(texts: dict[str, str]) -> dict[str, str]:
    """The texts without the parts that may differ between runs."""
    row = json.loads(texts["json"])
    del row["environment"], row["timing"]
    return {
        "json": json.dumps(row),
        "md": texts["md"][: texts["md"].index("## Environment")],
        "html": re.sub(r'(?s)<section id="(environment|timing)">.*?</section>', "", texts["html"]),
        "terminal": texts["terminal"],
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


def test_names_are_shown_and_never_interpreted_in_html() -> None:
    page = html_report(nasty_summary())
    parsed = Balanced(page)
    assert "script" not in {tag for tag, _ in parsed.seen}
    assert "alert(" in "".join(parsed.words)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)


def test_names_are_shown_and_never_interpreted_in_markdown() -> None:
    page = markdown_report(nasty_summary())
    prose = re.sub(r"(?ms)^(````*)\n.*?^\1$", "", page)
    prose = re.sub(r"<code>[^<`|]*</code>", "", prose)
    prose = re.sub(r"`[^`|\n]*`", "", prose)
    assert "<" not in prose
    assert "@" not in prose
    assert "www" not in prose
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)
    rows = [line.count("|") for line in page.splitlines() if line.startswith("| ---")]
    assert rows
    assert code("a|b") == "<code>a&#124;b</code>"


def test_no_escape_sequence_reaches_the_terminal() -> None:
    text = table(nasty_summary())
    assert all(line.isprintable() for line in text.splitlines())
    assert "[31m" not in text


def test_cleaning_a_name_keeps_what_can_be_read() -> None:
    assert clean("\x1b]0;title\x07W_gx\x1b[1;31m [T=3]\r\n") == "W_gx [T=3]"
    assert clean("σ\u200b\u202eβ") == "σβ"
    assert len(clean("x" * 10_000)) == 120
    assert sorted(["case 10", "case 2"], key=natural) == ["case 2", "case 10"]
    assert [figure(value) for value in (0.0, 3.14e-15, 0.05, 12.3, math.inf, None)] == [
        "0",
        "3.1e-15",
        "0.050",
        "12",
        "inf",
        "–",
    ]


def test_json_is_strict_whatever_the_numbers_are() -> None:
    record = record_of(
        Result("odd", Verdict.DISAGREES, {"W": Block("W", Verdict.DISAGREES, (1,), max_relative_error=math.nan)})
    )
    row = json.loads(json_report(summarise(a_log(record))), parse_constant=pytest.fail)
    assert row["gradients"][0]["worst_error"] == "nan"
    assert (row["schema"], row["kind"]) == (2, "report")


def test_the_page_is_well_formed_and_loads_nothing() -> None:
    summary = summarise(a_log(*map(a_record, range(30)), a_record(31, wrong=True), a_sweep(), planned=32))
    page = html_report(summary)
    parsed = Balanced(page)
    for _, attributes in parsed.seen:
        assert not attributes.keys() & {"src", "srcset", "onclick", "onload", "data", "poster"}
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?:|//", page)
    assert [tag for tag, _ in parsed.seen].count("svg") == 3
    identifiers = [attributes["id"] for _, attributes in parsed.seen if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    for tag, attributes in parsed.seen:
        if tag == "svg":
            assert set((attributes["aria-labelledby"] or "").split()) <= set(identifiers)
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    tags = [tag for tag, _ in parsed.seen]
    assert tags.count("table") == tags.count("caption")


def test_ten_thousand_cases_make_a_page_below_a_megabyte() -> None:
    few = [a_record(seed, wrong=seed % 10 == 0) for seed in range(200)]
    many = [Record(**{**vars(few[seed % 200]), "name": f"case {seed}"}) for seed in range(10_000)]
    summary = summarise(a_log(*many))
    page = html_report(summary)
    assert len(page.encode()) < 1_000_000
    assert "And 950 more cases" in page
    assert len(markdown_report(summary).encode()) < 1_000_000


def test_reports_of_an_incomplete_run_say_so_first(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1), planned=300)
    report, page, html = render(path)
    said = "INCOMPLETE: recorded 1 of 300; 299 are missing."
    assert json.loads(report.read_text())["complete"] is False
    assert page.read_text(encoding="utf-8").startswith(f"**{said}**")
    body = html.read_text(encoding="utf-8").partition("<body>")[2]
    assert 0 < body.index(said) < body.index("<h1>")
    assert table(summarise(read_journal(path))).startswith(said)


# Files


def test_a_report_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    target = tmp_path / "run.md"
    write_atomically(target, "before")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ReportError, match="no space is left"):
        write_atomically(target, "after")
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


def test_reports_stand_beside_their_journal(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "a.b.jsonl", a_record(1))
    assert render(path, ("md", "json")) == [tmp_path / "a.b.md", tmp_path / "a.b.json"]
    assert not list(tmp_path.glob("*.tmp"))


def test_a_format_that_does_not_exist_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    path = a_journal(tmp_path / "run.jsonl", a_record(1))
    with pytest.raises(UsageError, match="no report format 'pdf'; take some of json, md, html"):
        render(path, ("md", "pdf"))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(UsageError, match="would replace the journal"):
        render(a_journal(tmp_path / "run.json", a_record(1)))


# The terminal


def test_the_table_fits_a_hundred_columns() -> None:
    cases = [a_record(seed) for seed in range(12)]
    many = [
        Record(**{**vars(case), "case": {**case.case, "loss": f"a_loss_with_a_long_name_{place}"}})
        for place, case in enumerate(cases)
    ]
    for records in (cases, many):
        text = table(summarise(a_log(*records, title="x" * 500)))
        assert max(map(len, text.splitlines())) <= 100
        assert all(name in text for name in EQUATIONS)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_on_a_terminal() -> None:
    stream, now = Terminal(), iter(range(1000))
    with Progress(10, stream, clock=lambda: float(next(now))) as progress:
        for _ in range(10):
            progress.advance(note="\x1b[2Jhuber")
    shown = stream.getvalue()
    assert shown.count("\n") == 1
    assert "\x1b" not in shown
    assert "10/10  100 %" in shown
    assert re.search(r"5/10   50 %  about \d+ s left  huber", shown)


def test_progress_is_sparse_where_there_is_no_terminal() -> None:
    stream = io.StringIO()
    with Progress(300, stream) as progress:
        for _ in range(300):
            progress.advance()
    assert len(stream.getvalue().splitlines()) == 10
    assert "\r" not in stream.getvalue()


def test_progress_outlives_its_stream() -> None:
    stream = Terminal()
    progress = Progress(3, stream)
    stream.close()
    progress.advance()
    progress.close()
    assert progress.done == 1


def test_reading_reports_needs_no_numpy() -> None:
    program = "import sys, bptt_check.report.files, bptt_check.report.terminal; assert 'numpy' not in sys.modules"
    root = str(Path(runlog.__file__).resolve().parents[2])
    subprocess.run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, check=True)
