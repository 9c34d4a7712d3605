"""Numerical derivatives, each a value that is called and returns an estimate. Knows nothing of LSTMs."""

from bptt_check.differences.central import Central
from bptt_check.differences.complex_step import ComplexStep
from bptt_check.differences.estimate import Estimate, Method
from bptt_check.differences.richardson import Richardson

__all__ = ["Central", "ComplexStep", "Estimate", "Method", "Richardson"]
