"""Saved in one order and unpacked in another: the gates i and f change places in the backward pass."""

from twin import changed

torch_function = changed(
    "torch_function.py",
    right="g, i, f, o, s_prev, s = ctx.saved_tensors",
    wrong="g, f, i, o, s_prev, s = ctx.saved_tensors",
)
subject = torch_function.subject
