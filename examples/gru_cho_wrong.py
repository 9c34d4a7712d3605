"""The product rule is applied to r ⊙ h by half: h(t-1) gets its derivative without the factor r."""

from twin import changed

gru = changed(
    "gru_cho.py",
    right="dh_prev = z * dh + r * drh +",
    wrong="dh_prev = z * dh + drh +",
)
subject = gru.subject
