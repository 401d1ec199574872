"""The Ray Train run: workers, checkpoints, restarts, one MLflow run.

The only module that imports ray.train.
"""

import contextlib
import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
import ray.train
from ray.experimental.tqdm_ray import tqdm
from ray.train.tensorflow import TensorflowTrainer

from digits.errors import DigitsError, DiskFull, TrackingUnavailable, TrainingFailed
from digits.models.manifest import Manifest
from digits.registry import mlflow as tracking
from digits.training import publish as release
from digits.training.checkpoints import (
    BEST,
    STATE,
    best_epoch,
    mend,
    read_arrays,
    read_progress,
    write_checkpoint,
)
from digits.training.data import Dataset, load, located
from digits.training.export import git_commit, package_versions
from digits.training.network import use_keras_3
from digits.training.plots import History
from digits.training.settings import TrainSettings
from digits.training.step import Fitting, State
from digits.vision.identity import preprocessing_sha256

log = logging.getLogger(__name__)

KEPT_CHECKPOINTS = 2


@dataclass(frozen=True, slots=True)
class TrainResult:
    folder: Path  # the model, its manifest and its plots
    manifest: Manifest
    version: str | None  # registered; None if MLflow was gone at the end
    outcome: str  # what became of it, for whoever started the training


def train(settings: TrainSettings) -> TrainResult:
    """Train, evaluate, export, register, and promote if the gate lets it.  Nothing is left half-written."""
    dataset = load(settings.data)
    name = settings.name or time.strftime("digits-%Y%m%d-%H%M%S")
    settings = settings.model_copy(update={"data": located(settings.data), "name": name})
    uri, tags = tracking.tracking_uri(), _tags(dataset)
    run_id = tracking.start_run(uri, name, settings.model_dump(), tags)
    _start_ray()
    try:
        checkpoint = _fit(settings, uri, run_id)
    except BaseException:
        _tell(lambda: tracking.end_run(uri, run_id, "FAILED"))
        raise
    folder = Path(settings.output) / name
    with _said_if_full(settings.output, name), checkpoint.as_directory() as files:
        manifest, history = release.build(settings, dataset, Path(files), folder, tags["git_commit"])
    try:
        version, outcome = release.publish(settings, dataset, folder, manifest, history, uri, run_id)
    except TrackingUnavailable as error:
        left = f"{error}; nothing is lost: the model and history.json are in {folder}, and the same command"
        return TrainResult(folder, manifest, None, f"{left} registers them once MLflow answers")
    return TrainResult(folder, manifest, version, outcome)


def _tags(dataset: Dataset) -> dict[str, str]:
    versions = {f"version.{package}": version for package, version in package_versions().items()}
    return versions | {
        "git_commit": git_commit(),
        "data": dataset.name,
        "data_sha256": dataset.sha256,
        "preprocessing_sha256": preprocessing_sha256(),
    }


def _start_ray() -> None:
    """Join the cluster of RAY_ADDRESS, or start one on this machine."""
    if not ray.is_initialized():
        environment = {"TF_CPP_MIN_LOG_LEVEL": "2", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        ray.init(logging_level=logging.WARNING, runtime_env={"env_vars": environment})


def _fit(settings: TrainSettings, uri: str, run_id: str) -> ray.train.Checkpoint:
    storage = _storage(settings)
    if "://" not in storage:
        mend(Path(storage) / settings.name)
    trainer = TensorflowTrainer(
        _work,
        train_loop_config=settings.model_dump(),
        scaling_config=ray.train.ScalingConfig(
            num_workers=settings.num_workers,
            use_gpu=settings.use_gpu,
            resources_per_worker={
                "CPU": settings.cpus_per_worker,
                **({"GPU": 1} if settings.use_gpu else {}),
            },
        ),
        run_config=ray.train.RunConfig(
            name=settings.name,
            storage_path=storage,
            failure_config=ray.train.FailureConfig(max_failures=settings.max_failures),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=KEPT_CHECKPOINTS),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),  # type: ignore[call-arg]
            callbacks=[TellMlflow(uri, run_id)],  # type: ignore[list-item]
        ),
    )
    try:
        result = trainer.fit()
    except (ray.train.TrainingFailedError, ray.exceptions.RayError) as error:
        words, again = _last_words(error), _again(settings.name)
        raise TrainingFailed(words if again in words else f"{words}; {again}") from error
    if result.checkpoint is None:
        raise TrainingFailed(f"no epoch of {settings.name} has left a checkpoint")
    checkpoint: ray.train.Checkpoint = result.checkpoint
    return checkpoint


def _storage(settings: TrainSettings) -> str:
    """As Ray Train takes it; workers' current folder is not the driver's."""
    path = settings.storage_path
    return path if "://" in path else str(Path(path).resolve())


def _last_words(error: Exception) -> str:
    """Of the first worker that failed, or of Ray: the end of a traceback, without the name of our errors."""
    if isinstance(error, ray.train.WorkerGroupError):
        error = next(iter(error.worker_failures.values()))
    words = str(error).strip().splitlines()[-1]
    return words.partition(": ")[2] if words.startswith("digits.errors.") else words


def _again(name: str) -> str:
    return f"then the same command with --name {name} goes on after the last whole epoch"


@contextlib.contextmanager
def _said_if_full(folder: str, name: str) -> Iterator[None]:
    """Raises DiskFull with the folder's name; the system's own error names at most a file."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(f"the disk of {folder} is full; free some space there, {_again(name)}") from error


class TellMlflow(ray.train.UserCallback):
    """Runs in Ray Train's controller, so that there is one teller however many workers come and go.

    MLflow never fails the training: what cannot be told now stands in the checkpoint's history and is told
    at the end.
    """

    def __init__(self, uri: str, run_id: str) -> None:
        self._uri = uri
        self._run_id = run_id

    def after_report(
        self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: ray.train.Checkpoint | None
    ) -> None:
        epoch = {key: value for key, value in metrics[0].items() if isinstance(value, float)}
        digests = [worker["state_sha256"] for worker in metrics]
        epoch["workers_in_step"] = float(digests.count(digests[0]))
        _tell(lambda: tracking.log_epoch(self._uri, self._run_id, metrics[0]["epoch"], epoch))

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for rank, error in worker_exceptions.items():
            log.warning("worker lost rank=%d error=%s", rank, _last_words(error))


def _tell(call: Any) -> None:
    try:
        call()
    except DigitsError as error:
        log.warning("training goes on without MLflow: %s", error)


def _work(config: dict[str, Any]) -> None:
    """What each worker runs; every epoch ends in a checkpoint, and it begins after the last one."""
    use_keras_3()
    settings = TrainSettings(**config)
    context = ray.train.get_context()
    rank, workers = context.get_world_rank(), context.get_world_size()
    fitting = Fitting(settings, load(settings.data), rank, workers)
    history: History = []
    best: State = {}
    if checkpoint := ray.train.get_checkpoint():
        with checkpoint.as_directory() as folder:
            history = read_progress(Path(folder))
            best = read_arrays(Path(folder) / BEST)
            fitting.restore(read_arrays(Path(folder) / STATE))
    remaining = (settings.epochs - len(history)) * fitting.steps * settings.batch_size
    bar: Any = tqdm(total=remaining, unit="images") if rank == 0 else None  # drawn by the driver
    while not _is_done(history, settings):
        number = len(history)

        def show(images: int, loss: float, accuracy: float, number: int = number) -> None:
            if bar:
                bar.set_description(
                    f"epoch {number + 1}/{settings.epochs} loss {loss:.3f} accuracy {accuracy:.2%}"
                )
                bar.update(images)

        entry = fitting.epoch(number, show)
        history.append(entry)
        if best_epoch(history) == number:
            best = fitting.weights()
        _report(settings, history, best, fitting.state(), rank)
    if bar:
        bar.close()


def _is_done(history: History, settings: TrainSettings) -> bool:
    return len(history) >= settings.epochs or (
        bool(history) and len(history) - 1 - best_epoch(history) >= settings.patience
    )


def _report(settings: TrainSettings, history: History, best: State, state: State, rank: int) -> None:
    metrics = history[-1] | {"epoch": len(history), "state_sha256": digest(state)}
    if rank:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        with _said_if_full(tempfile.gettempdir(), settings.name):
            write_checkpoint(Path(folder), history, best, state)
        with _said_if_full(_storage(settings), settings.name):
            ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def digest(state: State) -> str:
    """Workers that train in step have the same one after each epoch."""
    together = hashlib.sha256()
    for key in sorted(state):
        together.update(np.ascontiguousarray(state[key]).tobytes())
    return together.hexdigest()
