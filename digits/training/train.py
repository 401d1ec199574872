"""The whole training, as train_ray.py runs it: fit a model, register it, promote it if it passes the gate."""

from dataclasses import dataclass
from pathlib import Path

from digits.errors import TrackingUnavailable
from digits.models.manifest import Manifest
from digits.training.data import load
from digits.training.fit import fit, resolve_settings
from digits.training.provenance import collect_provenance
from digits.training.publish import MlflowRun, publish
from digits.training.settings import TrainSettings


@dataclass(frozen=True, slots=True)
class TrainResult:
    folder: Path  # the model, its manifest, history.json and plots
    manifest: Manifest
    version: str | None  # registered; None if MLflow did not answer at the end
    outcome: str  # a sentence for the user: champion, registered only, or how to register it later


def train(settings: TrainSettings) -> TrainResult:
    """Fits and publishes a model.  Bad data is reported before any file, run or Ray process is created."""
    dataset = load(settings.data)
    settings = resolve_settings(settings)
    provenance = collect_provenance(dataset)
    run = MlflowRun.start(settings, provenance)
    try:
        fitted = fit(settings, dataset, provenance, on_epoch=run.log_epoch)
    except BaseException:
        run.mark_failed()
        raise
    try:
        version, outcome = publish(fitted, run, example=dataset.test_images[:2])
    except TrackingUnavailable as error:
        outcome = (
            f"{error}; nothing is lost: the model and history.json are in {fitted.folder}; "
            f"once MLflow answers, run the same command with --name {settings.name} to register the model"
        )
        return TrainResult(fitted.folder, fitted.manifest, None, outcome)
    return TrainResult(fitted.folder, fitted.manifest, version, outcome)
