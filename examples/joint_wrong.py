"""A factor: the gradient is divided by the number of steps too, the loss is not. At T = 1 nothing is wrong."""

from twin import changed

joint = changed(
    "joint.py",
    right="dscores /= B",
    wrong="dscores /= B * T",
)
subject = joint.subject
