"""What would decide a check that is left open: a finding that says what stood in the way, and what to change."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10

from bptt_check.bench import Bench
from bptt_check.results import Block, Finding, Verdict
from bptt_check.subject import Subject

COARSEST = 0.1  # a resolution beyond this is worth nobody's asking
MARGIN = 1.5  # how much coarser a resolution is asked for than was seen: the next run sees a little less or more


def left_open(bench: Bench, blocks: Mapping[str, Block], asked: float) -> tuple[Finding, ...]:
    """The finding, where some blocks are INCONCLUSIVE and none is wrong; ``asked``: the resolution asked for."""
    verdicts = {block.verdict for block in blocks.values()}
    if Verdict.INCONCLUSIVE not in verdicts or Verdict.DISAGREES in verdicts:
        return ()
    names = [name for name, block in blocks.items() if block.verdict is Verdict.INCONCLUSIVE]
    stands, ways = _ways(bench.subject, bench)
    would_do = _resolution([blocks[name] for name in names], asked)
    ways += [f"resolution={would_do:.0e}, which is about what was seen"] if would_do else []
    message = (
        f"nothing was found wrong in {', '.join(names)}, but an error of {asked:.0e} of an entry would not have been "
        f"seen in each of them: {stands}. What would decide it: {'; or '.join(ways)}"
    )
    return (Finding("left-open", message),)


def _ways(subject: Subject, bench: Bench) -> tuple[str, list[str]]:
    """What stands in the way, and what to do about it."""
    reference = bench.reference
    if reference.exact:
        kind = subject.precision or "float64" if bench.eps < 1e-10 else "float32"
        return f"the gradient rounds by more than that in {kind}", [
            "a point where fewer gates saturate and fewer terms cancel",
            "the same code with more digits (float64 for float32; no casts in between)",
        ]
    noise = f", rounded to {reference.noise:.1g}" if reference.noise else ""
    return f"only real differences of the loss work here, which is {bench.size:.3g}{noise}", [
        "a loss without large constants, and without terms that cancel",
        "a forward pass that carries complex numbers",
        "a point where these gradients are larger",
    ]


def _resolution(blocks: list[Block], asked: float) -> float | None:
    """The resolution at which they would agree, rounded up to one digit; ``None`` where it would say nothing."""
    seen = [block.resolution for block in blocks]
    if any(resolution is None or not resolution > asked for resolution in seen):
        return None
    coarsest = MARGIN * max(resolution for resolution in seen if resolution is not None)
    unit = 10.0 ** floor(log10(coarsest))
    rounded = unit * ceil(coarsest / unit)
    return rounded if rounded <= COARSEST else None
