"""A trained network -> a model folder: Keras file, ONNX file, manifest.

Only this module and adapting.py import onnx.
"""

import dataclasses
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits.errors import ModelRejected
from digits.models.folders import written_whole
from digits.models.manifest import KERAS_FILE, ONNX_FILE, Manifest, record, write_manifest
from digits.models.runtime import DigitModel
from digits.task import SHAPE, Images
from digits.training.provenance import Provenance

if TYPE_CHECKING:
    import keras
    from onnx import ModelProto

PARITY = 1e-5  # largest allowed difference of a probability between Keras and ONNX Runtime: float32 rounding
BATCH_SIZE = 64  # batch size of the measured throughput


def export(
    network: "keras.Model",
    folder: Path,
    *,
    name: str,
    provenance: Provenance,
    metrics: dict[str, float],
    sample: Images,
) -> Manifest:
    """Writes the model folder atomically; measures parity and latency on `sample`.

    `network` has the outputs that the service reads. Raises ModelRejected if ONNX Runtime's probabilities
    differ from Keras', or if the file does not load.
    """
    with written_whole(folder) as partial:
        network.save(partial / KERAS_FILE)
        _write_onnx(network, partial / ONNX_FILE)
        manifest = Manifest(
            name=name,
            files={file: record(partial / file) for file in (KERAS_FILE, ONNX_FILE)},
            metrics=metrics,
            **dataclasses.asdict(provenance),
        )
        write_manifest(partial, manifest)
        model = DigitModel.load(partial, sha256=manifest.onnx_sha256, threads=1, max_batch_size=BATCH_SIZE)
        _check_parity(network, model, sample)
        manifest = manifest.model_copy(update={"metrics": metrics | latency(model, sample)})
        write_manifest(partial, manifest)
    return manifest


def _write_onnx(network: "keras.Model", file: Path) -> None:
    """Writes the ONNX file with the names that the service expects instead of Keras' names."""
    import onnx

    network(np.zeros((1, *SHAPE), np.uint8))  # export needs a network that was called once
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # Keras asks NumPy for a name that is gone
        network.export(file, format="onnx", verbose=False)
    model = read_onnx(file)
    names = {output.name: name for output, name in zip(model.graph.output, network.output_names, strict=True)}
    for node in model.graph.node:
        for inner in (node.input, node.output):
            inner[:] = [names.get(name, name) for name in inner]
    for output in model.graph.output:
        output.name = names[output.name]
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    onnx.checker.check_model(model)
    write_onnx(model, file)


def read_onnx(file: Path) -> "ModelProto":
    """Returns the model of a file. Raises ModelRejected if it is not ONNX."""
    import onnx

    try:
        return onnx.load(file)
    except Exception as error:  # protobuf's errors share no base but Exception
        raise ModelRejected(f"{file} cannot be read as an ONNX file: {error}") from error


def write_onnx(model: "ModelProto", file: Path) -> None:
    import onnx

    onnx.save(model, file)


def _check_parity(network: "keras.Model", model: DigitModel, sample: Images) -> None:
    images = sample[:1000]
    outputs = network(images, training=False)
    several = outputs if len(network.outputs) > 1 else [outputs]  # Keras returns an only output by itself
    wanted = np.column_stack([np.asarray(output) for output in several])
    difference = float(np.abs(wanted - model.predict(images)).max())
    if difference > PARITY:
        raise ModelRejected(
            f"a probability of ONNX Runtime differs by {difference:.2g} from Keras'; {PARITY:g} is allowed"
        )


def latency(model: DigitModel, sample: Images) -> dict[str, float]:
    """Returns median latencies on one thread of this machine."""
    one, many = sample[:1], np.resize(sample, (BATCH_SIZE, *SHAPE))
    seconds_of_many = _median_seconds(lambda: model.predict(many))
    return {
        "latency_ms": 1000 * _median_seconds(lambda: model.predict(one)),
        "images_per_s": BATCH_SIZE / seconds_of_many,
    }


def _median_seconds(call: Callable[[], object]) -> float:
    times = []
    for _ in range(101):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
