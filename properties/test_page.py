"""The HTML page: valid, its one script ours, and what it shows of causes, norms over time, earlier runs and changes."""

from __future__ import annotations

import base64
import hashlib
import math
import re
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from html import escape
from itertools import pairwise

import numpy as np
import pytest
from reporting import NASTY, Balanced, a_journal, a_record, a_summary, a_sweep, all_texts, nasty_summary, with_block

from bptt_check import Subject, check
from bptt_check.compare import Comparison, judge
from bptt_check.report import saved
from bptt_check.report.beside import Beside, beside
from bptt_check.report.changes import compare, parse_rule
from bptt_check.report.files import render
from bptt_check.report.github import workflow_commands
from bptt_check.report.html import html_report
from bptt_check.report.html_parts import table_html
from bptt_check.report.junit import junit_report
from bptt_check.report.markdown import markdown_report
from bptt_check.report.model import CaseNorms, Norms
from bptt_check.report.page_script import SCRIPT
from bptt_check.report.page_style import STYLE
from bptt_check.report.plots import steps_picture
from bptt_check.report.plots_over_time import history_picture, norms_picture
from bptt_check.report.record import record_of
from bptt_check.report.table import Column, table_of
from bptt_check.report.tables_beside import causes_said
from bptt_check.results import Block, Result, Verdict
from bptt_check.testing.steps import with_norms

CAUSE = {
    "fault": "time-index",
    "equation": "B3",
    "exact": True,
    "residual": 3e-16,
    "explanation": "df uses s(t) where s(t−1) belongs",
    "remedy": "df = s[t - 1] * ds",
    "also": ["di takes g(t−1)"],
}
RECORDS = [*map(a_record, range(6)), *(a_record(seed, wrong=True) for seed in range(10, 16)), a_sweep()]


def a_full_page():
    """A page with every part that there is."""
    first = replace(a_record(9, wrong=True), causes=(CAUSE, {"fault": NASTY}), data={"reproduce": "run case 9"})
    summary = a_summary(*RECORDS, first)
    history = (
        saved_run(1, 1e-15),
        saved_run(2, 0.3, Verdict.DISAGREES),
        saved_run(3, None),
        saved_run(4, float("nan")),
    )
    changes = compare(replace(saved.of(a_summary(*map(a_record, range(10)))), name=NASTY), saved.of(summary))
    return html_report(summary, Beside(history, changes, (parse_rule("worse"), parse_rule("missing"))))


def saved_run(number, error, verdict=Verdict.AGREES):
    return saved.SavedRun(
        title="a run",
        verdict=verdict,
        complete=True,
        cases=3,
        worst_error=error,
        worst_gradient="W_fh",
        resolution=1e-12,
        name=f"n{number}",
        number=number,
        saved=datetime(2026, 1, number, tzinfo=UTC),
        commit="0123456789" * 4,
    )


# The page as a page


@pytest.mark.parametrize("page", [a_full_page, lambda: html_report(nasty_summary()), lambda: html_report(a_summary())])
def test_the_page_is_valid_html(page):
    html5lib = pytest.importorskip("html5lib")
    html5lib.HTMLParser(strict=True).parse(page())


def test_a_page_that_is_not_valid_is_noticed():
    html5lib = pytest.importorskip("html5lib")
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse(a_full_page().replace("</section>", "</table></section>", 1))


def test_its_policy_lets_its_own_script_run_and_no_other():
    page = a_full_page()
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert re.findall(r"(?s)<script>(.*?)</script>", page) == [SCRIPT]


def test_every_heading_is_linked_and_no_level_is_left_out():
    parsed = Balanced(a_full_page())
    targets = {(attributes["href"] or "")[1:] for tag, attributes in parsed.seen if tag == "a"}
    assert targets == {attributes["id"] for tag, attributes in parsed.seen if tag == "section"}
    levels = [int(tag[1]) for tag, _ in parsed.seen if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(after - before <= 1 for before, after in pairwise(levels))


def chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    return found or pytest.skip("no browser is installed")


def in_a_browser(page, script, folder):
    """The page after ``script`` has run in it, in a browser."""
    page = re.sub(r"<meta http-equiv=[^>]*>", "", page)  # its policy would not let this script run
    path = folder / "page.html"
    path.write_text(page.replace("</body>", f"<script>{script}</script></body>"), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile", "--dump-dom"]
    run = subprocess.run([chromium(), *options, path.as_uri()], capture_output=True, text=True, timeout=100, check=True)
    return run.stdout


@pytest.mark.timeout(120)
def test_tables_sort_by_keyboard_and_say_so(tmp_path):
    names = ["case 10", "case 9", "case 2", "a", "b"]
    figures = ["1.0e-13", "–", "0.30", "1,234", "inf"]
    rows = [(name, number, "AGREES") for name, number in zip(names, figures, strict=True)]
    table = table_of("t", (Column("name", "name"), Column("error"), Column("verdict", "verdict")), rows)
    page = html_report(a_summary()).replace("<main>", f"<main>{table_html(table)}")
    script = """
    const t = document.querySelector("table.sorts"), log = [];
    const column = at => [...t.tBodies[0].rows].map(r => r.cells[at].textContent).join(" ");
    const press = at => { t.querySelectorAll("thead button")[at].focus(); document.activeElement.click();
      log.push([...t.querySelectorAll("th[aria-sort]")].map(h => h.textContent + ":" + h.getAttribute("aria-sort"))
        + "|" + column(0)); };
    press(0); press(0); press(1); press(1);
    document.title = log.join(";");
    """
    (title,) = re.findall(r"<title>(.*?)</title>", in_a_browser(page, script, tmp_path))
    assert title.split(";") == [
        "name:ascending|a b case 2 case 9 case 10",
        "name:descending|case 10 case 9 case 2 b a",
        "error:descending|b a case 2 case 10 case 9",  # the largest first, what is missing last
        "error:ascending|case 10 case 2 a b case 9",
    ]


# Disagreements


def test_a_disagreement_says_what_it_looks_like_and_how_to_mend_it():
    record = replace(a_record(9, wrong=True), causes=(CAUSE,), data={"reproduce": "run case 9"})
    texts = all_texts(a_summary(record))
    for name in ("html", "md", "terminal"):
        for said in (
            "looks exactly like: df uses s(t) where s(t−1) belongs (agrees to 3.0e-16), B3",
            "df = s[t - 1] * ds",
        ):
            assert said in texts[name], name
    assert "the same would be: di takes g(t−1)" in texts["html"]
    assert '"remedy": "df = s[t - 1] * ds"' in texts["json"]
    plain = all_texts(a_summary(a_record(9, wrong=True)))
    assert all("looks" not in plain[name] for name in ("html", "md", "terminal"))


def test_advice_in_words_is_no_line_of_code():
    cause = {**CAUSE, "code": (), "remedy": "look for a factor"}
    page = html_report(a_summary(replace(a_record(9, wrong=True), causes=(cause,))))
    assert "<p>To mend it: look for a factor.</p>" in page and "what belongs there" not in page


def test_a_cause_is_named_in_an_annotation_and_in_the_xml_too():
    summary = a_summary(replace(a_record(9, wrong=True), causes=(CAUSE,)))
    (command,) = workflow_commands(summary)
    (said,) = causes_said(summary.disagreements[0].causes)
    for text in (command, junit_report(summary)):
        assert escape(said.looks, quote=False).replace("%", "%25")[:30] in text and "mend: " in text


@pytest.mark.parametrize(
    "cause", [{}, {"explanation": "near"}, {"residual": "nan", "also": "x", "fault": ["a", 1], "exact": 1}]
)
def test_a_cause_of_which_little_is_known_is_said_as_far_as_it_is(cause):
    record = replace(a_record(9, wrong=True), causes=(cause,))
    texts = all_texts(a_summary(record))
    assert "looks like: " in texts["html"] and "exactly" not in texts["html"]
    assert "mend:" not in texts["html"]


def with_causes(result):
    object.__setattr__(result, "causes", (CAUSE,))
    return result


def test_causes_of_a_result_reach_its_record():
    record = record_of(with_causes(Result("s", Verdict.DISAGREES, {})))
    assert record.causes == (CAUSE,)
    assert record_of(Result("s", Verdict.AGREES, {})).causes == ()


def test_the_smallest_case_comes_first_and_later_ones_unfold():
    page = html_report(a_summary(*RECORDS))
    articles = re.findall(r"(?s)<article>.*?</article>", page)
    sizes = [np.prod([int(n) for n in re.findall(r"[TBDH] = (\d+)", article)]) for article in articles]
    assert sizes == sorted(sizes) and len(sizes) == 6
    assert ["the smallest case" in article for article in articles] == [True, *[False] * 5]
    assert ["<details>" in article for article in articles] == [False] * 3 + [True] * 3
    assert all("<h3>" in article for article in articles), "folded or not, each is a heading to jump to"


# Over time


def test_norms_over_time_are_those_of_the_two_gradients():
    subject = Subject.from_variant("post", T=6, B=2, D=3, H=2, rng=3)
    result = check(subject, entries="all")
    gradient = subject.gradient(subject.point)
    for name in ("h(t)", "s(t)", "x"):
        analytic, reference = np.array(result.blocks[name].norms).T
        assert np.allclose(analytic, np.sqrt((gradient[name].astype(float) ** 2).sum(axis=(1, 2))), rtol=1e-12, atol=0)
        assert np.allclose(reference, analytic, rtol=1e-10, atol=0)
    (case,) = a_summary(record_of(result)).norms
    assert [norms.name for norms in case.norms] == ["h(t)", "s(t)"]
    page = html_report(a_summary(record_of(result)))
    assert "Norms of derivatives by time step in" in page and "a step backwards" in page


def test_code_that_answers_once_and_not_again_costs_no_result():
    subject = Subject.from_variant("post", T=6, B=2, D=3, H=2, rng=3)
    result = check(subject, entries="directions")
    assert with_norms(result, subject).blocks["h(t)"].norms

    def tired(point):
        raise RuntimeError("no more")

    assert with_norms(result, replace(subject, gradient_at=tired)) is result


def test_norms_that_vanish_or_overflow_are_not_lost_to_their_squares():
    sizes = np.array([3e-200, 4e-200, 3e200, 4e200, np.inf, 1.0, np.nan, 1.0, 0.0, 0.0])
    finite, none = np.where(np.isfinite(sizes), sizes, 1.0), np.zeros(10)
    comparison = Comparison("h(t)", (5, 2), np.arange(10), sizes, finite, none, none, none, none)
    norms = judge(comparison, resolution=1e-6, timed=True).norms
    assert [pair[0] for pair in norms[:2]] == [pytest.approx(5e-200), pytest.approx(5e200)]
    assert norms[2][0] == np.inf and np.isnan(norms[3][0]) and norms[4] == (0.0, 0.0)


def test_the_longest_case_of_each_kind_is_drawn():
    def with_steps(seed, steps, **how):
        pairs = tuple((2.0**-t, 2.0**-t) for t in range(steps))
        return with_block(a_record(seed, **how), "h(t)", norms=pairs)

    records = [with_steps(1, 3), with_steps(2, 30), with_steps(3, 9, wrong=True), with_steps(4, 12, wrong=True)]
    wrong, right = a_summary(*records).norms
    assert (wrong.case, wrong.verdict) == ("case 4", Verdict.DISAGREES)
    assert (right.case, right.verdict) == ("case 2", Verdict.AGREES)
    assert right.norms[0].factor == pytest.approx(2)  # grows backwards


def test_norms_known_by_hand_alone_are_drawn_as_lines():
    def of(steps, reference):
        return with_block(a_record(steps), "h(t)", norms=[[2.0**-t, reference and 2.0**-t] for t in range(steps)])

    (case,) = a_summary(of(40, None)).norms
    assert case.norms[0].factor == pytest.approx(2) and set(case.norms[0].reference) == {None}
    picture = norms_picture(case, "n")
    assert "polyline" in picture or "<path" in picture
    (case,) = a_summary(of(40, None), of(20, 1)).norms
    assert case.case == "case 20", "one with both sides comes first"
    wrong = replace(of(30, None), name="long", verdict="DISAGREES"), replace(of(20, 1), verdict="DISAGREES")
    (case,) = a_summary(*wrong).norms
    assert case.case == "case 20", "of those that disagree too"


@pytest.mark.parametrize(
    "norms",
    [
        None,
        [],
        [[1.0, 1.0]],
        [["nan", 0.0]] * 3,
        [["inf", "inf"], [0.0, 0.0]],
        [[5e-324, 1e308]] * 2,
        [[1.0, None]] * 2,
    ],
)
def test_norms_of_any_kind_are_drawn_or_left_out(norms):
    record = with_block(with_block(with_block(a_record(1), "h(t)", norms=norms), "s(t)", norms=None), "x", norms=None)
    Balanced(html_report(a_summary(record)))


# From run to run


def test_earlier_runs_of_the_same_job_are_drawn_and_listed(tmp_path):
    journal = tmp_path / "run.jsonl"
    a_journal(journal, *RECORDS)
    for title in ("a run", "a run", "another run"):
        saved.save(a_summary(*RECORDS, title=title), tmp_path / "runs", clock=lambda: datetime(2026, 1, 1, tzinfo=UTC))
    (tmp_path / "runs" / "0009.jsonl").write_text("damaged")
    html = render(journal, ("html",))[0].read_text(encoding="utf-8")
    (section,) = re.findall(r'(?s)<section id="history">.*?</section>', html)
    assert "2 saved runs and this one" in section
    assert section.count("2026-01-01") == 2
    assert "From run to run" in markdown_report(a_summary(), Beside((saved_run(1, 1e-15),)))
    assert 'id="history"' not in html_report(a_summary(*RECORDS))


def test_a_folder_of_runs_that_cannot_be_read_costs_no_report(tmp_path):
    (tmp_path / "runs").write_text("a file")
    assert beside(a_summary(*RECORDS), tmp_path / "runs") == Beside()


def test_changes_stand_before_the_figures():
    old, new = a_summary(a_record(1), a_record(2)), a_summary(a_record(1, wrong=True))
    more = Beside((), compare(saved.of(old), saved.of(new)), (parse_rule("worse"), parse_rule("resolution:10x")))
    page = html_report(new, more)
    (section,) = re.findall(r'(?s)<section id="changes">.*?</section>', page)
    assert page.index(section) < page.index('<section id="gradients">')
    assert "1 worse, 1 missing, 0 better, 0 new, 6 same" in section
    assert "rule worse: broken by 1 row, first by case 1, W_fh" in section and "rule resolution:10x: kept" in section
    text = markdown_report(new, more)
    assert "## Changes" in text and "- `worse`: **broken** by 1 row" in text
    assert "| `case 1` | " in re.sub(r"(?s)<details>.*?</details>", "", text)


# In a notebook


def test_a_result_shows_itself_in_a_notebook():
    block = Block(NASTY, Verdict.DISAGREES, (1,), compared=1, max_relative_error=0.1, index=(0,), analytic=1.0)
    wrong = with_causes(Result(NASTY, Verdict.DISAGREES, {"W": block}))
    for result in (wrong, check(Subject.from_variant("post", T=1, B=1, D=1, H=1))):
        parsed = Balanced(result._repr_html_())
        assert {"table", "strong"} <= {tag for tag, _ in parsed.seen}
        assert "script" not in {tag for tag, _ in parsed.seen}
        assert str(result.verdict) in "".join(parsed.words)
    assert "df = s[t - 1] * ds" in wrong._repr_html_()


def test_a_run_shows_itself_in_a_notebook():
    for summary in (a_summary(*RECORDS), nasty_summary(), a_summary()):
        parsed = Balanced(summary._repr_html_())
        assert "script" not in {tag for tag, _ in parsed.seen}
        assert str(summary.verdict) in "".join(parsed.words)


# Pictures of what is not there


def test_an_error_by_step_that_is_not_finite_has_a_tile_of_its_own():
    record = with_block(with_block(a_record(1), "h(t)", by_step=["inf", 0.0, 1e-3]), "s(t)", by_step=[1e-9])
    tiles = [attributes for tag, attributes in Balanced(steps_picture(a_summary(record))).seen if tag == "rect"]
    styles = [attributes.get("class") for attributes in tiles]
    assert styles.count("bad") == 1 and "heat" in styles


@pytest.mark.parametrize("errors", [[], [None], ["nan", "inf"], [0.0, 0.0]])
def test_a_sweep_without_an_error_that_can_be_drawn_is_a_table_alone(errors):
    sweep = replace(a_sweep(), data={**a_sweep().data, "curves": {"a method": errors}})
    page = html_report(a_summary(sweep))
    Balanced(page)
    assert "Error against step size" in page


def test_a_curve_without_a_point_that_can_be_drawn_leaves_the_others_alone():
    none = replace(a_sweep(), data={**a_sweep().data, "curves": {**a_sweep().data["curves"], "lost": ["nan"] * 13}})
    page = html_report(a_summary(none))
    drawn = [a.get("class", "") for tag, a in Balanced(page).seen if tag == "path"]
    assert sum(style.startswith("line") for style in drawn) == 2 and "lost" in page


@pytest.mark.parametrize("shape", [{}, {"steps": 3}, {"steps": [0.1], "curves": [1]}, {"steps": [], "curves": {}}])
def test_a_sweep_of_another_form_is_left_out(shape):
    page = html_report(a_summary(replace(a_sweep(), data=shape), a_record(1)))
    assert "Error against step size" not in page


def test_a_step_that_no_case_reaches_has_an_empty_tile():
    record = with_block(a_record(1), "h(t)", by_step=[1e-9, None, 1e-3])
    styles = [a.get("class") for tag, a in Balanced(steps_picture(a_summary(record))).seen if tag == "rect"]
    assert styles.count("void") == 1


def test_norms_of_a_single_step_or_of_nothing_are_no_picture():
    one = CaseNorms("case", Verdict.AGREES, (Norms("h(t)", (1.0,), (1.0,), None),))
    nothing = CaseNorms("case", Verdict.AGREES, (Norms("h(t)", (0.0, 0.0), (0.0, 0.0), None),))
    assert norms_picture(one, "n") == norms_picture(nothing, "n") == ""


def test_a_run_of_which_a_figure_is_missing_leaves_a_gap_in_the_history():
    now = a_summary(a_record(3))
    old = [replace(saved.of(now), number=k, worst_error=error) for k, error in enumerate((1e-15, None, math.inf))]
    shown = Balanced(history_picture([*old, replace(old[0], resolution=None)], now)).seen
    assert sum(a.get("class") == "resolution" for _, a in shown) == 4
    empty = replace(now, worst_error=None, resolution=None)
    bare = [replace(run, worst_error=None, resolution=None) for run in old]
    assert not any(a.get("class") == "line c0" for _, a in Balanced(history_picture(bare, empty)).seen)


# Colours


def colours(style):
    """The colours by name: light, dark, on paper."""
    blocks = re.findall(r":root\s*\{(.*?)\}", style, re.DOTALL)
    named = [dict(re.findall(r"--(\w+):\s*(#[0-9a-f]{3,6})", block)) for block in blocks]
    return [{**named[0], **colours} for colours in named]


def brightness(colour):
    """Relative luminance, as WCAG 2.2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


def test_all_text_can_be_told_from_what_is_behind_it():
    assert contrast("#000", "#ffffff") == pytest.approx(21)
    schemes = colours(STYLE)
    assert len(schemes) == 3
    for scheme in schemes:
        for ink in {*scheme} - {"page", "panel", "rule"}:
            for behind in ("page", "panel"):
                assert contrast(scheme[ink], scheme[behind]) >= 4.5, (ink, scheme[ink], behind)
