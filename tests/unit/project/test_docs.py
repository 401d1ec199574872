"""What the documents say of the code is true."""

import json
import re
import tomllib
from pathlib import Path

import pytest

from benchmarks.capacity import bodies_table, breakdown
from benchmarks.capacity import table as capacity_table
from benchmarks.costly_files import costly_table
from benchmarks.forms import forms_table
from benchmarks.overload import overload_table
from benchmarks.scoring import scoring_table
from benchmarks.speed import speed_table
from digits.gateway.settings import EdgeSettings
from digits.inference.settings import ServeSettings
from digits.settings import Settings

ROOT = Path(__file__).parents[3]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "kuberay" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


def bounds_of(constraints: list[object]) -> str:
    words = {"ge": ">= {}", "gt": "> {}", "le": "<= {}", "min_length": "not empty"}
    found = [
        text.format(getattr(constraint, name))
        for constraint in constraints
        for name, text in words.items()
        if getattr(constraint, name, None) is not None
    ]
    return ", ".join(found)


FIRST_COLUMN = {ServeSettings: "key", EdgeSettings: "`DIGITS_EDGE_...`"}


def settings_table(settings: type[Settings]) -> str:
    rows = [f"| {FIRST_COLUMN[settings]} | default | bounds | meaning |\n|---|---|---|---|\n"]
    for name, field in settings.model_fields.items():
        default = "" if field.is_required() or field.default in ((), None) else f"`{field.default}`"
        if settings is EdgeSettings:
            name = name.upper()
        rows.append(f"| `{name}` | {default} | {bounds_of(field.metadata)} | {field.description} |\n")
    return "".join(rows)


@pytest.mark.parametrize("settings", [ServeSettings, EdgeSettings])
def test_the_configuration_table_is_the_settings(settings: type[Settings]) -> None:
    name = settings.__name__
    (table,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", README, re.DOTALL)
    assert table == settings_table(settings)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_table_is_cut_off_from_its_header(document: Path) -> None:
    """Markdown shows rows as plain text when anything but a row follows the line under the header."""
    assert re.findall(r"^\|[-| :]+\|\n(?!\|).*$", document.read_text(), re.MULTILINE) == []


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in DOCUMENTS:
        code = "\n".join(re.findall(r"`make [^`]*`|^make .*$", document.read_text(), re.MULTILINE))
        assert set(re.findall(r"make ([a-z0-9-]+)", code)) <= targets, document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_is_linked_exists(document: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_decision_is_linked_from_the_architecture() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    assert [
        file.name for file in sorted((ROOT / "docs" / "decisions").glob("*.md")) if file.name not in text
    ] == []


def test_the_changelog_starts_with_the_projects_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    (latest, *_) = re.findall(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert latest == version


def test_the_invariants_name_tests_that_exist() -> None:
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs" / "architecture.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(("page", "least"), [("reliability.md", 10), ("kubernetes.md", 2)])
def test_the_promises_name_tests_that_exist(page: str, least: int) -> None:
    text = (ROOT / "docs" / page).read_text()
    sections = re.findall(r"^In `(tests/[\w/.]+)`\.(.*?)(?=\n## |\nIn `tests/|\Z)", text, re.DOTALL | re.M)
    assert len(sections) >= least
    for file, section in sections:
        named = re.findall(r"`(test_\w+)`", section)
        assert named
        source = (ROOT / file).read_text()
        assert [name for name in named if f"def {name}(" not in source] == [], file


def test_the_kubernetes_manual_names_tests_that_exist() -> None:
    """Each row of what happens on a change names its test: in containers (C) or on a cluster (K)."""
    text = (ROOT / "kuberay" / "README.md").read_text()
    files = {"C": "containers", "K": "kubernetes"}
    named = re.findall(r"\b([CK]) `(test_\w+)`", text)
    assert len(named) > 15
    for where, name in named:
        sources = [file.read_text() for file in (ROOT / "tests" / files[where]).glob("test_*.py")]
        assert any(f"def {name}(" in source for source in sources), name
    (table,) = re.findall(r"^\| to \| do \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    for row in table.splitlines()[2:-1]:
        assert "`test" in row.rsplit("|", 2)[1], row


def test_the_scaling_tables_follow_from_the_measured_costs() -> None:
    costs = json.loads((ROOT / "docs" / "benchmarks" / "cost.json").read_text())
    text = (ROOT / "docs" / "scaling.md").read_text()
    tables = {
        "breakdown": breakdown(costs), "capacity": capacity_table(costs), "bodies": bodies_table(costs),
    }  # fmt: skip
    for name, table in tables.items():
        (written,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
        assert written == table


def test_the_tables_of_pictures_follow_from_the_measurements() -> None:
    tables = {
        "speed": speed_table, "forms": forms_table, "overload": overload_table, "costly_files": costly_table,
        "scoring": scoring_table,
    }  # fmt: skip
    for name, table in tables.items():
        text = (ROOT / "docs" / ("scoring.md" if name == "scoring" else "benchmarks.md")).read_text()
        measured = json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text())
        (written,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
        assert written == table(measured), name
