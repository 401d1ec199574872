"""The Ray Train run: workers, checkpoints, restarts, progress. Imports ray.train, as worker.py does."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray.train.backend import BackendConfig
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

from digits.errors import TrainingFailed, last_line
from digits.ray_start import left_when_interrupted
from digits.training.checkpoints import repair_run_folder, resume_hint
from digits.training.cluster import connect, storage_of, worker_resources
from digits.training.data import TrainingData
from digits.training.settings import TrainSettings
from digits.training.step import OnEpoch
from digits.training.streamed import StreamedDataset
from digits.training.unreadable import list_unreadable
from digits.training.worker import train_on_worker

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2


class InterruptibleTrainer(DataParallelTrainer):
    """Leaves Ctrl-C a KeyboardInterrupt: Ray's own handler does not end a training that waits for CPUs."""

    def _register_sigint_handler(self, controller: Any) -> None:
        pass


def prepare(settings: TrainSettings, trainings: int = 1, shows_logs: bool = True) -> None:
    """Joins or starts Ray for this many trainings at a time; `shows_logs` shows the workers' output.

    Raises TrainingFailed if the workers do not fit or the storage is not writable.
    """
    connect(settings, trainings, shows_logs)
    try:
        config: Any = ray.train.RunConfig(name=settings.name, storage_path=storage_of(settings))
        _ = config.storage_context  # opens the storage and writes a file
    except (OSError, ValueError) as error:  # within its controller, Ray Train would wait for ever
        raise TrainingFailed(f"--storage-path {settings.storage_path} cannot be written: {error}") from error


def run_workers(
    settings: TrainSettings,
    dataset: TrainingData,
    on_epoch: OnEpoch | None,
    callbacks: Sequence[ray.train.UserCallback] = (),
    shows_progress: bool = True,
) -> ray.train.Checkpoint:
    """Trains on the settings' workers, from the last checkpoint of this name; returns the last checkpoint.

    `callbacks` run in Ray Train's controller. Raises TrainingFailed, and DataUnavailable before it starts.
    """
    prepare(settings)
    storage = storage_of(settings)
    if "://" not in storage:
        repair_run_folder(Path(storage) / settings.name)
    least, most = settings.min_workers or settings.num_workers, settings.num_workers
    trainer = InterruptibleTrainer(
        train_on_worker,
        train_loop_config={
            "settings": settings.model_dump(),
            "data": _sent(dataset, f"{storage}/{settings.name}"),
            "shows_progress": shows_progress,
        },
        backend_config=_backend(settings.num_workers),
        scaling_config=ray.train.ScalingConfig(
            num_workers=most if least == most else (least, most),  # type: ignore[arg-type]
            use_gpu=settings.use_gpu,
            resources_per_worker=worker_resources(settings),
        ),
        run_config=ray.train.RunConfig(
            name=settings.name,
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),  # type: ignore[call-arg]
            callbacks=[RunEvents(on_epoch, f"{storage}/{settings.name}"), *callbacks],  # type: ignore[list-item]
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


def _backend(workers: int) -> BackendConfig:
    """Returns the backend that connects workers; a single worker needs none.

    Ray's backend for TensorFlow loads TensorFlow (5 s of CPU, 600 MB) also in the processes that start
    workers.
    """
    if workers == 1:
        return BackendConfig()
    from ray.train.tensorflow import TensorflowConfig

    return TensorflowConfig()


def _sent(dataset: TrainingData, folder: str) -> Any:
    """Returns a reference to streamed data, including its held-back pictures; None for other data.

    The unreadable ones are listed in the folder. Raises DataUnavailable.
    """
    if not isinstance(dataset, StreamedDataset):
        return None
    list_unreadable(folder, dataset.unreadable)  # reads them
    return ray.put(dataset)


def _cause(error: Exception) -> str:
    """Returns the last line of the first failed worker's error."""
    if isinstance(error, ray.train.WorkerGroupError):
        error = next(iter(error.worker_failures.values()))
    return last_line(str(error))


class RunEvents(ray.train.UserCallback):
    """Reports epochs, lost workers and unreadable pictures once each: it runs in Ray Train's controller."""

    def __init__(self, on_epoch: OnEpoch | None, folder: str) -> None:
        self._on_epoch, self._folder = on_epoch, folder

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: ray.train.Checkpoint | None
    ) -> None:
        """Passes an epoch on, with the number of workers that have the first worker's variables."""
        list_unreadable(self._folder, [each for worker in metrics for each in worker["unreadable"]])
        if self._on_epoch is None or "epoch" not in metrics[0]:  # a report within an epoch
            return
        epoch = {key: value for key, value in metrics[0].items() if isinstance(value, float)}
        digests = [worker["state_sha256"] for worker in metrics]
        epoch["workers_in_step"] = float(digests.count(digests[0]))
        self._on_epoch(metrics[0]["epoch"], epoch)

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for rank, error in worker_exceptions.items():
            log.warning("worker lost rank=%d error=%s", rank, _cause(error))
