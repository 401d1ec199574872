"""What comes after the epochs: a model folder with its plots, and its version in MLflow."""

import json
import shlex
import sys
from pathlib import Path

from digits.errors import PromotionRefused
from digits.models.manifest import KERAS_FILE, Manifest
from digits.registry import mlflow as tracking
from digits.registry.gate import GateSettings
from digits.registry.promotion import promote
from digits.registry.versions import register
from digits.training.checkpoints import BEST, best_epoch, read_arrays, read_progress
from digits.training.data import Dataset
from digits.training.evaluation import evaluate
from digits.training.export import export
from digits.training.network import build_network, load_network
from digits.training.plots import History, save_plots
from digits.training.settings import TrainSettings


def build(
    settings: TrainSettings, dataset: Dataset, checkpoint: Path, folder: Path, commit: str
) -> tuple[Manifest, History]:
    """From the best epoch's weights, in the folder of a checkpoint, to a model folder."""
    history = read_progress(checkpoint)
    network = build_network(settings.dropout)
    network.set_weights(list(read_arrays(checkpoint / BEST).values()))
    evaluation = evaluate(
        lambda images: network.predict(images, batch_size=1000, verbose=0),
        dataset.test_images, dataset.test_labels,
    )  # fmt: skip
    chosen = {
        "best_val_accuracy": history[best_epoch(history)]["val_accuracy"],
        "epochs": float(len(history)),
    }
    manifest = export(
        network, folder, name=settings.model_name, data=dataset.name, data_sha256=dataset.sha256,
        metrics=evaluation.metrics() | chosen,
        command=shlex.join(["python", *sys.argv]), commit=commit, sample=dataset.test_images,
    )  # fmt: skip
    (folder / "history.json").write_text(json.dumps(history, indent=1))
    save_plots(folder, history, evaluation, dataset.test_images, dataset.test_labels)
    return manifest, history


def publish(
    settings: TrainSettings,
    dataset: Dataset,
    folder: Path,
    manifest: Manifest,
    history: History,
    uri: str,
    run_id: str,
) -> tuple[str, str]:
    """Its version in MLflow, and what became of it: the champion, if the gate lets it.

    Raises TrackingUnavailable; the same call again goes on where it stopped.
    """
    tracking.log_missing_epochs(uri, run_id, history)
    tracking.log_results(uri, run_id, manifest.metrics, folder)
    packages = [f"{package}=={manifest.packages[package]}" for package in ("keras", "tensorflow", "numpy")]
    source = tracking.log_model(
        uri, run_id, folder, load_network(folder / KERAS_FILE), dataset.test_images[:2], packages
    )
    version = register(settings.model_name, source, run_id, manifest)
    tracking.end_run(uri, run_id, "FINISHED")
    try:
        promote(settings.model_name, version, GateSettings())
    except PromotionRefused as error:
        return version, f"models:/{settings.model_name}/{version} is registered, not promoted: {error}"
    return version, f"models:/{settings.model_name}/{version} is the champion"
