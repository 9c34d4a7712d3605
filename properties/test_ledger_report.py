"""The ledger in the reports: every equation with what the run has found about it, and laws nowhere else."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from bptt_check import Subject, check, ledger
from bptt_check.cli import main
from bptt_check.laws.table import examined
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import variant_named
from bptt_check.mathml import typeset
from bptt_check.report.html import html_report
from bptt_check.report.journal import Journal, RunLog
from bptt_check.report.json_report import json_report
from bptt_check.report.ledger_lines import ledger_said
from bptt_check.report.markdown import markdown_report
from bptt_check.report.record import record_of
from bptt_check.report.summary import summarise
from bptt_check.report.terminal import table
from bptt_check.results import Block, Result, Verdict
from bptt_check.tally import ALONE, SIDES, WHOLE, way_of


def a_law_record(cell="post"):
    problem = Problem.draw(variant_named(cell), T=3, B=1, D=2, H=2, rng=np.random.default_rng(0))
    return record_of(examined(problem.astype(np.longdouble)))


def a_gradient_record():
    return record_of(check(Subject.from_variant("post", T=2, B=1, D=2, H=1)))


def a_summary(*records):
    return summarise(RunLog("a run", len(records), {}, "", tuple(records), ended=True))


@pytest.fixture(scope="module")
def summary():
    return a_summary(a_law_record(), a_gradient_record())


class Page(HTMLParser):
    """The rows of the ledger's tables, and the elements of the page, each closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.rows, self.inside = [], [], [], False
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.inside = ("class", "ledger") in attrs
        if tag == "tr" and self.inside:
            self.rows.append("")
        if tag not in ("meta", "br", "wbr"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.inside and self.rows and "tr" in self.open:
            self.rows[-1] += f" {data}"


def test_laws_and_lines_have_a_place_in_the_ledger_alone(summary):
    names = {line.name for line in summary.gradients}
    assert {"W_gx", "h(t)", "s0"} <= names
    assert not [name for name in names if name.startswith("law ") or name.endswith("locally")]
    assert {spread.name for spread in summary.spreads} == names
    assert set(summary.by_loss.rows) == names
    assert summary.worst_error < 1e-9, "the false readings of L6 are no gradient"
    assert "law P" not in table(summary)


def test_a_gradient_that_is_only_called_like_a_law_stays_a_gradient():
    block = Block("law P1", Verdict.DISAGREES, (1,), "B5", compared=1, max_relative_error=1.0)
    assert [line.name for line in a_summary(record_of(Result("w", Verdict.DISAGREES, {"w": block}))).gradients]
    assert way_of({"name": "law of motion", "equation": "P1"}) == WHOLE
    assert way_of({"name": "law P1", "equation": "P1"}) == SIDES
    assert way_of({"name": "B2, locally", "equation": "B2"}) == ALONE


def test_each_way_of_looking_has_figures_of_its_own(summary):
    lines = {line.id: line for line in summary.ledger}
    assert [line.id for line in summary.ledger] == [entry.id for entry in ledger.entries()]
    whole, alone = lines["B2"].ways
    assert (whole.name, whole.entries) == (WHOLE, 2) and (alone.name, alone.entries) == (ALONE, 6)
    assert whole.worst_case and alone.worst_error <= 1e-15 <= whole.resolution
    assert [way.name for way in lines["P6"].ways] == [SIDES]
    assert lines["B2"].places[0].startswith("lstm/backward.py:") and "test_local" in lines["B2"].properties[0]


def test_what_was_not_compared_is_said_plainly(summary):
    missing = [line for line in summary.ledger if not line.entries]
    assert {line.id for line in missing} >= {"F2p", "B3c", "B7r", "B8s"}
    assert all(line.verdict == "NOT_COMPARED" and not line.ways for line in missing)
    page = Page(html_report(summary))
    for line in missing:
        assert any(row.split()[0] == line.id and row.endswith("not compared in this run") for row in page.rows)
        (row,) = (row for row in markdown_report(summary).splitlines() if row.startswith(f"| `{line.id}` |"))
        assert "not compared in this run" in row
    said = ledger_said(summary.ledger)
    assert f"Not compared in this run: {', '.join(line.id for line in missing)}." in said
    assert said in html_report(summary)


def test_the_page_has_every_formula_typeset_and_loads_nothing(summary):
    text = html_report(summary)
    page = Page(text)
    assert len(page.rows) >= len(ledger.entries())
    assert sum(tag == "math" for tag, _ in page.tags) >= len(ledger.entries())
    assert "http" not in text.partition('<section id="environment"')[0].replace("http-equiv", "")
    assert sum(tag == "table" for tag, _ in page.tags) == sum(tag == "caption" for tag, _ in page.tags)
    (row,) = (row for row in page.rows if row.split()[0] == "B8")
    assert "constant error carousel; differentiates F7" in row and "lstm/backward.py:" in row


def test_markdown_and_json_say_the_same(summary):
    text = markdown_report(summary)
    rows = [line for line in text.splitlines() if line.startswith("| `B5` |")]
    assert len(rows) == 2 and WHOLE in rows[0] and ALONE in rows[1] and "dW_k = Σ_t" in rows[0]
    columns = {row.replace("\\|", "").count(" | ") for row in rows}
    assert columns == {10}
    lines = {line["id"]: line for line in json.loads(json_report(summary))["ledger"]}
    assert lines["B5"]["formula"] == ledger.entry("B5").formula
    assert [way["name"] for way in lines["B5"]["ways"]] == [WHOLE, ALONE]
    assert lines["L6b"]["verdict"] == "DIFFERS" and lines["L6b"]["ways"][0]["worst_error"] > 0.1


def test_a_run_that_speaks_of_no_equation_has_no_ledger():
    subject = Subject.from_functions(lambda p: (p["w"] ** 2).sum(), lambda p: {"w": 2 * p["w"]}, {"w": np.ones(2)})
    plain = a_summary(record_of(check(subject)))
    assert plain.ledger == ()
    assert "Equations" not in html_report(plain) and "Equations" not in markdown_report(plain)


def test_a_wrong_line_is_named_at_the_head_of_the_ledger():
    record = a_law_record()
    wrong = {"verdict": "DISAGREES", "max_relative_error": 0.5, "tolerance_ratio": 1e9}
    blocks = [{**block, **wrong} if block["equation"] == "B4" else block for block in record.blocks]
    text = html_report(a_summary(replace(record, blocks=tuple(blocks))))
    assert "B4 disagrees." in text
    (row,) = (row for row in Page(text).rows if row.split()[0] == "B4")
    assert "DISAGREES" in row


# --- bptt-check equations


def a_journal(path, *records):
    with Journal(path, title="a run", planned=len(records)) as journal:
        for record in records:
            journal.write(record)
    return str(path)


def test_the_command_fills_the_ledger_from_a_journal(tmp_path, capsys):
    assert main(["equations", a_journal(tmp_path / "run.jsonl", a_law_record(), a_gradient_record())]) == 0
    out = capsys.readouterr().out
    assert f"{WHOLE}: 1 case, 2 entries, error at most" in out and ALONE in out
    assert "NOT COMPARED in this run" in out and "DIFFERS" in out
    assert max(map(len, out.splitlines()[:-1])) <= 120
    assert main(["equations"]) == 0
    assert "NOT COMPARED" not in capsys.readouterr().out


def test_the_command_tells_a_wrong_equation_and_an_empty_journal_by_its_exit_code(tmp_path, capsys):
    record = a_law_record()
    blocks = tuple({**block, "verdict": "DISAGREES"} for block in record.blocks)
    assert main(["equations", a_journal(tmp_path / "wrong.jsonl", replace(record, blocks=blocks))]) == 1
    assert main(["equations", a_journal(tmp_path / "empty.jsonl")]) == 3
    assert "No equation was compared in this run." in capsys.readouterr().out
    assert main(["equations", str(tmp_path / "none.jsonl")]) == 2


def test_a_typeset_formula_says_what_the_plain_one_says():
    for entry in ledger.entries():
        shown = html.unescape(re.sub(r"<[^>]*>", "", typeset(entry.formula)))
        symbols = re.sub(r"\s", "", shown).replace("∑", "Σ").replace("⊤", "ᵀ")
        assert symbols == re.sub(r"[\s_{}]", "", entry.formula).replace("²", "2"), entry.id
    assert typeset("L = 1  for every step").endswith("</math> for every step")
    assert "<mi>α</mi><mi>u</mi>" in typeset("G(αu)")
