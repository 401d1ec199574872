"""Overlay incremental-upgrade on the cluster of kubectl's context, if that has a Gateway API controller."""

import json
from collections.abc import Callable, Iterator

import pytest

from testkit.cluster import wait_until
from tests.kubernetes.kubectl import (
    NAMESPACE,
    Load,
    active_cluster,
    begin_upgrade,
    kubectl,
    make,
    ray_service,
)
from tests.kubernetes.needs import refused
from tests.kubernetes.production import KEY, installed_production

Figure = Callable[[str], None]
GATEWAY, CLASS = (
    "digits-gateway",
    "istio",
)  # KubeRay names it after the RayService; the overlay names the class
MOVED_WITHIN_S = 900


@pytest.fixture(scope="module")
def overlay(cluster: None) -> Iterator[str]:
    if refused("get", "gatewayclass", CLASS):
        pytest.skip(f"the cluster has no GatewayClass {CLASS}, so no controller moves traffic in steps")
    with installed_production("incremental-upgrade") as fitted_overlay:
        yield fitted_overlay


def moved_percent() -> int:
    """Returns how much of the traffic the new cluster of an upgrade has."""
    return int(ray_service()["status"].get("pendingServiceStatus", {}).get("trafficRoutedPercent", 0))


def test_previous_manifests_move_the_traffic_back(overlay: str, figure: Figure) -> None:
    before = active_cluster()
    gateway = json.loads(kubectl("get", "-n", NAMESPACE, f"gateway/{GATEWAY}", "-o", "json"))
    with Load(key=KEY, url=f"http://{gateway['status']['addresses'][0]['value']}") as load:
        begin_upgrade()
        wait_until(lambda: 0 < moved_percent() < 100, MOVED_WITHIN_S)
        at = moved_percent()
        make("deploy", overlay, "FORCE=1")
    figure(f"back from {at} % of the traffic: {load.report}")
    assert active_cluster() == before
    assert moved_percent() == 0
    assert load.report.failed == 0, load.report.reasons
