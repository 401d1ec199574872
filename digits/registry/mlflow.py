"""The MLflow client: runs and artifacts, and its errors as ours.

Works with mlflow-skinny, which reaches tracking servers over HTTP; a sqlite:// store needs the training
requirements.
"""

import contextlib
import fcntl
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from digits.errors import AlreadyRegistered, NotRegistered, TrackingUnavailable
from digits.models.folders import copy_for_serving
from digits.registry.address import bypass_proxy, without_password

if TYPE_CHECKING:
    import keras
    from mlflow import MlflowClient

EXPERIMENT = "digits"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page for training models
MODEL_TYPE = "image-classifier"
RUN_KEY = "ray_train_run"  # the tag that finds the run of a training that was interrupted
# MLflow's defaults block a caller for four minutes (7 tries of up to 120 s with growing pauses).
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextlib.contextmanager
def mlflow_client(uri: str) -> Iterator["MlflowClient"]:
    """Raises TrackingUnavailable with the address within seconds, NotRegistered for what does not exist."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    shown = without_password(uri)
    bypass_proxy(uri)
    import mlflow
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException

    try:
        mlflow.set_tracking_uri(uri)
        with _one_at_a_time(uri):
            client = mlflow.MlflowClient(uri)
        yield client
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise NotRegistered(f"{error.message} (MLflow at {shown})") from error
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            raise AlreadyRegistered(f"{error.message} (MLflow at {shown})") from error
        raise TrackingUnavailable(
            f"MLflow at {shown} does not answer: {_redacted(error.message, uri)}"
        ) from error
    except (RequestException, ConnectionError) as error:
        raise TrackingUnavailable(f"MLflow at {shown} does not answer: {_redacted(error, uri)}") from error
    except ModuleNotFoundError as error:
        raise TrackingUnavailable(
            f"MLflow at {shown} needs {error.name}, which only requirements/train.txt installs; "
            "start `make mlflow` and set MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
        ) from error


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Serialises opening a sqlite store: while one client creates its tables, another would see half.

    The lock is on the folder, so no lock file is left behind, and ends with the process.
    """
    folder = Path(uri.removeprefix("sqlite:///")).parent
    if not uri.startswith("sqlite:///") or not folder.is_dir():
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _redacted(error: object, uri: str) -> str:
    """MLflow's errors may contain the whole address, with its password."""
    return str(error).replace(uri, without_password(uri))


def start_run(uri: str, name: str, params: dict[str, Any], tags: dict[str, str]) -> str:
    """Opens the one run of this training, or continues it; returns the run's id.

    An unfinished run with this `name` is the same training, interrupted: its driver was killed, or the
    tracking server did not answer at the end.  Raises AlreadyRegistered if it has finished.
    """
    with contextlib.suppress(AlreadyRegistered), mlflow_client(uri) as client:
        client.create_experiment(EXPERIMENT, tags=EXPERIMENT_TAGS)
    with mlflow_client(uri) as client:
        from mlflow.tracking.context.registry import resolve_tags

        found_experiment = client.get_experiment_by_name(EXPERIMENT)
        assert found_experiment is not None
        experiment = found_experiment.experiment_id
        if found_experiment.lifecycle_stage == "deleted":
            raise NotRegistered(
                f"the experiment {EXPERIMENT} is deleted in MLflow at {without_password(uri)}; restore it: "
                f"MLFLOW_TRACKING_URI={without_password(uri)} mlflow experiments restore "
                f"--experiment-id {experiment}"
            )
        if found := client.search_runs([experiment], f"tags.{RUN_KEY} = '{name}'", max_results=1):
            if found[0].info.status == "FINISHED":
                raise AlreadyRegistered(f"the run {name} has finished; choose another --name, or none")
            run_id = str(found[0].info.run_id)
            client.update_run(run_id, "RUNNING")
            return run_id
        # The user, the program and its commit, where MLflow's pages look for them.
        tags = resolve_tags(tags | {RUN_KEY: name})
        run_id = str(client.create_run(experiment, run_name=name, tags=tags).info.run_id)
        for key, value in params.items():
            client.log_param(run_id, key, value)
        return run_id


def log_dataset(uri: str, run_id: str, name: str, sha256: str, address: str, counts: dict[str, int]) -> None:
    """Names the data that the run was trained on, where MLflow's pages show datasets."""
    with mlflow_client(uri) as client:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": address})
        dataset = Dataset(name, sha256[:32], "local", source, profile=json.dumps(counts))
        client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_epoch(uri: str, run_id: str, step: int, metrics: dict[str, float]) -> None:
    from mlflow.entities import Metric

    with mlflow_client(uri) as client:
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in metrics.items()])


def log_missing_epochs(uri: str, run_id: str, history: list[dict[str, float]]) -> None:
    """Sends the epochs, counted from 1, that could not be sent when they ended."""
    with mlflow_client(uri) as client:
        there = {metric.step for metric in client.get_metric_history(run_id, "val_accuracy")}
    for step, metrics in enumerate(history, 1):
        if step not in there:
            log_epoch(uri, run_id, step, metrics)


def log_results(uri: str, run_id: str, metrics: dict[str, float], folder: Path) -> None:
    """Logs the final metrics, and every PNG of the folder."""
    with mlflow_client(uri) as client:
        for key, value in metrics.items():
            client.log_metric(run_id, key, value)
        for picture in sorted(folder.glob("*.png")):
            client.log_artifact(run_id, str(picture), "plots")


def end_run(uri: str, run_id: str, status: str) -> None:
    """`status` is FINISHED, FAILED or KILLED."""
    with mlflow_client(uri) as client:
        client.set_terminated(run_id, status)


def log_model(
    uri: str,
    run_id: str,
    folder: Path,
    network: "keras.Model",
    example: NDArray[np.uint8],
    packages: list[str],
) -> str:
    """Logs the Keras network with the serving folder inside it as `serving`; returns the model's URI."""
    with mlflow_client(uri) as client, tempfile.TemporaryDirectory() as temporary:
        from mlflow.entities import LoggedModelOutput
        from mlflow.keras import save_model
        from mlflow.models import Model, infer_signature

        experiment = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment, "model", run_id, model_type=MODEL_TYPE)
        whole = Path(temporary) / "model"
        whole.mkdir()  # save_model writes the input example before it makes its folder
        outputs = network(example)
        several = outputs if len(network.outputs) > 1 else [outputs]  # Keras returns an only one by itself
        answers = dict(zip(network.output_names, map(np.asarray, several), strict=True))
        save_model(
            network, str(whole), mlflow_model=Model(run_id=run_id, model_id=logged.model_id),
            signature=infer_signature(example, answers), input_example=example,
            pip_requirements=packages,
        )  # fmt: skip
        copy_for_serving(folder, whole / "serving")
        client.log_model_artifacts(logged.model_id, str(whole))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"


def download(uri: str, artifact: str, folder: Path) -> Path:
    """Fetches models:/NAME/VERSION/path into the folder; returns its path there."""
    with mlflow_client(uri):
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(artifact, dst_path=str(folder), tracking_uri=uri))
