"""A RayCluster of kuberay/ in containers, with what KubeRay does: apply, read the state, delete."""

from pathlib import Path
from typing import Any

import httpx2
import yaml

from testkit.cluster import wait_until
from tests.containers.kuberay import DASHBOARD, Files, ray_pods
from tests.containers.pods import RunningPod
from tests.containers.service import Service
from tests.rules.manifests import Object

RUNNING_WITHIN_S, READY_WITHIN_S = 240, 120


class RayCluster:
    def __init__(self, spec: Object, name: str, files: Files, token: str, folder: Path) -> None:
        self.name = name
        self._made = ray_pods(spec, name, files, token, is_service=True)
        self._folder = folder / name
        self._count = 0
        self._key = {"x-ray-authorization": f"Bearer {token}"}
        self.head = self._start(self._made.head, self._made.head_service)
        self.workers = [self.start_worker() for _ in range(self._made.replicas)]

    def _start(self, pod: Any, alias: str = "") -> RunningPod:
        self._count += 1
        return RunningPod(pod, self._folder / str(self._count), alias)

    def start_worker(self) -> RunningPod:
        return self._start(self._made.worker)

    @property
    def dashboard(self) -> str:
        return f"http://{self.head.address}:{DASHBOARD}"

    def is_up(self) -> bool:
        try:
            return httpx2.get(f"{self.dashboard}/api/gcs_healthz", timeout=5).status_code == 200
        except httpx2.TransportError:
            return False

    def apply(self, config: Object) -> None:
        wait_until(self.is_up, READY_WITHIN_S, self.head.container.logs)
        wait_until(lambda: self._put(config), READY_WITHIN_S, self.explain)

    def _put(self, config: Object) -> bool:
        """Sends the configuration; KubeRay repeats it too while the dashboard of a new head fails."""
        url = f"{self.dashboard}/api/serve/applications/"
        try:
            return httpx2.put(url, headers=self._key, json=config, timeout=60).status_code == 200
        except httpx2.TransportError:
            return False

    def details(self) -> Object:
        url = f"{self.dashboard}/api/serve/applications/"
        try:
            answer: Object = httpx2.get(url, headers=self._key, timeout=30).raise_for_status().json()
        except httpx2.HTTPError:
            return {}
        return answer

    def run_on_head(self, *command: str) -> str:
        return self.head.container.execute(*command)

    def replicas(self) -> list[str]:
        """Returns the ids of the running replicas."""
        deployments = self.details().get("applications", {}).get("digits", {}).get("deployments", {})
        found = deployments.get("DigitClassifier", {}).get("replicas", [])
        return [replica["replica_id"] for replica in found if replica["state"] == "RUNNING"]

    def runs(self) -> bool:
        """Returns whether every application runs: KubeRay then moves the traffic, ready workers or not."""
        applications = self.details().get("applications", {})
        return bool(applications) and all(one["status"] == "RUNNING" for one in applications.values())

    def wait_until_running(self) -> None:
        wait_until(self.runs, RUNNING_WITHIN_S, self.explain)

    def explain(self) -> str:
        pods = [self.head, *self.workers]
        return yaml.safe_dump(self.details()) + "\n".join(pod.container.logs()[-1500:] for pod in pods)

    def take_over(self, service: Service) -> None:
        """Moves the traffic here once every application runs, as KubeRay does; waits for the endpoints."""
        self.wait_until_running()
        service.select(lambda: self.workers)
        self.wait_until_endpoints(service)

    def wait_until_endpoints(self, service: Service) -> None:
        wait_until(lambda: set(service.endpoints()) == set(self.workers), READY_WITHIN_S, self.explain)

    def delete(self) -> None:
        """Sends SIGTERM to all pods at once, as when KubeRay deletes a RayCluster."""
        pods = [self.head, *self.workers]
        for pod in pods:
            pod.container.kill("TERM")
        for pod in pods:
            pod.terminate()
            pod.remove()
