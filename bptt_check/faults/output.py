"""B1: the derivative of the output, what the loss gives and what is carried back."""

from __future__ import annotations

from bptt_check.faults.edits import each_own, swap_text, whole
from bptt_check.faults.fault import ALL, LINE, Way

EACH = (LINE, ALL)
_ORDINAL = {2: "2nd", 3: "3rd", 4: "4th"}

LOSS = (
    Way(
        "dh-carry-dropped",
        "dh",
        swap_text("dl[t] + dh_next", "dl[t]"),
        "dh(t) takes nothing from step t+1",
        "dh_next is computed and never added, or set back to zero inside the loop",
        common=True,
    ),
    Way(
        "dh-loss-at-last-step-only",
        "dh",
        swap_text("dl[t]", "(t == T) * dl[t]"),
        "the loss reaches dh at the last step alone",
        "written for a loss at the end of the sequence, used with one at every step",
        common=True,
    ),
    Way(
        "dh-last-loss-everywhere",
        "dh",
        swap_text("dl[t]", "dl[T]"),
        "the output derivative of the last step is fed in at every step",
        "the loss is at the last step, and its derivative stays in the loop's variable",
        common=True,
    ),
    Way(
        "dh-loss-of-step-after",
        "dh",
        swap_text("dl[t]", "(t < T) * dl[min(t+1, T)]"),
        "dh(t) takes the loss derivative of step t+1",
        "an index off by one when running backwards",
    ),
    Way(
        "dh-loss-of-step-after-kept",
        "dh",
        swap_text("dl[t]", "dl[min(t+1, T)]"),
        "dh(t) takes the loss derivative of step t+1, the last one twice",
        "an index off by one, clipped at the end",
    ),
    Way(
        "dh-loss-of-step-before",
        "dh",
        swap_text("dl[t]", "dl[max(t-1, 1)]"),
        "dh(t) takes the loss derivative of step t−1",
        "an index off by one when running backwards",
    ),
    Way(
        "dh-loss-of-step-before-wrapping",
        "dh",
        swap_text("dl[t]", "dl[t-1 or T]"),
        "dh(t) takes the loss derivative of step t−1, and that of step T at t = 1",
        "an index off by one; −1 is the last element of a list",
    ),
    Way(
        "dh-loss-joins-late",
        "dh",
        swap_text("dl[t]", "(dl[T] if t == T else dl[t-1 or T])"),
        "dh(t) takes the loss derivative of step t−1 but for the last step, and that of step T at t = 1",
        "it joins the carry one step too late; −1 is the last element of a list",
    ),
    Way(
        "dh-loss-reversed",
        "dh",
        swap_text("dl[t]", "dl[T+1-t]"),
        "the loss derivatives are taken in reverse order",
        "the list is filled going forward and read going forward, while the loop runs backwards",
    ),
    Way(
        "dh-carry-twice",
        "dh",
        swap_text("+ dh_next", "+ 2 * dh_next"),
        "dh(t) takes dh_next twice",
        "added once when it is handed back, and once more at the top of the loop",
    ),
    Way(
        "dh-carry-subtracted",
        "dh",
        swap_text("+ dh_next", "- dh_next"),
        "dh_next enters dh(t) with the wrong sign",
        "a sign carried over from the derivative of (y − h)²",
    ),
    Way(
        "dh-carry-averaged",
        "dh",
        whole("{code} / 2"),
        "dh(t) is the mean of its two parts in place of their sum",
        "two gradients of one array look as if they should be averaged",
    ),
    Way(
        "loss-sign",
        "dh",
        swap_text("dl[t]", "-dl[t]"),
        "the loss derivative has the wrong sign",
        "y − h in place of h − y",
        common=True,
    ),
    Way(
        "loss-factor-2",
        "dh",
        swap_text("dl[t]", "2 * dl[t]"),
        "the loss derivative is twice the right one",
        "the loss has a ½ in front, its derivative does not know",
    ),
    Way(
        "loss-factor-half",
        "dh",
        swap_text("dl[t]", "dl[t] / 2"),
        "the loss derivative is half of the right one",
        "the loss has no ½ in front, its derivative takes one for granted",
        common=True,
    ),
    Way(
        "loss-over-batch",
        "dh",
        swap_text("dl[t]", "dl[t] / B"),
        "the loss derivative is divided by the batch size",
        "the loss is a sum over the batch, the gradient is written as a mean",
        common=True,
    ),
    Way(
        "loss-over-time",
        "dh",
        swap_text("dl[t]", "dl[t] / T"),
        "the loss derivative is divided by T",
        "the loss is a sum over time, the gradient is written as a mean",
    ),
    Way(
        "loss-over-both",
        "dh",
        swap_text("dl[t]", "dl[t] / (T * B)"),
        "the loss derivative is divided by T·B",
        "the loss is a sum, the gradient is written as a mean over all of it",
    ),
    Way(
        "loss-times-batch",
        "dh",
        swap_text("dl[t]", "B * dl[t]"),
        "the loss derivative is B times the right one",
        "the loss is a mean over the batch, the gradient is written as a sum",
    ),
    Way(
        "loss-times-time",
        "dh",
        swap_text("dl[t]", "T * dl[t]"),
        "the loss derivative is T times the right one",
        "the loss is a mean over time, the gradient is written as a sum",
    ),
)
CARRIES = (
    Way(
        "carry-zero-both",
        "dh|ds",
        each_own({"dh": swap_text("dl[t] + dh_next", "dl[t]"), "ds": swap_text(" + ds_next", "")}),
        "neither dh nor ds takes anything from step t+1",
        "the carries are set to zero inside the loop in place of before it",
        (ALL,),
        "B1",
        common=True,
    ),
    *(
        Way(
            f"carry-dropped-at-the-{end}",
            "dh|ds",
            each_own(
                {
                    "dh": swap_text("+ dh_next", f"+ ({steps}) * dh_next"),
                    "ds": swap_text("+ ds_next", f"+ ({steps}) * ds_next"),
                }
            ),
            f"{{target}} takes nothing from step t+1 at {where}",
            why,
            (ALL, LINE),
        )
        for end, steps, where, why in (
            ("beginning", "t > 1", "t = 1", "the first step is treated apart, in code of its own"),
            ("end", "t < T-1", "t = T−1", "the last step is treated apart, and hands nothing on to the loop"),
        )
    ),
    Way(
        "carry-never-updated",
        "d[hs]_next",
        lambda code, names: f"({names.target} if t < T else {code})",
        "{target} stays at its value of the last step",
        "the carry is computed and not assigned back",
        EACH,
        common=True,
    ),
    Way(
        "carry-accumulated",
        "d[hs]_next",
        lambda code, names: f"{code} + {names.target}",
        "{target} is added up over the steps",
        "+= for =",
        EACH,
    ),
    *(
        Way(
            f"truncated-after-{n}",
            "dh|ds",
            each_own(
                {
                    "dh": swap_text("dl[t] + dh_next", f"dl[t] + (t % {n} != 0) * dh_next"),
                    "ds": swap_text("+ ds_next", f"+ (t % {n} != 0) * ds_next"),
                }
            ),
            f"nothing is carried back past every {_ORDINAL[n]} step",
            "truncated backpropagation, taken for the full one",
            (ALL,),
            "B1",
        )
        for n in (2, 3, 4)
    ),
    *(
        Way(
            f"only-last-{n}-steps",
            "dh|ds",
            each_own({"dh": whole(f"(t > T-{n}) * {{code}}"), "ds": whole(f"(t > T-{n}) * {{code}}")}),
            f"nothing goes back further than the last {'step' if n == 1 else f'{n} steps'}",
            "backpropagation truncated after k steps, taken for the full one",
            (ALL,),
            "B1",
        )
        for n in (1, 2, 3, 4)
    ),
    *(
        Way(
            f"{what}-clipped-in-loop-{c:g}",
            what,
            whole(f"clip({{code}}, -{c:g}, {c:g})"),
            f"{what}(t) is clipped to ±{c:g} inside the recursion",
            "gradient clipping put where the gradient is still growing",
        )
        for what in ("dh", "ds")
        for c in (0.01, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
    ),
)
