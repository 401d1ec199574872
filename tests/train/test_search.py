"""train_ray.py --trials as users run it: killed, interrupted and continued; the best one through the gate."""

import csv
import json
import os
import re
import signal
import subprocess
import time
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
from mlflow.entities import Run
from ray.tune import TuneError

from digits.errors import DiskFull
from digits.search.records import Trial
from digits.search.tuning import _scheduler, fit_unwrapped
from testkit.cluster import LocalCluster, wait_until
from tests.train.conftest import DEADLINE_S, Workplace, disk_of, small_file

SPACE = """
learning_rate = {low = 1e-6, high = 3e-3, log = true}
dropout = {low = 0.1, high = 0.4}
"""


def asked(folder: Path, **flags: str) -> dict[str, str]:
    """Returns the flags of a search of seconds for each trial."""
    (folder / "space.toml").write_text(SPACE)
    return {
        "data": small_file(folder), "drawn": "0", "batch_size": "32", "validation_share": "0.3",
        "epochs": "4", "trial_epochs": "3", "trials": "5", "space": "space.toml", "name": "s",
        "min_test_images": "320",
    } | flags  # fmt: skip


def records(folder: Path) -> dict[int, dict[str, Any]]:
    """Returns the trials on record."""
    read = [json.loads(file.read_text()) for file in (folder / "out" / "s" / "trials").glob("*.json")]
    return {one["number"]: one for one in read}


def ended(folder: Path) -> dict[int, dict[str, Any]]:
    return {number: one for number, one in records(folder).items() if one["outcome"]}


def epochs(folder: Path) -> int:
    """Returns how many epochs of all trials are on record."""
    return sum(len(one["history"]) for one in records(folder).values())


def has_more_than(folder: Path, count: int) -> bool:
    return epochs(folder) > count


def runs(workplace: Workplace) -> dict[str, Run]:
    """Returns the MLflow runs by name; fails if two have the same one."""
    client = mlflow.MlflowClient(workplace.tracking_uri)
    found = client.search_runs([client.get_experiment_by_name("digits").experiment_id])  # type: ignore[union-attr]
    named = {str(run.info.run_name): run for run in found}
    assert len(named) == len(found)
    return named


def steps(workplace: Workplace, run: Run) -> list[int]:
    logged = mlflow.MlflowClient(workplace.tracking_uri).get_metric_history(run.info.run_id, "val_accuracy")
    return sorted(entry.step for entry in logged)


def kill_everything(workplace: Workplace, pid: int) -> None:
    """Ends the driver without a chance to do anything, then what a killed driver leaves behind."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not workplace.pids("ray::"), DEADLINE_S, lambda: "a process survived")


def test_a_killed_search_runs_no_ended_trial_again(tmp_path: Path) -> None:
    """Killed after two trials, in a third; continued, two at a time, to the best one's registration.

    Each trial is one nested run with each epoch once; the continued search leaves ended records untouched.
    """
    workplace = Workplace(tmp_path)
    flags = asked(tmp_path)
    process, output = workplace.start_until(
        lambda: len(ended(tmp_path)) >= 2 and len(records(tmp_path)) >= 3, **flags
    )
    assert process.poll() is None, output()[-3000:]
    kill_everything(workplace, process.pid)
    before = ended(tmp_path)
    written = {
        file.name: file.stat().st_mtime_ns
        for file in (tmp_path / "out" / "s" / "trials").glob("*.json")
        if json.loads(file.read_text())["outcome"]
    }
    begun = {number: one for number, one in records(tmp_path).items() if number not in before}
    assert begun
    assert len(before) < 5, "it was not killed in time"

    said = workplace.train(**flags | {"max_concurrent": "2"})
    folder = tmp_path / "out" / "s"
    assert {name: (folder / "trials" / name).stat().st_mtime_ns for name in written} == written
    after = records(tmp_path)
    assert sorted(after) == list(range(5))
    for number, one in begun.items():  # the epochs before the kill were not trained again
        assert one["history"].items() <= after[number]["history"].items()
    assert {one["outcome"] for one in after.values()} <= {"finished", "stopped"}
    assert all(len(one["history"]) == 3 for one in after.values() if one["outcome"] == "finished")

    best = max(after.values(), key=lambda one: max(e["val_accuracy"] for e in one["history"].values()))
    assert f"the best of 5 trials is number {best['number']}" in said, said[-3000:]
    assert "models:/digits/1 is registered, not promoted" in said or "is the champion" in said

    named = runs(workplace)
    assert sorted(named) == sorted(["s", "s-best", *(f"s-trial-{number:03}" for number in range(5))])
    parent = named.pop("s")
    assert {run.data.tags["mlflow.parentRunId"] for run in named.values()} == {parent.info.run_id}
    assert {run.info.status for run in (parent, *named.values())} == {"FINISHED"}
    for number, one in after.items():
        run = named[f"s-trial-{number:03}"]
        assert steps(workplace, run) == sorted(map(int, one["history"]))
        assert float(run.data.params["learning_rate"]) == one["values"]["learning_rate"]
    in_full = named["s-best"]
    assert len(steps(workplace, in_full)) == 4
    assert float(in_full.data.params["learning_rate"]) == best["values"]["learning_rate"]
    client = mlflow.MlflowClient(workplace.tracking_uri)
    artifacts = {
        file.path for kind in ("plots", "tables") for file in client.list_artifacts(parent.info.run_id, kind)
    }
    assert artifacts == {"plots/parallel_coordinates.png", "tables/trials.csv"}
    rows = list(csv.DictReader((folder / "trials.csv").open()))
    assert int(rows[0]["trial"]) == best["number"]
    assert len(rows) == 5


@pytest.mark.long
def test_interrupted_searches_end_in_seconds_and_go_on(tmp_path: Path) -> None:
    """Ctrl-C and SIGTERM mark the runs and say how to continue; the time limit then ends the trials.

    What was found by then is trained in full, and with two trials at a time.
    """
    workplace = Workplace(tmp_path)
    flags = asked(tmp_path, trial_epochs="200", trials="4", batch_size="16")
    send: Any
    for send, number in ((os.killpg, signal.SIGINT), (os.kill, signal.SIGTERM)):
        process, output = workplace.start_until(partial(has_more_than, tmp_path, epochs(tmp_path)), **flags)
        assert process.poll() is None, output()[-3000:]
        began = time.monotonic()
        send(process.pid, number)
        assert process.wait(timeout=DEADLINE_S) == 130, output()[-3000:]
        assert time.monotonic() - began < 60
        hint = "run the same command with --name s to continue from the last checkpoint"
        assert output().strip().splitlines()[-1] == f"interrupted; {hint}"
        wait_until(lambda: not workplace.pids("ray::"), DEADLINE_S, lambda: "a process survived")
        assert {run.info.status for run in runs(workplace).values()} == {"KILLED"}, output()[-3000:]

    said = workplace.train(**flags | {"search_minutes": "0.5", "max_concurrent": "2", "epochs": "1"})
    assert re.search("the best of [123] trials is number", said), said[-3000:]
    outcomes = {f"s-trial-{number:03}": one["outcome"] for number, one in records(tmp_path).items()}
    assert set(outcomes.values()) <= {"", "stopped"}
    ended = {name: "FINISHED" if outcome else "KILLED" for name, outcome in outcomes.items()}
    assert {name: run.info.status for name, run in runs(workplace).items()} == (
        ended | {"s": "FINISHED", "s-best": "FINISHED"}
    )


def test_a_continued_search_compares_with_ended_trials() -> None:
    """ASHA gets their results again: a trial that is weaker than them is stopped, a stronger one goes on."""
    metrics = {"loss": 1.0, "accuracy": 0.5, "val_loss": 1.0}
    ended = [
        Trial(number=number, values={}, history={1: metrics | {"val_accuracy": share}}, outcome="stopped")
        for number, share in enumerate((0.5, 0.7, 0.9))
    ]

    def decision(ended: list[Trial], accuracy: float) -> str:
        scheduler, trial = _scheduler(ended, 9), SimpleNamespace(trial_id="new")
        scheduler.on_trial_add(None, trial)  # type: ignore[arg-type]
        return scheduler.on_trial_result(None, trial, {"epoch": 1, "val_accuracy": accuracy})  # type: ignore[arg-type]

    assert (decision(ended, 0.6), decision(ended, 0.95)) == ("STOP", "CONTINUE")
    assert decision([], 0.6) == "CONTINUE"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for the plan and two trials: four pages."""
    with disk_of(4 * 4096, tmp_path / "disk") as folder:
        yield folder


@pytest.mark.long
def test_a_full_disk_ends_a_search_that_goes_on_with_room(tmp_path: Path, small_disk: Path) -> None:
    """The message names the folder, not what Tune makes of it; no ended trial runs again."""
    workplace = Workplace(tmp_path)
    flags = asked(tmp_path, output=str(small_disk))
    process, output = workplace.start_until(lambda: False, **flags)
    assert process.returncode == 1, output()[-3000:]
    hint = "free some space there, then run the same command with --name s to continue"
    assert f"no model was trained: the disk of {small_disk}/s is full; {hint}" in output()
    assert "Traceback" not in output()
    assert runs(workplace)["s"].info.status == "FAILED"
    trials = small_disk / "s" / "trials"
    before = {
        file.name: file.read_text()
        for file in trials.glob("*.json")
        if json.loads(file.read_text())["outcome"] in ("finished", "stopped")
    }
    assert before
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    assert "the best of 5 trials is number" in workplace.train(**flags)
    assert {name: (trials / name).read_text() for name in before} == before


class FailingTuner:
    """Raises as ray/tune/execution/tune_controller.py does when a callback has raised."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def fit(self) -> None:
        try:
            raise self._error
        except Exception:
            raise TuneError(traceback.format_exc())  # noqa: B904


def test_a_full_disk_is_not_wrapped_by_tune() -> None:
    """The user reads the journal's sentence, not a traceback."""
    with pytest.raises(DiskFull, match=r"^the disk of out/s is full$"):
        fit_unwrapped(FailingTuner(DiskFull("the disk of out/s is full")))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"space": "none.toml"}, "--space none.toml cannot be read"),
        ({"max_concurrent": "64"}, "--max-concurrent 64 with --num-workers 1 needs 64 times 1 CPU"),
    ],
)
def test_what_cannot_be_searched_is_said_first(tmp_path: Path, flags: dict[str, str], message: str) -> None:
    """One line, and neither a folder nor a run is left behind."""
    process, output = Workplace(tmp_path).start_until(lambda: False, **asked(tmp_path) | flags)
    assert process.returncode == 1, output()[-3000:]
    assert message in output().strip().splitlines()[-1]
    assert "Traceback" not in output()
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "mlflow.db").exists()


ASKS = """
import ray
from digits.training.cluster import connect
from digits.training.settings import TrainSettings

connect(TrainSettings(cpus_per_worker=1))

@ray.remote(num_cpus=0)
def asked():
    from ray.util.state import list_actors

    return f"{len(list_actors())} actors"

print(ray.get(asked.remote()))
"""


def test_another_ray_on_the_machine_is_not_asked(tmp_path: Path) -> None:
    """Ray Train asks whether a stopped trial is gone; a failure would keep its CPUs reserved for ever."""
    with LocalCluster():
        assert Workplace(tmp_path).run_python(ASKS).splitlines()[-1] == "0 actors"
