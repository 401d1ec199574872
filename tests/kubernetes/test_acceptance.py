"""OVERLAY=local on the cluster of kubectl's context: `make k8s-test`.

Each test continues where the one before it ended, because an installation takes minutes.
"""

import json
import time
from collections.abc import Callable

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    NAMESPACE,
    OVERLAY,
    Load,
    active_cluster,
    change_config,
    clusters,
    condition,
    kubectl,
    pods,
    ray_service,
    run,
    running_replicas,
)

Figure = Callable[[str], None]

PLAIN = "digits-plain"
TRAINING = "local-training" if OVERLAY == "local" else "production-training"
STARTED_WITHIN_S, UPGRADED_WITHIN_S, TRAINED_WITHIN_S = 900, 1200, 1800
WATCHED_S = 20  # of load without a disturbance


@pytest.mark.usefixtures("service")
def test_known_digits_are_predicted_right(figure: Figure) -> None:
    with Load() as load:
        time.sleep(WATCHED_S)
    figure(str(load.report))
    assert load.report.failed == 0, load.report.reasons
    assert load.report.sent > WATCHED_S
    assert load.report.versions == ["starter"]


@pytest.mark.usefixtures("service")
def test_scaling_is_in_place_and_loses_no_request(figure: Figure) -> None:
    before, there = active_cluster(), running_replicas()
    with Load() as load:
        change_config(min_replicas=1, max_replicas=1)
        wait_until(lambda: running_replicas() == 1, STARTED_WITHIN_S)
        change_config(min_replicas=there, max_replicas=there)
        wait_until(lambda: running_replicas() == there, STARTED_WITHIN_S)
    figure(f"{there} to 1 and back: {load.report}")
    assert load.report.failed == 0, load.report.reasons
    assert active_cluster() == before


@pytest.mark.usefixtures("service")
def test_a_deleted_worker_is_replaced(figure: Figure) -> None:
    selector = f"ray.io/cluster={active_cluster()},ray.io/node-type=worker"
    workers = pods(selector)
    with Load() as load:
        kubectl("delete", "-n", NAMESPACE, workers[0], "--wait=false")
        wait_until(lambda: workers[0] not in pods(selector), STARTED_WITHIN_S)
        wait_until(lambda: condition("Ready") == "True", STARTED_WITHIN_S)
        wait_until(lambda: ready_workers(selector) == len(workers), STARTED_WITHIN_S)
    figure(f"one of {len(workers)}: {load.report}")
    with Load() as after:
        time.sleep(WATCHED_S)
    assert after.report.failed == 0, after.report.reasons
    if len(workers) > 1:
        assert load.report.failed == 0, load.report.reasons


def status() -> str:
    return str(ray_service().get("status"))


def ready_workers(selector: str) -> int:
    found = json.loads(kubectl("get", "-n", NAMESPACE, "pod", "-l", selector, "-o", "json"))["items"]
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", []))
        for pod in found
    )


@pytest.mark.usefixtures("service")
def test_an_upgrade_is_a_second_cluster_and_loses_no_request(figure: Figure) -> None:
    before = active_cluster()
    patch = [
        {
            "op": "add",
            "path": "/spec/rayClusterConfig/workerGroupSpecs/0/template/metadata/annotations",
            "value": {"digits.example.com/upgrade": str(time.time_ns())},
        }
    ]
    began = time.monotonic()
    with Load() as load:
        kubectl("patch", "-n", NAMESPACE, "rayservice/digits", "--type=json", "-p", json.dumps(patch))
        wait_until(
            lambda: active_cluster() != before, UPGRADED_WITHIN_S, lambda: str(ray_service()["status"])
        )
        switched_s = time.monotonic() - began
        wait_until(lambda: f"raycluster.ray.io/{before}" not in clusters(), UPGRADED_WITHIN_S)
    figure(f"switched after {switched_s:.0f} s: {load.report}")
    assert load.report.failed == 0, load.report.reasons


@pytest.mark.usefixtures("service")
def test_a_trained_model_becomes_champion_and_is_served(figure: Figure) -> None:
    kubectl("delete", "-n", NAMESPACE, "--ignore-not-found", "rayjob/digits-training", timeout_s=300)
    kubectl("apply", "--server-side", "-k", f"kuberay/overlays/{TRAINING}")
    began = time.monotonic()
    wait_until(lambda: job_status() in ("SUCCEEDED", "FAILED", "STOPPED"), TRAINED_WITHIN_S, job_status)
    trained_s = time.monotonic() - began
    assert job_status() == "SUCCEEDED"
    kubectl("delete", "-n", NAMESPACE, "rayjob/digits-training", timeout_s=300)
    with Load() as load:
        change_config(model_uri="models:/digits@champion")
        time.sleep(WATCHED_S)
    figure(f"trained in {trained_s:.0f} s; then {load.report}, by {load.report.versions}")
    assert load.report.failed == 0, load.report.reasons
    assert "1" in load.report.versions


def job_status() -> str:
    return kubectl(
        "get", "-n", NAMESPACE, "rayjob/digits-training", "-o", "jsonpath={.status.jobStatus}"
    ).strip()


@pytest.mark.usefixtures("cluster")
def test_the_plain_manifest_needs_only_kuberay(figure: Figure) -> None:
    kubectl("create", "namespace", PLAIN)
    try:
        began = time.monotonic()
        kubectl("apply", "-n", PLAIN, "-f", "kuberay/rayservice.yaml")
        wait_until(
            lambda: condition("Ready", PLAIN) == "True", STARTED_WITHIN_S, lambda: str(ray_service(PLAIN))
        )
        ready_s = time.monotonic() - began
        with Load(PLAIN) as load:
            time.sleep(WATCHED_S)
        figure(f"ready after {ready_s:.0f} s; {load.report}")
        assert load.report.failed == 0, load.report.reasons
    finally:
        kubectl("delete", "-n", PLAIN, "rayservice/digits", "--timeout=5m", timeout_s=330)
        run("kubectl", "delete", "namespace", PLAIN, timeout_s=330)
