"""Models that were trained elsewhere get the service's signature and answer as they did."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto

from digits.errors import ModelRejected
from digits.models.manifest import ONNX_FILE, Manifest, record, write_manifest
from digits.models.runtime import DigitModel
from digits.task import CLASSES, LABELS, LEVELS, SIDE
from digits.training.adapting import adapt
from digits.vision.golden import golden_digits
from testkit.models import STARTER
from tests.torch_onnx import as_torch_exports

IMAGES, _ = golden_digits()
MEAN, STD = (0.1307,), (0.3081,)  # of MNIST, in every example of PyTorch
WEIGHTS = np.random.default_rng(3).normal(0, 0.05, (CLASSES, LEVELS)).astype(np.float32)


def probabilities(model: Any, folder: Path) -> NDArray[np.float32]:
    """What the service gets for the golden digits."""
    onnx.save(model, folder / ONNX_FILE)
    manifest = Manifest(
        name="mine", files={ONNX_FILE: record(folder / ONNX_FILE)}, preprocessing_sha256="", data="",
        metrics={}, data_sha256="", command="", git_commit="", packages={},
    )  # fmt: skip
    write_manifest(folder, manifest)
    loaded = DigitModel.load(folder, sha256=manifest.onnx_sha256, threads=1, max_batch_size=8)
    return np.asarray(loaded.predict(IMAGES))


def expected(mean: float = MEAN[0], std: float = STD[0]) -> NDArray[np.float32]:
    logits = ((IMAGES.reshape(-1, LEVELS) / 255 - mean) / std) @ WEIGHTS.T
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float32)


@pytest.mark.parametrize(
    ("dims", "layout"),
    [
        (("batch_size", 1, SIDE, SIDE), "NCHW"),
        ((1, 1, SIDE, SIDE), "NCHW"),
        (("n", 1, "height", "width"), "NCHW"),
        (("n", SIDE, SIDE, 1), "NHWC"),
        (("n", SIDE, SIDE), "NHW"),
        (("n", LEVELS), "flat"),
    ],
)
def test_each_layout_is_fed(tmp_path: Path, dims: tuple[int | str, ...], layout: str) -> None:
    adapted = adapt(as_torch_exports(WEIGHTS, dims), LABELS, MEAN, STD)
    assert np.allclose(probabilities(adapted.model, tmp_path), expected(), atol=1e-5)
    assert adapted.added == [
        "(level / 255 - 0.1307) / 0.3081", f"levels as {layout}", "a softmax behind its output",
    ]  # fmt: skip


@pytest.mark.parametrize("ends", [["Softmax"], ["LogSoftmax"], ["Softmax", "Identity"]])
def test_a_model_with_a_softmax_keeps_its_probabilities(tmp_path: Path, ends: list[str]) -> None:
    adapted = adapt(as_torch_exports(WEIGHTS, ends=ends), LABELS, MEAN, STD)
    assert np.allclose(probabilities(adapted.model, tmp_path), expected(), atol=1e-5)
    assert ("a softmax behind its output" in adapted.added) == (ends == ["LogSoftmax"])


def test_other_floats_are_converted(tmp_path: Path) -> None:
    adapted = adapt(as_torch_exports(WEIGHTS, kind=TensorProto.FLOAT16), LABELS, (0.0,), (1.0,))
    assert np.allclose(probabilities(adapted.model, tmp_path), expected(0, 1), atol=0.02)


def test_outputs_in_another_order_are_put_into_the_tasks(tmp_path: Path) -> None:
    """As a folder of class-named folders has them, sorted as texts."""
    labels = LABELS[::-1]
    adapted = adapt(as_torch_exports(WEIGHTS), labels, MEAN, STD)
    assert np.allclose(probabilities(adapted.model, tmp_path), expected()[:, ::-1], atol=1e-5)


def test_an_own_model_stays_as_it_is() -> None:
    own = onnx.load(STARTER / ONNX_FILE)
    adapted = adapt(own, LABELS, MEAN, STD)
    assert adapted.model == own
    assert adapted.added == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"dims": ("n", 3, 224, 224)},
            r"the model has the inputs input float \[n, 3, 224, 224\]; allowed is one input with the "
            r"dimensions n, then \[1, 28, 28\] or \[28, 28, 1\] or .* export it accordingly",
        ),
        ({"dims": ("n", 1, SIDE, SIDE), "kind": TensorProto.INT64}, r"inputs input int64 \[n, 1, 28, 28\]"),
        (
            {"weights": WEIGHTS[:5]},
            r"the model has the outputs logits float \[n, 5\]; .* one output of floats with n and 10",
        ),
    ],
)
def test_what_cannot_be_adapted_is_described(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelRejected, match=message):
        adapt(as_torch_exports(**{"weights": WEIGHTS} | changes), LABELS, MEAN, STD)
