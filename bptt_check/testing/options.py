"""What a run was asked for, by options of the command line and settings of the project; the command line wins."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from bptt_check.report.places import RUNNING
from bptt_check.testing.declared import setting

SUFFIXES = (".jsonl", ".json", ".md", ".html", ".xml")
STEM = "gradients"
DEFAULT_TYPES = (".json", ".md", ".html")
FOLDER, TROUBLE, UNWRITABLE = "bptt_check_folder", "bptt_check_trouble", "bptt_check_unwritable"  # between processes


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


@dataclass(frozen=True)
class Options:
    """What a run was asked for.

    ``explicit`` are the paths that someone named; ``reports`` are all but the journal. ``wants`` names an option of the
    command line that cannot be met where no test leaves a result. ``base`` is where the path of a run begins.
    """

    journal: Path
    reports: tuple[Path, ...]
    explicit: tuple[Path, ...]
    title: str
    quiet: bool
    runs: Path
    save: str
    keep: str
    compare: str
    base: Path
    rules: tuple[str, ...]
    wants: str


def depth_of(config: pytest.Config) -> Depth:
    """Return the depth asked for. Raises ``pytest.UsageError`` for one that does not exist."""
    name = _text(config, "depth") or "normal"
    if name not in DEPTHS:
        raise pytest.UsageError(f"--gradient-depth={name}: takes {', '.join(DEPTHS)}")
    return DEPTHS[name]


def asked(config: pytest.Config) -> Options:
    """Return what the run was asked for, read once. Raises ``pytest.UsageError`` as :func:`options_of` does."""
    if _ASKED not in config.stash:
        config.stash[_ASKED] = options_of(config)
    return config.stash[_ASKED]


_ASKED: pytest.StashKey[Options] = pytest.StashKey()


def running_folder(config: pytest.Config) -> Path:
    """Return a folder that this run alone writes to, beside the place of its journal; it is not made here."""
    journal = asked(config).journal
    return journal.with_name(f"{journal.stem}{RUNNING}{secrets.token_hex(4)}")


def came_to_its_end(exitstatus: int) -> bool:
    """Whether a session with this status has run what it meant to run: not interrupted, no internal error."""
    return int(exitstatus) in (0, 1, 5)


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
    reports = tuple(path for path in paths if path != journal)
    if not paths:
        reports = tuple(journal.with_suffix(suffix) for suffix in DEFAULT_TYPES)
    rules = tuple(_values(config, "fail-on"))
    compare, save, keep = (_text(config, name) for name in ("compare", "save", "keep"))
    if rules and not compare:
        raise pytest.UsageError("--gradient-fail-on says when to fail; --gradient-compare must say beside what")
    if keep and not save and config.getoption(setting("keep")):
        raise pytest.UsageError("--gradient-keep says how many runs to keep; --gradient-save must say under which name")
    return Options(
        journal=journal,
        reports=reports,
        explicit=(*paths, *([journal] if _path(config, "folder") else [])),
        title=_text(config, "title") or f"tests of {config.rootpath.name or 'this project'}",
        quiet=bool(_value(config, "quiet")),
        runs=_path(config, "runs") or folder / "runs",
        save=save,
        keep=keep,
        compare=compare,
        base=_base(config, "compare"),
        rules=rules,
        wants=next((f"--gradient-{n}" for n in ("compare", "save", "report") if config.getoption(setting(n))), ""),
    )


def _value(config: pytest.Config, name: str) -> Any:
    given = config.getoption(setting(name))
    return config.getini(setting(name)) if given is None else given


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
    return config.invocation_params.dir if config.getoption(setting(name)) else config.rootpath
