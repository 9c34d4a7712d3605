"""``bptt-check init`` and ``demo``: the first two minutes."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from bptt_check.commands.ending import AGREES, program, say

STYLES = ("functions", "cell", "object", "vjp", "update", "torch", "jax", "c")


def add(commands: Any) -> None:
    """Declare the commands among the others."""
    init = commands.add_parser("init", help="write a small running file to start from", allow_abbrev=False)
    init.add_argument("file", metavar="FILE.py")
    init.add_argument("--style", choices=STYLES, default="cell", help="how your backward pass looks (default cell)")
    init.set_defaults(run=run_init)
    demo = commands.add_parser("demo", help="show a planted mistake being found", allow_abbrev=False)
    demo.set_defaults(run=run_demo)


def run_init(options: argparse.Namespace) -> int:
    """Write the file, and say what to do with it."""
    from bptt_check import starting

    starting.write(options.file, options.style)
    say(f"wrote {options.file}; verify it with  {program()} verify {options.file}")
    return AGREES


def run_demo(options: argparse.Namespace) -> int:
    """Show the demonstration."""
    from bptt_check import starting

    return int(starting.demo(sys.stdout))
