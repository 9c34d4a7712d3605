"""All laws by the ids of the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bptt_check import local
from bptt_check.laws import of_the_gradient as gradient
from bptt_check.laws import of_the_loss as loss
from bptt_check.laws import readings, restated
from bptt_check.laws.compare import Law, compare
from bptt_check.lstm.backward import backward as derived_backward
from bptt_check.lstm.problem import Backward, Problem
from bptt_check.results import Block, Result, Verdict

LAWS: tuple[Law, ...] = (
    Law("F1", restated.line(restated.f1)),
    Law("F1s", restated.line(restated.f1_memory)),
    Law("F2", restated.line(restated.f2)),
    Law("F2p", restated.line(restated.f2_peephole)),
    Law("F2r", restated.line(restated.f2_gates)),
    Law("F3", restated.line(restated.f3)),
    Law("F4", restated.line(restated.gate("i"))),
    Law("F4o", restated.line(restated.open_gate)),
    Law("F5", restated.line(restated.gate("f"))),
    Law("F5c", restated.line(restated.coupled)),
    Law("F6", restated.line(restated.gate("o"))),
    Law("F7", restated.line(restated.f7)),
    Law("F8", restated.line(restated.f8)),
    Law("L1", loss.slope_of_the_loss),
    Law("L2", loss.sum_over_steps),
    Law("L3", loss.loss_from_here_on, exact=True),
    Law("L4", loss.this_step_and_the_rest),
    Law("L5", loss.the_past_stays, exact=True),
    Law("L6c", readings.reading(readings.outputs_with_memory_running_on)),
    Law("L6d", readings.reading(readings.outputs_in_total, of_the_step=True)),
    Law("P1", gradient.additive_over_time),
    Law("P2", gradient.splitting),
    Law("P3", gradient.additive_over_the_batch),
    Law("P4", gradient.linear),
    Law("P5", gradient.permutation),
    Law("P6", gradient.adjoint),
    Law("P7", gradient.boundary, exact=True),
    Law("P8", gradient.nothing_in_nothing_out, exact=True),
    Law("P9", gradient.conservative),
    Law("P10", gradient.truncated_is_held),
    Law("P11", gradient.masked_is_cut),
    Law("P12", gradient.single_and_double),
    Law("P13", gradient.saturated),
)

# Not laws: the readings of L6 that are not the gradient, kept to show by how much they are off.
FALSE_READINGS: tuple[Law, ...] = (
    Law("L6a", readings.reading(readings.outputs_in_total)),
    Law("L6b", readings.reading(readings.outputs_of_one_step)),
)


def examine(problem: Problem, *, backward: Backward = derived_backward) -> dict[str, Block]:
    """Every law at one problem, by id; those that say nothing about it are left out."""
    found = {law.id: compare(law, problem, backward=backward) for law in LAWS}
    return {name: block for name, block in found.items() if block.compared}


def examined(problem: Problem, *, case: Mapping[str, Any] | None = None) -> Result:
    """Every law and every backward line on its own at one problem, as a result that can be recorded.

    The false readings of L6 are measured too, and count for nothing in the verdict. ``case``: plain data that says how
    to make the problem again; cell, loss and shape are filled in.
    """
    blocks = {**examine(problem), **local.blocks(local.lines_of(problem))}
    return result_of(problem, {**blocks, **{law.id: _measured(law, problem) for law in FALSE_READINGS}}, case=case)


def _measured(law: Law, problem: Problem) -> Block:
    """How far a false reading is off. Nothing is claimed, so nothing can disagree."""
    block = compare(law, problem)
    note = "measured only: it is not the gradient"
    return replace(block, verdict=Verdict.AGREES, tolerance_ratio=None, resolution=None, note=note)


def result_of(problem: Problem, blocks: Mapping[str, Block], *, case: Mapping[str, Any] | None = None) -> Result:
    """Comparisons at one problem as a result; each block goes by its own name."""
    shape = dict(zip("TBDH", problem.shape, strict=True))
    cell, loss = problem.variant.name, problem.loss.name
    verdicts = {block.verdict for block in blocks.values()}
    order = (Verdict.DISAGREES, Verdict.INCONCLUSIVE, Verdict.AGREES)
    return Result(
        subject=f"{cell} cell, {loss} loss",
        verdict=next((verdict for verdict in order if verdict in verdicts), Verdict.INCONCLUSIVE),
        blocks={block.name: block for block in blocks.values()},
        method=f"two sides in {problem.x.dtype.name}",
        case={"cell": cell, "loss": loss, **shape, **(case or {})},
    )


def law_named(name: str) -> Law:
    """The law, or false reading, of that id.

    Raises
    ------
    KeyError
        Where there is none.
    """
    return {law.id: law for law in (*LAWS, *FALSE_READINGS)}[name]
