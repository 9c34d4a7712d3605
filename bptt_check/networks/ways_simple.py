"""E3: how people go wrong in Elman's cell, besides what goes wrong in any."""

from __future__ import annotations

from bptt_check.faults.edits import swap_text
from bptt_check.faults.fault import Way

_SLIP = "an index off by one"


_OF_SIMPLE_SLOPES = (
    ("forgotten", "", "lacks the slope 1 − h²", "the activation is not differentiated", True),
    ("twice", "(1 - h[t]**2)**2 * ", "has the slope twice", "once in a helper, once where it is called", True),
    ("of-logistic", "h[t] * (1 - h[t]) * ", "has the slope of the logistic function", "another activation", True),
    ("unsquared", "(1 - h[t]) * ", "has 1 − h in place of 1 − h²", "the square is forgotten", True),
    ("from-input", "(1 - z_h[t]**2) * ", "has 1 − z² where 1 − h² belongs", "a helper that wants h is given z", True),
    ("of-tanh-twice", "(1 - tanh(h[t])**2) * ", "has 1 − tanh²(h)", "a helper that wants z is given h", True),
    ("of-step-before", "(1 - h[t-1]**2) * ", "takes the slope at h(t−1)", _SLIP, True),
    ("of-step-after", "(1 - h[min(t+1, T)]**2) * ", "takes the slope at h(t+1)", _SLIP, False),
    ("sign", "(h[t]**2 - 1) * ", "has the wrong sign", "h² − 1 for 1 − h²", False),
    ("plus", "(1 + h[t]**2) * ", "has 1 + h² for 1 − h²", "a slip", False),
    ("is-tanh", "h[t] * ", "has h where its slope belongs", "the function in the place of its derivative", False),
)
# E3: Elman's cell
OF_SIMPLE = (
    *(
        Way(
            f"simple-slope-{name}",
            "dz_h",
            swap_text("(1 - h[t]**2) * ", wrong),
            f"{{target}} {said}",
            why,
            common=common,
        )
        for name, wrong, said, why, common in _OF_SIMPLE_SLOPES
    ),
    Way(
        "simple-rectifier-forgotten",
        "dz_h",
        swap_text("(h[t] > 0) * ", ""),
        "{target} lacks the slope of the rectifier",
        "the activation is not differentiated",
        common=True,
    ),
    Way(
        "simple-from-loss-of-step",
        "dz_h",
        swap_text("* dh", "* dl[t]"),
        "{target} starts from ∂l(t)/∂h(t) in place of dh(t)",
        "the carry is added after it has been computed",
    ),
    Way(
        "simple-carry-of-dh",
        "dh_next",
        swap_text("dz_h", "dh"),
        "{target} is taken from dh, before the slope of the activation",
        "the matrix is passed before the activation",
        common=True,
    ),
    Way(
        "simple-carry-past-slope",
        "dz_h",
        lambda code, names: code.replace("* dh", "* dl[t] + dh_next") if "* dh" in code else None,
        "dh_next is added behind the slope of the activation",
        "the carry is added to the wrong derivative",
        equation="B1",
    ),
    Way(
        "simple-input-for-recurrent",
        "dh_next",
        swap_text("W_hh", "W_hx"),
        "{target} takes W_hx where W_hh belongs",
        "a name taken for another",
    ),
)
