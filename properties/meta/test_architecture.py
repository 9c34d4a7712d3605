"""The rooms are as docs/architecture.md shows them: its arrows are the imports that the code makes, and all lead down.

Imports are read from the source, those inside functions too; only what stands under TYPE_CHECKING is left out.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "bptt_check"
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
EVERYWHERE = {"errors", ""}  # "": the names of the package itself, such as its version
UPWARDS_INSIDE_FUNCTIONS = {("making", "forms"), ("results", "report")}


@dataclass(frozen=True)
class Import:
    """One module importing another: ``source`` and ``target`` are dotted; ``inside`` a function or not."""

    source: str
    target: str
    inside: bool
    foreign: bool = False

    @property
    def rooms(self) -> tuple[str, str]:
        return room(self.source), f"({self.target.partition('.')[0]})" if self.foreign else room(self.target)


def room(module: str) -> str:
    """The folder or file directly under the package, ``""`` for the package itself."""
    return module.partition(".")[2].partition(".")[0]


def modules_of(package: Path) -> dict[str, Path]:
    paths = {".".join(path.relative_to(package.parent).with_suffix("").parts): path for path in package.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in sorted(paths.items())}


def imports_of(package: Path) -> list[Import]:
    modules = modules_of(package)
    found = []
    for source, path in modules.items():
        for name, inside in names_imported(ast.parse(path.read_text(encoding="utf-8")), path, source):
            own = name.partition(".")[0] == package.name
            target = name if name in modules or not own else name.rpartition(".")[0]
            if own or name.partition(".")[0] not in sys.stdlib_module_names:
                found.append(Import(source, target, inside, foreign=not own))
    return found


def names_imported(node: ast.AST, path: Path, source: str, inside: bool = False) -> Iterator[tuple[str, bool]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            yield from ((alias.name, inside) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            parts = source.split(".")
            base = parts[: len(parts) - child.level + (path.name == "__init__.py")] if child.level else []
            start = ".".join([*base, *([child.module] if child.module else [])])
            yield from ((f"{start}.{alias.name}", inside) for alias in child.names)
        elif isinstance(child, ast.Call) and ast.unparse(child.func).rpartition(".")[2] == "import_module":
            yield from ((a.value, inside) for a in child.args if isinstance(a, ast.Constant))
        function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from names_imported(child, path, source, inside or function)


def arrows_of(page: str) -> dict[str, list[str]]:
    """The page's picture: each room with what it may import, from the top down."""
    (block,) = re.findall(r"^```arrows\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    lines = [line.partition("→") for line in block.splitlines() if line.strip()]
    return {name.strip(): [part.strip() for part in said.split(",") if part.strip()] for name, _, said in lines}


def against_the_picture(imports: list[Import], arrows: dict[str, list[str]]) -> list[str]:
    """What the code imports although the picture has no such arrow."""
    complaints = []
    for found in dict.fromkeys(imports):
        source, target = found.rooms
        if source == target or target in EVERYWHERE or (found.inside and (source, target) in UPWARDS_INSIDE_FUNCTIONS):
            continue
        if target not in arrows.get(source, []):
            complaints.append(f"{found.source} imports {found.target}: docs/architecture.md has no {source} → {target}")
    return complaints


def not_downwards(arrows: dict[str, list[str]]) -> list[str]:
    """Arrows of the picture that do not lead to a line further down."""
    order = list(arrows)
    own = [(a, b) for a, targets in arrows.items() for b in targets if not b.startswith("(")]
    return [f"{a} → {b}" for a, b in own if b not in order or order.index(b) <= order.index(a)]


def not_taken(imports: list[Import], arrows: dict[str, list[str]]) -> list[str]:
    """Arrows of the picture that no import takes."""
    taken = {found.rooms for found in imports}
    return [f"{a} → {b}" for a, targets in arrows.items() for b in targets if (a, b) not in taken]


def circles(imports: list[Import]) -> list[str]:
    """Modules that are reached from themselves by imports made when they are loaded."""
    ahead: dict[str, set[str]] = {}
    for found in imports:
        if not found.inside and not found.foreign and found.target != found.source:
            ahead.setdefault(found.source, set()).add(found.target)

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        todo = [start]
        while todo:
            for target in ahead.get(todo.pop(), set()) - seen:
                seen.add(target)
                todo.append(target)
        return seen

    return sorted(module for module in ahead if module in reached(module))


def not_on_the_page(package: Path, page: str) -> list[str]:
    """Modules that the page's list of rooms does not name under their folder."""
    listed, folder = set(), ""
    for line in page.partition("## Rooms")[2].partition("## Who")[0].splitlines():
        match = re.match(r"( {2,4})([\w/.]+)", line)
        if match and match[2].endswith("/"):
            folder = match[2]
        elif match:
            listed.add(("" if len(match[1]) == 2 else folder) + match[2])
    paths = {path.relative_to(package).as_posix() for path in package.rglob("*.py")}
    return sorted({path for path in paths if "/__init__" not in path} ^ listed)


IMPORTS = imports_of(PACKAGE)
ARROWS = arrows_of(PAGE)


def test_the_code_imports_along_the_arrows_only():
    assert against_the_picture(IMPORTS, ARROWS) == []
    assert len(IMPORTS) > 200


def test_all_arrows_lead_down():
    assert not_downwards(ARROWS) == []


def test_every_arrow_is_taken():
    assert not_taken(IMPORTS, ARROWS) == []


def test_no_module_waits_for_itself():
    assert circles(IMPORTS) == []


def test_the_page_names_every_module_and_no_other():
    assert not_on_the_page(PACKAGE, PAGE) == []


def test_the_equations_and_their_test_methods_never_meet():
    pairs = {found.rooms for found in IMPORTS}
    assert ("lstm", "differences") not in pairs and ("differences", "lstm") not in pairs
    assert {target for source, target in pairs if source in ("lstm", "differences")} <= {
        "lstm",
        "differences",
        "(numpy)",
    }


def test_reports_see_results_and_the_ledger_and_nothing_that_computes():
    seen = {target for source, target in (found.rooms for found in IMPORTS) if source == "report"}
    assert {"report", "results"} <= seen
    assert seen <= {"report", "results", "errors", "ledger", "tally", "equations", "mathml", ""}  # "": its version


def loaded_by(modules: str, path: Path) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after importing these."""
    code = f"import sys; sys.path.insert(0, {str(path)!r}); import {modules}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


@pytest.mark.parametrize(
    ("modules", "allowed"),
    [
        ("bptt_check, bptt_check.errors", set()),
        ("bptt_check.cli", set()),
        ("bptt_check.ledger", set()),
        ("bptt_check.plugin", {"pytest"}),
        ("bptt_check.report.files, bptt_check.report.journal", set()),
    ],
)
def test_importing_what_is_always_imported_costs_little(modules, allowed):
    assert loaded_by(modules, ROOT) & {"numpy", "scipy", "pytest", "hypothesis", "torch", "jax"} <= allowed


# Each of the above can fail: a small package in which everything that may not be done is done.

CODE = {
    "__init__.py": "import numpy",
    "results.py": "",
    "lstm/__init__.py": "",
    "lstm/forward.py": "def late():\n    from planted.differences import central",
    "differences/__init__.py": "",
    "differences/central.py": "import typing\nif typing.TYPE_CHECKING:\n    from planted.report import files",
    "report/__init__.py": "",
    "report/files.py": "from ..results import Result\nimport scipy.linalg",
    "subject.py": "from planted import forms",
    "forms.py": "import planted.subject",
}
PICTURE = """
## Rooms
planted/
  __init__.py  names
  results.py   records
  lstm/        equations
    forward.py   F1
  report/      pages
    gone.py      not there any more
## Who
```arrows
forms        → subject
report       → results
lstm         →
results      → lstm, report
subject      →
```
"""


@pytest.fixture
def planted(tmp_path):
    package = tmp_path / "planted"
    for name, code in CODE.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    return package


def test_an_import_without_an_arrow_is_seen(planted):
    said = against_the_picture(imports_of(planted), arrows_of(PICTURE))
    assert said == [
        "planted imports numpy: docs/architecture.md has no  → (numpy)",
        "planted.lstm.forward imports planted.differences.central: docs/architecture.md has no lstm → differences",
        "planted.report.files imports scipy.linalg: docs/architecture.md has no report → (scipy)",
        "planted.subject imports planted.forms: docs/architecture.md has no subject → forms",
    ]


def test_an_arrow_that_leads_up_is_seen():
    assert not_downwards(arrows_of(PICTURE)) == ["results → lstm", "results → report"]


def test_an_arrow_that_nothing_takes_is_seen(planted):
    assert not_taken(imports_of(planted), arrows_of(PICTURE)) == ["results → lstm", "results → report"]


def test_a_circle_is_seen(planted):
    assert circles(imports_of(planted)) == ["planted.forms", "planted.subject"]


def test_a_module_that_the_page_lacks_is_seen_and_one_that_is_gone(planted):
    said = ["differences/central.py", "forms.py", "report/files.py", "report/gone.py", "subject.py"]
    assert not_on_the_page(planted, PICTURE) == said


def test_an_import_that_costs_is_seen(planted):
    assert "numpy" in loaded_by("planted", planted.parent)
