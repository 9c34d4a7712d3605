"""The smallest failing case of a cell: its numbers are drawn by Hypothesis, and it is held so that it fails again."""

from __future__ import annotations

import json
from pathlib import Path

from bptt_check.cli import main

WRONG = """
import numpy as np


class Leaky:
    state = ("h",)

    def parameters(self, D, H):
        return {"W": (H, D), "u": (H,)}

    def forward(self, p, x, prev, tap):
        h = np.tanh(x @ p["W"].T + p["u"] * prev["h"])
        return {"h": h}, (x, prev["h"], h)

    def backward(self, p, cache, d):
        x, before, h = cache
        dz = (1 - h**2) * d["h"]
        return {"W": dz.T @ x, "u": (dz * h).sum(axis=0)}, dz @ p["W"], {"h": p["u"] * dz}  # h for h(t−1)
"""


def test_the_smallest_failing_case_of_a_cell_has_simple_numbers_and_fails_again(tmp_path: Path, capsys) -> None:
    file, reports = tmp_path / "leaky.py", tmp_path / "reports"
    file.write_text(WRONG, encoding="utf-8")
    assert main(["verify", str(file), "--reports", str(reports), "--cases", "1", "--quiet"]) == 1
    said = capsys.readouterr().out
    case = reports / "leaky.case.json"
    held = json.loads(case.read_text(encoding="utf-8"))
    assert held["shape"] == {"T": 1, "B": 1, "D": 1, "H": 1}
    assert {abs(value) for array in held["point"].values() for value in array["values"]} <= {0.5, 0.625, 0.75, 0.875, 1}
    assert f"--case {case}" in said
    assert main(["verify", str(file), "--case", str(case), "--reports", str(reports), "--quiet"]) == 1
