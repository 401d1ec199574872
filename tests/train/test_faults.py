"""Faults of a training: killed processes, a full disk, MLflow away, bad data, two trainings at once."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import numpy as np
import pytest

from digits.errors import DataUnavailable
from digits.models.manifest import ONNX_FILE, read_manifest
from digits.registry.gate import GateSettings
from digits.registry.mlflow import download
from digits.registry.versions import SHA256_TAG
from digits.task import SIDE
from digits.training import data as datasets
from digits.training.checkpoints import BEST, LIST, STATE, read_arrays, read_progress
from digits.training.data import load
from digits.training.network import build_network
from digits.training.settings import TrainSettings
from digits.training.train import train
from testkit.cluster import wait_until
from tests.mlflow_server import Server
from tests.train.conftest import DEADLINE_S, ROOT, Workplace, disk_of, small_file
from tests.train.test_training import NOISE, logged_steps, runs, steps


@dataclass(frozen=True)
class WorkplaceWithServer(Workplace):
    """Its MLflow is a server."""

    uri: str

    @property
    def tracking_uri(self) -> str:
        return self.uri


WORKER = "ray::RayTrainWorker"


def checkpoints(workplace: Workplace, name: str) -> int:
    return len(list((workplace.folder / "out" / "ray" / name).glob("checkpoint_2*")))


def dashboard_command(workplace: Workplace) -> list[str]:
    """Returns the command of Ray's dashboard."""
    for pid in workplace.pids(""):
        with suppress(OSError):  # it has ended meanwhile
            command = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if any(part.endswith("dashboard/dashboard.py") for part in command):
                return command
    raise AssertionError("Ray has no dashboard")


def test_killed_worker_and_driver_leave_one_run_without_a_gap(tmp_path: Path) -> None:
    """A worker is killed, then the driver; the same command continues and logs every epoch once."""
    workplace = Workplace(tmp_path)
    # An epoch takes a second.
    asked = {"drawn": "0", "epochs": "16", "patience": "16", "batch_size": "8", "name": "hard"}
    process, output = workplace.start_until(lambda: checkpoints(workplace, "hard"), **asked)
    assert process.poll() is None, output()[-3000:]
    assert "--port=0" in dashboard_command(workplace), "Ray's own choice, 8265, is the port of `make serve`"
    killed = workplace.pids(WORKER)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: workplace.pids(WORKER) - killed, DEADLINE_S, lambda: "the worker was not replaced")
    before = len(logged_steps(workplace))
    wait_until(
        lambda: len(logged_steps(workplace)) > before, DEADLINE_S, lambda: "the new worker trained no epoch"
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=DEADLINE_S)
    wait_until(lambda: not workplace.pids("ray::"), DEADLINE_S, lambda: "a process survived the driver")
    assert max(logged_steps(workplace)) < 16, "the driver was killed too late to prove anything"
    said = workplace.train(**asked)
    assert [line for line in said.splitlines() if NOISE.search(line)] == []
    (run,) = runs(workplace)
    assert run.info.status == "FINISHED"
    assert steps(workplace, run) == list(range(1, 17))
    assert len(json.loads((workplace.folder / "out" / "hard" / "history.json").read_text())) == 16


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk with room for two and a half checkpoints; Ray writes the third before it deletes the first."""
    whole = 4 * sum(variable.nbytes for variable in map(np.asarray, build_network(0.3, True).get_weights()))
    with disk_of(whole * 5 // 2, tmp_path / "disk") as folder:
        yield folder


@pytest.mark.long
def test_a_full_disk_is_named_and_training_resumes_with_room(tmp_path: Path, small_disk: Path) -> None:
    """The message names the folder; after that, the same command trains no finished epoch again."""
    workplace = Workplace(tmp_path)
    asked = {
        "data": small_file(tmp_path), "epochs": "4", "name": "full", "max_failures": "0",
        "storage_path": str(small_disk),
    }  # fmt: skip
    process = workplace.start(**asked)
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1, output[-3000:]
    assert f"no model was trained: the disk of {small_disk} is full; free some space there" in output
    assert not (tmp_path / "out").exists()
    folder = small_disk / "full"
    *whole, half = sorted(folder.glob("checkpoint_2*"))
    assert [len(read_progress(checkpoint)) for checkpoint in whole] == [1, 2]
    before = read_progress(whole[1])
    assert len(read_arrays(whole[1] / STATE)) > len(read_arrays(whole[1] / BEST)) > 0
    # Ray overwrites its list in place; a full disk or a crash at that moment truncates it like this.
    (folder / LIST).write_text((folder / LIST).read_text()[:100])
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    workplace.train(**asked)
    assert not half.exists()
    (run,) = runs(workplace)
    assert run.info.status == "FINISHED"
    assert steps(workplace, run) == [1, 2, 3, 4]
    kept = json.loads((tmp_path / "out" / "full" / "history.json").read_text())
    assert kept[:2] == before, "an epoch with a checkpoint was trained again"


@pytest.mark.long
def test_training_survives_mlflow_and_registers_later(tmp_path: Path) -> None:
    """MLflow stops in the middle: training ends with a model; the same command then registers it."""
    (tmp_path / "mlflow").mkdir()
    server = Server(tmp_path / "mlflow")
    server.start()
    workplace = WorkplaceWithServer(tmp_path, server.uri)
    asked = {"epochs": "10", "batch_size": "16", "name": "gap"}  # an epoch takes a second
    try:
        process, output = workplace.start_until(lambda: logged_steps(workplace), **asked)
    finally:
        server.stop()
    assert process.wait(timeout=DEADLINE_S) == 0, output()[-3000:]
    assert f"MLflow at {server.uri} does not answer" in output()
    assert "nothing is lost: the model and history.json are in out/gap" in output()
    assert read_manifest(tmp_path / "out" / "gap").metrics["epochs"] == 10
    server.start()
    try:
        assert len(logged_steps(workplace)) < 10, "MLflow was stopped too late to prove anything"
        assert "models:/digits/1 is" in workplace.train(**asked)
        (run,) = runs(workplace)
        assert steps(workplace, run) == list(range(1, 11))
    finally:
        server.stop()


OPENS_A_STORE = """
import sys
from digits.registry import mlflow as tracking
import mlflow, mlflow.store.tracking.sqlalchemy_store
print("ready", flush=True)
sys.stdin.readline()
tracking.start_run(sys.argv[1], sys.argv[2], {}, {})
"""


def test_processes_that_open_a_new_store_at_once_all_succeed(tmp_path: Path) -> None:
    """The first one creates the tables of a SQLite store; the others wait for it."""
    workplace = Workplace(tmp_path)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", OPENS_A_STORE, workplace.tracking_uri, str(number)], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        _, errors = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, errors[-3000:]
    assert {run.info.run_name for run in runs(workplace)} == {"0", "1", "2"}


@pytest.mark.long
def test_two_trainings_at_once_register_their_own_files(tmp_path: Path) -> None:
    """Two versions, each with the ONNX file of its own training, and one candidate."""
    workplace = Workplace(tmp_path)
    data = small_file(tmp_path)
    processes = [
        workplace.start(data=data, epochs="1", name=name, seed=seed)
        for name, seed in (("one", "1"), ("two", "2"))
    ]
    for process in processes:
        output, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, output[-5000:]
    client = mlflow.MlflowClient(workplace.tracking_uri)
    versions = {str(found.version): found for found in client.search_model_versions("name = 'digits'")}
    assert sorted(versions) == ["1", "2"]
    assert str(client.get_model_version_by_alias("digits", "candidate").version) in versions
    assert client.get_registered_model("digits").aliases.keys() == {"candidate"}
    digests = {}
    for version, found in versions.items():
        registered = download(workplace.tracking_uri, f"models:/digits/{version}/serving", tmp_path / version)
        digests[version] = hashlib.sha256((registered / ONNX_FILE).read_bytes()).hexdigest()
        assert found.tags[SHA256_TAG] == digests[version]
        name = client.get_run(str(found.run_id)).info.run_name
        assert read_manifest(tmp_path / "out" / str(name)).files[ONNX_FILE].sha256 == digests[version]
    assert digests["1"] != digests["2"]


def test_a_damaged_file_is_reported_before_anything_is_written(tmp_path: Path) -> None:
    """The user sees one line, no traceback, and no new file or folder."""
    file = Path(small_file(tmp_path))
    file.write_bytes(file.read_bytes()[:-1000])
    process = Workplace(tmp_path).start(data="small.npz")
    output, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 1
    assert "no model was trained: small.npz is damaged or not an .npz file with x_train" in output
    assert "Traceback" not in output
    assert [entry.name for entry in tmp_path.iterdir()] == ["small.npz"]


BAD: dict[str, dict[str, object]] = {
    "images of another size": {"x_train": np.zeros((3, 32, 32), np.uint8)},
    "images of another type": {"x_train": np.zeros((3, SIDE, SIDE))},
    "a label outside the label set": {"y_train": np.array([1, 2, 10])},
    "an object array": {"y_train": np.array([{}, 1, 2], object)},
}


@pytest.mark.parametrize("name", BAD)
def test_bad_data_leaves_no_folder_no_run_and_no_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Other kinds of bad files are in tests/unit/training/test_data.py."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    good = {"x_train": np.zeros((3, SIDE, SIDE), np.uint8), "y_train": np.arange(3)}
    test = {"x_test": good["x_train"], "y_test": good["y_train"]}
    np.savez("bad.npz", **(good | test | BAD[name]))  # type: ignore[arg-type]
    with pytest.raises(DataUnavailable, match=r"bad\.npz"):
        train(TrainSettings(data="bad.npz"), GateSettings())
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad.npz"]


class Download(BaseHTTPRequestHandler):
    """Announces the length of `announced` and sends `sent`."""

    announced = sent = b""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.announced)))
        self.end_headers()
        self.wfile.write(self.sent)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mnist_host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Download]]:
    """A local server in place of MNIST's host, and an empty download cache."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Download) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(datasets, "MNIST_URL", f"http://127.0.0.1:{server.server_port}/mnist.npz")
        monkeypatch.setenv("KERAS_HOME", str(tmp_path))
        yield Download
        server.shutdown()


def test_a_truncated_or_changed_download_is_downloaded_again(
    mnist_host: type[Download], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is rejected, never kept in the cache, and never trained on."""
    (tmp_path / "served").mkdir()
    whole = Path(small_file(tmp_path / "served")).read_bytes()
    monkeypatch.setattr(datasets, "MNIST_SHA256", hashlib.sha256(whole).hexdigest())
    other = whole[:-1] + bytes([whole[-1] ^ 1])
    for announced, sent in ((whole, whole[:5000]), (whole, b""), (other, other)):
        mnist_host.announced, mnist_host.sent = announced, sent
        with pytest.raises(DataUnavailable, match=r"MNIST cannot be downloaded from http://127.*--data FILE"):
            load("mnist")
    cached = tmp_path / "datasets" / "mnist.npz"
    assert list(cached.parent.iterdir()) == []
    cached.write_bytes(whole[:5000])  # as a downloader killed in the middle leaves it
    mnist_host.announced = mnist_host.sent = whole
    assert len(load("mnist").train_images) == 320
    assert cached.read_bytes() == whole
