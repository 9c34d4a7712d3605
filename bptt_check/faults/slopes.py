"""B4: the derivatives of candidate and gates, taken through their activations."""

from __future__ import annotations

from bptt_check.faults.edits import only_where, other_than, swap_text
from bptt_check.faults.fault import ALL, LINE, Edit, Names, Way

EACH = (LINE, ALL)


def _taken_for(a: str, b: str) -> Edit:
    """dz of one gate computed as that of another, and the other way round."""

    def edit(code: str, names: Names) -> str | None:
        if not {a, b} <= set(names.cell.blocks) or ("o" in (a, b) and "o" in names.cell.peepholed):
            return None  # with a peephole, o is passed before the others are known
        k = b if names.k == a else a
        if k == "g":
            return "dg" if names.cell.input_activation == "identity" else "(1 - g[t]**2) * dg"
        return f"{k}[t] * (1 - {k}[t]) * d{k}"

    return edit


_GATE = "dz_[ifo]"
SLOPES = (
    Way(
        "slope-forgotten",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t]) * ", ""),
        "{target} lacks the slope of the gate, k ⊙ (1 − k)",
        "the derivative of the gate is taken for that of its pre-activation",
        EACH,
        common=True,
    ),
    Way(
        "slope-at-output",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "logistic({k}[t]) * (1 - logistic({k}[t]))"),
        "{target} takes σ′ at the gate in place of its pre-activation",
        "a helper that wants z is given σ(z), and applies σ once more",
        EACH,
        common=True,
    ),
    Way(
        "slope-at-input",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "z_{k}[t] * (1 - z_{k}[t])"),
        "{target} has z ⊙ (1 − z) where k ⊙ (1 − k) belongs",
        "a helper that wants σ(z) is given z",
        EACH,
        common=True,
    ),
    Way(
        "slope-twice",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "({k}[t] * (1 - {k}[t]))**2"),
        "{target} has the slope of the gate twice",
        "once in the gate's derivative, once where z is reached",
        EACH,
        common=True,
    ),
    Way(
        "slope-of-tanh",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "(1 - {k}[t]**2)"),
        "{target} has the slope of tanh, 1 − k²",
        "one helper for all activations",
        EACH,
        common=True,
    ),
    Way(
        "slope-half",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t]) * ", "(1 - {k}[t]) * "),
        "{target} has 1 − k in place of k ⊙ (1 − k)",
        "half of the slope is lost",
        EACH,
    ),
    Way(
        "slope-other-half",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t]) * ", "{k}[t] * "),
        "{target} has k in place of k ⊙ (1 − k)",
        "half of the slope is lost",
        EACH,
    ),
    Way(
        "slope-sign",
        _GATE,
        swap_text("(1 - {k}[t])", "({k}[t] - 1)"),
        "{target} has the wrong sign",
        "k − 1 for 1 − k",
        EACH,
    ),
    Way("slope-plus", _GATE, swap_text("(1 - {k}[t])", "(1 + {k}[t])"), "{target} has 1 + k for 1 − k", "a slip", EACH),
    Way(
        "slope-of-step-before",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "{k}[max(t-1, 1)] * (1 - {k}[max(t-1, 1)])"),
        "{target} takes the slope at step t−1",
        "an index off by one",
        EACH,
    ),
    Way(
        "slope-of-step-after",
        _GATE,
        swap_text("{k}[t] * (1 - {k}[t])", "{k}[min(t+1, T)] * (1 - {k}[min(t+1, T)])"),
        "{target} takes the slope at step t+1",
        "an index off by one",
        EACH,
    ),
    *(
        Way(
            f"slope-of-gate-{other}",
            _GATE,
            only_where(
                swap_text("{k}[t] * (1 - {k}[t])", f"{other}[t] * (1 - {other}[t])"),
                other_than(other),
            ),
            f"{{target}} has the slope of gate {other}",
            "a name taken for another",
        )
        for other in "ifo"
    ),
    Way(
        "candidate-slope-forgotten",
        "dz_g",
        swap_text("(1 - g[t]**2) * ", ""),
        "dz_g lacks the slope of tanh, 1 − g²",
        "the derivative of g is taken for that of its pre-activation",
        common=True,
    ),
    Way(
        "candidate-slope-at-output",
        "dz_g",
        swap_text("g[t]**2", "tanh(g[t])**2"),
        "dz_g takes the slope of tanh at g in place of z_g",
        "a helper that wants z is given tanh(z), and applies tanh once more",
        common=True,
    ),
    Way(
        "candidate-slope-at-input",
        "dz_g",
        swap_text("g[t]**2", "z_g[t]**2"),
        "dz_g has 1 − z² where 1 − g² belongs",
        "a helper that wants tanh(z) is given z",
        common=True,
    ),
    Way(
        "candidate-slope-twice",
        "dz_g",
        swap_text("(1 - g[t]**2)", "(1 - g[t]**2)**2"),
        "dz_g has the slope of tanh twice",
        "once in the gate's derivative, once where z is reached",
        common=True,
    ),
    Way(
        "candidate-slope-logistic",
        "dz_g",
        swap_text("(1 - g[t]**2)", "g[t] * (1 - g[t])"),
        "dz_g has the slope of the logistic function, g ⊙ (1 − g)",
        "g is treated as a gate",
        common=True,
    ),
    Way(
        "candidate-slope-of-logistic",
        "dz_g",
        swap_text("(1 - g[t]**2)", "logistic(z_g[t]) * (1 - logistic(z_g[t]))"),
        "dz_g has the slope of the logistic function at z",
        "g is treated as a gate",
    ),
    Way(
        "candidate-slope-unsquared",
        "dz_g",
        swap_text("g[t]**2", "g[t]"),
        "dz_g has 1 − g where 1 − g² belongs",
        "the square is lost",
        common=True,
    ),
    Way(
        "candidate-slope-sign",
        "dz_g",
        swap_text("(1 - g[t]**2)", "(g[t]**2 - 1)"),
        "dz_g has the wrong sign",
        "g² − 1 for 1 − g²",
    ),
    Way(
        "candidate-slope-plus", "dz_g", swap_text("1 - g[t]**2", "1 + g[t]**2"), "dz_g has 1 + g² for 1 − g²", "a slip"
    ),
    Way(
        "candidate-slope-of-step-before",
        "dz_g",
        swap_text("g[t]**2", "g[max(t-1, 1)]**2"),
        "dz_g takes the slope at step t−1",
        "an index off by one",
    ),
    Way(
        "candidate-slope-of-step-after",
        "dz_g",
        swap_text("g[t]**2", "g[min(t+1, T)]**2"),
        "dz_g takes the slope at step t+1",
        "an index off by one",
    ),
    Way(
        "candidate-slope-of-memory",
        "dz_g",
        swap_text("g[t]**2", "tanh(s[t])**2"),
        "dz_g has the slope of tanh at s",
        "one slope for both tanh",
    ),
    Way(
        "candidate-slope-not-there",
        "dz_g",
        only_where(swap_text("dg", "(1 - g[t]**2) * dg"), lambda n: n.cell.input_activation == "identity"),
        "dz_g has the slope of a tanh that the forward pass does not have",
        "derived for g = tanh(z), used with g = z",
        common=True,
    ),
    *(
        Way(
            f"dz-{a}-and-{b}-swapped",
            f"dz_[{a}{b}]",
            _taken_for(a, b),
            f"dz_{a} and dz_{b} change places",
            "gates packed in one order and unpacked in another",
            (ALL,),
            common=True,
        )
        for a, b in (("i", "f"), ("i", "o"), ("f", "o"), ("g", "o"))
    ),
)
