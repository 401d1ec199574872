"""A model file that was made elsewhere -> a registered version, judged like a training's model."""

import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version as version_of
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from digits.errors import ModelRejected, PromotionRefused
from digits.models.manifest import ONNX_FILE, Manifest, record, write_manifest
from digits.models.runtime import DigitModel
from digits.registry import mlflow as tracking
from digits.registry.address import tracking_uri
from digits.registry.gate import GateSettings
from digits.registry.promotion import promote
from digits.registry.versions import register
from digits.task import LABELS
from digits.training.adapting import Adapted, adapt
from digits.training.data import Dataset, source_address
from digits.training.export import BATCH_SIZE, latency, read_onnx, write_onnx
from digits.training.judging import judge_on
from digits.training.network import load_network
from digits.training.provenance import git_commit
from digits.training.publish import MlflowRun
from digits.vision.identity import preprocessing_sha256

if TYPE_CHECKING:
    from onnx import ModelProto

PACKAGES = ("onnx", "onnxruntime", "numpy")


@dataclass(frozen=True, slots=True)
class Imported:
    manifest: Manifest
    added: list[str]  # what was added to the model, in words
    address: str  # models:/NAME/VERSION
    reasons: list[str]  # why it is not the champion; empty if it is


def check_labels(labels: Sequence[str]) -> None:
    """Raises ModelRejected unless these are the task's labels, in any order."""
    if sorted(labels) != sorted(LABELS):
        raise ModelRejected(
            f"--labels are {', '.join(labels)}; the task's are {', '.join(LABELS)}: give the task's names "
            "in the order of the model's outputs, or change LABELS in digits/task.py"
        )


def import_model(
    file: Path,
    labels: Sequence[str],
    mean: Sequence[float],
    std: Sequence[float],
    dataset: Dataset,
    source: str,
    name: str,
    gate: GateSettings,
) -> Imported:
    """Registers an ONNX or Keras file as a version of `name`, and promotes it if it passes the gate.

    `mean` and `std` are those of the model's training; `source` is the data's absolute --data. Raises
    ModelRejected for a file that is not a model of this task.
    """
    check_labels(labels)
    adapted = adapt(_read(file), labels, mean, std)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        manifest = _write(adapted, folder, file, dataset, name)
        version = _registered(folder, manifest, adapted, dataset, source)
    address = f"models:/{name}/{version}"
    try:
        promote(name, version, gate, judge_on(dataset))
    except PromotionRefused as error:
        return Imported(manifest, adapted.added, address, error.reasons)
    return Imported(manifest, adapted.added, address, [])


def _read(file: Path) -> "ModelProto":
    suffix = file.suffix.lower()
    if suffix == ".onnx":
        return read_onnx(file)
    if suffix != ".keras":
        raise ModelRejected(f"{file} ends in {file.suffix or 'nothing'}; give an .onnx or a .keras file")
    try:
        network = load_network(file)
    except (ValueError, OSError, TypeError) as error:
        raise ModelRejected(f"{file} cannot be read as a Keras file: {str(error).splitlines()[0]}") from error
    examples = [np.zeros([dim or 1 for dim in value.shape], value.dtype) for value in network.inputs]
    network(examples if len(examples) > 1 else examples[0])  # export needs a network that was called once
    with tempfile.TemporaryDirectory() as temporary:
        network.export(exported := Path(temporary) / ONNX_FILE, format="onnx", verbose=False)
        return read_onnx(exported)


def _write(adapted: Adapted, folder: Path, file: Path, dataset: Dataset, name: str) -> Manifest:
    """Writes the model folder; its metrics are measured on the test images."""
    write_onnx(adapted.model, folder / ONNX_FILE)
    producer = adapted.model.producer_name or "unknown"
    manifest = Manifest(
        name=name,
        files={ONNX_FILE: record(folder / ONNX_FILE)},
        preprocessing_sha256=preprocessing_sha256(),
        data=dataset.name,
        data_sha256=dataset.sha256,
        metrics={},
        command=shlex.join(["python", *sys.argv]),
        git_commit=git_commit(),
        packages={package: version_of(package) for package in PACKAGES}
        | {producer: adapted.model.producer_version or "unknown"},
    )
    write_manifest(folder, manifest)
    try:
        model = DigitModel.load(folder, sha256=manifest.onnx_sha256, threads=1, max_batch_size=BATCH_SIZE)
    except ModelRejected as error:
        raise ModelRejected(
            f"{file} does not run with 1 to {BATCH_SIZE} images at once: {error}; export it with a dynamic "
            "number of images"
        ) from error
    measured = judge_on(dataset)(folder, manifest.onnx_sha256) | latency(model, dataset.test_images)
    manifest = manifest.model_copy(update={"metrics": measured})
    write_manifest(folder, manifest)
    return manifest


def _registered(folder: Path, manifest: Manifest, adapted: Adapted, dataset: Dataset, source: str) -> str:
    """Records the import as its own MLflow run; returns the registered version."""
    uri = tracking_uri()
    name = f"import-{time.strftime('%Y%m%d-%H%M%S')}-{manifest.onnx_sha256[:8]}"
    tags = {"data": manifest.data, "data_sha256": manifest.data_sha256, "git_commit": manifest.git_commit}
    run_id = tracking.start_run(uri, name, {"data": source, "command": manifest.command}, tags)
    try:
        counts = {"test_images": len(dataset.test_images)}
        tracking.log_dataset(uri, run_id, dataset.name, dataset.sha256, source_address(source), counts)
        tracking.log_results(uri, run_id, manifest.metrics, folder)
        save = tracking.onnx_saver(adapted.model)
        version = register(manifest.name, tracking.log_model(uri, run_id, folder, save), run_id, manifest)
        tracking.end_run(uri, run_id, "FINISHED")
    except BaseException:  # nothing would continue this run
        MlflowRun(uri, run_id).mark("FAILED")
        raise
    return version
