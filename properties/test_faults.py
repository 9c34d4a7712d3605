"""The catalogue of faults: every one is a mistake, says what it is in a sentence, and can be listed and explained."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from bptt_check.cli import main
from bptt_check.equations import ENTRIES
from bptt_check.errors import UsageError
from bptt_check.faults import WAYS, catalogue, fault_named, of_states_handed_out, slips
from bptt_check.faults.catalogue import all_ways
from bptt_check.lstm.problem import Problem
from bptt_check.lstm.variants import CIFG, NP, POST, VARIANTS, V
from bptt_check.networks.listing import NETWORK_WAYS
from bptt_check.networks.listing import markdown as of_networks
from bptt_check.patterns import KINDS, REGIONS
from bptt_check.planting.cases import LARGE, SEED, classes, handed_out, made, program_at, same
from bptt_check.planting.listing import counts, markdown, rows
from bptt_check.planting.tiny import example, short, written
from bptt_check.program import Program, _compiled, lines_of

CELLS = pytest.mark.parametrize("cell", VARIANTS, ids=lambda cell: cell.name)
PAGE = Path(__file__).parent.parent / "docs" / "faults.md"
CLIPS = re.compile(r"d[hs]-clipped-in-loop-.*")  # change nothing where nothing is that large; nothing else may do so

MET = (  # what is met in published code, by the name it has here, in the common cell unless another is named
    "carry-zero-both.all", "dh-carry-dropped.dh", "ds-carry-dropped.ds", "dh-next-dropped.dh_next",
    "ds-next-dropped.ds_next", "carry-dropped-at-the-beginning.all", "carry-dropped-at-the-end.all",
    "carry-never-updated.all", "sum-over-time-assigned.all", "sum-over-time-last-only.all",
    "sum-without-first-step.all", "sum-without-last-step.all", "state-s-for-h.all", "df-from-h-before.df",
    "df-from-s.df", "df-from-s-wrapping.df", "df-from-s-initial.df", "state-wrapping.all", "state-never-updated.all",
    "ds-slope-of-tanh-twice.ds", "ds-slope-from-s.ds", "ds-output-slope-forgotten.ds", "slope-at-input.all",
    "slope-at-output.all", "slope-twice.all", "slope-forgotten.all", "slope-of-tanh.all",
    "candidate-slope-logistic.dz_g", "dz-i-and-f-swapped.all", "sums-of-i-and-f-swapped.all", "matrix-transposed.all",
    "back-transposed.dh_next", "sum-forgotten.db_f", "dx-forgotten.dx", "initial-forgotten.all",
    "ds-carry-inside-slope.ds", "dh-last-loss-everywhere.dh", "loss-over-batch.dh", "loss-over-time.dh",
    "loss-factor-2.dh", "loss-sign.dh", "bias-as-mean.all", "ds-clipped-in-loop-1.ds", "truncated-after-2.all",
    "only-last-1-steps.all", "sum-starts-at-one.all", "sum-starts-at-weight.all",
)  # fmt: skip
MET_ELSEWHERE = (
    (V, "ds-peephole-forgotten.ds"), (V, "ds-next-peepholes-forgotten.ds_next"), (V, "peephole-weight-step.dp_i"),
    (V, "peephole-weight-step-of-o.dp_o"), (CIFG, "di-coupled-forgotten.di"), (POST, "ds-slope-not-there.ds"),
)  # fmt: skip


def test_a_fault_of_the_last_states_shows_where_the_loss_sees_them_besides():
    problem = Problem.draw(NP, **LARGE, rng=np.random.default_rng(SEED))
    trace, last = problem.trace(), np.zeros((LARGE["T"], LARGE["B"], LARGE["H"]))
    last[-1] = 1.0
    seen = Program(trace, problem.slope(trace), dl_ds=last, dl_again=last)
    for fault in of_states_handed_out(NP):
        assert not same(handed_out(seen, seen.run(dict(fault.changes))), handed_out(seen, seen.right))


@CELLS
def test_every_fault_changes_the_gradient_or_is_a_clipping_that_nothing_reaches(cell):
    program = program_at(cell, **LARGE, seed=SEED)
    right = handed_out(program, program.right)
    unchanged = []
    for fault in catalogue(cell):
        wrong = made(program, fault)
        assert wrong is not None, fault.id  # its lines compile and run
        if same(wrong, right):
            unchanged.append(fault)
    assert all(CLIPS.fullmatch(fault.id) for fault in unchanged), [fault.id for fault in unchanged]
    larger = program_at(cell, **LARGE, seed=SEED, scale=100.0)
    right = handed_out(larger, larger.right)
    assert all(not same(made(larger, fault), right) for fault in unchanged)


@CELLS
def test_the_ids_of_a_cell_are_unique_and_so_are_its_mistakes(cell):
    faults = catalogue(cell)
    assert len({fault.id for fault in faults}) == len({fault.changes for fault in faults}) == len(faults)


def test_the_ids_of_the_ways_are_unique_and_plain():
    ids = [way.id for way in all_ways()]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+(\.\d+)?)*", name) for name in ids)


def test_every_way_strikes_somewhere():
    struck = {fault.way for cell in VARIANTS for fault in catalogue(cell)}
    assert {way.id for way in WAYS} == struck


@CELLS
def test_every_backward_equation_of_a_cell_has_faults(cell):
    assert {line.equation for line in lines_of(cell)} <= {fault.equation for fault in catalogue(cell)}
    assert {fault.equation for fault in catalogue(cell)} <= {entry.id for entry in ENTRIES}


def test_every_backward_equation_and_variant_line_of_the_page_has_faults():
    told = {fault.equation for cell in VARIANTS for fault in catalogue(cell)}
    assert told == {entry.id for entry in ENTRIES if entry.mirrors}


@CELLS
def test_a_fault_says_what_it_is_and_its_remedy_is_the_line_as_it_should_be(cell):
    lines = {line.target: line for line in lines_of(cell)}
    for fault in catalogue(cell):
        assert not re.search(r"[{}]|  |\.$", fault.says + fault.why), fault.id
        assert len(fault.says.split()) >= 3 and fault.why, fault.id
        assert fault.right == tuple(str(lines[target]) for target, _ in fault.changes)
        assert fault.remedy.startswith(fault.right[0])
        assert all(wrong != right for wrong, right in zip(fault.code, fault.right, strict=True)), fault.id
        for _, code in fault.changes:
            _compiled(code)


def test_sentences_about_several_lines_have_their_verb_in_the_plural():
    for cell in VARIANTS:
        for fault in catalogue(cell):
            several = re.match(r"(dW|db|dp|dz|dh|ds|d[gifo])\S*(, \S+)+ (\w+)|all of \S+ … \S+ (\w+)", fault.says)
            if several:
                assert (several[3] or several[4]) not in PLURAL_OF, fault.says


PLURAL_OF = ("is", "has", "uses", "lacks", "holds", "takes", "starts", "stays", "counts", "reads")


@pytest.mark.parametrize("name", MET)
def test_what_is_met_in_published_code_is_in_the_catalogue(name):
    assert fault_named(name)[1] is NP


@pytest.mark.parametrize(("cell", "name"), MET_ELSEWHERE, ids=lambda x: getattr(x, "name", x))
def test_what_is_met_in_other_cells_is_in_theirs(cell, name):
    assert fault_named(name, cell) == (next(f for f in catalogue(cell) if f.id == name), cell)


def test_an_unknown_fault_is_refused_and_near_ones_are_named():
    with pytest.raises(UsageError, match=r"did you mean .*ds-carry-dropped\.ds"):
        fault_named("ds-carry-droped")


def test_classes_are_a_partition_and_their_members_agree_at_another_case_too():
    faults = catalogue(NP)
    told, still = classes(NP, faults)
    assert sorted(f.id for group in (*told, still) for f in group) == sorted(f.id for f in faults)
    assert len(told) > 700
    elsewhere = program_at(NP, T=5, B=2, D=3, H=4, seed=7)
    for first, *others in told:
        outcome = made(elsewhere, first)
        assert all(same(made(elsewhere, other), outcome) for other in others), first.id


def test_two_that_must_look_alike_are_in_one_class():
    told, _ = classes(NP, catalogue(NP))
    alike = [{fault.id for fault in group} for group in told]
    assert {"slope-sign.dz_f", "gate-sign.df"} in alike
    assert {"sum-without-first-step.dW_fh", "state-initial-forgotten.dW_fh"} in alike  # what step 1 adds is h(0)'s
    assert {"df-from-s.df"} in alike


def test_the_counts_add_up():
    shown = rows()
    counted = counts(shown)
    assert counted["ways"] == len(WAYS) == len(shown)
    assert counted["faults"] == sum(len(catalogue(cell)) for cell in VARIANTS)
    assert counted["places"] == len({fault.id for cell in VARIANTS for fault in catalogue(cell)})
    assert counted["cells"] == len(VARIANTS)
    by_equation = {e: {f.id for r in rows(equation=e) for c in r.faults.values() for f in c if f.equation == e}
                   for e in {f.equation for f in catalogue(NP)}}  # fmt: skip
    assert set().union(*by_equation.values()) >= {fault.id for fault in catalogue(NP)}


@pytest.mark.parametrize("cell", [NP, V], ids=lambda cell: cell.name)
def test_every_way_shows_in_a_small_example(cell):
    for fault in {f.way: f for f in reversed(catalogue(cell))}.values():
        found = example(fault, cell)
        assert found.lines, fault.id
        assert any(line.t is None or line.target == "dx" for line in found.lines), fault.id
        assert all(not np.array_equal(line.right, line.wrong) for line in found.lines)


def test_numbers_are_written_as_with_a_pencil():
    assert [short(v) for v in (0.25, -0.5, 1.75, -1, 0, 16, 0.2417, -4.1e-4)] == [
        "¼", "−½", "1¾", "−1", "0", "16", "0.2417", "−4.1e-04"
    ]  # fmt: skip
    assert written(np.array([[0.5, -1], [0.25, 2]])) == "[½ −1; ¼ 2]"


class Ran:
    def __init__(self, capsys, *arguments):
        self.code = main(arguments)
        self.out, self.err = capsys.readouterr()


@pytest.mark.parametrize("options", [(), ("--cell", "V"), ("--equation", "B3"), ("--common",), ("--cell", "FGR")])
def test_the_list_fits_a_terminal(capsys, options):
    ran = Ran(capsys, "faults", *options)
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 100
    assert "{" not in ran.out


def test_the_list_is_by_equation_and_counts(capsys):
    ran = Ran(capsys, "faults", "--equation", "B3", "--cell", "NP", "--common")
    assert "B3  derivatives of candidate and gates" in ran.out
    assert re.search(r"• df-from-s-wrapping +1  1  df uses s\(t−1\), which at t = 1 is s\(T\)", ran.out)
    assert "B2" not in ran.out
    assert re.search(r"\d+ ways; \d+ places by name, \d+ in all over 1 cell", ran.out)


def test_the_list_as_json_is_complete(capsys):
    ran = Ran(capsys, "faults", "--json", "--cell", "CIFG")
    data = json.loads(ran.out)
    assert sum(len(row["places"]) for row in data["faults"]) == len(catalogue(CIFG)) == data["faults_of_cell"]
    row = next(row for row in data["faults"] if row["id"] == "di-coupled-forgotten")
    assert row["right"] == ["di = g[t] * ds - df"] and row["written"] == ["di = g[t] * ds"] and row["cells"] == ["CIFG"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("faults", "--cell", "XX"), "the cells are post, NP"),
        (("faults", "--equation", "F7"), "the equations with faults are B1"),
        (("explain", "carry"), "no fault is called 'carry'"),
        (("explain", "dh-carry-droped"), "did you mean dh-carry-dropped.dh"),
        (("explain", "dh-carry-dropped", "--cell", "XX"), "the cells are"),
    ],
)
def test_what_is_not_there_is_wrong_usage_and_the_message_says_what_is(capsys, arguments, said):
    ran = Ran(capsys, *arguments)
    assert ran.code == 2 and said in ran.err and not ran.out


def test_one_fault_is_explained_with_its_numbers(capsys):
    ran = Ran(capsys, "explain", "df-from-s.df")
    text = " ".join(ran.out.split())
    assert max(map(len, ran.out.splitlines())) <= 100
    for part in (
        "df uses s(t) where s(t−1) belongs",
        "written df = s[t] * ds",
        "what belongs there, and mends it df = s[t-1] * ds",
        "why it is written: the memory is overwritten",
        "equation B3, derivatives of candidate and gates: do(t) = a(s(t)) ⊙ dh(t)",
        "no other fault of the catalogue gives the same",
        "In numbers, T=2, B=1, D=1, H=1",
    ):
        assert part in text
    changed = dict(re.findall(r"^  (\S+) +(\S+ +\S+)$", ran.out, re.MULTILINE))
    assert {"df(2)", "dz_f(2)", "dW_fx", "db_f"} <= set(changed)
    assert "dW_ox" in changed and "do(2)" not in changed  # what is not changed is not shown


def test_the_numbers_of_an_example_are_right():
    fault, cell = fault_named("df-from-s.df")
    found = example(fault, cell)
    line = next(line for line in found.lines if line.target == "df" and line.t == 2)
    p = {k: float(np.ravel(a)[0]) for k, a in found.point.items() if k != "x"}
    x = found.point["x"].reshape(-1)

    def sigma(z):
        return 1 / (1 + np.exp(-z))

    h, s, steps = p["h0"], p["s0"], []
    for t in range(2):
        z = {k: p[f"W_{k}x"] * x[t] + p[f"W_{k}h"] * h + p[f"b_{k}"] for k in "gifo"}
        before, s = s, np.tanh(z["g"]) * sigma(z["i"]) + s * sigma(z["f"])
        h = np.tanh(s) * sigma(z["o"])
        steps.append((before, s, sigma(z["o"])))
    before, s, o = steps[1]
    ds = o * (1 - np.tanh(s) ** 2) * float(found.dl[1].reshape(()))
    assert float(line.right.reshape(())) == pytest.approx(before * ds)
    assert float(line.wrong.reshape(())) == pytest.approx(s * ds)


def test_a_fault_that_others_cannot_be_told_from_names_them(capsys):
    ran = Ran(capsys, "explain", "gate-sign.df")
    assert "cannot be told from: slope-sign.dz_f" in " ".join(ran.out.split())


def test_a_way_of_several_places_lists_them(capsys):
    ran = Ran(capsys, "explain", "slope-forgotten", "--cell", "NP")
    assert ran.code == 0
    assert "slope-forgotten.dz_f, slope-forgotten.dz_i, slope-forgotten.dz_o, slope-forgotten.all" in ran.out


def test_a_way_of_one_place_is_that_fault(capsys):
    assert Ran(capsys, "explain", "ds-carry-dropped").out == Ran(capsys, "explain", "ds-carry-dropped.ds").out


def test_the_page_is_what_the_command_prints(capsys):
    assert (
        Ran(capsys, "faults", "--markdown").out == PAGE.read_text(encoding="utf-8") == markdown(rows()) + of_networks()
    )


def test_the_page_has_a_row_for_every_way():
    found = re.findall(r"^\| ([a-z][a-z0-9.-]+)(?: •)? \|.*\|.*`.*`.*\|.*`.*`.*\|", PAGE.read_text(), re.MULTILINE)
    assert sorted(found) == sorted(way.id for way in (*WAYS, *NETWORK_WAYS))


def test_every_cause_that_a_result_can_name_has_its_page(capsys):
    for kind in ("line", *KINDS):
        if kind not in REGIONS:  # those are places, and named as no cause
            assert main(["explain", kind]) == 0
            assert capsys.readouterr().out.startswith(f"{kind}\n  ")


@pytest.mark.parametrize("cell", VARIANTS, ids=str)
def test_slips_have_names_of_their_own_run_and_are_no_faults_of_the_catalogue(cell):
    found = slips(cell)
    assert len({slip.id for slip in found} | {fault.id for fault in catalogue(cell)}) == len(found) + len(
        catalogue(cell)
    )
    assert not {slip.changes for slip in found} & {fault.changes for fault in catalogue(cell)}
    program = program_at(cell, **LARGE, seed=SEED)
    for slip in found[::29]:
        made(program, slip)
        assert slip.code != slip.right


def test_one_name_for_another_and_a_factor_too_many_are_slips():
    said = {slip.changes: slip.says for slip in slips(NP)}
    assert said[(("dz_f", "f[t] * (1 - i[t]) * df"),)] == "dz_f has i[t] where f[t] belongs"
    assert said[(("dz_g", "(1 - g[t])**2 * dg"),)] == "dz_g has (1 - g[t])**2 where 1 - g[t]**2 belongs"
    assert said[(("ds_next", "ds * f[t] + ds"),)] == "ds_next has ds added to it"


def test_a_slip_is_explained_like_any_fault(capsys):
    assert main(["explain", "name-for-another.dz_f.4-i"]) == 0
    out = capsys.readouterr().out
    assert "dz_f = i[t] * (1 - f[t]) * df" in out and "In numbers" in out
