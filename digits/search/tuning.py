"""Ray Tune over Ray Train: which trials run, and which stop early. The only module that imports ray.tune.

Each trial is a Ray Train run with its own workers, started from a function that Tune runs. The reports of its
epochs reach ASHA, which stops a trial that is weaker than others with the same number of epochs.
"""

import logging
import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
import ray.tune
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.schedulers import ASHAScheduler

from digits.errors import last_line
from digits.ray_start import left_when_interrupted
from digits.search.journal import Journal
from digits.search.records import Trial
from digits.search.settings import SearchSettings
from digits.training.checkpoints import explain_full_disk, read_progress
from digits.training.run import run_workers
from digits.training.settings import TrainSettings
from digits.training.streamed import open_data

EPOCH, METRIC, HISTORY, COMPLETE = "epoch", "val_accuracy", "history", "is_complete"
REPORTED = ("loss", "accuracy", "val_loss", METRIC)
FIRST_RUNG = 1  # epochs after which a trial is compared with others for the first time
REDUCTION = 3  # one of this many trials continues; the paper's authors use 4, for more trials
# Tune writes no logs of its own, and does not handle Ctrl-C.
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the newer one prints tables even when it is told to be silent
}
# The function of a trial only waits for its workers, so it takes no CPU from them.  Tune does not accept a
# request without resources; this is a tiny share of a resource of the head node.
OF_A_TRIAL = {"node:__internal_head__": 0.0001}


def run_trials(
    asked: Mapping[int, TrainSettings], journal: Journal, settings: TrainSettings, search: SearchSettings
) -> None:
    """Runs the unfinished trials, by their numbers, until all have ended or the time is over.

    Ray must be connected. It is disconnected at the end, so that the next training shows its workers' output.
    Raises KeyboardInterrupt at Ctrl-C, and DiskFull.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors of trials are in the journal
    ended = [trial for trial in journal.trials.values() if trial.has_ended]
    remaining = asked.keys() - {trial.number for trial in ended}
    if not remaining:
        ray.shutdown()
        return
    tuner = ray.tune.Tuner(
        ray.tune.with_resources(_run_trial, ray.tune.PlacementGroupFactory([OF_A_TRIAL])),
        param_space={
            "trial": ray.tune.grid_search(
                [[number, asked[number].model_dump()] for number in sorted(remaining)]
            )
        },
        tune_config=ray.tune.TuneConfig(
            scheduler=_scheduler(ended, search.trial_epochs),
            max_concurrent_trials=search.max_concurrent,
            time_budget_s=search.search_minutes * 60 or None,
        ),
        run_config=ray.tune.RunConfig(
            name=f"{settings.name}-tune",
            storage_path=settings.storage_path,
            verbose=0,
            callbacks=[_Events(journal, search.trial_epochs)],
        ),
    )
    with left_when_interrupted(), explain_full_disk("Ray's temporary files", settings.name):
        fit_unwrapped(tuner)
    ray.shutdown()


def fit_unwrapped(tuner: ray.tune.Tuner) -> None:
    """Runs the trials; raises what a callback raises: Tune's error in its place has a traceback as text."""
    try:
        tuner.fit()
    except ray.tune.TuneError as error:
        raise error.__context__ or error from None


def _scheduler(ended: Iterable[Trial], epochs: int) -> ASHAScheduler:
    """Returns a scheduler that also compares with the trials of earlier calls.

    It would stop a trial at `max_t` epochs; a trial that reaches its last epoch ends by itself.
    """
    asha = ASHAScheduler(
        time_attr=EPOCH, metric=METRIC, mode="max", max_t=epochs + 1, grace_period=FIRST_RUNG,
        reduction_factor=REDUCTION,
    )  # fmt: skip
    for trial in ended:
        replayed: Any = SimpleNamespace(trial_id=f"ended-{trial.number}")
        asha.on_trial_add(None, replayed)  # type: ignore[arg-type]
        for epoch, metrics in sorted(trial.history.items()):
            asha.on_trial_result(None, replayed, {EPOCH: epoch, METRIC: metrics[METRIC]})  # type: ignore[arg-type]
    return asha


def _run_trial(config: dict[str, Any]) -> None:
    """Trains from the trial's last checkpoint, if it has one, in a process of Tune."""
    settings = TrainSettings(**config["trial"][1])
    to_tune: Any = _EpochsToTune()  # type: ignore[no-untyped-call]
    checkpoint = run_workers(
        settings, open_data(settings), on_epoch=None, callbacks=[to_tune], shows_progress=False
    )
    with checkpoint.as_directory() as files:
        history = read_progress(Path(files))
    ray.tune.report(history[-1] | {EPOCH: len(history), HISTORY: history, COMPLETE: True})


class _EpochsToTune(TuneReportCallback):
    """Passes epochs on to Tune, but not the checkpoints within an epoch."""

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: ray.train.Checkpoint | None
    ) -> None:
        if EPOCH in metrics[0]:
            super().after_report(run_context, metrics, checkpoint)


class _Events(ray.tune.Callback):
    """Passes Tune's events about trials on to the journal; runs in the driver."""

    def __init__(self, journal: Journal, epochs: int) -> None:
        self._journal = journal
        self._epochs = epochs
        self._began: dict[int, float] = {}
        self._complete: set[int] = set()

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._began[_number(trial)] = time.monotonic()

    def on_trial_result(self, iteration: int, trials: Any, trial: Any, result: Any, **info: Any) -> None:
        number = _number(trial)
        if COMPLETE in result or result[EPOCH] >= self._epochs:
            self._complete.add(number)
        for epoch, metrics in enumerate(result[HISTORY], 1):
            self._journal.log_epoch(number, epoch, {key: float(metrics[key]) for key in REPORTED})

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """Records the end of a trial. Tune does not call it for a trial that the time limit ends."""
        number = _number(trial)
        self._journal.end(
            number, "finished" if number in self._complete else "stopped", self._seconds(number)
        )

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        number = _number(trial)
        self._journal.end(
            number, "failed", self._seconds(number), last_line(Path(trial.error_file).read_text())
        )

    def _seconds(self, number: int) -> float:
        return time.monotonic() - self._began.get(number, time.monotonic())


def _number(trial: Any) -> int:
    number: int = trial.config["trial"][0]
    return number
