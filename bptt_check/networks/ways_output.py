"""B10 to B12: how people go wrong in the output layer and the loss behind it."""

from __future__ import annotations

import re

from bptt_check.faults.edits import swap_all, swap_text, transposed, whole
from bptt_check.faults.fault import ALL, LINE, Edit, Names, Way

EACH = (LINE, ALL)
_SLIP = "an index off by one"


def _unmasked(code: str, names: Names) -> str | None:
    """Without what keeps the loss to the last step."""
    return code.removeprefix("(t == T) * ") if code.startswith("(t == T) * ") else None


def _unless_last(edit: Edit) -> Edit:
    """The same edit of what is left once the mask of the last step has been set aside."""

    def masked(code: str, names: Names) -> str | None:
        mask = "(t == T) * " * code.startswith("(t == T) * ")
        edited = edit(code.removeprefix(mask), names)
        return None if edited is None else mask + edited

    return masked


def _residual(code: str) -> str | None:
    """``p[t] - target[t]`` or ``y[t] - target[t]``, where the line has it."""
    found = re.search(r"([py])\[t\] - target\[t\]", code)
    return found[0] if found else None


def _instead(new: str) -> Edit:
    """Another text in the place of the residual; ``{v}`` is what it is of, p or y."""

    def edit(code: str, names: Names) -> str | None:
        residual = _residual(code)
        return None if residual is None else code.replace(residual, new.replace("{v}", residual[0]))

    return edit


def _factor(new: str) -> Edit:
    """Another factor in front of, or behind, the residual."""

    def edit(code: str, names: Names) -> str | None:
        bare = re.sub(r"^(2 \* )?(scale \* )?|( / \(?[TBVH* 0-9]+\)?)$", "", code)
        enclosed = bare if new == "{code}" or bare.startswith("(") else f"({bare})"
        return None if (wrong := new.replace("{code}", enclosed)) == code else wrong

    return edit


def _product(times: str) -> Edit:
    return lambda code, names: f"({code}) * {times}"


def _softmax_only(edit: Edit) -> Edit:
    return lambda code, names: edit(code, names) if "p[t] - target[t]" in code else None


# B10: the derivative of the outputs
OF_LOSS = (
    Way(
        "output-loss-at-every-step",
        "dy",
        _unmasked,
        "{target} is fed in at every step, though the loss is at the last one alone",
        "written for a loss at every step, used with one at the end",
        common=True,
    ),
    Way(
        "output-target-not-subtracted",
        "dy",
        _instead("{v}[t]"),
        "{target} lacks −target",
        "of softmax and cross-entropy together p − target is left; the target is forgotten",
        common=True,
    ),
    Way(
        "output-derivative-sign",
        "dy",
        _instead("target[t] - {v}[t]"),
        "{target} has the wrong sign",
        "target − p in the place of p − target",
        common=True,
    ),
    Way(
        "softmax-derivative-doubled",
        "dy",
        _unless_last(_softmax_only(_product("p[t] * (1 - p[t])"))),
        "{target} has the slope p ⊙ (1 − p) besides: the derivative of the softmax is taken twice",
        "p − target holds the derivative of softmax, or of the logistic function, already",
        common=True,
    ),
    Way(
        "softmax-jacobian-doubled",
        "dy",
        _unless_last(
            lambda code, names: (
                f"p[t] * (({code}) - (p[t] * ({code})).sum(axis=-1, keepdims=True))" if "p[t] -" in code else None
            )
        ),
        "{target} goes through the Jacobian of the softmax once more",
        "p − target holds the derivative of softmax already",
    ),
    Way(
        "softmax-derivative-missing",
        "dy",
        _softmax_only(_instead("-target[t] / p[t]")),
        "{target} is −target / p, the derivative by the probabilities: that of the softmax is missing",
        "the loss is differentiated, what makes probabilities of scores is not",
        common=True,
    ),
    Way(
        "output-slope-forgotten",
        "dy",
        lambda code, names: re.sub(r" \* \(?(p\[t\] \* \(1 - p\[t\]\)|1 - p\[t\]\*\*2)\)?", "", code),
        "{target} lacks the slope of the output activation",
        "the loss is differentiated, the activation of the outputs is not",
        common=True,
    ),
    Way(
        "softmax-derivative-from-scores",
        "dy",
        _softmax_only(_instead("y[t] - target[t]")),
        "{target} takes the scores where the probabilities belong",
        "y for p",
    ),
    Way(
        "output-derivative-without-scale",
        "dy",
        _unless_last(_factor("{code}")),
        "{target} lacks the factor that the loss has",
        "the loss is a mean, the gradient is written as a sum",
        common=True,
    ),
    *(
        Way(
            f"output-derivative-over-{name}",
            "dy",
            _unless_last(_factor(f"{{code}} / {by}")),
            f"{{target}} is divided by {said}",
            "the gradient is written as a mean, the loss is none of that kind",
        )
        for name, by, said in (
            ("batch", "B", "the batch size"),
            ("time", "T", "T"),
            ("both", "(T * B)", "T·B"),
            ("outputs", "V", "the number of outputs"),
            ("outputs-and-batch", "(V * B)", "the number of outputs and the batch size"),
            ("all", "(T * B * V)", "the number of all outputs"),
            ("two", "2", "two"),
        )
    ),
    Way(
        "output-derivative-twice",
        "dy",
        _unless_last(_factor("2 * {code}")),
        "{target} has a factor 2 that the loss does not have",
        "the loss has a ½ in front, its derivative does not know",
        common=True,
    ),
    Way(
        "output-derivative-doubled",
        "dy",
        _unless_last(whole("2 * {code}")),
        "{target} is twice the right one",
        "a factor 2 that has been taken into account already",
    ),
    Way(
        "output-derivative-halved",
        "dy",
        _unless_last(whole("{code} / 2")),
        "{target} is half of the right one",
        "a factor ½ that the loss does not have",
    ),
    *(
        Way(
            f"output-target-of-step-{name}",
            "dy",
            swap_all("target[t]", f"target[{index}]"),
            f"{{target}} takes the target of step {said}",
            _SLIP,
        )
        for name, index, said in (
            ("before", "max(t-1, 1)", "t−1"),
            ("before-wrapping", "t-1 or T", "t−1, and of step T at t = 1"),
            ("after", "min(t+1, T)", "t+1"),
            ("reversed", "T+1-t", "T+1−t: the targets are read in reverse order"),
        )
    ),
    Way(
        "output-derivative-at-last-step-only",
        "dy",
        lambda code, names: None if code.startswith("(t == T)") else f"(t == T) * {whole('{code}')(code, names)}",
        "{target} counts at the last step alone, though the loss is at every step",
        "written for a loss at the end of the sequence",
        common=True,
    ),
)
# B11, B12: the output layer
OF_READOUT = (
    *(
        Way(
            f"output-sum-{name}",
            "dW_yh",
            swap_text("h[t]", wrong),
            f"{{target}} takes {said} where h(t) belongs",
            why,
            common=common,
        )
        for name, wrong, said, why, common in (
            (
                "of-h-before",
                "h[t-1]",
                "h(t−1)",
                "an index off by one, or the loop's variable for the state before",
                True,
            ),
            ("of-h-after", "h[min(t+1, T)]", "h(t+1)", _SLIP, False),
            ("of-last-h", "h[T]", "h(T)", "a variable of the forward loop, which holds the last step", True),
            ("of-h-reversed", "h[T+1-t]", "h(T+1−t)", "the outputs are read in reverse order", False),
            ("of-first-h", "h[1]", "h(1)", "a variable that is never updated", False),
            ("of-h-wrapping", "h[t-1 or T]", "h(t−1), and h(T) at t = 1,", "−1 is the last element of a list", False),
        )
    ),
    Way(
        "output-sum-transposed",
        "dW_yh",
        lambda code, names: f"({code}).T",
        "{target} is transposed",
        "the outer product with its factors in the wrong order",
    ),
    *(
        Way(
            f"output-derivative-of-step-{name}",
            "dl|dW_yh" if permuted else "dl|dW_yh|db_y",
            swap_text("dy[t]", f"dy[{index}]"),
            f"{{target}} takes dy of {said}",
            why,
            EACH,
        )
        for name, index, said, why, permuted in (  # a sum does not see an order
            ("before", "max(t-1, 1)", "step t−1", _SLIP, False),
            (
                "before-wrapping",
                "t-1 or T",
                "step t−1, and of step T at t = 1",
                "−1 is the last element of a list",
                True,
            ),
            ("after", "min(t+1, T)", "step t+1", _SLIP, False),
            ("last", "T", "step T at every step", "a variable that still holds the last step", False),
            ("reversed", "T+1-t", "step T+1−t", "the list is read forwards, while the loop runs backwards", True),
        )
    ),
    Way(
        "output-path-forgotten",
        "dl",
        whole("0 * ({code})"),
        "dh(t) takes nothing from the output layer",
        "the derivative by the output layer's input is computed and never added, or not computed",
        common=True,
    ),
    Way(
        "output-matrix-transposed",
        "dl",
        transposed("W_yh"),
        "{target} has W_yh transposed",
        "dy W, not dy Wᵀ, where y = h Wᵀ",
        common=True,
    ),
    Way(
        "output-path-sign",
        "dl",
        whole("-({code})"),
        "{target} has the wrong sign",
        "a slip",
    ),
    Way(
        "output-path-through-slope",
        "dl",
        whole("({code}) * (1 - h[t]**2)"),
        "{target} has the slope 1 − h² besides",
        "the slope of the cell is applied where the output layer is passed, and once more inside of the cell",
    ),
    *(
        Way(
            f"output-path-clipped-{c:g}",
            "dl",
            whole(f"clip({{code}}, -{c:g}, {c:g})"),
            f"{{target}} is clipped to ±{c:g} at each step",
            "gradient clipping put inside of the loop",
        )
        for c in (0.1, 0.5, 1.0, 5.0)
    ),
)
