"""B2, B8: the derivative of the memory, and what it hands back."""

from __future__ import annotations

from bptt_check.faults.edits import has, only_where, swap_text, without
from bptt_check.faults.fault import Names, Way
from bptt_check.lstm.variants import Gate


def _first_order(names: Names) -> bool:
    return names.cell.output_activation == "tanh"


def _carries_h(names: Names) -> bool:
    return names.cell.feedback == "h"


def _forgets(names: Names) -> bool:
    return names.cell.forget_gate is not Gate.OPEN


MEMORY = (
    Way(
        "ds-carry-dropped",
        "ds",
        without("ds_next"),
        "ds(t) takes nothing from step t+1",
        "the memory's own path through time, s(t) → s(t+1), is forgotten; only the one through h is followed",
        common=True,
    ),
    Way(
        "ds-output-slope-forgotten",
        "ds",
        swap_text("(1 - tanh(s[t])**2) * ", ""),
        "ds(t) lacks the slope of the output activation, 1 − tanh²(s)",
        "derived for a(s) = s, used with a(s) = tanh(s)",
        common=True,
    ),
    Way(
        "ds-slope-of-tanh-twice",
        "ds",
        swap_text("tanh(s[t])**2", "tanh(tanh(s[t]))**2"),
        "the output slope is taken at tanh(s) in place of s",
        "a helper that wants the input is given the output, and applies tanh once more",
        common=True,
    ),
    Way(
        "ds-slope-from-s",
        "ds",
        swap_text("tanh(s[t])**2", "s[t]**2"),
        "the output slope is 1 − s² in place of 1 − tanh²(s)",
        "a helper that wants the output, 1 − y², is given the input",
        common=True,
    ),
    Way(
        "ds-slope-from-h",
        "ds",
        only_where(swap_text("tanh(s[t])**2", "h[t]**2"), lambda n: "o" in n.cell.gates),
        "the output slope is 1 − h² in place of 1 − tanh²(s)",
        "h is taken for tanh(s); it is o ⊙ tanh(s)",
        common=True,
    ),
    Way(
        "ds-slope-unsquared",
        "ds",
        swap_text("tanh(s[t])**2", "tanh(s[t])"),
        "the output slope lacks its square",
        "a slip",
    ),
    Way(
        "ds-slope-applied-twice",
        "ds",
        swap_text("(1 - tanh(s[t])**2)", "(1 - tanh(s[t])**2)**2"),
        "the output slope is applied twice",
        "once in the helper, once where it is called",
    ),
    Way(
        "ds-slope-is-tanh",
        "ds",
        swap_text("(1 - tanh(s[t])**2)", "tanh(s[t])"),
        "ds(t) has tanh(s) where its slope belongs",
        "the function in the place of its derivative",
    ),
    Way(
        "ds-slope-logistic",
        "ds",
        swap_text("(1 - tanh(s[t])**2)", "tanh(s[t]) * (1 - tanh(s[t]))"),
        "the output slope is that of the logistic function",
        "one helper for all activations",
    ),
    Way(
        "ds-slope-at-step-before",
        "ds",
        swap_text("tanh(s[t])**2", "tanh(s[t-1])**2"),
        "the output slope is taken at s(t−1)",
        "an index off by one",
        common=False,
    ),
    Way(
        "ds-slope-not-there",
        "ds",
        only_where(swap_text("dh + ds_next", "(1 - tanh(s[t])**2) * dh + ds_next"), lambda n: not _first_order(n)),
        "ds(t) has the slope of a tanh that the forward pass does not have",
        "derived for a(s) = tanh(s), used with a(s) = s",
        common=True,
    ),
    Way(
        "ds-carry-inside-slope",
        "ds",
        swap_text("(1 - tanh(s[t])**2) * dh + ds_next", "(1 - tanh(s[t])**2) * (dh + ds_next)"),
        "ds_next is added before the output slope and gate are applied",
        "the carry is added to the wrong derivative",
        common=True,
    ),
    Way(
        "ds-carry-inside-gate",
        "ds",
        swap_text("o[t] * dh + ds_next", "o[t] * (dh + ds_next)"),
        "ds_next is added before the output gate is applied",
        "the carry is added to the wrong derivative",
        common=True,
    ),
    Way(
        "ds-carry-inside-gate-only",
        "ds",
        swap_text("o[t] * (1 - tanh(s[t])**2) * dh + ds_next", "o[t] * ((1 - tanh(s[t])**2) * dh + ds_next)"),
        "ds_next is added before the output gate is applied, though after the slope",
        "the carry is added to the wrong derivative",
    ),
    Way(
        "ds-output-gate-forgotten",
        "ds",
        swap_text("o[t] * ", ""),
        "ds(t) lacks the output gate",
        "h(t) = a(s(t)) is differentiated, without ⊙ o(t)",
        common=True,
    ),
    Way(
        "ds-output-gate-of-step-before",
        "ds",
        swap_text("o[t]", "o[max(t-1, 1)]"),
        "ds(t) uses o(t−1)",
        "an index off by one",
    ),
    Way(
        "ds-output-gate-of-step-after",
        "ds",
        swap_text("o[t]", "o[min(t+1, T)]"),
        "ds(t) uses o(t+1)",
        "an index off by one",
    ),
    *(
        Way(
            f"ds-{k}-for-o",
            "ds",
            only_where(swap_text("o[t]", f"{k}[t]"), has(k)),
            f"ds(t) uses {k}(t) where o(t) belongs",
            "a name taken for another",
        )
        for k in "if"
    ),
    Way(
        "ds-from-loss-of-step",
        "ds",
        only_where(swap_text("dh + ds_next", "dl[t] + ds_next"), _carries_h),
        "ds(t) starts from ∂l(t)/∂h(t) in place of dh(t)",
        "dh with its carry is used for the output gate, not for the memory",
    ),
    Way(
        "ds-carry-twice",
        "ds",
        swap_text("+ ds_next", "+ 2 * ds_next"),
        "ds(t) takes ds_next twice",
        "added where it is handed back, and again at the top of the loop",
    ),
    Way(
        "ds-carry-subtracted", "ds", swap_text("+ ds_next", "- ds_next"), "ds_next enters with the wrong sign", "a slip"
    ),
    Way(
        "ds-carry-times-f",
        "ds",
        only_where(swap_text("+ ds_next", "+ f[t] * ds_next"), _forgets),
        "ds_next is multiplied with f once more",
        "f(t+1) stands in B8 already",
        common=True,
    ),
    Way(
        "ds-carry-of-dh",
        "ds",
        only_where(swap_text("+ ds_next", "+ dh_next"), _carries_h),
        "ds(t) takes dh_next where ds_next belongs",
        "one carry for both states",
    ),
    Way(
        "ds-peephole-forgotten",
        "ds",
        without(r"p_o \* dz_o"),
        "ds(t) lacks what the output gate sees of s(t)",
        "the peephole of o looks at s(t), so its derivative goes there too",
        equation="B2p",
        common=True,
    ),
    Way(
        "ds-peephole-of-do",
        "ds",
        swap_text("p_o * dz_o", "p_o * do"),
        "the peephole term of ds(t) has do where dz_o belongs",
        "the slope of the gate is forgotten on this path",
        equation="B2p",
    ),
    Way(
        "ds-peephole-of-step-after",
        "ds",
        swap_text("p_o * dz_o", "p_o * dz_o_later"),
        "the peephole term of o in ds(t) is that of step t+1",
        "p_o sees s(t), p_i and p_f see s(t−1)",
        equation="B2p",
        common=True,
    ),
    Way(
        "ds-peephole-subtracted",
        "ds",
        swap_text("+ p_o * dz_o", "- p_o * dz_o"),
        "the peephole term of ds(t) has the wrong sign",
        "a slip",
        equation="B2p",
    ),
)

HANDED_OUT = (  # where the last states are outputs of the layer by themselves
    Way(
        "dh-final-ignored",
        "dh",
        swap_text("+ dh_next", "+ (t < T) * dh_next"),
        "dh(T) takes nothing from the last h, which is handed out by itself too",
        "the carry starts at zero whatever is asked for h(T)",
        common=True,
    ),
    Way(
        "ds-final-ignored",
        "ds",
        swap_text("+ ds_next", "+ (t < T) * ds_next"),
        "ds(T) takes nothing from the last memory, which is handed out too",
        "the carry starts at zero whatever is asked for s(T)",
        common=True,
    ),
)
