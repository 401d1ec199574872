"""The files of a checkpoint, the repair of a run's folder after a crash, and how a training resumes.

Ray Train keeps the list of a run's checkpoints in one file, which it overwrites in place
(ray/train/v2/_internal/execution/checkpoint/checkpoint_manager.py). A process that dies during that write
leaves it truncated, and no training with that name would start again. This module does not import Ray.
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from digits.errors import DiskFull, TrainingFailed
from digits.streaming.plan import Stretch
from digits.training.step import History, State

STATE, BEST, PROGRESS = "state.npz", "best.npz", "progress.json"  # arrays and JSON, no pickle
LIST = "checkpoint_manager_snapshot.json"  # Ray's name


def write_checkpoint(
    folder: Path, history: History, best: State, state: State, begun: Sequence[Stretch] = ()
) -> None:
    """Writes the files of a checkpoint; `begun` is what is done of the epoch after the history's last."""
    (folder / PROGRESS).write_text(json.dumps({"epochs": history, "begun": begun}))
    np.savez(folder / STATE, allow_pickle=False, **state)
    np.savez(folder / BEST, allow_pickle=False, **best)


def read_progress(folder: Path) -> History:
    history: History = json.loads((folder / PROGRESS).read_text())["epochs"]
    return history


def read_begun(folder: Path) -> list[Stretch]:
    """Returns what was done of the checkpoint's unfinished epoch; [] after a whole epoch."""
    return [Stretch(*stretch) for stretch in json.loads((folder / PROGRESS).read_text())["begun"]]


def read_arrays(file: Path) -> State:
    with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
        return dict(arrays)


def best_epoch(history: History) -> int:
    """Returns the index of the epoch with the highest validation accuracy; ties go to the lower loss."""
    return max(
        range(len(history)), key=lambda epoch: (history[epoch]["val_accuracy"], -history[epoch]["val_loss"])
    )


def resume_hint(name: str) -> str:
    """Returns the end of an error message: how to continue this training."""
    return f"run the same command with --name {name} to continue from the last checkpoint"


@contextlib.contextmanager
def claimed(storage: str, name: str) -> Iterator[None]:
    """Keeps other processes from training under this name meanwhile: both would write the same checkpoints.

    The lock is on the run's folder, so it leaves no file and ends with the process; an address has none.
    Raises TrainingFailed if another process has the name.
    """
    if "://" in storage:
        yield
        return
    folder = Path(storage) / name
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise TrainingFailed(
                    f"another process trains {name}; wait until it ends, or choose another --name"
                ) from None
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def explain_full_disk(folder: str, name: str) -> Iterator[None]:
    """Raises DiskFull, which names the folder, in place of the system's error for a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise DiskFull(
            f"the disk of {folder} is full; free some space there, then {resume_hint(name)}"
        ) from error


def repair_run_folder(run: Path) -> None:
    """Removes what a crash left in a run's folder; call it before Ray opens the folder.

    Checkpoints that are incomplete, or missing from Ray's list, are deleted: Ray would keep them for ever. An
    unreadable list is rebuilt from the complete checkpoints. An intact folder stays unchanged.
    """
    progress = {folder: _progress_if_complete(folder) for folder in sorted(run.glob("checkpoint_*/"))}
    complete = {folder.name: history for folder, history in progress.items() if history is not None}
    listed = _listed(run / LIST)
    if listed is None or not listed <= complete.keys():
        listed = set(complete)
        _write_list(run / LIST, complete)
    for folder in progress:
        if folder.name not in listed:
            shutil.rmtree(folder)


def _progress_if_complete(folder: Path) -> History | None:
    """Returns the history if every file is readable to its end: zip files have checksums."""
    try:
        for file in (STATE, BEST):
            read_arrays(folder / file)
        return read_progress(folder)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _listed(file: Path) -> set[str] | None:
    """Returns the names of the checkpoints in Ray's list; None without a readable list."""
    try:
        return {entry["checkpoint_dir_name"] for entry in json.loads(file.read_text())["checkpoint_results"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write_list(file: Path, complete: dict[str, History]) -> None:
    """Writes the list as Ray's CheckpointManager does, in the order of epochs; no file if it is empty."""
    epochs = sorted(complete, key=lambda name: (len(complete[name]), name))
    if not epochs:
        file.unlink(missing_ok=True)
        return
    metrics = {name: (complete[name] or [{}])[-1] | {"epoch": len(complete[name])} for name in epochs}
    entries = [{"version": 0, "checkpoint_dir_name": name, "metrics": metrics[name]} for name in epochs]
    content: dict[str, Any] = {
        "ray_version": version("ray"),
        "checkpoint_results": entries,
        "checkpoint_report_indices": list(range(len(epochs))),
        "latest_checkpoint_result": entries[-1],
        "current_report_index": len(epochs),
        "pending_training_results": [],
        "pending_validation_specs": [],
        "validated_checkpoint_dir_names": [],
        "timed_out_validation_checkpoint_dir_names": [],
        "failed_validation_checkpoint_dir_names": [],
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(file)
