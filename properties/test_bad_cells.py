"""Cells that are none, one part spoilt at a time: the part is named, and what belongs there."""

from __future__ import annotations

import numpy as np
import pytest

from bptt_check import Subject, SubjectError, check


class Elman:
    """A right cell, of which the cases below spoil a part."""

    state = ("h",)

    def parameters(self, D, H):
        return {"W": (H, D + H)}

    def forward(self, p, x, prev, tap):
        xh = np.hstack([x, prev["h"]])
        h = tap("h", np.tanh(xh @ p["W"].T))
        return {"h": h}, (xh, h)

    def backward(self, p, cache, d):
        xh, h = cache
        dz = (1 - h**2) * d["h"]
        dx, dh = np.hsplit(dz @ p["W"], [xh.shape[1] - h.shape[1]])
        return {"W": dz.T @ xh}, dx, {"h": dh}


def parameters(**named):
    return lambda self, D, H: {"W": (H, D + H), **dict.fromkeys(named, (H,))}


def returning(change):
    """A backward pass that hands out something else than what it has found."""
    return lambda self, p, cache, d: change(*Elman.backward(self, p, cache, d))


def tapping_twice(self, p, x, prev, tap):
    tap("h", x)
    return Elman.forward(self, p, x, prev, tap)


@pytest.mark.parametrize(
    ("part", "said"),
    [
        ({"state": "h"}, "state must be a tuple of names such as ('h', 's'); it is 'h'"),
        ({"state": ()}, "state must be a tuple of names"),
        ({"parameters": parameters(x=1)}, "names a parameter x; the harness uses that name for its own array"),
        ({"parameters": parameters(h0=1)}, "names a parameter h0"),
        ({"forward": lambda *_: 3}, "forward must return ({state: array}, cache)"),
        ({"forward": tapping_twice}, "forward taps h twice in one step; give each its own name"),
        (
            {"backward": returning(lambda dp, dx, h: (dp, dx))},
            "backward must return (dp, dx, dprev), or a fourth",
        ),
        (
            {"backward": returning(lambda dp, dx, dh: ({**dp, "V": 1}, dx, dh))},
            "a gradient of V, which parameters does",
        ),
        ({"backward": returning(lambda dp, dx, h: (dp, dx, {}))}, "no derivative of the previous h; it is what is"),
        (
            {"backward": returning(lambda dp, dx, dh: ({"W": dp["W"][:1]}, dx, dh))},
            "the gradient of W has shape (1, 5)",
        ),
        (
            {"backward": returning(lambda *all3: (*all3, {"c": all3[1]}))},
            "derivative of c, which forward never",
        ),
    ],
)
def test_a_cell_that_is_none_is_told_which_part_and_what_belongs_there(part, said):
    with pytest.raises(SubjectError) as caught:
        check(Subject.from_cell(type("Mine", (Elman,), part), T=2, B=2, D=3, H=2, rng=0))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("attribute", ["state", "parameters", "forward", "backward"])
def test_a_cell_that_lacks_a_part_is_told_all_four(attribute):
    parts = {name: value for name, value in vars(Elman).items() if name != attribute and not name.startswith("__")}
    with pytest.raises(
        SubjectError, match=f"Mine has no {attribute}; a cell needs state, parameters, forward, backward"
    ):
        Subject.from_cell(type("Mine", (), parts), T=2, B=2, D=3, H=2, rng=0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"T": 0}, "T must be a whole number of at least 1; it is 0"),
        ({"B": True}, "B must be a whole number of at least 1; it is True"),
        ({"H": 2.0}, "H must be a whole number of at least 1; it is 2.0"),
        ({"loss": "cubic"}, "cubic"),
        ({"loss": 3}, "loss must be a name or a Loss, not 3"),
        ({"point": {"V": np.ones(2)}}, "point= names V, which this subject lacks; it has W"),
        ({"point": {"W": np.ones(2)}}, "point['W'] has shape (2,); here it must be (2, 5)"),
    ],
)
def test_what_a_cell_cannot_be_unrolled_with_is_refused_by_name(options, said):
    with pytest.raises(SubjectError) as caught:
        Subject.from_cell(Elman, **{"T": 2, "B": 2, "D": 3, "H": 2, "rng": 0, **options})
    assert said in str(caught.value)
