"""A path is missing: the lower layer hears from the upper one at the last step only. At T = 1 nothing is wrong."""

from twin import changed

two_layers = changed(
    "two_layers.py",
    right="dhs = dxs\n",
    wrong="dhs = np.zeros_like(dxs); dhs[-1] = dxs[-1]\n",
)
subject = two_layers.subject
