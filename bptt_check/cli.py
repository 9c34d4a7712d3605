"""The command ``bptt-check``. Its commands are in ``commands/``; they import what they need when they run, so that
``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from bptt_check import __version__
from bptt_check.commands import builtin, catalogue, reports, starting, verify
from bptt_check.commands.ending import EXIT_CODES, INTERRUPTED, USAGE, program
from bptt_check.errors import BpttCheckError

FAMILIES = (verify, catalogue, reports, starting)  # in the order in which --help lists them


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments`` (those of the process where not given) and return its exit code."""
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.run
    try:
        return command(options)
    except KeyboardInterrupt:
        print(f"\n{program()}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BpttCheckError as error:
        print(f"{program()}: {error}", file=sys.stderr)
        return USAGE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program(),
        description="Prove, or disprove, a backward pass that you derived by hand. "
        "Without a command: verify the built-in LSTM cells over random cases, and write the reports.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"bptt-check {__version__}")
    builtin.add(parser)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for family in FAMILIES:
        family.add(commands)
    return parser
