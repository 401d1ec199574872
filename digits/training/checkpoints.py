"""What an epoch leaves behind, and the folder of a run put right after a death or a full disk.

Ray Train keeps the list of a run's checkpoints in one file, which it writes over in place
(ray/train/v2/_internal/execution/checkpoint/checkpoint_manager.py): whoever dies in that moment leaves it
torn, and no training of that name would start again.  Ray itself is not imported here.
"""

import json
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from digits.training.plots import History
from digits.training.step import State

STATE, BEST, PROGRESS = "state.npz", "best.npz", "progress.json"  # arrays and JSON, no pickle
LIST = "checkpoint_manager_snapshot.json"  # Ray's


def write_checkpoint(folder: Path, history: History, best: State, state: State) -> None:
    (folder / PROGRESS).write_text(json.dumps(history))
    np.savez(folder / STATE, allow_pickle=False, **state)
    np.savez(folder / BEST, allow_pickle=False, **best)


def read_progress(folder: Path) -> History:
    history: History = json.loads((folder / PROGRESS).read_text())
    return history


def best_epoch(history: History) -> int:
    """Its index, by validation accuracy; of equals, the one with the lower loss."""
    return max(
        range(len(history)), key=lambda epoch: (history[epoch]["val_accuracy"], -history[epoch]["val_loss"])
    )


def read_arrays(file: Path) -> State:
    with file.open("rb") as content, np.load(content, allow_pickle=False) as arrays:
        return dict(arrays)


def mend(run: Path) -> None:
    """To be called before Ray opens the run's folder; a whole one stays as it is.

    Checkpoints that Ray's list does not name, or that are not whole, are deleted: they would fill the disk
    for good.  A torn list is made anew of the whole checkpoints.
    """
    progress = {folder: _progress_if_whole(folder) for folder in sorted(run.glob("checkpoint_*/"))}
    whole = {folder.name: history for folder, history in progress.items() if history}
    listed = _listed(run / LIST)
    if listed is None or not listed <= whole.keys():
        listed = set(whole)
        _write_list(run / LIST, whole)
    for folder in progress:
        if folder.name not in listed:
            shutil.rmtree(folder)


def _progress_if_whole(folder: Path) -> History | None:
    """Zip files carry a checksum of each array: one that is read to its end is whole."""
    try:
        for file in (STATE, BEST):
            read_arrays(folder / file)
        return read_progress(folder)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def _listed(file: Path) -> set[str] | None:
    """The names of the checkpoints that Ray would look for; None if there is no list it can read."""
    try:
        return {entry["checkpoint_dir_name"] for entry in json.loads(file.read_text())["checkpoint_results"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _write_list(file: Path, whole: dict[str, History]) -> None:
    """As Ray's CheckpointManager writes it, in the order of the epochs; none is left if there are none."""
    epochs = sorted(whole, key=lambda name: len(whole[name]))
    if not epochs:
        file.unlink(missing_ok=True)
        return
    entries = [
        {"version": 0, "checkpoint_dir_name": name, "metrics": whole[name][-1] | {"epoch": len(whole[name])}}
        for name in epochs
    ]
    content: dict[str, Any] = {
        "ray_version": version("ray"),
        "checkpoint_results": entries,
        "checkpoint_report_indices": [len(whole[name]) - 1 for name in epochs],
        "latest_checkpoint_result": entries[-1],
        "current_report_index": len(whole[epochs[-1]]),
        "pending_training_results": [],
        "pending_validation_specs": [],
        "validated_checkpoint_dir_names": [],
        "timed_out_validation_checkpoint_dir_names": [],
        "failed_validation_checkpoint_dir_names": [],
    }
    partial = file.with_suffix(".partial")
    partial.write_text(json.dumps(content))
    partial.replace(file)
