"""The code follows the import table of docs/architecture.md, and the maps show the whole package."""

import ast
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

import digits
from tests.source import MODULES, PACKAGE, ROOMS, imports, own_imports, room_of, tree_of

ROOT = PACKAGE.parent
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
SHARED = [module for module in MODULES if "." not in module]


def read_table() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Returns for each room those it may import, and for each library the modules that may import it."""
    may_import = {}
    doors: dict[str, set[str]] = defaultdict(set)
    for line in ARCHITECTURE.splitlines():
        if row := re.fullmatch(r"\| `(\w+)/?` \|(.*?)\|(.*?)\|", line):
            may_import[row[1]] = set(re.findall(r"`(\w+)/`", row[2]))
            for library, modules in re.findall(r"`([\w.]+)` in ((?:(?:, | and )?`\w+\.py`)+)", row[3]):
                doors[library] |= {f"{row[1]}.{module}" for module in re.findall(r"(\w+)\.py", modules)}
    return may_import, doors


MAY_IMPORT, DOORS = read_table()


def test_the_table_lists_every_room() -> None:
    assert sorted(MAY_IMPORT.keys() - set(SHARED)) == ROOMS


def test_the_package_map_lists_every_room_and_shared_module() -> None:
    """The docstring of digits/__init__.py: a line for each folder and each module beside them."""
    mapped = re.findall(r"^    (\w+)(?:/|\.py) ", digits.__doc__ or "", re.MULTILINE)
    assert sorted(mapped) == sorted([*ROOMS, *SHARED])


def test_the_diagram_shows_every_room() -> None:
    (diagram,) = re.findall(r"```text\n(.*?)```", ARCHITECTURE, re.DOTALL)
    assert set(re.findall(r"\b(\w+)/", diagram)) == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_describes_each_of_its_modules(room: str) -> None:
    """Its docstring names them in reading order."""
    tree = ast.parse((PACKAGE / room / "__init__.py").read_text())
    text = ast.get_docstring(tree) or ""
    described = re.findall(r"^(\w+)  ", text, re.MULTILINE)
    own = [module.partition(".")[2] for module in MODULES if module.startswith(f"{room}.")]
    assert sorted(described) == sorted(set(own) - {"__main__"})


@pytest.mark.parametrize("folder", ["project", "testkit"])
def test_a_folder_beside_the_package_has_a_map_too(folder: str) -> None:
    described = re.findall(
        r"^(\w+\.py)  ", ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text())) or "", re.M
    )
    files = {file.name for file in (ROOT / folder).glob("*.py")} - {"__init__.py"}
    assert sorted(described) == sorted(files)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_the_table_allows(module: str) -> None:
    room = room_of(module)
    others = {room_of(name) for name in own_imports(module)} - {room, *SHARED}
    assert others <= MAY_IMPORT.get(room, set())


@pytest.mark.parametrize("module", MODULES)
def test_a_heavy_library_has_one_door(module: str) -> None:
    for name in imports(tree_of(module)):
        for library, doors in DOORS.items():
            if name == library or name.startswith(library + "."):
                assert module in doors, f"{module} imports {name}, whose door is {doors}"


def test_no_module_imports_itself_through_others() -> None:
    done: set[str] = set()
    left = {module: own_imports(module) - {module} for module in MODULES}
    while ready := {module for module in left.keys() - done if left[module] <= done}:
        done |= ready
    assert sorted(left.keys() - done) == []


HEAVY = {"ray", "tensorflow", "keras", "mlflow", "matplotlib", "sklearn"}
RAYS = (
    "serving.deployment", "serving.handover", "serving.metrics", "scoring.run", "search.tuning",
    "streaming.pipeline", "training.run", "training.worker",
)  # fmt: skip


@pytest.mark.parametrize("module", [module for module in MODULES if module not in RAYS])
def test_importing_a_module_loads_no_heavy_library(module: str) -> None:
    script = f"import sys, digits.{module}; print(*({HEAVY!r} & sys.modules.keys()))"
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert result.stdout.split() == []


def test_the_unit_tests_load_neither_ray_nor_tensorflow() -> None:
    for path in Path(__file__).parents[1].rglob("test_*.py"):
        names = {name.split(".")[0] for name in imports(ast.parse(path.read_text()))}
        assert not names & {"ray", "tensorflow", "keras"}, path
