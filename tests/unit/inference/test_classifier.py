"""Where the model runs, and what a Classifier is made from."""

import hashlib
import threading
from pathlib import Path

import numpy as np
import pytest

from digits.errors import ModelRejected
from digits.inference.classifier import PROJECT, Classifier
from digits.inference.settings import ServeSettings
from digits.models.manifest import ONNX_FILE
from testkit.fakes import ChecksumModel

STARTER = ServeSettings(model_uri="models/starter")
IMAGES = np.arange(2 * 784, dtype=np.uint8).reshape(2, 28, 28)


@pytest.mark.parametrize(("seconds", "on_loop"), [(0.0005, True), (0.02, False)])
async def test_a_short_call_runs_on_the_loop_and_a_long_one_in_its_thread(
    seconds: float, on_loop: bool
) -> None:
    model = ChecksumModel(seconds)
    classifier = Classifier(STARTER, model, "checksum", "1")  # type: ignore[arg-type]
    probabilities = await classifier.classify(IMAGES)
    assert probabilities.argmax(axis=1).tolist() == [int(image.sum(dtype=int)) % 10 for image in IMAGES]
    assert [name == threading.current_thread().name for name in model.threads] == [on_loop]


def test_the_starter_model_loads_and_is_named_by_its_folder_and_its_files_sha256() -> None:
    classifier = Classifier.load(STARTER, threads=1)
    assert (classifier.name, classifier.version) == ("digits", "starter")
    content = (PROJECT / "models" / "starter" / ONNX_FILE).read_bytes()
    assert classifier.sha256 == hashlib.sha256(content).hexdigest()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ModelRejected, match=r"no manifest\.json in .*; a model folder is made by train_ray\.py"
    ):
        Classifier.load(ServeSettings(model_uri=str(tmp_path)), threads=1)
