"""The loop over time that begins too late or ends too early: one step is left out of everything."""

from __future__ import annotations

from bptt_check.faults.fault import ALL, Edit, Names, Way

_OF_A_STEP = "dx|d[hsifo]_next|d[Wbp]_.*"


def _left_out(step: str, still: str, carried: str) -> Edit:
    """A step adds nothing and hands on ``carried``: what arrived there, or nothing."""

    def edit(code: str, names: Names) -> str:
        if names.target.endswith("_next"):
            return f"{carried.format(names.target)} if t == {step} else {code}"
        return f"(t {still} {step}) * ({code})"

    return edit


LOOPS = (
    Way(
        "loop-without-first-step",
        _OF_A_STEP,
        _left_out("1", ">", "{}"),
        "step 1 is left out of the loop: nothing of it is added up, and what reaches it is handed on as it is",
        "range(T - 1, 0, -1) ends before 0, often because step 0 has no step before it",
        (ALL,),
        equation="B5",
        common=True,
    ),
    Way(
        "loop-without-last-step",
        _OF_A_STEP,
        _left_out("T", "<", "0 * {}"),
        "step T is left out of the loop: nothing of it is added up or handed back",
        "range(T - 2, -1, -1) begins at the last step but one, often for the sake of t + 1",
        (ALL,),
        equation="B5",
        common=True,
    ),
)
