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
from benchmarks.start import start_table
from benchmarks.streaming import streaming_table
from benchmarks.training_step import training_step_table
from project.documents import DOCUMENTS, ROOT


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_table_is_cut_off_from_its_header(document: Path) -> None:
    """Markdown shows rows as plain text when anything but a row follows the line under the header."""
    assert re.findall(r"^\|[-| :]+\|\n(?!\|).*$", document.read_text(), re.MULTILINE) == []


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
    assert "no test" not in text
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


def test_other_tables_follow_from_the_measurements() -> None:
    tables = {
        "speed": speed_table, "forms": forms_table, "overload": overload_table, "costly_files": costly_table,
        "scoring": scoring_table, "start": start_table, "training_step": training_step_table,
        "streaming": streaming_table,
    }  # fmt: skip
    pages = {
        "scoring": "scoring.md", "start": "operations.md", "training_step": "training.md",
        "streaming": "training.md",
    }  # fmt: skip
    for name, table in tables.items():
        text = (ROOT / "docs" / pages.get(name, "benchmarks.md")).read_text()
        measured = json.loads((ROOT / "docs" / "benchmarks" / f"{name}.json").read_text())
        (written,) = re.findall(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", text, re.DOTALL)
        assert written == table(measured), name
