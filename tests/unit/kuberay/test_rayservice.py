"""`make deploy` against the stand-in for KubeRay, here with clusters that need no containers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any, cast

import pytest

from tests.containers import rayservice
from tests.containers.cluster import RayCluster
from tests.containers.rayservice import RayService
from tests.containers.service import Service
from tests.played_kubectl import hurried
from tests.rules.manifests import Object, render

STARTS_S = 1.0  # until the applications of a cluster run


@dataclass
class Worker:
    is_ready: bool = True


@dataclass
class Cluster:
    name: str
    workers: list[Worker] = field(default_factory=lambda: [Worker(), Worker()])
    configs: list[Object] = field(default_factory=list)
    began: float = field(default_factory=monotonic)

    def apply(self, config: Object) -> None:
        self.configs.append(config)

    def runs(self) -> bool:
        return monotonic() - self.began > STARTS_S

    def run_on_head(self, *_: str) -> str:
        return ""

    def details(self) -> Object:
        return {"applications": {"digits": {"status": "RUNNING" if self.runs() else "DEPLOYING"}}}


@dataclass
class Traffic:
    """The Service: which workers get the traffic; it answers all the time."""

    url: str
    workers: list[Worker] = field(default_factory=list)

    def select(self, pods: Callable[[], list[Worker]]) -> None:
        self.workers = pods()


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rayservice, "RECONCILED_EVERY_S", 0.2)


@pytest.fixture
def traffic() -> Iterator[Traffic]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Healthy) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield Traffic(f"http://127.0.0.1:{server.server_address[1]}")
        server.shutdown()


def service_of(found: Object, old: Cluster, new: Cluster, traffic: Traffic) -> RayService:
    def new_cluster(_: Object) -> Any:
        new.began = monotonic()
        return new

    return RayService(found, cast(RayCluster, old), new_cluster, cast(Service, traffic))


def test_a_second_deploy_changes_nothing(traffic: Traffic, tmp_path: Path) -> None:
    """KubeRay has written the list of worker groups since the first one, and owns it if that was a change."""
    (found,) = render("overlays/production").of("RayService")
    old, new = Cluster("digits-old", began=0), Cluster("digits-new")
    with service_of(found, old, new, traffic) as service:
        done = service.deploy("production", tmp_path, hurried(tmp_path))
        assert done.returncode == 0, done.stderr
        assert service.active.name == "digits-old"
    assert old.configs == new.configs == []


def test_without_the_field_that_kuberay_writes_it_conflicts(traffic: Traffic, tmp_path: Path) -> None:
    """So the stand-in can fail."""
    (found,) = render("overlays/production").of("RayService")
    del found["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["scaleStrategy"]
    with service_of(found, Cluster("digits-old", began=0), Cluster("digits-new"), traffic) as service:
        done = service.deploy("production", tmp_path, hurried(tmp_path))
    assert done.returncode != 0
    assert 'conflict with "kuberay-operator"' in done.stderr
    assert "make deploy FORCE=1" in done.stderr


def test_make_deploy_waits_until_the_new_cluster_has_traffic(traffic: Traffic, tmp_path: Path) -> None:
    """Ready is true all the time, from the old one."""
    (found,) = render("overlays/production").of("RayService")
    old, new = Cluster("digits-old", began=0), Cluster("digits-new")
    with service_of(found, old, new, traffic) as service:
        found["spec"]["rayClusterConfig"]["headGroupSpec"]["template"]["metadata"] = {
            "annotations": {"a": "1"}
        }
        done = service.deploy("production", tmp_path, hurried(tmp_path))
        assert done.returncode == 0, done.stderr
        assert traffic.workers is new.workers
    assert len(new.configs) == 1
    assert "the new cluster does not have the traffic yet (digits DEPLOYING)" in done.stderr


def test_a_changed_configuration_reaches_the_running_cluster(traffic: Traffic, tmp_path: Path) -> None:
    (found,) = render("overlays/production").of("RayService")
    old, new = Cluster("digits-old", began=0), Cluster("digits-new")
    with service_of(found, old, new, traffic) as service:
        found["spec"]["serveConfigV2"] += "# changed\n"
        done = service.deploy("production", tmp_path, hurried(tmp_path))
        assert done.returncode == 0, done.stderr
    assert (len(old.configs), len(new.configs)) == (1, 0)
