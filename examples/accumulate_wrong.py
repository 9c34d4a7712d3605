"""The accumulator of b is not cleared: it starts with what the training step before left there."""

from twin import changed

accumulate = changed(
    "accumulate.py",
    right="for parameter in (self.W, self.U, self.b):",
    wrong="for parameter in (self.W, self.U):",
)
subject = accumulate.subject
