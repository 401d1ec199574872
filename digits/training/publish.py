"""A training's run in MLflow, and the way from its model folder to a registered, promoted version."""

import logging
from dataclasses import dataclass
from typing import Literal, Self

from digits.errors import DigitsError, PromotionRefused
from digits.models.manifest import KERAS_FILE
from digits.registry import mlflow as tracking
from digits.registry.address import tracking_uri
from digits.registry.gate import GateSettings
from digits.registry.promotion import promote
from digits.registry.versions import register
from digits.training.data import Dataset, source_address
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

    While a training runs, an MLflow that does not answer is logged and never ends it: the checkpoints hold
    the history, and `publish` sends the missing epochs.
    """

    uri: str
    run_id: str

    @classmethod
    def start(cls, settings: TrainSettings, provenance: Provenance, dataset: Dataset) -> Self:
        """Starts or continues the run.  Raises TrackingUnavailable, AlreadyRegistered for a finished one."""
        uri = tracking_uri()
        run_id = tracking.start_run(uri, settings.name, settings.model_dump(), provenance.tags())
        counts = {"training_images": len(dataset.train_images), "test_images": len(dataset.test_images)}
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


def publish(fitted: FitResult, run: MlflowRun, dataset: Dataset, gate: GateSettings) -> tuple[str, str]:
    """Registers the model and promotes it if it passes the gate; returns its version and a sentence about it.

    Raises TrackingUnavailable; calling it again then continues where it stopped.
    """
    uri, run_id, manifest = run.uri, run.run_id, fitted.manifest
    tracking.log_missing_epochs(uri, run_id, fitted.history)
    tracking.log_results(uri, run_id, manifest.metrics, fitted.folder)
    packages = [f"{package}=={manifest.packages[package]}" for package in ("keras", "tensorflow", "numpy")]
    network = load_network(fitted.folder / KERAS_FILE)
    source = tracking.log_model(uri, run_id, fitted.folder, network, dataset.test_images[:2], packages)
    version = register(manifest.name, source, run_id, manifest)
    tracking.end_run(uri, run_id, "FINISHED")
    try:
        promote(manifest.name, version, gate, judge_on(dataset))
    except PromotionRefused as error:
        return version, f"models:/{manifest.name}/{version} is registered, not promoted: {error}"
    return version, f"models:/{manifest.name}/{version} is the champion"
