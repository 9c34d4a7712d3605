"""Options of the command line and settings of the project, the same under one name each; the command line wins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

SUFFIXES = (".jsonl", ".json", ".md", ".html", ".xml")
STEM = "gradients"
FIXTURES = frozenset({"gradient_check", "gradient_record"})  # a test that uses one of them owes a result
DEFAULT_TYPES = (".json", ".md", ".html")


@dataclass(frozen=True)
class Depth:
    """How hard a run looks: options of ``check`` where the test gives none, examples that Hypothesis draws."""

    check: Mapping[str, Any]
    examples: int | None


DEPTHS: Mapping[str, Depth] = MappingProxyType(
    {
        "quick": Depth({"repeats": 2}, 10),
        "normal": Depth({}, None),  # whatever the tests and their Hypothesis profile say
        "deep": Depth({"entries": "all", "repeats": 44}, 1000),  # 44: sees 99 % of faults that strike one call in ten
    }
)

_OPTIONS: tuple[tuple[str, str, str, str], ...] = (
    # name, type of the setting, metavar, help
    ("report", "linelist", "PATH", "write a report there; .html .md .json .jsonl .xml says which; may be given often"),
    ("folder", "string", "DIR", "folder of the journal, of reports where none are named, of saved runs"),
    ("title", "string", "TEXT", "what the reports call the run"),
    ("depth", "string", "LEVEL", "quick, normal or deep: entries and repeats of a check, examples of Hypothesis"),
    ("save", "string", "NAME", "keep this run under NAME, to compare later ones with"),
    ("saved", "string", "DIR", "folder of saved runs (default: saved, in the folder of the journal)"),
    ("keep", "string", "N", "of the runs saved under one name keep the newest N (default: all)"),
    ("compare", "string", "RUN", "compare with a saved run: a name, a number, or last"),
    ("compare-fail", "linelist", "RULE", "fail on what is worse: max_error:10x, resolution:10x, missing; often"),
    ("quiet", "bool", "", "at the end only the verdict and what is wrong"),
)


@dataclass(frozen=True)
class Options:
    """What a run was asked for. ``explicit`` are the paths that someone named; ``reports`` hold all but journals."""

    journal: Path
    journals: tuple[Path, ...]
    reports: tuple[Path, ...]
    explicit: tuple[Path, ...]
    title: str
    quiet: bool
    saved: Path
    save: str
    keep: int | None
    compare: str
    rules: tuple[str, ...]
    compare_on_command_line: bool


def add_options(parser: pytest.Parser) -> None:
    """Declare all of them."""
    group = parser.getgroup("gradient", "gradients (bptt-check)")
    for name, kind, metavar, text in _OPTIONS:
        flag, setting = f"--gradient-{name}", _setting(name)
        if kind == "bool":
            group.addoption(flag, dest=setting, action="store_true", default=None, help=text)
        elif kind == "linelist":
            group.addoption(flag, dest=setting, action="append", metavar=metavar, default=None, help=text)
        else:
            group.addoption(flag, dest=setting, metavar=metavar, default=None, help=text)
        parser.addini(setting, text, type=kind, default=None)  # type: ignore[arg-type]


def _setting(name: str) -> str:
    return f"gradient_{name.replace('-', '_')}"


def depth_of(config: pytest.Config) -> Depth:
    """Return the depth asked for. Raises ``pytest.UsageError`` for one that does not exist."""
    name = _text(config, "depth") or "normal"
    if name not in DEPTHS:
        raise pytest.UsageError(f"--gradient-depth={name}: takes {', '.join(DEPTHS)}")
    return DEPTHS[name]


def asked_for_anything(config: pytest.Config) -> bool:
    """Whether the command line or the project says anything that has to be looked at before the tests begin."""
    names = ("report", "folder", "save", "keep", "compare", "compare-fail")
    return any(config.getoption(_setting(name)) or config.getini(_setting(name)) for name in names)


def options_of(config: pytest.Config) -> Options:
    """Return what the run was asked for.

    Raises
    ------
    pytest.UsageError
        For a report of a type that does not exist, and for a number that is none.
    """
    folder = _path(config, "folder") or config.rootpath / "reports"
    paths = _paths(config, "report")
    for path in paths:
        if path.suffix not in SUFFIXES:
            raise pytest.UsageError(f"--gradient-report={path}: the name must end in one of {', '.join(SUFFIXES)}")
    journals = tuple(path for path in paths if path.suffix == ".jsonl")
    journal = journals[0] if journals else folder / f"{STEM}.jsonl"
    reports = tuple(path for path in paths if path.suffix != ".jsonl")
    if not paths:
        reports = tuple(journal.with_suffix(suffix) for suffix in DEFAULT_TYPES)
    rules = tuple(_values(config, "compare-fail"))
    compare = _text(config, "compare")
    if rules and not compare:
        raise pytest.UsageError("--gradient-compare-fail says when to fail; --gradient-compare must say against what")
    save = _text(config, "save")
    return Options(
        journal=journal,
        journals=journals[1:],
        reports=reports,
        explicit=(*paths, *([journal] if _path(config, "folder") else [])),
        title=_text(config, "title") or f"tests of {config.rootpath.name or 'this project'}",
        quiet=bool(_value(config, "quiet")),
        saved=_path(config, "saved") or folder / "saved",
        save=save,
        keep=_keep(config),
        compare=compare,
        rules=rules,
        compare_on_command_line=bool(config.getoption(_setting("compare"))),
    )


def _keep(config: pytest.Config) -> int | None:
    text = _text(config, "keep")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 10**6:
        raise pytest.UsageError(f"--gradient-keep={text}: takes a whole number of at least 1")
    return int(text)


def _value(config: pytest.Config, name: str) -> Any:
    given = config.getoption(_setting(name))
    return config.getini(_setting(name)) if given is None else given


def _text(config: pytest.Config, name: str) -> str:
    return str(_value(config, name) or "")


def _values(config: pytest.Config, name: str) -> list[str]:
    return [str(value) for value in _value(config, name) or ()]


def _path(config: pytest.Config, name: str) -> Path | None:
    text = _text(config, name)
    return _base(config, name) / Path(text).expanduser() if text else None


def _paths(config: pytest.Config, name: str) -> list[Path]:
    return list(dict.fromkeys(_base(config, name) / Path(text).expanduser() for text in _values(config, name)))


def _base(config: pytest.Config, name: str) -> Path:
    """Where a relative path begins: of an option where the user is, of a setting where the project is."""
    return config.invocation_params.dir if config.getoption(_setting(name)) else config.rootpath
