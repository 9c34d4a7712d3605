"""What a reader sees: the same from the same cases, nothing foreign interpreted, every number taken."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Tree

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from reporting import (
    Balanced,
    a_journal,
    a_log,
    a_record,
    a_sweep,
    all_texts,
    nasty_summary,
)

from bptt_check.errors import ReportError
from bptt_check.report.files import render
from bptt_check.report.html import html_report
from bptt_check.report.journal import RunLog, read_journal
from bptt_check.report.json_report import json_report
from bptt_check.report.junit import junit_report
from bptt_check.report.markdown import code, markdown_report
from bptt_check.report.page_script import SCRIPT
from bptt_check.report.record import Record, record_of
from bptt_check.report.summary import summarise
from bptt_check.report.terminal import table
from bptt_check.report.text import clean, figure, natural
from bptt_check.results import Block, Result, Verdict

HEADER = b'{"schema":1,"kind":"header","title":"t","planned":null,"environment":{},"started":""}\n'


# Whatever was recorded
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
    Tree.fromstring(texts["xml"])
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
    Tree.fromstring(texts["xml"])
    json.loads(texts["json"], parse_constant=pytest.fail)


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
        "md": texts["md"][: texts["md"].index("<summary>Environment")],
        "html": re.sub(r'(?s)<section id="(environment|timing)">.*?</section>', "", texts["html"]),
        "terminal": texts["terminal"],
    }


def test_names_are_shown_and_never_interpreted_in_html() -> None:
    page = html_report(nasty_summary())
    parsed = Balanced(page)
    assert [tag for tag, _ in parsed.seen].count("script") == 1  # ours, which the next line takes away
    assert "<script" not in page.replace(f"<script>{SCRIPT}</script>", "")
    assert "alert(" in "".join(parsed.words)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", page)


def test_names_are_shown_and_never_interpreted_in_markdown() -> None:
    page = markdown_report(nasty_summary())
    prose = re.sub(r"(?ms)^(````*)\n.*?^\1$", "", page)
    prose = re.sub(r"<code>[^<`|]*</code>", "", prose)
    prose = re.sub(r"`[^`|\n]*`", "", prose)
    prose = re.sub(r"(?m)^<details>\n<summary>[A-Za-z ]+</summary>$|^</details>$", "", prose)  # ours
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
    summary = summarise(a_log(*map(a_record, range(30)), a_record(32, wrong=True), a_sweep(), planned=32))
    page = html_report(summary)
    parsed = Balanced(page)
    for _, attributes in parsed.seen:
        assert not attributes.keys() & {"src", "srcset", "onclick", "onload", "data", "poster"}
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"url\(|@import|https?:|//", page)
    assert [tag for tag, _ in parsed.seen].count(
        "svg"
    ) == 5  # errors, steps, norms of the wrong case and of a right one, the sweep
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


# For continuous integration


def test_a_case_that_disagrees_is_a_failure_and_one_that_is_not_decided_an_error() -> None:
    unsure = Record(name="unsure", verdict="INCONCLUSIVE")
    root = Tree.fromstring(junit_report(summarise(a_log(a_record(1), a_record(2, wrong=True), unsure, a_sweep()))))
    (suite,) = root
    assert {key: suite.get(key) for key in ("tests", "failures", "errors")} == {
        "tests": "3",
        "failures": "1",
        "errors": "1",
    }
    found = {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}
    assert found == {"case 1": [], "case 2": ["failure"], "unsure": ["error"]}
    failure = next(suite.iter("failure"))
    assert failure.get("message") == "DISAGREES: W_fh"
    assert "W_fh DISAGREES at [1, 0]: analytic 0.25, reference 0.5" in (failure.text or "")


@pytest.mark.parametrize("how", [{"ended": False}, {"planned": 9}, {}], ids=["stopped", "missing", "nothing"])
def test_a_run_that_shows_nothing_does_not_read_as_passed(how: dict[str, Any]) -> None:
    records = [a_record(1)] if how else []
    root = Tree.fromstring(junit_report(summarise(a_log(*records, **how))))
    assert root.get("errors") == "1"
    assert root.get("tests") == str(len(records) + 1)
    message = next(root.iter("error")).get("message") or ""
    assert message.startswith("INCOMPLETE" if how else "No case was recorded")


def test_names_in_the_xml_are_text() -> None:
    root = Tree.fromstring(junit_report(nasty_summary()))
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "properties", "property", "testcase", "failure", "error",
    }  # fmt: skip
    names = [case.get("name") or "" for case in root.iter("testcase")]
    assert any("<script>alert" in name for name in names) and all(name.isprintable() for name in names)


# Advice


def test_what_is_wrong_and_what_to_do_is_said_to_its_end() -> None:
    cause = {"fault": "df-from-s", "exact": True, "residual": 0.0, "explanation": "df uses s(t)", "remedy": "df = 1"}
    wrong = [a_record(seed, wrong=True) for seed in range(3)]
    for named, said in ((0, "if any are named."), (1, "in 1 of 3 cases the mistake is named"), (3, "is named below.")):
        records = [replace(r, causes=(cause,)) if place < named else r for place, r in enumerate(wrong)]
        texts = all_texts(summarise(a_log(*records)))
        for kind in ("terminal", "html", "md"):
            assert said in " ".join(texts[kind].split()), (kind, named)


# For a pull request


def test_markdown_begins_with_what_is_wrong_and_folds_the_rest() -> None:
    page = markdown_report(summarise(a_log(*(a_record(seed, wrong=seed % 2 == 0) for seed in range(12)))))
    open_part = re.sub(r"(?s)<details>.*?</details>", "", page)
    assert open_part.startswith("# Gradient report: `a run`\n\n**DISAGREES** – ")
    assert len(open_part) < 2500
    assert open_part.count("### `case ") == 3
    assert page.count("### `case ") == 6 and "<summary>3 more cases</summary>" in page
    assert "W_gx" not in open_part  # it agrees
    assert page.count("<details>") == page.count("</details>")
    right = markdown_report(summarise(a_log(a_record(1))))
    assert re.sub(r"(?s)<details>.*?</details>", "", right).split() == (
        [
            "#",
            "Gradient",
            "report:",
            "`a",
            "run`",
            "**AGREES**",
            "–",
            "Nothing",
            "to",
            "do:",
            "an",
            "error",
            "as",
            "large",
            "as",
            "the",
            "stated",
            "resolution",
            "would",
            "have",
            "been",
            "seen.",
        ]
    )
