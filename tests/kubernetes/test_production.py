"""Overlay production on the cluster of kubectl's context, fitted to one node: policies, Redis, the budget."""

import time
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    CLIENTS,
    NAMESPACE,
    Load,
    active_cluster,
    begin_upgrade,
    evict,
    kubectl,
    of_cluster,
    pods,
    ready,
)
from tests.kubernetes.production import KEY, fitted, installed_production

Figure = Callable[[str], None]
STARTED_WITHIN_S = 900
RAYS_PORTS = (6379, 8080, 8265, 10001, 44217, 44227, 52365)


@pytest.fixture(scope="module", autouse=True)
def service(cluster: None) -> Iterator[None]:
    with installed_production("production", fitted):
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


def test_during_an_upgrade_the_budget_counts_both_clusters(figure: Figure) -> None:
    """So it allows the eviction of as many workers as the cluster that answers has.

    This is the last test: the next `make deploy` would find a changed field.
    """
    before, workers = active_cluster(), len(pods(of_cluster("worker")))
    wait_until(lambda: evictions_allowed() == workers - 1, 60, lambda: str(evictions_allowed()))
    begin_upgrade()
    wait_until(lambda: active_cluster() != before, STARTED_WITHIN_S)
    wait_until(lambda: evictions_allowed() >= workers, 60, lambda: str(evictions_allowed()))
    figure(f"{evictions_allowed()} of {2 * workers} workers could be evicted")


def evictions_allowed() -> int:
    path = "jsonpath={.status.disruptionsAllowed}"
    return int(kubectl("get", "-n", NAMESPACE, "poddisruptionbudget/digits-serving", "-o", path))
