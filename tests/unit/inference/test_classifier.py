"""Where the model runs, and what a Classifier is made from."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from digits.errors import ModelRejected
from digits.inference.classifier import Classifier
from digits.inference.settings import ServeSettings
from digits.inference.source import PROJECT, FolderSource
from digits.models import runtime
from digits.models.manifest import ONNX_FILE
from digits.task import ModelVersion
from testkit.fakes import ChecksumModel
from testkit.models import load_classifier

STARTER = ServeSettings(model_uri="models/starter")
IMAGES = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)


@pytest.mark.parametrize(("seconds", "on_loop"), [(0.0005, True), (0.02, False)])
async def test_a_short_call_runs_on_the_loop_a_long_one_in_a_thread(seconds: float, on_loop: bool) -> None:
    model = ChecksumModel(seconds)
    classifier = Classifier(STARTER, model, ModelVersion("checksum", "1", "0" * 64))  # type: ignore[arg-type]
    probabilities = (await classifier.classify(IMAGES)).scores
    assert probabilities.argmax(axis=1).tolist() == [int(image.sum(dtype=int)) % 10 for image in IMAGES]
    assert [name == threading.current_thread().name for name in model.threads] == [on_loop]


def test_the_starter_is_named_by_its_folder_and_sha256() -> None:
    content = (PROJECT / "models" / "starter" / ONNX_FILE).read_bytes()
    version = load_classifier(STARTER).version
    assert version == ModelVersion("digits", "starter", hashlib.sha256(content).hexdigest())


def test_a_folder_without_a_model_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(ModelRejected, match=r"no manifest\.json in .*; train_ray\.py writes model folders"):
        load_classifier(ServeSettings(model_uri=str(tmp_path)))


def test_files_other_than_the_chosen_model_are_rejected() -> None:
    """Files and manifest that were exchanged together: the identity comes from where the model was chosen."""
    source = FolderSource("models/starter")
    other = ModelVersion("digits", "starter", "0" * 64)
    with pytest.raises(ModelRejected, match=f"expected {'0' * 64}"):
        Classifier.load(STARTER, 1, source, other)


def test_other_preprocessing_is_a_warning_not_an_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_classifier(STARTER).warning is None
    monkeypatch.setattr(runtime, "preprocessing_sha256", lambda: "f" * 64)
    assert "this installation has ffffffffffff" in str(load_classifier(STARTER).warning)
