"""The LSTM of ``c_lstm.c``, compiled and verified, in float64 and in float32.

Form: ``bptt_check.adapters.c``; needs a C compiler. ``bptt-check verify examples/c_lstm.py:subject_float32`` takes the
other precision.
"""

from functools import cache
from pathlib import Path

import numpy as np

from bptt_check.adapters.c import compile_library, from_library

SOURCE = Path(__file__).with_name("c_lstm.c").read_text(encoding="utf-8")
REAL = {"float64": "double", "float32": "float"}


@cache
def library(source, dtype):
    return compile_library(source, defines={"REAL": REAL[dtype]})


def subject(T=5, B=3, D=4, H=2, rng=0, *, dtype="float64", source=SOURCE):
    rng = np.random.default_rng(rng)
    y = rng.normal(size=(T, B, H))
    return from_library(
        library(source, dtype),
        loss="lstm_loss",
        gradient="lstm_loss",
        shapes={"W": (4, H, D), "U": (4, H, H), "b": (4, H), "h0": (B, H), "s0": (B, H), "x": (T, B, D)},
        arguments=("point", y, "gradient", T, B, D, H),
        dtype=dtype,
        rng=rng,
        name=f"LSTM in C, {dtype}",
        loss_of="euclidean",
        targets=y,
    )


def subject_float32(T=5, B=3, D=4, H=2, rng=0):
    return subject(T, B, D, H, rng, dtype="float32")
