"""A trained network -> the folder that is registered and served: Keras file, ONNX file, manifest.

The only module that imports onnx.
"""

import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import ModelRejected
from digits.models.folders import written_whole
from digits.models.manifest import KERAS_FILE, ONNX_FILE, Manifest, record, write_manifest
from digits.models.runtime import OUTPUT, DigitModel
from digits.vision.identity import preprocessing_sha256

if TYPE_CHECKING:
    import keras

PARITY = 1e-5  # largest difference of a probability between Keras and ONNX Runtime: float32's own noise
PACKAGES = ("ray", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "mlflow", "pillow")


def export(
    network: "keras.Model",
    folder: Path,
    *,
    name: str,
    data: str,
    data_sha256: str,
    metrics: dict[str, float],
    command: str,
    commit: str,
    sample: NDArray[np.uint8],
) -> Manifest:
    """Write the model folder, whole or not at all; `sample` is (n, 28, 28) for parity and latency.

    Raises ModelRejected if ONNX Runtime answers otherwise than Keras, or misreads a golden digit.
    """
    with written_whole(folder) as partial:
        network.save(partial / KERAS_FILE)
        _write_onnx(network, partial / ONNX_FILE)
        manifest = Manifest(
            name=name,
            files={file: record(partial / file) for file in (KERAS_FILE, ONNX_FILE)},
            preprocessing_sha256=preprocessing_sha256(),
            data=data,
            data_sha256=data_sha256,
            metrics=metrics,
            command=command,
            git_commit=commit,
            packages=package_versions(),
        )
        write_manifest(partial, manifest)
        model = DigitModel.load(partial, sha256=manifest.onnx_sha256, threads=1, max_batch_size=64)
        _check_parity(network, model, sample)
        manifest = manifest.model_copy(update={"metrics": metrics | _latency(model, sample)})
        write_manifest(partial, manifest)
    return manifest


def git_commit() -> str:
    """Of the checkout this runs in, with -dirty if it was changed; "unknown" outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    root = Path(__file__).parents[2]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def package_versions() -> dict[str, str]:
    return {package: version(package) for package in PACKAGES}


def _write_onnx(network: "keras.Model", file: Path) -> None:
    """Keras names the output and the batch dimension as it likes; the service asks for fixed names."""
    import onnx

    network(np.zeros((1, 28, 28), np.uint8))  # export wants a network that was called
    network.export(file, format="onnx", verbose=False)
    model: Any = onnx.load(file)
    (output,) = model.graph.output
    for node in model.graph.node:
        node.output[:] = [OUTPUT if name == output.name else name for name in node.output]
    output.name = OUTPUT
    for value in (*model.graph.input, output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    onnx.save(model, file)


def _check_parity(network: "keras.Model", model: DigitModel, sample: NDArray[np.uint8]) -> None:
    images = sample[:1000]
    difference = float(np.abs(np.asarray(network(images, training=False)) - model.predict(images)).max())
    if difference > PARITY:
        raise ModelRejected(
            f"ONNX Runtime and Keras differ by {difference:.2g} in a probability, over {PARITY:g}"
        )


def _latency(model: DigitModel, sample: NDArray[np.uint8]) -> dict[str, float]:
    """Medians, on one thread of the machine that exported."""
    one, many = sample[:1], np.resize(sample, (64, 28, 28))
    seconds_of_many = _median_seconds(lambda: model.predict(many))
    return {
        "latency_ms": 1000 * _median_seconds(lambda: model.predict(one)),
        "images_per_s": 64 / seconds_of_many,
    }


def _median_seconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(101):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
