"""Overlay production on the cluster of kubectl's context, fitted to one node: policies, Redis, the budget.

Without the gateway and the Prometheus operator, whose kinds the cluster may lack, and with its own images.
"""

import hashlib
import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.containers.engine import VERSION
from tests.kubernetes.kubectl import (
    CLIENTS,
    NAMESPACE,
    Load,
    Object,
    changed_overlay,
    evict,
    installed,
    kubectl,
    of_cluster,
    pods,
    ready,
)

Figure = Callable[[str], None]
KEY = "a key of a client"
STARTED_WITHIN_S = 900
OTHERS = {"HTTPRoute", "PodMonitor", "PrometheusRule"}
RAYS_PORTS = (6379, 8080, 8265, 10001, 44217, 44227, 52365)
SMALL = {"cpu": "100m", "memory": "768Mi"}


def fitted(objects: list[Object]) -> None:
    """Removes the kinds of other operators, and takes local images and requests for a node of 2 CPUs."""
    objects[:] = [found for found in objects if found["kind"] not in OTHERS]
    for container in containers(objects):
        name = container["image"].rpartition("/")[2].partition(":")[0]
        if name.startswith("digits-"):
            container["image"] = f"{name}:{VERSION}"
            container["resources"]["requests"] = dict(SMALL)  # Redis has less, and a limit below it


def containers(value: object) -> Iterator[Object]:
    """Yields every container of the objects, wherever a template holds it."""
    if isinstance(value, dict):
        if "image" in value and "resources" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from containers(one)


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    if not kubectl("get", "storageclass", "-o", "name").split():
        pytest.skip("the cluster has no StorageClass for the volumes of Redis and MLflow")
    hashed = hashlib.sha256(KEY.encode()).hexdigest()
    kubectl("create", "namespace", NAMESPACE)
    for name, *values in (
        ("digits-ray-token", f"auth_token={secrets.token_hex(32)}"),
        ("digits-redis", f"password={secrets.token_hex(32)}"),
        ("digits-keys", f"api={hashed}", "admin="),
    ):
        literals = [f"--from-literal={value}" for value in values]
        kubectl("create", "secret", "generic", "-n", NAMESPACE, name, *literals)
    with changed_overlay("production", fitted) as changed, installed(changed):
        yield


def test_requests_need_a_key(figure: Figure) -> None:
    with Load(key=KEY) as load:
        time.sleep(10)
    figure(str(load.report))
    assert load.report.failed == 0, load.report.reasons
    with Load(key="") as keyless:
        time.sleep(2)
    assert keyless.report.failed == keyless.report.sent
    assert all(reason.startswith("401") for reason in keyless.report.reasons)


OPEN = """
import socket, sys
def is_open(port):
    try:
        socket.create_connection((sys.argv[1], port), timeout=3).close()
    except OSError:
        return False
    return True
print(*[port for port in map(int, sys.argv[2:]) if is_open(port)])
"""


def test_only_port_8000_opens_from_another_namespace() -> None:
    """If other ports open, the cluster's network does not enforce NetworkPolicies."""
    for kind, expected in (("head", [8000]), ("worker", [8000])):
        for pod in pods(of_cluster(kind)):
            address = kubectl("get", "-n", NAMESPACE, pod, "-o", "jsonpath={.status.podIP}")
            ports = [str(port) for port in (8000, *RAYS_PORTS)]
            command = ["python", "-c", OPEN, address, *ports]
            found = kubectl("exec", "-n", CLIENTS, "client", "--", *command)
            assert [int(port) for port in found.split()] == expected, kind


def test_a_deleted_head_loses_no_request(figure: Figure) -> None:
    """Redis keeps the state, and the workers answer meanwhile."""
    (head,) = pods(of_cluster("head"))
    with Load(key=KEY) as load:
        kubectl("delete", "-n", NAMESPACE, head, "--timeout=3m", timeout_s=200)
        wait_until(lambda: ready(of_cluster("head")) == 1, STARTED_WITHIN_S)
        time.sleep(30)
    figure(str(load.report))
    assert load.report.failed == 0, load.report.reasons


def test_the_budget_lets_one_worker_go_at_a_time(figure: Figure) -> None:
    first, second = pods(of_cluster("worker"))
    with Load(key=KEY) as load:
        assert evict(first) == ""
        wait_until(lambda: ready(of_cluster("worker")) == 1, 60)
        assert "disruption budget" in evict(second)
        wait_until(lambda: ready(of_cluster("worker")) == 2, STARTED_WITHIN_S)
    figure(str(load.report))
    assert load.report.failed == 0, load.report.reasons
