"""The alias moves under traffic, with a real MLflow server: who answers, what is rejected, what continues."""

import hashlib
import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import httpx2
import mlflow
import pytest

from digits.inference.source import PROJECT
from digits.models.manifest import ONNX_FILE, read_manifest, record, write_manifest
from digits.task import ModelVersion
from testkit.cluster import ENVIRONMENTS, LocalCluster, deployment_of, wait_until
from testkit.traffic import BODY, Traffic
from tests.mlflow_server import Server, register_copy

pytestmark = pytest.mark.long_behind_rays_proxy
STARTER = PROJECT / "models" / "starter"
KEY = "correct-horse"
MOVES = 10


class Registry:
    """Two good versions, and one whose ONNX file cannot be read although its checksum is right."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.good = register_copy(STARTER), register_copy(STARTER)
        self.bad = register_copy(_unreadable_model(folder))

    def move(self, version: ModelVersion) -> None:
        client = mlflow.MlflowClient(self.server.uri)
        client.set_registered_model_alias("digits", "champion", version.version)


def _unreadable_model(folder: Path) -> Path:
    """Makes half of the starter's ONNX file, with a manifest that matches it."""
    folder.mkdir()
    content = (STARTER / ONNX_FILE).read_bytes()
    (folder / ONNX_FILE).write_bytes(content[: len(content) // 2])
    files = {ONNX_FILE: record(folder / ONNX_FILE)}
    write_manifest(folder, read_manifest(STARTER).model_copy(update={"files": files}))
    return folder


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A real MLflow server with its versions."""
    server = Server(tmp_path_factory.mktemp("mlflow"))
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", server.uri)
        yield Registry(server, tmp_path_factory.mktemp("models") / "bad")
    server.stop()


@pytest.fixture(scope="module", params=ENVIRONMENTS)
def service(
    request: pytest.FixtureRequest, registry: Registry, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCluster]:
    """One replica that follows the champion, on a cluster of its own."""
    registry.move(registry.good[0])
    environment = ENVIRONMENTS[request.param]()
    keys = {"DIGITS_EDGE_ADMIN_KEYS_SHA256": hashlib.sha256(KEY.encode()).hexdigest()}
    with LocalCluster(**environment, **keys, MLFLOW_TRACKING_URI=registry.server.uri) as cluster:
        config = cluster.fixed(1)
        deployment_of(config)["user_config"] |= {
            "model_uri": "models:/digits@champion",
            "model_cache": str(tmp_path_factory.mktemp("cache")),
            "alias_poll_s": 1,
        }
        yield cluster.serve(config, replicas=1)


@pytest.fixture(autouse=True)
def first_version(registry: Registry) -> None:
    """Each test begins with the first version, wherever one before it has left the alias."""
    registry.move(registry.good[0])


def wait_for_version(service: LocalCluster, version: ModelVersion) -> None:
    def is_there() -> bool:
        ready = service.ready()
        return ready is not None and ready["model"]["version"] == version.version

    wait_until(is_there, timeout_s=60, on_timeout=service.logs)


def wait_for_warning(service: LocalCluster, text: str) -> None:
    def is_there() -> bool:
        ready = service.ready()
        return ready is not None and text in str(ready["warning"])

    wait_until(is_there, timeout_s=60, on_timeout=lambda: f"{service.ready()} {service.logs()}")


def has_counted_a_rejection(service: LocalCluster) -> bool:
    lines = httpx2.get(service.metrics_url, timeout=10).text.splitlines()
    return any(
        line.startswith("ray_digits_model_loads_total{") and 'outcome="rejected"' in line for line in lines
    )


def reload(service: LocalCluster, key: str | None) -> httpx2.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx2.post(f"{service.url}/admin/reload", headers=headers, timeout=60)


def move_in_turn(tracking_uri: str, url: str, versions: list[str]) -> None:
    """Moves the alias to one version after the other, each once the service answers with the one before."""
    client = mlflow.MlflowClient(tracking_uri)
    with httpx2.Client(base_url=url) as service:
        for version in versions:
            client.set_registered_model_alias("digits", "champion", version)
            wait_until(lambda: service.get("/readyz").json()["model"]["version"] == version, timeout_s=60)  # noqa: B023


def test_ten_alias_moves_under_load_fail_no_request(
    registry: Registry, service: LocalCluster, figure: Callable[[str], None]
) -> None:
    """Each answer is from one version, and the latency stays."""
    versions = [registry.good[(move + 1) % 2].version for move in range(MOVES)]
    # In a process of its own: it must not delay the requests that are sent and measured here.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as another:
        another.submit(move_in_turn, registry.server.uri, service.url, []).result()
        with Traffic(service.url, rate=300) as traffic:
            wait_until(lambda: traffic.now > 10, timeout_s=20)
            start = traffic.now
            another.submit(move_in_turn, registry.server.uri, service.url, versions).result()
            end = traffic.now
    assert traffic.failed == []
    answered = {json.loads(outcome.text)["model"]["version"] for outcome in traffic.outcomes}
    assert answered == set(versions)
    before, during = traffic.p99_s(1, start), traffic.p99_s(start, end)
    figure(
        f"0 of {len(traffic.outcomes):,} failed, "
        f"p99 {before * 1e3:.1f} ms before and {during * 1e3:.1f} ms during the moves"
    )


def test_a_bad_model_never_answers_and_the_reason_is_reported(
    registry: Registry, service: LocalCluster
) -> None:
    """The reason is in /readyz, in the log and in the metrics."""
    wait_for_version(service, registry.good[0])
    with Traffic(service.url, rate=50) as traffic:
        registry.move(registry.bad)
        wait_for_warning(service, f"version {registry.bad.version} was rejected: ")
        assert f"version {registry.bad.version} was rejected: " in service.logs()
        wait_until(lambda: has_counted_a_rejection(service), timeout_s=60)
    assert traffic.failed == []
    assert {json.loads(o.text)["model"]["version"] for o in traffic.outcomes} == {registry.good[0].version}
    registry.move(registry.good[0])
    wait_for_warning(service, "None")


def test_reload_needs_the_admin_key_and_reports_its_result(registry: Registry, service: LocalCluster) -> None:
    wait_for_version(service, registry.good[0])
    assert reload(service, None).status_code == 401
    assert reload(service, "guess").status_code == 403
    answer = reload(service, KEY)
    assert (answer.status_code, answer.json()["changed"]) == (200, False)
    assert answer.json()["model"] == {"name": "digits", "version": registry.good[0].version}


def test_without_mlflow_replicas_go_on_and_new_ones_start(registry: Registry, service: LocalCluster) -> None:
    """A replica that starts meanwhile loads the last good version from its disk."""
    wait_for_version(service, registry.good[0])
    with Traffic(service.url, rate=20, retries=1) as traffic:
        registry.server.stop()
        try:
            wait_for_warning(service, "the model's alias cannot be resolved")
            assert traffic.failed == []
            (replica,) = service.replica_pids()
            os.kill(replica, signal.SIGKILL)
            wait_for_warning(
                service, f"serving version {registry.good[0].version}, the last good one on this disk"
            )
            assert service.replica_pids() != [replica]
        finally:
            registry.server.start()
    answer = httpx2.post(f"{service.url}/predict", content=BODY.content, timeout=30).json()
    assert (answer["digit"], answer["model"]["version"]) == (3, registry.good[0].version)
    wait_for_warning(service, "None")
