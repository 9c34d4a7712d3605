"""Assigned where it should be summed: only what the first step of the last sequence contributes to wf is left."""

from twin import changed

post_style = changed(
    "post_style.py",
    right="p.wf_diff += np.outer(zf_diff, self.xc)",
    wrong="p.wf_diff = np.outer(zf_diff, self.xc)",
)
subject, subject_of, train, toy_task = (
    getattr(post_style, name) for name in ("subject", "subject_of", "train", "toy_task")
)
