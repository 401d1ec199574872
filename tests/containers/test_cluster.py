"""The overlays in containers: local, then production with Redis, MLflow and two clusters one after the other.

Each test of production continues where the one before ended, because a cluster takes a minute to start.
"""

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import yaml

from testkit.cluster import wait_until
from testkit.traffic import Traffic
from tests.containers.cluster import RayCluster
from tests.containers.engine import docker, remove_containers
from tests.containers.kuberay import Files, plain_pod, ray_pods, submitter
from tests.containers.pods import RunningPod, network
from tests.containers.rayservice import RayService
from tests.containers.service import Service
from tests.programs import require_program
from tests.rules.kubernetes import evictions_allowed
from tests.rules.manifests import Object, render

pytestmark = pytest.mark.usefixtures("images")
Figure = Callable[[str], None]

KEY = "a key of a client"
RATE = 15  # requests per second: two cores run all of it
MINUTE = 60.0
SILENT_S = 15
DELETION_DELAY_S = 5  # instead of the manifest's 180 s: a client opens a new connection when one is closed


def load(service: Service, **headers: str) -> Traffic:
    """Returns a client that repeats a failed request once.  Half of its requests open a connection."""
    return Traffic(service.url, RATE, retries=1, headers=headers, mixed=True)


@dataclass
class Installation:
    """The result of `kubectl apply -k kuberay/overlays/production`, without the gateway and monitoring."""

    folder: Path
    config: Object
    files: Files
    token: str
    service: Service
    redis: RunningPod
    mlflow: RunningPod
    active: RayCluster

    def traffic(self) -> Traffic:
        return load(self.service, **{"X-API-Key": KEY})

    def new_cluster(self, spec: Object) -> RayCluster:
        return RayCluster(spec, "digits-bbbbb", self.files, self.token, self.folder)

    @property
    def deployment(self) -> Object:
        deployment: Object = self.config["applications"][0]["deployments"][0]
        return deployment


def stand_in_for_redis(image: str) -> None:
    """Builds Debian's Redis under the manifest's tag, if that image is not there."""
    if not docker("image", "ls", "--quiet", image):
        recipe = (
            "FROM python:3.11-slim-bookworm\n"
            "RUN apt-get update && apt-get install -y --no-install-recommends redis-server redis-tools\n"
        )
        docker("build", "--network", "host", "--tag", image, "-", text=recipe, timeout_s=600)


def start_mlflow(overlay: str, folder: Path) -> RunningPod:
    (deployment,) = render(f"overlays/{overlay}").of("Deployment")
    pod = RunningPod(plain_pod(deployment["spec"]["template"], {}), folder / "mlflow", "digits-mlflow")
    url = f"http://{pod.address}:5000/health"  # by its address, as the kubelet does
    wait_until(lambda: _status(url) == 200, 2 * MINUTE, pod.container.logs)
    return pod


def _failed(traffic: Traffic) -> str:
    return f"{len(traffic.failed)} of {len(traffic.outcomes)} failed"


def _status(url: str, **headers: str) -> int:
    try:
        return httpx2.get(url, headers=headers, timeout=10).status_code
    except httpx2.TransportError:
        return 0


def test_overlay_local_serves_within_its_limits(images: None, tmp_path: Path, figure: Figure) -> None:
    require_program("haproxy", "haproxy")
    (found,) = render("overlays/local").of("RayService")
    config = yaml.safe_load(found["spec"]["serveConfigV2"])
    with network(), Service(tmp_path) as service:
        try:
            began = time.monotonic()
            cluster = RayCluster(
                found["spec"]["rayClusterConfig"], "digits-local", {}, secrets.token_hex(32), tmp_path
            )
            cluster.apply(config)
            cluster.take_over(service)
            ready_s = time.monotonic() - began
            with load(service) as traffic:
                time.sleep(5)
            memory = [pod.container.memory_mb() for pod in (cluster.head, *cluster.workers)]
            said = " and ".join(f"{one:.0f}" for one in memory)
            figure(
                f"ready after {ready_s:.0f} s; head and worker {said} MB; p99 {1000 * traffic.p99_s():.0f} ms"
            )
            assert traffic.failed == []
            assert len(cluster.replicas()) == 2
        finally:
            remove_containers()


@pytest.fixture(scope="module")
def production(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    require_program("haproxy", "haproxy")
    folder = tmp_path_factory.mktemp("production")
    folder.chmod(0o755)
    folder.parent.chmod(0o755)
    rendered = render("overlays/production")
    (service_object,), (stateful,) = rendered.of("RayService"), rendered.of("StatefulSet")
    token = secrets.token_hex(32)
    files: dict[str, dict[str, str]] = {
        "digits-redis": {"password": secrets.token_hex(32)},
        "digits-keys": {"api": hashlib.sha256(KEY.encode()).hexdigest(), "admin": ""},
        **{one["metadata"]["name"]: one["data"] for one in rendered.of("ConfigMap")},
    }
    with network(), Service(folder) as service:
        redis = plain_pod(stateful["spec"]["template"], files)
        stand_in_for_redis(redis.image)
        running_redis = RunningPod(redis, folder / "redis", "digits-redis")
        mlflow = start_mlflow("production", folder)
        spec = service_object["spec"]
        active = RayCluster(spec["rayClusterConfig"], "digits-aaaaa", files, token, folder)
        config = yaml.safe_load(spec["serveConfigV2"])
        made = Installation(folder, config, files, token, service, running_redis, mlflow, active)
        active.apply(config)
        active.take_over(service)
        try:
            yield made
        finally:
            remove_containers()


def test_workers_are_endpoints_and_want_an_api_key(production: Installation, figure: Figure) -> None:
    assert set(production.service.endpoints()) == set(production.active.workers)
    with production.traffic() as traffic:
        time.sleep(5)
    memory = [pod.container.memory_mb() for pod in (production.active.head, *production.active.workers)]
    said = ", ".join(f"{one:.0f}" for one in memory)
    mlflow = production.mlflow.container.memory_mb()
    figure(f"p99 {1000 * traffic.p99_s():.0f} ms; head and workers {said} MB, MLflow {mlflow:.0f} MB")
    assert traffic.failed == []
    with load(production.service) as keyless:
        time.sleep(1)
    assert {outcome.status for outcome in keyless.outcomes} == {401}


def test_dashboard_jobs_and_state_want_the_token(production: Installation) -> None:
    for path in ("/api/serve/applications/", "/api/jobs/", "/api/cluster_status"):
        assert _status(production.active.dashboard + path) == 401
    assert _status(f"{production.active.dashboard}/api/gcs_healthz") == 200


def test_mlflow_answers_only_to_its_own_names(production: Installation) -> None:
    url = f"http://{production.mlflow.address}:5000/api/2.0/mlflow/experiments/search?max_results=1"
    assert _status(url, Host="digits-mlflow:5000") == 200
    assert _status(url, Host="elsewhere.example.com:5000") == 403


def test_a_killed_worker_loses_no_request(production: Installation, figure: Figure) -> None:
    cluster, service = production.active, production.service
    with production.traffic() as traffic:
        lost = cluster.workers[0]
        lost.kill()
        lost.remove()
        began = time.monotonic()
        cluster.workers[0] = cluster.start_worker()
        cluster.wait_until_endpoints(service)
        back_s = time.monotonic() - began
    figure(f"{_failed(traffic)}, two endpoints again after {back_s:.0f} s")
    assert traffic.failed == []


def test_a_drained_worker_loses_no_request(production: Installation, figure: Figure) -> None:
    (budget,) = render("overlays/production").of("PodDisruptionBudget")
    cluster, service = production.active, production.service
    assert evictions_allowed(budget["spec"], healthy=len(cluster.workers)) == 1
    with production.traffic() as traffic:
        leaving = cluster.workers[1]
        ended_s = leaving.terminate()
        leaving.remove()
        cluster.workers[1] = cluster.start_worker()
        cluster.wait_until_endpoints(service)
    figure(f"{_failed(traffic)}; ended after {ended_s:.0f} s of 90")
    assert traffic.failed == []
    assert ended_s < leaving.pod.grace_s


def test_a_killed_head_comes_back_with_its_state(production: Installation, figure: Figure) -> None:
    """Redis keeps the state, and no request fails meanwhile."""
    cluster = production.active
    before = set(cluster.replicas())
    with production.traffic() as traffic:
        cluster.head.kill()
        time.sleep(5)
        began = time.monotonic()
        docker("start", cluster.head.container.id)
        wait_until(lambda: set(cluster.replicas()) == before, 3 * MINUTE, cluster.explain)
        back_s = time.monotonic() - began
    figure(f"{_failed(traffic)}; the same replicas known after {back_s:.0f} s")
    assert traffic.failed == []


def test_replicas_answer_while_redis_and_mlflow_are_silent(production: Installation, figure: Figure) -> None:
    cluster, silent = production.active, (production.redis, production.mlflow)
    before = set(cluster.replicas())
    with production.traffic() as traffic:
        for pod in silent:
            docker("pause", pod.container.id)
        time.sleep(SILENT_S)
        for pod in silent:
            docker("unpause", pod.container.id)
        wait_until(lambda: set(cluster.replicas()) == before, MINUTE, cluster.explain)
    figure(f"{_failed(traffic)} in {SILENT_S} s and after them")
    assert traffic.failed == []


def test_a_change_waits_for_redis(production: Installation, figure: Figure) -> None:
    """Meanwhile the replicas answer with the configuration that they have."""
    cluster = production.active
    before = set(cluster.replicas())
    production.deployment["user_config"]["max_batch_size"] = 48
    sending = threading.Thread(target=cluster.apply, args=(production.config,), daemon=True)
    with production.traffic() as traffic:
        docker("pause", production.redis.container.id)
        sending.start()
        sending.join(SILENT_S)
        assert sending.is_alive()
        docker("unpause", production.redis.container.id)
        began = time.monotonic()
        sending.join(MINUTE)
        assert not sending.is_alive(), cluster.explain()
        cluster.wait_until_running()
        applied_s = time.monotonic() - began
    figure(f"applied {applied_s:.1f} s after Redis was back; {_failed(traffic)}")
    assert traffic.failed == []
    assert set(cluster.replicas()) == before


def test_a_changed_config_is_applied_in_place(production: Installation, figure: Figure) -> None:
    cluster = production.active
    before = set(cluster.replicas())
    with production.traffic() as traffic:
        production.deployment["user_config"]["max_batch_size"] = 32
        cluster.apply(production.config)
        time.sleep(5)
        cluster.wait_until_running()
    figure(f"{_failed(traffic)}")
    assert traffic.failed == []
    assert set(cluster.replicas()) == before


def test_a_training_registers_a_champion_that_is_served(production: Installation, figure: Figure) -> None:
    (job,) = render("overlays/local-training").of("RayJob")
    job["spec"]["entrypoint"] += " --epochs 14 --batch-size 64"
    made = ray_pods(
        job["spec"]["rayClusterSpec"], "digits-training-aaaaa", {}, production.token, is_service=False
    )
    began = time.monotonic()
    head = RunningPod(made.head, production.folder / "training", made.head_service)
    pod = submitter(job["spec"], made.head_service, "digits-training-1", production.token, {})
    submitted = RunningPod(pod, production.folder / "submitter")
    wait_until(lambda: not submitted.container.is_running, 10 * MINUTE, head.container.logs)
    trained_s, memory = time.monotonic() - began, head.container.memory_mb()
    said = submitted.container.logs()
    assert "champion" in said, said
    for ended in (submitted, head):
        ended.container.remove()
    with production.traffic() as traffic:
        production.deployment["user_config"]["model_uri"] = "models:/digits@champion"
        production.active.apply(production.config)
        wait_until(lambda: any('"version":"1"' in one.text for one in traffic.outcomes), MINUTE, lambda: said)
    figure(f"trained in {trained_s:.0f} s with {memory:.0f} MB; then {_failed(traffic)} until it was served")
    assert traffic.failed == []


@pytest.fixture(scope="module")
def rayservice(production: Installation) -> Iterator[RayService]:
    """The RayService of the production cluster as it is now, for `make deploy`."""
    (found,) = render("overlays/production").of("RayService")
    found["spec"]["serveConfigV2"] = yaml.safe_dump(production.config)
    with RayService(found, production.active, production.new_cluster, production.service) as made:
        yield made


def test_a_second_deploy_changes_nothing(
    rayservice: RayService, production: Installation, tmp_path: Path, figure: Figure
) -> None:
    """KubeRay has written the list of worker groups since the first one."""
    cluster = production.active
    wait_until(lambda: len(cluster.replicas()) == len(cluster.workers), MINUTE, cluster.explain)
    before = set(cluster.replicas())
    with production.traffic() as traffic:
        done = rayservice.deploy("production", tmp_path)
    figure(_failed(traffic))
    assert done.returncode == 0, done.stderr
    assert traffic.failed == []
    assert rayservice.active is cluster
    assert set(cluster.replicas()) == before


def test_an_upgrade_to_a_second_cluster_loses_no_request(
    rayservice: RayService, production: Installation, tmp_path: Path, figure: Figure
) -> None:
    """`make deploy` returns once the new cluster has the traffic: Ready is true from the old one."""
    old, service = production.active, production.service
    head = rayservice.manifest["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]
    head.setdefault("metadata", {}).setdefault("annotations", {})["release"] = "2"
    with production.traffic() as traffic:
        began = time.monotonic()
        done = rayservice.deploy("production", tmp_path)
        deployed_s = time.monotonic() - began
        new, endpoints = rayservice.active, set(service.endpoints())
        time.sleep(DELETION_DELAY_S)
        old.delete()
        production.active = new
    repeated = sum(outcome.tries > 1 for outcome in traffic.outcomes)
    figure(f"`make deploy` took {deployed_s:.0f} s; {_failed(traffic)}, {repeated} repeated")
    assert done.returncode == 0, done.stderr
    assert traffic.failed == []
    assert new is not old
    assert endpoints == set(new.workers)
