"""The generated parts of the reference pages are what the code says today."""

import pytest

from digits.cli.main import COMMANDS
from digits.gateway.environment import read_serve_env
from digits.inference.counters import BATCH_SIZES, CONFIDENCES
from digits.models.manifest import Manifest
from project.documents import DOCS, ROOT, with_parts
from project.facts import command_help, environment_table, metrics_table, routes_table
from project.reference import GENERATED, fresh
from tests.rules.monitoring import own_metrics


@pytest.mark.parametrize("page", GENERATED)
def test_a_generated_page_is_fresh(page: str) -> None:
    assert (ROOT / page).read_text() == fresh(page), "run `make reference`"


def test_a_page_without_a_place_for_a_part_is_an_error() -> None:
    assert with_parts("a\n<!-- x -->\nold\n<!-- /x -->\n", [("x", lambda: "new\n")]).count("new") == 1
    for page in ("a\n", "<!-- x -->\nold\n"):
        with pytest.raises(ValueError, match=r"no place <!-- x --> \.\.\. <!-- /x -->"):
            with_parts(page, [("x", str)])


def test_every_metric_is_listed_with_its_labels() -> None:
    table = metrics_table()
    assert len(own_metrics()) > 8
    for name, kind, labels in own_metrics():
        (row,) = [line for line in table.splitlines() if line.startswith(f"| `ray_{name}` | {kind} |")]
        assert [label for label in labels if f"`{label}`" not in row] == []


def test_the_bounds_of_a_counter_are_those_of_its_text() -> None:
    for name, bounds in (("batches", BATCH_SIZES), ("confidences", CONFIDENCES)):
        (row,) = [line for line in metrics_table().splitlines() if f"`ray_digits_{name}_total`" in line]
        assert f": {', '.join(f'{bound:g}' for bound in bounds)}. |" in row


def test_every_variable_of_serve_env_has_its_reason() -> None:
    rows = environment_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(read_serve_env())
    assert [row for row in rows if row.endswith("|  |") or row.endswith("| |")] == []


def test_every_command_and_route_is_listed() -> None:
    shown = command_help()
    assert [name for name in COMMANDS if f"## digits {name}\n" not in shown] == []
    assert "--min-test-images" in shown
    assert "`POST /predict`" in routes_table()


def test_the_page_of_files_lists_every_key_of_a_manifest() -> None:
    page = (DOCS / "reference" / "files.md").read_text()
    assert [key for key in Manifest.model_fields if f"`{key}`" not in page] == []
