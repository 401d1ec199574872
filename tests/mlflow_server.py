"""A real MLflow server on loopback, and versions of the starter model in it."""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx2
import mlflow

from digits.models.folders import copy_for_serving
from digits.models.manifest import read_manifest
from digits.registry import mlflow as tracking
from digits.registry.address import tracking_uri
from digits.registry.versions import register, resolve
from digits.task import ModelVersion
from testkit.cluster import wait_until
from testkit.ports import free_port


class Server:
    """One that can be stopped and started again with the same store."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        self._process = subprocess.Popen(
            [
                str(Path(sys.executable).parent / "mlflow"), "server", "--host", "127.0.0.1",
                "--port", str(self._port), "--backend-store-uri", f"sqlite:///{self._folder}/mlflow.db",
                "--artifacts-destination", str(self._folder / "artifacts"), "--workers", "1",
            ],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        wait_until(self._answers, timeout_s=240)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def _answers(self) -> bool:
        try:
            return httpx2.get(f"{self.uri}/health", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False


def register_copy(folder: Path, name: str = "digits") -> ModelVersion:
    """Registers a model folder at MLFLOW_TRACKING_URI as train_ray.py does, without the Keras file."""
    client = mlflow.MlflowClient(tracking_uri())
    run_id = tracking.start_run(tracking_uri(), secrets.token_hex(8), {}, {})
    model = client.create_logged_model(client.get_run(run_id).info.experiment_id, "model", run_id)
    with tempfile.TemporaryDirectory() as copied:
        copy_for_serving(folder, Path(copied) / "serving")
        client.log_model_artifacts(model.model_id, copied)
    client.finalize_logged_model(model.model_id, "READY")
    version = register(name, f"models:/{model.model_id}", run_id, read_manifest(folder))
    return resolve(f"models:/{name}/{version}")
