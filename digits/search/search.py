"""The whole search of train_ray.py --trials N: trials, their table, the full training of the best."""

import logging
import re
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from digits.errors import (
    AlreadyRegistered,
    DiskFull,
    TrackingUnavailable,
    TrainingFailed,
    TrainingInterrupted,
)
from digits.interrupts import caught
from digits.registry.gate import GateSettings
from digits.search.importance import importance
from digits.search.journal import Journal
from digits.search.plots import save_search_plots
from digits.search.records import Records, Trial, ranked
from digits.search.settings import SearchSettings
from digits.search.space import Space, load_space, settings_of_best, settings_of_trial, values_of_trial
from digits.search.tracking import SearchRun
from digits.training.checkpoints import claimed, explain_full_disk, resume_hint
from digits.training.cluster import storage_of
from digits.training.data import TrainingData
from digits.training.feeds import check_fills_a_batch
from digits.training.fit import check_writable, resolve_settings
from digits.training.provenance import collect_provenance
from digits.training.settings import TrainSettings
from digits.training.streamed import open_data
from digits.training.train import TrainResult, train

log = logging.getLogger(__name__)

# Settings that may differ when a search is continued: its resources, and what is checked at its end.
MAY_CHANGE = {
    "name", "data", "output", "storage_path", "num_workers", "min_workers", "cpus_per_worker", "use_gpu",
    "max_failures", "checkpoint_steps", "model_name", "epochs",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SearchResult:
    folder: Path  # the table, plots and records of the trials
    best: Trial
    trials: int  # number of trials with at least one epoch
    trained: TrainResult


def search(settings: TrainSettings, asked: SearchSettings, gate: GateSettings) -> SearchResult:
    """Runs the trials, then trains with the best settings in full and sends the model through the gate.

    The name of an interrupted search continues it: finished trials do not run again, the others continue
    after their last epoch. A wrong space or other bad input is reported before any file, run or Ray process
    is created. Raises TrainingInterrupted at Ctrl-C and SIGTERM.
    """
    from digits.search.tuning import run_trials  # Ray takes seconds to import
    from digits.training.run import prepare

    settings = _resolved(settings)
    space = load_space(asked.space, settings)
    values = [values_of_trial(space, settings.seed, number) for number in range(asked.trials)]
    trials = {
        number: settings_of_trial(settings, varied, number, asked.trial_epochs)
        for number, varied in enumerate(values)
    }
    dataset = open_data(settings)
    for each in {one.batch_size: one for one in (settings, *trials.values())}.values():
        check_fills_a_batch(each, dataset)
    provenance = collect_provenance(dataset)
    records, plan = Records(Path(settings.output) / settings.name), _plan(settings, asked, space, dataset)
    records.check(plan)
    prepare(settings, asked.max_concurrent, shows_logs=False)
    check_writable("--output", settings.output)
    varied = asked.model_dump() | {"varied": str(plan["space"])}
    with claimed(settings.storage_path, settings.name):
        run = SearchRun.start(settings, varied, provenance, dataset)
        try:
            records.begin(plan)
            wanted = [Trial(number=number, values=varied) for number, varied in enumerate(values)]
            with closing(Journal(records, run, wanted)) as journal:
                run_trials(trials, journal, settings, asked)
            tried = list(journal.trials.values())
            _summarise(records, tried, space, run)
            return _best_in_full(settings, gate, records, tried, run)
        except (KeyboardInterrupt, SystemExit, TrainingInterrupted):
            caught()
            run.mark("KILLED")
            raise TrainingInterrupted(f"interrupted; {resume_hint(settings.name)}") from None
        except (TrainingFailed, DiskFull) as error:
            run.mark("FAILED")
            raise type(error)(_of_search(settings.name, str(error))) from error
        except BaseException:
            run.mark("FAILED")
            raise


def _best_in_full(
    settings: TrainSettings, gate: GateSettings, records: Records, tried: Sequence[Trial], run: SearchRun
) -> SearchResult:
    best_first = ranked(tried)
    try:
        trained = train(settings_of_best(settings, best_first[0].values), gate, run.run_id)
    except AlreadyRegistered:  # a call before this one died right after it
        run.mark("FINISHED")
        raise
    if trained.version is not None:
        run.mark("FINISHED")
    trained = replace(trained, outcome=_of_search(settings.name, trained.outcome))
    return SearchResult(records.folder, best_first[0], len(best_first), trained)


def _resolved(settings: TrainSettings) -> TrainSettings:
    """Returns the settings with a name, and with paths that are the same in the processes of the trials."""
    return resolve_settings(settings.model_copy(update={"storage_path": storage_of(settings)}))


def _plan(
    settings: TrainSettings, asked: SearchSettings, space: Space, dataset: TrainingData
) -> dict[str, Any]:
    """Returns what all trials of a search have in common, which a continued search must repeat."""
    return {
        "space": {name: varied.model_dump() for name, varied in space.items()},
        "trial_epochs": asked.trial_epochs,
        "data": dataset.sha256,
    } | settings.model_dump(exclude=MAY_CHANGE | space.keys())


def _of_search(name: str, text: str) -> str:
    """Returns a message of a trial with the search's name in its hint how to continue."""
    return re.sub(rf"--name {re.escape(name)}-(best|trial-\d+)", f"--name {name}", text)


def _summarise(records: Records, tried: Sequence[Trial], space: Space, run: SearchRun) -> None:
    """Writes the table and the plots, and sends them. Raises TrainingFailed if no trial has an epoch."""
    if not ranked(tried):
        errors = [trial.error for trial in tried if trial.error]
        raise TrainingFailed(
            errors[0] if errors else "no trial completed an epoch within --search-minutes; allow more"
        )
    records.write_table(tried)
    with explain_full_disk(str(records.folder), records.folder.name):
        save_search_plots(records.folder, tried, space, importance(tried, space))
    best = ranked(tried)[0]
    figures = {
        "trials": float(len(tried)),
        "trials_stopped": float(sum(trial.outcome == "stopped" for trial in tried)),
        "best_trial": float(best.number),
        "best_val_accuracy": best.best[0],
    }
    try:
        run.complete(trial for trial in tried if trial.history)
        run.log_results(figures, records.folder)
    except TrackingUnavailable as error:
        log.warning("table and plots not sent to MLflow, they are in %s error=%s", records.folder, error)
