"""Settings and data -> a model folder. Nothing is registered."""

import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from digits.errors import InvalidSettings, TrainingFailed
from digits.models.manifest import Manifest
from digits.task import CLASSES, Images, Scores
from digits.training.checkpoints import BEST, best_epoch, explain_full_disk, read_arrays, read_progress
from digits.training.data import TrainingData, absolute_source
from digits.training.evaluation import Predict, evaluate
from digits.training.export import export
from digits.training.feeds import held_back
from digits.training.network import build_network, scores_of, with_served_outputs
from digits.training.pictures import picture_metrics
from digits.training.plots import save_plots
from digits.training.provenance import Provenance
from digits.training.rejection import choose_threshold, rejection_metrics
from digits.training.settings import TrainSettings
from digits.training.step import History, OnEpoch


@dataclass(frozen=True, slots=True)
class FitResult:
    folder: Path  # the model, its manifest, history.json and plots
    manifest: Manifest
    history: History


def resolve_settings(settings: TrainSettings) -> TrainSettings:
    """Returns the settings with a run name, and with the absolute path of a data file."""
    name = settings.name or time.strftime("digits-%Y%m%d-%H%M%S")
    return settings.model_copy(update={"data": absolute_source(settings.data), "name": name})


def check_writable(flag: str, folder: str | Path) -> None:
    """Creates the folder. Raises InvalidSettings now if it cannot be written, not after minutes of work."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidSettings(f"{flag} {folder} cannot be written: {error.strerror}") from error


def fit(
    settings: TrainSettings, dataset: TrainingData, provenance: Provenance, on_epoch: OnEpoch | None = None
) -> FitResult:
    """Trains with Ray Train, evaluates the best epoch and writes its model folder.

    The settings' name is the name of the folders for checkpoints and model; the name of an interrupted
    training continues it. `on_epoch` is pickled and called in another process.
    """
    from digits.training.run import run_workers  # Ray takes seconds to import

    settings = resolve_settings(settings)
    checkpoint = run_workers(settings, dataset, on_epoch)
    folder = Path(settings.output) / settings.name
    with explain_full_disk(settings.output, settings.name), checkpoint.as_directory() as files:
        return _build_model(settings, dataset, provenance, Path(files), folder)


def _build_model(
    settings: TrainSettings, dataset: TrainingData, provenance: Provenance, checkpoint: Path, folder: Path
) -> FitResult:
    """Writes the model folder with the best weights in a checkpoint's folder.

    Raises TrainingFailed if these are not finite: the training diverged in its first epoch.
    """
    history = read_progress(checkpoint)
    weights = list(read_arrays(checkpoint / BEST).values())
    if not all(np.isfinite(each).all() for each in weights):
        raise TrainingFailed(
            f"{settings.name} diverged: its weights are no numbers any more; choose a smaller "
            f"--learning-rate than {settings.learning_rate:g}, and another --name"
        )
    network = build_network(settings.dropout, settings.drawn > 0)
    network.set_weights(weights)

    def predict(images: Images) -> Scores:
        return scores_of(network.predict(images, batch_size=1000, verbose=0))

    evaluation = evaluate(predict, dataset.test_images, dataset.test_labels)
    metrics = evaluation.metrics()
    if evaluation.is_digit is not None:
        threshold = _choose_threshold(settings, dataset, predict)
        metrics |= rejection_metrics(predict, evaluation.is_digit, threshold)
        metrics |= picture_metrics(predict, threshold)
    training = {
        "best_val_accuracy": history[best_epoch(history)]["val_accuracy"],
        "epochs": float(len(history)),
    }
    manifest = export(
        with_served_outputs(network), folder, name=settings.model_name, provenance=provenance,
        metrics=metrics | training, sample=dataset.test_images,
    )  # fmt: skip
    (folder / "history.json").write_text(json.dumps(history, indent=1))
    save_plots(folder, history, evaluation, dataset.test_images, dataset.test_labels)
    return FitResult(folder, manifest, history)


def _choose_threshold(settings: TrainSettings, dataset: TrainingData, predict: Predict) -> float:
    """Returns the default of `reject_below`, chosen on the validation images."""
    return choose_threshold(predict, predict(held_back(settings, dataset).images)[:, CLASSES])
