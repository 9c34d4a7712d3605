"""The options of the command line and the settings of the project, declared: what every run of pytest loads.

Both have the same name each. Kept small on purpose: what is made of them stands in ``options.py``.
"""

from __future__ import annotations

import pytest

FIXTURES = frozenset({"gradient_check", "gradient_record"})  # a test that uses one of them owes a result

OPTIONS: tuple[tuple[str, str, str, str], ...] = (
    # name, type of the setting, metavar, help
    ("report", "linelist", "PATH", "write a report there; .html .md .json .jsonl .xml says which; may be given often"),
    ("folder", "string", "DIR", "folder of the journal and, where none are named, of the reports (default: reports)"),
    ("title", "string", "TEXT", "what the reports call the run"),
    ("depth", "string", "LEVEL", "quick, normal or deep: entries and repeats of a check, examples of Hypothesis"),
    ("save", "string", "NAME", "keep this run under NAME, to compare later ones with"),
    ("runs", "string", "DIR", "folder of saved runs (default: runs, in the folder of the journal)"),
    ("keep", "string", "N|AGE", "with save: how many runs to keep, such as 20, or for how long: 30d (default: all)"),
    ("compare", "string", "RUN", "say what has changed since a saved run: a number, a name, last, or a file"),
    ("fail-on", "linelist", "RULE", "fail where a gradient is: worse, missing, max_error:10x, resolution:10x; often"),
    ("quiet", "bool", "", "at the end only the verdict and what is wrong"),
)


def add_options(parser: pytest.Parser) -> None:
    """Declare all of them."""
    group = parser.getgroup("gradient", "gradients (bptt-check)")
    for name, kind, metavar, text in OPTIONS:
        flag, stored = f"--gradient-{name}", setting(name)
        if kind == "bool":
            group.addoption(flag, dest=stored, action="store_true", default=None, help=text)
        elif kind == "linelist":
            group.addoption(flag, dest=stored, action="append", metavar=metavar, default=None, help=text)
        else:
            group.addoption(flag, dest=stored, metavar=metavar, default=None, help=text)
        parser.addini(stored, text, type=kind, default=None)  # type: ignore[arg-type]


def setting(name: str) -> str:
    """Return the name of the setting that goes with an option."""
    return f"gradient_{name.replace('-', '_')}"


def asked_for_anything(config: pytest.Config) -> bool:
    """Whether the command line or the project says anything that has to be looked at before the tests begin."""
    names = ("report", "folder", "runs", "save", "keep", "compare", "fail-on")
    return any(config.getoption(setting(name)) or config.getini(setting(name)) for name in names)
