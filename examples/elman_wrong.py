"""The carry is dropped: what later steps hand back to h(t) never arrives. At T = 1 nothing is wrong."""

from twin import changed

elman = changed(
    "elman.py",
    right="dh = dy[t] + dh_next",
    wrong="dh = dy[t]",
)
subject = elman.subject
