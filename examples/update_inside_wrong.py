"""Clipping inside the sum over time. It belongs after it, if anywhere; the carried derivative is another one now."""

from twin import changed

update_inside = changed(
    "update_inside.py",
    right="dh = dz @ self.U.T",
    wrong="dh = np.clip(dz @ self.U.T, -0.1, 0.1)",
)
subject = update_inside.subject
