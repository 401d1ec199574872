"""A real MLflow server over HTTP: away at the start, away in the middle, source of a replica's model."""

import time
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import mlflow
import pytest

from digits.errors import AlreadyRegistered, ModelRejected, NotRegistered, TrackingUnavailable
from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE
from digits.registry import mlflow as tracking
from digits.registry.cache import fetch
from digits.registry.listing import list_versions, table
from digits.registry.promotion import rollback
from digits.registry.versions import SHA256_TAG, resolve
from digits.task import ModelVersion
from testkit.ports import free_port
from tests.mlflow_server import Server, register_copy

STARTER = PROJECT / "models" / "starter"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def uri(server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
    return server.uri


def test_an_unreachable_server_is_named_within_seconds() -> None:
    """MLflow's own defaults would wait for four minutes."""
    address = f"http://127.0.0.1:{free_port()}"
    start = time.monotonic()
    with pytest.raises(TrackingUnavailable, match=address):
        tracking.start_run(address, "any", {}, {})
    assert time.monotonic() - start < 20


def test_a_resumed_training_continues_its_run(uri: str) -> None:
    """The run's tag finds it again; a finished run is not continued."""
    first = tracking.start_run(uri, "again", {"epochs": 3}, {"data": "mnist"})
    assert tracking.start_run(uri, "again", {"epochs": 3}, {"data": "mnist"}) == first
    assert tracking.start_run(uri, "other", {}, {}) != first
    tracking.end_run(uri, first, "FINISHED")
    with pytest.raises(AlreadyRegistered, match="the run again has finished"):
        tracking.start_run(uri, "again", {}, {})


def test_a_run_whose_start_was_killed_gets_its_parameters(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow creates a run before it takes parameters. One that is there keeps its value."""
    with monkeypatch.context() as killed:
        killed.setattr(mlflow.MlflowClient, "log_batch", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            tracking.start_run(uri, "half", {"epochs": 3}, {})
    run_id = tracking.start_run(uri, "half", {"epochs": 3}, {})
    assert tracking.start_run(uri, "half", {"epochs": 4, "seed": 1}, {}) == run_id
    assert mlflow.MlflowClient(uri).get_run(run_id).data.params == {"epochs": "3", "seed": "1"}


def test_missing_epochs_are_sent_once_at_the_end(server: Server, uri: str) -> None:
    """The server was away for one of four epochs."""
    run_id = tracking.start_run(uri, "gap", {}, {})
    history = [{"val_accuracy": 0.9 + epoch / 100} for epoch in range(4)]
    tracking.log_epoch(uri, run_id, 1, history[0])
    server.stop()
    with pytest.raises(TrackingUnavailable):
        tracking.log_epoch(uri, run_id, 2, history[1])
    server.start()
    tracking.log_epoch(uri, run_id, 3, history[2])
    tracking.log_missing_epochs(uri, run_id, history)
    tracking.log_missing_epochs(uri, run_id, history)
    metrics = mlflow.MlflowClient(uri).get_metric_history(run_id, "val_accuracy")
    assert sorted((metric.step, round(metric.value, 6)) for metric in metrics) == [
        (step, round(epoch["val_accuracy"], 6)) for step, epoch in enumerate(history, 1)
    ]


@pytest.fixture
def registered(uri: str) -> ModelVersion:
    return register_copy(STARTER)


def test_a_fetched_version_is_complete_and_cached(
    server: Server, registered: ModelVersion, tmp_path: Path
) -> None:
    """The second fetch needs no server."""
    cache = tmp_path / "cache"
    folder = fetch(registered, cache)
    assert (folder / ONNX_FILE).read_bytes() == (STARTER / ONNX_FILE).read_bytes()
    server.stop()
    try:
        assert fetch(registered, cache) == folder
        with pytest.raises(TrackingUnavailable, match=server.uri):
            fetch(registered, tmp_path / "empty")
    finally:
        server.start()
    assert [entry.name for entry in (cache / "digits").iterdir()] == [folder.name]


def test_files_with_another_sha256_than_the_tag_are_rejected(
    uri: str, registered: ModelVersion, tmp_path: Path
) -> None:
    """Nothing stays in the cache."""
    mlflow.MlflowClient(uri).set_model_version_tag("digits", registered.version, SHA256_TAG, "0" * 64)
    changed = resolve(f"models:/digits/{registered.version}")
    with pytest.raises(ModelRejected, match=f"expected {'0' * 64}"):
        fetch(changed, tmp_path / "cache")
    assert list((tmp_path / "cache" / "digits").iterdir()) == []


def test_rollback_swaps_champion_and_previous(uri: str, registered: ModelVersion) -> None:
    """A second rollback undoes the first; the table lists the aliases."""
    client = mlflow.MlflowClient(uri)
    assert resolve("models:/digits@candidate") == registered
    older = str(int(registered.version) - 1)
    client.set_registered_model_alias("digits", "champion", registered.version)
    client.set_registered_model_alias("digits", "previous", older)
    client.set_model_version_tag("digits", older, SHA256_TAG, "1" * 64)
    assert rollback("digits").version == older
    assert resolve("models:/digits@previous") == registered
    assert rollback("digits") == registered
    assert "candidate, champion" in "\n".join(table(list_versions("digits")))


@pytest.mark.parametrize(
    "model_uri", ["models:/digits@unknown", "models:/digits/999", "models:/none/1", "models:/digits"]
)
def test_an_unregistered_address_is_rejected(uri: str, registered: ModelVersion, model_uri: str) -> None:
    """An unknown alias, version or name, and an address without either."""
    with pytest.raises(NotRegistered):
        resolve(model_uri)


def test_versions_without_a_run_are_listed_with_the_reason(uri: str, registered: ModelVersion) -> None:
    """A run that is deleted, one that is gone, and a version that was made by hand; promotion still works."""
    client = mlflow.MlflowClient(uri)
    run_id = str(client.get_model_version("digits", registered.version).run_id)
    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(experiment, "by hand")
    client.finalize_logged_model(model.model_id, "READY")
    uri_of_model = f"models:/{model.model_id}"
    by_hand = str(client.create_model_version("digits", uri_of_model, model_id=model.model_id).version)
    client.delete_run(run_id)
    listed = {one.version: one for one in list_versions("digits")}
    assert f"`mlflow runs restore --run-id {run_id}` restores it" in listed[registered.version].missing
    assert listed[by_hand].missing.startswith("tag onnx_sha256: it cannot be served")
    assert "run: it was registered by hand" in listed[by_hand].missing
    assert listed[registered.version].data == "mnist"
    assert f"version {by_hand} has no tag onnx_sha256" in "\n".join(table(list(listed.values())))


def test_a_local_server_is_reached_past_a_proxy(
    uri: str, registered: ModelVersion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """http_proxy names a proxy elsewhere, as on many company machines."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("no_proxy", "example.org")
    assert resolve("models:/digits@candidate").name == "digits"


def test_a_deleted_experiment_says_how_to_restore_it(tmp_path: Path) -> None:
    """As with the button of MLflow's page."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    tracking.start_run(uri, "first", {}, {})
    client = mlflow.MlflowClient(uri)
    experiment = client.get_experiment_by_name("digits")
    assert experiment is not None
    client.delete_experiment(experiment.experiment_id)
    with pytest.raises(
        NotRegistered, match=f"experiments restore --experiment-id {experiment.experiment_id}"
    ):
        tracking.start_run(uri, "second", {}, {})
