"""A GRU as one step that the caller unrolls, with its gates handed out."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


class Gru:
    state = ("h",)

    def parameters(self, D, H):
        return {f"{m}_{k}": s for k in ("up", "re", "no") for m, s in (("W", (H, D)), ("U", (H, H)), ("b", (H,)))}

    def forward(self, p, x, prev, tap):
        h = prev["h"]
        up = tap("up", 1 / (1 + np.exp(-(x @ p["W_up"].T + h @ p["U_up"].T + p["b_up"]))))
        re = tap("re", 1 / (1 + np.exp(-(x @ p["W_re"].T + h @ p["U_re"].T + p["b_re"]))))
        no = tap("no", np.tanh(x @ p["W_no"].T + (re * h) @ p["U_no"].T + p["b_no"]))
        return {"h": (1 - up) * h + up * no}, (x, h, up, re, no)

    def backward(self, p, cache, d):
        x, h, up, re, no = cache
        dh = d["h"]
        d_no = up * dh
        d_up = (no - h) * dh
        a_no = (1 - no**2) * d_no
        d_rh = a_no @ p["U_no"]
        d_re = h * d_rh
        a_up, a_re = up * (1 - up) * d_up, re * (1 - re) * d_re
        w = {"W_no": a_no.T @ x, "W_up": a_up.T @ x, "W_re": a_re.T @ x}
        w |= {"U_no": a_no.T @ (re * h), "U_up": a_up.T @ h, "U_re": a_re.T @ h}
        w |= {"b_no": a_no.sum(axis=0), "b_up": a_up.sum(axis=0), "b_re": a_re.sum(axis=0)}
        dx = a_no @ p["W_no"] + a_up @ p["W_up"] + a_re @ p["W_re"]
        back = (1 - up) * dh + re * d_rh + a_up @ p["U_up"] + a_re @ p["U_re"]
        return w, dx, {"h": back}, {"no": d_no, "up": d_up, "re": d_re}


def subject(rng):
    return Subject.from_cell(Gru, T=3, B=2, D=3, H=2, rng=rng)


MISTAKES = (
    Mistake(
        "no for no - h", "d_up = (no - h) * dh", "d_up = no * dh", ("gru-update-without-state",), "G5", named="dup"
    ),
    Mistake("reset gate from dh", "d_re = h * d_rh", "d_re = h * dh", ("line",), named="dre"),
    Mistake(
        "a path of h missing",
        "back = (1 - up) * dh + re * d_rh",
        "back = re * d_rh",
        ("gru-carry-without-state",),
        "G8",
        named='dprev["h"]',
    ),
    Mistake("h for re * h", "a_no.T @ (re * h)", "a_no.T @ h", ("gru-sum-without-reset",), "G9", named="dU_no"),
    Mistake(
        "slope left out",
        "a_no = (1 - no**2) * d_no",
        "a_no = d_no",
        ("gru-candidate-slope-forgotten",),
        "G6",
        named="dx",
    ),
)
