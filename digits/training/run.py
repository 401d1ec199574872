"""The Ray Train run: workers, checkpoints, restarts, progress.  The only module that imports ray.train."""

import logging
import tempfile
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.experimental.tqdm_ray import tqdm
from ray.train.tensorflow import TensorflowTrainer

from digits.errors import TrainingFailed
from digits.training.checkpoints import (
    BEST,
    STATE,
    best_epoch,
    explain_full_disk,
    read_arrays,
    read_progress,
    repair_run_folder,
    resume_hint,
    write_checkpoint,
)
from digits.training.cluster import connect, left_when_interrupted, worker_resources
from digits.training.data import load
from digits.training.network import use_keras_3
from digits.training.settings import TrainSettings
from digits.training.step import History, OnEpoch, State, Trainer, state_sha256

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2


class InterruptibleTrainer(TensorflowTrainer):
    """Ctrl-C stays KeyboardInterrupt: Ray Train's own handler does not end a training that waits for CPUs."""

    def _register_sigint_handler(self, controller: Any) -> None:
        pass


def prepare(settings: TrainSettings) -> None:
    """Joins or starts Ray; raises TrainingFailed if the workers do not fit or the storage is not writable."""
    connect(settings)
    try:
        config: Any = ray.train.RunConfig(name=settings.name, storage_path=_storage(settings))
        _ = config.storage_context  # opens the storage and writes a file
    except (OSError, ValueError) as error:  # in its controller, Ray Train would wait for ever
        raise TrainingFailed(f"--storage-path {settings.storage_path} cannot be written: {error}") from error


def run_workers(settings: TrainSettings, on_epoch: OnEpoch | None) -> ray.train.Checkpoint:
    """Trains on the settings' workers, from the last checkpoint of this name if there is one.

    Returns the last checkpoint.  Raises TrainingFailed.
    """
    prepare(settings)
    storage = _storage(settings)
    if "://" not in storage:
        repair_run_folder(Path(storage) / settings.name)
    trainer = InterruptibleTrainer(
        _train_on_worker,
        train_loop_config=settings.model_dump(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=settings.num_workers,
            use_gpu=settings.use_gpu,
            resources_per_worker=worker_resources(settings),
        ),
        run_config=ray.train.RunConfig(
            name=settings.name,
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),  # type: ignore[call-arg]
            callbacks=[RunEvents(on_epoch)],  # type: ignore[list-item]
        ),
    )
    try:
        with left_when_interrupted():
            result = trainer.fit()
    except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
        cause, hint = _cause(error), resume_hint(settings.name)
        raise TrainingFailed(cause if hint in cause else f"{cause}; {hint}") from error
    if result.checkpoint is None:
        raise TrainingFailed(f"no epoch of {settings.name} wrote a checkpoint")
    checkpoint: ray.train.Checkpoint = result.checkpoint
    return checkpoint


def _storage(settings: TrainSettings) -> str:
    """Returns an address or an absolute path: workers run in another folder than the driver."""
    path = settings.storage_path
    return path if "://" in path else str(Path(path).resolve())


def _cause(error: Exception) -> str:
    """Returns the last line of the first failed worker's error, without the class name of our own errors."""
    if isinstance(error, ray.train.WorkerGroupError):
        error = next(iter(error.worker_failures.values()))
    line = str(error).strip().splitlines()[-1]
    return line.partition(": ")[2] if line.startswith("digits.errors.") else line


class RunEvents(ray.train.UserCallback):
    """Reports epochs and lost workers; runs in Ray Train's controller, so each is reported once."""

    def __init__(self, on_epoch: OnEpoch | None) -> None:
        self._on_epoch = on_epoch

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: ray.train.Checkpoint | None
    ) -> None:
        """Adds to the first worker's metrics how many workers have the same variables as that worker."""
        if self._on_epoch is None:
            return
        epoch = {key: value for key, value in metrics[0].items() if isinstance(value, float)}
        digests = [worker["state_sha256"] for worker in metrics]
        epoch["workers_in_step"] = float(digests.count(digests[0]))
        self._on_epoch(metrics[0]["epoch"], epoch)

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for rank, error in worker_exceptions.items():
            log.warning("worker lost rank=%d error=%s", rank, _cause(error))


def _train_on_worker(config: dict[str, Any]) -> None:
    """Runs in each worker: trains from the last checkpoint on, and writes a checkpoint after every epoch."""
    use_keras_3()
    _hide_reports()
    settings = TrainSettings(**config)
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    trainer = Trainer(settings, load(settings.data), rank, workers)
    history: History = []
    best: State = {}
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            history = read_progress(Path(folder))
            best = read_arrays(Path(folder) / BEST)
            trainer.restore(read_arrays(Path(folder) / STATE))
    remaining = (settings.epochs - len(history)) * trainer.steps * settings.batch_size
    bar: Any = tqdm(total=remaining, unit="images") if rank == 0 else None  # drawn by the driver
    while not _is_finished(history, settings):
        number = len(history)

        def show(images: int, loss: float, accuracy: float, number: int = number) -> None:
            if bar:
                bar.set_description(
                    f"epoch {number + 1}/{settings.epochs} loss {loss:.3f} accuracy {accuracy:.2%}"
                )
                bar.update(images)

        history.append(trainer.train_epoch(number, show))
        if best_epoch(history) == number:
            best = trainer.weights()
        _report(settings, history, best, trainer.state(), rank)
    if bar:
        bar.close()


def _hide_reports() -> None:
    """Drops the line that Ray Train logs for each report: the progress bar says the same.

    The logger is named by its file, so RunConfig.logging_config, which filters by "ray.train", misses it.
    """
    from ray.train.v2._internal.execution import context

    logging.getLogger(context.__file__).setLevel(logging.WARNING)


def _is_finished(history: History, settings: TrainSettings) -> bool:
    return len(history) >= settings.epochs or (
        bool(history) and len(history) - 1 - best_epoch(history) >= settings.patience
    )


def _report(settings: TrainSettings, history: History, best: State, state: State, rank: int) -> None:
    """Reports the last epoch to Ray Train; the first worker's report carries the checkpoint."""
    metrics = history[-1] | {"epoch": len(history), "state_sha256": state_sha256(state)}
    if rank:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        with explain_full_disk(tempfile.gettempdir(), settings.name):
            write_checkpoint(Path(folder), history, best, state)
        with explain_full_disk(_storage(settings), settings.name):
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))
