"""The second bias is treated as if it stood outside the reset gate. Wrong in one third of one block, c."""

from twin import changed

gru = changed(
    "gru_cudnn.py",
    right='d["c"] += d_from_h.sum(axis=0)',
    wrong='d["c"] += d_from_x.sum(axis=0)',
)
subject = gru.subject
