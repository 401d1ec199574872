"""The search's MLflow run, and a nested run for each trial.

If MLflow does not answer while trials run, this is logged and nothing stops: the records hold every epoch,
and `complete` sends what is missing.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

from digits.errors import AlreadyRegistered, DigitsError
from digits.registry import mlflow as tracking
from digits.registry.address import tracking_uri
from digits.search.records import Outcome, Trial
from digits.training.data import TrainingData, source_address
from digits.training.provenance import Provenance
from digits.training.settings import TrainSettings
from digits.training.step import Metrics

log = logging.getLogger(__name__)

Status = Literal["FINISHED", "FAILED", "KILLED"]
# A trial without an outcome was cut off by --search-minutes; a continued search goes on with it.
STATUS: dict[Outcome, Status] = {
    "finished": "FINISHED", "stopped": "FINISHED", "failed": "FAILED", "": "KILLED",
}  # fmt: skip


class SearchRun:
    def __init__(self, uri: str, name: str, run_id: str) -> None:
        self._uri = uri
        self._name = name
        self.run_id = run_id
        self._runs: dict[int, str] = {}  # run ids of trials, by their numbers

    @classmethod
    def start(
        cls, settings: TrainSettings, params: dict[str, Any], provenance: Provenance, dataset: TrainingData
    ) -> Self:
        """Starts or continues the run.  Raises TrackingUnavailable, AlreadyRegistered for a finished one."""
        uri = tracking_uri()
        run_id = tracking.start_run(
            uri, settings.name, settings.model_dump() | params, provenance.tags() | {"kind": "search"}
        )
        counts = {"training_images": dataset.train_count, "test_images": dataset.test_count}
        tracking.log_dataset(uri, run_id, dataset.name, dataset.sha256, source_address(settings.data), counts)
        return cls(uri, settings.name, run_id)

    def log_epoch(self, trial: Trial, epoch: int, metrics: Metrics) -> None:
        try:
            tracking.log_epoch(self._uri, self._run_of(trial), epoch, metrics)
        except DigitsError as error:
            log.warning("epoch not sent to MLflow, the search continues epoch=%d error=%s", epoch, error)

    def complete(self, trials: Iterable[Trial]) -> None:
        """Sends what is missing of the trials, and ends their runs. Raises TrackingUnavailable."""
        for trial in trials:
            with suppress(AlreadyRegistered):  # an earlier call has completed it
                run_id = self._run_of(trial)
                history = [trial.history[epoch] for epoch in sorted(trial.history)]
                tracking.log_missing_epochs(self._uri, run_id, history)
                tracking.end_run(self._uri, run_id, STATUS[trial.outcome])
            self._runs.pop(trial.number, None)

    def log_results(self, metrics: Metrics, folder: Path) -> None:
        """Logs the metrics of the whole search, its table and its plots."""
        tracking.log_results(self._uri, self.run_id, metrics, folder)

    def mark(self, status: Status) -> None:
        """Ends the search's run; if the search has not finished, also the runs of its running trials."""
        runs = [self.run_id] if status == "FINISHED" else [self.run_id, *self._runs.values()]
        try:
            for run_id in runs:
                tracking.end_run(self._uri, run_id, status)
        except DigitsError as error:
            log.warning("run not marked as %s in MLflow run=%s error=%s", status, self.run_id, error)

    def end(self, trial: Trial) -> None:
        """Tries to end a trial's run; if that fails, `complete` does it later."""
        try:
            self.complete([trial])
        except DigitsError as error:
            log.warning("trial not completed in MLflow trial=%d error=%s", trial.number, error)

    def _run_of(self, trial: Trial) -> str:
        if trial.number not in self._runs:
            name = f"{self._name}-trial-{trial.number:03}"
            self._runs[trial.number] = tracking.start_run(
                self._uri, name, dict(trial.values), {"kind": "trial"}, self.run_id
            )
        return self._runs[trial.number]
