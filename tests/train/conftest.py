"""One small training run, shared: 1,797 digits that need no download, a store of its own."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Small and short; the golden digits come out right after twelve epochs.
SMALL = {"data": "sklearn-digits", "batch-size": "64", "cpus-per-worker": "1"}


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
            "PYTHONPATH": str(ROOT),
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "RAY_AUTH_MODE": "token",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def start(self, **flags: str) -> subprocess.Popen[str]:
        """train_ray.py as a user starts it; both of its outputs come back as one."""
        asked = SMALL | {name.replace("_", "-"): value for name, value in flags.items()}
        command = [sys.executable, str(ROOT / "train_ray.py")]
        command += [part for name, value in asked.items() for part in (f"--{name}", value)]
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip

    def train(self, **flags: str) -> str:
        process = self.start(**flags)
        output, _ = process.communicate(timeout=400)
        assert process.returncode == 0, output[-5000:]
        return output

    def registry(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "digits.registry", *arguments],
            cwd=self.folder, env=self.environment, text=True, capture_output=True, timeout=90, check=False,
        )  # fmt: skip


def wait_for(condition: Callable[[], object], timeout_s: float, explanation: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, explanation
        time.sleep(0.05)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """Two workers, twelve epochs: registered and promoted."""
    workplace = Workplace(tmp_path_factory.mktemp("trained"))
    output = workplace.train(epochs="12", num_workers="2", name="first")
    assert "models:/digits/1 is the champion" in output, output[-5000:]
    return workplace
