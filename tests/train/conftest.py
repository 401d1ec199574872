"""One small training, shared by the tests: 1,797 digits without a download, an MLflow store of its own."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from digits.local.processes import marked
from digits.training.data import load
from testkit.cluster import wait_until
from tests.programs import skip_or_fail

ROOT = Path(__file__).parents[2]
# Small and short; after twelve epochs the golden digits are classified correctly.
SMALL = {"data": "sklearn-digits", "batch-size": "64", "cpus-per-worker": "1"}
FOLDER_VARIABLE = "DIGITS_TEST_FOLDER"  # every process of a training inherits it
RAY_IS_TOO_SLOW = "The current node timed out during startup"  # 30 s, fixed in ray/_private/node.py
DEADLINE_S = 1200.0  # for whatever takes seconds or minutes on an idle machine
ARRAYS = ("x_train", "y_train", "x_test", "y_test")


def small_file(folder: Path, count: int = 320) -> str:
    """Writes the first of scikit-learn's digits in the layout of mnist.npz: an epoch takes under a second."""
    whole = load("sklearn-digits")
    parts = (whole.train_images, whole.train_labels, whole.test_images, whole.test_labels)
    file = folder / "small.npz"
    np.savez(file, **{name: part[:count] for name, part in zip(ARRAYS, parts, strict=True)})  # type: ignore[arg-type]
    return str(file)


Started = tuple[subprocess.Popen[str], Callable[[], str]]  # the second waits for the end, returns the output


@dataclass(frozen=True)
class Workplace:
    """A folder with its own MLflow store, out/ and Ray Train storage."""

    folder: Path

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            FOLDER_VARIABLE: str(self.folder),
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            # Ray's 60 s are short on a busy machine.
            "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": str(DEADLINE_S),
            "RAY_worker_niceness": "0",  # at Ray's 15, other work on the machine would starve the workers
        }

    def start(self, **flags: str) -> subprocess.Popen[str]:
        """Starts train_ray.py as a user does, without PYTHONPATH; stderr is part of stdout."""
        asked = SMALL | {name.replace("_", "-"): value for name, value in flags.items()}
        command = [sys.executable, str(ROOT / "train_ray.py")]
        command += [part for name, value in asked.items() for part in (f"--{name}", value)]
        users = {name: value for name, value in self.environment.items() if name != "PYTHONPATH"}
        return subprocess.Popen(
            command, cwd=self.folder, env=users, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def train(self, **flags: str) -> str:
        """Runs a training to its end, which must be a success; returns its output."""
        process, output = self.start_until(lambda: False, **flags)
        assert process.returncode == 0, output()[-5000:]
        return output()

    def start_until(self, condition: Callable[[], object], **flags: str) -> Started:
        """Starts a training and waits for the condition or the end; again if Ray did not start."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            process, output = self._start_once_until(condition, **flags)
            if process.poll() is None or RAY_IS_TOO_SLOW not in output():
                return process, output
            assert time.monotonic() < deadline, output()[-5000:]

    def _start_once_until(self, condition: Callable[[], object], **flags: str) -> Started:
        process = self.start(**flags)
        lines: list[str] = []
        # A thread, because a full pipe would stop the training.
        thread = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
        thread.start()

        def output() -> str:
            thread.join(DEADLINE_S)
            return "".join(lines)

        wait_until(lambda: condition() or process.poll() is not None, DEADLINE_S)
        return process, output

    def run_python(self, script: str) -> str:
        """Returns what a script printed on stdout; runs it again if Ray did not start."""
        deadline = time.monotonic() + DEADLINE_S
        while True:
            result = subprocess.run(
                [sys.executable, "-c", script], cwd=self.folder, env=self.environment, text=True,
                capture_output=True, timeout=DEADLINE_S, check=False,
            )  # fmt: skip
            if result.returncode == 0:
                return result.stdout
            assert RAY_IS_TOO_SLOW in result.stderr, result.stderr[-5000:]
            assert time.monotonic() < deadline, result.stderr[-5000:]

    def registry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "digits", "registry", *arguments],
            cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=DEADLINE_S,
            check=False,
        )  # fmt: skip

    def pids(self, title: str) -> set[int]:
        """Returns the processes of this workplace's trainings whose title contains `title`."""
        return set(marked(f"{FOLDER_VARIABLE}={self.folder}", title))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Two workers, twelve epochs: registered and promoted, which the command says last."""
    workplace = Workplace(tmp_path_factory.mktemp("trained"))
    output = workplace.train(epochs="12", num_workers="2", name="first", min_test_images="360")
    _, outcome, after = output.partition("models:/digits/1 is the champion")
    assert outcome, output[-5000:]
    assert "images/s" not in after, "a progress bar follows the outcome"
    return workplace


@contextmanager
def disk_of(size: int, folder: Path) -> Iterator[Path]:
    """Mounts a disk of so many bytes at a new folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "digits-test", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        skip_or_fail("mount", "only root may mount the small disk that this test fills")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
