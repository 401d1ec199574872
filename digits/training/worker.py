"""The code of each Ray Train worker: epochs, and checkpoints after and within them.

Imports ray.train, as run.py does.
"""

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.experimental.tqdm_ray import tqdm

from digits.streaming.plan import Stretch
from digits.training.checkpoints import (
    BEST,
    STATE,
    best_epoch,
    explain_full_disk,
    read_arrays,
    read_begun,
    read_progress,
    write_checkpoint,
)
from digits.training.cluster import storage_of
from digits.training.data import TrainingData, load
from digits.training.network import use_keras_3
from digits.training.settings import TrainSettings
from digits.training.step import STEPS_PER_CALL, History, State, Trainer, state_sha256


def train_on_worker(config: dict[str, Any]) -> None:
    """Trains from the last checkpoint on.

    `config` holds the settings, a reference to streamed data (a worker loads other data itself), and whether
    to show a progress bar.
    """
    use_keras_3()
    _hide_reports()
    settings = TrainSettings(**config["settings"])
    dataset: TrainingData = ray.get(config["data"]) if config["data"] else load(settings.data)
    _Worker(settings, dataset).run(config["shows_progress"])


class _Worker:
    def __init__(self, settings: TrainSettings, dataset: TrainingData) -> None:
        context = ray.train.get_context()
        self._settings = settings
        self._rank = context.get_world_rank()
        self._trainer = Trainer(settings, dataset, self._rank, context.get_world_size())
        self._history: History = []
        self._begun: list[Stretch] = []  # of the next epoch
        self._best: State = {}
        self._noticed: list[str] = []  # nodes that will be taken away
        if checkpoint := ray.train.get_checkpoint():
            with checkpoint.as_directory() as folder:
                self._history = read_progress(Path(folder))
                self._begun = read_begun(Path(folder))
                self._best = read_arrays(Path(folder) / BEST)
                self._trainer.restore(read_arrays(Path(folder) / STATE))

    def run(self, shows_progress: bool) -> None:
        settings, history, trainer = self._settings, self._history, self._trainer
        remaining = (settings.epochs - len(history)) * trainer.steps * settings.batch_size
        # Drawn by the driver.
        bar: Any = tqdm(total=remaining, unit="images") if shows_progress and self._rank == 0 else None
        while not is_finished(history, settings):
            number = len(history)

            def show(images: int, loss: float, accuracy: float, number: int = number) -> None:
                if bar:
                    bar.set_description(
                        f"epoch {number + 1}/{settings.epochs} loss {loss:.3f} accuracy {accuracy:.2%}"
                    )
                    bar.update(images)

            history.append(trainer.train_epoch(number, show, self._begun, self._within_epoch))
            self._begun = []
            if best_epoch(history) == number:
                self._best = trainer.weights()
            # All epochs: a driver that died may have missed one.
            self._report(history[-1] | {"epoch": len(history), "history": history}, ())
        if bar:
            bar.close()

    def _within_epoch(self, stretch: Stretch) -> None:
        """Writes a checkpoint every `checkpoint_steps` steps, and once when nodes are about to be removed.

        All workers do so at the same step: each call of Ray Train here waits for all of them.
        """
        notice = ray.train.get_preemption_info()
        nodes = notice.preempted_node_ids if notice else []
        is_due = stretch.steps % self._settings.checkpoint_steps < STEPS_PER_CALL
        if is_due or (nodes and nodes != self._noticed):
            self._noticed = nodes
            self._trainer.synchronize()
            self._report({}, [*self._begun, stretch])

    def _report(self, metrics: dict[str, Any], begun: Sequence[Stretch]) -> None:
        """Reports to Ray Train; the first worker's report has the checkpoint."""
        state = self._trainer.state()
        metrics = metrics | {
            "state_sha256": state_sha256(state), "unreadable": self._trainer.feed.unreadable(),
        }  # fmt: skip
        if self._rank:
            ray.train.report(metrics)
            return
        settings = self._settings
        with tempfile.TemporaryDirectory() as folder:
            with explain_full_disk(tempfile.gettempdir(), settings.name):
                write_checkpoint(Path(folder), self._history, self._best, state, begun)
            with explain_full_disk(storage_of(settings), settings.name):
                ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def is_finished(history: History, settings: TrainSettings) -> bool:
    return len(history) >= settings.epochs or (
        bool(history) and len(history) - 1 - best_epoch(history) >= settings.patience
    )


def _hide_reports() -> None:
    """Drops the line that Ray Train logs for each report: the progress bar shows the same.

    The logger is named after its file, so RunConfig.logging_config, which filters by "ray.train", misses it.
    """
    from ray.train.v2._internal.execution import context

    logging.getLogger(context.__file__).setLevel(logging.WARNING)
