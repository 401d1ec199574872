"""A model folder is used only if its files match its manifest."""

import errno
from pathlib import Path

import pytest

from digits.errors import ModelRejected
from digits.inference.source import PROJECT
from digits.models.folders import copy_for_serving
from digits.models.manifest import MANIFEST, ONNX_FILE, read_manifest, read_verified
from digits.models.runtime import DigitModel
from digits.vision.identity import preprocessing_sha256
from testkit.models import load_model

STARTER = PROJECT / "models" / "starter"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_for_serving(STARTER, tmp_path / "model")
    return tmp_path / "model"


def load(folder: Path) -> DigitModel:
    return load_model(folder, 2)


def test_the_starter_was_evaluated_with_this_preprocessing() -> None:
    """It reads the golden digits, too."""
    manifest = read_manifest(STARTER)
    assert manifest.preprocessing_sha256 == preprocessing_sha256()
    assert manifest.metrics["test_accuracy"] >= 0.995
    assert manifest.files[ONNX_FILE].bytes <= 1_000_000
    load(STARTER).check_golden_digits()


def test_a_copy_for_serving_says_and_holds_the_onnx_file_alone(folder: Path) -> None:
    assert sorted(file.name for file in folder.iterdir()) == sorted([MANIFEST, ONNX_FILE])
    assert list(read_manifest(folder).files) == [ONNX_FILE]
    load(folder)


def test_one_changed_byte_is_refused_before_it_is_parsed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray((folder / ONNX_FILE).read_bytes())
    content[1000] ^= 1
    (folder / ONNX_FILE).write_bytes(content)
    monkeypatch.setattr("onnxruntime.InferenceSession", lambda *_, **__: pytest.fail("was parsed"))
    with pytest.raises(ModelRejected, match="sha256"):
        load(folder)


def test_a_truncated_missing_or_unnamed_file_is_rejected(folder: Path) -> None:
    manifest = read_manifest(folder)
    with pytest.raises(ModelRejected, match=r"no file model\.keras"):
        read_verified(folder, manifest, "model.keras")
    (folder / ONNX_FILE).write_bytes((folder / ONNX_FILE).read_bytes()[:-1])
    with pytest.raises(ModelRejected, match="bytes, its manifest says"):
        load(folder)
    (folder / ONNX_FILE).unlink()
    with pytest.raises(ModelRejected, match=r"no file model\.onnx"):
        load(folder)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"name": 1}', "\x00"])
def test_a_manifest_that_is_none_is_refused(folder: Path, content: str) -> None:
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ModelRejected, match="not a model manifest"):
        load(folder)


def test_a_file_in_place_of_the_folder_is_refused() -> None:
    with pytest.raises(ModelRejected, match=r"app\.py is not a folder; name one with manifest\.json in it"):
        read_manifest(PROJECT / "app.py")


def test_a_folder_in_place_of_the_manifest_is_refused(folder: Path) -> None:
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    with pytest.raises(ModelRejected, match=r"manifest\.json cannot be read: Is a directory"):
        read_manifest(folder)


@pytest.mark.parametrize("name", [MANIFEST, ONNX_FILE])
def test_a_file_that_this_user_may_not_read_is_named(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.read_bytes

    def refused(file: Path) -> bytes:
        if file.name == name:
            raise PermissionError(errno.EACCES, "Permission denied")
        return read(file)

    monkeypatch.setattr(Path, "read_bytes", refused)  # root may read everything
    with pytest.raises(ModelRejected, match=rf"{name} cannot be read: Permission denied"):
        load(folder)


def test_a_cost_is_expected_for_every_batch_size() -> None:
    model = load_model(STARTER, 64)
    assert 0 < model.expected_seconds(1) < model.expected_seconds(64)
