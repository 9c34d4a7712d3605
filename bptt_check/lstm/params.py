"""Parameters and gradients by name: ``W_gx`` reads *to g, from x*. Names, shapes, and random draws.

=========  ===========  ==================================================
name       shape        meaning
=========  ===========  ==================================================
W_kx       (H, D)       to block k from the input x(t)
W_kh       (H, H)       to block k from the output h(t−1)
W_ks       (H, H)       to gate k from the memory s(t−1) (state feedback)
W_kj       (H, H)       to gate k from gate j of step t−1 (FGR)
b_k        (H,)         bias of block k
p_k        (H,)         peephole weight of gate k
=========  ===========  ==================================================
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from bptt_check.lstm.variants import Variant

Array = np.ndarray[Any, Any]


def shapes(variant: Variant, D: int, H: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every parameter of ``variant`` with D inputs and H memory cells."""
    named: dict[str, tuple[int, ...]] = {}
    for k in variant.blocks:
        for j in variant.sees(k):
            named[f"W_{k}{j}"] = (H, D if j == "x" else H)
        named[f"b_{k}"] = (H,)
        if k in variant.peepholed:
            named[f"p_{k}"] = (H,)
    return named


def states(variant: Variant, B: int, H: int) -> dict[str, tuple[int, ...]]:
    """Name and shape of every array of step 0: h0, s0, and the gates of step 0 where the variant reads them."""
    gates = ("i0", "f0", "o0") if variant.gate_recurrence else ()
    return dict.fromkeys(("h0", "s0", *gates), (B, H))


class Parameters(Mapping[str, Array]):
    """Arrays by name, as items and as attributes: ``p.W_gx is p["W_gx"]``. Weights, and gradients of weights.

    Each array may carry the same leading axes in front of its shape: a stack of copies.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __getattr__(self, name: str) -> Array:
        try:
            return self.__dict__["_arrays"][name]  # type: ignore[no-any-return]
        except KeyError:
            raise AttributeError(f"no parameter is named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)

    def __repr__(self) -> str:
        return "Parameters(" + ", ".join(f"{name} {array.shape}" for name, array in self.items()) + ")"


def draw(variant: Variant, D: int, H: int, *, rng: np.random.Generator, size: float = 1.0) -> Parameters:
    """Random weights between ½ and 1 times ``size`` in absolute value, signs at random, float64.

    Weights drawn alike for every gate and states of zero let several wrong backward passes through; these are distinct
    and none is small.
    """
    named = shapes(variant, D, H)
    return Parameters({name: size * signed(rng, shape) for name, shape in named.items()})


def signed(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Uniform in [½, 1) with a random sign: an array of no small entry."""
    return np.asarray(rng.uniform(0.5, 1.0, shape) * rng.choice([-1.0, 1.0], shape))
