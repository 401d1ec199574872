"""The import table of docs/architecture.md, executed."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "digits"
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def read_table() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The table's rows: | `module` | may import | the only door to |"""
    may_import, owns = {}, {}
    for line in (ROOT / "docs" / "architecture.md").read_text().splitlines():
        if row := re.fullmatch(r"\| `(\w+)` \|(.*?)\|(.*?)\|", line):
            may_import[row[1]] = set(re.findall(r"`(\w+)`", row[2]))
            owns[row[1]] = set(re.findall(r"`([\w.]+)`", row[3]))
    return may_import, owns


MAY_IMPORT, OWNS = read_table()
OWNER = {library: module for module, libraries in OWNS.items() for library in libraries}


def imports(module: str) -> set[str]:
    """Every dotted name that the module imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_the_table_lists_every_module() -> None:
    assert sorted(MAY_IMPORT) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_table_allows(module: str) -> None:
    own = {name.split(".")[1] for name in imports(module) if name.startswith("digits.")}
    assert own <= MAY_IMPORT[module]


@pytest.mark.parametrize("module", MODULES)
def test_a_heavy_library_has_one_door(module: str) -> None:
    for name in imports(module):
        for library, owner in OWNER.items():
            if name == library or name.startswith(library + "."):
                assert owner == module, f"{module} imports {name}, whose door is {owner}"


def test_the_table_has_no_cycle() -> None:
    done: set[str] = set()
    while ready := {module for module in MAY_IMPORT.keys() - done if MAY_IMPORT[module] <= done}:
        done |= ready
    assert done == set(MAY_IMPORT)


LIGHT = {"ray", "tensorflow", "keras", "mlflow", "matplotlib", "sklearn"}


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ("serving", "training")])
def test_importing_a_module_loads_no_heavy_library(module: str) -> None:
    script = f"import sys, digits.{module}; print(*({LIGHT!r} & sys.modules.keys()))"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split() == []


def test_the_unit_tests_have_loaded_neither_ray_nor_tensorflow() -> None:
    tests = Path(__file__).parent.glob("test_*.py")
    for path in tests:
        for node in ast.walk(ast.parse(path.read_text())):
            names = {alias.name for alias in node.names} if isinstance(node, ast.Import) else set()
            if isinstance(node, ast.ImportFrom):
                names = {node.module or ""}
            assert not {name.split(".")[0] for name in names} & {"ray", "tensorflow", "keras"}, path
