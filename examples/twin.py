"""A right example with one line changed: how every ``*_wrong.py`` of this folder is made.

The mistake stands alone on its page, ``right`` above ``wrong``, and everything else is sure to be the same.
"""

import linecache
from pathlib import Path
from types import ModuleType


def replaced(text, *, right, wrong):
    """``text`` with its one ``right`` replaced by ``wrong``."""
    if text.count(right) != 1:
        raise ValueError(f"the file must hold {right!r} once; it holds it {text.count(right)} times")
    return text.replace(right, wrong)


def changed(file, *, right, wrong):
    """The module in ``file``, next to this one, loaded afresh with ``wrong`` in the place of ``right``."""
    path = Path(__file__).with_name(file)
    source = replaced(path.read_text(encoding="utf-8"), right=right, wrong=wrong)
    module = ModuleType(f"{path.stem}_wrong", f"{file} with {wrong!r} in the place of {right!r}")
    module.__file__ = str(path)
    shown_as = f"{file} (one line changed)"
    linecache.cache[shown_as] = (len(source), None, source.splitlines(keepends=True), shown_as)  # for tracebacks
    exec(compile(source, shown_as, "exec"), module.__dict__)
    return module
