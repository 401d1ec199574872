"""The origin of a training, collected once for MLflow's tags and the model's manifest."""

import shlex
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from digits.training.data import TrainingData
from digits.vision.identity import preprocessing_sha256

PACKAGES = ("ray", "tensorflow", "keras", "numpy", "onnx", "onnxruntime", "mlflow", "pillow")


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin; each field has the name of a field of `digits.models.manifest.Manifest`."""

    git_commit: str
    packages: dict[str, str]  # name -> version
    data: str
    data_sha256: str
    preprocessing_sha256: str
    command: str

    def tags(self) -> dict[str, str]:
        """Returns the MLflow run's tags, without the command, whose flags are the run's parameters."""
        return {f"version.{package}": version for package, version in self.packages.items()} | {
            "git_commit": self.git_commit,
            "data": self.data,
            "data_sha256": self.data_sha256,
            "preprocessing_sha256": self.preprocessing_sha256,
        }


def collect_provenance(dataset: TrainingData) -> Provenance:
    """Returns the provenance of a training that this process starts now."""
    return Provenance(
        git_commit=git_commit(),
        packages={package: version(package) for package in PACKAGES},
        data=dataset.name,
        data_sha256=dataset.sha256,
        preprocessing_sha256=preprocessing_sha256(),
        command=shlex.join(["python", *sys.argv]),
    )


def git_commit() -> str:
    """Returns the checkout's commit, with -dirty if files differ from it; "unknown" outside a checkout."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40"]
    root = Path(__file__).parents[2]
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
