"""From the records of a run to what its reports say. Counting and choosing happen here, and nowhere else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bptt_check.report.ledger_lines import ledger_lines
from bptt_check.report.model import (
    Failure,
    FindingCount,
    Grid,
    Line,
    Region,
    Spread,
    Summary,
)
from bptt_check.report.over_time import norms_over_time, step_errors
from bptt_check.report.reading import (
    NOT_GIVEN,
    equations_of,
    failure_of,
    gradients_of,
    label,
    number,
    rank,
    sweep_of,
    verdict_of,
    worst_of,
)
from bptt_check.report.record import SMALLEST, Record
from bptt_check.report.runlog import RunLog
from bptt_check.report.strict import compact
from bptt_check.report.tests import drawn_by_test, from_tests, smallest
from bptt_check.report.text import natural
from bptt_check.results import Verdict

__all__ = ["Summary", "summarise"]


def summarise(log: RunLog) -> Summary:
    """Return all that a report shows of ``log``; the order in which its records came does not matter."""
    records = in_order(log.records)
    cases = [record for record in records if record.kind == "case"]
    gradients = gradient_lines(cases)
    verdicts = Counter(verdict_of(record).value for record in cases)
    worst = max(gradients, key=lambda line: rank(line.worst_error), default=None)
    chances = [number(record.miss_probability) for record in cases]
    shown, told = (*(r for r in records if r.kind == SMALLEST), *smallest(cases)), drawn_by_test(records)
    return Summary(
        title=log.title,
        verdict=_overall(log, cases),
        complete=log.complete,
        ended=log.ended,
        planned=log.planned,
        recorded=log.recorded,
        problems=log.problems,
        tests=from_tests(records),
        cases=len(cases),
        compared=sum(line.entries for line in gradients),
        verdicts=dict(sorted(verdicts.items())),
        worst_error=worst.worst_error if worst else None,
        worst_gradient=worst.name if worst and worst.worst_error is not None else "",
        worst_ratio=worst_of(line.worst_ratio for line in gradients),
        resolution=worst_of(line.resolution for line in gradients),
        miss_probability=worst_of(chances),
        miss_size=worst_of(number(record.miss_size) for record in cases),
        evaluations=sum(record.evaluations for record in cases),
        gradient_evaluations=sum(record.gradient_evaluations for record in cases),
        gradients=gradients,
        equations=equation_lines(cases),
        ledger=ledger_lines(cases),
        by_loss=errors_by_loss(gradients, cases),
        cells_and_losses=cells_and_losses(cases),
        regions=regions(cases),
        spreads=spreads(gradients, cases),
        steps=step_errors(cases),
        norms=norms_over_time(cases),
        findings=finding_counts([record for record in records if record.kind != SMALLEST]),
        disagreements=failures(shown, Verdict.DISAGREES, told),
        inconclusives=failures(shown, Verdict.INCONCLUSIVE, told),
        sweeps=tuple(sweep for record in records if record.kind == "sweep" if (sweep := sweep_of(record)) is not None),
        records=records,
        environment=dict(sorted((log.environment or {}).items())),
        timing=_timing(log, records),
    )


def in_order(records: Sequence[Record]) -> tuple[Record, ...]:
    """Sort by name, and by content where names are shared, so that it does not matter which case ended first."""
    shared = {name for name, times in Counter(record.name for record in records).items() if times > 1}

    def key(record: Record) -> tuple[tuple[str, ...], str, str]:
        content = compact(replace(record, seconds=0.0).as_json()) if record.name in shared else ""
        return natural(record.name), record.name, content

    return tuple(sorted(records, key=key))


def _timing(log: RunLog, records: Sequence[Record]) -> Mapping[str, Any]:
    seconds = [number(record.seconds) or 0.0 for record in records]
    total = sum(value for value in seconds if math.isfinite(value))
    return {"started": log.started, "seconds": round(total, 6), "seconds_by_record": seconds}


def _overall(log: RunLog, cases: Sequence[Record]) -> Verdict:
    found = {verdict_of(record) for record in cases}
    if Verdict.DISAGREES in found:
        return Verdict.DISAGREES
    return Verdict.AGREES if found == {Verdict.AGREES} and log.complete else Verdict.INCONCLUSIVE


def _all_rows(cases: Sequence[Record]) -> list[tuple[Record, Mapping[str, Any]]]:
    return [(record, block) for record in cases for block in record.blocks]


def gradient_lines(cases: Sequence[Record]) -> tuple[Line, ...]:
    """Return one line for each gradient, in the order in which the fullest case has them."""
    fullest_first = sorted(cases, key=lambda record: -len(record.blocks))
    groups: dict[str, list[tuple[Record, Mapping[str, Any]]]] = {
        block["name"]: [] for _, block in gradients_of(fullest_first)
    }
    for record, block in gradients_of(cases):
        groups[block["name"]].append((record, block))
    return tuple(
        _line(name, rows, related=(equation for _, block in rows for equation in equations_of(block)))
        for name, rows in groups.items()
    )


def equation_lines(cases: Sequence[Record]) -> tuple[Line, ...]:
    """Return one line for each equation, in the order of their numbers."""
    groups: dict[str, list[tuple[Record, Mapping[str, Any]]]] = {}
    for record, block in _all_rows(cases):
        for equation in equations_of(block):
            groups.setdefault(equation, []).append((record, block))
    return tuple(
        _line(name, groups[name], related=(block["name"] for _, block in groups[name]))
        for name in sorted(groups, key=natural)
    )


def _line(name: str, rows: Sequence[tuple[Record, Mapping[str, Any]]], *, related: Iterable[str]) -> Line:
    verdicts = Counter(block["verdict"] or Verdict.INCONCLUSIVE.value for _, block in rows)
    entries = sum(block["compared"] for _, block in rows)
    record, block = max(rows, key=lambda row: rank(number(row[1]["max_relative_error"])))
    worst = number(block["max_relative_error"])
    return Line(
        name=name,
        verdict=_verdict_of_line(verdicts, entries),
        cases=len({id(record) for record, block in rows if block["compared"]}),
        entries=entries,
        worst_error=worst,
        worst_ratio=worst_of(number(block["tolerance_ratio"]) for _, block in rows),
        resolution=worst_of(number(block["resolution"]) for _, block in rows),
        worst_case="" if worst is None else record.name,
        verdicts=dict(sorted(verdicts.items())),
        related=tuple(sorted(set(related), key=natural)),
    )


def _verdict_of_line(verdicts: Mapping[str, int], entries: int) -> Verdict:
    for verdict in (Verdict.DISAGREES, Verdict.INCONCLUSIVE):
        if verdict.value in verdicts:
            return verdict
    if Verdict.AGREES.value in verdicts:
        return Verdict.AGREES if entries else Verdict.INCONCLUSIVE
    return Verdict.NOT_RETURNED


def errors_by_loss(lines: Sequence[Line], cases: Sequence[Record]) -> Grid:
    """Return the worst error of each gradient under each loss; an empty grid if no case names its loss."""
    worst: dict[tuple[str, str], float | None] = {}
    for record, block in gradients_of(cases):
        key = block["name"], label(record.case.get("loss"))
        worst[key] = worst_of((worst.get(key), number(block["max_relative_error"])))
    if all(loss == NOT_GIVEN for _, loss in worst):
        return _grid((), (), {})
    return _grid([line.name for line in lines], sorted({loss for _, loss in worst}), worst)


def cells_and_losses(cases: Sequence[Record]) -> Grid:
    """Return how many cases each pair of a cell and a loss was visited in."""
    pairs = Counter(
        (label(record.case.get("cell")), label(record.case.get("loss")))
        for record in cases
        if record.case.get("cell") or record.case.get("loss")
    )
    counts = {pair: float(count) for pair, count in pairs.items()}
    return _grid(sorted({cell for cell, _ in counts}), sorted({loss for _, loss in counts}), counts)


def _grid(rows: Sequence[str], columns: Sequence[str], values: Mapping[tuple[str, str], float | None]) -> Grid:
    table = tuple(tuple(values.get((row, column)) for column in columns) for row in rows)
    return Grid(rows=tuple(rows), columns=tuple(columns), values=table)


def regions(cases: Sequence[Record]) -> tuple[Region, ...]:
    """Return how often each region of the space of shapes was visited; none if no case gives its shape."""
    shapes = [{key: record.case.get(key) for key in "TBDH"} for record in cases]
    whole = [shape for shape in shapes if any(isinstance(size, int) for size in shape.values())]
    if not whole:
        return ()
    both = [(shape["D"], shape["H"]) for shape in whole if None not in (shape["D"], shape["H"])]
    steps = [shape["T"] for shape in whole if isinstance(shape["T"], (int, float))]
    return (
        Region("T = 1", sum(size == 1 for size in steps)),
        Region("T ≥ 5", sum(size >= 5 for size in steps)),
        Region("B = 1", sum(shape["B"] == 1 for shape in whole)),
        Region("D = H", sum(inputs == cells for inputs, cells in both)),
        Region("D ≠ H", sum(inputs != cells for inputs, cells in both)),
    )


def spreads(lines: Sequence[Line], cases: Sequence[Record]) -> tuple[Spread, ...]:
    """Return how the errors of each gradient are spread over all cases."""
    errors: dict[str, list[float]] = {line.name: [] for line in lines}
    for _, block in gradients_of(cases):
        error = number(block["max_relative_error"])
        if error is not None:
            errors[block["name"]].append(error)
    return tuple(_spread(line, errors[line.name]) for line in lines)


def _spread(line: Line, errors: Sequence[float]) -> Spread:
    sizes = [abs(error) for error in errors if math.isfinite(error)]
    bins = Counter(math.floor(5 * math.log10(size)) for size in sizes if size > 0)
    return Spread(
        name=line.name,
        verdict=line.verdict,
        worst=line.worst_error,
        resolution=line.resolution,
        exact=sizes.count(0.0),
        not_finite=len(errors) - len(sizes),
        bins=tuple(sorted(bins.items())),
    )


def failures(cases: Sequence[Record], verdict: Verdict, told: Mapping[str, str]) -> tuple[Failure, ...]:
    """Return the cases of that verdict, the smallest first, before them that which was looked for as such.

    ``told`` says what Hypothesis drew, by test.
    """
    found = [
        replace(failure, example=failure.example or (told.get(failure.test, "") if "example" in record.data else ""))
        for record in cases
        if verdict_of(record) is verdict
        for failure in [failure_of(record)]
    ]
    return tuple(sorted(found, key=lambda one: (not one.sought, math.inf if one.size is None else one.size)))


def finding_counts(records: Sequence[Record]) -> tuple[FindingCount, ...]:
    """Return the findings by kind, faults first and then the most frequent."""
    groups: dict[tuple[bool, str], list[tuple[Record, Mapping[str, Any]]]] = {}
    for record in records:
        for finding in record.findings:
            groups.setdefault((bool(finding["fault"]), finding["kind"]), []).append((record, finding))
    counts = [
        FindingCount(
            kind=kind,
            fault=fault,
            count=len(rows),
            cases=len({id(record) for record, _ in rows}),
            example=rows[0][1]["message"],
            example_case=rows[0][0].name,
        )
        for (fault, kind), rows in groups.items()
    ]
    return tuple(sorted(counts, key=lambda row: (not row.fault, -row.count, row.kind)))
