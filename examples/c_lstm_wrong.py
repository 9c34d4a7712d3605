"""Off by one: the gradient of U is made with h(t) in the place of h(t-1)."""

from functools import partial

import c_lstm
from twin import replaced

source = replaced(
    c_lstm.SOURCE,
    right="step_back(&p, &d, D, H, p.x + x, h + before,",
    wrong="step_back(&p, &d, D, H, p.x + x, h + now,",
)
subject = partial(c_lstm.subject, source=source)
subject_float32 = partial(c_lstm.subject, source=source, dtype="float32")
