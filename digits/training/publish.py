"""The MLflow run of a training, and the way from its model folder to a registered, promoted version."""

import logging
from dataclasses import dataclass
from typing import Literal, Self

from digits.errors import DigitsError, PromotionRefused, TrackingUnavailable
from digits.models.manifest import KERAS_FILE
from digits.registry import mlflow as tracking
from digits.registry.address import tracking_uri
from digits.registry.gate import GateSettings
from digits.registry.promotion import promote
from digits.registry.versions import register
from digits.training.data import TrainingData, source_address
from digits.training.fit import FitResult
from digits.training.judging import judge_on
from digits.training.network import load_network
from digits.training.provenance import Provenance
from digits.training.settings import TrainSettings
from digits.training.step import Metrics

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MlflowRun:
    """The one MLflow run of a training, however often the training is resumed.

    If MLflow does not answer while a training runs, this is logged and the training continues: the
    checkpoints hold the history, and `publish` sends the missing epochs.
    """

    uri: str
    run_id: str

    @classmethod
    def start(
        cls, settings: TrainSettings, provenance: Provenance, dataset: TrainingData, parent: str | None = None
    ) -> Self:
        """Starts or continues the run, nested in the run `parent`.

        Raises TrackingUnavailable, or AlreadyRegistered for a finished run.
        """
        uri = tracking_uri()
        run_id = tracking.start_run(uri, settings.name, settings.model_dump(), provenance.tags(), parent)
        counts = {"training_images": dataset.train_count, "test_images": dataset.test_count}
        tracking.log_dataset(uri, run_id, dataset.name, dataset.sha256, source_address(settings.data), counts)
        return cls(uri, run_id)

    def log_epoch(self, epoch: int, metrics: Metrics) -> None:
        try:
            tracking.log_epoch(self.uri, self.run_id, epoch, metrics)
        except DigitsError as error:
            log.warning("epoch not sent to MLflow, training continues epoch=%d error=%s", epoch, error)

    def mark(self, status: Literal["FAILED", "KILLED"]) -> None:
        try:
            tracking.end_run(self.uri, self.run_id, status)
        except DigitsError as error:
            log.warning("run not marked as %s in MLflow run=%s error=%s", status, self.run_id, error)


def publish(fitted: FitResult, run: MlflowRun, dataset: TrainingData, gate: GateSettings) -> tuple[str, str]:
    """Registers the model and promotes it if it passes the gate; returns its version and the outcome.

    Raises TrackingUnavailable; another call then continues where this one stopped.
    """
    uri, run_id, manifest = run.uri, run.run_id, fitted.manifest
    tracking.log_missing_epochs(uri, run_id, fitted.history)
    tracking.log_results(uri, run_id, manifest.metrics, fitted.folder)
    packages = [f"{package}=={manifest.packages[package]}" for package in ("keras", "tensorflow", "numpy")]
    network = load_network(fitted.folder / KERAS_FILE)
    save = tracking.keras_saver(network, dataset.test_images[:2], packages)
    source = tracking.log_model(uri, run_id, fitted.folder, save)
    version = register(manifest.name, source, run_id, manifest)
    tracking.end_run(uri, run_id, "FINISHED")
    try:
        promote(manifest.name, version, gate, judge_on(dataset))
    except PromotionRefused as error:
        return version, f"models:/{manifest.name}/{version} is registered, not promoted: {error}"
    except TrackingUnavailable as error:  # the run has ended: the same command would not continue it
        return version, (
            f"models:/{manifest.name}/{version} is registered, not promoted: {error}; once MLflow answers, "
            f"run `python -m digits registry promote --name {manifest.name} --version {version}`"
        )
    return version, f"models:/{manifest.name}/{version} is the champion"
