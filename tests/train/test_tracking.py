"""A real MLflow server over HTTP: away at the start, away in the middle, source of a replica's model."""

import time
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest

from digits.errors import AlreadyRegistered, ModelRejected, NotRegistered, TrackingUnavailable
from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE
from digits.registry import mlflow as tracking
from digits.registry.__main__ import table
from digits.registry.cache import fetch
from digits.registry.promotion import rollback
from digits.registry.versions import SHA256_TAG, resolve
from digits.task import ModelVersion
from testkit.cluster import free_port
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
    with pytest.raises(ModelRejected, match=f"{'0' * 64} was asked for"):
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
    assert "candidate, champion" in "\n".join(table("digits"))


@pytest.mark.parametrize(
    "model_uri", ["models:/digits@unknown", "models:/digits/999", "models:/none/1", "models:/digits"]
)
def test_an_unregistered_address_is_rejected(uri: str, registered: ModelVersion, model_uri: str) -> None:
    """An unknown alias, version or name, and an address without either."""
    with pytest.raises(NotRegistered):
        resolve(model_uri)
