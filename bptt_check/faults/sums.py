"""B5, B6: the gradients of weights and biases as sums over steps and sequences."""

from __future__ import annotations

from dataclasses import replace

from bptt_check.faults.edits import only_where, other_than, swap_text, whole
from bptt_check.faults.fault import ALL, GATE, LINE, SOURCE, Edit, Names, Way

EACH = (LINE, ALL)
EVERYWHERE = (ALL, SOURCE, GATE, LINE)
_SUM, _MATRIX = "d[Wbp]_.*", "dW_.*"


def _exchanged(a: str, b: str) -> Edit:
    """Gate b's derivative in the sums of gate a, and the other way round."""

    def edit(code: str, names: Names) -> str | None:
        if not {a, b} <= set(names.cell.blocks):
            return None
        other = b if names.k == a else a
        return code.replace(f"dz_{names.k}", f"dz_{other}")

    return edit


def of_sequence(which: int) -> Edit:
    """One sequence of the batch alone."""
    rows = "[:1]" if which == 0 else "[-1:]"

    def edit(code: str, names: Names) -> str:
        if code.endswith(".sum(axis=0)"):
            return f"{code.removesuffix('.sum(axis=0)')}[{which}]"
        derivative, _, seen = code.partition(".T @ ")
        return f"{derivative}{rows}.T @ {seen}{rows}"

    return edit


SUMS = (
    Way(
        "sum-over-time-assigned",
        _SUM,
        whole("(t == 1) * {code}"),
        "{target} holds the first step alone",
        "= for += inside the loop: what is left is the step that was computed last, t = 1",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-over-time-last-only",
        _SUM,
        whole("(t == T) * {code}"),
        "{target} holds the last step alone",
        "computed once, before the loop or outside of it",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-without-first-step",
        _SUM,
        whole("(t > 1) * {code}"),
        "{target} lacks step 1",
        "the loop ends one step early: range(T-1, 0, -1)",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-without-last-step",
        _SUM,
        whole("(t < T) * {code}"),
        "{target} lacks step T",
        "the loop begins one step late",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-as-mean-over-time",
        _SUM,
        whole("{code} / T"),
        "{target} is divided by T",
        "a mean where the loss is a sum",
        EVERYWHERE,
    ),
    Way(
        "sum-as-mean-over-batch",
        _SUM,
        whole("{code} / B"),
        "{target} is divided by the batch size",
        "a mean where the loss is a sum",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-twice",
        _SUM,
        whole("2 * {code}"),
        "{target} is twice the right value",
        "added in the step and again by the caller",
        EVERYWHERE,
    ),
    Way(
        "sum-halved",
        _SUM,
        whole("{code} / 2"),
        "{target} is half of the right value",
        "a factor ½ of the loss",
        EVERYWHERE,
    ),
    Way(
        "sum-of-running-sums",
        _SUM,
        whole("t * {code}"),
        "{target} counts step t not once but t times",
        "at every step of the loop the sum of all steps so far is added again",
        (ALL, LINE),
    ),
    Way(
        "sum-sign",
        _SUM,
        whole("-{code}"),
        "{target} has the wrong sign",
        "the step of descent in the gradient",
        EVERYWHERE,
    ),
    Way(
        "sum-forgotten",
        _SUM,
        whole("0 * {code}"),
        "{target} is never computed",
        "left at zero",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-starts-at-one",
        _SUM,
        whole("{code} + (t == T)"),
        "{target} starts from ones in place of zeros",
        "ones_like for zeros_like, or memory that was never cleared",
        (LINE, ALL),
    ),
    Way(
        "sum-starts-at-weight",
        _SUM,
        lambda code, names: f"{code} + (t == T) * {names.target[1:]}",
        "{target} starts from the weight itself in place of zeros",
        "the accumulator is a copy of the weight, or weight decay",
        (LINE, ALL),
    ),
    Way(
        "sum-without-slope",
        _SUM,
        only_where(swap_text("dz_{k}", "d{k}"), lambda n: n.k != "g" or n.cell.input_activation == "tanh"),
        "{target} uses d{k} where dz_{k} belongs",
        "the slope of the activation is applied on the way back, not here",
        EVERYWHERE,
        common=True,
    ),
    Way(
        "sum-of-step-after",
        _SUM,
        swap_text("dz_{k}", "dz_{k}_later"),
        "{target} uses dz_{k}(t+1) at step t",
        "an index off by one between derivative and input",
        EVERYWHERE,
    ),
    *(
        Way(
            f"sum-of-gate-{other}",
            _SUM,
            only_where(swap_text("dz_{k}", f"dz_{other}"), other_than(other)),
            f"{{target}} uses dz_{other}",
            "copied from the line above",
            (LINE, GATE),
        )
        for other in "gifo"
    ),
    *(
        Way(
            f"sums-of-{a}-and-{b}-swapped",
            f"d[Wbp]_[{a}{b}].?",
            _exchanged(a, b),
            f"the gradients of gates {a} and {b} change places",
            "gates packed in one order and unpacked in another",
            (ALL,),
            common=True,
        )
        for a, b in (("g", "i"), ("g", "f"), ("g", "o"), ("i", "f"), ("i", "o"), ("f", "o"))
    ),
    Way(
        "bias-as-mean",
        "db_.",
        swap_text(".sum(axis=0)", ".mean(axis=0)"),
        "{target} is a mean over the batch",
        "a mean where the loss is a sum",
        EACH,
        common=True,
    ),
    *(
        Way(
            f"sum-of-{which}-sequence",
            _SUM,
            of_sequence(k),
            f"{{target}} takes the {which} sequence of the batch alone",
            "written for one sequence, or = for += over the batch",
            EVERYWHERE,
            common=True,
        )
        for which, k in (("first", 0), ("last", -1))
    ),
    Way(
        "sum-assigned-throughout",
        _SUM,
        lambda code, names: f"(t == 1) * ({of_sequence(-1)(code, names)})",
        "{target} holds the first step of the last sequence alone",
        "= for +=, in a loop over sequences and one over time: what was computed last is left",
        EVERYWHERE,
        common=True,
    ),
)

OF_WEIGHTS = tuple(  # the same in the matrices alone, their biases being right
    replace(way, id=f"{way.id}-of-weights", targets=_MATRIX, at_once=(ALL, GATE)) for way in SUMS if way.targets == _SUM
)
OF_BIASES = tuple(  # and in the biases alone
    replace(way, id=f"{way.id}-of-biases", targets="db_.", at_once=(ALL,)) for way in SUMS if way.targets == _SUM
)
