"""From a file or module to the subject that it defines. Runs in a process of its own, beside the code under test."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bptt_check.campaign.shapes import LETTERS
from bptt_check.errors import SubjectError, UsageError
from bptt_check.forms.builtin import replace_arrays
from bptt_check.lstm.losses import Loss
from bptt_check.subject import Array, Subject

CELL = ("state", "parameters", "forward", "backward")
UNNAMED = ("loss", "forward", "function", "make", "<lambda>")  # what a subject is called whose author gave it no name
ACCEPTED = (
    "a function subject(T, B, D, H, rng), a bptt_check.Subject named subject, "
    "or a cell (state, parameters, forward, backward)"
)


@dataclass(frozen=True)
class Target:
    """What a file defines: how to make its subject, and which of T, B, D, H that takes.

    ``kind``: ``"cell"``, ``"function"`` or ``"subject"``. ``own_loss``: the file brings a loss for its cell.
    """

    kind: str
    name: str
    takes: tuple[str, ...]
    make: Callable[[Mapping[str, int], int, str | None, Mapping[str, Array]], Subject]
    own_loss: bool = False


def load(target: str) -> Target:
    """Import ``target`` (``FILE.py``, ``FILE.py:name`` or ``package.module:name``) and find what it defines.

    Raises
    ------
    UsageError
        Where it does not import or defines nothing usable; one line that says what to do.
    """
    place, _, name = target.partition(":") if ".py" not in target else _split_file(target)
    is_file = place.endswith(".py") or Path(place).is_file()
    module = _imported(lambda: _from_file(Path(place)) if is_file else _from_name(place), place)
    loss = getattr(module, "loss", None)
    value = _attribute(module, name, place) if name else _found(module, place)
    return _as_target(value, name or place, loss if isinstance(loss, Loss) else None)


def _split_file(target: str) -> tuple[str, str, str]:
    place, extension, name = target.rpartition(".py:")
    return (place + ".py", ":", name) if extension else (target, "", "")


def _from_file(path: Path) -> ModuleType:
    sys.path.insert(0, str(path.resolve().parent))
    name = (
        path.stem
        if path.stem.isidentifier() and path.stem not in sys.modules
        else f"_{abs(hash(path.stem))}_under_test"
    )
    spec = importlib.util.spec_from_loader(name, importlib.machinery.SourceFileLoader(name, str(path)))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _from_name(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _imported(importing: Callable[[], ModuleType], place: str) -> ModuleType:
    try:
        return importing()
    except SystemExit as error:
        raise UsageError(
            f"{place} calls sys.exit({error.code!r}) when it is imported; "
            "put what runs it under if __name__ == '__main__':"
        ) from None
    except SyntaxError as error:
        where = "" if error.filename in (None, place) else f"{error.filename}, "
        raise UsageError(f"{place} is not Python: {error.msg} ({where}line {error.lineno})") from None
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{place} cannot be imported: {error}{_where(error, place)}; install it or mend the name"
        ) from None
    except BaseException as error:
        raise UsageError(f"{place} cannot be imported: {type(error).__name__}: {error}{_where(error, place)}") from None


def _where(error: BaseException, place: str) -> str:
    """The last line of the file itself that the error went through."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).name == Path(place).name
    ]
    return f" (line {lines[-1]})" if lines else ""


def _attribute(module: ModuleType, name: str, place: str) -> Any:
    found: Any = module
    for part in name.split("."):
        if not hasattr(found, part):
            offered = ", ".join(key for key in vars(module) if not key.startswith("_")) or "nothing"
            raise UsageError(f"{place} has no {name}; it defines {offered}")
        found = getattr(found, part)
    return found


def _found(module: ModuleType, place: str) -> Any:
    for name in ("subject", "cell"):
        if hasattr(module, name):
            return getattr(module, name)
    own = {name: value for name, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__}
    usable = {name: value for name, value in own.items() if _is_cell(value)}
    usable |= {name: value for name, value in vars(module).items() if isinstance(value, Subject)}
    if len(usable) == 1:
        return next(iter(usable.values()))
    if usable:
        first = next(iter(usable))
        raise UsageError(f"{place} defines {', '.join(usable)}; say which is meant, as {place}:{first}")
    for name, value in own.items():
        has = [part for part in CELL if hasattr(value, part)]
        if {"forward", "backward"} <= set(has):
            lacks = ", ".join(part for part in CELL if part not in has)
            raise UsageError(
                f"{place}: {name} has {', '.join(has)} but no {lacks}, so it is not a cell; "
                f"{place} must define {ACCEPTED}"
            )
    raise UsageError(
        f"{place} defines nothing to verify; it must define {ACCEPTED}; bptt-check init FILE.py writes one"
    )


def _is_cell(value: Any) -> bool:
    return all(hasattr(value, part) for part in CELL)


def _as_target(value: Any, name: str, own: Loss | None) -> Target:
    """What ``value`` is. ``name`` is how reports call a function: by the file where it is the file's ``subject``."""
    if isinstance(value, Subject):
        return Target("subject", value.name, (), lambda lengths, seed, loss, arrays: with_arrays(value, arrays))
    if _is_cell(value):
        label = value.__name__ if isinstance(value, type) else type(value).__name__
        return Target("cell", label, LETTERS, lambda *case: _subject_of_cell(value, own, *case), own is not None)
    if callable(value):
        takes = _takes(value)
        label = Path(name).stem if name.endswith(".py") else name
        return Target("function", label, takes, lambda *case: _subject_of_function(value, label, takes, *case))
    raise UsageError(f"{name} is of type {type(value).__name__}; it must be {ACCEPTED}")


def _takes(function: Any) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return LETTERS
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return LETTERS
    unknown = [
        name
        for name, parameter in parameters.items()
        if name not in (*LETTERS, "rng")
        and parameter.default is parameter.empty
        and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    if unknown:
        raise UsageError(f"subject(…) asks for {', '.join(unknown)}; it is called with T, B, D, H and rng, by name")
    return tuple(letter for letter in LETTERS if letter in parameters)


def _subject_of_cell(
    cell: Any, own: Loss | None, lengths: Mapping[str, int], seed: int, loss: str | None, arrays: Mapping[str, Array]
) -> Subject:
    T, B, D, H = (lengths[letter] for letter in LETTERS)
    return Subject.from_cell(cell, T=T, B=B, D=D, H=H, loss=loss or own or "euclidean", rng=seed, point=arrays)


def _subject_of_function(
    function: Any, label: str, takes: tuple[str, ...], lengths: Mapping[str, int], seed: int, loss: str | None,
    arrays: Mapping[str, Array],
) -> Subject:  # fmt: skip
    given: dict[str, Any] = {letter: lengths[letter] for letter in takes}
    if _wants_rng(function):
        given["rng"] = np.random.default_rng(seed)
    made = function(**given)
    if not isinstance(made, Subject):
        raise SubjectError(f"{label}(…) must return a bptt_check.Subject; it returned {type(made).__name__}")
    if made.name in UNNAMED:
        made = replace(made, name=label)
    return with_arrays(made, arrays)


def _wants_rng(function: Any) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return True
    return "rng" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def with_arrays(subject: Subject, arrays: Mapping[str, Array]) -> Subject:
    """The subject at another point: ``arrays`` replace those of the same name. Raises ``SubjectError`` for others."""
    return replace(subject, point=replace_arrays(subject.point, arrays)) if arrays else subject


def load_arrays(path: str) -> dict[str, Array]:
    """The arrays of an ``.npz`` file, never unpickled.

    Raises
    ------
    UsageError
        Where it cannot be read or holds pickled objects.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise UsageError(f"--point {path} holds one bare array; save named arrays with numpy.savez")
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except UsageError:
        raise
    except Exception as error:  # zipfile and NumPy raise many kinds for a file that is not one of theirs
        why = "it would have to be unpickled, which is never done" if "pickle" in str(error) else str(error)
        raise UsageError(f"--point {path} cannot be read as an .npz of plain arrays: {why}") from None
