"""Overlay incremental-upgrade on the cluster of kubectl's context, if that has a Gateway API controller."""

import json
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    NAMESPACE,
    Load,
    Object,
    active_cluster,
    begin_upgrade,
    kubectl,
    make,
    ray_service,
    with_replicas,
)
from tests.kubernetes.needs import refused
from tests.kubernetes.production import KEY, fitted, installed_production

Figure = Callable[[str], None]
# KubeRay names it after the RayService.  Istio has a kind Gateway of its own.
GATEWAY = "gateways.gateway.networking.k8s.io/digits-gateway"
CLASS = "istio"  # in the overlay
ADDRESS_WITHIN_S, MOVED_WITHIN_S = 120, 900


@pytest.fixture(scope="module")
def overlay(cluster: None) -> Iterator[str]:
    if refused("get", "gatewayclass", CLASS):
        pytest.skip(f"the cluster has no GatewayClass {CLASS}, so no controller moves traffic in steps")
    with installed_production("incremental-upgrade", of_one_worker) as changed:
        yield changed


def of_one_worker(objects: list[Object]) -> None:
    """Fits two clusters and the controller to one small node; a budget of one worker forbids its eviction."""
    fitted(objects)
    objects[:] = [found for found in objects if found["kind"] != "PodDisruptionBudget"]
    with_replicas(objects, workers=1, replicas=1)


def address() -> str:
    """Returns the Gateway's address; "" before its controller has programmed it."""
    found = json.loads(kubectl("get", "-n", NAMESPACE, GATEWAY, "-o", "json")).get("status", {})
    conditions, addresses = found.get("conditions", []), found.get("addresses", [])
    programmed = any(one["type"] == "Programmed" and one["status"] == "True" for one in conditions)
    return str(addresses[0]["value"]) if programmed and addresses else ""


def moved_percent() -> int:
    """Returns how much of the traffic the new cluster of an upgrade has."""
    return int(ray_service()["status"].get("pendingServiceStatus", {}).get("trafficRoutedPercent", 0))


def test_previous_manifests_move_the_traffic_back(overlay: str, figure: Figure) -> None:
    before = active_cluster()
    wait_until(address, ADDRESS_WITHIN_S, lambda: kubectl("describe", "-n", NAMESPACE, GATEWAY))
    with Load(key=KEY, url=f"http://{address()}") as load:
        begin_upgrade()
        wait_until(lambda: 0 < moved_percent() < 100, MOVED_WITHIN_S)
        at = moved_percent()
        make("deploy", overlay, "FORCE=1")
    figure(f"back from {at} % of the traffic: {load.report}")
    assert active_cluster() == before
    assert moved_percent() == 0
    assert load.report.failed == 0, load.report.reasons
