"""The project's exceptions. Every message says what was found, what is taken, and what to do."""

from __future__ import annotations


class BpttCheckError(Exception):
    """Base of everything that this package raises on purpose."""


class SubjectError(BpttCheckError, ValueError):
    """The thing under test cannot be tested as handed over: a wrong shape, NaN, an unknown name, an empty point."""


class SubjectFailed(BpttCheckError, RuntimeError):
    """The subject's own code raised. The original exception is the ``__cause__``."""


class GradientError(BpttCheckError, AssertionError):
    """Base of the two failures of :meth:`bptt_check.Result.raise_unless_agrees`."""


class GradientDisagrees(GradientError):
    """The analytic gradient disagrees with its reference derivative."""


class GradientInconclusive(GradientError):
    """Nothing could be said for certain: not every block was compared finely enough."""


class UsageError(BpttCheckError, ValueError):
    """The call or the command line asks for something that does not exist. Exit code 2."""


class ReportError(BpttCheckError, OSError):
    """A report or journal cannot be read or written."""


class MissingExtra(BpttCheckError, ImportError):
    """An optional library is needed and not installed; the message names the extra that brings it."""


class SubjectWarning(UserWarning):
    """What a form saw its subject's code do, issued as ``warnings.warn(SubjectWarning(kind, message))``.

    Heard where a check watches the code, and a finding there; silent everywhere else. ``kind`` as in a finding.
    """

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(kind, message)
        self.kind = kind
        self.message = message
