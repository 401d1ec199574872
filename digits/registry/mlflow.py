"""The MLflow client: runs and artifacts; MLflow's errors become errors of this package.

mlflow-skinny is enough for tracking servers over HTTP; a sqlite:// store needs the training requirements.
"""

import contextlib
import fcntl
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
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
    from mlflow.models import Model
    from onnx import ModelProto

Save = Callable[[Path, "Model"], None]  # writes a model in MLflow's format into an empty folder

EXPERIMENT = "digits"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page for training models
MODEL_TYPE = "image-classifier"
RUN_KEY = "ray_train_run"  # the tag by which an interrupted training finds its run
MISSING_ALIAS = re.compile(r"alias \S+ not found")  # which MLflow calls an invalid parameter
PARENT = "mlflow.parentRunId"  # MLflow's tag of a nested run
# MLflow's defaults block a caller for four minutes (7 tries of up to 120 s with growing pauses).
ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


@contextlib.contextmanager
def mlflow_client(uri: str) -> Iterator["MlflowClient"]:
    """Yields a client.

    Raises TrackingUnavailable within seconds, also for an error that MLflow answers; NotRegistered for what
    does not exist, and AlreadyRegistered.
    """
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
        if error.error_code == "RESOURCE_DOES_NOT_EXIST" or MISSING_ALIAS.search(error.message):
            raise NotRegistered(f"{error.message} (MLflow at {shown})") from error
        if error.error_code == "RESOURCE_ALREADY_EXISTS":
            raise AlreadyRegistered(f"{error.message} (MLflow at {shown})") from error
        raise _unavailable(uri, error) from error
    except (RequestException, ConnectionError) as error:
        raise _unavailable(uri, error) from error
    except ModuleNotFoundError as error:
        raise TrackingUnavailable(
            f"MLflow at {shown} needs {error.name}, which only requirements/train.txt installs; "
            "start `make mlflow` and set MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
        ) from error


@contextlib.contextmanager
def _one_at_a_time(uri: str) -> Iterator[None]:
    """Serialises opening a sqlite store: while one client creates its tables, another would see half.

    The lock is on the folder, so it leaves no lock file behind and ends with the process.
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


def _unavailable(uri: str, error: Exception) -> TrackingUnavailable:
    """Returns the error for a failed request; only a connection that failed is called no answer."""
    from requests import exceptions as of_requests

    silent = (ConnectionError, of_requests.ConnectionError, of_requests.Timeout)
    # MLflow wraps the errors of requests, some of them without naming the cause.
    is_silent = any(isinstance(each, silent) for each in (error, error.__cause__, error.__context__))
    what = "does not answer" if is_silent else "failed"
    return TrackingUnavailable(f"MLflow at {without_password(uri)} {what}: {_redacted(error, uri)}")


def _redacted(error: object, uri: str) -> str:
    """Returns the error's text without the password that an address in it may contain."""
    return str(error).replace(uri, without_password(uri))


def start_run(
    uri: str, name: str, params: dict[str, Any], tags: dict[str, str], parent: str | None = None
) -> str:
    """Starts or continues the run of this training; returns the run's id.

    `parent` is the id of the run that it is nested in.

    An unfinished run with this `name` is the same training, interrupted: its driver was killed, or the
    tracking server did not answer at the end. Raises AlreadyRegistered if it has finished.
    """
    with contextlib.suppress(AlreadyRegistered), mlflow_client(uri) as client:
        client.create_experiment(EXPERIMENT, tags=EXPERIMENT_TAGS)
    with mlflow_client(uri) as client:
        from mlflow.entities import Param
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
                raise AlreadyRegistered(
                    f"the run {name} has finished; choose another --name, or leave it out"
                )
            run = found[0]
            client.update_run(run.info.run_id, "RUNNING")
        else:
            # The user, the program and its commit, under the tags that MLflow's UI shows.
            nested = {PARENT: parent} if parent else {}
            tags = resolve_tags(tags | nested | {RUN_KEY: name})
            run = client.create_run(experiment, run_name=name, tags=tags)
        # A process that was killed here has left a run without them; MLflow refuses to change a parameter.
        missing = {key: value for key, value in params.items() if key not in run.data.params}
        if missing:
            client.log_batch(run.info.run_id, params=[Param(key, str(each)) for key, each in missing.items()])
        return str(run.info.run_id)


def log_dataset(uri: str, run_id: str, name: str, sha256: str, address: str, counts: dict[str, int]) -> None:
    """Logs the dataset of the run, where MLflow's UI shows datasets."""
    with mlflow_client(uri) as client:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"uri": address})
        dataset = Dataset(name, sha256[:32], "local", source, profile=json.dumps(counts))
        client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])


def log_epoch(uri: str, run_id: str, step: int, metrics: dict[str, float]) -> None:
    """Logs metrics in one request; step 0 is for those of the whole run."""
    from mlflow.entities import Metric

    with mlflow_client(uri) as client:
        now = int(time.time() * 1000)
        client.log_batch(run_id, metrics=[Metric(key, value, now, step) for key, value in metrics.items()])


def log_missing_epochs(uri: str, run_id: str, history: list[dict[str, float]]) -> None:
    """Logs the epochs, counted from 1, that could not be logged when they ended."""
    with mlflow_client(uri) as client:
        logged = {metric.step for metric in client.get_metric_history(run_id, "val_accuracy")}
    for step, metrics in enumerate(history, 1):
        if step not in logged:
            log_epoch(uri, run_id, step, metrics)


def log_results(uri: str, run_id: str, metrics: dict[str, float], folder: Path) -> None:
    """Logs the final metrics, and every PNG and CSV of the folder."""
    log_epoch(uri, run_id, 0, metrics)
    with mlflow_client(uri) as client:
        for pattern, artifacts in (("*.png", "plots"), ("*.csv", "tables")):
            for file in sorted(folder.glob(pattern)):
                client.log_artifact(run_id, str(file), artifacts)


def end_run(uri: str, run_id: str, status: str) -> None:
    """Ends the run with the `status` FINISHED, FAILED or KILLED."""
    with mlflow_client(uri) as client:
        client.set_terminated(run_id, status)


def log_model(uri: str, run_id: str, folder: Path, save: Save) -> str:
    """Logs what `save` writes, with the serving folder inside as `serving`; returns the model's URI."""
    with mlflow_client(uri) as client, tempfile.TemporaryDirectory() as temporary:
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        experiment = client.get_run(run_id).info.experiment_id
        logged = client.create_logged_model(experiment, "model", run_id, model_type=MODEL_TYPE)
        whole = Path(temporary) / "model"
        whole.mkdir()  # save_model writes an input example before it makes its folder
        save(whole, Model(run_id=run_id, model_id=logged.model_id))
        copy_for_serving(folder, whole / "serving")
        client.log_model_artifacts(logged.model_id, str(whole))
        client.finalize_logged_model(logged.model_id, "READY")
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return f"models:/{logged.model_id}"


def keras_saver(network: "keras.Model", example: NDArray[np.uint8], packages: list[str]) -> Save:
    """Returns a function that saves a Keras network with these required packages."""

    def save(folder: Path, model: "Model") -> None:
        from mlflow.keras import save_model
        from mlflow.models import infer_signature

        outputs = network(example)
        several = outputs if len(network.outputs) > 1 else [outputs]  # Keras returns an only one by itself
        answers = dict(zip(network.output_names, map(np.asarray, several), strict=True))
        save_model(
            network, str(folder), mlflow_model=model, signature=infer_signature(example, answers),
            input_example=example, pip_requirements=packages,
        )  # fmt: skip

    return save


def onnx_saver(content: "ModelProto") -> Save:
    """Returns a function that saves an ONNX model."""

    def save(folder: Path, model: "Model") -> None:
        from mlflow.onnx import save_model

        save_model(content, str(folder), mlflow_model=model, pip_requirements=["onnx", "onnxruntime"])

    return save


def download(uri: str, artifact: str, folder: Path) -> Path:
    """Downloads models:/NAME/VERSION/path into the folder; returns the local path."""
    with mlflow_client(uri):
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(artifact, dst_path=str(folder), tracking_uri=uri))
