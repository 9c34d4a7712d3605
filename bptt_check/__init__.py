"""bptt-check: prove, or disprove, a backward pass that you derived by hand.

The public names are loaded on use (PEP 562): importing the package imports neither NumPy nor pytest nor Hypothesis.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as in typing, which would take two thirds of the time that importing this package takes
if TYPE_CHECKING:
    from typing import Any

    from bptt_check.checking import check
    from bptt_check.errors import (
        BpttCheckError,
        GradientDisagrees,
        GradientError,
        GradientInconclusive,
        SubjectError,
        UsageError,
    )
    from bptt_check.forms.cell import Cell
    from bptt_check.lstm.fused import LSTM
    from bptt_check.results import Block, Finding, Result, Verdict
    from bptt_check.subject import Subject
    from bptt_check.testing.one_line import gradient_property

__version__ = "0.1.0"

_HOME = {
    "check": "checking",
    "gradient_property": "testing.one_line",
    "Subject": "subject",
    "Cell": "forms.cell",
    "LSTM": "lstm.fused",
    "Verdict": "results",
    "Result": "results",
    "Block": "results",
    "Finding": "results",
    "BpttCheckError": "errors",
    "SubjectError": "errors",
    "UsageError": "errors",
    "GradientError": "errors",
    "GradientDisagrees": "errors",
    "GradientInconclusive": "errors",
}

__all__ = [
    "LSTM",
    "Block",
    "BpttCheckError",
    "Cell",
    "Finding",
    "GradientDisagrees",
    "GradientError",
    "GradientInconclusive",
    "Result",
    "Subject",
    "SubjectError",
    "UsageError",
    "Verdict",
    "check",
    "gradient_property",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
