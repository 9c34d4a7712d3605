"""Draws the picture of the README anew: its wrong cell, checked at many shapes of one step, as the reports draw it.

    python docs/pictures/draw.py

One step, because there a wrong line shows in what follows from it within the step and nowhere else.
"""

from __future__ import annotations

import contextlib
import io
import re
import sys
from pathlib import Path
from typing import Any

from bptt_check import Subject, check
from bptt_check.report.page_style import STYLE
from bptt_check.report.plots import errors_picture
from bptt_check.report.record import record_of
from bptt_check.report.runlog import RunLog
from bptt_check.report.summary import summarise

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
SHAPES = [(B, D, H) for B in (1, 2, 3) for D in (1, 2, 4) for H in (1, 2, 3)]


def wrong_cell() -> Any:
    """The class that the README's first block of Python defines."""
    block = re.search(r"^```python\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert block is not None, "README.md has no block of Python"
    module: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(block[1], module)
    return module["LSTM"]


def picture() -> str:
    """The picture as a file of its own, with the colours of a report, light and dark."""
    cell = wrong_cell()
    records = []
    for seed, (B, D, H) in enumerate(SHAPES):
        records.append(record_of(check(Subject.from_cell(cell, T=1, B=B, D=D, H=H, rng=seed))))
    svg = errors_picture(summarise(RunLog(title="README", planned=len(records), records=tuple(records), ended=True)))
    return standalone(svg)


def standalone(svg: str) -> str:
    """A picture of a report as a file of its own: its name space, its width, and the colours and rules it needs."""
    ground = 'xmlns="http://www.w3.org/2000/svg" width="760"'
    style = "\n".join(line for line in _screen(STYLE).splitlines() if line.strip())
    return svg.replace("<svg ", f"<svg {ground} ", 1).replace(">", f"><style>{style}</style>", 1) + "\n"


def _screen(style: str) -> str:
    """What of the style sheet a picture needs: the colours, and the rules for pictures."""
    colours = style[: style.index("* {")]
    rules = re.findall(r"^svg .*$", style, re.MULTILINE)
    return colours + "\n".join(rules) + "\nsvg { background: var(--page); }"


if __name__ == "__main__":
    target = HERE / "wrong-line.svg"
    target.write_text(picture(), encoding="utf-8")
    print(f"{target.name}: {target.stat().st_size} bytes", file=sys.stderr)
