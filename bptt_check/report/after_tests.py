"""What a run of tests says about its gradients on the terminal, when it is over."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from bptt_check.report.model import Failure, Line, Summary
from bptt_check.report.tables import incomplete, verdict_advice
from bptt_check.report.tables_beside import causes_said
from bptt_check.report.text import clean, count, counted, figure, shorten
from bptt_check.results import Verdict

WORST = 5
CAUSES = 2  # of one case; the rest is in the report and above


def said_after_tests(summary: Summary, *, quiet: bool = False, width: int = 100) -> list[str]:
    """Return the lines: verdict, what is missing, the worst gradients, errors by decade, the failing cases.

    ``quiet`` leaves the verdict and what is wrong.
    """
    lines = [_head(summary)]
    if summary.verdict is not Verdict.AGREES:
        lines.append(f"  {verdict_advice(summary)}")
    if missing := incomplete(summary):
        lines.append(f"  {missing}")
    if not quiet:
        lines += [*_worst(summary.gradients), *_decades(summary)]
    failures = (*summary.disagreements, *summary.inconclusives)
    for failure in failures[:WORST]:
        lines.append(f"  {failure.verdict}  {clean(failure.name, limit=width - 18)}")
        for said in causes_said(failure.causes)[:CAUSES]:
            lines += textwrap.wrap(said.looks, width, initial_indent="    ", subsequent_indent="      ")
            lines += [f"      mend: {shorten(said.remedy, width - 12)}"] if said.remedy else []
        lines += [f"    {shorten(reason, width)}"] if (reason := _reason(failure)) else []
        lines += [f"    {clean(failure.reproduce, limit=1000)}"] if failure.reproduce else []
    if len(failures) > WORST:
        lines.append(f"  and {counted(len(failures) - WORST, 'more case')}, in the report")
    return [shorten(line, 1000).rstrip() for line in lines]


def _reason(failure: Failure) -> str:
    """What stands in the way of a verdict, or is known of one without a cause: in a line."""
    if failure.causes:
        return ""
    missing = [block.gradient for block in failure.blocks if block.verdict is Verdict.NOT_RETURNED]
    said = [f"not returned: {', '.join(missing)}"] if missing else []
    said += [*failure.findings[:1], failure.reason, *(f"{block.gradient}: {block.note}" for block in failure.blocks)]
    return clean(next(filter(None, said), ""), limit=200)


def _head(summary: Summary) -> str:
    said = f"{summary.verdict}  {counted(summary.cases, 'result')}"
    if summary.tests:
        said += f" of {counted(summary.tests.selected, 'test')}"
        said += f", {count(summary.tests.examples)} drawn by Hypothesis" if summary.tests.examples else ""
    said += f"; {counted(summary.compared, 'entry', 'entries')} compared"
    if summary.resolution and summary.resolution < 1:
        said += f"; an error of {figure(summary.resolution)} would have been seen everywhere"
    return said


def _worst(lines: Sequence[Line]) -> list[str]:
    rated = sorted((line for line in lines if line.worst_ratio is not None), key=_ratio, reverse=True)
    named = [
        f"{clean(line.name, limit=24)} {figure(line.worst_error)} ({figure(line.worst_ratio)})"
        for line in rated[:WORST]
    ]
    return [f"  worst errors (in units of what rounding allows): {', '.join(named)}"] if named else []


def _ratio(line: Line) -> float:
    ratio = line.worst_ratio or 0.0
    return float("inf") if ratio != ratio else ratio


def _decades(summary: Summary) -> list[str]:
    decades: Counter[int] = Counter()
    for spread in summary.spreads:
        for fifth, number in spread.bins:
            decades[fifth // 5] += number
    exact = sum(spread.exact for spread in summary.spreads)
    odd = sum(spread.not_finite for spread in summary.spreads)
    parts = [f"0: {count(exact)}"] if exact else []
    parts += [f"1e{decade}: {count(number)}" for decade, number in sorted(decades.items())]
    parts += [f"not finite: {count(odd)}"] if odd else []
    return [f"  relative errors by decade: {', '.join(parts)}"] if parts else []
