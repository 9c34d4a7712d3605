"""B2 to B8: what the forward pass has left in its variables, read where each step's own value belongs."""

from __future__ import annotations

from bptt_check.faults.edits import swap_all
from bptt_check.faults.fault import ALL, LINE, Way

_LEFT = {  # what a line reads, and what stands in that variable once the forward loop is over
    **{f"{k}[t]": (f"{k}[T]", f"{k}-of-last-step", f"{k}(T)", f"{k}(t)") for k in "gifosx"},
    "s[t-1]": ("s[T-1]", "previous-s-of-last-step", "s(T−1)", "s(t−1)"),
    "h[t-1]": ("h[T-1]", "previous-h-of-last-step", "h(T−1)", "h(t−1)"),
}
LEFTOVER = tuple(
    Way(
        name,
        "d.*",
        swap_all(read, left),
        f"{{target}} uses {said} at every step where {belongs} belongs",
        "a variable of the forward loop, which holds the last step once the loop is over",
        (LINE, ALL),
    )
    for read, (left, name, said, belongs) in _LEFT.items()
)
