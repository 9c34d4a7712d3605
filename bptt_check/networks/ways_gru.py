"""G5 to G9: how people go wrong in a gated recurrent unit, besides what goes wrong in any cell."""

from __future__ import annotations

import re

from bptt_check.faults.edits import each_own, swap_all, swap_text, whole, without
from bptt_check.faults.fault import ALL, LINE, Way

EACH = (LINE, ALL)
_SLIP = "an index off by one"


def _gru(
    name: str, targets: str, old: str, new: str, says: str, why: str, common: bool = False, *, everywhere: bool = False
) -> Way:
    edit = swap_all(old, new) if everywhere else swap_text(old, new)
    return Way(f"gru-{name}", targets, edit, says, why, common=common)


_FLIPPED = each_own(
    {
        "du": lambda code, names: (
            code.replace("(h[t-1] - n[t])", "(n[t] - h[t-1])")
            if "(h[t-1] - n[t])" in code
            else code.replace("(n[t] - h[t-1])", "(h[t-1] - n[t])")
        ),
        "dn": lambda code, names: (
            code.replace("(1 - u[t])", "u[t]") if "(1 - u[t])" in code else code.replace("u[t]", "(1 - u[t])")
        ),
        "dh_next": lambda code, names: (
            code.replace("(1 - u[t]) * dh", "u[t] * dh")
            if "(1 - u[t]) * dh" in code
            else code.replace("u[t] * dh", "(1 - u[t]) * dh")
        ),
    }
)
# G5 to G9: the gated recurrent unit
OF_GRU = (
    Way(
        "gru-shares-exchanged",
        "dn|dh_next",
        _FLIPPED,
        "{target} has u and 1 − u exchanged",
        "two conventions for the update gate, mixed",
        EACH,
        common=True,
    ),
    Way(
        "gru-update-sign",
        "du",
        _FLIPPED,
        "{target} has the wrong sign",
        "of h = u ⊙ a + (1 − u) ⊙ b the derivative is a − b, here b − a is written",
        common=True,
    ),
    Way(
        "gru-shares-and-sign",
        "dn|du|dh_next",
        _FLIPPED,
        "{target} have the update gate the other way round",
        "two conventions for the update gate, mixed",
        (ALL,),
    ),
    _gru(
        "update-without-state", "du", "h[t-1]", "0", "du lacks its part of h(t−1)", "one of two paths forgotten", True
    ),
    _gru(
        "update-without-candidate", "du", "n[t]", "0", "du lacks its part of n(t)", "one of two paths forgotten", True
    ),
    _gru("update-of-this-state", "du", "h[t-1]", "h[t]", "du takes h(t) where h(t−1) belongs", _SLIP, True),
    _gru(
        "candidate-share-forgotten",
        "dn",
        "(1 - u[t]) * dh",
        "dh",
        "dn lacks the update gate",
        "a factor forgotten",
        True,
    ),
    _gru("candidate-share-lost", "dn", "u[t] * dh", "dh", "dn lacks the update gate", "a factor forgotten", True),
    Way(
        "gru-carry-without-state",
        "dh_next",
        lambda code, names: re.sub(r"^(\(1 - u\[t\]\)|u\[t\]) \* dh \+ ", "", code),
        "dh_next lacks the part that the update gate hands straight on",
        "h(t−1) enters h(t) without any matrix too",
        common=True,
    ),
    Way(
        "gru-carry-share-forgotten",
        "dh_next",
        lambda code, names: re.sub(r"^(\(1 - u\[t\]\)|u\[t\]) \* dh", "dh", code),
        "what is handed straight on lacks the update gate",
        "a factor forgotten",
        common=True,
    ),
    Way(
        "gru-carry-without-candidate",
        "dh_next",
        lambda code, names: without(r"r\[t\] \* dq")(code, names) or without(r"dq @ W_nh")(code, names),
        "dh_next lacks the part of the candidate",
        "h(t−1) enters the candidate too",
        common=True,
    ),
    _gru(
        "carry-reset-forgotten",
        "dh_next",
        "r[t] * dq",
        "dq",
        "dh_next lacks the reset gate",
        "a factor forgotten",
        True,
    ),
    _gru(
        "carry-past-reset",
        "dh_next",
        "dq @ W_nh",
        "dz_n @ W_nh",
        "dh_next lacks the reset gate",
        "dz_n for r ⊙ dz_n",
        True,
    ),
    *(
        Way(
            f"gru-back-without-{k}",
            "dx|dh_next",
            without(rf"dz_{k} @ W_{k}."),
            f"{{target}} lacks the part of {k}",
            "a gate left out of the sum",
            EACH,
            common=True,
        )
        for k in "urn"
    ),
    _gru("reset-of-this-state", "dr", "h[t-1]", "h[t]", "dr takes h(t) where h(t−1) belongs", _SLIP, True),
    _gru(
        "reset-from-state",
        "dr",
        "q[t]",
        "h[t-1]",
        "dr takes h(t−1) where its product with W_nh belongs",
        "the form with the reset before the product",
        True,
    ),
    _gru(
        "reset-from-candidate",
        "dr",
        "q[t]",
        "n[t]",
        "dr takes n(t) where the product with W_nh belongs",
        "a name taken for another",
    ),
    _gru(
        "reset-past-matrix",
        "dr",
        "* dq",
        "* dz_n",
        "dr is taken from dz_n, before W_nh",
        "the matrix is forgotten",
        True,
    ),
    _gru("inner-matrix-transposed", "dq", "W_nh", "W_nh.T", "dq has W_nh transposed", "the shape does not tell", True),
    _gru("inner-reset-forgotten", "dq", "r[t] * ", "", "dq lacks the reset gate", "a factor forgotten", True),
    _gru("inner-matrix-of-u", "dq", "W_nh", "W_uh", "dq takes W_uh", "a name taken for another"),
    _gru(
        "sum-without-reset",
        "dW_nh",
        "(r[t] * h[t-1])",
        "h[t-1]",
        "dW_nh lacks the reset gate",
        "the candidate sees r ⊙ h(t−1), the gates h(t−1)",
        True,
    ),
    _gru("sum-past-reset", "dW_nh|dc_n", "dq", "dz_n", "{target} lacks the reset gate", "dz_n for r ⊙ dz_n", True),
    _gru("sum-of-this-reset-state", "dW_nh", "h[t-1]", "h[t]", "dW_nh takes h(t) where h(t−1) belongs", _SLIP),
    _gru(
        "sum-of-recurrent-bias-assigned", "dc_n", "dq", "(t == 1) * dq", "dc_n holds the first step alone", "= for +="
    ),
    _gru("sum-of-recurrent-bias-forgotten", "dc_n", "dq", "0 * dq", "dc_n stays zero", "one of two biases forgotten"),
    *(
        Way(
            f"gru-candidate-slope-{name}",
            "dz_n",
            swap_text("(1 - n[t]**2) * ", wrong),
            f"{{target}} {said}",
            why,
            common=True,
        )
        for name, wrong, said, why in (
            ("forgotten", "", "lacks the slope 1 − n²", "the activation is not differentiated"),
            ("twice", "(1 - n[t]**2)**2 * ", "has the slope twice", "once in a helper, once where it is called"),
            ("of-logistic", "n[t] * (1 - n[t]) * ", "has the slope of the logistic function", "another activation"),
            ("unsquared", "(1 - n[t]) * ", "has 1 − n in place of 1 − n²", "the square is forgotten"),
            ("from-input", "(1 - z_n[t]**2) * ", "has 1 − z² where 1 − n² belongs", "a helper that wants n is given z"),
            ("of-tanh-twice", "(1 - tanh(n[t])**2) * ", "has 1 − tanh²(n)", "a helper that wants z is given n"),
        )
    ),
    *(
        Way(
            f"gru-gate-slope-{name}",
            "dz_[ur]",
            swap_text("{k}[t] * (1 - {k}[t])" + " * " * (wrong == ""), wrong),
            f"{{target}} {said}",
            why,
            EACH,
            common=True,
        )
        for name, wrong, said, why in (
            ("forgotten", "", "lacks the slope of the gate, k ⊙ (1 − k)", "the gate for its pre-activation"),
            ("of-tanh", "(1 - {k}[t]**2)", "has the slope of tanh, 1 − k²", "one helper for all activations"),
            (
                "twice",
                "({k}[t] * (1 - {k}[t]))**2",
                "has the slope of the gate twice",
                "once in a helper, once outside",
            ),
            ("half", "(1 - {k}[t])", "has 1 − k in place of k ⊙ (1 − k)", "half of the slope is lost"),
            ("other-half", "{k}[t]", "has k in place of k ⊙ (1 − k)", "half of the slope is lost"),
            (
                "at-output",
                "logistic({k}[t]) * (1 - logistic({k}[t]))",
                "takes σ′ at the gate",
                "σ is applied once more",
            ),
            ("at-input", "z_{k}[t] * (1 - z_{k}[t])", "has z ⊙ (1 − z)", "a helper that wants σ(z) is given z"),
            ("of-step-before", "{k}[max(t-1, 1)] * (1 - {k}[max(t-1, 1)])", "takes the slope at step t−1", _SLIP),
        )
    ),
    Way(
        "gru-gates-exchanged",
        "dz_[ur]",
        each_own({"dz_u": whole("r[t] * (1 - r[t]) * dr"), "dz_r": whole("u[t] * (1 - u[t]) * du")}),
        "dz_u and dz_r change places",
        "gates in another order",
        (ALL,),
    ),
    Way("gru-gate-sign", "d[urnq]", whole("-({code})"), "{target} has the wrong sign", "a slip"),
)
