"""B7, B9: what the blocks saw, one step back, and the states of step 0."""

from __future__ import annotations

import re

from bptt_check.faults.edits import becomes, only_where, slopes, swap_text, transposed, whole, without
from bptt_check.faults.fault import ALL, LINE, Edit, Names, Way

EACH = (LINE, ALL)


def _term_alone(k: str) -> Edit:
    def edit(code: str, names: Names) -> str | None:
        terms = code.split(" + ")
        kept = [term for term in terms if term.startswith(f"dz_{k} ")]
        return kept[0] if kept and len(terms) > 1 else None

    return edit


def _matrices_exchanged(a: str, b: str) -> Edit:
    def edit(code: str, names: Names) -> str | None:
        if f"W_{a}" not in code or f"W_{b}" not in code:
            return None
        return code.replace(f"W_{a}", "W_·").replace(f"W_{b}", f"W_{a}").replace("W_·", f"W_{b}")

    return edit


def _columns_of(first: str, second: str) -> Edit:
    """What is cut out of d[first, second] where it is taken for d[second, first]."""

    def edit(code: str, names: Names) -> str | None:
        if names.cell.feedback != "h":
            return None
        side_by_side = ", ".join(re.sub(r"W_(.)[xh]", rf"W_\1{j}", code) for j in (first, second))
        own, width = {"dx": ("x", "D"), "dh_next": ("h", "H")}[names.target]
        return f"hstack(({side_by_side}))[:, {f':{width}' if own == second else f'-{width}:'}]"

    return edit


def _a_column_off(first: str, second: str) -> Edit:
    """What is cut out of d[first, second] one column beside its place."""

    def edit(code: str, names: Names) -> str | None:
        own = "x" if names.target == "dx" else "h"
        if names.cell.feedback != "h":
            return None
        parts = {j: re.sub(r"W_(.)[xh]", rf"W_\1{j}", code) for j in (first, second)}
        width = {"x": "D", "h": "H"}
        cut = f"1:{width[own]} + 1" if own == first else f"{width[first]} - 1:-1"
        return f"hstack(({parts[first]}, {parts[second]}))[:, {cut}]"

    return edit


_BACK = "dx|d[hifo]_next"
SEEN = (
    *(
        Way(
            f"back-without-{k}",
            _BACK,
            without(rf"dz_{k} @ W_{k}."),
            f"{{target}} lacks the part of {k}",
            "a gate left out of the sum",
            EACH,
            common=True,
        )
        for k in "gifo"
    ),
    *(
        Way(
            f"back-of-{k}-alone",
            _BACK,
            _term_alone(k),
            f"{{target}} holds the part of {k} alone",
            "= for += over the gates",
            EACH,
            common=k in "go",
        )
        for k in "gifo"
    ),
    Way(
        "back-transposed",
        "d[hifo]_next",
        transposed("W_.."),
        "{target} has the matrices transposed",
        "dz W, not dz Wᵀ, where z = h Wᵀ",
        EACH,
        common=True,
    ),
    *(
        Way(
            f"back-transposed-{k}",
            "d[hifo]_next",
            transposed(f"W_{k}."),
            f"{{target}} has the matrix of {k} transposed",
            "dz W, not dz Wᵀ, where z = h Wᵀ",
        )
        for k in "gifo"
    ),
    Way(
        "back-without-slopes",
        _BACK,
        lambda code, names: re.sub(r"dz_(.) @", r"d\1 @", code),
        "{target} uses the derivatives of the gates where those of their pre-activations belong",
        "the slopes are applied to the weights only",
        EACH,
        common=True,
    ),
    *(
        Way(
            f"back-without-slope-of-{k}",
            _BACK,
            only_where(swap_text(f"dz_{k} @", f"d{k} @"), slopes(k)),
            f"{{target}} uses d{k} where dz_{k} belongs",
            "the slope of the gate is forgotten on this path",
            EACH,
        )
        for k in "gifo"
    ),
    *(
        Way(
            f"back-matrices-of-{a}-and-{b}-swapped",
            _BACK,
            _matrices_exchanged(a, b),
            f"{{target}} has the matrices of {a} and {b} swapped",
            "gates in another order",
            EACH,
        )
        for a, b in (("g", "i"), ("g", "f"), ("g", "o"), ("i", "f"), ("i", "o"), ("f", "o"))
    ),
    Way(
        "dx-forgotten",
        "dx",
        whole("0 * ({code})"),
        "dx is never computed",
        "nobody asks for it in a single layer",
        common=True,
    ),
    *(
        Way(
            f"columns-of-{first}-{second}",
            "dx|dh_next",
            _columns_of(first, second),
            f"{{target}} holds the wrong columns of d[{first}, {second}]",
            "x and h stand side by side, and are cut apart in the other order",
            EACH,
            common=True,
        )
        for first, second in (("x", "h"), ("h", "x"))
    ),
    *(
        Way(
            f"column-off-in-{first}-{second}",
            "dx|dh_next",
            _a_column_off(first, second),
            f"{{target}} is cut out of d[{first}, {second}] one column beside its place",
            "a column of ones for the bias is counted, or is not",
            EACH,
        )
        for first, second in (("x", "h"), ("h", "x"))
    ),
    Way(
        "dx-last-step-only",
        "dx",
        whole("(t == T) * ({code})"),
        "dx is zero but for the last step",
        "computed outside the loop",
    ),
    Way("dx-sign", "dx", whole("-({code})"), "dx has the wrong sign", "a slip"),
    Way("dx-twice", "dx", whole("2 * ({code})"), "dx is twice the right value", "two biases, two inputs: added twice"),
    Way(
        "dh-next-dropped",
        "dh_next",
        whole("0 * dh"),
        "nothing is handed back to h(t−1)",
        "dh is local to the loop",
        common=True,
    ),
    Way("dh-next-sign", "dh_next", whole("-({code})"), "dh_next has the wrong sign", "a slip"),
    Way(
        "dh-next-of-dh",
        "dh_next",
        whole("{code} + dh"),
        "dh_next holds dh of this step too",
        "+= on the variable that dh was read from",
    ),
    Way(
        "dh-next-of-loss",
        "dh_next",
        whole("{code} + dl[t]"),
        "the loss derivative of step t is handed back to step t−1",
        "the loss derivative is added to the carry",
        common=True,
    ),
    Way(
        "gates-next-dropped",
        "d[ifo]_next",
        whole("0 * dh"),
        "{target} is dropped",
        "the gates of the step before are inputs like any other",
        EACH,
        common=True,
    ),
)


def _handed_back(names: Names) -> bool:
    return names.target != "dh0" or names.cell.feedback == "h"


ENDS = (
    Way(
        "initial-of-step-one",
        "dh0|ds0",
        becomes({"dh0": "dh", "ds0": "ds"}),
        "{target} holds the derivative at step 1, not at step 0",
        "what the last turn of the loop computed, before it was handed on",
        EACH,
        common=True,
    ),
    Way(
        "initial-forgotten",
        "d[hsifo]0",
        only_where(whole("0 * {code}"), _handed_back),
        "{target} is never computed",
        "the initial state is taken to be fixed",
        EACH,
        common=True,
    ),
    Way(
        "initial-states-swapped",
        "dh0|ds0",
        only_where(becomes({"dh0": "ds_next", "ds0": "dh_next"}), lambda n: n.cell.feedback == "h"),
        "dh0 and ds0 change places",
        "two states, two orders",
        (ALL,),
    ),
    Way("initial-of-loss", "dh0", whole("{code} + dl[1]"), "dh0 has a loss derivative added", "h(0) is no output"),
    Way(
        "initial-of-last-loss",
        "dh0",
        whole("{code} + dl[T]"),
        "dh0 has the loss derivative of step T added",
        "h(0) is no output; −1 is the last element of a list",
    ),
    Way(
        "initial-sign",
        "d[hs]0",
        only_where(whole("-{code}"), _handed_back),
        "{target} has the wrong sign",
        "a slip",
        EACH,
    ),
)
