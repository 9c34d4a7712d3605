"""B3, B4: the derivatives of candidate and gates, and through their activations."""

from __future__ import annotations

from bptt_check.faults.edits import each_own, only_where, swap_text, whole, without
from bptt_check.faults.fault import ALL, LINE, Names, Way

EACH = (LINE, ALL)


def _carries_h(names: Names) -> bool:
    return names.cell.feedback == "h"


_WRONG = {  # what is written in the place of the factor of each gate's derivative
    "do": ("tanh(s[t])", ("s[t]", "h[t]", "tanh(s[t-1])", "s[t-1]", "o[t]", "g[t]", "(1 - tanh(s[t])**2)")),
    "do ": ("s[t]", ("tanh(s[t])", "h[t]", "s[t-1]", "h[t-1]", "o[t]", "g[t]")),
    "df": (
        "s[t-1]",
        (
            "s[t]",
            "h[t-1]",
            "s[max(t-2, 0)]",
            "s[t-1 or T]",
            "s[(t > 1) * t]",
            "s[0]",
            "(t > 1) * s[t-1]",
            "tanh(s[t-1])",
            "f[t]",
            "g[t]",
            "i[t]",
            "h[t]",
        ),
    ),
    "di": ("g[t]", ("i[t]", "z_g[t]", "s[t]", "s[t-1]", "g[max(t-1, 1)]", "f[t]", "o[t]", "h[t]")),
    "dg": ("i[t]", ("g[t]", "f[t]", "o[t]", "i[max(t-1, 1)]", "s[t]", "s[t-1]")),
}
_BECAUSE = {
    ("df", "s[t]"): "the memory is overwritten by its new value before the backward pass reads it",
    ("df", "h[t-1]"): "the output of the step before in the place of its memory",
    ("df", "s[t-1 or T]"): "without a slot for step 0, index −1 is the last element",
    ("df", "(t > 1) * s[t-1]"): "the initial memory is taken to be zero",
    ("df", "s[(t > 1) * t]"): "no slot for s(0): the first step is written apart, the others are off by one",
    ("df", "s[0]"): "the previous memory is never updated",
    ("df", "s[max(t-2, 0)]"): "an index off by one",
    ("do", "s[t]"): "derived for a(s) = s, used with a(s) = tanh(s)",
    ("do", "h[t]"): "h is taken for tanh(s); it is o ⊙ tanh(s)",
    ("do ", "tanh(s[t])"): "derived for a(s) = tanh(s), used with a(s) = s",
    ("do ", "h[t]"): "h is taken for s; it is o ⊙ s",
}
_RARER = {("df", "s[max(t-2, 0)]"), ("do", "h[t]"), ("do ", "h[t]")}
_NAMES = {  # of factors that are more than an array at a step
    "s[t-1 or T]": ("s-wrapping", "s(t−1), which at t = 1 is s(T),"),
    "(t > 1) * s[t-1]": ("s-initial-zero", "s(t−1), but 0 for s(0),"),
    "s[(t > 1) * t]": ("s-after-first-step", "s(t), from t = 2 on,"),
    "s[0]": ("s-initial", "s(0)"),
    "s[max(t-2, 0)]": ("s-two-before", "s(t−2)"),
    "g[max(t-1, 1)]": ("g-before", "g(t−1)"),
    "i[max(t-1, 1)]": ("i-before", "i(t−1)"),
    "(1 - tanh(s[t])**2)": ("slope", "1 − tanh²(s(t))"),
    "tanh(s[t])": ("tanh-s", "tanh(s(t))"),
    "tanh(s[t-1])": ("tanh-s-before", "tanh(s(t−1))"),
}


def _short(code: str) -> str:
    """A factor as part of a fault's name."""
    return _NAMES[code][0] if code in _NAMES else code[0] + "-before" * code.endswith("[t-1]")


def _paper(code: str) -> str:
    """A factor as on paper: s[t-1] is s(t−1)."""
    return _NAMES[code][1] if code in _NAMES else code.replace("[t-1]", "(t−1)").replace("[t]", "(t)")


def _otherwise(right: str, wrong: str) -> str:
    """Why the one is written for the other, where nothing more is known of it."""
    return "an index off by one" if "-1" in wrong and wrong[0] == right[0] else "a name taken for another"


GATES = (
    *(
        Way(
            f"{target.strip()}-from-{_short(wrong)}" + "-without-tanh" * target.endswith(" "),
            target.strip(),
            swap_text(right + " *", wrong + " *"),
            f"{target.strip()} uses {_paper(wrong)} where {_paper(right)} belongs",
            _BECAUSE.get((target, wrong)) or _otherwise(right, wrong),
            common=(target, wrong) in _BECAUSE and (target, wrong) not in _RARER,
        )
        for target, (right, wrongs) in _WRONG.items()
        for wrong in wrongs
        if wrong != "z_g[t]"
    ),
    Way(
        "di-from-z-g",
        "di",
        only_where(swap_text("g[t] *", "z_g[t] *"), lambda n: n.cell.input_activation == "tanh"),
        "di uses z_g(t) where g(t) belongs",
        "the pre-activation in the place of the activation",
    ),
    Way(
        "df-from-s-two-before-wrapping",
        "df",
        swap_text("s[t-1]", "s[t-2]"),
        "df uses s(t−2), which at t = 1 is s(T), where s(t−1) belongs",
        "an index off by one; −1 is the last element of a list",
    ),
    Way(
        "gate-from-dh",
        "d[fig]",
        swap_text("* ds", "* dh"),
        "{target} starts from dh where ds belongs",
        "i, f and g act on s(t), and only through it on h(t)",
        EACH,
        common=True,
    ),
    Way(
        "do-from-ds",
        "do",
        only_where(swap_text("* dh", "* ds"), lambda n: "o" not in n.cell.peepholed),
        "do starts from ds where dh belongs",
        "o acts on h(t), not on the memory",
        common=True,
    ),
    Way(
        "do-from-loss-of-step",
        "do",
        only_where(swap_text("* dh", "* dl[t]"), _carries_h),
        "do starts from ∂l(t)/∂h(t) in place of dh(t)",
        "the carry is added after do has been computed",
        common=True,
    ),
    Way(
        "do-with-slope",
        "do",
        swap_text("tanh(s[t]) * dh", "tanh(s[t]) * (1 - tanh(s[t])**2) * dh"),
        "do has the output slope, which belongs to ds alone",
        "one product for both factors of h(t)",
    ),
    Way(
        "di-and-dg-swapped",
        "di|dg",
        each_own({"di": swap_text("g[t] * ", "i[t] * "), "dg": swap_text("i[t] * ", "g[t] * ")}),
        "the factors of di and dg change places",
        "the product rule with the wrong factor kept",
        (ALL,),
        common=True,
    ),
    Way(
        "di-and-df-swapped",
        "di|df",
        only_where(
            each_own({"di": swap_text("g[t] * ", "s[t-1] * "), "df": swap_text("s[t-1] * ", "g[t] * ")}),
            lambda n: {"i", "f"} <= set(n.cell.gates),
        ),
        "the factors of di and df change places",
        "gates in another order",
        (ALL,),
    ),
    Way("gate-sign", "d[fio]", whole("-{code}"), "{target} has the wrong sign", "a slip"),
    Way(
        "di-coupled-forgotten",
        "di",
        swap_text(" - df", ""),
        "di lacks −s(t−1) ⊙ ds, what the coupled gate f = 1 − i brings",
        "f depends on i: one weight, two paths",
        equation="B3c",
        common=True,
    ),
    Way(
        "di-coupled-sign",
        "di",
        swap_text(" - df", " + df"),
        "the coupled gate enters di with the wrong sign",
        "f = 1 − i has the slope −1",
        equation="B3c",
        common=True,
    ),
    Way(
        "di-coupled-alone",
        "di",
        swap_text("g[t] * ds - df", "-df"),
        "di lacks g(t) ⊙ ds and has the coupled part alone",
        "assigned in place of added",
        equation="B3c",
    ),
    Way(
        "gate-of-step-after-forgotten",
        "d[ifo]",
        without("d{k}_next"),
        "{target} takes nothing from the gates of step t+1",
        "the gates of the step before are inputs like any other",
        EACH,
        "B7r",
        common=True,
    ),
)
