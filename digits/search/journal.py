"""The progress of a search: kept in its records, sent to MLflow, and shown."""

from collections.abc import Sequence

from tqdm import tqdm

from digits.interrupts import deferred
from digits.search.records import Outcome, Records, Trial
from digits.search.tracking import SearchRun
from digits.training.step import Metrics


class Journal:
    """The progress; close it, because it draws a progress bar."""

    def __init__(self, records: Records, run: SearchRun, asked: Sequence[Trial]) -> None:
        known = records.read()
        self.trials = {trial.number: known.get(trial.number, trial) for trial in asked}
        self._records = records
        self._run = run
        ended = sum(trial.has_ended for trial in self.trials.values())
        self._bar = tqdm(total=len(self.trials), initial=ended, unit="trial")

    def close(self) -> None:
        self._bar.close()

    def log_epoch(self, number: int, epoch: int, metrics: Metrics) -> None:
        """Records an epoch, counted from 1; a known epoch changes nothing."""
        trial = self.trials[number]
        if epoch in trial.history:
            return
        with deferred():
            trial.history[epoch] = metrics
            self._records.write(trial)
            self._run.log_epoch(trial, epoch, metrics)

    def end(self, number: int, outcome: Outcome, seconds: float, error: str = "") -> None:
        """Records the end of a trial that ran for `seconds` in this call, including its start."""
        trial = self.trials[number]
        trial.outcome, trial.error, trial.seconds = outcome, error, trial.seconds + seconds
        with deferred():
            self._records.write(trial)
            self._run.end(trial)
        result = error or f"{trial.best[0]:.2%} after {len(trial.history)} epochs, {outcome}"
        values = ", ".join(f"{name} {value:g}" for name, value in trial.values.items())
        self._bar.write(f"trial {number}: {result}; {values}")
        self._bar.update()
