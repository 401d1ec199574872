"""The report: one file that loads nothing, with the figures of both models and the gate's objections."""

import base64
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from digits.corpus.examples import sample
from digits.errors import InvalidSettings, ModelRejected
from digits.models.manifest import read_manifest
from digits.models.runtime import DigitModel
from digits.registry.gate import GateSettings
from digits.registry.source import open_source
from digits.report.answers import Answers, Wrong, answers_of
from digits.report.page import page
from digits.report.report import report
from digits.task import CLASSES, SIDE, ModelVersion
from digits.training.data import Dataset, load
from digits.training.evaluation import Evaluation

STARTER = "models/starter"
KINDS = ("canvas_white_on_black", "grey_28")


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load("sklearn-digits")


@pytest.fixture(scope="module")
def starter(dataset: Dataset) -> Answers:
    examples = list(sample("judge", 1, 2, KINDS))
    return answers_of(open_source(STARTER, "unused"), dataset, examples)


def with_accuracy(answers: Answers, accuracy: float, version: str) -> Answers:
    return replace(
        answers, evaluation=replace(answers.evaluation, accuracy=accuracy),
        version=ModelVersion("digits", version, "0" * 64),
    )  # fmt: skip


def test_the_file_loads_nothing_and_runs_nothing(starter: Answers, dataset: Dataset) -> None:
    html = page(starter, with_accuracy(starter, 0.5, "2"), dataset, [])
    found = Tags(html)
    assert found.tags.isdisjoint({"script", "link", "iframe", "object", "base", "form"})
    assert found.addresses
    assert all(address.startswith("data:image/") for address in found.addresses)
    assert "url(" not in html
    assert "@import" not in html
    assert "://" not in re.sub(r"base64,[\w+/=]+", "", html)


def test_the_figures_are_those_of_the_evaluation(starter: Answers, dataset: Dataset) -> None:
    """Accuracy, slices, kinds and labels of the model, and the difference to the champion's."""
    text = Tags(page(starter, with_accuracy(starter, 0.5, "2"), dataset, [])).text
    accuracy = starter.evaluation.accuracy
    assert f"accuracy{accuracy:.2%}50.00%{accuracy - 0.5:+.2%}" in text.replace("\n", "")
    for name, share in (starter.evaluation.slices | starter.kinds).items():
        assert f"{name}{share:.2%}{share:.2%}" in text
    assert text.count("digits 2") > 3


def test_a_worse_figure_is_marked_as_worse(starter: Answers, dataset: Dataset) -> None:
    better, worse = (with_accuracy(starter, share, "2") for share in (0.9999, 0.1))
    assert '<span class="worse">' in page(starter, better, dataset, [])
    assert '<span class="worse">' not in page(starter, worse, dataset, [])
    assert '<span class="better">' in page(starter, worse, dataset, [])


def test_two_models_of_one_version_are_told_apart(starter: Answers, dataset: Dataset) -> None:
    """Such as those of two folders with the same name: by their SHA-256, and with a line each in the plot."""
    one, two = (replace(starter, version=ModelVersion("digits", "a", letter * 64)) for letter in ("1", "2"))
    names = ["digits a (11111111)", "digits a (22222222)"]
    found = Tags(page(one, two, dataset, []))
    assert all(found.text.count(name) > 3 for name in names)
    plot = base64.b64decode(found.addresses[0].partition("base64,")[2]).decode()
    assert all(f"<!-- {name} -->" in plot for name in names)


def test_the_gates_objections_are_listed(starter: Answers, dataset: Dataset) -> None:
    text = Tags(page(starter, None, dataset, ["one <b> reason"])).text
    assert "would not promote" in text
    assert "one <b> reason" in text
    assert "The gate would promote this model" in Tags(page(starter, None, dataset, [])).text


def test_text_of_a_manifest_is_no_html(starter: Answers, dataset: Dataset) -> None:
    manifest = starter.manifest.model_copy(update={"command": "python <script>alert(1)</script>"})
    assert "script" not in Tags(page(replace(starter, manifest=manifest), None, dataset, [])).tags


def test_wrong_pictures_are_shown_with_what_the_model_saw(starter: Answers, dataset: Dataset) -> None:
    (example,) = sample("judge", 1, 1, KINDS[:1])
    seen = Wrong(example, "several_digits", 0.5, np.zeros((SIDE, SIDE), np.uint8))
    unreadable = Wrong(example, "image_blank", 0.0, None)
    before = Tags(page(replace(starter, wrong=()), None, dataset, [])).addresses
    found = Tags(page(replace(starter, wrong=(seen, unreadable)), None, dataset, []))
    assert len(found.addresses) - len(before) == 3
    assert f"{example.kind}: {example.label} read as several_digits, 50%" in found.text


def test_answers_of_pictures_are_the_services(starter: Answers) -> None:
    """Of each kind the share that is read right; groups without pictures are left out."""
    assert starter.kinds.keys() == set(KINDS)
    assert all(0.5 <= share <= 1 for share in starter.kinds.values())
    assert len(starter.wrong) == sum(round(2 * (1 - share)) for share in starter.kinds.values())
    assert starter.groups.keys() == {"drawings", "formats"}


class MovingAlias:
    """An address that points to another version whenever it is resolved."""

    can_change = True

    def __init__(self) -> None:
        self.resolved = 0

    def resolve(self) -> ModelVersion:
        self.resolved += 1
        return ModelVersion("digits", str(self.resolved), read_manifest(Path(STARTER)).onnx_sha256)

    def fetch(self, version: ModelVersion) -> Path:
        return Path(STARTER).resolve()

    def remember_good(self, version: ModelVersion) -> None:
        raise AssertionError

    def last_good(self) -> None:
        raise AssertionError


def test_all_answers_are_of_one_version(dataset: Dataset) -> None:
    """Also if an alias moves between the test images and the pictures."""
    few = replace(dataset, test_images=dataset.test_images[:9], test_labels=dataset.test_labels[:9])
    source = MovingAlias()
    found = answers_of(source, few, list(sample("judge", 1, 1, KINDS)))
    assert (source.resolved, found.version.version, set(found.kinds)) == (1, "1", set(KINDS))


def test_a_model_without_a_mistake_has_a_page(starter: Answers, dataset: Dataset) -> None:
    """And one of labels for which there are no pictures."""
    perfect = np.eye(CLASSES)[dataset.test_labels]
    none = np.zeros(0, np.int64)
    evaluation: Evaluation = replace(starter.evaluation, worst=none, probabilities=perfect)
    html = page(replace(starter, evaluation=evaluation, kinds={}, wrong=()), None, dataset, [])
    assert "None." in html
    assert "kinds of pictures" not in html


def test_a_report_is_written_whole_and_judges_by_the_gate(tmp_path: Path) -> None:
    """The starter beside itself: nothing is worse than the champion's, but scikit-learn's images are few."""
    file = tmp_path / "deep" / "report.html"
    done = report(STARTER, STARTER, "sklearn-digits", 1, "unused", file, GateSettings())
    assert [file.name for file in file.parent.iterdir()] == ["report.html"]
    assert any("images of sklearn-digits are too few" in objection for objection in done.objections)
    assert not any("below the champion's" in objection for objection in done.objections)
    assert file.stat().st_size < 2_000_000
    text = Tags(file.read_text()).text
    assert all(objection in text for objection in done.objections)
    assert read_manifest(Path(STARTER)).git_commit[:12] in text


def test_a_model_that_misreads_golden_digits_has_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bad model is the one whose report is read; it cannot be promoted for this reason, either."""

    def misread(self: DigitModel) -> None:
        raise ModelRejected("the golden digits [7] are read as [1]")

    monkeypatch.setattr(DigitModel, "check_golden_digits", misread)
    file = tmp_path / "report.html"
    done = report(STARTER, "", "sklearn-digits", 1, "unused", file, GateSettings())
    assert "the golden digits [7] are read as [1]" in done.objections
    assert all(objection in Tags(file.read_text()).text for objection in done.objections)


def test_a_champion_that_is_rejected_is_left_out(tmp_path: Path) -> None:
    """A model that is named must be compared."""
    other, file = tmp_path / "other", tmp_path / "report.html"
    shutil.copytree(STARTER, other)
    (other / "model.onnx").write_bytes(b"of another task")
    given = (STARTER, str(other), "sklearn-digits", 1, "unused", file, GateSettings())
    with pytest.raises(ModelRejected):
        report(*given)
    assert not file.exists()
    done = report(*given, must_compare=False)
    assert (done.champion, done.left_out.startswith(f"{other} is left out")) == (None, True)
    assert file.exists()


def test_a_model_that_is_not_there_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    with pytest.raises(ModelRejected, match="models/none"):
        report("models/none", "", "sklearn-digits", 1, "unused", file, GateSettings())
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_said_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not after the minutes that a report takes."""
    monkeypatch.setattr("digits.report.report.load", lambda _: pytest.fail("data was loaded"))
    (tmp_path / "out").write_text("a file, not a folder")
    with pytest.raises(InvalidSettings, match=r"--out .*/out cannot be written: File exists"):
        report(STARTER, "", "sklearn-digits", 1, "unused", tmp_path / "out" / "report.html", GateSettings())
