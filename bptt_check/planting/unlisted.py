"""Causes that no catalogue lists: what the numbers of a gradient say by themselves, and what a line turned out to hold.

They are named where no cell is recognised, or where no known mistake gives the gradient. Each is explained by what it
rests on, and by the mistakes that people make which leave such a trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Unlisted:
    """``what`` is seen, and what is ``often`` behind it."""

    what: str
    often: str


OF_NUMBERS: Mapping[str, Unlisted] = {
    "zero": Unlisted(
        "the gradient is zero, and the right one is not",
        "a path that was never written, or a buffer that was never filled",
    ),
    "independent": Unlisted(
        "there is a gradient, though the loss does not depend on the array",
        "a buffer of another array, or one that starts with rubbish",
    ),
    "scaled": Unlisted(
        "a constant multiple of the right gradient, the same in every entry",
        "a mean for a sum or the reverse, the 2 of a square, a sign, a step taken twice",
    ),
    "clipped-norm": Unlisted(
        "scaled until its norm is a round number", "clipping inside the backward pass, which belongs in the optimiser"
    ),
    "learning-rate": Unlisted(
        "a small round multiple of the right gradient, or its negative",
        "the step of the optimiser handed out instead of the gradient",
    ),
    "transposed": Unlisted("the transpose of the right gradient", "dz.T @ x for x.T @ dz, or the reverse"),
    "swapped": Unlisted("two arrays hold each other's gradient", "the order in which gradients are packed or returned"),
    "permuted": Unlisted(
        "three or more arrays hold each other's gradients in a circle",
        "the order in which gradients are packed or returned",
    ),
    "shared": Unlisted(
        "several arrays hold the sum of what belongs to each", "one buffer under several names: a = b = np.zeros(…)"
    ),
    "first-step": Unlisted("only the first time step is in the sum", "= for +=, running backwards in time"),
    "last-step": Unlisted(
        "only the last time step is in the sum", "a line outside the loop, or = for += running forwards"
    ),
    "all-but-last": Unlisted("the last time step is missing", "a loop that begins at T − 2"),
    "all-but-first": Unlisted(
        "the first time step is missing", "a loop that ends before t = 0, often because h[t-1] was not there"
    ),
    "steps": Unlisted("only some time steps are in the sum", "truncation after k steps, or a loop with a stride"),
    "step-missing": Unlisted("one time step is missing from the sum", "a condition on t inside the loop"),
    "step-twice": Unlisted("one time step counts twice", "a step done before the loop and again inside it"),
    "step-shifted": Unlisted(
        "one step's part of the sum stands for another's", "an index that is off by one, or wraps round at t = 0"
    ),
    "step-sign": Unlisted("one time step enters the sum with the wrong sign", "a condition on t inside the loop"),
    "parts-permuted": Unlisted(
        "the parts of a packed array are right, in another order",
        "the order of the gates differs between forward and backward pass",
    ),
    "other-block": Unlisted("the gradient of another array, or of one step of it", "a name copied and not changed"),
    "rolled": Unlisted(
        "shifted along an axis, what falls off coming in at the other end", "an index of −1 at t = 0, which wraps round"
    ),
    "shifted": Unlisted("shifted along an axis, zero coming in", "an index that is off by one"),
    "reversed": Unlisted(
        "the right gradient, its time or its axis reversed", "a list filled backwards in time and not turned round"
    ),
    "weight-decay": Unlisted(
        "a multiple of the weight itself is added", "the gradient of a penalty that the loss under test does not have"
    ),
    "weight-decay-l1": Unlisted(
        "a multiple of the weight's sign is added", "the gradient of a penalty that the loss under test does not have"
    ),
    "offset": Unlisted("the same number is added to every entry", "an accumulator that does not start at zero"),
    "updated-weight": Unlisted(
        "the weight after a step of descent", "the update returned in the place of the gradient"
    ),
    "parameter": Unlisted("the array itself, and not its gradient", "a name without its d"),
    "parameter-product": Unlisted(
        "the gradient times the array, entry by entry", "a derivative by the logarithm, or a product carried along"
    ),
    "clipped": Unlisted(
        "entries beyond a bound hold the bound", "np.clip inside the backward pass, which belongs in the optimiser"
    ),
    "rounded": Unlisted("the right gradient, rounded to few digits", "float16 or float32 on the way, or np.round"),
    "sum": Unlisted("the sum of this gradient and another array's", "+= into the wrong buffer"),
    "reshaped": Unlisted(
        "the right numbers, read off in another order", "reshape where a transpose belongs, or order='F'"
    ),
    "interleaved": Unlisted("the parts of a packed array interleaved", "reshape(H, 4) for reshape(4, H)"),
    "parts-repeated": Unlisted(
        "one part of a packed array stands for others too", "one gate's gradient written into several slots"
    ),
    "accumulated": Unlisted(
        "each step holds the sum of steps before or after it", "a buffer that is not emptied between steps"
    ),
    "spread": Unlisted(
        "one value along an axis, the mean or the sum of the right ones",
        "a mean or a sum with keepdims that was broadcast",
    ),
    "absolute": Unlisted("the right gradient without its signs", "np.abs where none belongs"),
    "sign": Unlisted("only the signs of the right gradient", "np.sign, or clipping to ±1"),
    "positive-part": Unlisted("negative entries are zero", "a ReLU or np.maximum in the backward pass"),
    "negative-part": Unlisted("positive entries are zero", "np.minimum in the backward pass"),
    "dead-zone": Unlisted("small entries are zero", "a threshold, or a cast to integers"),
    "square": Unlisted("the square of the right gradient", "what an adaptive optimiser keeps, returned in its place"),
}
LINE = Unlisted(
    "a line of a cell was compared by itself, what it reads taken as given. Its own numbers are a short product of "
    "derivatives and forward values, at every entry and step to rounding, and so are those that belong there",
    "a name or a factor in that line: both are written out, in the cell's own names",
)


def unlisted(name: str) -> Unlisted | None:
    """The cause of that id, if it is one of these."""
    return LINE if name == "line" else OF_NUMBERS.get(name)
