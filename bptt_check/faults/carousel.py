"""B8: what the memory hands back to the step before."""

from __future__ import annotations

import re

from bptt_check.faults.edits import has, only_where, swap_text, whole, without
from bptt_check.faults.fault import Way
from bptt_check.lstm.variants import Gate

_FACTORS = (
    ("i[t]", "i(t)", "a name taken for another"),
    ("o[t]", "o(t)", "a name taken for another"),
    ("g[t]", "g(t)", "a name taken for another"),
    ("(1 - f[t])", "1 − f(t)", "the form of a GRU"),
    ("f[max(t-1, 1)]", "f(t−1)", "an index off by one"),
    ("f[t-1 or T]", "f(t−1), and f(T) at t = 1,", "an index off by one; −1 is the last element of a list"),
    ("f[min(t+1, T)]", "f(t+1)", "an index off by one: f of the step that hands back, or of the one it is handed to"),
    ("s[t]", "s(t)", "the other factor of the product"),
)

CAROUSEL = (
    Way(
        "ds-next-dropped",
        "ds_next",
        whole("0 * ds"),
        "nothing is handed back to s(t−1)",
        "ds is local to the loop",
        common=True,
    ),
    Way(
        "ds-next-without-f",
        "ds_next",
        swap_text("ds * f[t]", "ds"),
        "ds_next lacks the forget gate",
        "the memory is taken to be a plain sum",
        common=True,
    ),
    *(
        Way(
            f"ds-next-from-{_short}",
            "ds_next",
            only_where(
                swap_text("ds * f[t]", f"ds * {wrong}"),
                has(wrong[0] if wrong[0] in "io" else ""),
            ),
            f"ds_next uses {said} where f(t) belongs",
            why,
            common="t+1" in wrong,
        )
        for (wrong, said, why), _short in zip(
            _FACTORS, ("i", "o", "g", "one-minus-f", "f-before", "f-before-wrapping", "f-after", "s"), strict=True
        )
    ),
    Way(
        "ds-next-of-carry-alone",
        "ds_next",
        swap_text("ds * f[t]", "ds_next * f[t]"),
        "ds_next carries only what came from later steps",
        "this step's own part of ds is left out",
    ),
    Way(
        "ds-next-of-step-alone",
        "ds_next",
        swap_text("ds * f[t]", "(ds - ds_next) * f[t]"),
        "ds_next carries only this step's own part of ds",
        "ds is handed on before the carry is added to it",
        common=True,
    ),
    Way(
        "ds-next-of-dh",
        "ds_next",
        swap_text("ds * f[t]", "dh * f[t]"),
        "ds_next starts from dh where ds belongs",
        "one derivative for both states",
    ),
    Way(
        "ds-next-open-of-dh",
        "ds_next",
        only_where(swap_text("ds", "dh"), lambda n: n.cell.forget_gate is Gate.OPEN),
        "ds_next starts from dh where ds belongs",
        "one derivative for both states",
    ),
    Way(
        "ds-next-f-twice",
        "ds_next",
        swap_text("ds * f[t]", "ds * f[t]**2"),
        "ds_next has f(t) twice",
        "multiplied where it is handed back, and where it is taken",
    ),
    *(
        Way(
            f"ds-next-peephole-of-{k}-forgotten",
            "ds_next",
            without(rf"p_{k} \* dz_{k}"),
            f"ds_next lacks what gate {k} sees of s(t−1)",
            "the peephole is a path back through time",
            equation="B8p",
            common=True,
        )
        for k in "if"
    ),
    Way(
        "ds-next-peepholes-forgotten",
        "ds_next",
        only_where(
            lambda code, n: code.replace(" + p_i * dz_i", "").replace(" + p_f * dz_f", ""),
            lambda n: {"i", "f"} <= set(n.cell.peepholed),
        ),
        "ds_next lacks what the gates see of s(t−1)",
        "the peepholes are a path back through time",
        equation="B8p",
        common=True,
    ),
    *(
        Way(
            f"ds-next-peephole-of-d{k}",
            "ds_next",
            swap_text(f"p_{k} * dz_{k}", f"p_{k} * d{k}"),
            f"the peephole term of {k} in ds_next has d{k} where dz_{k} belongs",
            "the slope of the gate is forgotten",
            equation="B8p",
        )
        for k in "if"
    ),
    *(
        Way(
            f"ds-next-peephole-of-{k}-late",
            "ds_next",
            swap_text(f"p_{k} * dz_{k}", f"p_{k} * dz_{k}_later"),
            f"the peephole term of {k} in ds_next is that of step t+1",
            "added to ds(t) in place of ds(t−1)",
            equation="B8p",
        )
        for k in "if"
    ),
    Way(
        "ds-next-peepholes-swapped",
        "ds_next",
        swap_text("p_i * dz_i + p_f * dz_f", "p_f * dz_i + p_i * dz_f"),
        "the peephole weights of i and f change places in ds_next",
        "a name taken for another",
        equation="B8p",
    ),
    Way(
        "ds-next-peephole-of-o-too",
        "ds_next",
        only_where(whole("{code} + p_o * dz_o"), lambda n: "o" in n.cell.peepholed),
        "ds_next has the peephole of o, which sees s(t), not s(t−1)",
        "one line for all three peepholes",
        equation="B8p",
        common=True,
    ),
    *(
        Way(
            f"ds-next-matrix-of-{k}-forgotten",
            "ds_next",
            without(rf"dz_{k} @ W_{k}s"),
            f"ds_next lacks what gate {k} sees of s(t−1)",
            "a gate left out of the sum",
            equation="B8s",
        )
        for k in "ifo"
    ),
    Way(
        "ds-next-matrices-forgotten",
        "ds_next",
        only_where(lambda code, n: code.partition(" + dz_i @")[0], lambda n: n.cell.feedback == "s"),
        "ds_next lacks what the gates see of s(t−1)",
        "the memory is an input of the gates",
        equation="B8s",
        common=True,
    ),
    Way(
        "ds-next-matrices-transposed",
        "ds_next",
        lambda code, n: re.sub(r"(W_.s)", r"\1.T", code),
        "ds_next has the matrices W_ks transposed",
        "dz W, not dz Wᵀ, where z = s Wᵀ",
        equation="B8s",
    ),
)
