"""Types of arguments, and the options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def common(parser: argparse.ArgumentParser, **defaults: Any) -> None:
    """Options that may stand on either side of ``verify``; behind it they have no default that could undo the first."""

    def add(name: str, text: str, **options: Any) -> None:
        parser.add_argument(f"--{name}", help=text, default=defaults.get(name, argparse.SUPPRESS), **options)

    add("seed", "seed of all random numbers (default 0)", type=seed, metavar="N")
    add("reports", "folder of the reports (default reports)", type=Path, metavar="DIR")
    add("quiet", "print the verdict and how to reproduce a failure, nothing else", action="store_true")


def reports(parser: argparse.ArgumentParser) -> None:
    """The folder of the reports, for a command that needs nothing else of :func:`common`."""
    parser.add_argument(
        "--reports", help="folder of the reports (default reports)", default=argparse.SUPPRESS, type=Path, metavar="DIR"
    )


def count(text: str) -> int:
    """A whole number of at least 1."""
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text[:9]) <= 10**7:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seed(text: str) -> int:
    """A whole number of at least 0."""
    if not text.isascii() or not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def seconds(text: str) -> float:
    """A length of time above 0."""
    return _number(text, 0.01, 1e6, "a number of seconds above 0")


def fraction(text: str) -> float:
    """A relative error."""
    return _number(text, 1e-15, 1.0, "a number between 1e-15 and 1")


def _number(text: str, low: float, high: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value


def names(text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def existing(text: str) -> str:
    """The path of a file that is there."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text}")
    return text
