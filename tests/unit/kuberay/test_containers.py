"""The container tests start the pods that KubeRay would make from the manifests."""

from typing import Any

import pytest

from tests.containers.kuberay import RayPods, plain_pod, ray_pods, start_command, submitter
from tests.rules.manifests import render

FILES = {
    "digits-redis": {"password": "guess"},
    "digits-keys": {"api": "", "admin": ""},
    "digits-ray-token": {"auth_token": "t"},
}


def pods(overlay: str) -> RayPods:
    (service,) = render(f"overlays/{overlay}").of("RayService")
    return ray_pods(service["spec"]["rayClusterConfig"], "digits-abcde", FILES, "t", is_service=True)


def test_the_head_has_no_cpus_and_a_worker_its_limits() -> None:
    made = pods("production")
    assert made.worker is not None
    assert made.head.command == [
        "/bin/bash", "-c", "--",
        "ulimit -n 65536; ray start --head --block --dashboard-agent-listen-port=52365 "
        "--dashboard-host=0.0.0.0 --memory=3221225472 --metrics-export-port=8080 --num-cpus=0 "
        "--redis-password=$REDIS_PASSWORD",
    ]  # fmt: skip
    assert made.worker.command[-1] == (
        "ulimit -n 65536; ray start --address=digits-abcde-head-svc:6379 --block "
        "--dashboard-agent-listen-port=52365 --memory=3221225472 --metrics-export-port=8080 --num-cpus=1"
    )
    assert made.replicas == 2


@pytest.mark.parametrize(("limit", "said"), [("1", "1"), ("500m", "1"), ("1500m", "2"), ("2", "2")])
def test_cpus_are_rounded_up_as_kuberay_does(limit: str, said: str) -> None:
    resources = {"limits": {"cpu": limit, "memory": "1Gi"}}
    group: dict[str, Any] = {"template": {"spec": {"containers": [{"resources": resources}]}}}
    assert f"--num-cpus={said}" in start_command(group, None)[-1]


def test_the_head_gets_redis_and_workers_a_longer_timeout() -> None:
    made = pods("production")
    assert made.worker is not None
    assert made.head.environment["RAY_REDIS_ADDRESS"] == "redis://digits-redis:6379"
    assert made.head.environment["REDIS_PASSWORD"] == "guess"
    assert made.head.environment["RAY_gcs_rpc_server_reconnect_timeout_s"] == "20"
    assert made.worker.environment["RAY_gcs_rpc_server_reconnect_timeout_s"] == "600"
    assert "RAY_REDIS_ADDRESS" not in made.worker.environment
    namespaces = {pod.environment["RAY_external_storage_namespace"] for pod in (made.head, made.worker)}
    assert namespaces == {"digits-abcde"}


def test_without_redis_no_pod_has_its_variables() -> None:
    made = pods("local")
    assert made.worker is not None
    for pod in (made.head, made.worker):
        assert not any("REDIS" in name or "external_storage" in name for name in pod.environment)


def test_every_ray_pod_has_token_user_and_serve_variables() -> None:
    made = pods("local")
    assert made.worker is not None
    for pod in (made.head, made.worker):
        assert pod.environment["RAY_AUTH_MODE"] == "token"
        assert pod.environment["RAY_AUTH_TOKEN"] == "t"
        assert pod.environment["RAY_SERVE_KV_TIMEOUT_S"] == "5"
        assert (pod.user, pod.folders, pod.shm_mb) == (1000, ["/tmp"], pod.memory_mb)
    assert made.worker.grace_s == 90
    assert made.worker.probe["httpGet"] == {"path": "/-/healthz", "port": "serve"}


def test_api_keys_are_mounted_as_files() -> None:
    made = pods("production")
    assert made.head.files == {"/etc/digits/keys": {"api": "", "admin": ""}}
    assert made.head.environment["DIGITS_EDGE_API_KEYS_SHA256"] == "@/etc/digits/keys/api"


def test_redis_reads_its_secret_and_its_config_map() -> None:
    (stateful,) = render("overlays/production").of("StatefulSet")
    maps = {one["metadata"]["name"]: one["data"] for one in render("overlays/production").of("ConfigMap")}
    pod = plain_pod(stateful["spec"]["template"], FILES | maps)
    assert pod.environment == {"REDISCLI_AUTH": "guess"}
    assert pod.folders == ["/data"]
    assert "appendonly yes" in pod.files["/etc/redis"]["redis.conf"]
    assert "guess" not in " ".join(pod.command)


def test_the_submitter_waits_submits_once_and_follows() -> None:
    (job,) = render("training").of("RayJob")
    pod = submitter(job["spec"], "training-head-svc", "digits-1", "t", FILES)
    line = pod.command[-1]
    steps = [
        "gcs_healthz",
        "ray job status",
        "ray job submit",
        "--no-wait",
        "-- python /app/train_ray.py",
        "ray job logs",
    ]
    places = [line.index(step) for step in steps]
    assert places == sorted(places)
    assert "http://training-head-svc:8265" in line
