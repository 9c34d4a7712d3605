"""The first two minutes: a file to start from, in the form that the backward pass has, and a demonstration."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from bptt_check.errors import ReportError, UsageError

if TYPE_CHECKING:
    from bptt_check.results import Result

STYLES = {
    "cell": "one time step and its backward; the harness unrolls it",
    "functions": "a loss and a gradient, as two functions",
    "vjp": "a layer without a loss, whose backward takes dL/d(output)",
    "object": "an object that leaves gradients in its attributes",
    "update": "a training step that changes the weights itself",
    "torch": "a torch.autograd.Function or module",
    "jax": "a function with jax.custom_vjp",
    "c": "a C library",
}
DEFAULT_STYLE = "cell"


def text(style: str, *, file: str = "FILE.py") -> str:
    """The starting file of that style, as text; ``file`` is what its head tells the reader to verify.

    Raises
    ------
    UsageError
        For a style that does not exist; the message lists those that do.
    """
    if style not in STYLES:
        raise UsageError(f"style must be one of {', '.join(STYLES)}; it is {style!r}")
    template = files("bptt_check") / "templates" / f"{style}.py.txt"
    return template.read_text(encoding="utf-8").replace("{file}", file)


def write(path: str | Path, style: str = DEFAULT_STYLE) -> Path:
    """Write a small, running backward pass in that style to ``path``, to be replaced piece by piece. Returns the path.

    Raises
    ------
    UsageError
        Where the style does not exist, the path already does, or it does not end in ``.py``.
    ReportError
        Where the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".py":
        raise UsageError(f"the file must end in .py, such as {path.stem or 'my_lstm'}.py; it is {str(path)!r}")
    content = text(style, file=str(path))
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(content)
    except FileExistsError:
        raise UsageError(f"{path} exists already and is left as it is; choose another name") from None
    except OSError as error:
        raise ReportError(f"{path} cannot be written: {error.strerror}") from None
    return path


RIGHT_LINE = "df = s_prev * ds"
WRONG_LINE = "df = s * ds"


def demo(stream: TextIO) -> int:
    """Show a planted mistake being found: its code, the verdict, the mended line, the verdict again.

    Returns 0 if the mistake was found and the mended code agrees, 1 otherwise.
    """
    from bptt_check.results import Verdict

    def say(line: str = "") -> None:
        print(line, file=stream, flush=True)

    right = text("cell")
    wrong = right.replace(RIGHT_LINE, WRONG_LINE)
    say("An LSTM cell and its backward pass, derived by hand. Forward, with s the memory:")
    say()
    say(_lines(wrong, "s = g * i", 2))
    say()
    say("Backward, and one of these lines is wrong:")
    say()
    say(_lines(wrong, "ds = o * dh", 5))
    say()
    say("One step, one sequence, so that nothing hides behind anything else:")
    say()
    found = _checked(wrong, T=1, B=1)
    say(str(found))
    say()
    say("The derivatives of g(t), i(t) and o(t) agree, that of f(t) does not: what is wrong is the line of df.")
    say("Forward, f multiplies the memory of the step before, s_prev; the line has s. Mended:")
    say()
    say(f"        {RIGHT_LINE}")
    say()
    mended = _checked(right, T=5, B=3)
    say(str(mended))
    say()
    say("Your own: bptt-check init my_lstm.py, then bptt-check verify my_lstm.py.")
    return 0 if (found.verdict, mended.verdict) == (Verdict.DISAGREES, Verdict.AGREES) else 1


def _lines(source: str, first: str, count: int) -> str:
    """``count`` lines of ``source`` from the one that begins with ``first``."""
    lines = source.splitlines()
    start = next(n for n, line in enumerate(lines) if line.strip().startswith(first))
    return "\n".join(lines[start : start + count])


def _checked(source: str, *, T: int, B: int) -> Result:
    from bptt_check.checking import check
    from bptt_check.subject import Subject

    module: dict[str, Any] = {}
    exec(compile(source, "<demo>", "exec"), module)  # our own template, one line of it changed
    return check(Subject.from_cell(module["Cell"], T=T, B=B, D=2, H=2))
