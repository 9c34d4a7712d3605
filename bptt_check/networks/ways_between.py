"""N1 to N3: how people go wrong between the layers, and between the two directions."""

from __future__ import annotations

from bptt_check.faults.edits import each_own, swap_text, whole
from bptt_check.faults.fault import ALL, LINE, Way

EACH = (LINE, ALL)
_SLIP = "an index off by one"
_HANDED = {  # what is written for dx[t], and what stands around it
    "of-carry": (
        "dh_next[t]",
        "dh_next, what the upper layer hands back in time",
        "the wrong part of d[x, h] is cut out",
    ),
    "of-dh": ("dh[t]", "dh of the upper layer", "the upper layer's matrices are not passed"),
    "of-output": (
        "dl[t]",
        "what reaches the upper layer from the output layer",
        "the output layer's derivative is handed to every layer",
    ),
    "with-output": (
        "dx[t] + dl[t]",
        "the derivative of the output layer besides",
        "the output layer's derivative is added in every layer",
    ),
    "of-step-after": ("(t < T) * dx[min(t+1, T)]", "dx of step t+1", _SLIP),
    "of-step-before": ("dx[max(t-1, 1)]", "dx of step t−1", _SLIP),
    "reversed": ("dx[T+1-t]", "dx in reverse order", "a list filled going backwards and read going forwards"),
    "last-step-only": (
        "(t == T) * dx[t]",
        "dx of the last step alone",
        "the path is followed once, outside of the loop",
    ),
    "first-step-only": ("(t == 1) * dx[t]", "dx of the first step alone", "one variable for dx of all steps"),
    "negative": ("-dx[t]", "dx with the wrong sign", "a slip"),
    "doubled": ("2 * dx[t]", "dx twice", "it is added where it is computed, and again where it is used"),
}
# N1: what a layer hands to the one below
OF_LAYERS = (
    Way(
        "layer-path-forgotten",
        "dl_below",
        whole("0 * {code}"),
        "the lower layer takes nothing from the upper one",
        "dx of the upper layer is not computed, or not handed on",
        common=True,
    ),
    *(
        Way(
            f"layer-path-{name}",
            "dl_below",
            swap_text("dx[t]", code),
            f"the lower layer takes {said}, for dx of the upper one",
            why,
            common=True,
        )
        for name, (code, said, why) in _HANDED.items()
    ),
)
# B1: outputs that are handed out twice, h of all steps and h of the last one
OF_OUTPUTS = tuple(
    Way(f"handed-out-twice-{name}", "dl", swap_text(right, wrong), said, why, common=True)
    for name, right, wrong, said, why in (
        (
            "last-forgotten",
            " + again[t]",
            "",
            "dh(T) takes nothing from the last state that is handed out besides",
            "h(T) is one output of all steps and one of its own; the loss reaches it through both",
        ),
        (
            "steps-forgotten",
            "c[t] + ",
            "",
            "dh(t) takes nothing from the outputs of all steps",
            "h(T) is one output of all steps and one of its own; the loss reaches it through both",
        ),
        (
            "last-everywhere",
            "again[t]",
            "again[T]",
            "the derivative of the last state is added at every step",
            "added inside of the loop, in place of before it",
        ),
    )
)
# N2, N3: the two directions
OF_DIRECTIONS = (
    Way(
        "direction-not-reversed",
        "dl_backward",
        swap_text("dl[T+1-t]", "dl[t]"),
        "the direction that runs backwards takes the output's derivatives in the order of the other one",
        "its own time runs the other way, in the backward pass too",
        common=True,
    ),
    Way(
        "direction-reversed",
        "dl_forward",
        swap_text("dl[t]", "dl[T+1-t]"),
        "the direction that runs forwards takes the output's derivatives in reverse order",
        "the order of the other direction",
        common=True,
    ),
    Way(
        "directions-halves-exchanged",
        "dl_.*",
        each_own({"dl_forward": swap_text("[:, :H]", "[:, H:]"), "dl_backward": swap_text("[:, H:]", "[:, :H]")}),
        "{target} takes the half that belongs to the other direction",
        "[forward, backward] cut in the wrong order",
        EACH,
        common=True,
    ),
    Way(
        "direction-forgotten",
        "dl_.*",
        whole("0 * {code}"),
        "{target} takes nothing from the output layer",
        "one direction is followed back, the other is not",
        common=True,
    ),
    *(
        Way(
            f"direction-of-step-{name}",
            "dl_.*",
            each_own(
                {
                    "dl_forward": swap_text("dl[t]", f"dl[{forwards}]"),
                    "dl_backward": swap_text("dl[T+1-t]", f"dl[{backwards}]"),
                }
            ),
            f"{{target}} is one step {said}",
            _SLIP,
        )
        for name, forwards, backwards, said in (
            ("after", "min(t+1, T)", "min(T+2-t, T)", "late"),
            ("before", "max(t-1, 1)", "max(T-t, 1)", "early"),
        )
    ),
    *(
        Way(f"direction-inputs-{name}", "dx", swap_text(right, wrong), said, why, common=True)
        for name, right, wrong, said, why in (
            (
                "not-reversed",
                "backward[T+1-t]",
                "backward[t]",
                "the part of dx from the direction that runs backwards is not turned round again",
                "its own time runs the other way, and so does what it hands to its inputs",
            ),
            (
                "of-forward",
                " + dx_backward[T+1-t]",
                "",
                "dx lacks the part of the direction that runs backwards",
                "one of two paths to one input is forgotten",
            ),
            (
                "of-backward",
                "dx_forward[t] + ",
                "",
                "dx lacks the part of the direction that runs forwards",
                "assigned in place of added",
            ),
        )
    ),
)
