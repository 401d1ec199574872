"""The whole training of train_ray.py: fit a model, register it, promote it if it passes the gate."""

from dataclasses import dataclass
from pathlib import Path

from digits.errors import TrackingUnavailable, TrainingInterrupted
from digits.interrupts import caught
from digits.models.manifest import Manifest
from digits.registry.gate import GateSettings
from digits.training.checkpoints import claimed, resume_hint
from digits.training.cluster import storage_of
from digits.training.data import TrainingData
from digits.training.feeds import check_fills_a_batch
from digits.training.fit import FitResult, check_writable, fit, resolve_settings
from digits.training.provenance import collect_provenance
from digits.training.publish import MlflowRun, publish
from digits.training.settings import TrainSettings
from digits.training.streamed import open_data


@dataclass(frozen=True, slots=True)
class TrainResult:
    folder: Path  # the model, its manifest, history.json and plots
    manifest: Manifest
    version: str | None  # registered; None if MLflow did not answer at the end
    outcome: str  # a sentence for the user: champion, registered only, or how to register it later


def train(settings: TrainSettings, gate: GateSettings, parent: str | None = None) -> TrainResult:
    """Fits and publishes a model. Bad data is reported before any file, run or Ray process is created.

    `parent` is the MLflow run in which this training's run is nested. Raises TrainingInterrupted at Ctrl-C
    and SIGTERM.
    """
    from digits.training.run import prepare  # Ray takes seconds to import

    dataset = open_data(settings)
    settings = resolve_settings(settings)
    check_fills_a_batch(settings, dataset)
    provenance = collect_provenance(dataset)
    prepare(settings)
    check_writable("--output", settings.output)
    with claimed(storage_of(settings), settings.name):
        run = MlflowRun.start(settings, provenance, dataset, parent)
        try:
            fitted = fit(settings, dataset, provenance, on_epoch=run.log_epoch)
            return _published(fitted, run, dataset, gate)
        except (KeyboardInterrupt, SystemExit):
            caught()
            run.mark("KILLED")
            raise TrainingInterrupted(f"interrupted; {resume_hint(settings.name)}") from None
        except BaseException:
            run.mark("FAILED")
            raise


def _published(fitted: FitResult, run: MlflowRun, dataset: TrainingData, gate: GateSettings) -> TrainResult:
    """Returns the result with the registered version, or with instructions to register the model later."""
    try:
        version, outcome = publish(fitted, run, dataset, gate)
    except TrackingUnavailable as error:
        outcome = (
            f"{error}; nothing is lost: the model and history.json are in {fitted.folder}; "
            f"once MLflow answers, run the same command with --name {fitted.folder.name} to register it"
        )
        return TrainResult(fitted.folder, fitted.manifest, None, outcome)
    return TrainResult(fitted.folder, fitted.manifest, version, outcome)
