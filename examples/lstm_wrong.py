"""The derivative of tanh is taken at the wrong argument: 1 - s² is right where s is an *output* of tanh, as g is."""

from twin import changed

lstm = changed(
    "lstm.py",
    right="ds = o * (1 - np.tanh(s[t]) ** 2) * dh",
    wrong="ds = o * (1 - s[t] ** 2) * dh",
)
subject = lstm.subject
