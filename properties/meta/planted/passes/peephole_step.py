"""One step of a peephole LSTM, unrolled by the harness; rows of a batch, diagonal peepholes, no intermediates named."""

import numpy as np

from bptt_check import Subject
from planted.passes import Mistake


def sg(v):
    return 1 / (1 + np.exp(-v))


class Peephole:
    state = ("h", "c")

    def parameters(self, D, H):
        return {"Wx": (D, 4 * H), "Wh": (H, 4 * H), "b": (4 * H,), "peep": (3, H)}

    def forward(self, p, x, prev, tap):
        H = prev["h"].shape[1]
        a = x @ p["Wx"] + prev["h"] @ p["Wh"] + p["b"]
        i = sg(a[:, :H] + p["peep"][0] * prev["c"])
        f = sg(a[:, H : 2 * H] + p["peep"][1] * prev["c"])
        z = np.tanh(a[:, 3 * H :])
        c = f * prev["c"] + i * z
        o = sg(a[:, 2 * H : 3 * H] + p["peep"][2] * c)
        return {"h": o * np.tanh(c), "c": c}, (x, prev, i, f, o, z, c)

    def backward(self, p, cache, d):
        x, prev, i, f, o, z, c = cache
        do = d["h"] * np.tanh(c) * o * (1 - o)
        dc = d["c"] + d["h"] * o * (1 - np.tanh(c) ** 2) + do * p["peep"][2]
        df = dc * prev["c"] * f * (1 - f)
        di = dc * z * i * (1 - i)
        dz = dc * i * (1 - z**2)
        da = np.hstack([di, df, do, dz])
        dp = {"Wx": x.T @ da, "Wh": prev["h"].T @ da, "b": da.sum(0)}
        dp["peep"] = np.stack([(di * prev["c"]).sum(0), (df * prev["c"]).sum(0), (do * c).sum(0)])
        dprev_c = dc * f + di * p["peep"][0] + df * p["peep"][1]
        return dp, da @ p["Wx"].T, {"h": da @ p["Wh"].T, "c": dprev_c}


def subject(rng):
    return Subject.from_cell(Peephole, T=4, B=2, D=3, H=4, rng=rng)


MISTAKES = (
    Mistake("o's peephole forgotten in dc", ' + do * p["peep"][2]', "", ("ds-peephole-forgotten.ds",), "B2p"),
    Mistake(
        "peepholes of i and f swapped on the way back",
        'di * p["peep"][0] + df * p["peep"][1]',
        'di * p["peep"][1] + df * p["peep"][0]',
        ("ds-next-peepholes-swapped.ds_next",),
        "B8p",
    ),
    Mistake(
        "o's peephole at the old memory",
        "(do * c).sum(0)",
        '(do * prev["c"]).sum(0)',
        ("peephole-weight-step-of-o.dp_o",),
        "B5p",
    ),
)
